//! `--enable-feature=type-and-unit-labels` of the real binary: from a target to the reply of a query.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::server::wait_for;
use crate::support::services::Service;
use crate::{Server, get};

const BODY: &str = "# TYPE work_seconds counter\n# UNIT work_seconds seconds\nwork_seconds_total 5\n\
                    # TYPE size gauge\nsize{__unit__=\"exposed\"} 7\n# EOF\n";

/// Labels beside those of the target, of each series that `query` gives.
fn labels(server: &Server, query: &str) -> Vec<Value> {
    let reply = get(server, &format!("/api/v1/query?query={query}"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut data = reply.json()["data"]["result"].take();
    let rows = data.as_array_mut().expect("a vector");
    let bare = rows.iter_mut().map(|row| {
        let mut labels = row["metric"].take();
        let all = labels.as_object_mut().expect("labels");
        ["instance", "job"].iter().for_each(|name| drop(all.remove(*name)));
        labels
    });
    bare.collect()
}

fn scraping(dir: &tempfile::TempDir, target: SocketAddr, args: &[&str]) -> Server {
    let config = dir.path().join("typed.yml");
    let jobs = format!("[{{job_name: j, static_configs: [{{targets: ['{target}']}}]}}]");
    let text = format!("global: {{scrape_interval: 200ms}}\nscrape_configs: {jobs}\n");
    std::fs::write(&config, text).expect("config");
    let file = format!("--config.file={}", config.display());
    let server = Server::start(&dir.path().join("data"), &[&[file.as_str()], args].concat(), &[]);
    wait_for("a scrape", || (!labels(&server, "size").is_empty()).then_some(()));
    server
}

#[test]
fn types_and_units_are_labels_where_that_is_switched_on() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let service = Service::start(address, Arc::new(|_| Some(BODY.to_owned()))).expect("a target");
    let dir = tempfile::tempdir().expect("dir");
    let off = scraping(&dir, service.address, &[]);
    assert_eq!(labels(&off, "work_seconds_total"), [json!({"__name__": "work_seconds_total"})]);
    drop(off);

    let dir = tempfile::tempdir().expect("dir");
    let on = scraping(&dir, service.address, &["--enable-feature=type-and-unit-labels"]);
    assert!(!on.log().contains("left off"), "{}", on.log());
    let whole = json!({"__name__": "work_seconds_total", "__type__": "counter", "__unit__": "seconds"});
    assert_eq!(labels(&on, "{__type__=\"counter\",__unit__=\"seconds\"}"), [whole]);
    let size = json!({"__name__": "size", "__type__": "gauge", "__unit__": "exposed"});
    assert_eq!(labels(&on, "size"), [size]);
    assert_eq!(labels(&on, "up"), [json!({"__name__": "up"})]);
    // They go where the name goes.
    assert_eq!(labels(&on, "size%2B0"), [json!({})]);
    assert_eq!(labels(&on, "sum(size)"), [json!({})]);
    // The type of a metric is what its label says, whatever it is called.
    let infos = |query: &str| get(&on, &format!("/api/v1/query?query={query}")).json()["infos"].clone();
    wait_for("two scrapes", || (!labels(&on, "rate(size[1m])").is_empty()).then_some(()));
    assert_eq!(infos("rate(work_seconds_total[1m])"), Value::Null);
    let info = infos("rate(size[1m])")[0].to_string();
    assert!(info.contains("__type__ label is not set to") && info.contains("got \\\"gauge\\\""), "{info}");
}
