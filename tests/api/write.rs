//! Remote write, receiving side: what is taken, what is refused and how it is said.

use emberkeep::model::STALE_NAN_BITS;
use emberkeep::remote::message;

use crate::{Reply, Server, get, newest, send, start};

const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");

fn compress(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).expect("compress")
}

/// Sends one message as a sender does.
pub(crate) fn write(server: &Server, message: &[u8]) -> Reply {
    send(server, "POST /api/v1/write", &[PROTOBUF, ("Content-Encoding", "snappy")], &compress(message))
}

fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Vec<u8> {
    let mut out = Vec::new();
    message::put_series(&mut out, labels.iter().copied(), samples);
    out
}

#[test]
fn refuses_samples_as_prometheus_does() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let now = newest() * 1000;
    let w = [("__name__", "w")];
    let two =
        |samples: &[(i64, f64)]| [series(&[("__name__", "x")], &[(now, 1.0)]), series(&w, samples)].concat();
    let check = |message: &[u8], status: u16, text: &str| {
        let reply = write(&server, message);
        assert_eq!(reply.status, status, "{text}: {}", reply.text());
        assert!(reply.text().starts_with(text), "{}", reply.text());
    };
    check(&series(&w, &[(now - 1000, 1.0)]), 204, "");
    check(&series(&w, &[(now - 1000, 1.0)]), 204, "");
    check(&series(&w, &[(now - 1000, 2.0)]), 400, "duplicate sample for timestamp");
    check(&series(&w, &[(now - 2000, 1.0)]), 400, "out of order sample");
    check(&series(&w, &[(now - 864_000_000, 1.0)]), 400, "out of bounds");
    check(&series(&w, &[(i64::MIN, 1.0)]), 400, "out of bounds");
    check(&series(&w, &[(now + 3_600_000, 1.0)]), 400, "out of bounds: timestamp is too far in the future");
    check(&series(&w, &[(i64::MAX, 1.0)]), 400, "out of bounds: timestamp is too far in the future");
    // Nothing of a refused request is kept.
    check(&two(&[(now - 3000, 1.0)]), 400, "out of order sample");
    assert!(get(&server, "/api/v1/series?match[]=x").text().contains("\"data\":[]"));
    // Series without a name, or with labels that are none, are left out; the rest is kept.
    let odd = [
        series(&[("a", "b")], &[(now, 1.0)]),
        series(&[("__name__", "d"), ("a", "1"), ("a", "2")], &[(now, 1.0)]),
        series(&[("__name__", "e"), ("", "1")], &[(now, 1.0)]),
        // A label value that is no UTF-8.
        vec![10, 31, 10, 13, 10, 8, b'_', b'_', b'n', b'a', b'm', b'e', b'_', b'_', 18, 1, b'f', 10, 14, 10]
            .into_iter()
            .chain(*b"\x01a\x12\x09\xff\xff\xff\xff\xff\xff\xff\xff\xff")
            .collect(),
        series(&[("__name__", "g"), ("b", "1"), ("a", "")], &[(now, 1.0)]),
    ];
    check(&odd.concat(), 204, "");
    // The name of a series that got no sample may show until it is collected, as in Prometheus.
    let names = get(&server, "/api/v1/label/__name__/values").json();
    assert_eq!(names["data"], serde_json::json!(["g", "m", "w", "x"]));
    check(b"", 204, "");
}

#[test]
fn refuses_what_is_no_request() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let fine = compress(&series(&[("__name__", "w")], &[(newest() * 1000, 1.0)]));
    let check = |content_type: &str, encoding: &str, body: &[u8], status: u16, text: &str| {
        let headers = [("Content-Type", content_type), ("Content-Encoding", encoding)];
        let reply = send(&server, "POST /api/v1/write", &headers, body);
        assert_eq!((reply.status, reply.text().as_str()), (status, text), "{content_type} {encoding}");
    };
    let (proto, snappy) = ("application/x-protobuf", "snappy");
    check(proto, snappy, &fine, 204, "");
    check("", "", &fine, 204, "");
    check("application/x-protobuf; proto=prometheus.WriteRequest", snappy, &fine, 204, "");
    check(
        proto,
        "gzip",
        &fine,
        415,
        "gzip encoding (compression) is not accepted by this server; only snappy is acceptable\n",
    );
    check(
        "text/plain",
        snappy,
        &fine,
        415,
        "expected application/x-protobuf as the first (media) part, got text/plain content-type\n",
    );
    check(
        "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        snappy,
        &fine,
        400,
        "failed to decode the request: invalid protobuf field at byte 0\n",
    );
    check(
        "application/x-protobuf;proto=other.Request",
        snappy,
        &fine,
        415,
        "got application/x-protobuf;proto=other.Request content type; unknown type for remote write protobuf message \
         other.Request, supported: prometheus.WriteRequest, io.prometheus.write.v2.Request\n",
    );
    check("text/plain", snappy, b"\xff\xff", 400, "s2: corrupt input\n");
    check(proto, snappy, b"", 400, "s2: corrupt input\n");
    check(proto, snappy, &fine[..fine.len() - 3], 400, "s2: corrupt input\n");
    // Says that it inflates to two gigabytes.
    check(
        proto,
        snappy,
        b"\x80\x80\x80\x80\x08\x00\x00",
        400,
        "decoded size exceeds the 33554432 bytes limit\n",
    );
    for damaged in [b"\xff\xff\xff\xff".as_slice(), b"\x02\x00", b"\x08\x01", b"\x0a\x7f"] {
        let reply = write(&server, damaged);
        assert_eq!(reply.status, 400, "{damaged:?}: {}", reply.text());
    }
}

#[test]
fn stale_markers_survive() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let now = newest() * 1000;
    let stale = f64::from_bits(STALE_NAN_BITS);
    let samples = [(now - 2000, 1.0), (now - 1000, stale)];
    assert_eq!(write(&server, &series(&[("__name__", "st")], &samples)).status, 204);
    let result = |query: &str| {
        get(&server, &format!("/api/v1/query?query={query}&time={}", now / 1000)).json()["data"]["result"]
            .take()
    };
    assert_eq!(result("st"), serde_json::json!([]));
    assert_eq!(result("st[1m]")[0]["values"].as_array().map(Vec::len), Some(1));
}

#[test]
fn is_off_unless_asked_for() {
    let dir = tempfile::tempdir().expect("dir");
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    let reply = write(&server, b"");
    let text = "remote write receiver needs to be enabled with --web.enable-remote-write-receiver\n";
    assert_eq!((reply.status, reply.text().as_str()), (404, text));
    let reply = send(&server, "POST /-/quit", &[], b"");
    assert_eq!((reply.status, reply.text().as_str()), (403, "Lifecycle API is not enabled.\n"));
}
