//! The HTTP surface of the real binary: status codes, headers, error kinds and texts, as Prometheus 3 has them.
//!
//! Requests are written to a socket as they are, so that nothing in between mends them. [`admin`] is about deleting and
//! snapshots, [`clocks`] about samples of the future, [`connections`] about their number and time, [`cost`] about
//! statistics, [`framing`] about where requests begin and end, [`histograms`] about native ones, [`lanes`] about what is
//! looked up, [`write`] about remote write, [`load`] about queries that wait, run long or are given up, [`long`] about
//! replies that are written while they are sent, [`replay`] about the time while the log is replayed, [`site`] about
//! prefixes and origins, [`silent`] about
//! logs that cannot be written, [`starts`] about start timestamps, [`typed`] about types and units as labels.

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod alertmanagers;
mod beside;
mod clocks;
mod connections;
mod cost;
mod discovery;
mod exposed;
mod framing;
mod histograms;
mod lanes;
mod load;
mod logs;
mod long;
mod metrics;
mod replay;
mod silent;
mod site;
mod starts;
mod typed;
mod write;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use emberkeep::remote::message;
use serde_json::Value;
use support::server::{PATIENCE, Server};

/// Time of the last sample, in seconds: now, rounded down to a minute.
fn newest() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("fits") / 60 * 60
}

/// One reply.
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// Sends the head of a request and its body on a connection of its own.
fn open(server: &Server, head: &str, headers: &[(&str, &str)], body: &[u8]) -> TcpStream {
    let address = server.url.strip_prefix("http://").expect("a plain url");
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let mut request = format!("{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    if !body.is_empty() {
        request.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).expect("send");
    // A refusal may come before the whole body was read.
    let _ = stream.write_all(body);
    stream
}

fn receive(mut stream: TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a whole head");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next().and_then(|l| l.split(' ').nth(1)).expect("a status").parse().expect("a number");
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned())).collect();
    Reply { status, headers, body: bytes[end + 4..].to_vec() }
}

fn send(server: &Server, head: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    receive(open(server, head, headers, body))
}

fn get(server: &Server, path: &str) -> Reply {
    send(server, &format!("GET {path}"), &[], b"")
}

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// A server that takes remote write and may be reloaded, filled with a few series.
fn start(dir: &tempfile::TempDir, args: &[&str]) -> Server {
    let all = [&["--web.enable-remote-write-receiver", "--web.enable-lifecycle"], args].concat();
    let server = Server::start(&dir.path().join("data"), &all, &[]);
    let mut body = Vec::new();
    let samples: Vec<(i64, f64)> =
        (0..5i32).map(|at| ((newest() - 60 + i64::from(at) * 15) * 1000, f64::from(at))).collect();
    for instance in ["a", "b", "c"] {
        let labels = [("__name__", "m"), ("instance", instance), ("my.label", "x")];
        message::put_series(&mut body, labels.into_iter(), &samples);
    }
    assert_eq!(write::write(&server, &body).status, 204);
    server
}

