//! What recording rules would have written, in memory, over what is stored.
//!
//! Stored series of the same names are hidden: the rules in question are new or changed.
//!
//! **Bounds**: [`MAX_SAMPLES`] samples of all rules together.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::error::Error;
use super::given::{Given, Giving, MAX_SAMPLES, append, in_order};
use super::pieces::{Place, Steps, is_rule_query};
use super::play::Lab;
use crate::model::{Labels, METRIC_NAME, Matcher, Samples, TimeRange};
use crate::promql;
use crate::rules::rule::Rule;
use crate::storage::{Bounds, Need, Querier, Queryable, SelectRequest, SeriesSet, StorageError};

/// How often the steps of a rule are halved where its query fails: enough for each minute of a day.
const MAX_SPLITS: usize = 2_000;

/// Series of recording rules.
#[derive(Debug, Default)]
pub(in crate::rules) struct Recorded {
    series: BTreeMap<Labels, Samples>,
    names: HashSet<String>,
    samples: usize,
    /// When stored series of the same names are hidden, in milliseconds; none for always, and whatever their labels.
    replaces: Option<TimeRange>,
}

impl Recorded {
    /// For series that take the place of stored ones within `range` alone.
    pub(in crate::rules) fn within(range: TimeRange) -> Self {
        Self { replaces: Some(range), ..Self::default() }
    }

    /// Begins with what `rule` of a group with this `limit` gives; 0 is no limit.
    pub(in crate::rules) fn begin<'a>(&self, rule: &'a Rule, limit: usize) -> Giving<'a> {
        Giving::new(rule, limit, MAX_SAMPLES.saturating_sub(self.samples))
    }

    /// Evaluates a recording rule over `steps`; earlier ones are seen through `lab`. Where its query fails, steps are
    /// halved, at most [`MAX_SPLITS`] times, so that no more than the evaluations concerned fail.
    pub(in crate::rules) fn evaluate(
        &self,
        lab: &Lab<'_>,
        rule: &Rule,
        steps: Steps,
        (offset, limit): (i64, usize),
    ) -> Result<Given, Error> {
        if !is_rule_query(&rule.expr) {
            return Err(Error::NotAVector);
        }
        let place = Place { engine: lab.engine, source: lab.source, turn: lab.turn };
        let mut giving = self.begin(rule, limit);
        let (mut splits, mut ranges) = (0, vec![(0, steps.count)]);
        while let Some((from, to)) = ranges.pop() {
            let part = Steps { first: steps.time(from), count: to - from, ..steps };
            let mut done = from;
            let result = place.each(&rule.expr, part, offset, |piece| {
                lab.turn.check()?;
                done = from + piece.to;
                piece.series.iter().try_for_each(|found| giving.add(found))
            });
            match result {
                Ok(()) => {}
                Err(Error::Query(error)) if depends_on_time(&error) => {
                    if to - done > 1 && splits < MAX_SPLITS {
                        splits += 1;
                        let middle = done + (to - done) / 2;
                        ranges.extend([(middle, to), (done, middle)]);
                    } else {
                        let times = (done..to).map(|step| steps.time(step).saturating_sub(offset));
                        giving.fail(times, &error.to_string());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(giving.finish(steps, offset))
    }

    /// Adds what a rule gave. Of two rules that write one series at the same time, the first is kept, as in the server.
    pub(in crate::rules) fn add(&mut self, given: Given) {
        for (labels, samples) in given.series {
            match self.series.entry(labels) {
                Entry::Vacant(new) => drop(new.insert(samples)),
                Entry::Occupied(mut known) => {
                    let mut all = std::mem::take(known.get_mut());
                    append(&mut all, &samples);
                    *known.get_mut() = in_order(&all, true);
                }
            }
        }
        self.names.insert(given.name);
        self.samples += given.samples;
    }

    /// Nothing that is stored under this name is seen.
    pub(in crate::rules) fn hide(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }

    pub(in crate::rules) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The series, in label order.
    pub(in crate::rules) fn series(&self) -> &BTreeMap<Labels, Samples> {
        &self.series
    }
}

/// Whether a query that fails so may succeed at other times.
fn depends_on_time(error: &promql::Error) -> bool {
    use promql::Error as E;
    matches!(
        error,
        E::DuplicateLabels
            | E::Execution(_)
            | E::TooManySamples
            | E::TooMuchMemory { .. }
            | E::TooMuchMemoryInAll { .. }
    )
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
