//! Results kept of range queries: a graph that is drawn again and again while samples come in, late ones too, while
//! blocks are cut, merged and expired and samples are deleted, shows what a fresh evaluation shows, bit for bit.
//!
//! A list of queries over little data, and queries of the whole language over all that they can name.
//! `EMBERKEEP_KEPT_ROUNDS` says how many rounds of the latter (400 if absent).

use std::sync::Arc;

use emberkeep::model::histogram::Buckets;
use emberkeep::model::{Histogram, Labels, Matcher, TimeRange};
use emberkeep::promql::{Engine, EngineOptions, Error, Features, QueryOptions, QueryResult, Value};
use emberkeep::telemetry::Registry;
use emberkeep::tsdb::{CommitMode, Limits, SyncPolicy, Tsdb, TsdbOptions};
use emberkeep::util::ManualClock;

use super::support::Random;
use super::support::queries::{Level, Writer};

const MINUTE: i64 = 60_000;
const NOW: i64 = 1_000_000 * MINUTE;

const QUERIES: [&str; 22] = [
    "a_total",
    "sum(rate(a_total[2m]))",
    "sum by (i) (increase(a_total[5m] offset 1m))",
    "max_over_time(rate(a_total[1m])[5m:30s])",
    "topk(2, a_total)",
    "a_total offset -1m",
    "absent(a_total{i=\"9\"}) or a_total",
    "label_replace(a_total, \"j\", \"$1\", \"i\", \"(.)\")",
    "histogram_quantile(0.9, sum(rate(h_total[3m])))",
    "h_total",
    "count by (__name__) ({i=~\".+\"})",
    "avg_over_time(g[3m]) > 20",
    "increase(a_total[2m] smoothed)",
    "rate({i=\"1\", __name__=~\"a_total|g\"}[2m])",
    "a_total - a_total @ end()",
    "time() - timestamp(g)",
    "limitk(2, a_total)",
    "limit_ratio(0.5, a_total)",
    "quantile_over_time(0.9, g[10m])",
    "stddev_over_time(g[10m]) + sum_over_time(g[10m]) + avg_over_time(g[10m])",
    "sum(rate(a_total[2m])) / sum(rate(a_total[2m]))",
    "histogram_sum(avg_over_time(h_total[5m]))",
];

fn open(dir: &std::path::Path) -> Tsdb {
    let options = TsdbOptions {
        sync: SyncPolicy::Never,
        block_range_ms: 10 * MINUTE,
        max_block_range_ms: Some(30 * MINUTE),
        limits: Limits { retention_ms: 100 * MINUTE, out_of_order_ms: 20 * MINUTE, ..Limits::default() },
        background: false,
        ..TsdbOptions::new(dir)
    };
    let clock = Arc::new(ManualClock::new(NOW * 2));
    Tsdb::open(options, clock, &mut Registry::default()).expect("open")
}

fn engine(max_kept_results: usize) -> Engine {
    Engine::new(EngineOptions { max_kept_results, features: Features::all(), ..EngineOptions::default() })
}

/// Everything of a matrix, with values as bits, or the error.
fn shown(result: &Result<QueryResult, Error>, query: &str) -> Vec<String> {
    let result = match result {
        Ok(result) => result,
        Err(error) => return vec![error.to_string()],
    };
    let Value::Matrix(series) = &result.value else { panic!("not a matrix") };
    let points = series.iter().map(|series| {
        let points = series.samples.points().map(|(t, value, histogram)| match histogram {
            Some(histogram) => format!("{t} {histogram:?}"),
            None => format!("{t} {:x}", value.to_bits()),
        });
        format!("{:?} {}", series.labels, points.collect::<Vec<_>>().join(","))
    });
    points.chain(result.annotations.warnings(query, 9)).chain(result.annotations.infos(query, 9)).collect()
}

