//! Inputs to begin with: each target makes its own from the encoders, and puts them into its corpus when it starts.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use emberkeep::model::histogram::{Buckets, CUSTOM_SCHEMA, Span};
use emberkeep::model::{Exemplar, Histogram, Labels, Metadata, MetricType, Samples, stale_nan};
use emberkeep::storage::fixed::FixedStorage;
use emberkeep::tsdb::SeriesRef;
use emberkeep::tsdb::chunk::ints;
use emberkeep::tsdb::index::reader::IndexBuilder;
use emberkeep::tsdb::record::exemplars::LoggedExemplar;
use emberkeep::tsdb::record::{self, LoggedSample, samples};

/// Writes `seeds` into the first folder of the command line, which is where the corpus is; those that are there stay.
pub fn write(seeds: impl IntoIterator<Item = Vec<u8>>) {
    let Some(dir) = std::env::args().skip(1).find(|argument| Path::new(argument).is_dir()) else { return };
    for (number, seed) in seeds.into_iter().enumerate() {
        let path = Path::new(&dir).join(format!("seed-{number:04}"));
        if !path.exists() {
            fs::write(path, seed).expect("the corpus can be written");
        }
    }
}

/// The texts of all files below folder `name` of the conformance data, where it is at hand.
pub fn conformance(name: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/conformance").join(name);
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                texts.push(text);
            }
        }
    }
    texts.sort();
    texts
}

/// `bytes` behind their length in two bytes.
pub fn part(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).expect("seeds are small");
    [&len.to_le_bytes()[..], bytes].concat()
}

fn labels(metric: &str, instance: &str) -> Labels {
    Labels::from_pairs([("__name__", metric), ("instance", instance), ("job", "a")])
}

fn histogram(n: u32, custom: bool) -> Arc<Histogram> {
    let n = f64::from(n);
    Arc::new(Histogram {
        schema: if custom { CUSTOM_SCHEMA } else { 3 },
        count: 6.0 * n,
        zero_count: if custom { 0.0 } else { n },
        sum: 0.1 * n,
        positive: Buckets {
            spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }],
            counts: vec![n, 2.0 * n, 2.0 * n],
        },
        custom_values: if custom { vec![0.5, 1.0, 2.0, 4.0] } else { Vec::new() },
        integer: !custom,
        ..Histogram::default()
    })
}

/// Series of different shapes: counters, decimals, noise, native histograms with floats between them.
pub fn samples() -> Vec<Samples> {
    let mut noise = 7u64;
    let mut all = vec![Samples::new(); 7];
    for n in 0..260u32 {
        let time = 1_700_000_000_000 + i64::from(n) * 15_000 + i64::from(n % 3);
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        all[0].push(time, f64::from(n * 17));
        all[1].push(time, f64::from(n % 13) / 10.0 + 20.0);
        all[2].push(time, f64::from_bits(noise));
        all[3].push(time, if n % 50 == 49 { stale_nan() } else { 1.0 / f64::from(n + 1) });
        all[4].push(time, if n % 90 == 0 { 5.0 } else { 0.0 });
        if n < 60 {
            all[5].push_histogram(
                time,
                if n == 50 { Arc::new(Histogram::stale()) } else { histogram(n, false) },
            );
        }
        if n < 30 && n % 4 == 3 {
            all[6].push(time, f64::from(n));
        } else if n < 30 {
            all[6].push_histogram(time, histogram(n, n < 10));
        }
    }
    all
}

/// Payloads of log records of every kind, in an order that makes sense.
pub fn payloads() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut add = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut payload = Vec::new();
        write(&mut payload);
        all.push(payload);
    };
    let pairs = [("__name__", "up"), ("job", "a"), ("job", "b"), ("__name__", "h")];
    add(&|out| record::put_pairs(out, pairs.into_iter()));
    let rows = [
        (SeriesRef(0), vec![0, 1]),
        (SeriesRef(1), vec![0, 2]),
        (SeriesRef(2), vec![3]),
        (SeriesRef(2048), vec![0]),
    ];
    add(&|out| record::put_series(out, &rows));
    let logged = |at: i64, step: u64| {
        [0u64, 1, 2048].map(|series| LoggedSample {
            series: SeriesRef(series),
            timestamp: 1_700_000_000_000 + at * 15_000,
            bits: (series as f64 + (at as f64) * step as f64).to_bits(),
            base: if at == 0 { 0 } else { (series as f64 + ((at - 1) as f64) * step as f64).to_bits() },
        })
    };
    for at in 0..4 {
        add(&|out| samples::put(out, Some(0), &logged(at, 1)));
    }
    add(&|out| {
        samples::put_late(out, &logged(0, 7).map(|one| LoggedSample { base: 0, timestamp: 5, ..one }))
    });
    let histograms = [
        (SeriesRef(2), 1_700_000_000_000, histogram(3, false)),
        (SeriesRef(2), 1_700_000_015_000, histogram(4, true)),
    ];
    add(&|out| record::histograms::put(out, &histograms));
    let labels = Labels::from_pairs([("trace_id", "abc")]);
    let exemplar = Exemplar { labels, value: 0.5, timestamp: 1_700_000_000_000 };
    add(&|out| {
        record::exemplars::put(
            out,
            &[LoggedExemplar { series: SeriesRef(0), exemplar: exemplar.clone(), timed: true }],
        )
    });
    let said = Metadata { kind: MetricType::Counter, unit: "s".to_owned(), help: "Help.".to_owned() };
    add(&|out| record::metadata::put(out, [("up", &said)].into_iter()));
    add(&|out| record::put_delete(out, &[SeriesRef(0), SeriesRef(2)], 1_700_000_000_000, 1_700_000_015_000));
    // Of the first version: a series with its labels, two samples.
    add(&|out| out.extend_from_slice(b"\x01\x01\x06\x01\x08__name__\x02up"));
    add(&|out| out.extend_from_slice(b"\x03\x08\x02\x02\x06\x04\xf8\x7f\x01\x02\x00"));
    all
}

/// An index as it is stored.
pub fn index() -> Vec<u8> {
    let mut builder = IndexBuilder::default();
    builder.add_timeline(&[1000, 2000, 3000], &mut ints::Scratch::default());
    builder.add_timeline(&[5, 7], &mut ints::Scratch::default());
    builder.add_bundle(0);
    for (at, name) in ["a", "b", "c"].iter().enumerate() {
        for instance in ["x:1", "x:2", "y\u{e9}"] {
            builder.add_series(labels(name, instance), if at == 1 { vec![0, 1] } else { vec![1] });
        }
    }
    builder.add_bundle(9);
    builder.finish().expect("it comes back")
}

/// A few series with a few samples each.
pub fn storage() -> FixedStorage {
    let mut storage = FixedStorage::new();
    for at in 0..4u32 {
        storage.add(&labels("up", "x"), i64::from(at) * 15_000, f64::from(at));
        storage.add(&labels("up", "y"), i64::from(at) * 15_000, f64::from(at));
        storage.add_histogram(&labels("h", "x"), i64::from(at) * 15_000, histogram(at, at == 3));
    }
    storage
}

/// Exemplars of series that [`storage`] has and of one that it has not.
pub fn exemplars() -> Vec<(Labels, Vec<Exemplar>)> {
    let one =
        |timestamp| Exemplar { labels: Labels::from_pairs([("trace_id", "abc")]), value: 0.5, timestamp };
    vec![(labels("h", "x"), vec![one(0), one(15_000)]), (labels("up", "z"), vec![one(7)])]
}
