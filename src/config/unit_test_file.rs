//! Files of unit tests of rules, in the form of promtool. Series notation and queries are read by those who run them.

use std::collections::{BTreeMap, HashSet};
use std::path::Path as FilePath;
use std::time::Duration;

use super::Error;
use super::document;
use super::keys;
use super::loader::Loader;
use super::section::{Notes, Section, UnknownKeys};
use crate::model::Labels;

/// What is evaluated how often when a file does not say.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// A file of unit tests.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UnitTestFile {
    /// What the file is called.
    pub name: String,
    /// Patterns of the names of rule files, those that are relative made to begin at the folder of this file.
    pub rule_files: Vec<String>,
    /// How often the groups are evaluated, whatever they say themselves.
    pub evaluation_interval: Duration,
    /// Names of groups in the order of their evaluation, each once.
    pub group_eval_order: Vec<String>,
    /// Whether numbers may differ by the last bit.
    pub fuzzy_compare: bool,
    /// The tests.
    pub tests: Vec<UnitTest>,
}

/// Series, and what is expected of rules and queries over them.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitTest {
    /// Line, from 1.
    pub line: usize,
    /// As it is written; may be empty.
    pub name: String,
    /// Distance of the points of series, not zero.
    pub interval: Duration,
    /// Where time begins, in milliseconds since the epoch.
    pub start_ms: i64,
    /// The series.
    pub series: Vec<InputSeries>,
    /// What is expected of alerts.
    pub alerts: Vec<AlertTest>,
    /// What is expected of queries.
    pub queries: Vec<QueryTest>,
    /// External labels, for the texts of alerts.
    pub external_labels: Labels,
    /// Where the server is said to be reached, for the texts of alerts.
    pub external_url: String,
}

/// A series in series notation.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSeries {
    /// Line, from 1.
    pub line: usize,
    /// Name and labels.
    pub series: String,
    /// The points.
    pub values: String,
}

/// The alerts of one name that fire at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertTest {
    /// Line, from 1.
    pub line: usize,
    /// Time since the start.
    pub eval_time: Duration,
    /// Name of the alert.
    pub alert: String,
    /// The alerts.
    pub expected: Vec<ExpectedAlert>,
}

/// An alert.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedAlert {
    /// Labels, without the name of the alert.
    pub labels: BTreeMap<String, String>,
    /// Texts.
    pub annotations: BTreeMap<String, String>,
}

/// What a query gives at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryTest {
    /// Line, from 1.
    pub line: usize,
    /// The query.
    pub expr: String,
    /// Time since the start.
    pub eval_time: Duration,
    /// The samples, in any order.
    pub expected: Vec<ExpectedSample>,
}

/// A sample.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedSample {
    /// Name and labels in series notation; empty for none.
    pub labels: String,
    /// The value, unless there is a histogram.
    pub value: f64,
    /// A native histogram in series notation, if it is not empty.
    pub histogram: String,
}

/// Reads the unit tests at `path`.
///
/// # Errors
/// When the file cannot be read, or anything in it is refused; all that is wrong is told.
pub fn load_unit_tests(path: &FilePath) -> Result<UnitTestFile, Error> {
    let text =
        std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    parse_unit_tests(&text, &path.display().to_string())
}

/// Reads the text of a file of unit tests; `name` is what messages call it.
///
/// # Errors
/// When anything in it is refused; all that is wrong is told.
pub fn parse_unit_tests(text: &str, name: &str) -> Result<UnitTestFile, Error> {
    document::read(text, name, UnknownKeys::Refused, |notes, top| {
        let mut file = UnitTestFile::default();
        read(notes, &Section::open(notes, top, &keys::UNIT_TEST_FILE), &mut file);
        file
    })
    .map(|file| UnitTestFile { name: name.to_owned(), ..file })
}

fn non_zero(interval: Option<Duration>, default: Duration) -> Duration {
    interval.filter(|interval| !interval.is_zero()).unwrap_or(default)
}

fn read<'a>(notes: &Notes<'a>, raw: &Section<'a>, file: &mut UnitTestFile) {
    let loader = Loader { notes };
    let patterns = raw.texts("rule_files").unwrap_or_default();
    file.rule_files = patterns.into_iter().map(|(pattern, item)| loader.pattern(pattern, &item)).collect();
    file.evaluation_interval = non_zero(raw.duration("evaluation_interval"), DEFAULT_INTERVAL);
    file.fuzzy_compare = raw.boolean("fuzzy_compare", false);
    let mut known = HashSet::new();
    for (group, item) in raw.texts("group_eval_order").unwrap_or_default() {
        if !known.insert(group.clone()) {
            notes.value(item.line, &item.path, format!("group name repeated in evaluation order: {group:?}"));
        }
        file.group_eval_order.push(group);
    }
    let test = |raw: &Section<'a>| test(&loader, raw, file.evaluation_interval);
    file.tests = raw.sections("tests").iter().map(test).collect();
}

