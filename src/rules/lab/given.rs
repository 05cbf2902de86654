//! What one recording rule gives over a stretch of time.
//!
//! As in the server, an evaluation fails that has a series twice, or more series than the group may have: it gives
//! nothing, and ends nothing. A series that a rule no longer gives is marked stale at the next evaluation that does not
//! fail.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::error::Error;
use super::pieces::Steps;
use crate::model::{Labels, Samples, TimeRange, is_stale, stale_nan};
use crate::promql::MatrixSeries;
use crate::rules::rule::Rule;

/// Most samples of recorded series that are held: some hundred megabytes.
pub(in crate::rules) const MAX_SAMPLES: usize = 5_000_000;

/// What one recording rule gave.
#[derive(Debug)]
pub(in crate::rules) struct Given {
    pub(super) name: String,
    pub(super) series: BTreeMap<Labels, Samples>,
    pub(super) samples: usize,
    /// Evaluations that failed, as times of the query in milliseconds.
    pub(in crate::rules) failed: BTreeSet<i64>,
    /// Why the last of these did.
    pub(in crate::rules) reason: String,
}

impl Given {
    pub(super) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

/// What one recording rule gives, as it comes.
pub(in crate::rules) struct Giving<'a> {
    rule: &'a Rule,
    /// Most series of an evaluation; 0 is no limit.
    limit: usize,
    /// Samples that there may be.
    room: usize,
    given: Given,
}

impl<'a> Giving<'a> {
    pub(super) fn new(rule: &'a Rule, limit: usize, room: usize) -> Self {
        let given = Given {
            name: rule.name.clone(),
            series: BTreeMap::new(),
            samples: 0,
            failed: BTreeSet::new(),
            reason: String::new(),
        };
        Self { rule, limit, room, given }
    }

    /// Adds a series that its query found.
    ///
    /// # Errors
    /// When there are more samples than are held.
    pub(in crate::rules) fn add(&mut self, found: &MatrixSeries) -> Result<(), Error> {
        self.given.samples += found.samples.len();
        if self.given.samples > self.room {
            return Err(Error::TooManyRecorded { most: MAX_SAMPLES });
        }
        let of_rule = self.given.series.entry(self.rule.recorded(&found.labels)).or_default();
        append(of_rule, &found.samples);
        Ok(())
    }

    /// The evaluations at these times failed.
    pub(super) fn fail(&mut self, times: impl IntoIterator<Item = i64>, reason: &str) {
        let before = self.given.failed.len();
        self.given.failed.extend(times);
        if self.given.failed.len() > before {
            reason.clone_into(&mut self.given.reason);
        }
    }

    /// Nothing follows.
    pub(in crate::rules) fn finish(mut self, steps: Steps, offset: i64) -> Given {
        let mut series = std::mem::take(&mut self.given.series);
        let mut twice = BTreeSet::new();
        for samples in series.values_mut().filter(|samples| !samples.timestamps.is_sorted_by(|a, b| a < b)) {
            *samples = in_order(samples, false);
            let times = samples.timestamps.windows(2).filter(|two| two[0] == two[1]);
            twice.extend(times.map(|two| two[0]));
        }
        self.fail(twice, "vector contains metrics with the same labelset after applying rule labels");
        if self.limit > 0 {
            let mut counts: HashMap<i64, usize> = HashMap::new();
            for time in series.values().flat_map(|samples| &samples.timestamps) {
                *counts.entry(*time).or_default() += 1;
            }
            let most = counts.values().max().copied().unwrap_or(0);
            let beyond = counts.into_iter().filter(|(_, count)| *count > self.limit).map(|(time, _)| time);
            let reason = format!("exceeded limit of {} with {most} series", self.limit);
            self.fail(beyond.collect::<Vec<_>>(), &reason);
        }
        let mut given = self.given;
        let last = steps.time(steps.count - 1).saturating_sub(offset);
        for samples in series.values_mut() {
            *samples = with_markers(samples, steps.interval, last, &given.failed);
        }
        series.retain(|_, samples| !samples.is_empty());
        given.series = series;
        given
    }
}

/// Adds samples at the end, whatever their time.
pub(super) fn append(all: &mut Samples, more: &Samples) {
    all.extend_from(more, TimeRange::ALL);
}

/// Adds sample `at` of `from` at the end.
fn copy(out: &mut Samples, from: &Samples, at: usize) {
    match from.histograms.binary_search_by_key(&at, |(number, _)| *number) {
        Ok(number) => out.push_histogram(from.timestamps[at], Arc::clone(&from.histograms[number].1)),
        Err(_) => out.push(from.timestamps[at], from.values[at]),
    }
}

