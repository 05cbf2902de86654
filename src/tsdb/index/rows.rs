//! What is stored of the series of a block, before postings are made of it.

use std::ops::Range;
use std::sync::OnceLock;

use crate::codec::{ByteReader, CodecError};
use crate::tsdb::chunk::{MAX_COLUMN_SAMPLES, timeline};

/// Labels of all series, and bytes of all values, as a multiple of the bytes they are stored in. Bounds what damaged
/// bytes can make us allocate; the builder shares less with what comes before rather than to exceed it.
pub(super) const MAX_PER_BYTE: usize = 256;

/// Label pairs and rows of a block, before postings are made.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Names, sorted, each with the number of its first pair.
    pub(super) names: Vec<(Box<str>, u32)>,
    /// Texts of the values of all pairs, one after the other.
    pub(super) values: String,
    /// End of each pair's value.
    pub(super) value_ends: Vec<u32>,
    /// Pair numbers of all series, rising within each.
    pub(super) pairs: Vec<u32>,
    /// End of each series' pairs.
    pub(super) ends: Vec<u32>,
}

/// Which columns a series has.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// Timeline of each column.
    pub(super) timelines: Vec<u32>,
    /// End of each series' columns.
    pub(super) ends: Vec<u32>,
    /// First column of each bundle.
    pub(super) bundles: Vec<u64>,
}

/// A timeline that is decoded when first asked for.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) count: usize,
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) bytes: Box<[u8]>,
    pub(super) decoded: OnceLock<Result<Box<[i64]>, CodecError>>,
}

/// Checked conversion of a count.
pub(super) fn as_u32(len: usize) -> Result<u32, CodecError> {
    u32::try_from(len).map_err(|_| CodecError::Invalid { what: "index size", at: len })
}

impl Timeline {
    pub(super) fn decode(&self) -> Result<Box<[i64]>, CodecError> {
        let mut reader = ByteReader::new(&self.bytes);
        let all = timeline::decode(&mut reader, MAX_COLUMN_SAMPLES)?;
        let ends = (all.first().copied(), all.last().copied());
        let as_said = all.len() == self.count && ends == (Some(self.first), Some(self.last));
        if as_said && reader.is_empty() { Ok(all.into()) } else { Err(reader.invalid("timeline")) }
    }
}

pub(super) fn span(ends: &[u32], number: u32) -> Range<usize> {
    let number = number as usize;
    let Some(end) = ends.get(number) else { return 0..0 };
    let start = number.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    start as usize..*end as usize
}

impl Rows {
    /// Adds the value of the next pair: the first `shared` bytes of the value before it, then `rest`.
    pub(super) fn push_value(&mut self, shared: usize, rest: &str) -> Result<(), CodecError> {
        let invalid = CodecError::Invalid { what: "label value", at: self.value_ends.len() };
        let number = as_u32(self.value_ends.len())?;
        let before = number.checked_sub(1).map_or(0..0, |before| span(&self.value_ends, before));
        let kept = before.start..before.start.saturating_add(shared).min(self.values.len());
        if shared > before.len() || self.values.get(kept.clone()).is_none() {
            return Err(invalid);
        }
        self.values.extend_from_within(kept);
        self.values.push_str(rest);
        self.value_ends.push(as_u32(self.values.len())?);
        Ok(())
    }

    /// Whether the last value sorts behind the one before it.
    pub(super) fn last_value_is_behind(&self) -> bool {
        let value = |from_end: usize| {
            let number = as_u32(self.value_ends.len().checked_sub(from_end)?).ok()?;
            self.values.get(span(&self.value_ends, number))
        };
        value(2) < value(1)
    }
}