fn add(db: &Tsdb, random: &mut Random, now: i64, counts: &mut [f64; 4]) {
    let mut appender = db.appender(None);
    for (i, count) in counts.iter_mut().enumerate() {
        if random.below(8) == 0 {
            continue;
        }
        *count = if random.below(40) == 0 { 0.0 } else { *count + random.below(9) as f64 };
        let labels = Labels::from_pairs([("__name__", "a_total"), ("i", &i.to_string())]);
        let series = appender.series(&labels);
        let late =
            if random.below(30) == 0 { i64::try_from(random.below(1200)).expect("small") * 1000 } else { 0 };
        let value = if random.below(30) == 0 { emberkeep::model::stale_nan() } else { *count };
        appender.append(series, now - late, value);
    }
    let series = appender.series(&Labels::from_pairs([("__name__", "g"), ("i", "1")]));
    appender.append(series, now, random.below(100) as f64 / 3.0);
    let series = appender.series(&Labels::from_pairs([("__name__", "h_total"), ("i", "1")]));
    let positive = Buckets::from_numbered([(1, counts[0]), (2, counts[1])]);
    let histogram =
        Histogram { count: counts[0] + counts[1], sum: counts[2], positive, ..Histogram::default() };
    appender.append_histogram(series, now, Arc::new(histogram));
    appender.commit(CommitMode::Each).expect("commit");
}

/// Asks both engines as a graph does that is drawn at `now`. How many steps that were, and how many were known.
fn compare(
    db: &Tsdb,
    (keeping, fresh): (&Engine, &Engine),
    query: &str,
    now: i64,
    random: &mut Random,
) -> (u64, u64) {
    let step = [15_000, 60_000][usize::try_from(random.below(2)).expect("small")];
    let length = [10 * MINUTE, 60 * MINUTE][usize::try_from(random.below(2)).expect("small")];
    // Mostly as graphs ask, sometimes into the future.
    let end = (now + if random.below(5) == 0 { 3 * MINUTE } else { 0 }).div_euclid(step) * step;
    let options = QueryOptions::default();
    let kept = keeping.range(db, query, end - length, end, step, &options);
    let expected = fresh.range(db, query, end - length, end, step, &options);
    assert_eq!(
        shown(&kept, query),
        shown(&expected, query),
        "{query} from {} to {end} by {step}",
        end - length
    );
    (u64::try_from(length / step + 1).expect("positive"), kept.map_or(0, |kept| kept.stats.known_steps))
}

/// What the queries of the whole language can name.
fn add_all(db: &Tsdb, random: &mut Random, now: i64, round: u64) {
    let mut appender = db.appender(None);
    for instance in 0..3u64 {
        let (host, job) = (format!("host{instance}"), format!("job{}", instance % 2));
        let labels = |name: &str, more: (&str, &str)| {
            Labels::from_pairs([("__name__", name), ("instance", &host), ("job", &job), more])
        };
        let count = (round * (instance + 1)) as f64;
        let odd =
            [0.0, -0.0, f64::NAN, f64::INFINITY, 0.1, 1e21][usize::try_from(random.below(6)).expect("small")];
        let floats = [
            ("requests_total", ("mode", "0"), count),
            ("requests_total", ("mode", "1"), count % 50.0),
            ("temperature", ("sensor", "s"), random.below(1000) as f64 / 7.0),
            ("version_info", ("version", "v1"), 1.0),
            ("target_info", ("extra", "yes"), 1.0),
            ("odd_values", ("", ""), odd),
            ("sparse", ("sensor", "s"), count / 3.0),
            ("sparse_total", ("mode", "0"), count),
            ("latency_seconds_bucket", ("le", "0.5"), count),
            ("latency_seconds_bucket", ("le", "+Inf"), count * 2.0),
        ];
        for (name, more, value) in floats {
            let often = if name.starts_with("sparse") { 4 } else { 12 };
            let gap = if often == 4 { random.below(4) > 0 } else { random.below(12) == 0 };
            if !gap {
                let series = appender.series(&labels(name, more));
                appender.append(series, now, value);
            }
        }
        for (name, custom) in [("native", false), ("native_gauge", false), ("native_custom", true)] {
            let positive = Buckets::from_numbered([(0, count + 1.0), (1, 2.0)]);
            let histogram = Histogram {
                schema: if custom { -53 } else { 1 },
                custom_values: if custom { vec![1.0, 2.0] } else { Vec::new() },
                count: count + 3.0,
                sum: count,
                positive,
                ..Histogram::default()
            };
            let series = appender.series(&labels(name, ("", "")));
            appender.append_histogram(series, now, Arc::new(histogram));
        }
    }
    appender.commit(CommitMode::Each).expect("commit");
}

