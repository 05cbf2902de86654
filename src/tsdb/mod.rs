//! The database: a write-ahead log and a head for what is recent, immutable blocks for the rest.
//!
//! Read [`db`] (the door), `inner` (what the threads share), then [`wal`] and [`record`] (what makes it durable), [`head`] (what is in memory),
//! [`chunk`] (how samples are encoded), [`index`], [`store`] and [`block`] (what is on disk), [`compact`] (how blocks
//! come and go), `read` (how all of it answers a query), `admission` (when new series are refused), `foreign` and `inspect` (directories that are not to be changed). It knows nothing of configuration, PromQL or HTTP.

mod admission;
pub mod block;
mod changes;
pub mod chunk;
pub mod compact;
pub mod db;
mod deaths;
pub mod delete;
pub(crate) mod durable;
pub mod error;
pub mod exemplars;
pub mod foreign;
pub mod head;
pub mod import;
pub mod index;
mod inner;
mod inspect;
mod lock;
mod memory_watch;
pub mod metrics;
mod open;
pub mod options;
pub mod points;
mod publish;
mod read;
pub mod record;
pub mod repair;
mod replay;
pub mod snapshot;
pub mod space;
pub(crate) mod state_log;
pub mod store;
mod turns;
pub mod wal;

pub use admission::{MemoryProbe, MemoryUse, NoNewSeries};
pub use db::{DbAppender, Tsdb, TsdbStatus};
pub use error::{Error, Result};
pub use head::appender::{CommitMode, CommitStats};
pub use head::exemplars::ExemplarStats;
pub(crate) use head::fingerprint_packed;
pub use inspect::Beside;
pub use options::{Limits, TsdbOptions};
pub use wal::SyncPolicy;

/// Identity of a series in head and log: unique for the life of a data directory.
///
/// The lower half is the series' slot in the head, the upper half counts how often the slot was given away, so a
/// reference is never used again while the log may still name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesRef(pub u64);

impl SeriesRef {
    /// Stands for a series that is not made because its labels are over the bounds; no slot has this number.
    pub(crate) const REFUSED: Self = Self(u64::MAX);

    fn new(generation: u32, slot: u32) -> Self {
        Self(u64::from(generation) << 32 | u64::from(slot))
    }

    fn slot(self) -> u32 {
        // Truncation is meant: the lower half.
        (self.0 & u64::from(u32::MAX)).try_into().unwrap_or(u32::MAX)
    }

    fn generation(self) -> u32 {
        (self.0 >> 32).try_into().unwrap_or(u32::MAX)
    }
}

/// What became of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    /// Staged; it will be visible after the commit.
    Accepted,
    /// The very same sample is there already; nothing to do.
    Repeated,
    /// The series has another value at this timestamp.
    DuplicateTimestamp,
    /// The series has a newer sample.
    OutOfOrder,
    /// Older than anything the head still takes.
    TooOld,
    /// Too far ahead of the clock.
    TooFarAhead,
    /// The labels of its series, or the native histogram, are over the bounds of [`crate::model::bounds`].
    TooLarge,
    /// The series was removed meanwhile; make it again by its labels.
    UnknownSeries,
}
