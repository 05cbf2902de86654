//! kill -9 under load: whatever was acknowledged, and whatever a query could see, is there after the restart.

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use emberkeep::remote::message;
use support::Random;
use support::server::{Client, Server, number, wait_for};

const WRITERS: usize = 3;
const SERIES: usize = 20;
/// Distance of two batches in milliseconds: far enough apart that blocks are cut and merged during the test.
const STEP_MS: i64 = 60_000;
/// How far one writer may be ahead of another.
const MAX_LEAD_MS: i64 = 20 * STEP_MS;

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("fits")
}

/// A configuration without jobs: a server that scraped itself would be at today already.
fn no_jobs(dir: &std::path::Path) -> String {
    let path = dir.join("no-jobs.yml");
    std::fs::write(&path, "scrape_configs: []\n").expect("write");
    path.to_string_lossy().into_owned()
}

/// Acknowledged timestamps of each writer.
type Acknowledged = Arc<Mutex<Vec<Vec<i64>>>>;

fn body(writer: usize, timestamp: i64) -> Vec<u8> {
    let mut body = Vec::new();
    for series in 0..SERIES {
        let (writer, series) = (writer.to_string(), series.to_string());
        let labels = [("__name__", "crash_test"), ("series", series.as_str()), ("writer", writer.as_str())];
        message::put_series(&mut body, labels.into_iter(), &[(timestamp, timestamp as f64)]);
    }
    snap::raw::Encoder::new().compress_vec(&body).expect("compress")
}

/// Writers send until the server is gone. Each takes its timestamps from one counter, so that time moves on for all.
fn write_until_gone(url: &str, clock: &AtomicI64, gone: &AtomicBool, acks: &AtomicU64, log: &Acknowledged) {
    // What each writer is sending; nobody runs so far ahead that the batch of another would be too old.
    let sending = Mutex::new([i64::MAX; WRITERS]);
    let sending = &sending;
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                let client = Client::new();
                while !gone.load(Ordering::Relaxed) {
                    let timestamp = {
                        let mut sending = sending.lock().expect("sending");
                        sending[writer] = clock.fetch_add(STEP_MS, Ordering::Relaxed);
                        sending[writer]
                    };
                    let slowest = || sending.lock().expect("sending").iter().copied().min();
                    while slowest() < Some(timestamp - MAX_LEAD_MS) && !gone.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                    }
                    let sent = client.post(
                        &format!("{url}/api/v1/write"),
                        "application/x-protobuf",
                        body(writer, timestamp),
                    );
                    match sent {
                        Ok((204, _)) => {
                            log.lock().expect("log")[writer].push(timestamp);
                            acks.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok((status, text)) => {
                            gone.store(true, Ordering::Relaxed);
                            let head = client.get(&format!("{url}/api/v1/status/tsdb?limit=1"));
                            panic!("status {status}: {text}; {head:?}")
                        }
                        // The server is gone; the last request may or may not have been stored.
                        Err(_) => {
                            sending.lock().expect("sending")[writer] = i64::MAX;
                            break;
                        }
                    }
                    sending.lock().expect("sending")[writer] = i64::MAX;
                }
            });
        }
    });
}

fn stored(client: &Client, url: &str) -> BTreeMap<(usize, usize), Vec<i64>> {
    let data = client.api(url, "query", &[("query", "crash_test[60d]")]);
    let mut out = BTreeMap::new();
    for row in data["result"].as_array().expect("matrix") {
        let label = |name: &str| -> usize {
            row["metric"][name].as_str().and_then(|v| v.parse().ok()).expect("a number")
        };
        let samples = row["values"].as_array().expect("values").iter().map(|pair| {
            let seconds = pair[0].as_f64().expect("seconds");
            let value = number(&pair[1]);
            assert!((seconds * 1000.0 - value).abs() < 0.5, "sample at {seconds} has the value of {value}");
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds since the epoch")]
            let timestamp = value as i64;
            timestamp
        });
        out.insert((label("writer"), label("series")), samples.collect());
    }
    out
}

#[test]
fn nothing_acknowledged_is_lost_in_twenty_kills() {
    let mut random = Random::from_env(11);
    let dir = tempfile::tempdir().expect("dir");
    let data = dir.path().join("data");
    // Fifty days back, so that the data's time can run ahead of the clock's.
    let clock = AtomicI64::new(now_ms() / 1000 * 1000 - 50 * 86_400_000);
    let log: Acknowledged = Arc::new(Mutex::new(vec![Vec::new(); WRITERS]));
    let config = no_jobs(dir.path());
    let args = [
        "--web.enable-remote-write-receiver",
        "--storage.tsdb.retention.time",
        "0",
        "--config.file",
        config.as_str(),
    ];
    let mut most_blocks = 0;
    for round in 0..20 {
        let server = Server::start(&data, &args, &[]);
        let (gone, acks) = (AtomicBool::new(false), AtomicU64::new(0));
        let url = server.url.clone();
        let target = 30 + random.below(300);
        std::thread::scope(|scope| {
            scope.spawn(|| write_until_gone(&url, &clock, &gone, &acks, &log));
            wait_for("acknowledged batches", || {
                let failed = gone.load(Ordering::Relaxed);
                (failed || acks.load(Ordering::Relaxed) >= target).then_some(())
            });
            // Somewhere inside a write, a sync, a cut of a block.
            std::thread::sleep(Duration::from_micros(random.below(20_000)));
            server.kill();
            gone.store(true, Ordering::Relaxed);
        });
        let server = Server::start(&data, &args, &[]);
        let client = Client::new();
        let found = stored(&client, &server.url);
        for (writer, acknowledged) in log.lock().expect("log").iter().enumerate() {
            for series in 0..SERIES {
                let have = found.get(&(writer, series)).map(Vec::as_slice).unwrap_or_default();
                let missing = acknowledged.iter().find(|t| have.binary_search(t).is_err());
                assert_eq!(missing, None, "round {round}, writer {writer}, series {series}");
            }
        }
        let blocks = client.api(&server.url, "status/tsdb/blocks", &[]);
        most_blocks = most_blocks.max(blocks["blocks"].as_array().map_or(0, Vec::len));
        server.kill();
    }
    assert!(most_blocks > 0, "blocks were cut during the test");
    let total: usize = log.lock().expect("log").iter().map(Vec::len).sum();
    println!("{total} batches acknowledged, {most_blocks} blocks");
}

#[test]
fn a_clean_stop_takes_seconds_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let data = dir.path().join("data");
    let config = no_jobs(dir.path());
    let args = ["--web.enable-remote-write-receiver", "--config.file", config.as_str()];
    let server = Server::start(&data, &args, &[]);
    let client = Client::new();
    let timestamp = now_ms();
    let url = format!("{}/api/v1/write", server.url);
    let (status, text) = client.post(&url, "application/x-protobuf", body(0, timestamp)).expect("write");
    assert_eq!(status, 204, "{text}");
    let started = std::time::Instant::now();
    assert!(server.stop().success());
    assert!(started.elapsed() < Duration::from_secs(10));
    let server = Server::start(&data, &args, &[]);
    assert_eq!(stored(&client, &server.url)[&(0, 3)], [timestamp]);
}