/// Queries whose steps seem to stand for themselves and do not.
const TANGLED: [&str; 8] = [
    "topk(time() - 60000000, vector(1))",
    "limitk(time() - 60000300, vector(1))",
    "limit_ratio((time() - 60000000) / 1e4, vector(1))",
    "quantile((time() - 60000000) / 1e4, vector(1))",
    "max_over_time(topk(time() - 60000300, vector(1))[5m:1m])",
    "topk(scalar(sparse{instance=\"host1\"}) - 100, requests_total)",
    "histogram_quantiles(native, \"q\", (time() - 60000000) / 1e4)",
    "vector(step())",
];

#[test]
fn kept_results_of_any_query_show_what_fresh_ones_show() {
    let mut random = Random::from_env(29);
    let rounds = std::env::var("EMBERKEEP_KEPT_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    let (keeping, fresh) = (engine(8 << 20), engine(0));
    let (start, end) = (NOW / 1000, (NOW + rounds * 15_000) / 1000);
    let mut queries: Vec<String> = TANGLED.map(str::to_owned).to_vec();
    let (mut now, mut steps, mut known) = (NOW, 0, 0);
    for round in 0..u64::try_from(rounds).expect("positive") {
        now += 15_000;
        add_all(&db, &mut random, now, round);
        // Some queries are asked again and again, others come and go.
        let random = &mut random;
        let mut writer = Writer { random, level: Level::Full, histograms: true, changing: true, start, end };
        let fresh_query = writer.query();
        if queries.len() < 40 {
            queries.push(fresh_query);
        } else {
            let at = TANGLED.len() + usize::try_from(random.below(32)).expect("small");
            queries[at] = if random.below(3) == 0 { fresh_query } else { queries[at].clone() };
        }
        for _ in 0..4 {
            let query = queries[usize::try_from(random.below(queries.len() as u64)).expect("small")].clone();
            let (asked, found) = compare(&db, (&keeping, &fresh), &query, now, random);
            steps += asked;
            known += found;
        }
    }
    println!("{known} of {steps} steps were known");
    assert!(known > steps / 40 && known < steps, "{known} of {steps} steps were known");
}

#[test]
fn kept_results_show_what_fresh_ones_show() {
    let mut random = Random::from_env(23);
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    let (keeping, fresh) = (engine(1 << 20), engine(0));
    let (mut now, mut counts) = (NOW, [0.0; 4]);
    let (mut steps, mut known) = (0, 0);
    for _ in 0..1000 {
        now += 5_000 + i64::try_from(random.below(20_000)).expect("small");
        add(&db, &mut random, now, &mut counts);
        match random.below(150) {
            0 => {
                let start = now - i64::try_from(random.below(40)).expect("small") * MINUTE;
                let series = vec![Matcher::equal("i", random.below(4).to_string())];
                db.delete(&[series], TimeRange::new(start, start + 2 * MINUTE)).expect("delete");
            }
            1..6 => db.maintain().expect("maintain"),
            _ => {}
        }
        for _ in 0..2 {
            let query = QUERIES[usize::try_from(random.below(QUERIES.len() as u64)).expect("small")];
            let (asked, found) = compare(&db, (&keeping, &fresh), query, now, &mut random);
            steps += asked;
            known += found;
        }
        assert!(keeping.kept_bytes() <= 1 << 20);
    }
    println!("{known} of {steps} steps were known");
    assert!(known > steps / 8 && known < steps, "{known} of {steps} steps were known");
    assert_eq!(keeping.memory_used(), 0);
    let stats = QueryOptions { fresh: true, ..QueryOptions::default() };
    let asked = keeping.range(&db, "a_total", now - 10 * MINUTE, now, 15_000, &stats).expect("a good query");
    assert_eq!(asked.stats.known_steps, 0, "as asked for");
}
