//! What recording rules would have written, in memory, over what is stored.
//!
//! Stored series of the same names are hidden: the rules in question are new or changed. As in the server, a series
//! that a rule no longer gives is marked stale at the next evaluation.
//!
//! **Bounds**: [`MAX_SAMPLES`] samples of all rules together.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::error::Error;
use super::pieces::{Place, Steps, is_rule_query};
use super::play::Lab;
use crate::model::{Labels, METRIC_NAME, Matcher, Samples, TimeRange, stale_nan};
use crate::rules::rule::Rule;
use crate::storage::{Bounds, Mark, Querier, Queryable, SelectRequest, SeriesSet, StorageError};

/// Most samples of recorded series that are held: some hundred megabytes.
pub(super) const MAX_SAMPLES: usize = 5_000_000;

/// Series of recording rules.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    series: BTreeMap<Labels, Samples>,
    names: HashSet<String>,
    samples: usize,
}

/// What one recording rule gave.
pub(super) struct Given {
    name: String,
    series: BTreeMap<Labels, Samples>,
    samples: usize,
}

impl Recorded {
    /// Evaluates a recording rule over `steps`; earlier ones are seen through `lab`.
    pub(super) fn evaluate(
        &self,
        lab: &Lab<'_>,
        rule: &Rule,
        steps: Steps,
        offset: i64,
    ) -> Result<Given, Error> {
        if !is_rule_query(&rule.expr) {
            return Err(Error::NotAVector);
        }
        let place = Place { engine: lab.engine, source: lab.source, turn: lab.turn };
        let mut series: BTreeMap<Labels, Samples> = BTreeMap::new();
        let mut samples = 0;
        place.each(&rule.expr, steps, offset, |piece| {
            lab.turn.check()?;
            for found in piece.series {
                samples += found.samples.len();
                if self.samples + samples > MAX_SAMPLES {
                    return Err(Error::TooManyRecorded { most: MAX_SAMPLES });
                }
                let of_rule = series.entry(rule.recorded(&found.labels)).or_default();
                let last = of_rule.timestamps.last();
                if last.is_some_and(|last| found.samples.timestamps.first().is_some_and(|t| t <= last)) {
                    return Err(Error::SameLabels(rule.name.clone()));
                }
                of_rule.extend_from(&found.samples, TimeRange::ALL);
            }
            Ok(())
        })?;
        if series.keys().any(|labels| self.series.contains_key(labels)) {
            return Err(Error::SameLabels(rule.name.clone()));
        }
        let last = steps.time(steps.count - 1).saturating_sub(offset);
        for samples in series.values_mut() {
            *samples = with_markers(samples, steps.interval, last);
        }
        Ok(Given { name: rule.name.clone(), series, samples })
    }

    /// Adds what a rule gave.
    pub(super) fn add(&mut self, given: Given) {
        self.series.extend(given.series);
        self.names.insert(given.name);
        self.samples += given.samples;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// The samples with a marker at the evaluation after each that is the last one of a stretch.
fn with_markers(samples: &Samples, interval: i64, last: i64) -> Samples {
    let mut out = Samples::new();
    let mut histograms = samples.histograms.iter().peekable();
    for (at, (time, value)) in samples.timestamps.iter().zip(&samples.values).enumerate() {
        match histograms.next_if(|(number, _)| *number == at) {
            Some((_, histogram)) => out.push_histogram(*time, Arc::clone(histogram)),
            None => out.push(*time, *value),
        }
        let next = time.saturating_add(interval);
        if next <= last && samples.timestamps.get(at + 1).is_none_or(|time| *time > next) {
            out.push(next, stale_nan());
        }
    }
    out
}

/// What is stored, with recorded series in place of those of the same names.
pub(super) struct Overlay<'a> {
    pub(super) stored: &'a dyn Queryable,
    pub(super) recorded: Arc<Recorded>,
}

impl Queryable for Overlay<'_> {
    fn querier(&self, range: TimeRange) -> Result<Box<dyn Querier>, StorageError> {
        let stored = self.stored.querier(range)?;
        Ok(Box::new(OverlayQuerier { stored, recorded: Arc::clone(&self.recorded) }))
    }

    fn mark(&self) -> Option<Mark> {
        None
    }
}

struct OverlayQuerier {
    stored: Box<dyn Querier>,
    recorded: Arc<Recorded>,
}

impl Querier for OverlayQuerier {
    fn select(&self, request: &SelectRequest<'_>) -> Result<Box<dyn SeriesSet>, StorageError> {
        let names = &self.recorded.names;
        let of_name = request.matchers.iter().filter(|matcher| matcher.name() == METRIC_NAME);
        let may_match = |name: &str| of_name.clone().all(|matcher| matcher.matches(name));
        let stored = self.stored.select(request)?;
        if !names.iter().any(|name| may_match(name)) {
            return Ok(stored);
        }
        let mut series: Vec<(Labels, Origin)> = Vec::new();
        for index in 0..stored.len() {
            let labels = stored.labels(index);
            if !labels.get(METRIC_NAME).is_some_and(|name| names.contains(name)) {
                series.push((labels, Origin::Stored(index)));
            }
        }
        let matches = |labels: &Labels| request.matchers.iter().all(|one| one.matches_labels(labels));
        let recorded = self.recorded.series.keys().filter(|labels| matches(labels));
        series.extend(recorded.map(|labels| (labels.clone(), Origin::Recorded)));
        series.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Box::new(OverlaySet { stored, recorded: Arc::clone(&self.recorded), series }))
    }

    fn label_names(&self, of: &[Vec<Matcher>], bounds: Bounds<'_>) -> Result<Vec<String>, StorageError> {
        self.stored.label_names(of, bounds)
    }

    fn label_values(
        &self,
        name: &str,
        of: &[Vec<Matcher>],
        bounds: Bounds<'_>,
    ) -> Result<Vec<String>, StorageError> {
        self.stored.label_values(name, of, bounds)
    }
}

enum Origin {
    /// Number of the stored series.
    Stored(usize),
    Recorded,
}

struct OverlaySet {
    stored: Box<dyn SeriesSet>,
    recorded: Arc<Recorded>,
    series: Vec<(Labels, Origin)>,
}

impl SeriesSet for OverlaySet {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn memory_bytes(&self) -> usize {
        self.stored.memory_bytes() + self.series.len() * size_of::<(Labels, Origin)>()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series[index].0.clone()
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut Samples) -> Result<(), StorageError> {
        let (labels, origin) = &self.series[index];
        match origin {
            Origin::Stored(index) => self.stored.read(*index, range, out),
            Origin::Recorded => {
                out.clear();
                if let Some(samples) = self.recorded.series.get(labels) {
                    out.extend_from(samples, range);
                }
                Ok(())
            }
        }
    }
}
