//! Tests of the engine: answers by their definition, limits, and the ends of times and depths.

use std::time::Duration;

use std::sync::Arc;

use super::*;
use crate::model::histogram::Buckets;
use crate::model::{Histogram, Labels, Matcher, Samples, TimeRange};
use crate::promql::{ErrorClass, Features};
use crate::storage::fixed::FixedStorage;
use crate::storage::{Bounds, Querier, StorageError};
use crate::util::StopToken;

fn storage() -> FixedStorage {
    let mut storage = FixedStorage::new();
    for instance in ["a", "b", "c"] {
        let labels = Labels::from_pairs([("__name__", "up_total"), ("instance", instance)]);
        for at in 0..100i32 {
            storage.add(&labels, i64::from(at) * 10_000, f64::from(at));
        }
    }
    let labels = Labels::from_pairs([("__name__", "h_total")]);
    for at in 0..100i32 {
        let positive = Buckets::from_numbered([(at % 7, f64::from(at))]);
        let histogram = Histogram { count: f64::from(at), positive, ..Histogram::default() };
        storage.add_histogram(&labels, i64::from(at) * 10_000, Arc::new(histogram));
        storage.set_start(&labels, i64::from(at) * 10_000, i64::from(at - 1) * 10_000);
    }
    storage
}

fn engine(max_samples: usize) -> Engine {
    Engine::new(EngineOptions { max_samples, features: Features::all(), ..EngineOptions::default() })
}

#[test]
fn answers_instant_and_range_queries() {
    let engine = engine(100_000);
    let options = QueryOptions::default();
    let result = engine.instant(&storage(), "sum(rate(up_total[1m]))", 500_000, &options);
    let Value::Vector(vector) = result.expect("a good query").value else { panic!("not a vector") };
    assert!((vector[0].value - 0.3).abs() < 1e-12, "{vector:?}");
    let result = engine.range(&storage(), "up_total > 20", 0, 900_000, 60_000, &options);
    let result = result.expect("a good query");
    let Value::Matrix(matrix) = result.value else { panic!("not a matrix") };
    assert_eq!(matrix.len(), 3);
    assert_eq!(matrix[0].samples.timestamps.first(), Some(&240_000));
    assert!(result.stats.total_samples > 0 && result.stats.peak_samples > 0);
    let held = engine.memory_used() as u64;
    assert!(held > 0 && held <= result.stats.peak_bytes, "the result is held as long as it lives");
}

#[test]
fn ends_early_when_a_limit_is_reached() {
    let check = |engine: &Engine, options: &QueryOptions, class: ErrorClass, text: &str| {
        let error = engine.range(&storage(), "sum(up_total)", 0, 990_000, 10_000, options);
        let error = error.expect_err("a limit is reached");
        assert_eq!((error.class(), error.to_string().as_str()), (class, text));
    };
    check(
        &engine(150),
        &QueryOptions::default(),
        ErrorClass::Execution,
        "query processing would load too many samples into memory in query execution",
    );
    let frugal = Engine::new(EngineOptions { max_memory: 2000, ..EngineOptions::default() });
    check(
        &frugal,
        &QueryOptions::default(),
        ErrorClass::Execution,
        "query needs more memory than the 2000 bytes that one query may hold",
    );
    assert_eq!(frugal.memory_used(), 0, "all is given back");
    let late = QueryOptions { timeout: Some(Duration::ZERO), ..QueryOptions::default() };
    check(&engine(100_000), &late, ErrorClass::Timeout, "query timed out in expression evaluation");
    let stop = StopToken::new();
    stop.stop();
    let gone = QueryOptions { stop, ..QueryOptions::default() };
    check(&engine(100_000), &gone, ErrorClass::Canceled, "query was canceled in expression evaluation");
}

