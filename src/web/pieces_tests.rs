//! Pieces against the whole text written the obvious way, and what a body leaves behind.

use std::sync::Arc;

use futures_util::StreamExt as _;
use proptest::prelude::*;

use super::*;
use crate::model::histogram::Buckets;
use crate::model::{Histogram, Labels, Samples};
use crate::promql::{Engine, EngineOptions, QueryOptions, QueryResult};
use crate::storage::fixed::FixedStorage;

const TAIL: &[u8] = b",\"stats\":{}},\"infos\":[\"an annotation\"]}";

fn piece(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("text")
}

fn pair(timestamp: i64, value: f64) -> String {
    piece(|out| write_pair(timestamp, out, |out| write_float(value, out)))
}

fn histogram_pair(timestamp: i64, histogram: &Histogram) -> String {
    piece(|out| write_histogram_pair(timestamp, histogram, out))
}

fn one_sample(sample: &VectorSample) -> String {
    let shown = match &sample.histogram {
        Some(histogram) => format!("\"histogram\":{}", histogram_pair(sample.timestamp, histogram)),
        None => format!("\"value\":{}", pair(sample.timestamp, sample.value)),
    };
    format!("{{\"metric\":{},{shown}}}", piece(|out| write_labels(&sample.labels, out)))
}

fn one_series(series: &MatrixSeries) -> String {
    let mut out = format!("{{\"metric\":{}", piece(|out| write_labels(&series.labels, out)));
    let (mut floats, mut histograms) = (Vec::new(), Vec::new());
    for (timestamp, value, histogram) in series.samples.points() {
        match histogram {
            Some(histogram) => histograms.push(histogram_pair(timestamp, histogram)),
            None => floats.push(pair(timestamp, value)),
        }
    }
    for (name, all) in [("values", floats), ("histograms", histograms)] {
        if !all.is_empty() {
            out.extend([",\"", name, "\":[", &all.join(","), "]"]);
        }
    }
    out + "}"
}

/// The reply, put together from strings.
fn whole(value: &Value) -> String {
    let (kind, result) = match value {
        Value::Scalar { timestamp, value } => {
            ("scalar", piece(|out| write_pair(*timestamp, out, |out| write_plain_float(*value, out))))
        }
        Value::String { timestamp, value } => {
            let (time, text) =
                (piece(|out| write_timestamp(*timestamp, out)), piece(|out| write_text(value, out)));
            ("string", format!("[{time},{text}]"))
        }
        Value::Vector(samples) => {
            let all: Vec<String> = samples.iter().map(one_sample).collect();
            ("vector", format!("[{}]", all.join(",")))
        }
        Value::Matrix(series) => {
            let all: Vec<String> = series.iter().map(one_series).collect();
            ("matrix", format!("[{}]", all.join(",")))
        }
    };
    let tail = String::from_utf8_lossy(TAIL);
    format!("{{\"status\":\"success\",\"data\":{{\"resultType\":\"{kind}\",\"result\":{result}{tail}")
}

fn joined(pieces: Pieces) -> String {
    String::from_utf8(pieces.flatten().collect()).expect("text")
}

fn check(value: &Value, size: usize) {
    let mut pieces = Pieces::new(value.clone(), Ticket::default(), TAIL.to_vec(), size);
    let expected = whole(value);
    // What is written at once is shorter: a histogram, a number in full.
    let most = size + 600;
    let mut out = Vec::new();
    while !pieces.is_done() {
        let piece = pieces.next().expect("not done");
        assert!(!piece.is_empty() && piece.len() <= most, "{} of {size}", piece.len());
        out.extend_from_slice(&piece);
    }
    assert_eq!(pieces.next(), None);
    assert_eq!(String::from_utf8_lossy(&out), expected);
    serde_json::from_slice::<serde_json::Value>(&out).expect("JSON");
}

fn histogram(count: u32) -> Arc<Histogram> {
    let count = f64::from(count);
    let positive = Buckets::from_numbered([(1, count), (3, 1.0)]);
    Arc::new(Histogram { count: count + 1.0, sum: 1.5 * count, positive, ..Histogram::default() })
}

fn labels() -> impl Strategy<Value = Labels> {
    prop::collection::btree_map("[a-c]", "[a-z\"\\\\\n]{1,6}", 0..3).prop_map(Labels::from_pairs)
}

/// Every third sample or so is a histogram.
fn samples(least: usize) -> impl Strategy<Value = Samples> {
    prop::collection::vec((0..9u32, -1e9..1e9f64), least..9).prop_map(|all| {
        let mut samples = Samples::new();
        for (at, (kind, value)) in (0i64..).zip(all) {
            if kind < 3 {
                samples.push_histogram(at * 1500, histogram(kind));
            } else {
                samples.push(at * 1500, value);
            }
        }
        samples
    })
}

fn values() -> impl Strategy<Value = Value> {
    let sample = (labels(), any::<f64>(), 0..6u32).prop_map(|(labels, value, kind)| {
        let histogram = (kind < 2).then(|| histogram(kind));
        VectorSample { labels, timestamp: 1500, value, histogram }
    });
    let series = (labels(), samples(0)).prop_map(|(labels, samples)| MatrixSeries { labels, samples });
    prop_oneof![
        any::<(i32, f64)>().prop_map(|(timestamp, value)| Value::Scalar {
            timestamp: timestamp.into(),
            value: value.round()
        }),
        ".{0,20}".prop_map(|value| Value::String { timestamp: 2000, value }),
        prop::collection::vec(sample, 0..6).prop_map(Value::Vector),
        prop::collection::vec(series, 0..6).prop_map(Value::Matrix),
    ]
}

