//! Rules over series in memory: what they write, what they tell, and when.

use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::config::parse_rule_file;
use crate::promql::{Engine, EngineOptions, Features, QueryOptions, Value};
use crate::rules::load::compile;
use crate::rules::memory::MemoryBackend;
use crate::rules::restore::{Tolerance, from_series, from_store};
use crate::rules::state::Group;
use crate::rules::store::{Change, Store};
use crate::storage::fixed::FixedStorage;

const SECOND: i64 = 1000;

/// Number of a rule, its alerts that changed, and those that were forgotten.
type Changed = (usize, Vec<Alert>, Vec<Labels>);

/// Remembers what it was told.
#[derive(Default)]
struct Book {
    sent: Mutex<Vec<String>>,
    changes: Mutex<Vec<Changed>>,
}

impl Listener for Book {
    fn changed(&self, number: usize, changed: &[Alert], forgotten: &[Labels], durably: bool) {
        if durably {
            lock(&self.changes).push((number, changed.to_vec(), forgotten.to_vec()));
        }
    }

    fn send(&self, _: &str, alerts: Vec<Alert>) {
        lock(&self.sent)
            .extend(alerts.iter().map(|alert| format!("{} {}", alert.state.name(), alert.labels)));
    }
}

/// A group over series in memory.
struct Stage {
    group: Group,
    backend: MemoryBackend,
    book: Book,
    limit: usize,
    offset: i64,
}

fn group(rules: &str, unrestored: bool) -> Group {
    let file = parse_rule_file(&format!("groups:\n- name: g\n  rules:\n{rules}"), "f.yml").expect("valid");
    let mut errors = Vec::new();
    let groups = compile(&file, Duration::from_secs(10), &Features::default(), &mut errors);
    assert!(errors.is_empty(), "{errors:?}");
    Group::new(groups.into_iter().next().expect("a group"), unrestored)
}

impl Stage {
    /// Series as name with labels, and a value for each ten seconds; `_` is none.
    fn new(rules: &str, series: &[(&[(&str, &str)], &str)]) -> Self {
        let mut storage = FixedStorage::new();
        for (labels, values) in series {
            let labels = Labels::from_pairs(labels.iter().copied());
            for (at, value) in (0..).zip(values.split_whitespace()) {
                match value {
                    "_" => {}
                    "s" => storage.add(&labels, at * 10 * SECOND, crate::model::stale_nan()),
                    number => storage.add(&labels, at * 10 * SECOND, number.parse().expect("a number")),
                }
            }
        }
        let engine = Engine::new(EngineOptions { lookback_ms: 9 * SECOND, ..EngineOptions::default() });
        let backend = MemoryBackend::new(engine, storage);
        Self { group: group(rules, false), backend, book: Book::default(), limit: 0, offset: 0 }
    }

    /// Evaluates at a time in seconds; returns what failed.
    fn at(&self, seconds: i64) -> Vec<String> {
        let external = External {
            labels: Labels::from_pairs([("dc", "x")]),
            url: "http://e/p".to_owned(),
            path_prefix: "/p".to_owned(),
        };
        let scene = Scene {
            backend: &self.backend,
            listener: &self.book,
            external: &external,
            at: seconds * SECOND,
            offset: self.offset,
            limit: self.limit,
            resend_delay: 60 * SECOND,
            now_ms: seconds * SECOND,
            stop: &StopToken::new(),
        };
        let all: Vec<usize> = self.group.batches.concat();
        evaluate_each(&self.group.rules, &all, &scene).into_iter().filter_map(Result::err).collect()
    }

    /// The series a query finds, with values, in order.
    fn find(&self, query: &str, seconds: i64) -> Vec<String> {
        let result =
            self.backend.engine().instant(&self.backend, query, seconds * SECOND, &QueryOptions::default());
        let Value::Vector(samples) = result.expect("a good query").value else { panic!("not a vector") };
        let mut lines: Vec<String> =
            samples.iter().map(|sample| format!("{} {}", sample.labels, sample.value)).collect();
        lines.sort();
        lines
    }
}