#[test]
fn histograms_weigh_more_than_floats() {
    let options = QueryOptions::default();
    // Without buckets, spans and bounds a histogram is as heavy as eleven floats; here it has one of two of them.
    let total = |query: &str| {
        let result = engine(100_000).range(&storage(), query, 0, 990_000, 10_000, &options);
        result.expect("a good query").stats.total_samples
    };
    assert_eq!((total("h_total"), total("up_total{instance=\"a\"}")), (1200, 100));
    assert_eq!(total("rate(h_total[20s])"), 12 * (1 + 99 * 2));
    let error = engine(1100).range(&storage(), "h_total", 0, 990_000, 10_000, &options);
    assert!(matches!(error, Err(Error::TooManySamples)), "{error:?}");
    assert!(engine(1300).range(&storage(), "h_total", 0, 990_000, 10_000, &options).is_ok());
}

#[test]
fn refuses_range_queries_without_a_value_per_step() {
    let error = engine(1000).range(&storage(), "up_total[5m]", 0, 10, 1, &QueryOptions::default());
    assert_eq!(
        error.expect_err("a range vector").to_string(),
        "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector"
    );
    assert!(engine(1000).range(&storage(), "1", 0, 10, 0, &QueryOptions::default()).is_err());
    assert!(engine(1000).range(&storage(), "1", 10, 0, 1, &QueryOptions::default()).is_err());
}

#[test]
fn extreme_times_are_answered_or_refused_but_never_panic() {
    let engine = engine(100_000);
    let options = QueryOptions { lookback_ms: Some(i64::MAX), ..QueryOptions::default() };
    let queries = [
        "up_total",
        "up_total offset 292y",
        "up_total offset -292y",
        "up_total @ 9223372036854775",
        "up_total @ -9223372036854775 offset 292y",
        "rate(up_total[292y])",
        "rate(up_total[292y:1ms])",
        "rate(up_total[292y:292y] offset 292y)",
        "max_over_time(up_total[1ms:1ms])",
        "increase(up_total[292y] smoothed)",
        "up_total smoothed",
        "timestamp(up_total)",
        "year(vector(time()))",
        "day_of_year(up_total * 1e300)",
        "predict_linear(up_total[292y], 1e300)",
        "up_total[range() + 1]",
        "rate(up_total[range() + 1])",
        "topk(9e18, up_total)",
        "absent_over_time(nope[292y])",
        "rate(h_total[292y])",
        "increase(h_total[292y] smoothed)",
        "resets(h_total[292y] anchored)",
        "h_total smoothed",
        "avg_over_time(h_total[292y:292y])",
        "start_timestamp(h_total)",
        "histogram_quantile(1e300, h_total * 1e300)",
    ];
    let times = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
    for query in queries {
        for start in times {
            let _ = engine.instant(&storage(), query, start, &options);
            for end in times {
                for step in [1, i64::MAX] {
                    let _ = engine.range(&storage(), query, start, end, step, &options);
                }
            }
        }
    }
}

/// One value by its definition: the samples of the left-open window before `at`, stale markers aside.
fn naive(samples: &[(i64, f64)], at: i64, length: i64) -> Vec<f64> {
    let inside = |t: i64| at - length < t && t <= at;
    samples.iter().filter(|(t, v)| inside(*t) && !crate::model::is_stale(*v)).map(|(_, v)| *v).collect()
}

#[test]
fn sliding_windows_agree_with_their_definition() {
    for seed in 1..40u64 {
        let mut state = seed;
        let mut random = |limit: i64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from(state >> 33).unwrap_or(0) % limit
        };
        let labels = Labels::from_pairs([("__name__", "m")]);
        let (mut storage, mut samples, mut time) = (FixedStorage::new(), Vec::new(), 0);
        for _ in 0..random(60) {
            time += 1 + random(40_000);
            let value = if random(8) == 0 { crate::model::stale_nan() } else { random(9) as f64 };
            storage.add(&labels, time, value);
            samples.push((time, value));
        }
        let (start, step, range) = (random(300_000), 1 + random(60_000), 1 + random(200_000));
        let (offset, lookback) = (random(100_000) - 50_000, 1 + random(100_000));
        let end = start + 30 * step;
        let options = QueryOptions { lookback_ms: Some(lookback), ..QueryOptions::default() };
        let sign = if offset < 0 { "-" } else { "" };
        let shift = format!("offset {sign}{}ms", offset.abs());
        let run = |query: String| {
            let result = engine(1_000_000).range(&storage, &query, start, end, step, &options);
            match result.expect("a good query").value {
                Value::Matrix(mut matrix) => matrix.pop().map(|s| s.samples).unwrap_or_default(),
                other => panic!("{other:?}"),
            }
        };
        let (mut newest, mut counted, mut summed) = (Samples::new(), Samples::new(), Samples::new());
        for at in (start..=end).step_by(usize::try_from(step).expect("positive")) {
            let window = naive(&samples, at - offset, range);
            if !window.is_empty() {
                counted.push(at, window.len() as f64);
                summed.push(at, window.iter().sum());
            }
            let seen: Vec<_> = samples.iter().filter(|(t, _)| *t <= at - offset).collect();
            match seen.last() {
                Some((t, v)) if *t > at - offset - lookback && !crate::model::is_stale(*v) => {
                    newest.push(at, *v);
                }
                _ => {}
            }
        }
        assert_eq!(run(format!("m {shift}")), newest, "seed {seed}");
        assert_eq!(run(format!("count_over_time(m[{range}ms] {shift})")), counted, "seed {seed}");
        assert_eq!(run(format!("sum_over_time(m[{range}ms] {shift})")), summed, "seed {seed}");
    }
}

