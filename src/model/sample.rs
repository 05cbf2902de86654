//! Samples: millisecond timestamps beside 64-bit floats or histograms, and the stale marker.

use std::sync::Arc;

use super::Histogram;

/// Bits of the NaN that says "this series ended here". Every other NaN is an ordinary value.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The stale marker as a value.
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether `value` is the stale marker, bit for bit.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// A closed range of timestamps in milliseconds since the Unix epoch. Empty when `start > end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// First millisecond inside.
    pub start: i64,
    /// Last millisecond inside.
    pub end: i64,
}

impl TimeRange {
    /// Every timestamp there is.
    pub const ALL: Self = Self { start: i64::MIN, end: i64::MAX };

    /// The range from `start` to `end`, both inside.
    pub fn new(start: i64, end: i64) -> Self {
        Self { start, end }
    }

    /// Whether `timestamp` is inside.
    pub fn contains(&self, timestamp: i64) -> bool {
        self.start <= timestamp && timestamp <= self.end
    }

    /// Whether the two ranges share a timestamp.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start.max(other.start) <= self.end.min(other.end)
    }
}

/// Samples of one series as two columns of equal length, in strictly rising order of time.
///
/// Callers keep one and have it filled again and again, so that reading allocates nothing in the long run.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Samples {
    /// Milliseconds since the Unix epoch.
    pub timestamps: Vec<i64>,
    /// The value at the timestamp of the same index. May be the stale marker.
    pub values: Vec<f64>,
    /// Samples that are native histograms: their index, rising, and content. The value there means nothing.
    pub histograms: Vec<(usize, Arc<Histogram>)>,
}

impl Samples {
    /// No samples.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one sample at the end.
    pub fn push(&mut self, timestamp: i64, value: f64) {
        self.timestamps.push(timestamp);
        self.values.push(value);
    }

    /// Adds one native histogram at the end.
    pub fn push_histogram(&mut self, timestamp: i64, histogram: Arc<Histogram>) {
        self.histograms.push((self.len(), histogram));
        self.push(timestamp, f64::NAN);
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Forgets all samples, keeping the memory.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.histograms.clear();
    }

    /// Pairs of timestamp and value.
    pub fn iter(&self) -> impl Iterator<Item = (i64, f64)> + '_ {
        self.timestamps.iter().copied().zip(self.values.iter().copied())
    }
}
