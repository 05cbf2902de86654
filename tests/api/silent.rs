//! A server whose log nobody takes any more: its standard error is a closed pipe, or on a disk that is full.

use emberkeep::remote::message;

use crate::support::server::wait_for;
use crate::{Server, get, newest, write};

/// Value of a metric of the server; the sum over its labels.
fn metric(server: &Server, name: &str) -> f64 {
    let text = get(server, "/metrics").text();
    let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn goes_on_working(server: &Server) {
    // Eight hours: three blocks are cut, each with a line in the log.
    let samples: Vec<(i64, f64)> =
        (0..=480).map(|minute| ((newest() - (480 - minute) * 60) * 1000, 1.0)).collect();
    let mut body = Vec::new();
    message::put_series(&mut body, [("__name__", "m")].into_iter(), &samples);
    assert_eq!(write::write(server, &body).status, 204);
    // Counted, since two of them may be merged at once.
    wait_for("three blocks are cut", || {
        (metric(server, "prometheus_tsdb_compactions_total") >= 3.0).then_some(())
    });
    assert_eq!(get(server, "/-/ready").status, 200);
    assert!(metric(server, "emberkeep_log_lines_lost_total") > 0.0);
    let restarts = &get(server, "/api/v1/status/runtimeinfo").json()["data"]["restarts"];
    assert_eq!(*restarts, serde_json::json!({ "database": 0, "scraping": 0, "notification": 0 }));
}

fn arguments(dir: &tempfile::TempDir) -> [String; 3] {
    let config = dir.path().join("empty.yml");
    std::fs::write(&config, "scrape_configs: []").expect("write");
    let config = format!("--config.file={}", config.display());
    [config, "--web.enable-remote-write-receiver".to_owned(), "--web.enable-lifecycle".to_owned()]
}

#[test]
fn a_closed_pipe_stops_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let arguments = arguments(&dir);
    let server = Server::start(&dir.path().join("data"), &arguments.each_ref().map(String::as_str), &[]);
    server.close_log();
    goes_on_working(&server);
    assert!(server.stop().success());
}

#[test]
fn a_full_disk_stops_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let arguments = arguments(&dir);
    let full = std::fs::File::options().write(true).open("/dev/full").expect("linux");
    let data = dir.path().join("data");
    let server = Server::start_silent(&data, &arguments.each_ref().map(String::as_str), full.into());
    goes_on_working(&server);
    assert!(server.stop().success());
}