/// Each step sees the sample behind the one that the step before it saw, or nearly so.
#[test]
fn steps_at_the_pace_of_samples_agree_with_their_definition() {
    let step = 10_000;
    // Moves of single samples, in milliseconds: to the step, behind it, away.
    for (at, moved) in
        [(0, 0), (5, 3000), (5, 3001), (5, -7000), (0, 4000), (9, 3000), (19, 3001), (7, i64::MAX)]
    {
        for (lookback, stale) in [(60_000, false), (60_000, true), (9_000, false), (7_000, false)] {
            let (mut storage, mut samples) = (FixedStorage::new(), Vec::new());
            for number in 0..25i64 {
                let moved = if number == at { moved } else { 0 };
                let Some(time) = (number * step - 3000).checked_add(moved) else { continue };
                let value = if stale && number == 8 { crate::model::stale_nan() } else { number as f64 };
                samples.push((time, value));
            }
            samples.sort_by_key(|(time, _)| *time);
            samples.dedup_by_key(|(time, _)| *time);
            let labels = Labels::from_pairs([("__name__", "m")]);
            samples.iter().for_each(|(time, value)| storage.add(&labels, *time, *value));
            let options = QueryOptions { lookback_ms: Some(lookback), ..QueryOptions::default() };
            for start in [0, 2 * step, 2 * step - 3000, 2 * step + 1] {
                let end = start + 17 * step;
                let result = engine(100_000).range(&storage, "m", start, end, step, &options);
                let Value::Matrix(mut found) = result.expect("a good query").value else {
                    panic!("a matrix")
                };
                let mut expected = Samples::new();
                for moment in (start..=end).step_by(usize::try_from(step).expect("positive")) {
                    let newest = samples.iter().rev().find(|(time, _)| *time <= moment);
                    let newest = newest
                        .filter(|(time, value)| *time > moment - lookback && !crate::model::is_stale(*value));
                    newest.iter().for_each(|(_, value)| expected.push(moment, *value));
                }
                let found = found.pop().map(|series| series.samples).unwrap_or_default();
                assert_eq!(found, expected, "{at} {moved} {lookback} {stale} {start}");
            }
        }
    }
}

#[test]
fn the_deepest_accepted_queries_do_not_exhaust_the_stack() {
    let engine = engine(100_000);
    for query in [
        "up_total or ".repeat(240) + "up_total",
        "1 + ".repeat(240) + "scalar(up_total)",
        "up_total + ".repeat(240) + "up_total",
        "abs(".repeat(90) + "up_total" + &")".repeat(90),
        "sum(".repeat(90) + "up_total" + &")".repeat(90),
        "(".repeat(90) + "up_total" + &")".repeat(90),
        "-".repeat(90) + "up_total",
        "max_over_time(".repeat(60) + "up_total" + &"[1m:1m])".repeat(60),
        "up_total ^ ".repeat(90) + "up_total",
    ] {
        for start in [300_000, 0] {
            let result = engine.range(&storage(), &query, start, 300_000, 60_000, &QueryOptions::default());
            assert!(result.is_ok(), "{query}: {result:?}");
        }
    }
}

