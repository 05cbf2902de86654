//! The lab against the rules themselves, evaluated step by step over the same series.

use std::collections::BTreeMap;
use std::time::Duration;

use super::history::Span;
use super::play::{History, Lab, Plan, play};
use super::scene::Nobody;
use crate::config::parse_rule_file;
use crate::lanes::Turn;
use crate::model::{Histogram, Labels};
use crate::promql::{Engine, EngineOptions, Features};
use crate::rules::alert::AlertState;
use crate::rules::evaluate::{External, Scene, evaluate_each};
use crate::rules::load::{GroupSpec, compile};
use crate::rules::memory::MemoryBackend;
use crate::rules::state::Group;
use crate::storage::fixed::FixedStorage;
use crate::util::StopToken;
use crate::util::lock::lock;

const SECOND: i64 = 1_000;

/// Numbers that look random, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn number(&mut self, bound: u64) -> f64 {
        f64::from(u32::try_from(self.below(bound)).unwrap_or(0))
    }
}

/// Series that come, go, and hover around 5, over an hour of samples 15 s apart.
fn storage(seed: u64) -> FixedStorage {
    let mut random = Random(seed);
    let mut storage = FixedStorage::new();
    for number in 0..6u64 {
        let name = if number % 3 == 0 { "y" } else { "x" };
        let (host, env) = (format!("h{}", number / 2), if number % 2 == 0 { "prod" } else { "test" });
        let labels = [("__name__", name), ("host", host.as_str()), ("env", env), ("n", "1")];
        let labels = Labels::from_pairs(labels);
        let (mut value, mut is_there) = (random.number(10), true);
        for at in 0..240 {
            if random.below(12) == 0 {
                is_there = !is_there;
            }
            if random.below(4) == 0 {
                value = random.number(10);
            }
            let time = at * 15 * SECOND;
            match random.below(40) {
                0 => storage.add(&labels, time, f64::NAN),
                1 => storage.add(&labels, time, crate::model::stale_nan()),
                2 if number == 1 => {
                    storage.add_histogram(&labels, time, std::sync::Arc::new(Histogram::default()));
                }
                _ if is_there => storage.add(&labels, time, value),
                _ => {}
            }
        }
    }
    storage
}

fn engine() -> Engine {
    Engine::new(EngineOptions {
        lookback_ms: 60 * SECOND,
        features: Features::all(),
        ..EngineOptions::default()
    })
}

fn group(rule: &str, limit: usize) -> GroupSpec {
    let text = format!("groups:\n- name: g\n  limit: {limit}\n  rules:\n  - {rule}\n");
    let file = parse_rule_file(&text, "f").expect("a rule file");
    let mut errors = Vec::new();
    let groups = compile(&file, Duration::from_secs(15), &Features::all(), &mut errors);
    assert!(errors.is_empty(), "{errors:?}");
    groups.into_iter().next().expect("a group")
}

fn plan(start: i64, end: i64, interval: i64) -> Plan {
    Plan { start, end, interval, offset: 0, limit: 0, alerts: 1_000, series: 20, points: 50 }
}

fn played(storage: &FixedStorage, spec: &GroupSpec, plan: &Plan) -> History {
    let (engine, external, turn) = (engine(), External::default(), Turn::default());
    let lab = Lab { engine: &engine, source: storage, external: &external, turn: &turn };
    play(&lab, &spec.rules[0], plan).expect("a rule that can be played")
}

type States = BTreeMap<(i64, String), AlertState>;

/// The states of all alerts after each evaluation from `plan.start`, those before the range played too.
fn step_by_step(storage: &FixedStorage, spec: &GroupSpec, first: i64, plan: &Plan) -> (States, u64) {
    let backend = MemoryBackend::new(engine(), storage.clone());
    let group = Group::new(spec.clone(), false);
    let (mut states, mut failed, mut at) = (BTreeMap::new(), 0, first);
    while at <= plan.end {
        let scene = Scene {
            backend: &backend,
            listener: &Nobody::default(),
            external: &External::default(),
            at,
            offset: plan.offset,
            limit: plan.limit,
            resend_delay: i64::MAX,
            now_ms: at,
            stop: &StopToken::new(),
        };
        let results = evaluate_each(&group.rules, &[0], &scene);
        failed += results.iter().filter(|result| result.is_err()).count() as u64;
        if at >= plan.start {
            for alert in lock(&group.rules[0].now).alerts.active() {
                states.insert((at, alert.labels.to_string()), alert.state);
            }
        }
        at += plan.interval;
    }
    (states, failed)
}

