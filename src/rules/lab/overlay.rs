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
use crate::promql::MatrixSeries;
use crate::rules::rule::Rule;
use crate::storage::{Bounds, Need, Querier, Queryable, SelectRequest, SeriesSet, StorageError};

/// Most samples of recorded series that are held: some hundred megabytes.
pub(in crate::rules) const MAX_SAMPLES: usize = 5_000_000;

/// Series of recording rules.
#[derive(Debug, Default)]
pub(in crate::rules) struct Recorded {
    series: BTreeMap<Labels, Samples>,
    names: HashSet<String>,
    samples: usize,
    /// When stored series of the same names are hidden, in milliseconds; none for always, and whatever their labels.
    replaces: Option<TimeRange>,
}

/// What one recording rule gave.
pub(in crate::rules) struct Given {
    name: String,
    series: BTreeMap<Labels, Samples>,
    samples: usize,
}

/// What one recording rule gives, as it comes.
pub(in crate::rules) struct Giving<'a> {
    rule: &'a Rule,
    before: &'a Recorded,
    given: Given,
}

impl Giving<'_> {
    /// Adds a series that its query found, later than what it found before.
    pub(in crate::rules) fn add(&mut self, found: &MatrixSeries) -> Result<(), Error> {
        self.given.samples += found.samples.len();
        if self.before.samples + self.given.samples > MAX_SAMPLES {
            return Err(Error::TooManyRecorded { most: MAX_SAMPLES });
        }
        let of_rule = self.given.series.entry(self.rule.recorded(&found.labels)).or_default();
        let last = of_rule.timestamps.last();
        if last.is_some_and(|last| found.samples.timestamps.first().is_some_and(|time| time <= last)) {
            return Err(Error::SameLabels(self.rule.name.clone()));
        }
        of_rule.extend_from(&found.samples, TimeRange::ALL);
        Ok(())
    }

    /// Nothing follows; the last evaluation was at `last`, by the time of the query.
    pub(in crate::rules) fn finish(self, interval: i64, last: i64) -> Result<Given, Error> {
        let mut given = self.given;
        if given.series.keys().any(|labels| self.before.series.contains_key(labels)) {
            return Err(Error::SameLabels(given.name));
        }
        for samples in given.series.values_mut() {
            *samples = with_markers(samples, interval, last);
        }
        Ok(given)
    }
}

impl Recorded {
    /// For series that take the place of stored ones within `range` alone.
    pub(in crate::rules) fn within(range: TimeRange) -> Self {
        Self { replaces: Some(range), ..Self::default() }
    }

    /// Begins with what `rule` gives.
    pub(in crate::rules) fn begin<'a>(&'a self, rule: &'a Rule) -> Giving<'a> {
        let given = Given { name: rule.name.clone(), series: BTreeMap::new(), samples: 0 };
        Giving { rule, before: self, given }
    }

    /// Evaluates a recording rule over `steps`; earlier ones are seen through `lab`.
    pub(in crate::rules) fn evaluate(
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
        let mut giving = self.begin(rule);
        place.each(&rule.expr, steps, offset, |piece| {
            lab.turn.check()?;
            piece.series.iter().try_for_each(|found| giving.add(found))
        })?;
        giving.finish(steps.interval, steps.time(steps.count - 1).saturating_sub(offset))
    }

    /// Adds what a rule gave.
    pub(in crate::rules) fn add(&mut self, given: Given) {
        self.series.extend(given.series);
        self.names.insert(given.name);
        self.samples += given.samples;
    }

    pub(in crate::rules) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The series, in label order.
    pub(in crate::rules) fn series(&self) -> &BTreeMap<Labels, Samples> {
        &self.series
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
pub(in crate::rules) struct Overlay<'a> {
    pub(in crate::rules) stored: &'a dyn Queryable,
    pub(in crate::rules) recorded: Arc<Recorded>,
}

impl Queryable for Overlay<'_> {
    fn querier(&self, range: TimeRange) -> Result<Box<dyn Querier>, StorageError> {
        let stored = self.stored.querier(range)?;
        Ok(Box::new(OverlayQuerier { stored, recorded: Arc::clone(&self.recorded) }))
    }
}

struct OverlayQuerier {
    stored: Box<dyn Querier>,
    recorded: Arc<Recorded>,
}

impl Querier for OverlayQuerier {
    fn select(&self, request: &SelectRequest<'_>) -> Result<Box<dyn SeriesSet>, StorageError> {
        let Recorded { series: recorded, names, replaces, .. } = &*self.recorded;
        let of_name = request.matchers.iter().filter(|matcher| matcher.name() == METRIC_NAME);
        let may_match = |name: &str| of_name.clone().all(|matcher| matcher.matches(name));
        if !names.iter().any(|name| may_match(name)) {
            return self.stored.select(request);
        }
        // The newest stored sample may be one that is hidden, with an older one that counts behind it.
        let stored = self.stored.select(&SelectRequest { need: Need::Samples, ..*request })?;
        let mut series: BTreeMap<Labels, Origin> = BTreeMap::new();
        for index in 0..stored.len() {
            let labels = stored.labels(index);
            let has_name = labels.get(METRIC_NAME).is_some_and(|name| names.contains(name));
            if !has_name || replaces.is_some() {
                series.insert(labels, Origin { stored: Some(index), is_recorded: false });
            }
        }
        let matches = |labels: &Labels| request.matchers.iter().all(|one| one.matches_labels(labels));
        for labels in recorded.keys().filter(|labels| matches(labels)) {
            let origin = series.entry(labels.clone()).or_insert(Origin { stored: None, is_recorded: true });
            origin.is_recorded = true;
        }
        let series = series.into_iter().collect();
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

/// Where the samples of a series are.
struct Origin {
    /// Number of the stored series.
    stored: Option<usize>,
    is_recorded: bool,
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
        out.clear();
        let recorded = self.recorded.series.get(labels).filter(|_| origin.is_recorded);
        let Some(recorded) = recorded else {
            return origin.stored.map_or(Ok(()), |stored| self.stored.read(stored, range, out));
        };
        let replaced = self.recorded.replaces.unwrap_or(TimeRange::ALL);
        let Some(stored) = origin.stored else {
            out.extend_from(recorded, range);
            return Ok(());
        };
        let mut old = Samples::new();
        self.stored.read(stored, range, &mut old)?;
        out.extend_from(&old, TimeRange::new(range.start, range.end.min(replaced.start.saturating_sub(1))));
        let inside = TimeRange::new(range.start.max(replaced.start), range.end.min(replaced.end));
        out.extend_from(recorded, inside);
        out.extend_from(&old, TimeRange::new(range.start.max(replaced.end.saturating_add(1)), range.end));
        Ok(())
    }
}
