//! Results kept of range queries: a graph that is drawn again and again while samples come in, late ones too, while
//! blocks are cut, merged and expired and samples are deleted, shows what a fresh evaluation shows, bit for bit.

use std::sync::Arc;

use emberkeep::model::histogram::Buckets;
use emberkeep::model::{Histogram, Labels, Matcher, TimeRange};
use emberkeep::promql::{Engine, EngineOptions, Error, Features, QueryOptions, QueryResult, Value};
use emberkeep::telemetry::Registry;
use emberkeep::tsdb::{CommitMode, Limits, SyncPolicy, Tsdb, TsdbOptions};
use emberkeep::util::ManualClock;

use super::support::Random;

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

#[test]
fn kept_results_show_what_fresh_ones_show() {
    let mut random = Random::from_env(23);
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    let (keeping, fresh) = (engine(1 << 20), engine(0));
    let options = QueryOptions::default();
    let (mut now, mut counts) = (NOW, [0.0; 4]);
    let (mut steps, mut known) = (0, 0);
    for round in 0..1000 {
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
            let step = [15_000, 60_000][usize::try_from(random.below(2)).expect("small")];
            let length = [10 * MINUTE, 60 * MINUTE][usize::try_from(random.below(2)).expect("small")];
            // Mostly as graphs ask, sometimes into the future.
            let end = (now + if random.below(5) == 0 { 3 * MINUTE } else { 0 }).div_euclid(step) * step;
            let kept = keeping.range(&db, query, end - length, end, step, &options);
            let expected = fresh.range(&db, query, end - length, end, step, &options);
            assert_eq!(shown(&kept, query), shown(&expected, query), "round {round}: {query} at {end}");
            steps += u64::try_from(length / step + 1).expect("positive");
            known += kept.map_or(0, |kept| kept.stats.known_steps);
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