proptest! {
    #[test]
    fn pieces_of_any_size_join_to_the_whole(value in values(), size in 0..300usize) {
        check(&value, size);
        check(&value, PIECE_BYTES);
    }
}

#[test]
fn shows_every_kind_of_value() {
    let shown = |value: Value| joined(Pieces::new(value, Ticket::default(), b"}}".to_vec(), PIECE_BYTES));
    let data = |rest: &str| format!("{{\"status\":\"success\",\"data\":{{\"resultType\":{rest}}}}}");
    assert_eq!(
        shown(Value::Scalar { timestamp: 1000, value: 1e21 }),
        data("\"scalar\",\"result\":[1,\"1000000000000000000000\"]")
    );
    let text = Value::String { timestamp: -500, value: "a\"b".to_owned() };
    assert_eq!(shown(text), data("\"string\",\"result\":[-0.500,\"a\\\"b\"]"));
    assert_eq!(shown(Value::Vector(Vec::new())), data("\"vector\",\"result\":[]"));
    assert_eq!(shown(Value::Matrix(Vec::new())), data("\"matrix\",\"result\":[]"));
    let labels = Labels::from_pairs([("a", "b")]);
    let sample = |histogram| VectorSample { labels: labels.clone(), timestamp: 1500, value: 1e21, histogram };
    assert_eq!(
        shown(Value::Vector(vec![sample(None), sample(Some(Arc::default()))])),
        data(
            "\"vector\",\"result\":[{\"metric\":{\"a\":\"b\"},\"value\":[1.500,\"1e+21\"]},\
             {\"metric\":{\"a\":\"b\"},\"histogram\":[1.500,{\"count\":\"0\",\"sum\":\"0\"}]}]"
        )
    );
    let mut samples = Samples::new();
    samples.push_histogram(1000, Arc::default());
    samples.push(2000, 5.0);
    samples.push(3000, f64::NAN);
    assert_eq!(
        shown(Value::Matrix(vec![MatrixSeries { labels, samples }])),
        data(
            "\"matrix\",\"result\":[{\"metric\":{\"a\":\"b\"},\"values\":[[2,\"5\"],[3,\"NaN\"]],\
             \"histograms\":[[1,{\"count\":\"0\",\"sum\":\"0\"}]]}]"
        )
    );
}

/// Five series of 10,001 points, which is about a megabyte of text.
fn ask(engine: &Engine) -> QueryResult {
    let one = |number: usize| format!("label_replace(vector(time()), \"n\", \"{number}\", \"\", \"\")");
    let query = (0..5).map(one).collect::<Vec<_>>().join(" or ");
    let (start, end) = (1_700_000_000_000, 1_700_010_000_000);
    engine
        .range(&FixedStorage::default(), &query, start, end, 1000, &QueryOptions::default())
        .expect("an answer")
}

fn start(result: QueryResult) -> (Bytes, Pieces) {
    let mut pieces = Pieces::new(result.value, result.memory, TAIL.to_vec(), PIECE_BYTES);
    (pieces.next().expect("a piece"), pieces)
}

#[test]
fn what_is_written_is_no_longer_counted() {
    let engine = Engine::new(EngineOptions::default());
    let result = ask(&engine);
    let expected = whole(&result.value);
    let whole_bytes = engine.memory_used();
    assert_eq!(whole_bytes, result.value.bytes());
    let (first, pieces) = start(result);
    assert_eq!(engine.memory_used(), whole_bytes, "no series is over yet");
    let mut out = first.to_vec();
    let mut seen = vec![whole_bytes];
    for piece in pieces {
        assert!(piece.len() <= PIECE_BYTES + SLACK_BYTES);
        out.extend_from_slice(&piece);
        seen.push(engine.memory_used());
    }
    assert!(out == expected.as_bytes(), "differs");
    seen.dedup();
    let of_one = whole_bytes / 5;
    assert_eq!(seen, [5, 4, 3, 2, 1, 0].map(|left| left * of_one));
}

#[tokio::test]
async fn a_body_given_up_half_way_leaves_nothing_behind() {
    let engine = Engine::new(EngineOptions::default());
    for taken in [0, 1, 5] {
        let (first, pieces) = start(ask(&engine));
        let body = pieces.into_body(first);
        assert_eq!(axum::body::HttpBody::size_hint(&body).exact(), None);
        let mut parts = body.into_data_stream();
        for _ in 0..taken {
            parts.next().await.expect("a part").expect("no error");
        }
        assert!(engine.memory_used() > 500_000, "{}", engine.memory_used());
        drop(parts);
        assert_eq!(engine.memory_used(), 0);
    }
}

#[tokio::test]
async fn a_body_read_to_its_end_has_everything_once() {
    let engine = Engine::new(EngineOptions::default());
    let result = ask(&engine);
    let expected = whole(&result.value);
    let (first, pieces) = start(result);
    let body = axum::body::to_bytes(pieces.into_body(first), usize::MAX).await.expect("a body");
    assert!(body == expected.as_bytes(), "differs");
    assert_eq!(engine.memory_used(), 0);
}

#[test]
fn a_short_reply_says_how_long_it_is() {
    let value = Value::Scalar { timestamp: 0, value: 1.0 };
    let mut pieces = Pieces::new(value.clone(), Ticket::default(), TAIL.to_vec(), PIECE_BYTES);
    let first = pieces.next().expect("a piece");
    assert_eq!(&first[..], whole(&value).as_bytes());
    let body = pieces.into_body(first);
    assert_eq!(axum::body::HttpBody::size_hint(&body).exact(), Some(whole(&value).len() as u64));
}
