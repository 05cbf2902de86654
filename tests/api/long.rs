//! Replies that are written while they are sent.

use std::io::Read as _;

use emberkeep::remote::message;
use serde_json::Value;

use crate::support::server::wait_for;
use crate::{FORM, Reply, Server, get, newest, open, send, start, write};

/// Puts the parts of a body together.
fn unchunked(reply: &Reply) -> Vec<u8> {
    assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
    assert_eq!(reply.header("content-length"), None);
    let (mut out, mut rest) = (Vec::new(), &reply.body[..]);
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n").expect("a size");
        let size = std::str::from_utf8(&rest[..end]).expect("text");
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            return out;
        }
        out.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

fn metric(server: &Server, name: &str) -> f64 {
    let text = get(server, "/metrics").text();
    let name = format!("{name}{{handler=\"/api/v1/query_range\"}} ");
    let line =
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_else(|| panic!("{name}: {text}"));
    line.parse().expect("a number")
}

#[test]
fn a_long_reply_comes_in_parts_and_is_whole() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let query = "query=m@0%20or%20label_replace(vector(time()),%22a%22,%22b%22,%22%22,%22%22)&start=0&end=9999&step=1";
    let plain = get(&server, &format!("/api/v1/query_range?{query}"));
    assert_eq!((plain.status, plain.header("content-type")), (200, Some("application/json")));
    let text = unchunked(&plain);
    assert!(text.len() > 130_000, "{}", text.len());
    let data: Value = serde_json::from_slice(&text).expect("JSON");
    let values = data["data"]["result"][0]["values"].as_array().expect("values");
    assert_eq!(values.len(), 10_000);
    assert!(values.iter().zip(0..).all(|(pair, at)| *pair == serde_json::json!([at, at.to_string()])));

    let posted = send(&server, "POST /api/v1/query_range", &[FORM], query.as_bytes());
    assert!(unchunked(&posted) == text);
    let headers = [("Accept-Encoding", "gzip")];
    let packed = send(&server, &format!("GET /api/v1/query_range?{query}"), &headers, b"");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let packed = unchunked(&packed);
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).expect("gzip");
    assert!(unpacked == text);
    // One that is short says its length; it is counted with the rest.
    let short = get(&server, "/api/v1/query_range?query=1&start=0&end=1&step=1");
    assert_eq!(short.header("content-length"), Some(short.body.len().to_string().as_str()));
    assert_eq!(short.header("transfer-encoding"), None);

    let sent = 2 * text.len() + packed.len() + short.body.len();
    // A reply is counted once it is over, which its reader may see first.
    wait_for("four replies", || {
        let name = "prometheus_http_request_duration_seconds_count";
        (metric(&server, name) == 4.0).then_some(())
    });
    assert_eq!(metric(&server, "prometheus_http_response_size_bytes_count"), 4.0);
    assert_eq!(metric(&server, "prometheus_http_response_size_bytes_sum"), sent as f64);
}

#[test]
fn a_reply_that_nobody_reads_on_holds_memory_until_its_client_goes() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &["--query.max-total-memory=50MB", "--query.max-memory=50MB"]);
    let now = newest();
    let mut body = Vec::new();
    for number in 0..200 {
        let number = number.to_string();
        let labels = [("__name__", "many"), ("number", number.as_str())];
        message::put_series(&mut body, labels.into_iter(), &[(now * 1000, 1.0)]);
    }
    assert_eq!(write::write(&server, &body).status, 204);
    // Some 35 MB as samples and 60 MB as text, more than sockets take by themselves.
    let path = format!("/api/v1/query_range?query=many@{now}&start={}&end={now}&step=1", now - 10_999);
    let mut reader = open(&server, &format!("GET {path}"), &[], b"");
    let mut some = [0; 1000];
    reader.read_exact(&mut some).expect("a beginning");
    assert!(some.starts_with(b"HTTP/1.1 200 OK\r\n"));

    // It holds no place, but memory: the same once more does not fit beside it.
    let reply = get(&server, &path);
    assert_eq!(reply.status, 422);
    assert!(reply.text().contains("that all together may hold"), "{}", reply.text());
    drop(reader);
    wait_for("the memory", || (get(&server, &path).status == 200).then_some(()));
}
