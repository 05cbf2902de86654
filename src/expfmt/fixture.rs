//! Makes bodies of delimited protobuf for tests.

use crate::codec::ByteWriter as _;
use crate::codec::protobuf::{put_bytes, put_float, put_varint};
use crate::codec::reader::zigzag;

/// A message of the fields that `put` writes.
pub(crate) fn message(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out);
    out
}

/// A family behind its length, of type 0 counter, 1 gauge, 2 summary, 3 untyped, 4 histogram, 5 gauge histogram.
pub(crate) fn family(name: &str, kind: u64, unit: &str, metrics: &[Vec<u8>]) -> Vec<u8> {
    let family = message(|out| {
        put_bytes(out, 1, name.as_bytes());
        put_bytes(out, 2, b"About \\n it.");
        put_varint(out, 3, kind);
        metrics.iter().for_each(|metric| put_bytes(out, 4, metric));
        put_bytes(out, 5, unit.as_bytes());
        // One that is not known yet.
        put_varint(out, 77, 1);
    });
    message(|out| {
        out.put_len(family.len());
        out.put_bytes(&family);
    })
}

/// A metric with its value in field `number`: 2 gauge, 3 counter, 4 summary, 5 untyped, 7 histogram. A timestamp of 0 is
/// none.
pub(crate) fn metric(labels: &[(&str, &str)], number: u64, value: &[u8], timestamp: i64) -> Vec<u8> {
    message(|out| {
        put_labels(out, labels);
        put_bytes(out, number, value);
        if timestamp != 0 {
            put_varint(out, 6, timestamp.cast_unsigned());
        }
    })
}

fn put_labels(out: &mut Vec<u8>, labels: &[(&str, &str)]) {
    for (name, value) in labels {
        let pair = message(|out| {
            put_bytes(out, 1, name.as_bytes());
            put_bytes(out, 2, value.as_bytes());
        });
        put_bytes(out, 1, &pair);
    }
}

/// A value alone, as of a gauge.
pub(crate) fn value(value: f64) -> Vec<u8> {
    message(|out| put_float(out, 1, value))
}

/// A time in milliseconds.
pub(crate) fn time(millis: i64) -> Vec<u8> {
    message(|out| {
        put_varint(out, 1, (millis / 1000).cast_unsigned());
        put_varint(out, 2, (millis % 1000 * 1_000_000).cast_unsigned());
    })
}

/// An exemplar.
pub(crate) fn exemplar(trace: &str, value: f64, timestamp: Option<i64>) -> Vec<u8> {
    message(|out| {
        put_labels(out, &[("trace_id", trace)]);
        put_float(out, 2, value);
        if let Some(timestamp) = timestamp {
            put_bytes(out, 3, &time(timestamp));
        }
    })
}

/// A classic histogram of buckets that rise by one bound and one observation each; the last bound may be infinite.
pub(crate) fn classic(bounds: &[f64], count: u64, sum: f64) -> Vec<u8> {
    message(|out| {
        put_varint(out, 1, count);
        put_float(out, 2, sum);
        for (below, bound) in (1u64..).zip(bounds) {
            let bucket = message(|out| {
                put_varint(out, 1, if bound.is_finite() { below } else { count });
                put_float(out, 2, *bound);
                put_bytes(out, 3, &exemplar("b", *bound, None));
            });
            put_bytes(out, 3, &bucket);
        }
    })
}

/// Adds native buckets 1 and 2 of `schema` with one and two observations, and one in the zero bucket.
pub(crate) fn add_native(histogram: &mut Vec<u8>, schema: i32) {
    put_varint(histogram, 5, zigzag(i64::from(schema)));
    put_float(histogram, 6, 0.001);
    put_varint(histogram, 7, 1);
    let span = message(|out| {
        put_varint(out, 1, zigzag(1));
        put_varint(out, 2, 2);
    });
    put_bytes(histogram, 12, &span);
    // One by one and packed.
    put_varint(histogram, 13, zigzag(1));
    put_bytes(histogram, 13, &[2]);
    put_bytes(histogram, 15, &time(5_000));
    put_bytes(histogram, 16, &exemplar("untimed", 1.0, None));
    put_bytes(histogram, 16, &exemplar("timed", 1.5, Some(7_000)));
}
