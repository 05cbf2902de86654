//! Start timestamps from targets to the replies of queries, over restarts of the server and of the targets.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use emberkeep::codec::protobuf::{put_bytes, put_float, put_varint};
use serde_json::Value;

use crate::exposed::{PROTOBUF, Said, family, message, target};
use crate::support::server::{Client, Server, number, wait_for};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const FEATURES: &str = "--enable-feature=st-storage,use-start-timestamps,promql-experimental-functions";

/// Milliseconds since the epoch.
fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after the epoch");
    u64::try_from(now.as_millis()).expect("small")
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// A counter and a native histogram that count since `created` milliseconds.
fn protobuf(count: u8, created: u64) -> Vec<u8> {
    let began = message(|out| {
        put_varint(out, 1, created / 1000);
        put_varint(out, 2, created % 1000 * 1_000_000);
    });
    let counter = message(|out| {
        put_float(out, 1, f64::from(count));
        put_bytes(out, 3, &began);
    });
    let histogram = message(|out| {
        put_varint(out, 1, u64::from(count));
        put_float(out, 2, 4.5);
        // All in one bucket of schema 0.
        let span = message(|out| {
            put_varint(out, 1, 2);
            put_varint(out, 2, 1);
        });
        put_bytes(out, 12, &span);
        put_bytes(out, 13, &[2 * count]);
        put_bytes(out, 15, &began);
    });
    [family("c_total", 0, 3, &counter), family("h", 4, 7, &histogram)].concat()
}

fn openmetrics(count: u8, created: u64) -> Vec<u8> {
    format!("# TYPE c counter\nc_total {count}\nc_created {}\n# EOF\n", seconds(created)).into_bytes()
}

/// The value of each job, in order of their names.
fn values(client: &Client, server: &Server, query: &str, at: u64) -> Vec<(String, f64)> {
    let time = seconds(at).to_string();
    let data = client.api(&server.url, "query", &[("query", query), ("time", &time)]);
    let rows = data["result"].as_array().expect("a vector").iter();
    let job = |row: &Value| row["metric"]["job"].as_str().expect("a job").to_owned();
    let mut found: Vec<_> = rows.map(|row| (job(row), number(&row["value"][1]))).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn starts_of_counting_outlive_the_server_and_tell_of_restarts() {
    let first = now_ms() - 30_000;
    let says = |kind, body| Said::new(Mutex::new((kind, body)));
    let (by_protobuf, by_text) =
        (says(PROTOBUF, protobuf(5, first)), says(OPENMETRICS, openmetrics(5, first)));
    let ((one, accepted), (other, _)) = (target(Arc::clone(&by_protobuf)), target(Arc::clone(&by_text)));
    let dir = tempfile::tempdir().expect("dir");
    let config = dir.path().join("starts.yml");
    let text = format!(
        "global: {{scrape_interval: 200ms}}\nscrape_configs:\n\
         - {{job_name: p, scrape_native_histograms: true, static_configs: [{{targets: ['{one}']}}]}}\n\
         - {{job_name: t, static_configs: [{{targets: ['{other}']}}]}}\n"
    );
    std::fs::write(&config, text).expect("config");
    let (data, file) = (dir.path().join("data"), format!("--config.file={}", config.display()));
    let start = || Server::start(&data, &[file.as_str(), FEATURES], &[]);
    let client = Client::new();
    let job = |name: &str, value: f64| (name.to_owned(), value);
    let both = |value| vec![job("p", value), job("t", value)];

    let server = start();
    let known = |server: &Server, start: u64| {
        wait_for("starts of both jobs", || {
            let counters = values(&client, server, "start_timestamp(c_total)", now_ms());
            let histograms = values(&client, server, "start_timestamp(h)", now_ms());
            let start = seconds(start);
            (counters == both(start) && histograms == [job("p", start)]).then(now_ms)
        })
    };
    let before = known(&server, first);
    assert!(accepted.lock().expect("unpoisoned").starts_with("application/vnd.google.protobuf;proto="));
    assert_eq!(values(&client, &server, "c_created", before), [], "no series of its own");
    assert_eq!(values(&client, &server, "start_timestamp(up)", before), both(0.0));
    server.kill();

    let server = start();
    let restarted = seconds(now_ms());
    assert_eq!(
        values(&client, &server, "start_timestamp(c_total)", before),
        both(seconds(first)),
        "from the log"
    );
    wait_for("new samples", || {
        let times = values(&client, &server, "timestamp(c_total)", now_ms());
        (times.len() == 2 && times.iter().all(|(_, time)| *time > restarted)).then_some(())
    });
    // The targets end, start anew and count further than they had: no value falls.
    let say = |protobuf: Vec<u8>, text: Vec<u8>| {
        *by_protobuf.lock().expect("unpoisoned") = (PROTOBUF, protobuf);
        *by_text.lock().expect("unpoisoned") = (OPENMETRICS, text);
    };
    say(Vec::new(), b"# EOF\n".to_vec());
    wait_for("the end of both", || {
        let up = values(&client, &server, "up", now_ms()) == both(1.0);
        (up && values(&client, &server, "c_total", now_ms()).is_empty()).then_some(())
    });
    let second = now_ms();
    say(protobuf(7, second), openmetrics(7, second));
    let after = known(&server, second);
    let check = |server: &Server| {
        assert_eq!(values(&client, server, "resets(c_total[1m])", after), both(1.0));
        assert_eq!(values(&client, server, "resets(h[1m])", after), [job("p", 1.0)]);
        // From nothing to 5 and again to 7; the window goes on for a moment behind the last sample.
        for query in ["increase(c_total[2m])", "histogram_count(increase(h[2m]))", "rate(c_total[2m]) * 120"]
        {
            let found = values(&client, server, query, after);
            assert!(!found.is_empty(), "{query}");
            assert!(found.iter().all(|(_, value)| (12.0..12.8).contains(value)), "{query}: {found:?}");
        }
        assert_eq!(values(&client, server, "start_timestamp(c_total)", before), both(seconds(first)));
        assert_eq!(values(&client, server, "start_timestamp(c_total + 1)", after), []);
    };
    check(&server);
    assert!(server.stop().success());

    // Whoever does not look at starts sees no restart.
    let server = Server::start(&data, &[file.as_str()], &[]);
    assert_eq!(values(&client, &server, "resets(c_total[1m])", after), both(0.0));
    let found = values(&client, &server, "increase(c_total[2m])", after);
    assert!(found.iter().all(|(_, value)| *value < 4.0), "{found:?}");
    server.kill();
    check(&start());
}
