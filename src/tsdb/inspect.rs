//! Looking into a data directory without changing a byte of it, also beside a running server and on a medium that
//! cannot be written to.
//!
//! Opening repairs: it cuts a damaged log, begins a segment, removes what was left unfinished, and sled writes to the
//! files of whatever it opens. So all that happens to a copy, below the folder for temporary files: of log, catalog and
//! tombstones at once, of each block while it is looked at.
//!
//! **Locking**: a shared lock on a stopped directory, so that no server begins meanwhile; none beside a running one.
//! **Cost**: the room of the log and of a few blocks where temporary files are (`TMPDIR`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::db::Tsdb;
use super::error::{Error, IoContext as _, Result};
use super::foreign;
use super::lock::DirLock;
use super::options::TsdbOptions;
use super::replay::Held;
use super::store::sled::CopiedStore;
use super::wal;
use crate::telemetry::Registry;
use crate::util::Clock;

/// How often the log is copied again because a running server removed a file of it.
const ATTEMPTS: usize = 10;

/// Whether a directory that a server is running on may be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// No server may run on it.
    Nobody,
    /// One may; what is seen is about what is there.
    Server,
}

impl Tsdb {
    /// Opens what is in the directory of `options` to be looked at: whatever is done with it, the directory stays as it
    /// is.
    ///
    /// # Errors
    /// As [`Tsdb::open`].
    pub fn inspect(
        options: &TsdbOptions,
        beside: Beside,
        clock: Arc<dyn Clock>,
        registry: &mut Registry,
    ) -> Result<Self> {
        let dir = options.dir.clone();
        foreign::check(&dir)?;
        let lock = DirLock::share(&dir, beside == Beside::Server)?;
        let copy =
            tempfile::Builder::new().prefix("emberkeep-").tempdir().at("create", std::env::temp_dir())?;
        // The log first: what leaves it meanwhile is in the blocks of a later catalog.
        copy_log(&dir.join("wal"), &copy.path().join("wal"))?;
        for name in ["catalog", "catalog.copy", "tombstones", "tombstones.copy"] {
            copy_file(&dir.join(name), &copy.path().join(name))?;
        }
        let store = CopiedStore::new(&dir.join("blocks"), &copy.path().join("blocks"))?;
        let options = TsdbOptions { dir: copy.path().to_owned(), background: false, ..options.clone() };
        let db = Self::begin_on(
            options,
            Arc::new(store),
            Held::Copy { _lock: lock, _copy: copy },
            clock,
            registry,
        )?;
        db.wait()?;
        Ok(db)
    }
}

fn copy_log(from: &Path, to: &Path) -> Result<()> {
    for _ in 0..ATTEMPTS {
        fs::create_dir_all(to).at("create", to)?;
        match try_copy_log(from, to) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                fs::remove_dir_all(to).at("remove", to)?;
            }
            copied => return copied,
        }
    }
    let source = io::Error::new(io::ErrorKind::Interrupted, "files are removed faster than they are read");
    Err(Error::Io { action: "copy", path: from.to_owned(), source })
}

fn try_copy_log(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    // Where it ends is noted before what it holds grows.
    copy_file(&from.join(wal::POSITION_NAME), &to.join(wal::POSITION_NAME))?;
    let mut names: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(from).at("list", from)? {
        names.push(entry.at("list", from)?.file_name().into());
    }
    for name in names.iter().filter(|name| name.to_str().is_some_and(wal::is_live)) {
        fs::copy(from.join(name), to.join(name)).at("copy", from.join(name))?;
    }
    Ok(())
}

/// Copies a file if it is there.
fn copy_file(from: &Path, to: &Path) -> Result<()> {
    match fs::copy(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        copied => copied.map(|_| ()).at("copy", from),
    }
}
