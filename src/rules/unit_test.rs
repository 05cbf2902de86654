//! Unit tests of rules: series that are written down, the rules of a server over them, and what is expected.
//!
//! As promtool has it: at each evaluation time all groups are evaluated in order, whatever interval they have; series
//! are there up to that time. Alerts are looked at after the evaluation at or before the time of a test, queries after
//! the last evaluation.
//!
//! **Cost**: one evaluation of each rule per evaluation time, up to the largest time of a test, at most
//! [`MAX_EVALUATIONS`] times; at most [`MAX_POINTS`] points of series in memory.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use super::alert::{Alert, AlertState};
use super::backend::Backend as _;
use super::batches::ALERT_NAME;
use super::evaluate::{External, Listener, Scene, evaluate_each};
use super::load::{self, GroupSpec};
use super::memory::MemoryBackend;
use super::state::Group;
use crate::config::{self, AlertTest, ExpectedSample, QueryTest, UnitTest, UnitTestFile, UnknownKeys};
use crate::model::{Labels, format_duration};
use crate::promql::script::{
    LoadBlock, SeriesLine, SeriesPoint, histogram_text, number_text, parse_labels, parse_series,
};
use crate::promql::{Engine, EngineOptions, Features, VectorSample};
use crate::storage::fixed::{FixedStorage, Refused};
use crate::util::StopToken;
use crate::util::lock::lock;

/// Most evaluation times of a test: those of a year at four a minute, several times over.
pub const MAX_EVALUATIONS: i64 = 10_000_000;
/// Most points of the series of a test.
pub const MAX_POINTS: usize = 20_000_000;

/// How tests are run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Parts of the query language that are on.
    pub features: Features,
    /// What becomes of keys of rule files that nobody knows.
    pub unknown_keys: UnknownKeys,
}

/// A file of tests with its rules.
#[derive(Debug)]
pub struct Suite<'a> {
    file: &'a UnitTestFile,
    options: &'a Options,
    /// In the order of their evaluation.
    groups: Vec<GroupSpec>,
    /// Patterns of rule files that no file matches.
    pub unmatched: Vec<&'a str>,
}

/// What is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Line in the file of tests, from 1.
    pub line: usize,
    /// What it is about, as `query "up" at 5m`.
    pub subject: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It cannot be done.
    Error(String),
    /// Something else came out. All that was expected or came, in order.
    Differs(Vec<(Side, String)>),
}

/// On which side something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Expected, and it came.
    Both,
    /// Expected only.
    Expected,
    /// Not expected.
    Got,
}

/// A test that has ended.
pub struct Outcome {
    /// What is not as expected.
    pub failures: Vec<Failure>,
    /// All series, those of rules too.
    series: MemoryBackend,
    /// How far time went since the start, in milliseconds.
    start_ms: i64,
    end: Duration,
}

impl<'a> Suite<'a> {
    /// Reads the rule files that `file` names.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn new(file: &'a UnitTestFile, options: &'a Options) -> Result<Self, config::Error> {
        let (mut paths, mut unmatched) = (Vec::<PathBuf>::new(), Vec::new());
        for pattern in &file.rule_files {
            let found = config::matching_files(pattern);
            if found.is_empty() {
                unmatched.push(pattern.as_str());
            }
            paths.extend(found);
        }
        let mut groups =
            load::load_files(&paths, options.unknown_keys, file.evaluation_interval, &options.features)?;
        // Those that are not named have the place of the first one.
        let places: HashMap<&str, usize> =
            file.group_eval_order.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
        groups.sort_by_key(|group| places.get(group.name.as_str()).copied().unwrap_or(0));
        Ok(Self { file, options, groups, unmatched })
    }

    /// Runs one test.
    pub fn run(&self, test: &UnitTest) -> Outcome {
        let engine = Engine::new(EngineOptions {
            default_step_ms: ms(self.file.evaluation_interval),
            features: self.options.features.clone(),
            ..EngineOptions::default()
        });
        let backend = MemoryBackend::new(engine, FixedStorage::new());
        let times = test.alerts.iter().map(|alert| alert.eval_time);
        let end = times.chain(test.queries.iter().map(|query| query.eval_time)).max().unwrap_or_default();
        let mut run = Run { suite: self, test, backend, failures: Vec::new() };
        if let Err(failure) = run.play(end) {
            run.failures.push(failure);
        }
        Outcome { failures: run.failures, series: run.backend, start_ms: test.start_ms, end }
    }
}

