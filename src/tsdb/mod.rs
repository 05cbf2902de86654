//! The database.

pub mod chunk;
pub mod error;
pub mod index;
pub mod record;
pub mod wal;

/// Identity of a series in head and log: unique for the life of a data directory.
///
/// The lower half is the series' slot in the head, the upper half counts how often the slot was given away, so a
/// reference is never used again while the log may still name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesRef(pub u64);

/// What became of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    /// Staged; it will be visible after the commit.
    Accepted,
}
