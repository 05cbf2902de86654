//! A server that is killed at any moment, again and again: no alert begins anew, ends, or is told anew because of that.
//!
//! `EMBERKEEP_KILLS` sets how often; `EMBERKEEP_TEST_SEED` when.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::support::Random;
use crate::support::server::{Client, Server, wait_for};

/// Takes alerts as an Alertmanager does, and remembers them with the time they came.
struct Receiver {
    address: String,
    got: Arc<Mutex<Vec<(i64, Value)>>>,
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("fits")
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let got = Arc::<Mutex<Vec<(i64, Value)>>>::default();
        let book = Arc::clone(&got);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let book = Arc::clone(&book);
                std::thread::spawn(move || while receive(&stream, &book).is_some() {});
            }
        });
        Self { address, got }
    }

    /// What was told of an alert: when it came, since when it fires, and when it ends.
    fn told(&self, name: &str) -> Vec<(i64, i64, i64)> {
        let time = |alert: &Value, key: &str| {
            let text = alert[key].as_str().expect("a time");
            text.parse::<jiff::Timestamp>().expect("a time").as_millisecond()
        };
        let got = self.got.lock().expect("lock");
        let of_name = got.iter().filter(|(_, alert)| alert["labels"]["alertname"] == name);
        of_name.map(|(at, alert)| (*at, time(alert, "startsAt"), time(alert, "endsAt"))).collect()
    }
}

/// Reads one request and takes its alerts; none when the connection ends.
fn receive(mut stream: &std::net::TcpStream, book: &Mutex<Vec<(i64, Value)>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let alerts: Vec<Value> = serde_json::from_slice(&body).ok()?;
    book.lock().expect("lock").extend(alerts.into_iter().map(|alert| (now_ms(), alert)));
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()
}

fn write_rules(dir: &Path, fires: &str) {
    let rules = format!(
        "groups:\n- name: g\n  rules:\n  - {{alert: Fires, expr: {fires}, annotations: {{a: 'it is {{{{ $value }}}}'}}}}\n  \
         - {{alert: Waits, expr: vector(1), for: 1h}}\n  - {{record: r, expr: 'count(ALERTS)'}}\n"
    );
    std::fs::write(dir.join("rules.yml"), rules).expect("write");
}

/// When the alert called `name` became active, in milliseconds, once it is in `state`.
fn active_since(client: &Client, server: &Server, (name, state): (&str, &str)) -> i64 {
    wait_for(&format!("{name} is {state}"), || {
        let reply = client.api(&server.url, "alerts", &[]);
        let alerts = reply["alerts"].as_array()?.clone();
        let alert =
            alerts.iter().find(|alert| alert["labels"]["alertname"] == name && alert["state"] == state)?;
        Some(alert["activeAt"].as_str()?.parse::<jiff::Timestamp>().ok()?.as_millisecond())
    })
}

/// When the group was last evaluated, in milliseconds, once it was.
fn last_evaluation(client: &Client, server: &Server) -> i64 {
    wait_for("an evaluation", || {
        let reply = client.api(&server.url, "rules", &[]);
        let at = reply["groups"][0]["lastEvaluation"].as_str()?.parse::<jiff::Timestamp>().ok()?;
        (at.as_millisecond() > 0).then(|| at.as_millisecond())
    })
}

