//! Reading a body of classic text: every series scanned, or every series the expected one, and its labels parsed.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use emberkeep::expfmt::{Entry, Format, Parser, parse_series};
use emberkeep::model::LabelsBuf;

/// A body like that of a web service: histograms over a few labels.
fn body(series: usize) -> String {
    let mut out = String::from(
        "# HELP http_request_duration_seconds Time\n# TYPE http_request_duration_seconds histogram\n",
    );
    for at in 0..series {
        let _ = writeln!(
            out,
            "http_request_duration_seconds_bucket{{method=\"GET\",path=\"/api/v1/item/{}\",code=\"200\",le=\"{}\"}} {}",
            at / 10,
            at % 10,
            at * 17
        );
    }
    out
}

/// Number of samples; `expected` holds the texts in order.
fn read(body: &str, expected: &[&[u8]]) -> usize {
    let mut parser = Parser::new(body.as_bytes(), Format::Text);
    let mut samples = 0;
    while let Some(entry) = parser.next_entry(expected.get(samples).copied()).expect("valid body") {
        if let Entry::Sample(sample) = entry {
            black_box(sample.value);
            samples += 1;
        }
    }
    samples
}

fn expfmt(criterion: &mut Criterion) {
    const SERIES: usize = 1000;
    let body = body(SERIES);
    let mut parser = Parser::new(body.as_bytes(), Format::Text);
    let mut texts = Vec::new();
    while let Some(entry) = parser.next_entry(None).expect("valid body") {
        if let Entry::Sample(sample) = entry {
            texts.push(sample.series);
        }
    }
    let mut group = criterion.benchmark_group("expfmt");
    group.throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("scan/1000", |b| b.iter(|| read(&body, &[])));
    group.bench_function("expected/1000", |b| b.iter(|| read(&body, &texts)));
    group.bench_function("labels/1000", |b| {
        let mut labels = LabelsBuf::new();
        b.iter(|| {
            for text in &texts {
                parse_series(text, parser.kind(), &mut labels).expect("valid series");
                black_box(&labels);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, expfmt);
criterion_main!(benches);
