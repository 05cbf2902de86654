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

/// The whole lines of a log.
fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn queries_of_clients_and_rules_are_logged() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("f.yml");
    let rules = "groups:\n- {name: g, interval: 1s, rules: [{record: a, expr: vector(1)}]}\n";
    std::fs::write(dir.path().join("r.yml"), rules).expect("write");
    let configure = |global: &str| {
        std::fs::write(&file, format!("global: {{{global}}}\nrule_files: [r.yml]\n")).expect("write");
    };
    configure("query_log_file: q.log");
    let config = format!("--config.file={}", file.display());
    let arguments = [&*config, "--web.enable-lifecycle", "--web.route-prefix=/p"];
    let server = Server::start(&dir.path().join("data"), &arguments, &[]);
    let client = Client::new();
    let url = format!("{}/p", server.url);
    let ask = |path: &str| client.get(&format!("{url}{path}")).expect("a reply");
    let log = dir.path().join("q.log");
    let logged = |query: &str| {
        wait_for("a line of the log", || {
            lines(&log).into_iter().find(|line| line["params"]["query"] == query)
        })
    };

    ask("/api/v1/query_range?query=time()&start=1.5&end=61.5&step=15.5");
    let line = logged("time()");
    let params = serde_json::json!({
        "query": "time()", "start": "1970-01-01T00:00:01.500Z", "end": "1970-01-01T00:01:01.500Z", "step": 15,
    });
    assert_eq!(line["params"], params);
    let request =
        serde_json::json!({"clientIP": "127.0.0.1", "method": "GET", "path": "/p/api/v1/query_range"});
    assert_eq!(line["httpRequest"], request);
    let total = line["stats"]["timings"]["execTotalTime"].as_f64();
    assert!(total.is_some_and(|seconds| seconds > 0.0) && line.get("error").is_none(), "{line}");
    assert_eq!(line["stats"]["samples"]["totalQueryableSamples"], 0);

    // One that cannot be read never runs; one that fails says why.
    assert_eq!(ask("/api/v1/query?query=sum(").0, 400);
    let two = "vector(1)+on()(vector(1)or label_replace(vector(1),\"a\",\"b\",\"\",\"\"))";
    let form = format!("query={}", two.replace('+', "%2B"));
    let form_type = "application/x-www-form-urlencoded";
    assert_eq!(client.post(&format!("{url}/api/v1/query"), form_type, form.into()).expect("a reply").0, 422);
    let line = logged(two);
    assert!(line["error"].as_str().is_some_and(|error| error.contains("duplicate")), "{line}");
    assert_eq!(line["httpRequest"]["method"], "POST");
    ask("/api/v1/query?query=vector(4)&time=7");
    assert_eq!(logged("vector(4)")["stats"]["samples"]["samplesRead"], 0);
    assert!(lines(&log).iter().all(|line| line["params"]["query"] != "sum("));

    let group = serde_json::json!({"file": dir.path().join("r.yml").display().to_string(), "name": "g"});
    assert_eq!(logged("vector(1)")["ruleGroup"], group);
    let metrics = ask("/metrics").1;
    assert!(metrics.contains("prometheus_engine_query_log_enabled 1\n"), "{metrics}");

    // What is refused changes nothing and leaves nothing behind.
    let reload = || client.post(&format!("{url}/-/reload"), "text/plain", Vec::new()).expect("a reply");
    configure("query_log_file: none/q.log, scrape_failure_log_file: new.log");
    let (status, text) = reload();
    assert!(status == 500 && text.contains("query_log_file: cannot write"), "{status} {text}");
    configure("query_log_file: other.log");
    std::fs::write(dir.path().join("r.yml"), "groups: 7").expect("write");
    assert_eq!(reload().0, 500);
    assert!(!dir.path().join("new.log").exists() && !dir.path().join("other.log").exists());
    ask("/api/v1/query?query=vector(5)");
    logged("vector(5)");

    // A file that was moved away is followed by a new one.
    std::fs::write(dir.path().join("r.yml"), "").expect("write");
    configure("query_log_file: q.log");
    std::fs::rename(&log, dir.path().join("old.log")).expect("rename");
    assert_eq!(reload().0, 200);
    ask("/api/v1/query?query=vector(6)");
    logged("vector(6)");
    configure("");
    assert_eq!(reload().0, 200);
    ask("/api/v1/query?query=vector(7)");
    assert!(server.stop().success());
    assert!(lines(&log).iter().all(|line| line["params"]["query"] != "vector(7)"));
}
