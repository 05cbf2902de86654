//! Backfill beside rules that are evaluated one time after the other.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::parse_rule_file;
use crate::lanes::Turn;
use crate::model::stale_nan;
use crate::promql::{Engine, EngineOptions, QueryOptions, Value};
use crate::rules::evaluate::External;
use crate::rules::load::compile;
use crate::storage::Queryable;
use crate::storage::{Need, SelectRequest};
use crate::telemetry::Registry;
use crate::tsdb::{CommitMode, TsdbOptions};
use crate::util::ManualClock;

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const START: i64 = 1_700_000_000 * SECOND;
const HOURS: i64 = 30;

fn groups(rules: &str) -> Vec<GroupSpec> {
    let file = parse_rule_file(rules, "f").expect("a rule file");
    let mut errors = Vec::new();
    let groups = compile(&file, Duration::from_secs(60), &crate::promql::Features::default(), &mut errors);
    assert!(errors.is_empty(), "{errors:?}");
    groups
}

/// A day and more of two series; one of them is away every other hour.
fn filled(dir: &std::path::Path) -> Tsdb {
    let clock = Arc::new(ManualClock::new(START + HOURS * HOUR));
    let options = TsdbOptions { background: false, ..TsdbOptions::new(dir) };
    let db = Tsdb::open(options, clock, &mut Registry::default()).expect("a database");
    let mut appender = db.appender(None);
    for host in ["a", "b"] {
        let series = appender.series(&Labels::from_pairs([("__name__", "load"), ("host", host)]));
        let mut at = 0;
        while at < HOURS * HOUR {
            let is_away = host == "b" && (at / HOUR) % 2 == 1;
            if !is_away {
                appender.append(series, START + at, (at / SECOND % 1_000) as f64);
            } else if at % HOUR == 0 {
                appender.append(series, START + at, stale_nan());
            }
            at += 30 * SECOND;
        }
    }
    appender.commit(CommitMode::Each).expect("committed");
    db
}

fn done(db: &Tsdb, groups: &[GroupSpec]) -> Report {
    let (engine, external, turn) =
        (Engine::new(EngineOptions::default()), External::default(), Turn::default());
    let lab = Lab { engine: &engine, source: db, external: &external, turn: &turn };
    let job = Job { groups, start: START, end: START + HOURS * HOUR };
    backfill(&job, &mut Source::Database(lab), db, |_, _| ()).expect("written")
}

/// All samples of a metric, with markers as "stale".
fn samples(db: &Tsdb, name: &str) -> Vec<(String, i64, String)> {
    let matchers = [crate::model::Matcher::equal("__name__", name)];
    let range = TimeRange::ALL;
    let querier = db.querier(range).expect("a querier");
    let request = SelectRequest { need: Need::Samples, ..SelectRequest::new(&matchers, range) };
    let set = querier.select(&request).expect("series");
    let (mut out, mut samples) = (Vec::new(), Samples::new());
    for index in 0..set.len() {
        set.read(index, range, &mut samples).expect("samples");
        for (time, value) in samples.timestamps.iter().zip(&samples.values) {
            let text = if crate::model::is_stale(*value) { "stale".to_owned() } else { value.to_string() };
            out.push((set.labels(index).to_string(), *time, text));
        }
    }
    out
}

const RULES: &str = "groups:\n- name: g\n  interval: 5m\n  rules:\n  \
    - {record: 'load:rate', expr: 'avg_over_time(load[10m])', labels: {by: rule}}\n  \
    - {record: 'load:sum', expr: 'sum(load:rate)'}\n  - {alert: A, expr: load > 1}\n\
    - name: h\n  query_offset: 90s\n  rules: [{record: 'load:day', expr: 'count_over_time(load:sum[1h])'}]\n";

