//! Alertmanagers of the configuration, as the API shows them.

use crate::support::server::{Client, Server};

#[test]
fn alertmanagers_are_shown_and_followed_on_reload() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("f.yml");
    let write = |group: &str| {
        std::fs::write(&file, format!("alerting:\n  alertmanagers:\n  - {group}\n")).expect("write");
    };
    // Nothing is sent: there are no alerts.
    let targets = "static_configs: [{targets: ['127.0.0.1:1', '127.0.0.1:2']}]";
    write(&format!(
        "{targets}\n    path_prefix: /am\n    relabel_configs: [{{source_labels: [__address__], regex: '.*:2', action: drop}}]"
    ));
    let config_file = format!("--config.file={}", file.display());
    let server = Server::start(&dir.path().join("data"), &[&config_file, "--web.enable-lifecycle"], &[]);
    let client = Client::new();
    let shown = || client.api(&server.url, "alertmanagers", &[]);
    let url = |port: u16, prefix: &str| serde_json::json!({ "url": format!("http://127.0.0.1:{port}{prefix}/api/v2/alerts") });
    let expected = serde_json::json!({
        "activeAlertmanagers": [url(1, "/am")], "droppedAlertmanagers": [url(2, "/am")],
    });
    assert_eq!(shown(), expected);
    let yaml = client.api(&server.url, "status/config", &[])["yaml"].to_string();
    assert!(yaml.contains(r"path_prefix: /am\n    timeout: 10s\n    api_version: v2\n"), "{yaml}");

    let reload =
        || client.post(&format!("{}/-/reload", server.url), "text/plain", Vec::new()).expect("a reply");
    write(&format!("{targets}\n    scheme: ftp"));
    assert_eq!(reload().0, 500);
    assert_eq!(shown(), expected, "all or nothing");
    write(targets);
    assert_eq!(reload().0, 200);
    let expected = serde_json::json!({
        "activeAlertmanagers": [url(1, ""), url(2, "")], "droppedAlertmanagers": [],
    });
    assert_eq!(shown(), expected);
    assert!(server.stop().success());
}
