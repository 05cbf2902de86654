//! Series held in memory: for tests of the query engine and for rule unit tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::hints;
use super::{Bounds, Querier, Queryable, SelectRequest, SeriesSet, StorageError};
use crate::model::{Histogram, Labels, Matcher, Samples, TimeRange};

/// One sample of a series.
#[derive(Debug, Clone)]
struct Sample {
    timestamp: i64,
    /// Zero where unknown.
    start: i64,
    value: f64,
    histogram: Option<Arc<Histogram>>,
}

/// Why a sample was not appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its series has a newer one.
    #[error("out of order sample")]
    OutOfOrder,
    /// Its series has another one at that time.
    #[error("duplicate sample for timestamp")]
    DuplicateTimestamp,
}

type Data = BTreeMap<Labels, Vec<Sample>>;

/// A storage of given series. Cloning shares the data until one side changes it.
#[derive(Debug, Default, Clone)]
pub struct FixedStorage {
    data: Arc<Data>,
}

impl FixedStorage {
    /// A storage without series.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one sample. Samples of a series may come in any order; of equal timestamps the last wins.
    pub fn add(&mut self, labels: &Labels, timestamp: i64, value: f64) {
        self.insert(labels, Sample { timestamp, start: 0, value, histogram: None });
    }

    /// Adds one native histogram, under the same conditions.
    pub fn add_histogram(&mut self, labels: &Labels, timestamp: i64, histogram: Arc<Histogram>) {
        self.insert(labels, Sample { timestamp, start: 0, value: f64::NAN, histogram: Some(histogram) });
    }

    /// Appends a sample as a database does: behind what its series has, and with what a database says of counter resets.
    /// A sample that is there already is taken again.
    ///
    /// # Errors
    /// When the series has a newer sample, or another one at that time.
    pub fn append(
        &mut self,
        labels: &Labels,
        timestamp: i64,
        value: f64,
        histogram: Option<&Arc<Histogram>>,
    ) -> Result<(), Refused> {
        let newest = self.data.get(labels).and_then(|samples| samples.last());
        if let Some(newest) = newest.filter(|newest| newest.timestamp >= timestamp) {
            let same = match (&newest.histogram, histogram) {
                (None, None) => newest.value.to_bits() == value.to_bits(),
                (Some(a), Some(b)) => a.same_data(b),
                _ => false,
            };
            return match newest.timestamp > timestamp {
                true => Err(Refused::OutOfOrder),
                false if !same => Err(Refused::DuplicateTimestamp),
                false => Ok(()),
            };
        }
        let previous = newest.and_then(|newest| newest.histogram.as_deref());
        let histogram = histogram.map(|histogram| hints::appended(previous, histogram));
        self.insert(labels, Sample { timestamp, start: 0, value, histogram });
        Ok(())
    }

    /// Says when what the sample at `timestamp` counts began, if there is one.
    pub fn set_start(&mut self, labels: &Labels, timestamp: i64, start: i64) {
        if let Some(samples) = Arc::make_mut(&mut self.data).get_mut(labels)
            && let Ok(at) = samples.binary_search_by_key(&timestamp, |sample| sample.timestamp)
        {
            samples[at].start = start;
        }
    }

    fn insert(&mut self, labels: &Labels, sample: Sample) {
        let samples = Arc::make_mut(&mut self.data).entry(labels.clone()).or_default();
        match samples.binary_search_by_key(&sample.timestamp, |other| other.timestamp) {
            Ok(at) => samples[at] = sample,
            Err(at) => samples.insert(at, sample),
        }
    }
}

/// Those of the samples of a series that are in `range`.
fn within(samples: &[Sample], range: TimeRange) -> &[Sample] {
    let first = samples.partition_point(|sample| sample.timestamp < range.start);
    let behind = samples.partition_point(|sample| sample.timestamp <= range.end);
    samples.get(first..behind).unwrap_or_default()
}

impl Queryable for FixedStorage {
    fn querier(&self, range: TimeRange) -> Result<Box<dyn Querier>, StorageError> {
        Ok(Box::new(FixedQuerier { data: Arc::clone(&self.data), range }))
    }
}

struct FixedQuerier {
    data: Arc<Data>,
    range: TimeRange,
}

impl FixedQuerier {
    fn matching<'a>(&'a self, selectors: &'a [Vec<Matcher>]) -> impl Iterator<Item = &'a Labels> + 'a {
        self.data
            .iter()
            .filter(|(_, samples)| !within(samples, self.range).is_empty())
            .map(|(labels, _)| labels)
            .filter(|labels| {
                selectors.is_empty()
                    || selectors.iter().any(|all| all.iter().all(|m| m.matches_labels(labels)))
            })
    }
}

impl Querier for FixedQuerier {
    fn select(&self, request: &SelectRequest<'_>) -> Result<Box<dyn SeriesSet>, StorageError> {
        let series = self
            .data
            .iter()
            .filter(|(labels, _)| request.matchers.iter().all(|m| m.matches_labels(labels)))
            .filter(|(_, samples)| !within(samples, request.range).is_empty())
            .map(|(labels, _)| labels.clone())
            .collect();
        Ok(Box::new(FixedSeriesSet { data: Arc::clone(&self.data), series }))
    }

    fn label_names(&self, selectors: &[Vec<Matcher>], _: Bounds<'_>) -> Result<Vec<String>, StorageError> {
        let names: BTreeSet<&str> = self.matching(selectors).flat_map(|l| l.iter().map(|(n, _)| n)).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        _: Bounds<'_>,
    ) -> Result<Vec<String>, StorageError> {
        let values: BTreeSet<&str> = self.matching(selectors).filter_map(|l| l.get(name)).collect();
        Ok(values.into_iter().map(str::to_owned).collect())
    }
}

struct FixedSeriesSet {
    data: Arc<Data>,
    series: Vec<Labels>,
}

impl SeriesSet for FixedSeriesSet {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series[index].clone()
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut Samples) -> Result<(), StorageError> {
        out.clear();
        if let Some(samples) = self.data.get(&self.series[index]) {
            for sample in within(samples, range) {
                match &sample.histogram {
                    Some(histogram) => out.push_histogram(sample.timestamp, Arc::clone(histogram)),
                    None => out.push(sample.timestamp, sample.value),
                }
                out.set_last_start(sample.start);
            }
        }
        Ok(())
    }
}
