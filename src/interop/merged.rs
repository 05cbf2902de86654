//! Several sources as one series set: equal label sets are one series, of equal timestamps the first source's stays.
//!
//! **Cost**: a pointer to the labels of each series and eight bytes for each source that has it.

use std::sync::Arc;

use crate::model::{Histogram, Labels, Samples, TimeRange};
use crate::storage::{SeriesSet, StorageError};

/// Sources whose series are merged.
pub struct Merged<'a> {
    sources: Vec<&'a dyn SeriesSet>,
    series: Vec<(Labels, usize, usize)>,
    /// Number of the source, number of the series in it.
    parts: Vec<(u32, u32)>,
}

impl<'a> Merged<'a> {
    /// The series of all `sources`.
    pub fn new(sources: Vec<&'a dyn SeriesSet>) -> Self {
        let mut found: Vec<(Labels, (u32, u32))> = Vec::new();
        for (number, source) in (0u32..).zip(&sources) {
            found.extend((0u32..).zip(0..source.len()).map(|(n, index)| (source.labels(index), (number, n))));
        }
        // Stable, so that sources keep their order.
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut series: Vec<(Labels, usize, usize)> = Vec::new();
        let mut parts = Vec::with_capacity(found.len());
        for (labels, part) in found {
            match series.last_mut() {
                Some((last, _, end)) if *last == labels => *end += 1,
                _ => series.push((labels, parts.len(), parts.len() + 1)),
            }
            parts.push(part);
        }
        Self { sources, series, parts }
    }
}

impl SeriesSet for Merged<'_> {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series[index].0.clone()
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut Samples) -> Result<(), StorageError> {
        let (_, start, end) = self.series[index];
        let read = |part: usize, out: &mut Samples| {
            let (source, number) = self.parts[part];
            self.sources[source as usize].read(number as usize, range, out)
        };
        read(start, out)?;
        if end - start > 1 {
            let mut more = Samples::new();
            for part in start + 1..end {
                read(part, &mut more)?;
                append(out, &more);
            }
            sort(out);
        }
        Ok(())
    }
}

/// Adds the samples of `more` at the end of `out`, whatever their time.
pub(super) fn append(out: &mut Samples, more: &Samples) {
    let before = out.len();
    if !more.starts.is_empty() {
        out.starts.resize(before, 0);
        out.starts.extend(&more.starts);
    }
    out.timestamps.extend(&more.timestamps);
    out.values.extend(&more.values);
    out.histograms.extend(more.histograms.iter().map(|(at, histogram)| (before + at, Arc::clone(histogram))));
}

/// Brings samples into order of time; of equal timestamps the first stays.
pub(super) fn sort(samples: &mut Samples) {
    if samples.timestamps.is_sorted_by(|a, b| a < b) {
        return;
    }
    let mut histograms: Vec<Option<Arc<Histogram>>> = vec![None; samples.len()];
    for (at, histogram) in samples.histograms.drain(..) {
        histograms[at] = Some(histogram);
    }
    let mut order: Vec<usize> = (0..samples.len()).collect();
    order.sort_by_key(|at| samples.timestamps[*at]);
    order.dedup_by_key(|at| samples.timestamps[*at]);
    let mut sorted = Samples::new();
    for at in order {
        match histograms[at].take() {
            Some(histogram) => sorted.push_histogram(samples.timestamps[at], histogram),
            None => sorted.push(samples.timestamps[at], samples.values[at]),
        }
        sorted.set_last_start(samples.start(at));
    }
    *samples = sorted;
}

/// Keeps the samples for which `keep` says true of their timestamp.
pub(super) fn retain(samples: &mut Samples, keep: impl Fn(i64) -> bool) {
    if samples.timestamps.iter().all(|t| keep(*t)) {
        return;
    }
    let mut histograms = std::mem::take(&mut samples.histograms).into_iter().peekable();
    let mut kept = Samples::new();
    for (index, (timestamp, value)) in samples.iter().enumerate() {
        let histogram = histograms.next_if(|(at, _)| *at == index);
        if keep(timestamp) {
            match histogram {
                Some((_, histogram)) => kept.push_histogram(timestamp, histogram),
                None => kept.push(timestamp, value),
            }
            kept.set_last_start(samples.start(index));
        }
    }
    *samples = kept;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::fixed::FixedStorage;
    use crate::storage::{Queryable as _, SelectRequest};

    fn storage(samples: &[(&str, i64, f64)]) -> Box<dyn SeriesSet> {
        let mut storage = FixedStorage::new();
        for (name, t, v) in samples {
            storage.add(&Labels::from_pairs([("__name__", *name)]), *t, *v);
        }
        let request = SelectRequest::new(&[], TimeRange::ALL);
        storage.querier(TimeRange::ALL).and_then(|querier| querier.select(&request)).expect("series")
    }

    #[test]
    fn overlapping_sources_become_one() {
        let first = storage(&[("a", 1, 1.0), ("a", 3, 3.0), ("c", 1, 5.0)]);
        let second = storage(&[("a", 2, 2.0), ("a", 3, 9.0), ("b", 7, 7.0)]);
        let merged = Merged::new(vec![&*first, &*second]);
        let names: Vec<String> =
            (0..merged.len()).map(|n| merged.labels(n).metric_name().to_owned()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        let mut samples = Samples::new();
        merged.read(0, TimeRange::ALL, &mut samples).expect("reads");
        assert_eq!(samples.iter().collect::<Vec<_>>(), [(1, 1.0), (2, 2.0), (3, 3.0)]);
        merged.read(1, TimeRange::new(0, 6), &mut samples).expect("reads");
        assert!(samples.is_empty());
    }

    #[test]
    fn histograms_keep_their_place() {
        let histogram = |n: f64| Arc::new(Histogram { count: n, ..Histogram::default() });
        let mut samples = Samples::new();
        samples.push_histogram(5, histogram(5.0));
        samples.push(1, 1.0);
        samples.push_histogram(3, histogram(3.0));
        samples.set_last_start(2);
        samples.push(5, 9.0);
        sort(&mut samples);
        assert_eq!(samples.timestamps, [1, 3, 5]);
        assert_eq!(samples.histograms, [(1, histogram(3.0)), (2, histogram(5.0))]);
        retain(&mut samples, |t| t != 1);
        assert_eq!(samples.histograms, [(0, histogram(3.0)), (1, histogram(5.0))]);
        assert_eq!((samples.start(0), samples.start(1)), (2, 0));
        let more = samples.clone();
        append(&mut samples, &more);
        assert_eq!((samples.len(), samples.start(2), samples.start(3)), (4, 2, 0));
    }
}
