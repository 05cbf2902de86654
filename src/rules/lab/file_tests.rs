//! Files of rules: comparing two, and unit tests made for one.

use std::time::Duration;

use super::super::load::{GroupSpec, compile};
use super::super::unit_test::{Options, Suite};
use super::compare::{Comparison, Settings, compare};
use super::play::{Lab, Plan};
use super::unit_test::unit_test;
use crate::config::{load_unit_tests, parse_rule_file};
use crate::lanes::Turn;
use crate::model::Labels;
use crate::promql::{Engine, EngineOptions, Features};
use crate::rules::evaluate::External;
use crate::storage::fixed::FixedStorage;

const SECOND: i64 = 1_000;
const END: i64 = 2_000 * SECOND;

fn groups(text: &str) -> Vec<GroupSpec> {
    let file = parse_rule_file(text, "f").expect("a rule file");
    let mut errors = Vec::new();
    let groups = compile(&file, Duration::from_secs(10), &Features::default(), &mut errors);
    assert!(errors.is_empty(), "{errors:?}");
    groups
}

/// Two hosts whose load goes up and down, the one higher than the other.
fn storage() -> FixedStorage {
    let mut storage = FixedStorage::new();
    for (host, most) in [("a", 9.0), ("b", 6.0)] {
        let labels = Labels::from_pairs([("__name__", "load"), ("host", host), ("job", "node")]);
        for at in 0..200i64 {
            let value = if (at / 30) % 2 == 0 { 1.0 } else { most };
            storage.add(&labels, at * 10 * SECOND, value);
        }
    }
    storage
}

fn plan() -> Plan {
    Plan {
        start: 200 * SECOND,
        end: END,
        interval: 10 * SECOND,
        offset: 0,
        limit: 0,
        alerts: 1_000,
        series: 0,
        points: 0,
    }
}

fn compared(storage: &FixedStorage, current: &str, proposed: &str) -> Comparison {
    let (engine, external, turn) =
        (Engine::new(EngineOptions::default()), External::default(), Turn::default());
    let lab = Lab { engine: &engine, source: storage, external: &external, turn: &turn };
    let (current, proposed) = (groups(current), groups(proposed));
    let settings = Settings { plan: plan(), offset: 0, current: &current, proposed: &proposed, file: None };
    compare(&lab, &settings).expect("a comparison")
}

/// What is told of each rule: name, and firings in both, of now alone, proposed alone.
fn told(comparison: &Comparison) -> Vec<(String, bool, [u64; 3])> {
    let one = |rule: &super::compare::Compared| {
        (rule.alert.clone(), rule.is_same, [rule.both, rule.only_current, rule.only_proposed])
    };
    comparison.rules.iter().map(one).collect()
}

fn row(alert: &str, is_same: bool, counts: [u64; 3]) -> (String, bool, [u64; 3]) {
    (alert.to_owned(), is_same, counts)
}

#[test]
fn firings_of_both_sides_are_matched() {
    let group = |rules: &str| format!("groups:\n- name: g\n  rules:\n{rules}");
    let now = group(
        "  - {alert: Same, expr: load > 8}\n  - {alert: Wider, expr: load > 8, labels: {severity: page}}\n  \
         - {alert: Gone, expr: load > 5}\n",
    );
    let then = group(
        "  - {alert: Same, expr: load > 8}\n  - {alert: Wider, expr: load > 5, labels: {severity: ticket}}\n  \
         - {alert: New, expr: load > 5, for: 1h}\n",
    );
    let comparison = compared(&storage(), &now, &then);
    // Each host goes up three times; labels that rules set are no difference.
    assert_eq!(
        told(&comparison),
        [
            row("Same", true, [3, 0, 0]),
            row("Wider", false, [3, 0, 3]),
            row("New", false, [0, 0, 0]),
            row("Gone", false, [0, 6, 0]),
        ]
    );
    assert!(comparison.rules[2].current.is_none() && comparison.rules[3].proposed.is_none());
}

#[test]
fn groups_that_are_not_proposed_are_left_alone() {
    let now = "groups:\n- {name: g, rules: [{alert: A, expr: load > 8}]}\n- {name: h, rules: [{alert: B, expr: load > 8}]}\n";
    let then = "groups: [{name: g, rules: [{alert: A, expr: load > 8}]}]";
    assert_eq!(told(&compared(&storage(), now, then)), [row("A", true, [3, 0, 0])]);
}