impl Outcome {
    /// All series with their samples, one a line, as text; for looking into a test.
    ///
    /// # Errors
    /// When the query for them fails.
    pub fn dump(&self) -> Result<Vec<String>, String> {
        // Whole seconds, since queries may know no others; and ranges leave out their first moment.
        let end = self.end.as_secs().saturating_add(1);
        let range = Duration::from_secs(end.saturating_add(1));
        let query = format!("{{__name__=~\".+\"}}[{}]", format_duration(range));
        let time = self.start_ms.saturating_add(ms(Duration::from_secs(end)));
        self.series.history(&query, time)
    }
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn since_start(ms: i64) -> String {
    format_duration(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

/// Nobody is told of alerts.
struct Nobody;

impl Listener for Nobody {
    fn changed(&self, _: usize, _: &[Alert], _: &[Labels], _: bool) {}

    fn send(&self, _: &str, _: Vec<Alert>) {}
}

struct Run<'a> {
    suite: &'a Suite<'a>,
    test: &'a UnitTest,
    backend: MemoryBackend,
    failures: Vec<Failure>,
}

impl Run<'_> {
    /// Evaluates from the start to `end` after it, and compares. What ends the test early is an error.
    fn play(&mut self, end: Duration) -> Result<(), Failure> {
        let test = self.test;
        let fail = |subject: &str, reason: String| Failure {
            line: test.line,
            subject: subject.to_owned(),
            reason: Reason::Error(reason),
        };
        let mut feed = Feed::new(test)?;
        let groups: Vec<Group> =
            self.suite.groups.iter().map(|spec| Group::new(spec.clone(), false)).collect();
        let mut alerts: Vec<&AlertTest> = test.alerts.iter().collect();
        alerts.sort_by_key(|alert| alert.eval_time);
        let mut alerts = alerts.into_iter().peekable();
        let (end, interval) = (ms(end), ms(self.suite.file.evaluation_interval));
        if end / interval >= MAX_EVALUATIONS {
            let (end, interval) = (since_start(end), since_start(interval));
            let reason =
                format!("{end} at intervals of {interval} are more than {MAX_EVALUATIONS} evaluations");
            return Err(fail("evaluation", reason));
        }
        let external = external(test);
        let mut since = 0;
        while since <= end {
            let at = test.start_ms.saturating_add(since);
            self.backend.change(|storage| feed.until(at, storage))?;
            let failed = self.evaluate(&groups, at, &external);
            if !failed.is_empty() {
                let failed = failed.into_iter().map(|(group, rule, error)| {
                    fail(&format!("rule {rule:?} of group {group:?} at {}", since_start(since)), error)
                });
                self.failures.extend(failed);
                return Ok(());
            }
            let next = since.saturating_add(interval);
            while let Some(alert) = alerts.next_if(|alert| ms(alert.eval_time) < next) {
                self.failures.extend(check_alerts(alert, &groups));
            }
            since = next;
        }
        for query in &test.queries {
            self.failures.extend(self.check_query(query));
        }
        Ok(())
    }

    /// Evaluates all groups; returns group, rule and reason where that failed.
    fn evaluate(&self, groups: &[Group], at: i64, external: &External) -> Vec<(String, String, String)> {
        let mut failed = Vec::new();
        let stop = StopToken::new();
        for group in groups {
            let scene = Scene {
                backend: &self.backend,
                listener: &Nobody,
                external,
                at,
                offset: ms(group.spec.query_offset.unwrap_or_default()),
                limit: group.spec.limit,
                resend_delay: i64::MAX,
                now_ms: at,
                stop: &stop,
            };
            let numbers = group.batches.concat();
            let results = evaluate_each(&group.rules, &numbers, &scene);
            for (number, result) in numbers.iter().zip(results) {
                if let (Err(error), Some(state)) = (result, group.rules.get(*number)) {
                    failed.push((group.spec.name.clone(), state.rule.name.clone(), error));
                }
            }
        }
        failed
    }

    fn check_query(&self, query: &QueryTest) -> Option<Failure> {
        let subject = format!("query {:?} at {}", query.expr, format_duration(query.eval_time));
        let fail = |reason: Reason| Some(Failure { line: query.line, subject: subject.clone(), reason });
        let at = self.test.start_ms.saturating_add(ms(query.eval_time));
        let got = match self.backend.query_text(&query.expr, at, &StopToken::new()) {
            Ok(got) => got.into_iter().map(Sample::from).collect(),
            Err(error) => return fail(Reason::Error(error)),
        };
        let expected = match query.expected.iter().map(Sample::read).collect() {
            Ok(expected) => expected,
            Err(error) => return fail(Reason::Error(error)),
        };
        let fuzzy = self.suite.file.fuzzy_compare;
        let order = |a: &Sample, b: &Sample| a.labels.cmp(&b.labels);
        fail(differences(expected, got, order, |a, b| a.is(b, fuzzy), Sample::text)?)
    }
}

/// The series of a test on their way into the storage.
struct Feed {
    series: Vec<Fed>,
    interval: i64,
    start_ms: i64,
}

struct Fed {
    line: usize,
    series: SeriesLine,
    /// Points that are in the storage already.
    done: usize,
}

impl Feed {
    fn new(test: &UnitTest) -> Result<Self, Failure> {
        let failed = |line: usize, series: &str, error: String| Failure {
            line,
            subject: format!("input series {series:?}"),
            reason: Reason::Error(error),
        };
        let mut block = LoadBlock::default();
        // A line about starts belongs to the series behind it.
        let (mut lines, mut points) = (Vec::new(), 0);
        for input in &test.series {
            let line = format!("{} {}", input.series.trim(), input.values.trim());
            let fail = |error: String| failed(input.line, &input.series, error);
            if let Some(read) = block.push(&line).map_err(fail)? {
                points += read;
                lines.push(input.line);
            }
            if points > MAX_POINTS {
                return Err(fail(format!("more than {MAX_POINTS} points")));
            }
        }
        let series = block.finish().map_err(|error| failed(test.line, "", error))?;
        // Of equal series the last one counts.
        let by_labels: BTreeMap<Labels, Fed> = lines
            .into_iter()
            .zip(series)
            .map(|(line, series)| (series.labels.clone(), Fed { line, series, done: 0 }))
            .collect();
        let series = by_labels.into_values().collect();
        Ok(Self { series, interval: ms(test.interval), start_ms: test.start_ms })
    }

