//! A real Prometheus sends what it scrapes: exemplars, metadata and native histograms arrive as they are there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::prometheus::{Prometheus, is_modern, program};
use crate::support::server::{Client, Server, wait_for};
use crate::support::services::Service;
use crate::{ok, tsdb};

/// Scrapes after which the target falls silent, so that both sides come to the same end.
const SCRAPES: u64 = 6;

fn page(number: u64) -> Option<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as f64 / 1000.0;
    (number < SCRAPES).then(|| {
        format!(
            "# HELP reqs Requests.\n# TYPE reqs counter\n\
             reqs_total{{code=\"200\"}} {number} # {{trace_id=\"{:08x}\"}} 0.5\n\
             reqs_total{{code=\"500\"}} {number} # {{trace_id=\"{number:08x}\",span_id=\"s\"}} 1.25 {:.3}\n\
             # TYPE lat_seconds histogram\n# UNIT lat_seconds seconds\n\
             lat_seconds_bucket{{le=\"0.1\"}} {number} # {{}} 0.05 {:.3}\n\
             lat_seconds_bucket{{le=\"+Inf\"}} {number} # {{trace_id=\"old\"}} 5 1000000000\n\
             lat_seconds_count {number}\nlat_seconds_sum 1\n# EOF\n",
            number / 2,
            now - 0.3,
            now - 1.0,
        )
    })
}

/// The exemplars of each series, by the text of its labels.
fn exemplars(client: &Client, server: &str) -> BTreeMap<String, Value> {
    let form = [("query", "{job=\"om\"}"), ("start", "0"), ("end", "9999999999")];
    let answer = client.api(server, "query_exemplars", &form);
    let series = answer.as_array().expect("series").iter();
    series.map(|one| (one["seriesLabels"].to_string(), one["exemplars"].clone())).collect()
}

fn check(message: &str, modern: bool) {
    let Some(prometheus) = program("PROMETHEUS_BIN", "prometheus") else { return };
    let dir = tempfile::tempdir().expect("dir");
    let client = Client::new();
    let ours = Server::start(&dir.path().join("ours"), &["--web.enable-remote-write-receiver"], &[]);
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let pages = move |_: &str| page(counted.fetch_add(1, Ordering::Relaxed));
    let target = Service::start("127.0.0.1:0".parse().expect("address"), Arc::new(pages)).expect("target");
    let (protocol, native) = if modern {
        (format!("protobuf_message: {message}, "), "scrape_native_histograms: true, ")
    } else {
        (String::new(), "")
    };
    let config = format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
         scrape_configs:\n\
         - {{job_name: om, static_configs: [{{targets: ['{}']}}]}}\n\
         - {{job_name: self, {native}static_configs: [{{targets: ['SELF']}}]}}\n\
         remote_write:\n\
         - {{url: {}/api/v1/write, {protocol}send_exemplars: true, send_native_histograms: true, \
         metadata_config: {{send_interval: 1s}}, queue_config: {{batch_send_deadline: 200ms}}}}\n",
        target.address, ours.url
    );
    let data = dir.path().join("theirs");
    let args = ["--enable-feature=exemplar-storage"];
    let theirs = Prometheus::start(&prometheus, dir.path(), &data, &config, &args, &client);
    wait_for("the last scrape", || (count.load(Ordering::Relaxed) > SCRAPES).then_some(()));
    wait_for("the same exemplars", || {
        let (a, b) = (exemplars(&client, &theirs.url), exemplars(&client, &ours.url));
        (a.len() == 4 && a == b).then_some(())
    });
    let sent = exemplars(&client, &theirs.url);
    if !message.contains("v2") {
        // In version 2.0 this one sends none.
        wait_for("metadata", || {
            let known = |server| client.api(server, "metadata", &[("metric", "go_goroutines")]);
            (known(&ours.url) == known(&theirs.url)).then_some(())
        });
    }
    if modern {
        wait_for("native histograms", || {
            let (_, text) = client.get(&format!("{}/metrics", ours.url)).ok()?;
            let name = "emberkeep_remote_write_receiver_histograms_total ";
            let stored = text.lines().find_map(|line| line.strip_prefix(name)?.parse::<f64>().ok());
            stored.filter(|stored| *stored > 0.0)
        });
    }
    // And they come with an import of its log.
    drop(theirs);
    // Away from the configuration of the other, which would be read.
    let imported = dir.path().join("import").join("data");
    std::fs::create_dir(dir.path().join("import")).expect("create");
    ok(&tsdb(&["import", "prometheus"], &[&data, &imported]));
    let printed = ok(&tsdb(&["dump", "--exemplars", "--match", "{job=\"om\"}"], &[&imported]));
    let count: usize = sent.values().map(|all| all.as_array().map_or(0, Vec::len)).sum();
    assert_eq!(printed.lines().count(), count, "{printed}");
    assert!(
        printed.contains("reqs_total") && printed.contains(" # {trace_id=\"00000001\"} 0.5 "),
        "{printed}"
    );
    let again = Server::start(&imported, &[], &[]);
    assert_eq!(exemplars(&client, &again.url), sent);
}

#[test]
fn what_prometheus_sends_arrives() {
    let modern = program("PROMETHEUS_BIN", "prometheus").is_some_and(|found| is_modern(&found));
    check("prometheus.WriteRequest", modern);
    if modern {
        check("io.prometheus.write.v2.Request", modern);
    }
}