#[test]
fn new_recording_rules_are_evaluated_first() {
    let mut storage = storage();
    // What is stored of the changed rule is not what the proposal would write.
    let stored = Labels::from_pairs([("__name__", "job:load:max"), ("job", "node")]);
    (0..200i64).for_each(|at| storage.add(&stored, at * 10 * SECOND, 0.0));
    let now = "groups:\n- name: g\n  rules:\n  - {record: 'job:load:max', expr: max by (job) (load) * 0}\n  \
               - {alert: A, expr: 'job:load:max > 8'}\n";
    let then = "groups:\n- name: g\n  rules:\n  - {record: 'job:load:max', expr: max by (job) (load)}\n  \
                - {record: 'job:load:twice', expr: 'job:load:max * 2'}\n  - {alert: A, expr: 'job:load:max > 8'}\n  \
                - {alert: B, expr: 'avg_over_time(job:load:twice[20s]) > 17'}\n";
    let comparison = compared(&storage, now, then);
    assert_eq!(told(&comparison), [row("A", false, [0, 0, 3]), row("B", false, [0, 0, 3])]);
    assert_eq!(comparison.recorded, ["job:load:max", "job:load:twice"]);
    assert!(comparison.missing.is_empty());
}

#[test]
fn recorded_series_end_where_the_rule_gives_nothing() {
    // With a lookback of five minutes the alert would go on without the markers.
    let then =
        "groups:\n- name: g\n  rules:\n  - {record: 'high', expr: load > 8}\n  - {alert: A, expr: high}\n";
    let comparison = compared(&storage(), "groups: []", then);
    let history = comparison.rules[0].proposed.as_ref().expect("it is new").summary.as_ref().expect("played");
    assert_eq!((history.totals.firings, history.totals.longest_ms), (3, 300 * SECOND));
}

fn group_in(file: &str, text: &str) -> Vec<GroupSpec> {
    groups(text).into_iter().map(|group| GroupSpec { file: file.to_owned(), ..group }).collect()
}

fn compared_groups(
    storage: &FixedStorage,
    current: &[GroupSpec],
    proposed: &[GroupSpec],
    file: Option<&str>,
) -> Comparison {
    let (engine, external, turn) =
        (Engine::new(EngineOptions::default()), External::default(), Turn::default());
    let lab = Lab { engine: &engine, source: storage, external: &external, turn: &turn };
    compare(&lab, &Settings { plan: plan(), offset: 0, current, proposed, file }).expect("a comparison")
}

#[test]
fn a_group_is_compared_with_the_most_equal_one_of_its_name() {
    let current: Vec<GroupSpec> = [
        group_in(
            "one",
            "groups: [{name: g, rules: [{alert: A, expr: load > 5}, {alert: B, expr: load > 8}]}]",
        ),
        group_in(
            "two",
            "groups: [{name: g, rules: [{alert: C, expr: load > 8}, {alert: D, expr: load > 8}]}]",
        ),
    ]
    .concat();
    let proposed = groups("groups: [{name: g, rules: [{alert: C, expr: load > 8}]}]");
    let comparison = compared_groups(&storage(), &current, &proposed, None);
    assert_eq!(told(&comparison), [row("C", true, [3, 0, 0]), row("D", false, [0, 3, 0])]);
    assert!(comparison.warnings[0].contains("\"one\""), "{:?}", comparison.warnings);
    let comparison = compared_groups(&storage(), &current, &proposed, Some("one"));
    assert_eq!(
        told(&comparison),
        [row("C", false, [0, 0, 3]), row("A", false, [0, 6, 0]), row("B", false, [0, 3, 0])]
    );
}

