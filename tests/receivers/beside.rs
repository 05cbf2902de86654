//! The same alerts and the same configuration here and in a real Alertmanager: the same webhooks.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::hook::Hook;
use crate::support::prometheus::program;
use crate::support::server::{Client, wait_for};
use crate::{Setup, post};

/// A running Alertmanager. Dropping it kills it.
struct Alertmanager(Child);

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn config(hook: &Hook) -> String {
    let url = &hook.url;
    format!(
        r"  global: {{resolve_timeout: 10m}}
  route:
    receiver: all.of+them
    group_by: [alertname, cluster]
    group_wait: 1s
    group_interval: 3s
    repeat_interval: 1h
    routes:
    - receiver: db
      matchers: ['team=~\'db|cache\'']
      continue: true
    - receiver: each
      match: {{kind: each}}
      group_by: ['...']
      routes:
      - receiver: few
        match_re: {{size: s.*}}
        group_by: [alertname]
  inhibit_rules:
  - source_matchers: [severity=critical]
    target_matchers: [severity=warning]
    equal: [instance]
  receivers:
  - name: all.of+them
    webhook_configs: [{{url: '{url}'}}]
  - name: db
    webhook_configs: [{{url: '{url}', send_resolved: false}}]
  - name: each
    webhook_configs: [{{url: '{url}'}}]
  - name: few
    webhook_configs: [{{url: '{url}', max_alerts: 2}}]
"
    )
    .replace(r"\'", "\"")
}

/// The same as the whole file of an Alertmanager.
fn as_alertmanager_yml(section: &str) -> String {
    section.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// What was sent, by group and in order within it, without what differs: the server's own address.
fn bodies(hook: &Hook) -> BTreeMap<String, Vec<Value>> {
    let mut by_group: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for mut body in hook.got() {
        body["externalURL"] = "".into();
        let key = format!("{} {}", body["receiver"], body["groupKey"]);
        by_group.entry(key).or_default().push(body);
    }
    by_group
}

#[test]
fn webhooks_are_those_of_an_alertmanager() {
    let Some(program) = program("ALERTMANAGER_BIN", "prometheus-alertmanager") else { return };
    let (ours, theirs, client) = (Hook::start(), Hook::start(), Client::new());
    let setup = Setup::new(&config(&ours), "");
    let server = setup.start();
    let file = setup.path().join("alertmanager.yml");
    std::fs::write(&file, as_alertmanager_yml(&config(&theirs))).expect("write");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("bound").to_string();
    drop(free);
    let child = Command::new(program)
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.path={}", setup.path().join("am").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _alertmanager = Alertmanager(child.expect("start Alertmanager"));
    let base = format!("http://{address}");
    wait_for("Alertmanager", || {
        client.get(&format!("{base}/-/ready")).ok().filter(|(status, _)| *status == 200)
    });
    let both = [server.url.as_str(), base.as_str()];

    let now = jiff::Timestamp::now().as_millisecond();
    let time = |ms: i64| jiff::Timestamp::from_millisecond(ms).expect("a time").to_string();
    let (starts, later) = (time(now), time(now + 3_600_000));
    let alert = |labels: Value, ends: &str| {
        json!({
            "labels": labels,
            "annotations": {"summary": "\"it\" is <down> \u{20ac}", "n": labels["instance"]},
            "startsAt": starts,
            "endsAt": ends,
            "generatorURL": "http://localhost:9090/graph?g0.expr=up",
        })
    };
    let all = |ends: &str| {
        json!([
            alert(json!({"alertname": "Down", "instance": "b", "job": "j", "severity": "critical"}), ends),
            alert(json!({"alertname": "Down", "instance": "a", "job": "j", "severity": "critical"}), ends),
            alert(json!({"alertname": "Slow", "instance": "a", "severity": "warning"}), ends),
            alert(json!({"alertname": "Slow", "instance": "c", "severity": "warning", "team": "db"}), ends),
            alert(json!({"alertname": "Slow", "instance": "d", "severity": "warning"}), ends),
            alert(json!({"alertname": "Big", "instance": "a", "kind": "each"}), ends),
            alert(json!({"alertname": "Big", "instance": "b", "kind": "each"}), ends),
            alert(json!({"alertname": "Small", "instance": "1", "kind": "each", "size": "s"}), ends),
            alert(json!({"alertname": "Small", "instance": "2", "kind": "each", "size": "small"}), ends),
            alert(json!({"alertname": "Small", "instance": "3", "kind": "each", "size": "s"}), ends),
        ])
    };
    for base in both {
        post(&client, base, &all(&later));
    }
    // Down, Slow, Slow for db, Big twice, Small.
    ours.wait_for(6);
    theirs.wait_for(6);
    // An alert more in one group, and everything resolved in the others.
    let ended = time(jiff::Timestamp::now().as_millisecond());
    let mut second = all(&ended);
    second[0] = alert(json!({"alertname": "Down", "instance": "e", "severity": "critical"}), &later);
    for base in both {
        post(&client, base, &second);
    }
    // Down with one more and one resolved, Slow resolved (with what was inhibited), Big twice, Small.
    ours.wait_for(11);
    theirs.wait_for(11);
    let (ours, theirs) = (bodies(&ours), bodies(&theirs));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (key, theirs) in &theirs {
        assert_eq!(&ours[key], theirs, "{key}");
    }
}
