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

#[test]
fn an_expression_that_takes_long_keeps_nobody_waiting() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let now = newest() * 1000;
    let write = |first: u32, names: u32| {
        let mut body = Vec::new();
        for number in first..first + names {
            let text = format!("{number:b}").repeat(60);
            let labels = [("__name__", "texts"), ("text", text.as_str())];
            message::put_series(&mut body, labels.into_iter(), &[(now, 1.0)]);
        }
        write::write(&server, &body).status
    };
    assert_eq!(write(0, 3000), 204);
    // Thousands of ways are followed at once, for each character.
    let slow: Vec<String> = (0..2000).map(|n| format!(".{{0,20}}a{n}")).collect();
    let form = format!("query=count(texts%7Btext=~%22{}%22%7D)", slow.join("%7C"));
    let ask = || {
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        open(&server, "POST /api/v1/query", &kind, form.as_bytes())
    };
    let asked = ask();
    wait_for("the query to start", || (queries(&server)? == 1).then_some(()));
    // Samples of new series and old ones are taken, and other queries answered, while it goes on.
    for round in 0..3 {
        assert_eq!(write(3000 + round, 1), 204);
        assert_eq!(get(&server, "/api/v1/query?query=count(texts)").status, 200);
    }
    assert_eq!(queries(&server), Some(1), "it still runs");
    drop(asked);
    wait_for("the query to end", || (queries(&server)? == 0).then_some(()));
    let reply = crate::send(
        &server,
        "POST /api/v1/query?timeout=300ms",
        &[("Content-Type", "application/x-www-form-urlencoded")],
        form.as_bytes(),
    );
    assert_eq!((reply.status, reply.json()["errorType"].as_str()), (503, Some("timeout")));
    assert!(server.stop().success());
}