#[test]
fn rules_see_what_earlier_ones_gave_and_series_that_end_are_marked() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = filled(dir.path());
    let groups = groups(RULES);
    let report = done(&db, &groups);
    assert!(report.failed.is_empty() && report.blocks >= 2, "{report:?}");
    let engine = Engine::new(EngineOptions::default());
    for (group, rule) in groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule))) {
        if rule.alerting.is_some() {
            assert_eq!(samples(&db, &rule.name), []);
            continue;
        }
        // Each sample is what the query gives at its time; each time that it gives something has a sample.
        let stored = samples(&db, &rule.name);
        let interval = i64::try_from(group.interval.as_millis()).expect("short");
        let slots = Slots::new(interval, stable_hash([group.file.as_str(), group.name.as_str()]));
        let offset = i64::try_from(group.query_offset.unwrap_or_default().as_millis()).expect("short");
        let mut expected = Vec::new();
        let mut at = slots.after(START + offset - 1);
        let mut before: Vec<Labels> = Vec::new();
        while at - offset <= START + HOURS * HOUR {
            let time = at - offset;
            let found =
                engine.instant_parsed(&db, &rule.expr, time, &QueryOptions::default()).expect("found");
            let Value::Vector(found) = found.value else { panic!("a vector") };
            let found: Vec<(Labels, f64)> =
                found.iter().map(|one| (rule.recorded(&one.labels), one.value)).collect();
            for labels in before.iter().filter(|labels| !found.iter().any(|(found, _)| found == *labels)) {
                expected.push((labels.to_string(), time, "stale".to_owned()));
            }
            expected
                .extend(found.iter().map(|(labels, value)| (labels.to_string(), time, value.to_string())));
            before = found.into_iter().map(|(labels, _)| labels).collect();
            at += interval;
        }
        expected.sort();
        let mut stored = stored;
        stored.sort();
        assert_eq!(stored, expected, "{}", rule.name);
        assert!(!stored.is_empty());
    }
    let stale = samples(&db, "load:rate").iter().filter(|(_, _, text)| text == "stale").count();
    assert!(stale > 5, "{stale} markers");
    db.close().expect("closed");
}

#[test]
fn doing_it_again_changes_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = filled(dir.path());
    let groups = groups(RULES);
    done(&db, &groups);
    let once: Vec<_> = ["load:rate", "load:sum", "load:day"].map(|name| samples(&db, name)).concat();
    done(&db, &groups);
    let twice: Vec<_> = ["load:rate", "load:sum", "load:day"].map(|name| samples(&db, name)).concat();
    assert!(once == twice && !once.is_empty(), "{} and {} samples", once.len(), twice.len());
    db.close().expect("closed");
}

#[test]
fn a_rule_that_fails_is_told_once_and_others_go_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = filled(dir.path());
    let rules = "groups: [{name: g, rules: [{record: bad, expr: load, labels: {host: ''}}, {record: good, expr: load}]}]";
    let report = done(&db, &groups(rules));
    let [Failed { group, rule, evaluations, reason, .. }] = report.failed.as_slice() else {
        panic!("{:?}", report.failed)
    };
    assert!(group == "g" && rule == "bad" && reason.contains("same labelset"), "{reason}");
    // Every other hour there is one host alone, and its markers' five minutes.
    let count = |name: &str| {
        let is_value =
            |(series, _, value): &&(String, i64, String)| !series.contains("\"b\"") && value != "stale";
        samples(&db, name).iter().filter(is_value).count() as u64
    };
    let (kept, all) = (count("bad"), count("good"));
    assert!(kept > 0 && kept + evaluations == all, "{kept} of {all}, {evaluations} failed");
    db.close().expect("closed");
}

#[test]
fn a_query_that_fails_at_times_fails_at_these_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = filled(dir.path());
    // Many to one wherever both hosts are there.
    let rules = "groups: [{name: g, rules: [{record: one, expr: 'vector(1) * on () load'}, {record: good, expr: load}]}]";
    let report = done(&db, &groups(rules));
    let [Failed { rule, evaluations, .. }] = report.failed.as_slice() else { panic!("{:?}", report.failed) };
    let values = |name: &str, part: &str| {
        let is_value =
            |(series, _, value): &&(String, i64, String)| series.contains(part) && value != "stale";
        samples(&db, name).iter().filter(is_value).count() as u64
    };
    let both = values("good", "\"b\"");
    assert!(rule == "one" && both > 0 && *evaluations == both, "{evaluations} of {both}");
    assert_eq!(values("one", ""), values("good", "\"a\"") - both);
    db.close().expect("closed");
}

