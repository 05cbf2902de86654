//! What stands beside samples: exemplars and metadata pushed over HTTP and asked for.

use emberkeep::codec::protobuf::{put_bytes, put_float, put_varint};
use serde_json::json;

use crate::{get, newest, send, start};

const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

fn message(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out);
    out
}

/// A request of version 2.0: a sample of `pushed_total` with an exemplar and metadata; with `odd` a part that is bad.
fn request(at: i64, odd: bool) -> Vec<u8> {
    let sample = message(|m| {
        put_float(m, 1, 3.0);
        put_varint(m, 2, at.cast_unsigned());
    });
    let exemplar = message(|m| {
        put_bytes(m, 1, &[5, 6]);
        put_float(m, 2, 0.25);
        put_varint(m, 3, (at - 500).cast_unsigned());
    });
    let metadata = message(|m| {
        put_varint(m, 1, 1);
        put_varint(m, 3, 7);
    });
    let series = message(|m| {
        put_bytes(m, 1, &[1, 2, 3, 4]);
        put_bytes(m, 2, &sample);
        put_bytes(m, 4, &exemplar);
        put_bytes(m, 5, &metadata);
    });
    let request = message(|m| {
        for symbol in ["", "__name__", "pushed_total", "job", "x", "trace_id", "abc", "Some help."] {
            put_bytes(m, 4, symbol.as_bytes());
        }
        put_bytes(m, 5, &series);
        if odd {
            put_bytes(m, 5, &message(|m| put_bytes(m, 1, &[1, 2])));
        }
    });
    snap::raw::Encoder::new().compress_vec(&request).expect("compress")
}

#[test]
fn exemplars_and_metadata_are_pushed_and_asked_for() {
    let dir = tempfile::tempdir().expect("dir");
    let mut server = start(&dir, &[]);
    let now = newest() * 1000;
    let push = |server: &crate::Server, at: i64, odd: bool| {
        let headers = [("Content-Type", V2), ("Content-Encoding", "snappy")];
        let reply = send(server, "POST /api/v1/write", &headers, &request(at, odd));
        let written = ["samples", "histograms", "exemplars"].map(|what| {
            let name = format!("x-prometheus-remote-write-{what}-written");
            reply.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone())
        });
        (reply.status, written.map(Option::unwrap_or_default).join(" "), reply.text())
    };
    assert_eq!(push(&server, now - 2000, false), (204, "1 0 1".to_owned(), String::new()));
    let (status, written, text) = push(&server, now - 1000, true);
    assert_eq!((status, written.as_str()), (400, "1 0 1"));
    assert!(text.starts_with("TimeSeries must contain at least one sample or histogram"), "{text}");
    let damaged = snap::raw::Encoder::new().compress_vec(b"\xff").expect("compress");
    let reply = send(&server, "POST /api/v1/write", &[("Content-Type", V2)], &damaged);
    assert_eq!(reply.status, 400);
    assert!(reply.headers.iter().any(|(name, value)| name.ends_with("samples-written") && value == "0"));

    let seconds = |ms: i64| ms as f64 / 1000.0;
    let one =
        |at: i64| json!({"labels": {"trace_id": "abc"}, "value": "0.25", "timestamp": seconds(at - 500)});
    let labels = json!({"__name__": "pushed_total", "job": "x"});
    let both = json!([{"seriesLabels": labels, "exemplars": [one(now - 2000), one(now - 1000)]}]);
    let ask = |server: &crate::Server, query: &str| {
        let reply = get(server, &format!("/api/v1/query_exemplars?{query}"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["data"].clone()
    };
    // Only the second is inside; an end before the first finds nothing.
    let second = json!([{"seriesLabels": labels, "exemplars": [one(now - 1000)]}]);
    let range = format!("start={}&end={}", seconds(now - 2000), seconds(now));
    for restarted in [false, true] {
        if restarted {
            server.kill();
            server = crate::Server::start(&dir.path().join("data"), &[], &[]);
        }
        assert_eq!(ask(&server, "query=sum(rate(pushed_total[5m]))%20/%20m"), both);
        assert_eq!(ask(&server, "query={job=~%22x|y%22}"), both);
        assert_eq!(ask(&server, "query=pushed_total{job!=%22x%22}"), json!([]));
        assert_eq!(ask(&server, &format!("query=pushed_total&{range}")), second);
        let known = json!({"pushed_total": [{"type": "counter", "unit": "", "help": "Some help."}]});
        assert_eq!(get(&server, "/api/v1/metadata?metric=pushed_total").json()["data"], known);
        let all = get(&server, "/api/v1/metadata").json();
        assert_eq!(all["data"]["pushed_total"], known["pushed_total"]);
    }
}
