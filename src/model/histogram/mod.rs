//! Native histograms: one sample that holds a whole distribution.
//!
//! Buckets are kept sparsely: spans say which bucket numbers are present, `counts` has one entry for each of those.
//! Counts are absolute (not cumulative over buckets, not differences) 64-bit floats, whole numbers where the
//! histogram is one of integers; up to 2^53 that is exact.
//!
//! Read this, then `bounds`, `buckets`, `layout`, `reset` and `unchecked` (how one comes in). Arithmetic is in the query engine.

mod bounds;
mod buckets;
mod layout;
mod reset;
mod unchecked;

pub use bounds::exponential as exponential_bound;
pub use buckets::{Bucket, Numbered};
pub use layout::coarser_number;
pub use reset::common_bounds;
pub use unchecked::{HistogramFault, Unchecked, UncheckedBuckets};

use super::stale::is_stale;

/// Schema of histograms whose bucket bounds are given one by one.
pub const CUSTOM_SCHEMA: i32 = -53;

/// What is known of a counter reset between a histogram and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetHint {
    /// Nothing: compare the two.
    #[default]
    Unknown,
    /// There was one.
    Reset,
    /// There was none.
    NotReset,
    /// The histogram is a gauge and knows no resets.
    Gauge,
}

/// A run of adjacent buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Bucket numbers between the end of the span before and the start of this one; of the first span its start.
    pub offset: i32,
    /// Number of buckets.
    pub length: u32,
}

/// Buckets of one sign. The lengths of `spans` sum up to the length of `counts`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Buckets {
    /// Which buckets are present.
    pub spans: Vec<Span>,
    /// Observations in each.
    pub counts: Vec<f64>,
}

/// A native histogram.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// Resolution: bucket bounds grow by the factor 2^(2^-schema), -4 to 8; or [`CUSTOM_SCHEMA`].
    pub schema: i32,
    /// Observations of at most this magnitude are in the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of all observations. The stale marker makes the whole histogram one.
    pub sum: f64,
    /// Buckets of positive observations.
    pub positive: Buckets,
    /// Buckets of negative observations.
    pub negative: Buckets,
    /// Upper bounds of the buckets with [`CUSTOM_SCHEMA`], else empty.
    pub custom_values: Vec<f64>,
    /// What is known of a counter reset.
    pub reset_hint: ResetHint,
    /// Whether it was sent with integer counts.
    pub integer: bool,
}

impl Histogram {
    /// Whether it is the marker of a series that ended.
    pub fn is_stale(&self) -> bool {
        is_stale(self.sum)
    }

    /// Numbers it is made of: three totals, a count for each bucket, two for each span, one for each custom bound.
    pub fn cells(&self) -> usize {
        let side = |buckets: &Buckets| buckets.counts.len() + 2 * buckets.spans.len();
        3 + side(&self.positive) + side(&self.negative) + self.custom_values.len()
    }

    /// A stale marker.
    pub fn stale() -> Self {
        Self { sum: super::stale_nan(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stale_marker_is_one() {
        assert!(Histogram::stale().is_stale());
        assert!(!Histogram { sum: f64::NAN, ..Histogram::default() }.is_stale());
    }
}
