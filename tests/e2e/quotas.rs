//! Soft quotas and the memory budget of a real server: what is known goes on, what is new is refused, told, and taken
//! again.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::support::server::{Client, Server, wait_for};
use crate::support::services::Service;

/// A service with a good series and as many of another metric as it is told.
fn start_exploding(users: &Arc<AtomicU32>) -> Service {
    let users = Arc::clone(users);
    let pages = Arc::new(move |path: &str| {
        let mut body = String::new();
        for user in 0..users.load(Ordering::Relaxed) {
            writeln!(body, "requests_total{{code=\"200\",user=\"{user}\"}} 1").expect("text");
        }
        body.push_str("good 1\n");
        (path == "/metrics").then_some(body)
    });
    Service::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), pages).expect("a free port")
}

fn write_config(dir: &Path, global: &str, service: &Service) -> PathBuf {
    let path = dir.join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 100ms{global}}}\nscrape_configs:\n- job_name: j\n  static_configs: [{{targets: ['{}']}}]\n",
        service.address
    );
    std::fs::write(&path, text).expect("write");
    path
}

fn value(client: &Client, server: &Server, query: &str) -> Option<f64> {
    client.vector(&server.url, query).first().map(|(_, value)| *value)
}

fn refused(client: &Client, server: &Server) -> Value {
    let targets = client.api(&server.url, "targets", &[]);
    targets["activeTargets"][0]["refusedSeries"].clone()
}

#[test]
fn an_exploding_target_keeps_its_series_over_a_kill_and_is_told() {
    let (dir, files) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let users = Arc::new(AtomicU32::new(4));
    let service = start_exploding(&users);
    let config = write_config(files.path(), ", target_series_quota: 5", &service);
    let args = ["--config.file", config.to_str().expect("text")];
    let client = Client::new();
    let mut server = Server::start(dir.path(), &args, &[]);
    wait_for("the first series", || {
        (value(&client, &server, "count(requests_total)") == Some(4.0)).then_some(())
    });
    users.store(50, Ordering::Relaxed);
    for round in 0..2 {
        wait_for("series are refused", || {
            (value(&client, &server, "scrape_series_refused") == Some(46.0)).then_some(())
        });
        let one = |query: &str| value(&client, &server, query);
        assert_eq!(one("count(requests_total)"), Some(4.0), "round {round}");
        assert_eq!((one("up"), one("good")), (Some(1.0), Some(1.0)));
        let shown = wait_for("what explodes is shown", || {
            let shown = refused(&client, &server);
            (!shown["metric"].is_null()).then_some(shown)
        });
        let expected = json!({
            "count": 46, "reason": "target series quota of 5 reached", "metric": "requests_total",
            "metricSeries": 50, "label": "user", "labelValues": 50,
        });
        assert_eq!(shown, expected);
        server.kill();
        server = Server::start(dir.path(), &args, &[]);
    }
    // A new quota holds from the reload on.
    write_config(files.path(), ", target_series_quota: 60", &service);
    server.signal("HUP");
    wait_for("all series", || (value(&client, &server, "count(requests_total)") == Some(50.0)).then_some(()));
    wait_for("nothing is refused", || {
        (value(&client, &server, "scrape_series_refused") == Some(0.0)).then_some(())
    });
    assert_eq!(refused(&client, &server), Value::Null);
}

#[test]
fn over_the_memory_budget_new_series_are_refused_and_all_pages_say_so() {
    let (dir, files) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let users = Arc::new(AtomicU32::new(1));
    let service = start_exploding(&users);
    let config = write_config(files.path(), "", &service);
    let args = ["--config.file", config.to_str().expect("text")];
    let client = Client::new();
    let info =
        |server: &Server| client.api(&server.url, "status/runtimeinfo", &[])["newSeriesRefused"].clone();
    let server = Server::start(dir.path(), &args, &[]);
    wait_for("the first series", || value(&client, &server, "good"));
    assert_eq!(info(&server), Value::Null);
    server.stop();

    users.store(2, Ordering::Relaxed);
    let small: Vec<&str> = args.iter().copied().chain(["--storage.tsdb.memory-budget", "1MB"]).collect();
    let server = Server::start(dir.path(), &small, &[]);
    wait_for("a series is refused", || {
        (value(&client, &server, "scrape_series_refused") == Some(1.0)).then_some(())
    });
    assert_eq!(value(&client, &server, "count(requests_total)"), Some(1.0));
    assert_eq!(value(&client, &server, "up"), Some(1.0));
    let reason = info(&server);
    let reason = reason.as_str().expect("a reason");
    assert!(reason.starts_with("memory budget of 1 MiB exceeded: "), "{reason}");
    assert!(server.log().contains("refusing new series"), "{}", server.log());
    server.stop();

    let server = Server::start(dir.path(), &args, &[]);
    wait_for("all series", || (value(&client, &server, "count(requests_total)") == Some(2.0)).then_some(()));
}