fn states_of(history: &History, plan: &Plan) -> States {
    let mut states = BTreeMap::new();
    let mut at = plan.start;
    while at <= plan.end {
        for alert in &history.alerts {
            let holds = |span: &&Span| span.from <= at && span.to.is_none_or(|to| to > at);
            if let Some(span) = alert.spans.iter().find(holds) {
                states.insert((at, alert.labels.to_string()), span.state);
            }
        }
        at += plan.interval;
    }
    states
}

#[test]
fn the_lab_finds_what_evaluating_step_by_step_finds() {
    let rules = [
        "{alert: A, expr: x > 5}",
        "{alert: A, expr: x > 5, for: 1m}",
        "{alert: A, expr: 'x <= 3', for: 45s, keep_firing_for: 2m}",
        "{alert: A, expr: 'x != 4', keep_firing_for: 1m}",
        "{alert: A, expr: '(6 < x)', for: 30s, labels: {severity: page}}",
        "{alert: A, expr: 'sum by (host) (x) > 8', for: 30s}",
        "{alert: A, expr: 'x > y', for: 1m}",
        "{alert: A, expr: 'x > on (host) group_left y', for: 1m}",
        "{alert: A, expr: 'absent(x{host=\"h1\"})', for: 30s}",
        "{alert: A, expr: 'x', for: 1m}",
        "{alert: A, expr: 'vector(time() % 100) > 50', for: 15s}",
        "{alert: A, expr: 'x > 5 and y < 5', for: 30s}",
        "{alert: A, expr: 'max_over_time(x[2m:30s]) > 7', for: 1m}",
        // At each step the query begins and ends.
        "{alert: A, expr: 'x @ end() > 5', for: 30s}",
        // Several series are the same alert.
        "{alert: A, expr: '{__name__=~\"x|y\"} > 6', labels: {host: h, env: e}, for: 30s}",
        "{alert: A, expr: 'x > 4', labels: {env: ''}, for: 30s}",
        // Labels that depend on the value.
        "{alert: A, expr: 'x > 4', for: 30s, labels: {severity: '{{ if gt $value 7.0 }}page{{ else }}info{{ end }}'}}",
        "{alert: A, expr: 'x > 5', labels: {of: '{{ $labels.host }}'}, annotations: {s: '{{ $value }}'}, for: 30s}",
    ];
    let (mut fired, mut failures) = (0, 0);
    for seed in 0..12 {
        let storage = storage(seed);
        for rule in rules {
            for (limit, offset) in [(0, 0), (0, 20 * SECOND), (2, 0)] {
                let spec = group(rule, limit);
                let plan = Plan { offset, limit, ..plan(20 * 60 * SECOND, 50 * 60 * SECOND, 15 * SECOND) };
                let history = played(&storage, &spec, &plan);
                let (expected, failed) = step_by_step(&storage, &spec, history.first, &plan);
                let context = format!("seed {seed}, limit {limit}, offset {offset}, {rule}");
                assert_eq!(states_of(&history, &plan), expected, "{context}");
                assert_eq!(history.failed, failed, "{context}");
                fired += history.totals.firings;
                failures += failed;
            }
        }
    }
    assert!(fired > 1_000 && failures > 100, "{fired} firings and {failures} failures test little");
}

#[test]
fn long_ranges_in_pieces_give_what_one_query_gives() {
    let mut storage = FixedStorage::new();
    let labels = Labels::from_pairs([("__name__", "x")]);
    for at in 0..6_000i64 {
        let value = if (at / 700) % 2 == 0 { 1.0 } else { 9.0 };
        storage.add(&labels, at * SECOND, value);
    }
    let spec = group("{alert: A, expr: x > 5, for: 100s}", 0);
    let plan = plan(200 * SECOND, 5_999 * SECOND, SECOND);
    let history = played(&storage, &spec, &plan);
    let firing: Vec<(i64, Option<i64>)> = history.alerts[0]
        .spans
        .iter()
        .filter(|span| span.state == AlertState::Firing)
        .map(|span| (span.from / SECOND, span.to.map(|to| to / SECOND)))
        .collect();
    assert_eq!(
        firing,
        [(800, Some(1_400)), (2_200, Some(2_800)), (3_600, Some(4_200)), (5_000, Some(5_600))]
    );
    assert_eq!(history.totals.firing_ms, 4 * 600 * SECOND);
    assert_eq!((history.totals.longest_ms, history.totals.pendings), (600 * SECOND, 4));
    let points = &history.graph[0].points;
    assert_eq!(points.len(), 50);
    assert!(points.iter().all(|(_, value)| *value == 1.0 || *value == 9.0));
}