/// Everything that is refused with an envelope: the request after `/api/v1/`, error kind, error text.
const REFUSED: &[(&str, u16, &str, &str)] = &[
    (
        "query?query=",
        400,
        "bad_data",
        "invalid parameter \"query\": unknown position: parse error: no expression found in input",
    ),
    (
        "query?query=%zz",
        400,
        "bad_data",
        "invalid parameter \"query\": unknown position: parse error: no expression found in input",
    ),
    (
        "query?query=m&time=abc",
        400,
        "bad_data",
        "invalid parameter \"time\": invalid time value for 'time': cannot parse \"abc\" to a valid timestamp",
    ),
    (
        "query?query=m&time=2015-07-01t20:11:00z",
        400,
        "bad_data",
        "invalid parameter \"time\": invalid time value for 'time': cannot parse \"2015-07-01t20:11:00z\" to a valid timestamp",
    ),
    (
        "query?query=m{&limit=abc&time=x",
        400,
        "bad_data",
        "invalid parameter \"limit\": strconv.Atoi: parsing \"abc\": invalid syntax",
    ),
    (
        "query?query=m&limit=99999999999999999999",
        400,
        "bad_data",
        "invalid parameter \"limit\": strconv.Atoi: parsing \"99999999999999999999\": value out of range",
    ),
    ("query?query=m&limit=-1", 400, "bad_data", "invalid parameter \"limit\": limit must be non-negative"),
    (
        "query?query=m&timeout=x",
        400,
        "bad_data",
        "invalid parameter \"timeout\": cannot parse \"x\" to a valid duration",
    ),
    ("query?query=m&timeout=-1", 503, "timeout", "query timed out in expression evaluation"),
    (
        "query?query=m&lookback_delta=x",
        400,
        "bad_data",
        "error parsing lookback delta duration: cannot parse \"x\" to a valid duration",
    ),
    (
        "query_range?query=m&start=x&end=2&step=1",
        400,
        "bad_data",
        "invalid parameter \"start\": cannot parse \"x\" to a valid timestamp",
    ),
    (
        "query_range?query=m&start=5&end=2&step=1",
        400,
        "bad_data",
        "invalid parameter \"end\": end timestamp must not be before start time",
    ),
    (
        "query_range?query=m&start=1&end=2&step=0",
        400,
        "bad_data",
        "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
    ),
    (
        "query_range?query=m&start=1&end=2&step=NaN",
        400,
        "bad_data",
        "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
    ),
    (
        "query_range?query=m&start=1&end=2&step=1e10",
        400,
        "bad_data",
        "invalid parameter \"step\": cannot parse \"1e10\" to a valid duration. It overflows int64",
    ),
    (
        "query_range?query=m&start=0&end=11001&step=1",
        400,
        "bad_data",
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
    ),
    (
        "query_range?query=m[1m]&start=0&end=1&step=1",
        400,
        "bad_data",
        "invalid parameter \"query\": invalid expression type \"range vector\" for range query, must be Scalar or instant Vector",
    ),
    ("query_exemplars?query=m{", 400, "bad_data", "1:3: parse error: unexpected end of input inside braces"),
    (
        "query?query=m&explain=yes",
        400,
        "bad_data",
        "invalid parameter \"explain\": invalid value \"yes\", use \"1\" or leave it out",
    ),
    (
        "query_range?query=m&start=0&end=1&step=1&nocache=yes",
        400,
        "bad_data",
        "invalid parameter \"nocache\": invalid value \"yes\", use \"1\" or leave it out",
    ),
    (
        "query_exemplars?query=m&start=2&end=1",
        400,
        "bad_data",
        "end timestamp must not be before start timestamp",
    ),
    ("series", 400, "bad_data", "no match[] parameter provided"),
    (
        "series?match[]={}",
        400,
        "bad_data",
        "invalid parameter \"match[]\": match[] must contain at least one non-empty matcher",
    ),
    (
        "series?match[]=m{&start=x",
        400,
        "bad_data",
        "invalid parameter \"start\": invalid time value for 'start': cannot parse \"x\" to a valid timestamp",
    ),
    ("labels?match[]={}", 400, "bad_data", "match[] must contain at least one non-empty matcher"),
    ("labels?match[]=m{", 400, "bad_data", "1:3: parse error: unexpected end of input inside braces"),
    ("label/U__/values", 400, "bad_data", "invalid label name: \"\""),
    ("label/%ff/values", 400, "bad_data", "invalid label name: it is not UTF-8"),
    ("status/tsdb?limit=0", 400, "bad_data", "limit must be a positive number"),
    ("status/tsdb?limit=10001", 400, "bad_data", "limit must not exceed 10000"),
    ("metadata?limit=x", 400, "bad_data", "limit must be a number"),
    ("rules?type=x", 400, "bad_data", "invalid parameter \"type\": not supported value \"x\""),
    (
        "rules?group_limit=0",
        400,
        "bad_data",
        "invalid parameter \"group_limit\": group_limit needs to be greater than 0",
    ),
    (
        "rules?group_next_token=x",
        400,
        "bad_data",
        "invalid parameter \"group_next_token\": group_limit needs to be present in order to paginate over the groups",
    ),
    (
        "parse_query?query=limitk(1,m)",
        400,
        "bad_data",
        "invalid parameter \"query\": 1:1: parse error: limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
    ),
];

