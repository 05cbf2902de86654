//! Parts of query results straight to JSON bytes, without a tree in between. [`super::pieces`] puts them together.

use super::number::{write_float, write_timestamp};
use crate::model::{Histogram, Labels};

/// Labels as an object.
pub(super) fn labels_json(labels: &Labels) -> serde_json::Value {
    labels.iter().map(|(n, v)| (n.to_owned(), v.into())).collect::<serde_json::Map<_, _>>().into()
}

/// Appends timestamp and histogram of a sample.
pub(super) fn write_histogram_pair(timestamp: i64, histogram: &Histogram, out: &mut Vec<u8>) {
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

/// Appends timestamp and number of a sample.
pub(super) fn write_pair(timestamp: i64, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
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
    use super::*;
    use crate::model::histogram::Buckets;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn writes_populated_buckets_of_histograms() {
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
        assert_eq!(text(|o| write_histogram_pair(1000, &histogram, o)), format!("[1,{shown}]"));
        assert_eq!(
            text(|o| write_histogram_pair(1500, &Histogram::default(), o)),
            "[1.500,{\"count\":\"0\",\"sum\":\"0\"}]"
        );
    }

    #[test]
    fn escapes_label_values() {
        let labels = Labels::from_pairs([("a", "x\"y\\z\n"), ("b", "\u{e9}")]);
        assert_eq!(text(|o| write_labels(&labels, o)), "{\"a\":\"x\\\"y\\\\z\\n\",\"b\":\"\u{e9}\"}");
    }
}