#[test]
fn series_of_rules_follow_each_other_and_end_with_what_they_come_from() {
    let rules = "  - {record: a, expr: x, labels: {job: '', l: v}}\n  - {record: b, expr: a * 2}\n";
    let series: &[(&[(&str, &str)], &str)] = &[
        (&[("__name__", "x"), ("job", "j"), ("i", "1")], "1 2 s"),
        (&[("__name__", "x"), ("i", "2")], "5 5 5"),
    ];
    let stage = Stage::new(rules, series);
    assert_eq!(stage.at(0), [] as [&str; 0]);
    assert_eq!(
        stage.find("{__name__=~'a|b'}", 0),
        ["a{i=\"1\", l=\"v\"} 1", "a{i=\"2\", l=\"v\"} 5", "b{i=\"1\", l=\"v\"} 2", "b{i=\"2\", l=\"v\"} 10"]
    );
    stage.at(10);
    stage.at(20);
    assert_eq!(stage.find("{__name__=~'a|b'}", 20), ["a{i=\"2\", l=\"v\"} 5", "b{i=\"2\", l=\"v\"} 10"]);
}

#[test]
fn rules_that_fail_say_why_and_others_go_on() {
    let rules = "  - {record: a, expr: x, labels: {i: ''}}\n  - {record: b, expr: 1}\n  - {record: c, expr: \"'t'\"}\n  \
                 - {record: d, expr: 'x[1m]'}\n  - {alert: A, expr: x, labels: {i: ''}}\n";
    let series: &[(&[(&str, &str)], &str)] =
        &[(&[("__name__", "x"), ("i", "1")], "1"), (&[("__name__", "x"), ("i", "2")], "5")];
    let stage = Stage::new(rules, series);
    assert_eq!(
        stage.at(0),
        [
            "vector contains metrics with the same labelset after applying rule labels",
            "rule result is not a vector or scalar",
            "rule result is not a vector or scalar",
            "vector contains metrics with the same labelset after applying alert labels",
        ]
    );
    assert_eq!(stage.find("b", 0), ["b 1"]);
    assert_eq!(lock(&stage.group.rules[0].now).health, Health::Err);
    assert_eq!(lock(&stage.group.rules[1].now).health, Health::Ok);
}

#[test]
fn a_limit_fails_the_rule_and_leaves_its_series() {
    let rules = "  - {record: a, expr: x}\n  - {alert: A, expr: x}\n";
    let series: &[(&[(&str, &str)], &str)] =
        &[(&[("__name__", "x"), ("i", "1")], "1 1 1"), (&[("__name__", "x"), ("i", "2")], "_ 5 5")];
    let mut stage = Stage::new(rules, series);
    stage.limit = 1;
    assert_eq!(stage.at(0), [] as [&str; 0]);
    assert_eq!(stage.at(10), ["exceeded limit of 1 with 2 series", "exceeded limit of 1 with 2 alerts"]);
    // No marker was written.
    assert_eq!(stage.find("{__name__=~'a|ALERTS'}", 5).len(), 2);
    assert_eq!(lock(&stage.group.rules[1].now).alerts.active().len(), 0);
    let changes = lock(&stage.book.changes);
    assert_eq!(
        changes.last().map(|(number, changed, gone)| (*number, changed.len(), gone.len())),
        Some((1, 0, 1))
    );
}

#[test]
fn texts_of_all_alerts_of_a_rule_are_bounded() {
    let long = "x".repeat(1 << 17);
    let rules = format!("  - {{alert: A, expr: x, annotations: {{summary: '{long}{{{{ $value }}}}'}}}}\n");
    let names: Vec<String> = (0..512).map(|number| number.to_string()).collect();
    let labels: Vec<[(&str, &str); 2]> =
        names.iter().map(|i| [("__name__", "x"), ("i", i.as_str())]).collect();
    let series: Vec<(&[(&str, &str)], &str)> = labels.iter().map(|labels| (&labels[..], "1 1")).collect();
    let stage = Stage::new(&rules, &series[..10]);
    assert_eq!(stage.at(0), [] as [&str; 0]);
    let stage = Stage::new(&rules, &series);
    assert_eq!(stage.at(0), ["labels and annotations of the alerts exceed 64 MiB"]);
}

