//! The samples a window function looks at.

/// Samples inside the left-open window from `start` to `end`. **Invariants**: never empty, no stale markers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) timestamps: &'a [i64],
    pub(super) values: &'a [f64],
    /// When what each sample counts began, 0 where unknown; empty when nothing is known or nobody asks.
    pub(super) starts: &'a [i64],
    pub(super) start: i64,
    pub(super) end: i64,
}

impl Window<'_> {
    /// Number of samples.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Seconds between two times, exact enough for any two.
    pub(super) fn seconds(from: i64, to: i64) -> f64 {
        to.saturating_sub(from) as f64 / 1000.0
    }
}