#[test]
fn recording_rules_that_are_removed_or_run_at_another_interval_are_changes() {
    let mut storage = storage();
    let stored = Labels::from_pairs([("__name__", "r")]);
    (0..200i64)
        .for_each(|at| storage.add(&stored, at * 10 * SECOND, if (at / 30) % 2 == 0 { 1.0 } else { 9.0 }));
    let with = |rules: &str| format!("groups: [{{name: g, rules: [{rules}{{alert: A, expr: r > 8}}]}}]");
    let now = with("{record: r, expr: max(load)}, ");
    let same = compared(&storage, &now, &now);
    assert_eq!(told(&same), [row("A", true, [3, 0, 0])]);
    let comparison = compared(&storage, &now, &with(""));
    assert_eq!(told(&comparison), [row("A", false, [0, 3, 0])]);
    assert!(comparison.warnings[0].contains("nothing records \"r\""), "{:?}", comparison.warnings);
    let slower = now.replace("name: g,", "name: g, interval: 20s,");
    let comparison = compared(&storage, &now, &slower);
    assert_eq!((told(&comparison)[0].1, comparison.recorded), (false, vec!["r".to_owned()]));
}

#[test]
fn rules_of_other_groups_that_write_the_same_series_go_on() {
    let now = "groups:\n- {name: g, rules: [{record: r, expr: 'max(load) * 0', labels: {of: g}}]}\n\
               - {name: h, rules: [{record: r, expr: max(load), labels: {of: h}}]}\n";
    let then = "groups: [{name: g, rules: [{record: r, expr: 'max(load) * 2', labels: {of: g}}, \
                {alert: A, expr: 'r > 8'}]}]";
    let comparison = compared(&storage(), now, then);
    // Both series: that of the proposal and that of the group that stays.
    assert_eq!(told(&comparison), [row("A", false, [0, 0, 6])]);
}

#[test]
fn rules_between_a_changed_rule_and_an_alert_are_evaluated_too() {
    let rules = |factor: u32| {
        format!(
            "groups: [{{name: g, rules: [{{record: a, expr: 'max(load) * {factor}'}}, {{record: b, expr: a}}, \
             {{alert: A, expr: 'b > 17'}}]}}]"
        )
    };
    let comparison = compared(&storage(), &rules(1), &rules(2));
    assert_eq!(told(&comparison), [row("A", false, [0, 0, 3])]);
    assert_eq!(comparison.recorded, ["a", "b"]);
}

#[test]
fn what_cannot_be_recorded_is_named() {
    let then = "groups:\n- name: g\n  rules:\n  - {record: 'all', expr: load, labels: {host: ''}}\n  \
                - {alert: A, expr: all > 1}\n";
    let comparison = compared(&storage(), "groups: []", then);
    let (name, why) = &comparison.missing[0];
    assert!(name == "all" && why.contains("same labelset"), "{name}: {why}");
}

#[test]
fn unit_tests_made_from_samples_pass() {
    let rules = [
        "{alert: A, expr: load > 8, for: 1m, labels: {severity: page}}",
        "{alert: A, expr: 'sum by (job) (load) > 10', annotations: {summary: 'it is {{ $value }} of {{ $labels.job }}'}}",
        "{alert: A, expr: 'avg_over_time(load[1m]) > 8', for: 30s}",
        "{alert: A, expr: 'absent(other)', for: 30s, labels: {host: 'with \"quotes\" and \\ more'}}",
        "{alert: A, expr: 'load > 5 and on () vector(time()) > 100', for: 30s}",
        "{alert: A, expr: 'vector(1)'}",
    ];
    let storage = storage();
    let dir = tempfile::tempdir().expect("a folder");
    let external = External {
        labels: Labels::from_pairs([("dc", "x")]),
        url: "http://example.com/p".to_owned(),
        path_prefix: "/p".to_owned(),
    };
    for rule in rules {
        let file = format!("groups:\n- name: g\n  rules:\n  - {rule}\n");
        let (engine, turn) = (Engine::new(EngineOptions::default()), Turn::default());
        let lab = Lab { engine: &engine, source: &storage, external: &external, turn: &turn };
        let spec = &groups(&file)[0];
        let test = unit_test(&lab, spec, &plan(), "lab.rules.yml").expect("a test");
        std::fs::write(dir.path().join("lab.rules.yml"), &file).expect("written");
        let path = dir.path().join("lab.test.yml");
        std::fs::write(&path, &test).expect("written");
        let tests = load_unit_tests(&path).unwrap_or_else(|error| panic!("{error}\n{test}"));
        assert!(test.contains("exp_labels"), "something fires: {test}");
        let options = Options::default();
        let suite = Suite::new(&tests, &options).expect("rules");
        for one in &tests.tests {
            let failures = suite.run(one).failures;
            assert!(failures.is_empty(), "{failures:?}\n{test}");
        }
    }
}