#[test]
fn alerts_show_as_series_and_are_told() {
    let rules = "  - alert: Down\n    expr: up == 0\n    for: 10s\n    labels: {severity: page, to: '{{ $labels.i }}', none: ''}\n    \
                 annotations: {a: '{{ $value }} at {{ .ExternalURL }} in {{ $externalLabels.dc }}', \
                 b: '{{ len .Nothing }}', c: '{{ query \"up\" | len }}'}\n";
    let series: &[(&[(&str, &str)], &str)] = &[(&[("__name__", "up"), ("i", "1")], "0 0 1 1")];
    let stage = Stage::new(rules, series);
    stage.at(0);
    let labels = "alertname=\"Down\", i=\"1\", severity=\"page\", to=\"1\"";
    let pending = "alertname=\"Down\", alertstate=\"pending\", i=\"1\", severity=\"page\", to=\"1\"";
    assert_eq!(
        stage.find("{__name__=~'ALERTS.*'}", 0),
        [format!("ALERTS_FOR_STATE{{{labels}}} 0"), format!("ALERTS{{{pending}}} 1"),]
    );
    assert!(lock(&stage.book.sent).is_empty(), "nobody is told of what is pending");
    stage.at(10);
    let firing = pending.replace("pending", "firing");
    assert_eq!(stage.find("ALERTS", 10), [format!("ALERTS{{{firing}}} 1")]);
    {
        let now = lock(&stage.group.rules[0].now);
        let annotations = &now.alerts.active()[0].annotations;
        assert_eq!(annotations.get("a"), Some("0 at http://e/p in x"));
        assert!(
            annotations.get("b").is_some_and(|b| b.starts_with("<error expanding template: ")),
            "{annotations}"
        );
        assert_eq!(annotations.get("c"), Some("1"));
    }
    stage.at(20);
    assert_eq!(stage.find("{__name__=~'ALERTS.*'}", 20), [] as [&str; 0]);
    assert_eq!(*lock(&stage.book.sent), [format!("firing {{{labels}}}"), format!("inactive {{{labels}}}")]);
}

#[test]
fn an_offset_moves_queries_and_samples() {
    let mut stage = Stage::new("  - {record: a, expr: x}\n", &[(&[("__name__", "x")], "1 2 3")]);
    stage.offset = 10 * SECOND;
    stage.at(20);
    assert_eq!(stage.find("a", 10), ["a 2"]);
    assert_eq!(stage.find("a", 20), [] as [&str; 0]);
}

#[test]
fn a_changed_group_takes_over_and_marks_what_is_gone() {
    let series: &[(&[(&str, &str)], &str)] = &[(&[("__name__", "x")], "1 1 1 1")];
    let old = "  - {record: a, expr: x}\n  - {record: b, expr: x}\n  - {alert: A, expr: x, for: 20s}\n";
    let mut stage = Stage::new(old, series);
    stage.at(0);
    let new = group("  - {alert: A, expr: x > 0, for: 20s}\n  - {record: a, expr: x + 1}\n", false);
    new.take_over(&stage.group);
    stage.group = new;
    let orphans: Vec<String> = lock(&stage.group.orphans).iter().map(ToString::to_string).collect();
    assert_eq!(orphans, ["b"]);
    stage.at(10);
    let now = lock(&stage.group.rules[0].now);
    assert_eq!(now.alerts.active()[0].active_at, 0, "the timer goes on");
    assert_eq!(now.previous.len(), 2);
}

const TOLERANCE: Tolerance = Tolerance { outage: 3600 * SECOND, grace: 600 * SECOND };