/// The samples by time, those of the same time in the order in which they are here; `once`, the first of these alone,
/// or the first that is no marker.
pub(super) fn in_order(samples: &Samples, once: bool) -> Samples {
    let is_marker = |at: usize| {
        is_stale(samples.values[at]) && samples.histograms.binary_search_by_key(&at, |one| one.0).is_err()
    };
    let mut order: Vec<usize> = (0..samples.len()).collect();
    order.sort_by_key(|at| (samples.timestamps[*at], is_marker(*at)));
    if once {
        order.dedup_by_key(|at| samples.timestamps[*at]);
    }
    let mut out = Samples::new();
    order.into_iter().for_each(|at| copy(&mut out, samples, at));
    out
}

/// The samples of evaluations that did not fail, with a marker at the next such evaluation after each that is the last
/// one of a stretch.
fn with_markers(samples: &Samples, interval: i64, last: i64, failed: &BTreeSet<i64>) -> Samples {
    let mut out = Samples::new();
    let kept: Vec<usize> =
        (0..samples.len()).filter(|at| !failed.contains(&samples.timestamps[*at])).collect();
    for (number, at) in kept.iter().enumerate() {
        copy(&mut out, samples, *at);
        let mut next = samples.timestamps[*at].saturating_add(interval);
        while next <= last && failed.contains(&next) {
            next = next.saturating_add(interval);
        }
        let following = kept.get(number + 1).map(|at| samples.timestamps[*at]);
        if next <= last && following.is_none_or(|time| time > next) {
            out.push(next, stale_nan());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_rule_file;
    use crate::promql::Features;
    use crate::rules::load::compile;

    const STEPS: Steps = Steps { first: 10, interval: 10, count: 6 };

    fn rule() -> Rule {
        let text = "groups: [{name: g, rules: [{record: r, expr: x, labels: {host: ''}}]}]";
        let file = parse_rule_file(text, "f").expect("a rule file");
        let every = std::time::Duration::from_secs(1);
        let groups = compile(&file, every, &Features::default(), &mut Vec::new());
        groups[0].rules[0].clone()
    }

    fn found(labels: [(&str, &str); 1], times: &[i64]) -> MatrixSeries {
        let mut samples = Samples::new();
        times.iter().for_each(|time| samples.push(*time, 1.0));
        MatrixSeries { labels: Labels::from_pairs(labels), samples }
    }

    /// Times by series, those of markers below zero.
    fn told(given: &Given) -> Vec<(String, Vec<i64>)> {
        let times = |samples: &Samples| {
            let all = samples.timestamps.iter().zip(&samples.values);
            all.map(|(time, value)| if is_stale(*value) { -time } else { *time }).collect()
        };
        given.series.iter().map(|(labels, samples)| (labels.to_string(), times(samples))).collect()
    }

    #[test]
    fn series_that_become_one_follow_each_other_and_fail_only_where_they_meet() {
        let rule = rule();
        let mut giving = Giving::new(&rule, 0, 100);
        // The second host takes over from the first; at 30 there are both.
        for (host, times) in [("a", [10, 20, 30].as_slice()), ("b", &[30, 40]), ("c", &[10])] {
            let mut found = found([("host", host)], times);
            if host == "c" {
                found.labels = Labels::from_pairs([("job", "j"), ("host", "c")]);
            }
            giving.add(&found).expect("few");
        }
        let given = giving.finish(STEPS, 0);
        assert_eq!(given.failed.iter().copied().collect::<Vec<_>>(), [30]);
        assert!(given.reason.contains("same labelset"));
        let expected = [("r", vec![10, 20, 40, -50]), ("r{job=\"j\"}", vec![10, -20])];
        assert_eq!(told(&given), expected.map(|(name, times)| (name.to_owned(), times)));
    }

    #[test]
    fn an_evaluation_with_more_series_than_the_limit_gives_nothing() {
        let rule = rule();
        let mut giving = Giving::new(&rule, 1, 100);
        for (job, times) in [("a", [10, 20, 30].as_slice()), ("b", &[20])] {
            giving.add(&found([("job", job)], times)).expect("few");
        }
        let given = giving.finish(STEPS, 0);
        assert_eq!(given.reason, "exceeded limit of 1 with 2 series");
        assert_eq!(told(&given), [("r{job=\"a\"}".to_owned(), vec![10, 30, -40])]);
        assert_eq!(given.failed.len(), 1);
    }

    #[test]
    fn markers_wait_for_an_evaluation_that_does_not_fail() {
        let rule = rule();
        let mut giving = Giving::new(&rule, 0, 100);
        giving.add(&found([("job", "a")], &[10])).expect("few");
        giving.fail([20, 30], "no");
        assert_eq!(told(&giving.finish(STEPS, 0)), [("r{job=\"a\"}".to_owned(), vec![10, -40])]);
    }

    #[test]
    fn of_two_samples_at_a_time_the_first_that_is_no_marker_is_kept() {
        let mut samples = Samples::new();
        for (time, value) in [(10, 1.0), (20, stale_nan()), (30, 3.0), (20, 4.0), (30, 5.0)] {
            samples.push(time, value);
        }
        let all = in_order(&samples, true);
        assert_eq!((all.timestamps, all.values), (vec![10, 20, 30], vec![1.0, 4.0, 3.0]));
    }
}
