//! What a query cost, as replies say it: `stats` and `explain`.

use serde_json::{Value, json};

use crate::support::server::Server;
use crate::{get, newest, send, start};

#[test]
fn statistics_come_in_all_and_by_step() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let (from, to) = (newest() - 30, newest());
    let ask = |stats: &str| -> Value {
        let query = "query=sum_over_time(m[30s])";
        let path = format!("/api/v1/query_range?{query}&start={from}&end={to}&step=15{stats}");
        let reply = get(&server, &path);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["data"]["stats"].clone()
    };
    assert_eq!(ask(""), Value::Null);
    let totals = ask("&stats=true")["samples"].clone();
    assert_eq!((&totals["totalQueryableSamples"], &totals["samplesRead"]), (&json!(18), &json!(12)));
    assert!(totals["peakSamples"].as_u64() > Some(0) && totals["peakBytes"].as_u64() > Some(0), "{totals}");
    assert_eq!(totals["totalQueryableSamplesPerStep"], Value::Null);
    let mut all = ask("&stats=all")["samples"].clone();
    let steps = |counts: [u64; 3]| json!([[from, counts[0]], [from + 15, counts[1]], [to, counts[2]]]);
    assert_eq!(all["totalQueryableSamplesPerStep"], steps([6, 6, 6]));
    assert_eq!(all["samplesReadPerStep"], steps([6, 3, 3]));
    let more = ["totalQueryableSamplesPerStep", "samplesReadPerStep"];
    more.iter().for_each(|name| assert!(all.as_object_mut().is_some_and(|all| all.remove(*name).is_some())));
    assert_eq!(all, totals);
    let path = format!("/api/v1/query?query=m&time={from}.5&stats=all");
    let samples = get(&server, &path).json()["data"]["stats"]["samples"].clone();
    assert_eq!(samples["samplesReadPerStep"], json!([[from as f64 + 0.5, 3]]));
}

/// The value of a metric of the server itself.
fn metric(server: &Server, name: &str) -> f64 {
    let text = get(server, "/metrics").text();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{name} in {text}"))
}

#[test]
fn a_graph_that_is_drawn_again_comes_from_what_was_kept() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let ask = |from: i64, to: i64, more: &str| {
        let path = format!("/api/v1/query_range?query=m&start={from}&end={to}&step=15{more}");
        let reply = get(&server, &path);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let steps = ["known", "evaluated"]
            .map(|kind| metric(&server, &format!("emberkeep_query_{kind}_steps_total")));
        (reply.text(), steps)
    };
    let (now, all) = (newest(), newest() - 60);
    let (fresh, before) = ask(all, now, "&nocache=1");
    assert_eq!(before, [0.0, 5.0]);
    assert_eq!(ask(all, now, ""), (fresh.clone(), [0.0, 10.0]));
    assert!(metric(&server, "emberkeep_query_cache_bytes") > 0.0);
    assert_eq!(ask(all, now, ""), (fresh.clone(), [5.0, 10.0]));
    assert_eq!(ask(all, now, "&nocache=1"), (fresh, [5.0, 15.0]));
    let moved = ask(all + 15, now + 15, "");
    assert_eq!(moved.1, [9.0, 16.0], "a step was new");
    assert_eq!(ask(all + 15, now + 15, "&nocache=1").0, moved.0);
}

#[test]
fn kept_results_outlive_a_reload() {
    let dir = tempfile::tempdir().expect("dir");
    let config = dir.path().join("config.yml");
    let interval = |seconds: u32| {
        let text = format!("global: {{ evaluation_interval: {seconds}s }}\n");
        std::fs::write(&config, text).expect("write");
    };
    interval(15);
    let server = start(&dir, &["--config.file", config.to_str().expect("text")]);
    // The interval is the step of the subquery.
    let ask = || {
        let (from, to) = (newest() - 60, newest());
        let query = "query=count_over_time(m[60s:])";
        let reply = get(&server, &format!("/api/v1/query_range?{query}&start={from}&end={to}&step=15"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        (reply.text(), metric(&server, "emberkeep_query_known_steps_total"))
    };
    let reload = || assert_eq!(send(&server, "POST /-/reload", &[], b"").status, 200);
    let (first, known) = ask();
    assert_eq!(known, 0.0);
    reload();
    assert_eq!(ask(), (first.clone(), 5.0), "the reload changed nothing");
    interval(5);
    reload();
    let (other, known) = ask();
    assert_eq!(known, 5.0, "with another interval it is another query");
    assert_ne!(other, first);
    interval(15);
    reload();
    assert_eq!(ask(), (first, 10.0));
}

#[test]
fn a_plan_is_explained_with_what_it_took() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let now = newest();
    let query = "query=sum%20by(instance)(m)%20%2B%201";
    for path in
        [format!("query?{query}&time={now}"), format!("query_range?{query}&start={now}&end={now}&step=1")]
    {
        let reply = get(&server, &format!("/api/v1/{path}&explain=1"));
        let root = reply.json()["data"]["explain"].clone();
        let texts: Vec<&Value> = ["", "/inputs/0", "/inputs/0/inputs/0", "/inputs/1"]
            .into_iter()
            .map(|at| root.pointer(&format!("{at}/text")).unwrap_or_else(|| panic!("{at} of {root}")))
            .collect();
        assert_eq!(texts, ["+", "sum by (instance)", "m", "1"]);
        let leaf = &root["inputs"][0]["inputs"][0];
        assert_eq!(
            (&leaf["series"], &leaf["samples"], &leaf["seriesRead"]),
            (&json!(3), &json!(3), &json!(3))
        );
        assert!(leaf["samplesRead"].as_u64() >= Some(3) && leaf["bytes"].as_u64() > Some(0), "{leaf}");
        let time = |node: &Value, name: &str| node[name].as_f64().expect("seconds");
        assert!(time(&root, "totalTime") >= time(&root["inputs"][0], "totalTime"), "{root}");
        assert!(time(leaf, "selfTime") > 0.0 && root["seriesRead"] == Value::Null, "{root}");
        assert_eq!(get(&server, &format!("/api/v1/{path}")).json()["data"]["explain"], Value::Null);
    }
}

#[test]
fn the_highest_plans_are_explained_too() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir, &[]);
    let explained = |terms: usize| {
        let query = vec!["m"; terms].join("%20or%20");
        get(&server, &format!("/api/v1/query?query={query}&time={}&explain=1", newest()))
    };
    let reply = explained(200);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let text = reply.text();
    assert_eq!(text.matches("\"text\":\"or\"").count(), 199);
    assert_eq!(text.matches("\"text\":\"m\"").count(), 200);
    let higher = explained(201);
    assert!(higher.status == 400 && higher.text().contains("explained"), "{}", higher.text());
}