fn test<'a>(loader: &Loader<'a>, raw: &Section<'a>, evaluation_interval: Duration) -> UnitTest {
    let text = |raw: &Section<'a>, key: &str| raw.text(key).unwrap_or_default();
    let series = |raw: &Section<'a>| InputSeries {
        line: raw.line,
        series: text(raw, "series"),
        values: text(raw, "values"),
    };
    let alert = |raw: &Section<'a>| ExpectedAlert {
        labels: raw.map_of_text("exp_labels"),
        annotations: raw.map_of_text("exp_annotations"),
    };
    let alerts = |raw: &Section<'a>| AlertTest {
        line: raw.line,
        eval_time: raw.duration("eval_time").unwrap_or_default(),
        alert: text(raw, "alertname"),
        expected: raw.sections("exp_alerts").iter().map(alert).collect(),
    };
    let sample = |raw: &Section<'a>| ExpectedSample {
        labels: text(raw, "labels"),
        value: raw.number("value"),
        histogram: text(raw, "histogram"),
    };
    let query = |raw: &Section<'a>| QueryTest {
        line: raw.line,
        expr: text(raw, "expr"),
        eval_time: raw.duration("eval_time").unwrap_or_default(),
        expected: raw.sections("exp_samples").iter().map(sample).collect(),
    };
    UnitTest {
        line: raw.line,
        name: text(raw, "name"),
        interval: non_zero(raw.duration("interval"), evaluation_interval),
        start_ms: start(loader.notes, raw),
        series: raw.sections("input_series").iter().map(series).collect(),
        alerts: raw.sections("alert_rule_test").iter().map(alerts).collect(),
        queries: raw.sections("promql_expr_test").iter().map(query).collect(),
        external_labels: loader.labels(raw, "external_labels"),
        external_url: text(raw, "external_url"),
    }
}

/// Seconds since the epoch, or a date.
fn start<'a>(notes: &Notes<'a>, raw: &Section<'a>) -> i64 {
    let Some(item) = raw.get("start_timestamp") else { return 0 };
    let Some(text) = raw.text_of(&item).filter(|text| !text.is_empty()) else { return 0 };
    let seconds = text.parse::<f64>().ok().and_then(|seconds| {
        // To the millisecond, as dates are cut.
        jiff::SignedDuration::try_from_secs_f64(seconds)
            .ok()
            .and_then(|since| jiff::Timestamp::from_duration(since).ok())
    });
    if let Some(time) = seconds.map_or_else(|| text.parse::<jiff::Timestamp>().ok(), Some) {
        return time.as_millisecond();
    }
    let reason = format!("neither seconds since the epoch nor a time as 2026-01-31T12:00:00Z: {text:?}");
    notes.value(item.line, &item.path, reason);
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_with_defaults() {
        let text = "rule_files: [a.yml, /b/*.yml]\nevaluation_interval: 30s\ntests:\n- {}\n- name: n\n  interval: 1s\n  \
                    start_timestamp: 1609459200.5\n  input_series:\n  - {series: up, values: 1}\n  alert_rule_test:\n  \
                    - eval_time: 0\n    alertname: A\n    exp_alerts:\n    - {}\n    - exp_labels: {severity: 1}\n  \
                    promql_expr_test:\n  - expr: up\n    eval_time: 1m30s\n    exp_samples:\n    - value: -0x10\n    \
                    - {labels: 'up{}', value: -.inf}\n- start_timestamp: 2021-01-01T01:00:00+01:00\n";
        let file = parse_unit_tests(text, "dir/t.yml").expect("a good file");
        assert_eq!(file.rule_files, ["dir/a.yml", "/b/*.yml"]);
        let [first, second, third] = file.tests.as_slice() else { panic!("{:?}", file.tests) };
        assert_eq!((first.interval.as_secs(), first.start_ms, first.line), (30, 0, 4));
        assert_eq!((second.interval.as_secs(), second.start_ms), (1, 1_609_459_200_500));
        assert_eq!(third.start_ms, 1_609_459_200_000);
        assert_eq!(second.series, [InputSeries { line: 9, series: "up".to_owned(), values: "1".to_owned() }]);
        assert_eq!(second.alerts[0].expected[1].labels["severity"], "1");
        let query = &second.queries[0];
        assert_eq!((query.line, query.eval_time.as_secs()), (17, 90));
        let values: Vec<f64> = query.expected.iter().map(|sample| sample.value).collect();
        assert_eq!(values, [-16.0, f64::NEG_INFINITY]);
        let empty = parse_unit_tests("", "t.yml").expect("an empty file");
        assert_eq!(empty.tests, []);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let text = "group_eval_order: [a, b, a]\nevaluation_intervall: 1m\nrule_files: ['[']\ntests:\n- interval: 1x\n  \
                    start_timestamp: soon\n  input: []\n  promql_expr_test:\n  - exp_samples:\n    - value: high\n";
        let error = parse_unit_tests(text, "t.yml").expect_err("much is wrong");
        let told: Vec<String> = error.each().iter().map(ToString::to_string).collect();
        let begins = [
            "t.yml:1: group_eval_order[2]: group name repeated in evaluation order: \"a\"",
            "t.yml:2: configuration: unknown key \"evaluation_intervall\"; did you mean \"evaluation_interval\"?",
            "t.yml:3: rule_files[0]: not a pattern of file names",
            "t.yml:5: tests[0].interval: ",
            "t.yml:6: tests[0].start_timestamp: neither seconds",
            "t.yml:7: tests[0]: unknown key \"input\"",
            "t.yml:10: tests[0].promql_expr_test[0].exp_samples[0].value: must be a number, not \"high\"",
        ];
        assert_eq!(told.len(), begins.len(), "{told:#?}");
        for (told, begin) in told.iter().zip(begins) {
            assert!(told.starts_with(begin), "{told}");
        }
    }
}