#[test]
fn stored_alerts_come_back_with_their_times() {
    let series: &[(&[(&str, &str)], &str)] = &[(&[("__name__", "x"), ("i", "1")], "1 1 1 1 1 1 1 s")];
    let rules = "  - {alert: P, expr: x, for: 40s}\n  - {alert: F, expr: x}\n";
    let mut stage = Stage::new(rules, series);
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("opens");
    store.establish().expect("written");
    let key = stage.group.key();
    for seconds in [0, 10, 20] {
        stage.at(seconds);
        for (number, changed, forgotten) in lock(&stage.book.changes).drain(..) {
            let rule = &stage.group.keys[number];
            let change =
                Change { group: &key, rule, at: seconds * SECOND, changed: &changed, forgotten: &forgotten };
            store.record(&change, true).expect("written");
        }
        store.evaluated(&key, seconds * SECOND).expect("written");
    }
    drop(store);
    let store = Store::open(folder.path()).expect("opens");
    let saved = store.group(&key).expect("it is known");
    assert_eq!(saved.at, 20 * SECOND);
    // Without a slot missed nothing moves; one missed slot does not count for what is pending.
    for (first, pending_since) in [(30, 0), (40, 10)] {
        stage.group = group(rules, false);
        from_store(&stage.group, &saved, first * SECOND, TOLERANCE);
        let states: Vec<(i64, Option<i64>)> = stage
            .group
            .rules
            .iter()
            .map(|rule| {
                let now = lock(&rule.now);
                (now.alerts.active()[0].active_at, now.alerts.active()[0].fired_at)
            })
            .collect();
        assert_eq!(states, [(pending_since * SECOND, None), (0, Some(0))], "{first}");
    }
    stage.at(40);
    assert!(stage.find("ALERTS{alertname='P'}", 40)[0].contains("pending"));
    stage.at(50);
    assert!(stage.find("ALERTS{alertname='P'}", 50)[0].contains("firing"));
    // After an outage two evaluations that find nothing end nothing: targets may not have been scraped yet.
    stage.group = group(rules, false);
    from_store(&stage.group, &saved, 70 * SECOND, TOLERANCE);
    for seconds in [70, 80] {
        stage.at(seconds);
        assert_eq!(stage.find("ALERTS{alertname='F', alertstate='firing'}", seconds).len(), 1);
        assert_eq!(stage.find("ALERTS{alertname='P', alertstate='pending'}", seconds).len(), 1);
    }
    stage.at(90);
    assert_eq!(stage.find("{__name__=~'ALERTS.*'}", 90), [] as [&str; 0]);
    // Without an outage they end at once, with their series.
    stage.group = group(rules, false);
    from_store(&stage.group, &saved, 30 * SECOND, TOLERANCE);
    stage.at(100);
    assert_eq!(lock(&stage.group.rules[1].now).alerts.state(), AlertState::Inactive);
    // After too long an outage only what fires comes back.
    stage.group = group(rules, false);
    from_store(&stage.group, &saved, 5000 * SECOND, TOLERANCE);
    assert_eq!(lock(&stage.group.rules[0].now).alerts.active().len(), 0);
    assert_eq!(lock(&stage.group.rules[1].now).alerts.active().len(), 1);
}

#[test]
fn alerts_of_another_server_come_back_from_their_series() {
    let minute = 60;
    let state = |name: &'static str| -> [(&'static str, &'static str); 3] {
        [("__name__", "ALERTS_FOR_STATE"), ("alertname", name), ("i", "1")]
    };
    // Down since 100 s; the last samples are at 10 s.
    let (fired, waits, soon) = (state("Fired"), state("Waits"), state("Soon"));
    let series: &[(&[(&str, &str)], &str)] = &[
        (&[("__name__", "x"), ("i", "1")], "_ _ _ _ _ _ _ _ _ _ 1 1 1"),
        (&fired, "_ -1200"),
        (&waits, "_ 0"),
        (&soon, "_ -1000"),
    ];
    let rules = "  - {alert: Fired, expr: x, for: 20m}\n  - {alert: Waits, expr: x, for: 20m}\n  \
                 - {alert: Soon, expr: x, for: 20m}\n  - {alert: Short, expr: x, for: 5m}\n";
    let mut stage = Stage::new(rules, series);
    stage.group = group(rules, true);
    stage.at(100);
    stage.at(110);
    assert_eq!(stage.find("ALERTS", 110), [] as [&str; 0], "not before they are restored");
    from_series(&stage.group, &stage.backend, 115 * SECOND, TOLERANCE);
    let since: Vec<i64> =
        stage.group.rules.iter().map(|rule| lock(&rule.now).alerts.active()[0].active_at / SECOND).collect();
    assert_eq!(since, [-20 * minute, 105, 115 + 10 * minute - 20 * minute, 100]);
    stage.at(120);
    let firing = stage.find("ALERTS{alertstate='firing'}", 120);
    assert_eq!(firing.len(), 1, "{firing:?}");
    assert!(firing[0].contains("Fired"));
}
