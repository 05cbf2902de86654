//! What can go wrong between this database and others.

use std::io;
use std::path::{Path, PathBuf};

use crate::codec::CodecError;
use crate::storage::StorageError;

/// Errors of import and export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// A file holds something that no writer produces.
    #[error("{} is damaged at byte {offset}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// How it shows.
        reason: String,
    },
    /// A file is of a kind that is not read.
    #[error("{}: {reason}", path.display())]
    Unsupported {
        /// The file or folder.
        path: PathBuf,
        /// What it is, and what to do.
        reason: String,
    },
    /// A line of a text file cannot be taken.
    #[error("{}: line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// Why.
        reason: String,
    },
    /// Samples could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The database refused.
    #[error(transparent)]
    Database(#[from] crate::tsdb::Error),
}

/// Result of import and export.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(super) fn damaged(path: &Path, offset: impl TryInto<u64>, reason: impl Into<String>) -> Self {
        let offset = offset.try_into().unwrap_or(u64::MAX);
        Self::Damaged { path: path.to_owned(), offset, reason: reason.into() }
    }

    /// What a codec found in `path`, whose bytes it saw from `offset` on.
    pub(super) fn codec(path: &Path, offset: usize, error: &CodecError) -> Self {
        match error {
            CodecError::UnexpectedEnd { at } => Self::damaged(path, offset + at, "unexpected end of data"),
            CodecError::Invalid { what, at } => Self::damaged(path, offset + at, format!("invalid {what}")),
            other => Self::damaged(path, offset, other.to_string()),
        }
    }
}

/// Adds what was being done, to which path, to an I/O result.
pub(super) trait IoContext<T> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|source| Error::Io { action, path: path.into(), source })
    }
}
