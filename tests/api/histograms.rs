//! Native histograms in replies.

use std::sync::Arc;

use emberkeep::model::histogram::Buckets;
use emberkeep::model::{Histogram, Labels};
use emberkeep::telemetry::Registry;
use emberkeep::tsdb::{CommitMode, Tsdb, TsdbOptions};
use emberkeep::util::SystemClock;
use serde_json::json;

use super::support::server::Server;
use super::{get, newest};

/// A server whose database holds a histogram and then a float of one series, at these times in seconds.
fn start(dir: &tempfile::TempDir, first: i64, last: i64) -> Server {
    let path = dir.path().join("data");
    let db = Tsdb::open(TsdbOptions::new(&path), Arc::new(SystemClock), &mut Registry::default());
    let db = db.expect("an empty folder");
    let mut appender = db.appender(None);
    let series = appender.series(&Labels::from_pairs([("__name__", "h")]));
    let histogram = Histogram {
        count: 7.0,
        sum: 4.5,
        zero_threshold: 0.001,
        zero_count: 2.0,
        positive: Buckets::from_numbered([(1, 3.0), (2, 1.0)]),
        negative: Buckets::from_numbered([(0, 1.0)]),
        ..Histogram::default()
    };
    appender.append_histogram(series, first * 1000, Arc::new(histogram));
    appender.commit(CommitMode::Whole).expect("committed");
    let mut appender = db.appender(None);
    appender.append(series, last * 1000, 5.0);
    appender.commit(CommitMode::Whole).expect("committed");
    db.close().expect("closed");
    drop(db);
    Server::start(&path, &[], &[])
}

#[test]
fn are_shown_with_their_populated_buckets() {
    let dir = tempfile::tempdir().expect("a folder");
    let last = newest();
    let first = last - 60;
    let server = start(&dir, first, last);
    let shown = json!({
        "count": "7",
        "sum": "4.5",
        "buckets": [
            [1, "-1", "-0.5", "1"],
            [3, "-0.001", "0.001", "2"],
            [0, "1", "2", "3"],
            [0, "2", "4", "1"]
        ]
    });
    let data = |path: String| get(&server, &path).json()["data"].clone();
    let metric = json!({ "__name__": "h" });
    assert_eq!(
        data(format!("/api/v1/query?query=h&time={first}")),
        json!({ "resultType": "vector", "result": [{ "metric": metric, "histogram": [first, shown] }] })
    );
    let both = json!({
        "resultType": "matrix",
        "result": [{ "metric": metric, "values": [[last, "5"]], "histograms": [[first, shown]] }]
    });
    assert_eq!(data(format!("/api/v1/query_range?query=h&start={first}&end={last}&step=60")), both);
    assert_eq!(data(format!("/api/v1/query?query=h[2m]&time={last}")), both);
    assert_eq!(
        data(format!("/api/v1/query?query=histogram_quantile(0.75,h)&time={first}"))["result"][0]["value"],
        json!([first, "1.6817928305074292"])
    );
    let mixed = get(&server, &format!("/api/v1/query?query=rate(h[2m])&time={last}")).json();
    assert_eq!(mixed["data"]["result"], json!([]));
    assert_eq!(
        mixed["warnings"],
        json!(["PromQL warning: encountered a mix of histograms and floats for metric name \"h\" (1:6)"])
    );
}
