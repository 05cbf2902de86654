//! A server whose log is still being replayed: a file of the log is a pipe here, which ends when the test says so.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use emberkeep::remote::message;
use serde_json::json;

use crate::support::server::wait_for;
use crate::{Reply, Server, get, newest, open, receive, send, write};

/// A data directory with blocks, the oldest sample eight hours old, and a log.
struct Stored {
    dir: tempfile::TempDir,
    /// Time of the newest sample, in seconds.
    newest: i64,
}

impl Stored {
    fn new() -> Self {
        let stored = Self { dir: tempfile::tempdir().expect("dir"), newest: newest() };
        let server = stored.start("scrape_configs: []", &["--web.enable-remote-write-receiver"]);
        let at = |minute: i64| ((stored.newest - (480 - minute) * 60) * 1000, minute as f64);
        let samples: Vec<(i64, f64)> = (0..=480).map(at).collect();
        let mut body = Vec::new();
        message::put_series(&mut body, [("__name__", "m")].into_iter(), &samples);
        assert_eq!(write::write(&server, &body).status, 204);
        // The head keeps three hours at most. How many blocks hold the rest depends on what was merged meanwhile.
        wait_for("the blocks are cut", || {
            let text = get(&server, "/api/v1/status/tsdb/blocks").json();
            let ends =
                text["data"]["blocks"].as_array()?.iter().filter_map(|block| block["maxTime"].as_i64());
            (ends.max()? >= (stored.newest - 3 * 3600) * 1000).then_some(())
        });
        assert!(server.stop().success());
        stored
    }

    fn start(&self, config: &str, args: &[&str]) -> Server {
        let file = self.dir.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("write");
        let file = format!("--config.file={}", file.display());
        // A server that syncs the log opens its files before it replays them, and would wait there.
        let all = [&[file.as_str(), "--storage.tsdb.wal-sync=never"], args].concat();
        Server::start(&self.dir.path().join("data"), &all, &[])
    }

    /// Puts a pipe in the place of the newest file of the log.
    fn hold(&self) -> Held {
        let wal = self.dir.path().join("data/wal");
        let files = std::fs::read_dir(&wal).expect("wal").map(|file| file.expect("file").path());
        let is_segment =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('0'));
        let path = files.filter(is_segment).max().expect("a file");
        let content = std::fs::read(&path).expect("read");
        std::fs::remove_file(&path).expect("remove");
        make_pipe(&path);
        Held { path, content }
    }
}

fn make_pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
}

/// The replay waits for the content of this file.
struct Held {
    path: PathBuf,
    content: Vec<u8>,
}

impl Held {
    fn number(&self) -> u64 {
        self.path.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("a number")
    }

    /// Lets the replay go on.
    fn release(self) {
        let mut pipe = std::fs::File::options().write(true).open(&self.path).expect("open");
        pipe.write_all(&self.content).expect("write");
    }
}

fn value(reply: &Reply) -> serde_json::Value {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["data"]["result"][0]["value"][1].take()
}

#[test]
fn everything_that_does_not_need_the_log_is_answered() {
    let stored = Stored::new();
    let target = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = target.local_addr().expect("address");
    let held = stored.hold();
    let config = format!(
        "global: {{scrape_interval: 1s, series_quota: 1000}}\nscrape_configs: [{{job_name: j, static_configs: [{{targets: ['{address}']}}]}}]"
    );
    let server = stored.start(&config, &["--query.max-concurrency=1", "--web.enable-lifecycle"]);
    for path in ["/-/healthy", "/", "/metrics", "/api/v1/targets"] {
        assert!(get(&server, path).status < 400, "{path}");
    }
    for name in ["walreplay", "tsdb/blocks", "runtimeinfo", "flags", "config"] {
        assert_eq!(get(&server, &format!("/api/v1/status/{name}")).status, 200, "{name}");
    }
    assert_eq!(get(&server, "/api/v1/status/tsdb").status, 503);
    assert_eq!(get(&server, "/-/ready").status, 503);
    target.accept().expect("is scraped");
    assert_eq!(send(&server, "POST /-/reload", &[], b"").status, 200);

    // One waits; the only place among the queries is free for others all the same.
    let now = stored.newest;
    let waiting = open(&server, &format!("GET /api/v1/query?query=m&time={now}"), &[], b"");
    let names = open(&server, "GET /api/v1/labels", &[], b"");
    let in_time = get(&server, &format!("/api/v1/query?query=m&time={now}&timeout=100ms"));
    assert_eq!((in_time.status, &in_time.json()["errorType"]), (503, &json!("timeout")));
    let in_block = format!("/api/v1/query?query=m&time={}", now - 7 * 3600);
    assert_eq!(value(&get(&server, &in_block)), json!("60"));

    held.release();
    assert_eq!(value(&receive(waiting)), json!("480"));
    assert!(receive(names).text().contains("\"__name__\""));
    wait_for("it is ready", || (get(&server, "/-/ready").status == 200).then_some(()));
    assert_eq!(value(&get(&server, &in_block)), json!("60"));
    assert!(server.stop().success());
}

#[test]
fn a_signal_ends_the_replay_between_two_files() {
    let stored = Stored::new();
    let held = stored.hold();
    // Nobody will ever write to this one.
    make_pipe(&held.path.with_file_name(format!("{:08}", held.number() + 1)));
    let server = stored.start("scrape_configs: []", &[]);
    assert_eq!(get(&server, "/-/ready").status, 503);
    server.signal("TERM");
    wait_for("it takes no more requests", || server.refuses_connections().then_some(()));
    held.release();
    assert!(server.wait().success());
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let stored = Stored::new();
    let _held = stored.hold();
    let server = stored.start("scrape_configs: []", &[]);
    server.signal("TERM");
    wait_for("it takes no more requests", || server.refuses_connections().then_some(()));
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(1));
}
