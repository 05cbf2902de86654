//! The encodings of samples: timestamps and values of one series, apart from each other.
//!
//! [`open`] is what the head appends to; [`mod@column`] holds the values of a chunk that is complete; [`timeline`] holds
//! timestamps, once for all series scraped together; [`bundle`] packs columns of neighbouring series into one
//! stored value; [`ints`] is the integer packing below columns and timelines.
//!
//! **Format**: `docs/format/chunks.md`. Every column starts with a mode byte, so new modes need no migration.

pub mod bundle;
pub mod column;
pub mod ints;
pub mod open;
pub mod timeline;

/// Samples in one column at most.
pub const MAX_COLUMN_SAMPLES: usize = 8192;
