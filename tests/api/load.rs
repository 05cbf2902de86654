//! Queries that wait, run long, or are given up by whoever asked.

use emberkeep::remote::message;

use crate::support::server::wait_for;
use crate::{Server, get, newest, open, start, write};

/// A query that runs for minutes when nobody ends it: a series at a time, each less than a second.
fn slow(server: &Server) -> String {
    let now = newest();
    let mut body = Vec::new();
    for number in 0..2000 {
        let number = number.to_string();
        let labels = [("__name__", "many"), ("number", number.as_str())];
        message::put_series(&mut body, labels.into_iter(), &[(now * 1000, 1.0)]);
    }
    assert_eq!(write::write(server, &body).status, 204);
    let query = "quantile_over_time(0.5,(many@end())[10m:1s])";
    format!("/api/v1/query_range?query={query}&start={}&end={now}&step=1", now - 5000)
}

fn queries(server: &Server) -> Option<u64> {
    let text = get(server, "/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix("prometheus_engine_queries "))?;
    line.trim().parse().ok()
}

#[test]
fn a_query_that_nobody_waits_for_ends_and_frees_its_place() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &["--query.max-concurrency=1"]);
    let slow = open(&server, &format!("GET {}", slow(&server)), &[], b"");
    wait_for("the query to start", || (queries(&server)? == 1).then_some(()));

    // The only place is taken: the next query waits until its time is over.
    let reply = get(&server, "/api/v1/query?query=1&timeout=100ms");
    let expected = serde_json::json!({
        "status": "error", "errorType": "timeout", "error": "query timed out in query queue"
    });
    assert_eq!((reply.status, reply.json()), (503, expected));

    drop(slow);
    wait_for("the query to end", || (queries(&server)? == 0).then_some(()));
    assert_eq!(get(&server, "/api/v1/query?query=1").status, 200);
    assert!(get(&server, "/metrics").text().contains("prometheus_engine_queries_concurrent_max 1\n"));
}

#[test]
fn a_query_ends_when_its_time_is_over() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &["--query.timeout=300ms"]);
    let slow = slow(&server);
    let reply = get(&server, &slow);
    assert_eq!((reply.status, reply.json()["errorType"].as_str()), (503, Some("timeout")));
    // A request cannot ask for more.
    let reply = get(&server, &format!("{slow}&timeout=1h"));
    assert_eq!(reply.status, 503);
    wait_for("the queries to end", || (queries(&server)? == 0).then_some(()));
}