#[test]
fn no_alert_begins_or_ends_because_of_a_death() {
    let kills: u64 = std::env::var("EMBERKEEP_KILLS").map_or(25, |kills| kills.parse().expect("a number"));
    let mut random = Random::from_env(7);
    let (receiver, client) = (Receiver::start(), Client::new());
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    let config = format!(
        "global: {{evaluation_interval: 100ms}}\nrule_files: [rules.yml]\nalerting: {{alertmanagers: [{{static_configs: \
         [{{targets: ['{}']}}]}}]}}\n",
        receiver.address
    );
    std::fs::write(dir.join("p.yml"), config).expect("write");
    write_rules(dir, "vector(1)");
    let file = dir.join("p.yml").display().to_string();
    let start = || {
        let args = ["--config.file", &file, "--rules.alert.resend-delay", "200ms"];
        Server::start(&dir.join("data"), &args, &[])
    };
    let mut server = start();
    let since = active_since(&client, &server, ("Fires", "firing"));
    // The first evaluations of a new directory wait for what series of another server may tell.
    wait_for("alerts show as series", || (!client.vector(&server.url, "ALERTS").is_empty()).then_some(()));
    let mut waits_since = active_since(&client, &server, ("Waits", "pending"));
    for kill in 0..kills {
        if random.below(4) == 0 {
            server.signal("HUP");
        }
        let looked = last_evaluation(&client, &server);
        // Any moment of evaluation, sending and reload.
        std::thread::sleep(Duration::from_millis(random.below(300)));
        server.kill();
        server = start();
        assert_eq!(active_since(&client, &server, ("Fires", "firing")), since, "kill {kill}");
        let waits = active_since(&client, &server, ("Waits", "pending"));
        // Only the time for which nobody looked may not count: with the slots that it touches.
        let most = now_ms() - looked + 100;
        assert!(waits >= waits_since && waits - waits_since <= most, "kill {kill}: {waits_since} {waits}");
        waits_since = waits;
    }
    let told = receiver.told("Fires");
    let first = told.first().expect("it was told").1;
    for (at, starts, ends) in &told {
        assert!(*starts == first && *ends > *at, "told at {at}: from {starts} to {ends}");
    }
    assert_eq!(receiver.told("Waits"), [], "pending alerts are never told");

    // It ends once, and stays ended.
    write_rules(dir, "vector(1) > 2");
    server.signal("HUP");
    let (_, starts, ends) =
        wait_for("the end is told", || receiver.told("Fires").into_iter().find(|(at, _, ends)| ends <= at));
    assert_eq!(starts, first);
    server.kill();
    let before = receiver.told("Fires").len();
    server = start();
    wait_for("the end is told again", || (receiver.told("Fires").len() > before + 1).then_some(()));
    for (_, starts, again) in &receiver.told("Fires")[before..] {
        assert_eq!((*starts, *again), (first, ends));
    }
    assert!(server.stop().success());
}

#[test]
fn a_reload_before_alerts_are_restored_does_not_hide_them() {
    let client = Client::new();
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    let config = "global: {evaluation_interval: 500ms}\nrule_files: [rules.yml]\n";
    std::fs::write(dir.join("p.yml"), config).expect("write");
    write_rules(dir, "vector(1)");
    let file = dir.join("p.yml").display().to_string();
    let server = Server::start(&dir.join("data"), &["--config.file", &file, "--web.enable-lifecycle"], &[]);
    write_rules(dir, "vector(2)");
    let reload = format!("{}/-/reload", server.url);
    assert_eq!(client.post(&reload, "text/plain", Vec::new()).expect("a reply").0, 200);
    wait_for("alerts show as series", || (!client.vector(&server.url, "ALERTS").is_empty()).then_some(()));
    assert!(dir.join("data/rules/alerts.log").exists(), "states are stored from then on");
}

#[test]
fn a_wrong_rule_file_changes_nothing_and_is_named() {
    let client = Client::new();
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    std::fs::write(dir.join("p.yml"), "global: {evaluation_interval: 100ms}\nrule_files: ['*.rules']\n")
        .expect("write");
    std::fs::write(dir.join("a.rules"), "groups: [{name: g, rules: [{alert: A, expr: vector(1)}]}]")
        .expect("write");
    let file = dir.join("p.yml").display().to_string();
    let server = Server::start(&dir.join("data"), &["--config.file", &file, "--web.enable-lifecycle"], &[]);
    let since = active_since(&client, &server, ("A", "firing"));
    std::fs::write(dir.join("b.rules"), "groups:\n- name: h\n  rules:\n  - alert: B\n    expr: sum(\n")
        .expect("write");
    let reload = format!("{}/-/reload", server.url);
    let (status, text) = client.post(&reload, "text/plain", Vec::new()).expect("a reply");
    assert_eq!(status, 500, "{text}");
    assert!(text.contains("b.rules:5:11: group \"h\", rule 1, \"B\": could not parse expression"), "{text}");
    assert_eq!(active_since(&client, &server, ("A", "firing")), since);
    std::fs::write(dir.join("b.rules"), "groups:\n- name: h\n  rules:\n  - alert: B\n    expr: vector(1)\n")
        .expect("write");
    assert_eq!(client.post(&reload, "text/plain", Vec::new()).expect("a reply").0, 200);
    active_since(&client, &server, ("B", "firing"));
    assert_eq!(active_since(&client, &server, ("A", "firing")), since);
    // A server does not start on it either.
    assert!(server.stop().success());
    std::fs::write(dir.join("b.rules"), "groups: [{name: h, rules: [{alert: B}]}]").expect("write");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_emberkeep"))
        .args(["serve", "--config.file", &file, "--web.listen-address", "127.0.0.1:0", "--storage.tsdb.path"])
        .arg(dir.join("other"))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("field 'expr' must be set"), "{said}");
}
