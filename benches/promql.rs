//! The query path from text to rows: parsing, windows, aggregation, matching. Data is made from a fixed seed.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use emberkeep::model::histogram::Buckets;
use emberkeep::model::{Histogram, Labels};
use emberkeep::promql::{Engine, EngineOptions, Features, QueryOptions, parse};
use emberkeep::storage::fixed::FixedStorage;

const INTERVAL_MS: i64 = 15_000;
const SAMPLES: i64 = 480;

/// Counters of `series` series with two hours of samples.
fn storage(series: u32) -> FixedStorage {
    let mut storage = FixedStorage::new();
    let mut state = 0x2545_f491_u64;
    for number in 0..series {
        let (instance, path) = (format!("host-{}", number / 10), format!("/{}", number % 10));
        let pairs = [("__name__", "requests_total"), ("instance", &instance), ("path", &path)];
        let labels = Labels::from_pairs(pairs);
        let mut value = 0.0;
        for at in 0..SAMPLES {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            value += f64::from(u32::try_from(state >> 40).unwrap_or(0) % 100);
            storage.add(&labels, at * INTERVAL_MS, value);
        }
    }
    storage
}

fn syntax(criterion: &mut Criterion) {
    let query = "histogram_quantile(0.9, sum by (le, job) (rate(request_duration_seconds_bucket{job=~\"a|b\"}[5m] \
                 offset 1h))) / on (job) group_left (team) max by (job, team) (owner) > bool 2 or vector(0)";
    let features = Features::default();
    let mut group = criterion.benchmark_group("promql/syntax");
    group.throughput(Throughput::Bytes(query.len() as u64));
    group.bench_function("parse/180", |b| b.iter(|| parse(black_box(query), &features).is_ok()));
    group.finish();
}

fn range(criterion: &mut Criterion) {
    let engine = Engine::new(EngineOptions::default());
    let options = QueryOptions::default();
    let queries = [
        ("select", "requests_total"),
        ("rate", "rate(requests_total[5m])"),
        ("sum_rate", "sum by (instance) (rate(requests_total[5m]))"),
        ("max_over_time", "max_over_time(requests_total[10m])"),
        ("topk", "topk(5, requests_total)"),
        ("matching", "requests_total / on (instance) group_left sum by (instance) (requests_total)"),
        ("subquery", "max_over_time(rate(requests_total[1m])[5m:30s])"),
    ];
    let mut group = criterion.benchmark_group("promql/range");
    group.sample_size(20);
    for series in [10, 1000] {
        let storage = storage(series);
        let samples = u64::from(series) * u64::try_from(SAMPLES).unwrap_or(0);
        group.throughput(Throughput::Elements(samples));
        for (name, query) in queries {
            group.bench_function(format!("{name}/{series}"), |b| {
                b.iter(|| {
                    engine.range(&storage, black_box(query), 600_000, 7_200_000, 60_000, &options).is_ok()
                });
            });
        }
    }
    group.finish();
}

/// Queries that say the same several times, computed once and each time.
fn repeated(criterion: &mut Criterion) {
    let options = QueryOptions::default();
    let queries = [
        (
            "share",
            "rate(requests_total[5m]) / on (instance, path) (rate(requests_total[5m]) + rate(requests_total[1m]))",
        ),
        ("sums", "sum by (path) (rate(requests_total[5m])) / sum by (path) (rate(requests_total[5m]))"),
        ("of_sum", "requests_total / on (path) group_left sum by (path) (requests_total)"),
    ];
    let engines = [
        ("once", Engine::new(EngineOptions::default())),
        ("each_time", Engine::new(EngineOptions::default()).without_sharing()),
    ];
    let mut group = criterion.benchmark_group("promql/repeated");
    group.sample_size(20);
    let storage = storage(300);
    for (name, query) in queries {
        for (how, engine) in &engines {
            group.bench_function(format!("{name}/{how}"), |b| {
                b.iter(|| {
                    engine.range(&storage, black_box(query), 600_000, 7_200_000, 60_000, &options).is_ok()
                });
            });
        }
    }
    group.finish();
}

/// Counter histograms of `series` series with two hours of samples, twenty populated buckets each.
fn histograms(series: u32) -> FixedStorage {
    let mut storage = FixedStorage::new();
    let mut state = 0x2545_f491_u64;
    for number in 0..series {
        let instance = format!("host-{number}");
        let labels = Labels::from_pairs([("__name__", "duration_seconds"), ("instance", &instance)]);
        let mut counts = [0.0; 20];
        for at in 0..SAMPLES {
            for count in &mut counts {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *count += f64::from(u32::try_from(state >> 40).unwrap_or(0) % 10);
            }
            let count: f64 = counts.iter().sum();
            let histogram = Histogram {
                schema: 3,
                count,
                sum: count / 7.0,
                positive: Buckets::from_numbered((-10..).zip(counts)),
                ..Histogram::default()
            };
            storage.add_histogram(&labels, at * INTERVAL_MS, Arc::new(histogram));
        }
    }
    storage
}

fn native(criterion: &mut Criterion) {
    let engine = Engine::new(EngineOptions::default());
    let options = QueryOptions::default();
    let queries = [
        ("select", "duration_seconds"),
        ("rate", "rate(duration_seconds[5m])"),
        ("quantile", "histogram_quantile(0.9, sum(rate(duration_seconds[5m])))"),
        ("count", "sum(histogram_count(rate(duration_seconds[5m])))"),
        ("avg_over_time", "avg_over_time(duration_seconds[10m])"),
    ];
    let mut group = criterion.benchmark_group("promql/histogram");
    group.sample_size(10);
    let series = 100;
    let storage = histograms(series);
    group.throughput(Throughput::Elements(u64::from(series) * u64::try_from(SAMPLES).unwrap_or(0)));
    for (name, query) in queries {
        group.bench_function(format!("{name}/{series}"), |b| {
            b.iter(|| engine.range(&storage, black_box(query), 600_000, 7_200_000, 60_000, &options).is_ok());
        });
    }
    group.finish();
}

criterion_group!(benches, syntax, range, repeated, native);
criterion_main!(benches);
