//! The real Prometheus and its tool read what is written here, and what they write is read here.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use emberkeep::remote::message;

use crate::support::prometheus::{Prometheus, program};
use crate::support::server::Client;
use crate::{ok, open_metrics, sorted, tsdb};

/// Takes remote write, and keeps everything it is given.
fn start(program: &Path, dir: &Path, data: &Path, client: &Client) -> Prometheus {
    let args = [
        "--storage.tsdb.retention.time=100y",
        "--web.enable-remote-write-receiver",
        "--web.enable-admin-api",
    ];
    Prometheus::start(program, dir, data, "scrape_configs: []\n", &args, client)
}

fn promtool_dump(promtool: &Path, data: &Path) -> String {
    ok(&Command::new(promtool).args(["tsdb", "dump"]).arg(data).output().expect("run"))
}

#[test]
fn promtool_reads_an_export() {
    let Some(promtool) = program("PROMTOOL_BIN", "promtool") else { return };
    let dir = tempfile::tempdir().expect("dir");
    let [file, data, out] = ["in.om", "data", "out"].map(|name| dir.path().join(name));
    open_metrics(&file, 1_700_006_400);
    ok(&tsdb(&["import", "openmetrics"], &[&file, &data]));
    let told = ok(&tsdb(&["export", "--format", "prometheus"], &[&data, &out]));
    assert!(told.ends_with("wrote 7200 samples in 3 blocks\n"), "{told}");
    let run = |what: &str| ok(&Command::new(&promtool).args(["tsdb", what]).arg(&out).output().expect("run"));
    assert_eq!(run("list").lines().count(), 4);
    assert!(run("analyze").contains("Series: 5"));
    assert_eq!(sorted(&promtool_dump(&promtool, &out)), sorted(&ok(&tsdb(&["dump"], &[&data]))));

    let part = dir.path().join("part");
    let some = ["--match", "{n=\"2\"}", "--min-time", "1700006500000", "--max-time", "1700006799999"];
    ok(&tsdb(&[&["export", "--format", "prometheus"][..], &some].concat(), &[&data, &part]));
    let expected = ok(&tsdb(&[&["dump"][..], &some].concat(), &[&data]));
    assert_eq!(expected.lines().count(), 20);
    assert_eq!(promtool_dump(&promtool, &part), expected);

    // And back again.
    let again = dir.path().join("again");
    ok(&tsdb(&["import", "prometheus"], &[&out, &again]));
    assert_eq!(ok(&tsdb(&["dump"], &[&again])), ok(&tsdb(&["dump"], &[&data])));
}

#[test]
fn a_server_answers_from_an_export() {
    let Some(prometheus) = program("PROMETHEUS_BIN", "prometheus") else { return };
    let dir = tempfile::tempdir().expect("dir");
    let [file, data, out] = ["in.om", "data", "out"].map(|name| dir.path().join(name));
    open_metrics(&file, 1_700_006_400);
    ok(&tsdb(&["import", "openmetrics"], &[&file, &data]));
    ok(&tsdb(&["export", "--format", "prometheus", "--block-duration", "6h"], &[&data, &out]));
    let client = Client::new();
    let theirs = start(&prometheus, dir.path(), &out, &client);
    let ours = crate::support::server::Server::start(&data, &["--storage.tsdb.retention.time=100y"], &[]);
    for query in ["sum(m0)", "sum by (n) (sum_over_time(m1[50m]))", "count({n=~\".+\"})"] {
        let form = [("query", query), ("start", "1700006500"), ("end", "1700024300"), ("step", "300")];
        let (a, b) =
            (client.api(&ours.url, "query_range", &form), client.api(&theirs.url, "query_range", &form));
        assert!(!a["result"].as_array().expect("series").is_empty());
        assert_eq!(a, b, "{query}");
    }
}

#[test]
fn what_prometheus_wrote_is_imported() {
    let Some(prometheus) = program("PROMETHEUS_BIN", "prometheus") else { return };
    let Some(promtool) = program("PROMTOOL_BIN", "promtool") else { return };
    let dir = tempfile::tempdir().expect("dir");
    let theirs = dir.path().join("theirs");
    let client = Client::new();
    let server = start(&prometheus, dir.path(), &theirs, &client);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let start = i64::try_from(now).expect("fits") * 1000 - 3_500_000;
    for scrape in 0..230i64 {
        let mut body = Vec::new();
        for series in 0..20i64 {
            let number = series.to_string();
            let labels = [("__name__", "m"), ("n", number.as_str())];
            let sample = (start + scrape * 15_000 + series, (scrape * series) as f64 / 7.0);
            message::put_series(&mut body, labels.into_iter(), &[sample]);
        }
        let body = snap::raw::Encoder::new().compress_vec(&body).expect("compress");
        let url = format!("{}/api/v1/write", server.url);
        let (status, text) = client.post(&url, "application/x-protobuf", body).expect("write");
        assert_eq!(status, 204, "{text}");
    }
    let deleted = format!("{}/api/v1/admin/tsdb/delete_series?match[]=m%7Bn%3D%223%22%7D", server.url);
    assert_eq!(client.post(&deleted, "text/plain", Vec::new()).expect("delete").0, 204);
    let snapshot = format!("{}/api/v1/admin/tsdb/snapshot", server.url);
    assert_eq!(client.post(&snapshot, "text/plain", Vec::new()).expect("snapshot").0, 200);
    drop(server);

    let snapshots = theirs.join("snapshots");
    let snapshot =
        std::fs::read_dir(&snapshots).expect("snapshots").next().expect("one").expect("entry").path();
    // Its own tool does not read a folder without a log.
    std::fs::create_dir(snapshot.join("wal")).expect("create");
    for (name, source) in [("log", &theirs), ("blocks", &snapshot)] {
        let data = dir.path().join(name);
        ok(&tsdb(&["import", "prometheus"], &[source, &data]));
        let ours = ok(&tsdb(&["dump"], &[&data]));
        assert_eq!(ours.lines().count(), 19 * 230, "{name}");
        assert_eq!(sorted(&ours), sorted(&promtool_dump(&promtool, source)), "{name}");
    }
}