    /// Stores what is there up to the time `at`.
    fn until(&mut self, at: i64, storage: &mut FixedStorage) -> Result<(), Failure> {
        for Fed { line, series, done } in &mut self.series {
            let SeriesLine { labels, points, starts } = series;
            while let Some(point) = points.get(*done) {
                let since = self.interval.saturating_mul(i64::try_from(*done).unwrap_or(i64::MAX));
                let time = self.start_ms.saturating_add(since);
                if time > at {
                    break;
                }
                let appended = match point {
                    SeriesPoint::Omitted => Ok(()),
                    SeriesPoint::Value(value) => storage.append(labels, time, *value, None),
                    SeriesPoint::Histogram(noted) => {
                        storage.append(labels, time, f64::NAN, Some(&noted.histogram))
                    }
                };
                appended.map_err(|refused: Refused| Failure {
                    line: *line,
                    subject: format!("input series {labels} at {}", since_start(since)),
                    reason: Reason::Error(format!("{refused}; does a rule write it too?")),
                })?;
                if let Some(start) = starts.get(*done).copied().flatten() {
                    storage.set_start(labels, time, time.saturating_add(start));
                }
                *done += 1;
            }
        }
        Ok(())
    }
}

fn external(test: &UnitTest) -> External {
    let url = test.external_url.trim_end_matches('/');
    let behind_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = behind_scheme.find('/').and_then(|at| behind_scheme.get(at..)).unwrap_or_default();
    External {
        labels: test.external_labels.clone(),
        url: test.external_url.clone(),
        path_prefix: path.to_owned(),
    }
}

/// The alerts of one name that fire now, in all groups, against those that are expected.
fn check_alerts(test: &AlertTest, groups: &[Group]) -> Option<Failure> {
    let subject = format!("alert {:?} at {}", test.alert, format_duration(test.eval_time));
    let fail = |reason: Reason| Some(Failure { line: test.line, subject: subject.clone(), reason });
    if test.alert.is_empty() {
        return fail(Reason::Error("alertname is missing".to_owned()));
    }
    let rules = groups.iter().flat_map(|group| &group.rules);
    let mut rules = rules.filter(|state| state.rule.alerting.is_some() && state.rule.name == test.alert);
    let mut got = Vec::new();
    for state in rules.by_ref() {
        let now = lock(&state.now);
        let firing = now.alerts.iter().filter(|alert| alert.state == AlertState::Firing);
        got.extend(firing.map(|alert| (alert.labels.clone(), alert.annotations.clone())));
    }
    let expected = test.expected.iter().map(|alert| {
        let name = (ALERT_NAME, test.alert.as_str());
        let labels = alert.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let labels = labels.filter(|(name, _)| *name != ALERT_NAME).chain([name]);
        (Labels::from_pairs(labels), Labels::from_pairs(&alert.annotations))
    });
    let text =
        |(labels, annotations): &(Labels, Labels)| format!("labels: {labels}\nannotations: {annotations}");
    fail(differences(expected.collect(), got, Ord::cmp, PartialEq::eq, text)?)
}

/// Both sides in order, if they are not the same.
fn differences<T>(
    mut expected: Vec<T>,
    mut got: Vec<T>,
    order: impl Fn(&T, &T) -> Ordering,
    same: impl Fn(&T, &T) -> bool,
    text: impl Fn(&T) -> String,
) -> Option<Reason> {
    expected.sort_by(&order);
    got.sort_by(&order);
    let (mut out, mut is_same) = (Vec::new(), true);
    let (mut expected, mut got) = (expected.iter().peekable(), got.iter().peekable());
    loop {
        let side = match (expected.peek(), got.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => order(a, b),
        };
        let wanted = if side.is_le() { expected.next() } else { None };
        let came = if side.is_ge() { got.next() } else { None };
        if let (Some(a), Some(b)) = (wanted, came)
            && same(a, b)
        {
            out.push((Side::Both, text(b)));
            continue;
        }
        is_same = false;
        out.extend(wanted.map(|one| (Side::Expected, text(one))));
        out.extend(came.map(|one| (Side::Got, text(one))));
    }
    (!is_same).then_some(Reason::Differs(out))
}

/// A sample of a query. Histograms are compared by their notation.
#[derive(Debug)]
struct Sample {
    labels: Labels,
    value: f64,
    histogram: Option<String>,
}

impl From<VectorSample> for Sample {
    fn from(sample: VectorSample) -> Self {
        let histogram = sample.histogram.as_deref().map(histogram_text);
        Self { labels: sample.labels, value: sample.value, histogram }
    }
}

impl Sample {
    fn read(expected: &ExpectedSample) -> Result<Self, String> {
        let labels = parse_labels(&expected.labels)
            .map_err(|error| format!("labels {:?}: {error}", expected.labels))?;
        let mut histogram = None;
        if !expected.histogram.is_empty() {
            let fail = |error: String| format!("histogram of {labels}: {error}");
            let line = parse_series(&format!("{{}} {}", expected.histogram)).map_err(fail)?;
            let [SeriesPoint::Histogram(noted)] = line.points.as_slice() else {
                return Err(fail("must be one native histogram".to_owned()));
            };
            histogram = Some(histogram_text(&noted.histogram));
        }
        Ok(Self { labels, value: expected.value, histogram })
    }

    /// Whether it is the other one. NaN is NaN; `fuzzy` numbers may differ by one in the last place.
    fn is(&self, other: &Self, fuzzy: bool) -> bool {
        let (a, b) = (self.value, other.value);
        let same_value =
            a == b || (a.is_nan() && b.is_nan()) || (fuzzy && (a.next_down() == b || a.next_up() == b));
        match (&self.histogram, &other.histogram) {
            (None, None) => same_value,
            (a, b) => a == b,
        }
    }

    fn text(&self) -> String {
        let value = self.histogram.clone().unwrap_or_else(|| number_text(self.value));
        format!("{} {value}", self.labels)
    }
}

#[cfg(test)]
#[path = "unit_test_tests.rs"]
mod tests;
