//! The metrics of the server itself against the page that lists them.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use crate::support::server::{Server, wait_for};
use crate::{get, start};

const PAGE: &str = include_str!("../../docs/operations/metrics.md");

/// A server that refuses every request for good, for as long as the test runs.
fn refuse_everything() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            // Who is refused may be gone already.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    address
}

#[test]
fn as_many_files_may_be_open_as_the_system_allows() {
    let dir = tempfile::tempdir().expect("dir");
    let server = Server::start_after("ulimit -Sn 300 && ulimit -Hn 2345", &dir.path().join("data"), &[]);
    let text = get(&server, "/metrics").text();
    assert!(text.lines().any(|line| line == "process_max_fds 2345.0"), "{text}");
}

#[test]
fn the_page_names_every_metric_with_its_type_and_no_other() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("f.yml");
    let config = "scrape_configs: [{job_name: a, scrape_interval: 1s, static_configs: [{targets: ['127.0.0.1:1']}], \
                  file_sd_configs: [{files: [t.json]}, {files: [broken.json]}]}]\n\
                  alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:1']}]}]}\n\
                  rule_files: [rules.yml]\n";
    let refusing = refuse_everything();
    let receivers = format!(
        "notifications: {{alongside_alertmanagers: true, route: {{receiver: me, group_wait: 0s, group_interval: 1s}}, \
         receivers: [{{name: me, webhook_configs: [{{url: 'http://{refusing}/'}}]}}]}}\n"
    );
    std::fs::write(&file, format!("{config}{receivers}")).expect("write");
    let rules = "groups: [{name: g, interval: 100ms, rules: [{alert: A, expr: vector(1)}]}]";
    std::fs::write(file.with_file_name("rules.yml"), rules).expect("write");
    std::fs::write(file.with_file_name("t.json"), "[]").expect("write");
    std::fs::write(file.with_file_name("broken.json"), "[").expect("write");
    let config = format!("--config.file={}", file.display());
    let server = start(&dir, &[&config, "--rules.alert.resend-delay=1ms"]);
    // A family of metrics with labels is there once one of them is.
    assert_eq!(get(&server, "/api/v1/query?query=1").status, 200);
    let text = wait_for("a second scrape and evaluation", || {
        let text = get(&server, "/metrics").text();
        let families = [
            "prometheus_target_interval_length_seconds",
            "prometheus_rule_group_last_restore_duration_seconds",
            "prometheus_sd_refresh_failures_total",
            "prometheus_sd_last_update_timestamp_seconds",
            "alertmanager_notifications_failed_total",
        ];
        families.iter().all(|name| text.contains(&format!("# TYPE {name}"))).then_some(text)
    });
    let exposed: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| format!("{name} {kind}"))
        .collect();
    let listed: BTreeSet<String> = PAGE
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
            Some(format!("{} {}", cells.next()?.trim_end_matches('`'), cells.next()?))
        })
        .collect();
    assert!(exposed.len() > 50, "{text}");
    assert_eq!(exposed.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "not on the page");
    assert_eq!(listed.difference(&exposed).collect::<Vec<_>>(), Vec::<&String>::new(), "no longer there");
}