#[test]
fn the_limit_of_a_group_holds() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = filled(dir.path());
    let rules =
        "groups: [{name: g, limit: 1, rules: [{record: few, expr: load}, {record: sum, expr: sum(load)}]}]";
    let report = done(&db, &groups(rules));
    let [Failed { rule, evaluations, reason, .. }] = report.failed.as_slice() else {
        panic!("{:?}", report.failed)
    };
    assert!(rule == "few" && reason == "exceeded limit of 1 with 2 series", "{reason}");
    let few = samples(&db, "few").iter().filter(|(_, _, value)| value != "stale").count() as u64;
    assert!(few > 0 && few + evaluations == samples(&db, "sum").len() as u64, "{few}, {evaluations}");
    db.close().expect("closed");
}

#[test]
fn another_server_is_asked_for_each_window() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(START));
    let options = TsdbOptions { background: false, ..TsdbOptions::new(dir.path()) };
    let db = Tsdb::open(options, clock, &mut Registry::default()).expect("a database");
    let groups =
        groups("groups: [{name: g, rules: [{record: r, expr: x, labels: {a: b}}, {record: s, expr: y}]}]");
    let mut asked = 0;
    let mut ask = |evaluation: Evaluation<'_>| {
        asked += 1;
        // Not in the second window.
        if evaluation.rule.name == "s" && asked != 4 {
            return Err(Unanswered::Failed("no".to_owned()));
        }
        let mut samples = Samples::new();
        let mut at = evaluation.start;
        while at <= evaluation.end {
            samples.push(at, 1.0);
            at += evaluation.interval;
        }
        Ok(vec![MatrixSeries { labels: Labels::from_pairs([("c", "d")]), samples }])
    };
    let job = Job { groups: &groups, start: START, end: START + 48 * HOUR };
    let report = backfill(&job, &mut Source::Elsewhere(&mut ask), &db, |_, _| ()).expect("written");
    assert_eq!((asked, report.failed.len(), report.blocks), (6, 1, 3));
    let [first, last] = report.failed[0].windows.as_slice() else { panic!("{:?}", report.failed) };
    assert_eq!((first.start, last.end), (job.start, job.end));
    assert!(first.end < last.start && last.start - first.end == 24 * HOUR + 1, "{first:?} {last:?}");
    let stored = samples(&db, "r");
    assert_eq!(stored.len(), 48 * 60);
    assert_eq!(stored[0].0, "r{a=\"b\", c=\"d\"}");
    assert!(stored.windows(2).all(|two| two[1].1 - two[0].1 == 60 * SECOND));
    db.close().expect("closed");
}

#[test]
fn nobody_is_asked_any_more_who_is_not_reached_any_more() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(START));
    let options = TsdbOptions { background: false, ..TsdbOptions::new(dir.path()) };
    let db = Tsdb::open(options, clock, &mut Registry::default()).expect("a database");
    let groups = groups("groups: [{name: g, rules: [{record: r, expr: x}, {record: s, expr: y}]}]");
    let job = Job { groups: &groups, start: START, end: START + 2_400 * HOUR };
    // Twice in a row it passes; after the seventh it does not.
    let mut asked = 0;
    let mut ask = |evaluation: Evaluation<'_>| {
        asked += 1;
        if matches!(asked, 2 | 3 | 5 | 6) || asked > 7 {
            return Err(Unanswered::Unreached(format!("gone {asked}")));
        }
        let mut samples = Samples::new();
        samples.push(evaluation.end, 1.0);
        Ok(vec![MatrixSeries { labels: Labels::empty(), samples }])
    };
    let report = backfill(&job, &mut Source::Elsewhere(&mut ask), &db, |_, _| ()).expect("written");
    assert_eq!(asked, 10);
    let stopped = report.stopped.expect("stopped");
    // Two rules a window: the eighth evaluation is of the fourth window.
    let first_day = START.div_euclid(24 * HOUR) * 24 * HOUR;
    assert_eq!((stopped.from, stopped.reason.as_str()), (first_day + 3 * 24 * HOUR, "gone 10"));
    db.close().expect("closed");
}
