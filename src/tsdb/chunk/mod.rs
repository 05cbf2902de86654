//! The encodings of samples: timestamps and values of one series, apart from each other.
//!
//! [`open`] is what the head appends to; [`mod@column`] holds the values of a chunk that is complete; [`timeline`] holds
//! timestamps, once for all series scraped together; [`histogram`] holds native histograms, [`content`] puts them
//! beside floats, [`starts`] when counting began; [`bundle`] packs columns of neighbouring series into one
//! stored value; [`ints`] is the integer packing below columns and timelines, `packing` its blocks of 128.
//!
//! **Format**: `docs/format/chunks.md`. Every column starts with a mode byte, so new modes need no migration.

pub mod bundle;
pub mod column;
pub mod content;
pub mod histogram;
pub mod ints;
pub mod open;
mod packing;
pub mod starts;
pub mod timeline;

/// Samples in one column at most.
pub const MAX_COLUMN_SAMPLES: usize = 8192;
