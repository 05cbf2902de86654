//! The `bench` subcommands that drive a running server, against a server started here.

#[path = "../support/mod.rs"]
mod support;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use emberkeep::codec::ByteWriter as _;
use serde_json::Value;
use support::server::{Client, Server};
use tempfile::TempDir;

const END: &str = "1700000000";

/// Flags of a server that takes old samples: one that scraped itself would be at today already.
fn receive(dir: &TempDir) -> Vec<String> {
    let config = dir.path().join("nobody.yml");
    std::fs::write(&config, "scrape_configs: []\n").expect("file");
    let config = format!("--config.file={}", config.display());
    vec![
        config,
        "--web.enable-remote-write-receiver".to_owned(),
        "--storage.tsdb.retention.time=0".to_owned(),
    ]
}

fn start(dir: &TempDir) -> Server {
    let flags = receive(dir);
    Server::start(&dir.path().join("data"), &flags.iter().map(String::as_str).collect::<Vec<_>>(), &[])
}

/// Writes a recording of one host with four series over 60 scrapes.
fn capture(dir: &TempDir) -> PathBuf {
    const SCRAPES: u32 = 60;
    let mut out = Vec::new();
    let put_name = |out: &mut Vec<u8>, name: &str, between: Option<u32>| {
        out.put_bytes(&u16::try_from(name.len()).expect("short").to_le_bytes());
        between.into_iter().for_each(|number| out.put_u32(number));
        out.put_bytes(name.as_bytes());
    };
    out.put_bytes(b"TSC1");
    out.put_u32(1);
    put_name(&mut out, "node", None);
    out.put_u32(SCRAPES);
    (0..u64::from(SCRAPES)).for_each(|scrape| out.put_u64(scrape * 1000));
    let series =
        ["node_load1", "node_cpu_seconds_total{cpu=\"0\"}", "node_cpu_seconds_total{cpu=\"1\"}", "node_up"];
    out.put_u32(4);
    for (number, name) in (1u32..).zip(series) {
        put_name(&mut out, name, Some(1));
        out.put_u32(0);
        out.put_u32(SCRAPES);
        (0..SCRAPES).for_each(|scrape| out.put_f64(f64::from(scrape * number) / 4.0));
    }
    let path = dir.path().join("capture.tsc.zst");
    std::fs::write(&path, zstd::encode_all(&out[..], 1).expect("zstd")).expect("file");
    path
}

fn bench(args: &[&str], capture: Option<&Path>, end: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_emberkeep"));
    command.arg("bench").args(args);
    if let Some(capture) = capture {
        command.arg("--capture").arg(capture).args(["--series-per-host", "4"]);
    }
    command.args(end).output().expect("run the bench")
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}{errors}"))
}

/// Pushes 20 scrapes of 5 hosts that end at [`END`].
fn push(url: &str, pid: &str, capture: &Path) -> Value {
    let args = ["remote-write", "--json", "--url", url, "--pid", pid, "--hosts", "5", "--scrapes", "20"];
    let more = ["--samples-per-series", "3", "--series-per-body", "7", "--end", END];
    let output = bench(&args, Some(capture), &more);
    assert!(output.status.success(), "{output:?}");
    json(&output)
}

#[test]
fn what_is_pushed_is_counted_and_there_and_can_be_queried() {
    let dir = tempfile::tempdir().expect("dir");
    let server = start(&dir);
    let pid = server.pid().to_string();
    let pushed = push(&server.url, &pid, &capture(&dir));
    // Seven rounds of three bodies: seven series in each but the last.
    for (figure, expected) in [("active series", 20.0), ("samples accepted", 400.0), ("bodies", 21.0)] {
        assert_eq!(pushed[figure], expected, "{figure}");
    }
    assert_eq!(pushed["samples in refused bodies"], 0.0);
    assert!(pushed["resident memory per series, bytes"].as_f64().is_some_and(|bytes| bytes > 0.0));

    let client = Client::new();
    let all = "sum(count_over_time(node_cpu_seconds_total[10m]))";
    let form = [("query", all), ("time", END)];
    assert_eq!(client.api(&server.url, "query", &form)["result"][0]["value"][1], "200");

    let queries = dir.path().join("queries.txt");
    let text = "range sum(rate(node_cpu_seconds_total[$interval]))\ninstant max_over_time(node_up[$range])\n\
                instant nothing_of_that_name\n";
    std::fs::write(&queries, text).expect("file");
    let queries = queries.to_str().expect("a plain path");
    let args = ["queries", "--json", "--url", &server.url, "--pid", &pid, "--over", "5m", "--end", END];
    let asked = json(&bench(&args, None, &["--runs", "2", "--queries", queries]));
    assert_eq!(asked["5m: queries without a result"], 1.0, "{asked}");
    assert!(asked["5m: geometric mean, ms"].as_f64().is_some_and(|mean| mean > 0.0), "{asked}");
}

#[test]
fn bodies_that_a_server_refuses_are_an_error() {
    let dir = tempfile::tempdir().expect("dir");
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    let args = ["remote-write", "--json", "--url", &server.url, "--hosts", "1", "--scrapes", "2"];
    let output = bench(&args, Some(&capture(&dir)), &[]);
    assert!(!output.status.success());
    assert_eq!(json(&output)["samples accepted"], 0.0);
    assert_eq!(json(&output)["samples in refused bodies"], 8.0);
}

#[test]
fn a_killed_server_is_started_again_and_has_everything() {
    let dir = tempfile::tempdir().expect("dir");
    let data = dir.path().join("data");
    let server = start(&dir);
    let pid = server.pid().to_string();
    push(&server.url, &pid, &capture(&dir));
    let free = TcpListener::bind("127.0.0.1:0").expect("port").local_addr().expect("port");
    let (url, listen) = (format!("http://{free}"), format!("--web.listen-address={free}"));
    let storage = format!("--storage.tsdb.path={}", data.display());
    let query = "sum(count_over_time(node_cpu_seconds_total[10m]))";
    let args = ["restart", "--json", "--url", &url, "--pid", &pid, "--query", query, "--expect", "200"];
    let command = ["--time", END, "--", env!("CARGO_BIN_EXE_emberkeep"), "serve", &storage, &listen];
    let flags = receive(&dir);
    let command: Vec<&str> = command.into_iter().chain(flags.iter().map(String::as_str)).collect();
    let output = bench(&args, None, &command);
    let restarted = json(&output);
    let pid = restarted["process"].as_f64().expect("process");
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status().expect("kill");
    assert!(killed.success() && output.status.success(), "{output:?}");
    assert_eq!(restarted["found"], 200.0);
    assert!(restarted["seconds to the expected number"].as_f64().is_some(), "{restarted}");
}

#[test]
fn a_comparison_of_one_starts_kills_and_measures_it() {
    let dir = tempfile::tempdir().expect("dir");
    let root = dir.path().to_str().expect("a plain path");
    let args = ["compare", "--quick", "--rows", "write", "--emberkeep", env!("CARGO_BIN_EXE_emberkeep")];
    let output = bench(&args, Some(&capture(&dir)), &["--dir", root]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let row = text.lines().find(|line| line.contains("after kill -9")).expect("the row of the restart");
    assert!(row.contains(" s | - | - |") && !row.contains("counted"), "{row}");
    assert!(text.contains("| work | Emberkeep | share of the better | goal |"), "{text}");
    // Nothing is left behind.
    let left: Vec<_> = std::fs::read_dir(root).expect("root").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["capture.tsc.zst"]);
}
