//! Reading a body of classic text: every series scanned, or every series the expected one, and its labels parsed; the
//! same through the reader of all encodings, and the same series in protobuf.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use emberkeep::codec::protobuf::{put_bytes, put_float, put_varint};
use emberkeep::expfmt::{Encoding, Entry, Format, Parser, Read, ReadOptions, Reader, parse_series};
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

/// The same series in delimited protobuf: histograms of ten buckets.
fn protobuf(series: usize) -> Vec<u8> {
    let mut family = Vec::new();
    put_bytes(&mut family, 1, b"http_request_duration_seconds");
    put_varint(&mut family, 3, 4);
    for at in 0..series / 10 {
        let mut metric = Vec::new();
        let path = format!("/api/v1/item/{at}");
        for (name, value) in [("method", "GET"), ("path", path.as_str()), ("code", "200")] {
            let mut pair = Vec::new();
            put_bytes(&mut pair, 1, name.as_bytes());
            put_bytes(&mut pair, 2, value.as_bytes());
            put_bytes(&mut metric, 1, &pair);
        }
        let mut histogram = Vec::new();
        for bucket in 0u32..7 {
            let mut row = Vec::new();
            put_varint(&mut row, 1, u64::from(bucket) * 17);
            put_float(&mut row, 2, f64::from(bucket));
            put_bytes(&mut histogram, 3, &row);
        }
        put_bytes(&mut metric, 7, &histogram);
        put_bytes(&mut family, 4, &metric);
    }
    let mut out = Vec::new();
    put_bytes(&mut out, 0, &family);
    // Without the tag: only the length stands before a family.
    out.split_off(1)
}

/// Number of samples; `expected` holds the keys in order.
fn read_all(body: &[u8], encoding: Encoding, expected: &[Vec<u8>]) -> usize {
    let mut reader = Reader::new(body, encoding, ReadOptions::default());
    let mut samples = 0;
    while let Some(read) = reader.next(expected.get(samples).map(Vec::as_slice)).expect("valid body") {
        if let Read::Sample { value, .. } = read {
            black_box((value, reader.series()));
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
    let keys: Vec<_> = texts.iter().map(|text| text.to_vec()).collect();
    let text = Encoding::Text(Format::Text);
    group.bench_function("reader/1000", |b| b.iter(|| read_all(body.as_bytes(), text, &keys)));
    let messages = protobuf(SERIES);
    assert_eq!(read_all(&messages, Encoding::Protobuf, &[]), SERIES);
    group.bench_function("protobuf/1000", |b| b.iter(|| read_all(&messages, Encoding::Protobuf, &[])));
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
