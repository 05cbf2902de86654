//! Alerts as real Alertmanagers take them.
//!
//! `ALERTMANAGER_BIN` names the program; else `prometheus-alertmanager` is looked for in the path. Without it the test
//! says so and passes, unless `EMBERKEEP_REQUIRE_ALL=1`.

#[path = "../support/mod.rs"]
mod support;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use emberkeep::config::{LoadOptions, parse};
use emberkeep::discovery::{DiscoveryManager, DiscoveryMetrics};
use emberkeep::model::Labels;
use emberkeep::net::{Dialer, SystemResolver};
use emberkeep::notify::{Alert, Notifier, NotifyOptions};
use emberkeep::telemetry::Registry;
use emberkeep::telemetry::metrics::encode;
use emberkeep::util::{Clock as _, SystemClock};
use serde_json::{Value, json};
use support::prometheus::program;
use support::server::{Client, wait_for};

/// A running Alertmanager. Dropping it kills it.
struct Alertmanager {
    child: Child,
    address: String,
    prefix: &'static str,
}

impl Alertmanager {
    /// Starts one on `address` that tells nobody, and waits until it is ready.
    fn start(program: &Path, dir: &Path, address: String, prefix: &'static str, client: &Client) -> Self {
        std::fs::create_dir_all(dir).expect("folder");
        let file = dir.join("alertmanager.yml");
        std::fs::write(&file, "route: {receiver: none}\nreceivers: [{name: none}]\n").expect("write");
        let child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg(format!("--web.route-prefix={prefix}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start Alertmanager");
        let new = Self { child, address, prefix };
        let ready = format!("{}/-/ready", new.base());
        wait_for("Alertmanager", || client.get(&ready).ok().filter(|(status, _)| *status == 200));
        new
    }

    fn base(&self) -> String {
        format!("http://{}{}", self.address, self.prefix.trim_end_matches('/'))
    }

    /// The alerts that fire, by their names.
    fn alerts(&self, client: &Client) -> Vec<Value> {
        let (status, text) = client.get(&format!("{}/api/v2/alerts", self.base())).expect("a reply");
        assert_eq!(status, 200, "{text}");
        let mut alerts: Vec<Value> = serde_json::from_str(&text).expect("a list");
        alerts.sort_by_key(|alert| alert["labels"]["alertname"].to_string());
        alerts
    }

    /// Waits until the alerts called `names` fire and no others.
    fn wait_for(&self, names: &[&str], client: &Client) -> Vec<Value> {
        wait_for(&format!("{names:?}"), || {
            let alerts = self.alerts(client);
            let fire = alerts.iter().map(|alert| alert["labels"]["alertname"].as_str().expect("a name"));
            fire.eq(names.iter().copied()).then_some(alerts)
        })
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> String {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    free.expect("a port").to_string()
}

fn alert(labels: &[(&str, &str)], starts_at_ms: i64, ends_at_ms: i64) -> Alert {
    Alert::new(
        Labels::from_pairs(labels.iter().copied()),
        Labels::from_pairs([("summary", "\"it\" is <down> \u{20ac}")]),
        (starts_at_ms, ends_at_ms),
        "http://localhost:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1".to_owned(),
    )
}

#[test]
fn two_alertmanagers_see_an_alert_fire_and_end() {
    let Some(program) = program("ALERTMANAGER_BIN", "prometheus-alertmanager") else { return };
    let dir = tempfile::tempdir().expect("dir");
    let client = Client::new();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let mut first = Alertmanager::start(&program, &one, free_address(), "/", &client);
    let second = Alertmanager::start(&program, &two, free_address(), "/am", &client);

    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let _inside = runtime.enter();
    let mut registry = Registry::default();
    let resolver = Arc::new(SystemResolver::new(None));
    let metrics = DiscoveryMetrics::new(&mut registry);
    let dialer = Arc::new(Dialer::new(resolver.clone()));
    let discovery = Arc::new(DiscoveryManager::new("notify", resolver, Arc::clone(&dialer), metrics));
    let notifier = Notifier::new(discovery, dialer, NotifyOptions::default(), None, &mut registry);
    let text = format!(
        "global: {{external_labels: {{cluster: c}}}}\nalerting:\n  alertmanagers:\n  - static_configs: [{{targets: \
         ['{}']}}]\n  - static_configs: [{{targets: ['{}']}}]\n    path_prefix: am\n    alert_relabel_configs: \
         [{{target_label: copy, replacement: 'yes'}}]\n",
        first.address, second.address
    );
    let config = parse(&text, "f", &LoadOptions::default()).expect("valid");
    let prepared = notifier.prepare(&config).expect("prepared");
    runtime.block_on(notifier.commit(prepared));
    let handle = notifier.handle();
    assert_eq!(
        handle.alertmanagers().active,
        [&first, &second].map(|manager| format!("{}/api/v2/alerts", manager.base()))
    );

    let now = SystemClock.now_ms();
    let began = now - 90_000;
    handle.send(vec![alert(&[("alertname", "Down"), ("job", "j")], began, now + 240_000)]);
    let seen = first.wait_for(&["Down"], &client).remove(0);
    assert_eq!(seen["labels"], json!({"alertname": "Down", "job": "j", "cluster": "c"}));
    assert_eq!(seen["annotations"], json!({"summary": "\"it\" is <down> \u{20ac}"}));
    assert_eq!(seen["generatorURL"], "http://localhost:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1");
    let time = |key: &str| seen[key].as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time");
    assert_eq!(time("startsAt").as_millisecond(), began);
    assert_eq!(time("endsAt").as_millisecond(), now + 240_000);
    let seen = second.wait_for(&["Down"], &client).remove(0);
    assert_eq!(seen["labels"], json!({"alertname": "Down", "job": "j", "cluster": "c", "copy": "yes"}));

    handle.send(vec![alert(&[("alertname", "Down"), ("job", "j")], began, now)]);
    first.wait_for(&[], &client);
    second.wait_for(&[], &client);

    // One that is refused takes no other one of its batch with it, and is not sent again.
    let names = [("alertname", "Good"), ("alertname", "Bad")];
    let bad = alert(&[names[1], ("not-a-name", "x")], began, now + 240_000);
    handle.send(vec![bad, alert(&[names[0]], began, now + 240_000)]);
    first.wait_for(&["Good"], &client);
    let dropped = format!("dropped_total{{alertmanager=\"{}/api/v2/alerts\"}} 2\n", first.base());
    wait_for("the batch is counted", || encode(&registry).contains(&dropped).then_some(()));

    // What was sent while it was away is there when it comes back.
    let address = first.address.clone();
    drop(first);
    handle.send(vec![alert(&[("alertname", "Late")], began, now + 240_000)]);
    second.wait_for(&["Good", "Late"], &client);
    first = Alertmanager::start(&program, &dir.path().join("again"), address, "/", &client);
    first.wait_for(&["Late"], &client);
    runtime.block_on(notifier.stop());
}
