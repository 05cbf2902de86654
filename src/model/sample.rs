//! Samples: millisecond timestamps beside 64-bit floats or histograms, and the stale marker.

use std::sync::Arc;

use super::Histogram;
use super::stale::is_stale;

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
    /// When what a sample counts began, in milliseconds, by the same index; 0 is unknown, and so is everything beyond
    /// the end. Usually empty.
    pub starts: Vec<i64>,
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

    /// Says when what the last sample counts began; 0 is unknown.
    pub fn set_last_start(&mut self, start: i64) {
        if start != 0 {
            self.starts.resize(self.len(), 0);
            if let Some(last) = self.starts.last_mut() {
                *last = start;
            }
        }
    }

    /// When what sample `at` counts began; 0 is unknown.
    pub fn start(&self, at: usize) -> i64 {
        self.starts.get(at).copied().unwrap_or(0)
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Number of samples as limits count them: a native histogram weighs as much as several.
    pub fn weight(&self) -> usize {
        let more = |(_, histogram): &(usize, Arc<Histogram>)| histogram.weight().saturating_sub(1);
        self.len() + self.histograms.iter().map(more).sum::<usize>()
    }

    /// Forgets all samples, keeping the memory.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.histograms.clear();
        self.starts.clear();
    }

    /// Adds the samples of `other` inside `range`, all of which are newer than those here.
    pub fn extend_from(&mut self, other: &Self, range: TimeRange) {
        let from = other.timestamps.partition_point(|t| *t < range.start);
        let to = other.timestamps.partition_point(|t| *t <= range.end).max(from);
        let held = self.len();
        self.timestamps.extend_from_slice(&other.timestamps[from..to]);
        self.values.extend_from_slice(&other.values[from..to]);
        let histograms = other.histograms.iter().filter(|(at, _)| (from..to).contains(at));
        self.histograms.extend(histograms.map(|(at, histogram)| (held + at - from, Arc::clone(histogram))));
        let starts = other.starts.get(from..to.min(other.starts.len())).unwrap_or_default();
        if !starts.is_empty() {
            self.starts.resize(held, 0);
            self.starts.extend_from_slice(starts);
        }
    }

    /// Removes stale markers.
    pub fn drop_stale(&mut self) {
        // The value beside a histogram is an ordinary NaN.
        // Without an early end, which the processor does several values at a time.
        let floats = self.values.iter().fold(false, |any, value| any | is_stale(*value));
        if !floats && !self.histograms.iter().any(|(_, histogram)| histogram.is_stale()) {
            return;
        }
        let all = std::mem::take(self);
        let mut histograms = all.histograms.iter().peekable();
        for (at, (timestamp, value)) in all.iter().enumerate() {
            match histograms.next_if(|(index, _)| *index == at) {
                Some((_, histogram)) if histogram.is_stale() => continue,
                Some((_, histogram)) => self.push_histogram(timestamp, Arc::clone(histogram)),
                None if is_stale(value) => continue,
                None => self.push(timestamp, value),
            }
            self.set_last_start(all.start(at));
        }
    }

    /// Timestamp and value of every sample, and the histogram of those that are one.
    pub fn points(&self) -> impl Iterator<Item = (i64, f64, Option<&Histogram>)> + '_ {
        let mut histograms = self.histograms.iter().peekable();
        self.iter().enumerate().map(move |(at, (timestamp, value))| {
            let histogram = histograms.next_if(|(index, _)| *index == at);
            (timestamp, value, histogram.map(|(_, histogram)| histogram.as_ref()))
        })
    }

    /// Pairs of timestamp and value.
    pub fn iter(&self) -> impl Iterator<Item = (i64, f64)> + '_ {
        self.timestamps.iter().copied().zip(self.values.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stale_nan;

    #[test]
    fn samples_inside_a_range_are_added_with_all_they_have() {
        let mut more = Samples::new();
        more.push(1, 1.0);
        more.push_histogram(2, Arc::new(Histogram::default()));
        more.set_last_start(1);
        more.push(3, 3.0);
        let mut samples = Samples::new();
        samples.push(0, 0.5);
        samples.extend_from(&more, TimeRange::new(2, 2));
        assert_eq!(samples.timestamps, [0, 2]);
        assert_eq!(samples.histograms, [(1, Arc::new(Histogram::default()))]);
        assert_eq!((samples.start(0), samples.start(1)), (0, 1));
        samples.extend_from(&more, TimeRange::new(3, 9));
        assert_eq!((samples.len(), samples.values[2], samples.start(2)), (3, 3.0, 0));
        samples.extend_from(&more, TimeRange::new(9, 4));
        assert_eq!(samples.len(), 3);
    }

    #[test]
    fn stale_markers_of_both_kinds_go() {
        let mut samples = Samples::new();
        samples.push(1, 1.0);
        samples.push(2, stale_nan());
        samples.push_histogram(3, Arc::new(Histogram::stale()));
        samples.push_histogram(4, Arc::new(Histogram::default()));
        samples.set_last_start(2);
        samples.push(5, f64::NAN);
        samples.drop_stale();
        assert_eq!(samples.timestamps, [1, 4, 5]);
        assert_eq!(samples.histograms, [(1, Arc::new(Histogram::default()))]);
        assert_eq!((samples.start(0), samples.start(1), samples.start(2)), (0, 2, 0));
    }
}
