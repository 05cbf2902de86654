//! What can go wrong in the database.

use std::io;
use std::path::PathBuf;

use crate::codec::CodecError;

/// Errors of the database. Per-sample outcomes (out of order, too old) are not errors: see
/// [`super::AppendOutcome`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process holds the data directory. Stop it, or choose another directory.
    #[error("data directory {} is in use by another process (lock file {})", dir.display(), dir.join("lock").display())]
    Locked {
        /// The data directory.
        dir: PathBuf,
    },
    /// The directory is not ours; nothing in it was changed.
    #[error("directory {} holds {}; nothing was changed", dir.display(), match owner {
        Owner::Prometheus => "data of Prometheus: import it with `emberkeep tsdb import prometheus`, or start the server with --storage.tsdb.adopt",
        Owner::VictoriaMetrics => "data of VictoriaMetrics: export it there in the OpenMetrics or Prometheus format, and import that into another directory with `emberkeep tsdb import`",
        Owner::Unknown => "files that are not of this server: choose another directory, or import with `emberkeep tsdb import`",
    })]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// Whose it seems to be.
        owner: Owner,
    },
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
    /// The log refuses appends since an earlier failure; restart the server once the cause is mended.
    #[error("write-ahead log was closed after a failure: {reason}")]
    LogPoisoned {
        /// The failure.
        reason: String,
    },
    /// The disk is nearly full. Samples are taken again once there is room; queries and compaction go on.
    #[error(
        "disk is nearly full: {available} bytes are left, {reserve} are kept for compaction; samples are refused until there is room"
    )]
    DiskFull {
        /// Bytes left.
        available: u64,
        /// Bytes that intake leaves.
        reserve: u64,
    },
    /// The log could not be replayed.
    #[error("failed to replay the write-ahead log: {reason}")]
    Replay {
        /// What went wrong.
        reason: String,
    },
    /// The log is still being replayed; see [`super::Tsdb::poll_replayed`].
    #[error("the write-ahead log is still being replayed")]
    Replaying,
    /// Stored bytes are damaged, or of a newer version.
    #[error("{what} {}: {source}", match source {
        CodecError::Version { .. } => "was written by a newer version of this server, and only that can read it",
        _ => "is damaged",
    })]
    Corrupt {
        /// The file, block or value concerned.
        what: String,
        /// How it is damaged.
        source: CodecError,
    },
    /// Something would be larger than what can be read again.
    #[error("failed to write {what}: {source}")]
    TooLarge {
        /// The file concerned.
        what: String,
        /// The bound.
        source: CodecError,
    },
    /// Samples of an import cannot be stored; the log names their series. Nothing was imported.
    #[error("{lost} samples cannot be stored; nothing was imported")]
    ImportIncomplete {
        /// How many.
        lost: u64,
    },
    /// A block's database is damaged: not readable now, nor later. Set it aside.
    #[error("block {block} is damaged: {reason}")]
    BlockDamaged {
        /// The block concerned.
        block: String,
        /// How it shows.
        reason: String,
    },
    /// The block store failed, for a reason outside of the block.
    #[error("block {block}: cannot {action}: {reason}")]
    Store {
        /// The block concerned.
        block: String,
        /// What was being done, as a verb.
        action: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// A setting is outside its bounds.
    #[error("invalid storage option {name}: {reason}")]
    Option {
        /// The field of the options.
        name: &'static str,
        /// Why it is refused.
        reason: String,
    },
}

impl Error {
    /// Whether stored bytes are damaged, as against a disk or system that refuses and may not the next time. Only
    /// what is damaged may be set aside; what a newer version wrote is not.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Corrupt { source, .. } => !matches!(source, CodecError::Version { .. }),
            Self::BlockDamaged { .. } => true,
            _ => false,
        }
    }
}

/// Result of a database operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Adds what was being done, to which path, to an I/O result.
pub(super) trait IoContext<T> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|source| Error::Io { action, path: path.into(), source })
    }
}

/// What a directory holds that is not a data directory of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Prometheus, or what takes its blocks, as Thanos.
    Prometheus,
    /// VictoriaMetrics.
    VictoriaMetrics,
    /// Somebody else.
    Unknown,
}