#[test]
fn refuses_in_the_words_of_prometheus() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    for (path, status, kind, text) in REFUSED {
        let reply = get(&server, &format!("/api/v1/{path}"));
        assert_eq!(reply.status, *status, "{path}: {}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/json"), "{path}");
        let expected = serde_json::json!({ "status": "error", "errorType": kind, "error": text });
        assert_eq!(reply.json(), expected, "{path}");
    }
}

#[test]
fn answers_in_the_shapes_of_prometheus() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let check = |path: &str, data: &str, warnings: &[&str]| {
        let reply = get(&server, &format!("/api/v1/{path}"));
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        let json = reply.json();
        assert_eq!(json["data"], serde_json::from_str::<Value>(data).expect("json"), "{path}");
        let found: Vec<&str> =
            json["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert_eq!(found, warnings, "{path}");
    };
    let truncated = ["results truncated due to limit"];
    check("query?query=1&time=1.0005", r#"{"resultType":"scalar","result":[1,"1"]}"#, &[]);
    check(
        "query?query=1&time=9999-12-31T23:59:59Z",
        r#"{"resultType":"scalar","result":[253402300799,"1"]}"#,
        &[],
    );
    check("query?query=\"a<b>\"&time=5", r#"{"resultType":"string","result":[5,"a<b>"]}"#, &[]);
    check("query?query=m{instance=\"z\"}&time=5", r#"{"resultType":"vector","result":[]}"#, &[]);
    // A pair with a semicolon or a broken escape is as if it were not there.
    check("query?query=1&time=5&limit=1;2&limit=%zz", r#"{"resultType":"scalar","result":[5,"1"]}"#, &[]);
    check("labels", r#"["__name__","instance","my.label"]"#, &[]);
    check("labels?limit=1", r#"["__name__"]"#, &truncated);
    check("labels?start=5&end=1", "[]", &[]);
    check("series?match[]=m&start=5&end=1", "[]", &[]);
    check("series?match[]=m&limit=1", r#"[{"__name__":"m","instance":"a","my.label":"x"}]"#, &truncated);
    check("label/instance/values?limit=2", r#"["a","b"]"#, &truncated);
    check("label/U__my_2e_label/values", r#"["x"]"#, &[]);
    check("label/my.label/values", r#"["x"]"#, &[]);
    check("label/U__a_zz_/values", "[]", &[]);
    check("query_exemplars?query=m", "[]", &[]);
    check("rules?type=alert&group_limit=5", r#"{"groups":[]}"#, &[]);
    check(
        "targets?state=bogus",
        r#"{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":null}"#,
        &[],
    );

    let reply = get(&server, "/api/v1/query_exemplars?query=1");
    assert_eq!((reply.status, reply.body.len()), (204, 0));
    let form = |headers: &[(&str, &str)]| {
        send(&server, "POST /api/v1/query?query=m", headers, b"query=1&time=5").text()
    };
    let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[5,"1"]}}"#;
    assert_eq!(form(&[FORM]), scalar);
    assert_eq!(form(&[("Content-Type", "Application/X-WWW-Form-Urlencoded; charset=utf-8")]), scalar);
    assert_ne!(form(&[("Content-Type", "text/plain")]), scalar);
    let pad = [b"query=1&pad=".as_slice(), &vec![b'x'; 11 << 20]].concat();
    let reply = send(&server, "POST /api/v1/query", &[FORM], &pad);
    assert_eq!((reply.status, &reply.json()["errorType"]), (400, &Value::from("bad_data")));
}

#[test]
fn names_methods_and_unknown_paths_as_prometheus_does() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let not_allowed = "Method Not Allowed\n";
    let not_found = "404 page not found\n";
    for (request, status, text, allow) in [
        ("OPTIONS /api/v1/query", 204, "", None),
        ("OPTIONS /api/v1/nope", 204, "", None),
        ("DELETE /api/v1/query", 405, not_allowed, Some("GET, OPTIONS, POST")),
        ("POST /api/v1/label/a/values", 405, not_allowed, Some("GET, OPTIONS")),
        ("HEAD /api/v1/labels", 405, "", Some("GET, OPTIONS, POST")),
        ("GET /api/v1/write", 405, not_allowed, Some("OPTIONS, POST")),
        ("GET /api/v1/nope", 404, not_found, None),
        ("GET /api/v1/", 404, not_found, None),
        ("GET /nope", 404, not_found, None),
        ("POST /nope", 404, not_found, None),
        ("GET /federate", 404, not_found, None),
        ("GET /assets/nope.js", 404, not_found, None),
        ("POST /query", 405, not_allowed, Some("GET, HEAD, OPTIONS")),
        ("OPTIONS /query", 200, "", Some("GET, HEAD, OPTIONS")),
        ("GET /-/healthy", 200, "Emberkeep is Healthy.\n", None),
        ("HEAD /-/healthy", 200, "", None),
        ("GET /-/ready", 200, "Emberkeep is Ready.\n", None),
        ("POST /-/ready", 405, not_allowed, Some("GET, HEAD, OPTIONS")),
        ("GET /-/reload", 405, "Only POST or PUT requests allowed", None),
        ("DELETE /-/reload", 405, not_allowed, Some("GET, OPTIONS, POST, PUT")),
        ("PUT /-/reload", 200, "", None),
    ] {
        let reply = send(&server, request, &[], b"");
        assert_eq!((reply.status, reply.text().as_str()), (status, text), "{request}");
        if allow.is_some() {
            assert_eq!(reply.header("allow"), allow, "{request}");
        }
    }
    for page in ["query", "alerts", "rules", "targets", "status", "tsdb-status", "flags", "config"] {
        let reply = get(&server, &format!("/{page}"));
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some("text/html; charset=utf-8")),
            "{page}"
        );
    }
    // A browser is shown the page, which says that there is nothing here.
    let reply = send(&server, "GET /nope", &[("Accept", "text/html,*/*")], b"");
    assert_eq!((reply.status, reply.header("content-type")), (404, Some("text/html; charset=utf-8")));
    let reply = get(&server, "/graph?g0.expr=up");
    assert_eq!((reply.status, reply.header("location")), (302, Some("/query?g0.expr=up")));
}

#[test]
fn sends_the_headers_that_browsers_and_caches_need() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let path = "/api/v1/query?query=1";
    let reply = get(&server, path);
    assert_eq!(reply.header("vary"), Some("Accept-Encoding, Origin"));
    assert_eq!(reply.header("access-control-allow-origin"), None);
    let reply = send(&server, &format!("OPTIONS {path}"), &[("Origin", "http://x.y")], b"");
    assert_eq!(reply.header("access-control-allow-origin"), Some("http://x.y"));
    assert_eq!(reply.header("access-control-allow-methods"), Some("GET, POST, OPTIONS"));
    assert_eq!(
        reply.header("access-control-allow-headers"),
        Some("Accept, Authorization, Content-Type, Origin")
    );
    assert_eq!(reply.header("access-control-expose-headers"), Some("Date"));
    for encoding in ["gzip", "deflate"] {
        let reply = send(
            &server,
            "GET /api/v1/query_range?query=time()&start=0&end=1000&step=1",
            &[("Accept-Encoding", encoding)],
            b"",
        );
        assert_eq!(reply.header("content-encoding"), Some(encoding));
        assert_eq!(
            reply.header("vary").map(str::to_ascii_lowercase).as_deref(),
            Some("accept-encoding, origin")
        );
    }
    let reply = send(
        &server,
        "GET /api/v1/query_range?query=time()&start=0&end=1000&step=1",
        &[("Accept-Encoding", "br")],
        b"",
    );
    assert_eq!(reply.header("content-encoding"), None);
}
