//! The files of the log behind a trait, so that tests can put a disk under it that forgets what was not synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::tsdb::durable;
use crate::tsdb::points::Step;

/// A flat folder of files.
pub trait LogFs: Send + Sync {
    /// Names of all files, in no order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates a new, empty file.
    ///
    /// # Errors
    /// When it exists or cannot be created.
    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>>;

    /// The whole content of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Cuts a file to `len` bytes and syncs it.
    ///
    /// # Errors
    /// When the disk refuses.
    fn truncate(&self, name: &str, len: u64) -> io::Result<()>;

    /// Makes what a file holds durable, whoever wrote it.
    ///
    /// # Errors
    /// When the disk refuses.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name, replacing what had it.
    ///
    /// # Errors
    /// When the disk refuses.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Deletes a file.
    ///
    /// # Errors
    /// When the disk refuses.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals durable.
    ///
    /// # Errors
    /// When the disk refuses.
    fn sync_dir(&self) -> io::Result<()>;

    /// Where the folder is, for messages.
    fn path(&self) -> &Path;
}

/// A file open for appending.
pub trait LogFile: Send + Sync {
    /// Writes `bytes` at the end.
    ///
    /// # Errors
    /// When the disk refuses; a part may then have been written.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file to `len` bytes; later appends go there.
    ///
    /// # Errors
    /// When the disk refuses.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Makes everything appended durable.
    ///
    /// # Errors
    /// When the disk refuses; nothing can then be said about what was appended since the last sync.
    fn sync(&self) -> io::Result<()>;
}

/// Real files.
#[derive(Debug)]
pub struct DiskFs {
    dir: PathBuf,
}

impl DiskFs {
    /// The folder `dir`, created if absent.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(dir: &Path) -> io::Result<Self> {
        durable::create_dir(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }
}

impl LogFs for DiskFs {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        // Append mode: after a cut, the next write lands at the new end by itself.
        let path = self.dir.join(name);
        let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        durable::note(Step::Created, &path);
        Ok(Arc::new(DiskFile(file, path)))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.dir.join(name))
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.dir.join(name))?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        durable::sync(&self.dir.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        durable::rename(&self.dir.join(from), &self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        durable::remove_file(&self.dir.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        durable::sync(&self.dir)
    }

    fn path(&self) -> &Path {
        &self.dir
    }
}

struct DiskFile(File, PathBuf);

impl LogFile for DiskFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes)?;
        durable::note(Step::Appended, &self.1);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()?;
        durable::note(Step::Synced, &self.1);
        Ok(())
    }
}

/// When appended records are made durable against power loss. A killed process loses nothing either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before the commit is acknowledged.
    Always,
    /// At this distance in milliseconds.
    Interval(u64),
    /// When the operating system likes.
    Never,
}
