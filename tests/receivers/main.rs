//! Notifications without an Alertmanager, with the real binary.
//!
//! `ALERTMANAGER_BIN` and `AMTOOL_BIN` name programs to compare with; else they are looked for in the path. Without them
//! those tests say so and pass, unless `EMBERKEEP_REQUIRE_ALL=1`.

mod api;
mod beside;
mod email;
mod hook;
mod restart;
mod smtp;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

use support::server::{Client, Server};

/// A folder with a configuration, and the command line that names it.
struct Setup {
    dir: tempfile::TempDir,
    config: PathBuf,
}

impl Setup {
    /// Writes `notifications` below the section's key, and `rules` into a file of rules.
    fn new(notifications: &str, rules: &str) -> Self {
        let dir = tempfile::tempdir().expect("dir");
        let config = dir.path().join("prometheus.yml");
        let new = Self { dir, config };
        new.write(notifications);
        std::fs::write(new.dir.path().join("rules.yml"), rules).expect("write");
        new
    }

    fn write(&self, notifications: &str) {
        let text = format!(
            "global: {{evaluation_interval: 200ms}}\nrule_files: [rules.yml]\nnotifications:\n{notifications}"
        );
        std::fs::write(&self.config, text).expect("write");
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn start(&self) -> Server {
        let config = self.config.to_str().expect("text");
        let args = ["--config.file", config, "--web.enable-lifecycle", "--rules.alert.resend-delay", "1s"];
        Server::start(&self.dir.path().join("data"), &args, &[])
    }
}

/// Posts alerts, which fire until they are posted with an end.
fn post(client: &Client, base: &str, alerts: &serde_json::Value) {
    let body = alerts.to_string().into_bytes();
    let (status, text) =
        client.post(&format!("{base}/api/v2/alerts"), "application/json", body).expect("a reply");
    assert_eq!(status, 200, "{text}");
}