#[test]
fn an_alert_from_before_the_range_has_its_beginning_where_that_is_known() {
    let mut storage = FixedStorage::new();
    for (name, from) in [("old", 0), ("new", 380)] {
        let labels = Labels::from_pairs([("__name__", "x"), ("host", name)]);
        (from..1_000).for_each(|at| storage.add(&labels, at * SECOND, 9.0));
    }
    let spec = group("{alert: A, expr: x > 5, for: 120s}", 0);
    let plan = plan(400 * SECOND, 900 * SECOND, 10 * SECOND);
    let history = played(&storage, &spec, &plan);
    let begin = |name: &str| {
        let alert = history.alerts.iter().find(|alert| alert.labels.get("host") == Some(name));
        let span = alert.and_then(|alert| alert.spans.first()).expect("it was active");
        (span.state, span.from / SECOND, span.since_before)
    };
    // It was pending at the very first evaluation, so it may have fired before the range.
    assert_eq!(begin("old"), (AlertState::Firing, 400, true));
    assert_eq!(begin("new"), (AlertState::Pending, 380, false));
    assert_eq!(history.first, 280 * SECOND);
    assert_eq!(history.totals.firings, 2);
}

#[test]
fn texts_that_fail_are_counted() {
    let mut storage = FixedStorage::new();
    let labels = Labels::from_pairs([("__name__", "x")]);
    (0..10).for_each(|at| storage.add(&labels, at * 10 * SECOND, 9.0));
    let spec = group("{alert: A, expr: x > 5, annotations: {s: '{{ query \"x +\" }}', t: good}}", 0);
    let history = played(&storage, &spec, &plan(0, 90 * SECOND, 10 * SECOND));
    assert_eq!(history.texts_failed, 1);
    assert!(history.text_failure.contains("parse error"), "{}", history.text_failure);
}

#[test]
fn labels_of_all_alerts_together_are_bounded() {
    let mut storage = FixedStorage::new();
    for number in 0..80 {
        let labels = Labels::from_pairs([("__name__", "x"), ("n", number.to_string().as_str())]);
        storage.add(&labels, 0, 9.0);
    }
    let (engine, external, turn) = (engine(), External::default(), Turn::default());
    let lab = Lab { engine: &engine, source: &storage, external: &external, turn: &turn };
    // A mebibyte of label, the same with and without values in it.
    for text in ["{{ printf \"%1000000d\" 1 }}", "{{ printf \"%1000000.0f\" $value }}"] {
        let spec = group(&format!("{{alert: A, expr: x > 5, labels: {{long: '{text}'}}}}"), 0);
        let result = play(&lab, &spec.rules[0], &plan(0, 10 * SECOND, 10 * SECOND));
        match result {
            Err(error) => assert!(error.to_string().contains("exceed 64 MiB"), "{error}"),
            // Evaluations with so many alerts at once fail as in the server.
            Ok(history) => assert!(history.failed > 0 && history.alert_count == 0, "{text}"),
        }
    }
}

#[test]
fn peaks_are_on_the_side_of_the_threshold() {
    let mut storage = FixedStorage::new();
    let labels = Labels::from_pairs([("__name__", "x")]);
    for (at, value) in [5.0, 2.0, 1.0, 3.0, 5.0, 5.0].into_iter().enumerate() {
        storage.add(&labels, i64::try_from(at).expect("few") * 10 * SECOND, value);
    }
    let spec = group("{alert: A, expr: x < 4}", 0);
    let history = played(&storage, &spec, &plan(0, 50 * SECOND, 10 * SECOND));
    assert_eq!(history.alerts[0].spans.iter().map(|span| span.peak).collect::<Vec<_>>(), [1.0]);
    let threshold = history.threshold.expect("there is one");
    assert_eq!((threshold.left.to_string().as_str(), threshold.value), ("x", 4.0));
    assert_eq!(
        history.graph[0].points.iter().map(|(_, value)| *value).collect::<Vec<_>>(),
        [5.0, 2.0, 1.0, 3.0, 5.0, 5.0]
    );
}

#[test]
fn what_cannot_be_played_is_refused() {
    let storage = FixedStorage::new();
    let (engine, external, turn) = (engine(), External::default(), Turn::default());
    let lab = Lab { engine: &engine, source: &storage, external: &external, turn: &turn };
    let refused = |rule: &str, plan: &Plan| {
        play(&lab, &group(rule, 0).rules[0], plan).expect_err("cannot be played").to_string()
    };
    let good = plan(0, 100, 10);
    assert!(refused("{record: a, expr: x}", &good).contains("recording rule"));
    assert!(refused("{alert: A, expr: x}", &plan(10, 0, 10)).contains("before the start"));
    assert!(refused("{alert: A, expr: x}", &plan(0, 10, 0)).contains("interval"));
    assert!(refused("{alert: A, expr: x}", &plan(0, i64::MAX, 1)).contains("evaluations"));
    assert!(refused("{alert: A, expr: x, for: 200y}", &good).contains("evaluations"));
    turn.stop.stop();
    assert!(play(&lab, &group("{alert: A, expr: x}", 0).rules[0], &good).is_err());
}