#[test]
fn a_unit_test_of_a_group_with_an_offset_passes() {
    let storage = storage();
    let (engine, external, turn) =
        (Engine::new(EngineOptions::default()), External::default(), Turn::default());
    let lab = Lab { engine: &engine, source: &storage, external: &external, turn: &turn };
    let file = "groups: [{name: g, query_offset: 40s, rules: [{alert: A, expr: load > 8, for: 30s}]}]";
    let plan = Plan { offset: 40 * SECOND, ..plan() };
    let test = unit_test(&lab, &groups(file)[0], &plan, "lab.rules.yml").expect("a test");
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("lab.rules.yml"), file).expect("written");
    let path = dir.path().join("lab.test.yml");
    std::fs::write(&path, &test).expect("written");
    let tests = load_unit_tests(&path).expect("valid");
    let options = Options::default();
    let failures = Suite::new(&tests, &options).expect("rules").run(&tests.tests[0]).failures;
    assert!(failures.is_empty() && test.contains("exp_labels"), "{failures:?}\n{test}");
}

#[test]
fn annotations_that_expand_to_nothing_are_expected() {
    let storage = storage();
    let (engine, external, turn) =
        (Engine::new(EngineOptions::default()), External::default(), Turn::default());
    let lab = Lab { engine: &engine, source: &storage, external: &external, turn: &turn };
    let file = "groups: [{name: g, rules: [{alert: A, expr: load > 8, annotations: {empty: '{{ $labels.none }}'}}]}]";
    let test = unit_test(&lab, &groups(file)[0], &plan(), "r").expect("a test");
    assert!(test.contains("exp_annotations:\n              \"empty\": \"\"\n"), "{test}");
}

#[test]
fn labels_that_the_rule_sets_do_not_leave_series_out() {
    let storage = storage();
    let (engine, external, turn) =
        (Engine::new(EngineOptions::default()), External::default(), Turn::default());
    let lab = Lab { engine: &engine, source: &storage, external: &external, turn: &turn };
    let file = "groups: [{name: g, rules: [{alert: A, expr: load > 8, labels: {job: other}}]}]";
    let test = unit_test(&lab, &groups(file)[0], &plan(), "r").expect("a test");
    assert!(test.contains("job=\\\"node\\\""), "{test}");
}

#[test]
fn there_is_no_unit_test_that_would_not_hold() {
    let mut storage = storage();
    // Nothing of the alert says which of many series it comes from, and the first ones alone do not make it fire.
    for number in 0..60 {
        let labels = Labels::from_pairs([("__name__", "many"), ("n", format!("{number:02}").as_str())]);
        (0..200i64).for_each(|at| storage.add(&labels, at * 10 * SECOND, 1.0));
    }
    let (engine, external, turn) =
        (Engine::new(EngineOptions::default()), External::default(), Turn::default());
    let lab = Lab { engine: &engine, source: &storage, external: &external, turn: &turn };
    let file = "groups: [{name: g, rules: [{alert: A, expr: sum(many) > 50}]}]";
    let error = unit_test(&lab, &groups(file)[0], &plan(), "r").expect_err("no test").to_string();
    assert!(error.contains("no unit test that holds"), "{error}");
}

#[test]
fn there_is_no_unit_test_of_what_never_fires() {
    let storage = storage();
    let (engine, external, turn) =
        (Engine::new(EngineOptions::default()), External::default(), Turn::default());
    let lab = Lab { engine: &engine, source: &storage, external: &external, turn: &turn };
    let refused = |rule: &str| {
        let file = format!("groups:\n- name: g\n  rules:\n  - {rule}\n");
        unit_test(&lab, &groups(&file)[0], &plan(), "r").expect_err("no test").to_string()
    };
    assert!(refused("{alert: A, expr: load > 10}").contains("nothing to test"));
    assert!(refused("{alert: A, expr: load @ 400 > 0.5 and load > 5}").contains('@'));
}
