//! A server that is killed neither forgets whom it has told nor what it was told to keep quiet.

use serde_json::json;

use crate::Setup;
use crate::hook::Hook;
use crate::support::Random;
use crate::support::server::{Client, wait_for};

const RULES: &str = "groups:
- name: g
  rules:
  - {alert: Told, expr: vector(1), labels: {n: '1'}}
  - {alert: Quiet, expr: vector(1)}
";

fn section(hook: &Hook, group_wait: &str) -> String {
    format!(
        "  route: {{receiver: me, group_by: [alertname], group_wait: {group_wait}, group_interval: 1s}}\n  receivers:\n  - \
         name: me\n    webhook_configs: [{{url: '{}'}}]\n",
        hook.url
    )
}

fn silence(client: &Client, base: &str, name: &str) {
    let now = jiff::Timestamp::now();
    let body = json!({
        "matchers": [{"name": "alertname", "value": name, "isRegex": false}],
        "startsAt": now.to_string(),
        "endsAt": (now + jiff::SignedDuration::from_hours(1)).to_string(),
        "createdBy": "me",
        "comment": "why",
    });
    let sent =
        client.post(&format!("{base}/api/v2/silences"), "application/json", body.to_string().into_bytes());
    let (status, text) = sent.expect("a reply");
    assert_eq!(status, 200, "{text}");
}

#[test]
fn a_server_that_is_killed_repeats_nothing_and_keeps_its_silences() {
    let (hook, client) = (Hook::start(), Client::new());
    let setup = Setup::new(&section(&hook, "1s"), "");
    let server = setup.start();
    silence(&client, &server.url, "Quiet");
    std::fs::write(setup.path().join("rules.yml"), RULES).expect("write");
    let (status, text) =
        client.post(&format!("{}/-/reload", server.url), "text/plain", Vec::new()).expect("a reply");
    assert_eq!(status, 200, "{text}");
    assert_eq!(hook.wait_for(1)[0]["commonLabels"]["alertname"], "Told");
    // It counts when it is in the log of notifications, which the log of deliveries follows.
    let delivered = |base: &str| {
        let log = client.api(base, "notifications/log", &[]);
        log["deliveries"].as_array().expect("a list").len()
    };
    wait_for("the delivery counts", || (delivered(&server.url) == 1).then_some(()));
    let path = setup.path().join("data/notifications/notifications.log");
    wait_for("it is on disk", || {
        let bytes = std::fs::read(&path).ok()?;
        bytes.windows(9).any(|part| part == b"webhook/0").then_some(())
    });
    server.kill();
    let server = setup.start();
    // Both alerts are there again, and a third one that is new is told: whoever was told already is not.
    wait_for("alerts are back", || {
        let (_, text) = client.get(&format!("{}/api/v2/alerts", server.url)).ok()?;
        (text.contains("Told") && text.contains("\"suppressed\"")).then_some(())
    });
    let rules = format!("{RULES}  - {{alert: New, expr: vector(1)}}\n");
    std::fs::write(setup.path().join("rules.yml"), rules).expect("write");
    client.post(&format!("{}/-/reload", server.url), "text/plain", Vec::new()).expect("a reply");
    let got = hook.wait_for(2);
    assert_eq!(got.len(), 2, "{got:?}");
    assert_eq!(got[1]["commonLabels"]["alertname"], "New");
}

#[test]
fn what_waited_when_the_server_was_killed_is_told_afterwards() {
    let (hook, client) = (Hook::start(), Client::new());
    let setup = Setup::new(&section(&hook, "3s"), RULES);
    let server = setup.start();
    wait_for("the alert waits", || {
        let (_, text) = client.get(&format!("{}/api/v2/alerts", server.url)).ok()?;
        text.contains("Told").then_some(())
    });
    server.kill();
    assert!(hook.got().is_empty());
    let _server = setup.start();
    let names: Vec<_> = hook.wait_for(2).iter().map(|got| got["commonLabels"]["alertname"].clone()).collect();
    assert!(names.contains(&"Told".into()) && names.contains(&"Quiet".into()), "{names:?}");
}

#[test]
fn kills_at_any_moment_lose_nothing_and_repeat_only_what_was_under_way() {
    let kills: u64 = std::env::var("EMBERKEEP_KILLS").map_or(6, |kills| kills.parse().expect("a number"));
    let mut random = Random::from_env(7);
    let (hook, client) = (Hook::start(), Client::new());
    let names: Vec<String> = (0..40).map(|number| format!("A{number}")).collect();
    let rule = |name: &String| format!("  - {{alert: {name}, expr: vector(1)}}\n");
    let rules = names.iter().map(rule).collect::<Vec<_>>().concat();
    let setup = Setup::new(&section(&hook, "1s"), &format!("groups:\n- name: g\n  rules:\n{rules}"));
    for _ in 0..kills {
        let server = setup.start();
        let before = hook.got().len();
        let more = usize::try_from(random.below(15)).expect("small");
        // At some of these moments deliveries are under way, at others everybody has been told already.
        let until = std::time::Instant::now() + std::time::Duration::from_millis(2500);
        wait_for("some notifications", || {
            (hook.got().len() >= before + more || std::time::Instant::now() > until).then_some(())
        });
        server.kill();
    }
    let server = setup.start();
    let told = |name: &str| hook.got().iter().filter(|got| got["commonLabels"]["alertname"] == *name).count();
    wait_for("everybody is told", || names.iter().all(|name| told(name) > 0).then_some(()));
    // From here on nothing is under way, so nothing is repeated, whatever happens.
    wait_for("every delivery counts", || {
        let path = setup.path().join("data/notifications/notifications.log");
        let text = String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned();
        names.iter().all(|name| text.contains(&format!("{{alertname=\"{name}\"}}"))).then_some(())
    });
    let before = hook.got().len();
    let most = names.len() + usize::try_from(kills).expect("small") * 16;
    assert!(before <= most, "{before} notifications, at most {most} can be explained");
    server.kill();
    let server = setup.start();
    wait_for("alerts are back", || {
        let (_, text) = client.get(&format!("{}/api/v2/alerts", server.url)).ok()?;
        names.iter().all(|name| text.contains(&format!("\"{name}\""))).then_some(())
    });
    let more = format!("groups:\n- name: g\n  rules:\n{rules}  - {{alert: Last, expr: vector(1)}}\n");
    std::fs::write(setup.path().join("rules.yml"), more).expect("write");
    client.post(&format!("{}/-/reload", server.url), "text/plain", Vec::new()).expect("a reply");
    wait_for("the last one", || (told("Last") == 1).then_some(()));
    assert_eq!(hook.got().len(), before + 1);
}
