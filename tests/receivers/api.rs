//! Version 2 of Alertmanager's API, with its own tool, and with requests that nobody should send.

use std::process::Command;

use serde_json::{Value, json};

use crate::hook::Hook;
use crate::support::prometheus::program;
use crate::support::server::{Client, Server};
use crate::{Setup, post};

fn server(hook: &Hook) -> (Setup, Server) {
    let section = format!(
        "  route: {{receiver: me, group_by: [alertname], group_wait: 1h}}\n  receivers:\n  - name: me\n    webhook_configs: \
         [{{url: '{}?token=hidden'}}]\n  - name: nobody\n",
        hook.url
    );
    let setup = Setup::new(&section, "");
    let server = setup.start();
    (setup, server)
}

fn get(client: &Client, base: &str, path: &str) -> (u16, Value) {
    let (status, text) = client.get(&format!("{base}/api/v2/{path}")).expect("a reply");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[test]
fn amtool_works() {
    let Some(program) = program("AMTOOL_BIN", "amtool") else { return };
    let (hook, client) = (Hook::start(), Client::new());
    let (_setup, server) = server(&hook);
    let amtool = |args: &[&str]| {
        let url = format!("--alertmanager.url={}", server.url);
        let output = Command::new(&program).arg(url).args(args).output().expect("run");
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(output.status.success(), "{args:?}: {text} {}", String::from_utf8_lossy(&output.stderr));
        text
    };
    amtool(&["alert", "add", "Down", "instance=a", "--annotation=summary=it is down"]);
    amtool(&["alert", "add", "Down", "instance=b"]);
    let shown = amtool(&["alert", "query", "-o", "extended"]);
    assert!(shown.contains("it is down") && shown.contains("instance=\"b\""), "{shown}");
    let id =
        amtool(&["silence", "add", "alertname=Down", "instance=~a|x", "-a", "me", "-c", "why", "-d", "1h"]);
    let silenced = amtool(&["alert", "query", "--silenced", "-o", "simple"]);
    assert!(silenced.contains("it is down") && silenced.lines().count() == 2, "{silenced}");
    assert!(amtool(&["silence", "query"]).contains(&id));
    assert_eq!(amtool(&["silence", "query", "-q", "alertname=Other"]), "");
    // A longer one keeps its name.
    amtool(&["silence", "update", "-d", "2h", &id]);
    assert_eq!(amtool(&["silence", "query", "-q"]), id);
    amtool(&["silence", "expire", &id]);
    // Ending it again changes nothing.
    amtool(&["silence", "expire", &id]);
    assert_eq!(amtool(&["silence", "query", "-q"]), "");
    assert!(amtool(&["silence", "query", "--expired", "-q"]).contains(&id));
    assert!(amtool(&["config", "show"]).contains("receiver: me"));
    assert!(get(&client, &server.url, "alerts?active=false").1.as_array().expect("a list").is_empty());
}

#[test]
fn alerts_and_silences_are_filtered() {
    let (hook, client) = (Hook::start(), Client::new());
    let (_setup, server) = server(&hook);
    let alert = |name: &str, team: &str| json!({"labels": {"alertname": name, "team": team}});
    post(&client, &server.url, &json!([alert("A", "x"), alert("A", "y"), alert("B", "x")]));
    let count = |path: &str| get(&client, &server.url, path).1.as_array().map_or(usize::MAX, Vec::len);
    assert_eq!(count("alerts"), 3);
    assert_eq!(count("alerts?filter=alertname%3DA&filter=team!%3Dx"), 1);
    assert_eq!(count("alerts?filter=team%3D~%22x%7Cy%22"), 3);
    assert_eq!(count("alerts?receiver=m."), 3);
    assert_eq!(count("alerts?receiver=m"), 0);
    assert_eq!(count("alerts/groups"), 2);
    let groups = get(&client, &server.url, "alerts/groups?filter=team%3Dy").1;
    assert_eq!(groups[0]["labels"], json!({"alertname": "A"}));
    assert_eq!(groups[0]["alerts"].as_array().expect("a list").len(), 1);
    assert_eq!(get(&client, &server.url, "receivers").1, json!([{"name": "me"}, {"name": "nobody"}]));
    let status = get(&client, &server.url, "status").1;
    assert_eq!(status["cluster"]["status"], "disabled");
    let config = status["config"]["original"].as_str().expect("a text");
    assert!(config.contains("url: <secret>") && !config.contains("hidden"), "{config}");
    let (_, yaml) = client.get(&format!("{}/api/v1/status/config", server.url)).expect("a reply");
    assert!(yaml.contains("url: <secret>") && !yaml.contains("hidden"), "{yaml}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (hook, client) = (Hook::start(), Client::new());
    let (_setup, server) = server(&hook);
    let sent = |path: &str, body: &str| {
        let url = format!("{}/api/v2/{path}", server.url);
        client.post(&url, "application/json", body.as_bytes().to_vec()).expect("a reply")
    };
    let check = |path: &str, body: &str, expected: (u16, &str)| {
        let (status, text) = sent(path, body);
        assert!(status == expected.0 && text.contains(expected.1), "{path} {body:.80}: {status} {text}");
        assert!(text.len() < 2000, "{}", text.len());
    };
    let silence = |matchers: &str, starts: &str, ends: &str| {
        format!(
            r#"{{"matchers":{matchers},"startsAt":"{starts}","endsAt":"{ends}","createdBy":"me","comment":"why"}}"#
        )
    };
    let (now, later) = ("2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z");
    let good = r#"[{"name":"a","value":"b","isRegex":false}]"#;
    check("silences", "", (422, "silence in body is required"));
    check("silences", "{}", (422, "in body is required"));
    check("silences", &silence("[]", now, later), (422, "at least 1 items"));
    check("silences", &silence(good, later, now), (400, "start time must be before end time"));
    check("silences", &silence(good, now, "2020-02-01T00:00:00Z"), (400, "past"));
    check("silences", &silence(good, "yesterday", later), (400, "yesterday"));
    check("silences", &silence(r#"[{"name":"a","value":"(","isRegex":true}]"#, now, later), (400, ""));
    check("silences", &silence(r#"[{"name":"a","value":".*","isRegex":true}]"#, now, later), (400, "empty"));
    check("silences", &silence(r#"[{"name":"","value":"x","isRegex":false}]"#, now, later), (400, "name"));
    let many = format!("[{}]", vec![r#"{"name":"a","value":"b","isRegex":false}"#; 65].join(","));
    check("silences", &silence(&many, now, later), (400, "too many"));
    check("silences", &"x".repeat(70_000), (413, "exceeds"));
    check("silences", &"[".repeat(60_000), (400, "parsing silence body"));
    let unknown = silence(good, now, later).replace("\"matchers\"", "\"id\":\"nothing\",\"matchers\"");
    check("silences", &unknown, (404, "not found"));
    check("alerts", "{}", (400, "parsing alerts body"));
    check("alerts", "[{}]", (422, "0.labels in body is required"));
    check("alerts", r#"[{"labels":{}}]"#, (400, "at least one label"));
    check("alerts", r#"[{"labels":{"a":"b"},"startsAt":"x"}]"#, (400, "not a date"));
    let backwards = format!(r#"[{{"labels":{{"a":"b"}},"startsAt":"{later}","endsAt":"{now}"}}]"#);
    check("alerts", &backwards, (400, "before end"));
    check("alerts", &"x".repeat((4 << 20) + 1), (413, "exceeds"));
    for path in ["alerts?filter=x", "alerts?receiver=(", "silences?filter=%3D", "alerts/groups?filter=a"] {
        assert_eq!(get(&client, &server.url, path).0, 400, "{path}");
    }
    assert_eq!(get(&client, &server.url, "silence/nothing").0, 422);
    assert_eq!(
        get(&client, &server.url, "alerts?active=maybe").0,
        200,
        "whatever is no word for yes is one for no"
    );
    let absent = "silence/00000000-0000-4000-8000-000000000000";
    assert_eq!(get(&client, &server.url, absent), (404, json!("")), "without a body");
    let plain = client.post(&format!("{}/api/v2/alerts", server.url), "text/plain", b"[]".to_vec());
    assert_eq!(plain.expect("a reply").0, 415);
    assert_eq!(get(&client, &server.url, "nothing").0, 404);
    // A link that is none is left out, and the rest of a batch is taken.
    let mixed = r#"[{"labels":{"alertname":"Good"},"generatorURL":"javascript:alert(1)"},{"labels":{}}]"#;
    check("alerts", mixed, (400, "at least one label"));
    let alerts = get(&client, &server.url, "alerts").1;
    assert_eq!(alerts[0]["labels"]["alertname"], "Good");
    assert!(alerts[0].get("generatorURL").is_none(), "{alerts}");
    // Of another receiver's name nothing more is said than that it is not there.
    let url = format!("{}/api/v1/notifications/test?receiver=x", server.url);
    let (status, text) = client.post(&url, "text/plain", Vec::new()).expect("a reply");
    assert!(status == 400 && text.contains("no receiver"), "{text}");
    assert!(hook.got().is_empty());
}

#[test]
fn without_the_section_it_says_so() {
    let dir = tempfile::tempdir().expect("dir");
    let (server, client) = (Server::start(&dir.path().join("data"), &[], &[]), Client::new());
    for path in ["alerts", "alerts/groups", "silences", "silence/x", "receivers", "status"] {
        let (status, text) = get(&client, &server.url, path);
        assert_eq!(status, 503, "{path}");
        assert!(text.as_str().expect("a text").contains("notifications are off"), "{text}");
    }
    let (status, text) = client.get(&format!("{}/api/v1/notifications/log", server.url)).expect("a reply");
    assert!(status == 503 && text.contains("notifications are off"), "{text}");
    let setup = client.api(&server.url, "notifications/receivers", &[]);
    assert_eq!(setup["enabled"], false);
    assert!(!dir.path().join("data/notifications").exists(), "nothing is written for what is off");
}

#[test]
fn a_reload_is_all_or_nothing_and_begins_and_ends_notification() {
    let (hook, client) = (Hook::start(), Client::new());
    let (setup, server) = server(&hook);
    post(&client, &server.url, &json!([{"labels": {"alertname": "A"}}]));
    let reload =
        || client.post(&format!("{}/-/reload", server.url), "text/plain", Vec::new()).expect("a reply");
    setup.write("  route: {receiver: gone}\n  receivers: [{name: me}]\n");
    let (status, text) = reload();
    assert!(status == 500 && text.contains("there is no receiver \"gone\""), "{text}");
    assert_eq!(get(&client, &server.url, "receivers").1.as_array().map(Vec::len), Some(2));
    // Another wait begins the group anew, with the alert that is there.
    setup.write(&format!(
        "  route: {{receiver: me, group_by: [alertname], group_wait: 0s}}\n  receivers:\n  - {{name: me, webhook_configs: [{{url: \
         '{}'}}]}}\n",
        hook.url
    ));
    assert_eq!(reload().0, 200);
    assert_eq!(hook.wait_for(1)[0]["alerts"][0]["labels"], json!({"alertname": "A"}));
    std::fs::write(&setup.config, "").expect("write");
    assert_eq!(reload().0, 200);
    assert_eq!(get(&client, &server.url, "alerts").0, 503);
}

#[test]
fn a_webhook_that_fails_is_told_again() {
    let (hook, client) = (Hook::start(), Client::new());
    let setup = Setup::new(
        &format!(
            "  global: {{http_config: {{authorization: {{credentials: hush}}}}}}\n  \
             route: {{receiver: me, group_wait: 0s, group_interval: 20s}}\n  receivers:\n  - {{name: me, webhook_configs: \
             [{{url: '{}'}}]}}\n",
            hook.url
        ),
        "",
    );
    let server = setup.start();
    hook.then(&[503, 429]);
    post(&client, &server.url, &json!([{"labels": {"alertname": "A"}}]));
    let got = hook.wait_for(3);
    assert!(got.iter().all(|one| *one == got[0]), "{got:?}");
    assert_eq!(got[0]["authorization"], "Bearer hush");
    assert!(!client.api(&server.url, "status/config", &[])["yaml"].to_string().contains("hush"));
    let log = crate::support::server::wait_for("the log", || {
        let log = client.api(&server.url, "notifications/log", &[]);
        (log["deliveries"].as_array().expect("a list").len() == 1).then_some(log)
    });
    assert_eq!(
        (&log["deliveries"][0]["attempts"], &log["deliveries"][0]["outcome"]),
        (&json!(3), &json!("delivered"))
    );
}

#[test]
fn each_integration_has_its_own_state_and_what_is_not_sent_is_not_counted() {
    let (good, bad, client) = (Hook::start(), Hook::start(), Client::new());
    bad.then(&[400, 400, 400, 400]);
    let setup = Setup::new(
        &format!(
            "  route: {{receiver: me, group_wait: 0s, group_interval: 1s}}\n  receivers:\n  - name: me\n    webhook_configs:\n    \
             - {{url: '{}', send_resolved: false}}\n    - {{url: '{}'}}\n",
            good.url, bad.url
        ),
        "",
    );
    let server = setup.start();
    let integrations = || {
        let setup = client.api(&server.url, "notifications/receivers", &[]);
        setup["receivers"][0]["integrations"].as_array().expect("a list").clone()
    };
    assert!(integrations().iter().all(|one| one["lastDelivery"].is_null()));
    post(&client, &server.url, &json!([{"labels": {"alertname": "A"}}, {"labels": {"alertname": "B"}}]));
    good.wait_for(1);
    let ended = json!([{"labels": {"alertname": "B"}, "endsAt": "2020-01-01T00:00:00Z"}, {"labels": {"alertname": "C"}}]);
    post(&client, &server.url, &ended);
    let sent = good.wait_for(2);
    assert_eq!(sent[1]["alerts"].as_array().map(Vec::len), Some(2));
    let states = crate::support::server::wait_for("both", || {
        let states = integrations();
        let alerts = |at: usize| states[at]["lastDelivery"]["alerts"].to_string();
        (alerts(0).contains('C') && alerts(1).contains('C')).then_some(states)
    });
    let told = |one: &Value| {
        let last = &one["lastDelivery"];
        let counts = (last["firing"].as_u64(), last["resolved"].as_u64());
        (one["index"].as_u64(), last["index"].as_u64(), last["outcome"].to_string(), counts)
    };
    assert_eq!(told(&states[0]), (Some(0), Some(0), "\"delivered\"".to_owned(), (Some(2), Some(0))));
    assert_eq!(told(&states[1]), (Some(1), Some(1), "\"failed\"".to_owned(), (Some(2), Some(1))));
    assert!(!states[0]["lastDelivery"]["alerts"].to_string().contains('B'));
}

#[test]
fn receivers_are_silent_beside_alertmanagers_unless_asked() {
    let (ours, client) = (Hook::start(), Client::new());
    let setup = Setup::new("", "groups:\n- name: g\n  rules:\n  - {alert: A, expr: vector(1)}\n");
    let write = |alongside: bool| {
        let text = format!(
            "global: {{evaluation_interval: 200ms}}\nrule_files: [rules.yml]\nalerting: {{alertmanagers: [{{static_configs: \
             [{{targets: ['127.0.0.1:1']}}]}}]}}\nnotifications:\n  alongside_alertmanagers: {alongside}\n  route: {{receiver: me, \
             group_wait: 0s}}\n  receivers: [{{name: me, webhook_configs: [{{url: '{}'}}]}}]\n",
            ours.url
        );
        std::fs::write(&setup.config, text).expect("write");
    };
    write(false);
    let server = setup.start();
    crate::support::server::wait_for("the alert fires", || {
        let data = client.api(&server.url, "alerts", &[]);
        (data["alerts"][0]["state"] == "firing").then_some(())
    });
    assert_eq!(client.api(&server.url, "notifications/receivers", &[])["silent"], true);
    assert_eq!(get(&client, &server.url, "alerts").1, json!([]));
    write(true);
    let (status, text) =
        client.post(&format!("{}/-/reload", server.url), "text/plain", Vec::new()).expect("a reply");
    assert_eq!(status, 200, "{text}");
    assert_eq!(ours.wait_for(1)[0]["commonLabels"]["alertname"], "A");
    write(false);
    client.post(&format!("{}/-/reload", server.url), "text/plain", Vec::new()).expect("a reply");
    assert_eq!(get(&client, &server.url, "alerts").1, json!([]), "they are the Alertmanagers' from now on");
}
