//! Whether a file is still the one that was read.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What a file was like when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    modified: (i64, i64),
    changed: (i64, i64),
    length: u64,
    inode: u64,
}

impl Stamp {
    /// The file as it is now; none if it is not there.
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            length: metadata.len(),
            inode: metadata.ino(),
        })
    }

    /// When the file was changed, in seconds since the Unix epoch.
    pub fn modified_seconds(&self) -> f64 {
        let (seconds, nanos) = self.modified;
        seconds as f64 + nanos as f64 / 1e9
    }
}