/// Series sets without series that take so many bytes.
struct Heavy(usize);

impl Queryable for Heavy {
    fn querier(&self, _: TimeRange) -> Result<Box<dyn Querier>, StorageError> {
        Ok(Box::new(Self(self.0)))
    }
}

impl Querier for Heavy {
    fn select(&self, request: &SelectRequest<'_>) -> Result<Box<dyn SeriesSet>, StorageError> {
        // More while they are looked for.
        request.watch.check(self.0 + self.0 / 4)?;
        Ok(Box::new(Self(self.0)))
    }

    fn label_names(&self, _: &[Vec<Matcher>], _: Bounds<'_>) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    fn label_values(&self, _: &str, _: &[Vec<Matcher>], _: Bounds<'_>) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }
}

impl SeriesSet for Heavy {
    fn len(&self) -> usize {
        0
    }

    fn memory_bytes(&self) -> usize {
        self.0
    }

    fn labels(&self, _: usize) -> Labels {
        Labels::default()
    }

    fn read(&self, _: usize, _: TimeRange, _: &mut Samples) -> Result<(), StorageError> {
        Ok(())
    }
}

#[test]
fn series_count_once_and_what_finds_them_only_meanwhile() {
    let engine = Engine::new(EngineOptions { max_memory: 4 << 20, ..EngineOptions::default() });
    let peak = |query: &str| {
        let found = engine.instant(&Heavy(1 << 20), query, 0, &QueryOptions::default());
        found.map(|found| found.stats.peak_bytes >> 18)
    };
    // In quarters of the megabyte that each takes; the text is far less.
    assert_eq!(peak("a").expect("it fits"), 5);
    assert_eq!(peak("a + b + c").expect("they fit"), 13);
    assert!(matches!(peak("a + b + c + d"), Err(Error::TooMuchMemory { .. })));
}

/// Time in the square of the number of selectors would be minutes and more.
#[test]
fn queries_of_many_parts_are_planned_in_one_go() {
    fn sum(from: u32, to: u32, one: &dyn Fn(u32) -> String) -> String {
        let middle = u32::midpoint(from, to);
        if middle == from {
            return one(from);
        }
        format!("({}+{})", sum(from, middle, one), sum(middle, to, one))
    }
    let options = QueryOptions::default();
    let engine = Engine::new(EngineOptions { max_memory: 4 << 30, ..EngineOptions::default() });
    let forms: [&dyn Fn(u32) -> String; 2] = [&|n| format!("a{n}"), &|_| "up_total".to_owned()];
    for form in forms {
        let result = engine.instant(&storage(), &sum(0, 40_000, form), 500_000, &options);
        assert!(result.is_ok(), "{result:?}");
    }
    let labels: Vec<String> = (0..100_000).rev().map(|n| format!("a{n:06}=\"\"")).collect();
    let query = format!("absent(nope{{{}}})", labels.join(","));
    assert!(engine.instant(&storage(), &query, 500_000, &options).is_ok());
}

#[test]
fn strings_and_scalars_keep_the_evaluation_time() {
    let instant = |query: &str| engine(1000).instant(&storage(), query, 7, &QueryOptions::default());
    assert_eq!(
        instant("(\"a\")").expect("a string").value,
        Value::String { timestamp: 7, value: "a".to_owned() }
    );
    assert_eq!(instant("1 + 1").expect("a scalar").value, Value::Scalar { timestamp: 7, value: 2.0 });
}

#[test]
fn only_what_is_not_deep_is_explained() {
    let (storage, engine) = (FixedStorage::new(), Engine::new(EngineOptions::default()));
    let ask = |terms: usize, explain: bool| {
        let options = QueryOptions { explain, ..QueryOptions::default() };
        engine
            .instant(&storage, &vec!["vector(1)"; terms].join("+"), 0, &options)
            .map(|result| result.explain)
    };
    assert!(ask(150, true).expect("answered").is_some());
    assert!(ask(1900, false).expect("answered").is_none());
    let refused = ask(300, true).expect_err("too deep").to_string();
    assert_eq!(refused, "expression is nested too deeply to be explained");
}
