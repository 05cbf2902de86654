//! Where targets come from, and what relabelling makes of them.

use serde_json::json;

use crate::support::server::{Client, Server, wait_for};

#[test]
fn mechanisms_and_the_steps_of_relabelling_are_shown() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("f.yml");
    let targets = dir.path().join("t.json");
    std::fs::write(&targets, r#"[{"targets": ["a:1", "b:1"], "labels": {"env": "x"}}]"#).expect("write");
    let config = "scrape_configs:
- job_name: files
  file_sd_configs: [{files: [t.json]}]
  relabel_configs:
  - {source_labels: [env], target_label: stage}
  - {source_labels: [__address__], regex: 'b:.*', action: drop}
  - {action: hashmod, source_labels: [__address__], modulus: 2, target_label: never}
- job_name: fixed
  static_configs: [{targets: ['c:1']}]
";
    std::fs::write(&file, config).expect("write");
    let config_file = format!("--config.file={}", file.display());
    let server = Server::start(&dir.path().join("data"), &[&config_file], &[]);
    let client = Client::new();
    let dropped = wait_for("two targets", || {
        let shown = client.api(&server.url, "targets", &[("scrapePool", "files")]);
        shown["droppedTargets"].get(0).map(|target| target["discoveredLabels"].clone())
    });
    let targets_shown = client.api(&server.url, "targets", &[]);
    assert_eq!(targets_shown["droppedTargetCounts"], json!({"files": 1, "fixed": 0}));
    assert_eq!(targets_shown["droppedTargets"][0]["scrapePool"], "files");
    let active = targets_shown["activeTargets"].as_array().expect("targets");
    let keys = |target: &serde_json::Value| -> Vec<String> {
        target.as_object().expect("an object").keys().cloned().collect()
    };
    for key in [
        "discoveredLabels",
        "globalUrl",
        "health",
        "labels",
        "lastError",
        "lastScrape",
        "lastScrapeDuration",
        "scrapeInterval",
        "scrapePool",
        "scrapeTimeout",
        "scrapeUrl",
    ] {
        assert!(keys(&active[0]).iter().any(|own| own == key), "{key} is not among {:?}", keys(&active[0]));
    }
    assert_eq!(
        (&active[0]["scrapeUrl"], &active[0]["scrapeInterval"], &active[0]["scrapeTimeout"]),
        (&json!("http://a:1/metrics"), &json!("1m"), &json!("10s"))
    );
    let shown = client.api(&server.url, "discovery", &[]);
    assert_eq!(shown["alertmanagers"], json!([]));
    assert_eq!(shown["jobs"][0], json!({"name": "files", "mechanisms": shown["jobs"][0]["mechanisms"]}));
    assert_eq!(shown["jobs"][1], json!({"name": "fixed", "mechanisms": []}));
    let mechanism = &shown["jobs"][0]["mechanisms"][0];
    assert_eq!(mechanism["mechanism"], "file");
    assert_eq!(mechanism["what"], targets.display().to_string());
    assert_eq!((&mechanism["targets"], &mechanism["lastError"]), (&json!(2), &json!(null)));
    assert_eq!(mechanism["changes"][0]["added"], 2);
    assert!(mechanism["lastRefresh"].is_string() && mechanism["nextRefresh"].is_string(), "{mechanism}");

    let steps = |labels: &serde_json::Value| {
        let form = [("scrapePool", "files"), ("labels", &labels.to_string())];
        client.api(&server.url, "targets/relabel_steps", &form)["steps"].clone()
    };
    let all = steps(&dropped);
    let mut expected = dropped.clone();
    expected["stage"] = "x".into();
    let rule = json!({"source_labels": ["env"], "separator": ";", "regex": "(.*)", "target_label": "stage",
        "replacement": "$1", "action": "replace"});
    assert_eq!(all[0], json!({"rule": rule, "output": expected, "keep": true}));
    assert_eq!((&all[1]["keep"], &all[1]["output"]), (&json!(false), &json!({})));
    assert_eq!((&all[2]["keep"], &all[2]["rule"]["modulus"]), (&json!(false), &json!(2)));

    // A file that is broken is told, and takes nothing away.
    std::fs::write(&targets, "[").expect("write");
    let error = wait_for("the error", || {
        let shown = client.api(&server.url, "discovery", &[]);
        shown["jobs"][0]["mechanisms"][0]["lastError"].as_str().map(str::to_owned)
    });
    assert!(error.contains("t.json"), "{error}");
    let shown = client.api(&server.url, "targets", &[("state", "active"), ("scrapePool", "files")]);
    assert_eq!(shown["activeTargets"].as_array().map(Vec::len), Some(1));
    assert!(server.stop().success());
}
