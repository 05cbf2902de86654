//! Query results straight to JSON bytes, without a tree in between.

use super::number::{write_float, write_plain_float, write_timestamp};
use crate::model::{Histogram, Labels, Samples};
use crate::promql::Value;

/// Appends the value of a query as `"resultType":...,"result":...`.
pub fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Scalar { timestamp, value } => {
            out.extend_from_slice(b"\"resultType\":\"scalar\",\"result\":");
            write_pair(*timestamp, out, |out| write_plain_float(*value, out));
        }
        Value::String { timestamp, value } => {
            out.extend_from_slice(b"\"resultType\":\"string\",\"result\":[");
            write_timestamp(*timestamp, out);
            out.push(b',');
            write_text(value, out);
            out.push(b']');
        }
        Value::Vector(samples) => {
            out.extend_from_slice(b"\"resultType\":\"vector\",\"result\":[");
            for (number, sample) in samples.iter().enumerate() {
                out.extend_from_slice(if number == 0 { b"{\"metric\":" } else { b",{\"metric\":" });
                write_labels(&sample.labels, out);
                if let Some(histogram) = &sample.histogram {
                    out.extend_from_slice(b",\"histogram\":");
                    write_histogram_pair(sample.timestamp, histogram, out);
                } else {
                    out.extend_from_slice(b",\"value\":");
                    write_pair(sample.timestamp, out, |out| write_float(sample.value, out));
                }
                out.push(b'}');
            }
            out.push(b']');
        }
        Value::Matrix(series) => {
            out.extend_from_slice(b"\"resultType\":\"matrix\",\"result\":[");
            for (number, series) in series.iter().enumerate() {
                out.extend_from_slice(if number == 0 { b"{\"metric\":" } else { b",{\"metric\":" });
                write_labels(&series.labels, out);
                write_samples(&series.samples, out);
                out.push(b'}');
            }
            out.push(b']');
        }
    }
}

/// Numbers, then histograms; a kind without samples is left out.
fn write_samples(samples: &Samples, out: &mut Vec<u8>) {
    if samples.histograms.len() < samples.len() {
        out.extend_from_slice(b",\"values\":");
        let floats = samples.points().filter(|(.., histogram)| histogram.is_none());
        for (number, (timestamp, value, _)) in floats.enumerate() {
            out.push(if number == 0 { b'[' } else { b',' });
            write_pair(timestamp, out, |out| write_float(value, out));
        }
        out.push(b']');
    }
    if !samples.histograms.is_empty() {
        out.extend_from_slice(b",\"histograms\":");
        for (number, (at, histogram)) in samples.histograms.iter().enumerate() {
            out.push(if number == 0 { b'[' } else { b',' });
            write_histogram_pair(samples.timestamps.get(*at).copied().unwrap_or_default(), histogram, out);
        }
        out.push(b']');
    }
}

fn write_histogram_pair(timestamp: i64, histogram: &Histogram, out: &mut Vec<u8>) {
    out.push(b'[');
    write_timestamp(timestamp, out);
    out.push(b',');
    write_histogram(histogram, out);
    out.push(b']');
}

/// Appends count, sum and populated buckets. The first entry of a bucket says which of its bounds belong to it.
fn write_histogram(histogram: &Histogram, out: &mut Vec<u8>) {
    let number = |name: &str, value: f64, out: &mut Vec<u8>| {
        out.extend_from_slice(name.as_bytes());
        out.push(b'"');
        write_float(value, out);
        out.push(b'"');
    };
    number("{\"count\":", histogram.count, out);
    number(",\"sum\":", histogram.sum, out);
    let mut any = false;
    for bucket in histogram.all_buckets().filter(|bucket| bucket.count != 0.0) {
        out.extend_from_slice(if any { b",[" } else { b",\"buckets\":[[" });
        any = true;
        out.push(match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (false, true) => b'0',
            (true, false) => b'1',
            (false, false) => b'2',
            (true, true) => b'3',
        });
        for value in [bucket.lower, bucket.upper, bucket.count] {
            number(",", value, out);
        }
        out.push(b']');
    }
    out.extend_from_slice(if any { b"]}" } else { b"}" });
}

fn write_pair(timestamp: i64, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'[');
    write_timestamp(timestamp, out);
    out.extend_from_slice(b",\"");
    value(out);
    out.extend_from_slice(b"\"]");
}

/// Appends `labels` as an object.
pub fn write_labels(labels: &Labels, out: &mut Vec<u8>) {
    out.push(b'{');
    for (number, (name, value)) in labels.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        write_text(value, out);
    }
    out.push(b'}');
}

/// Appends a quoted, escaped text.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    let plain = |b: u8| b >= 0x20 && b != b'"' && b != b'\\';
    if text.bytes().all(plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(out, text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::histogram::Buckets;
    use crate::promql::VectorSample;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn shows_floats_and_histograms_apart() {
        let histogram = Histogram {
            count: 6.0,
            sum: 1.5,
            zero_threshold: 0.25,
            zero_count: 3.0,
            positive: Buckets::from_numbered([(1, 2.0), (2, 0.0)]),
            negative: Buckets::from_numbered([(1, 1.0)]),
            ..Histogram::default()
        };
        let shown = "{\"count\":\"6\",\"sum\":\"1.5\",\"buckets\":[[1,\"-2\",\"-1\",\"1\"],\
                     [3,\"-0.25\",\"0.25\",\"3\"],[0,\"1\",\"2\",\"2\"]]}";
        let mut samples = Samples::new();
        samples.push_histogram(1000, Arc::new(histogram.clone()));
        assert_eq!(text(|o| write_samples(&samples, o)), format!(",\"histograms\":[[1,{shown}]]"));
        samples.push(2000, 5.0);
        let expected = format!(",\"values\":[[2,\"5\"]],\"histograms\":[[1,{shown}]]");
        assert_eq!(text(|o| write_samples(&samples, o)), expected);
        let histogram = Some(Arc::new(Histogram::default()));
        let sample = VectorSample { labels: Labels::empty(), timestamp: 1500, value: 0.0, histogram };
        assert_eq!(
            text(|o| write_value(&Value::Vector(vec![sample]), o)),
            "\"resultType\":\"vector\",\"result\":[{\"metric\":{},\
             \"histogram\":[1.500,{\"count\":\"0\",\"sum\":\"0\"}]}]"
        );
    }

    #[test]
    fn escapes_label_values() {
        let labels = Labels::from_pairs([("a", "x\"y\\z\n"), ("b", "\u{e9}")]);
        assert_eq!(text(|o| write_labels(&labels, o)), "{\"a\":\"x\\\"y\\\\z\\n\",\"b\":\"\u{e9}\"}");
    }
}
