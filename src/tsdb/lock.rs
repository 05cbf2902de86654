//! The lock on the data directory: one server at a time.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use super::durable;
use super::error::{Error, IoContext as _, Result};

/// Holds the directory until it is dropped. The operating system lets go when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct DirLock {
    _file: File,
}

impl DirLock {
    /// Keeps servers from starting on `dir`, without changing anything in it. None if it has no lock file, or if one is
    /// running and `beside` says that this does no harm.
    ///
    /// # Errors
    /// When a server is running and `beside` does not say so, or the file cannot be locked.
    pub(super) fn share(dir: &Path, beside: bool) -> Result<Option<Self>> {
        let path = dir.join("lock");
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            opened => opened.at("open", &path)?,
        };
        match fs4::FileExt::try_lock_shared(&file) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(fs4::TryLockError::WouldBlock) if beside => Ok(None),
            Err(fs4::TryLockError::WouldBlock) => Err(Error::Locked { dir: dir.to_owned() }),
            Err(fs4::TryLockError::Error(source)) => Err(Error::Io { action: "lock", path, source }),
        }
    }

    /// Locks `dir`, which is created if absent.
    ///
    /// # Errors
    /// When another process holds it, or the file cannot be made.
    pub(super) fn acquire(dir: &Path) -> Result<Self> {
        durable::create_dir(dir).at("create", dir)?;
        let path = dir.join("lock");
        let mut file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).at("open", &path)?;
        match fs4::FileExt::try_lock(&file) {
            Ok(()) => {}
            Err(fs4::TryLockError::WouldBlock) => return Err(Error::Locked { dir: dir.to_owned() }),
            Err(fs4::TryLockError::Error(source)) => {
                return Err(Error::Io { action: "lock", path, source });
            }
        }
        // For people: nobody reads it back.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}
