//! Logs in files of their own.

use serde_json::Value;

use crate::support::server::{Client, Server, wait_for};

#[test]
fn failed_scrapes_are_logged_where_the_job_or_all_jobs_say() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("f.yml");
    let jobs = |global: &str| {
        let job = |name: &str, more: &str| {
            format!(
                "- {{job_name: {name}, scrape_interval: 1s, static_configs: [{{targets: ['127.0.0.1:1']}}]{more}}}\n"
            )
        };
        let own = job("own", ", scrape_failure_log_file: own.log");
        let text = format!(
            "global: {{scrape_failure_log_file: {global}}}\nscrape_configs:\n{}{own}",
            job("all", "")
        );
        std::fs::write(&file, text).expect("write");
    };
    jobs("all.log");
    let config = format!("--config.file={}", file.display());
    let server = Server::start(&dir.path().join("data"), &[&config, "--web.enable-lifecycle"], &[]);
    let first = |name: &str| {
        wait_for("a line of the log", || {
            let text = std::fs::read_to_string(dir.path().join(name)).ok()?;
            serde_json::from_str::<Value>(text.split_once('\n')?.0).ok()
        })
    };
    for (name, job) in [("all.log", "all"), ("own.log", "own")] {
        let line = first(name);
        assert_eq!((&line["level"], &line["job_name"]), (&"ERROR".into(), &job.into()), "{line}");
        assert_eq!(line["target"], "http://127.0.0.1:1/metrics");
        assert!(line["msg"].as_str().is_some_and(|text| text.contains("127.0.0.1:1")), "{line}");
        assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
    }
    // A file that was moved away is followed by a new one after a reload; one that cannot be written is refused.
    std::fs::rename(dir.path().join("all.log"), dir.path().join("old.log")).expect("rename");
    let client = Client::new();
    let reload =
        || client.post(&format!("{}/-/reload", server.url), "text/plain", Vec::new()).expect("a reply");
    assert_eq!(reload().0, 200);
    first("all.log");
    jobs("none/all.log");
    let (status, text) = reload();
    assert!(status == 500 && text.contains("scrape_failure_log_file: cannot write"), "{status} {text}");
    assert!(server.stop().success());
}
