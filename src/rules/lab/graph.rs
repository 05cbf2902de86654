//! The values of a rule's series as a screen can show them: a number of buckets of time, each with the value that is
//! farthest beyond the threshold, so that no crossing is lost.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::pieces::Steps;
use crate::model::Labels;

/// Most series whose values are kept until it is known which are shown.
pub const MAX_TRACKED: usize = 2_000;
/// Most buckets.
pub const MAX_POINTS: usize = 2_000;

/// A series for the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphSeries {
    /// Labels of the series, or of the alert where no series is known.
    pub labels: Labels,
    /// Times in milliseconds, each the beginning of a bucket, and values.
    pub points: Vec<(i64, f64)>,
}

/// Collects the buckets of all series.
#[derive(Debug)]
pub(super) struct Graph {
    steps: Steps,
    /// Steps before this one are not shown.
    shown_from: usize,
    buckets: usize,
    keeps_small: bool,
    rows: HashMap<Labels, usize>,
    /// NaN where there is no value.
    values: Vec<Vec<f64>>,
    names: Vec<Labels>,
    /// Series that are not tracked.
    left_out: bool,
}

impl Graph {
    /// A graph of so many buckets over the steps from `shown_from`.
    pub(super) fn new(steps: Steps, shown_from: usize, buckets: usize, keeps_small: bool) -> Self {
        let shown = steps.count.saturating_sub(shown_from).max(1);
        let buckets = buckets.min(MAX_POINTS).min(shown);
        let (rows, values, names) = (HashMap::new(), Vec::new(), Vec::new());
        Self { steps, shown_from, buckets, keeps_small, rows, values, names, left_out: false }
    }

    /// The row of the series with these labels; none if there are too many.
    pub(super) fn row(&mut self, labels: &Labels) -> Option<usize> {
        if self.buckets == 0 {
            return None;
        }
        let count = self.values.len();
        match self.rows.entry(labels.clone()) {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(_) if count >= MAX_TRACKED => {
                self.left_out = true;
                None
            }
            Entry::Vacant(new) => {
                new.insert(count);
                self.values.push(vec![f64::NAN; self.buckets]);
                self.names.push(labels.clone());
                Some(count)
            }
        }
    }

    /// The bucket of a step, and the step behind it; for steps that are not shown, no bucket.
    pub(super) fn bucket(&self, step: usize) -> (Option<usize>, usize) {
        if self.buckets == 0 {
            return (None, usize::MAX);
        }
        let Some(shown) = step.checked_sub(self.shown_from) else { return (None, self.shown_from) };
        let count = self.steps.count - self.shown_from;
        let bucket = shown * self.buckets / count;
        (Some(bucket), self.shown_from + ((bucket + 1) * count).div_ceil(self.buckets))
    }

    /// A value in a bucket of a row.
    pub(super) fn put(&mut self, row: usize, bucket: usize, value: f64) {
        if let Some(kept) = self.values.get_mut(row).and_then(|row| row.get_mut(bucket)) {
            let worse = if self.keeps_small { kept.min(value) } else { kept.max(value) };
            *kept = worse;
        }
    }

    /// At most `most` series: those of `first` in their order, then others; and whether there are more.
    pub(super) fn finish(mut self, first: &[&Labels], most: usize) -> (Vec<GraphSeries>, bool) {
        let mut chosen = HashSet::new();
        // Several alerts may be of the same series.
        let rows = first.iter().filter_map(|labels| self.rows.get(*labels).copied());
        let mut order: Vec<usize> = rows.filter(|row| chosen.insert(*row)).collect();
        order.extend((0..self.names.len()).filter(|row| !chosen.contains(row)));
        self.left_out |= order.len() > most;
        order.truncate(most);
        let count = self.steps.count - self.shown_from;
        let time = |bucket: usize| self.steps.time(self.shown_from + (bucket * count).div_ceil(self.buckets));
        let series = order.into_iter().map(|row| {
            let points = self.values[row].iter().enumerate().filter(|(_, value)| !value.is_nan());
            let points = points.map(|(bucket, value)| (time(bucket), *value)).collect();
            GraphSeries { labels: self.names[row].clone(), points }
        });
        (series.collect(), self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_of_several_alerts_is_there_once() {
        let mut graph = Graph::new(Steps { first: 0, interval: 10, count: 4 }, 0, 4, false);
        let [a, b] = ["a", "b"].map(|host| Labels::from_pairs([("host", host)]));
        for labels in [&a, &b] {
            let row = graph.row(labels).expect("few");
            graph.put(row, 0, 1.0);
        }
        let (series, is_cut) = graph.finish(&[&b, &b, &b], 2);
        assert_eq!(series.iter().map(|one| &one.labels).collect::<Vec<_>>(), [&b, &a]);
        assert!(!is_cut);
    }
}
