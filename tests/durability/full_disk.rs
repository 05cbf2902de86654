//! A disk that fills up: intake is refused in time, the rest goes on, and nothing acknowledged is lost.

use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use emberkeep::remote::message;
use emberkeep::telemetry::Registry;
use emberkeep::tsdb::space::DiskSpace;
use emberkeep::tsdb::{CommitMode, CommitStats, Error, Tsdb, TsdbOptions};
use emberkeep::util::ManualClock;

use crate::model::{Event, Expected, STEP, labels, read, samples_of, value};
use crate::support::server::{Client, Server, number, wait_for};
use crate::{MINUTE, options};

/// What the probe says is left.
static AVAILABLE: AtomicU64 = AtomicU64::new(0);

#[expect(clippy::unnecessary_wraps, reason = "the type of a probe")]
fn probe(_: &Path) -> io::Result<DiskSpace> {
    Ok(DiskSpace { total: 1 << 40, available: AVAILABLE.load(Ordering::Relaxed) })
}

fn commit(db: &Tsdb, time: i64) -> emberkeep::tsdb::Result<CommitStats> {
    let mut appender = db.appender(None);
    for (key, time) in samples_of(0, time) {
        let series = appender.series(&labels(key));
        appender.append(series, time, value(key, time));
    }
    appender.commit(CommitMode::Each)
}

#[test]
fn intake_stops_before_anything_breaks_and_begins_again_by_itself() {
    let dir = tempfile::tempdir().expect("dir");
    let options = || TsdbOptions { space_probe: probe, reserve_bytes: 1000, ..options(dir.path()) };
    let open = || {
        let clock = std::sync::Arc::new(ManualClock::new(i64::MAX / 4));
        Tsdb::open(options(), clock, &mut Registry::default()).expect("open")
    };
    AVAILABLE.store(5000, Ordering::Relaxed);
    let db = open();
    let (mut expected, mut refused) = (Expected::default(), 0);
    for step in 1..200 {
        let time = 1_000_000 * MINUTE + step * STEP;
        match step % 40 {
            20 => AVAILABLE.store(999, Ordering::Relaxed),
            30 => AVAILABLE.store(5000, Ordering::Relaxed),
            _ => {}
        }
        if step % 10 == 0 {
            // Compaction goes on whatever the disk says, and looks at it.
            db.maintain().expect("maintain");
            expected.check(&read(&db).expect("queries go on"), "while it runs");
        }
        match commit(&db, time) {
            Ok(_) => {
                expected.take(Event::Begin { writer: 0, time });
                expected.take(Event::Done { writer: 0, time });
            }
            Err(Error::DiskFull { available, reserve }) => {
                assert_eq!((available, reserve), (999, 1000));
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(refused, 50, "ten of every forty");
    assert!(!db.status().blocks.is_empty(), "blocks were cut");
    db.close().expect("close");
    drop(db);
    AVAILABLE.store(1, Ordering::Relaxed);
    let db = open();
    expected.check(&read(&db).expect("read"), "after a start on a full disk");
    assert!(matches!(commit(&db, 1_000_000 * MINUTE + 300 * STEP), Err(Error::DiskFull { .. })));
}

/// A small file system of its own; unmounted when dropped.
pub(crate) struct Mount(pub(crate) tempfile::TempDir);

impl Mount {
    pub(crate) fn new(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().expect("dir");
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "emberkeep-test"])
            .arg(dir.path())
            .output();
        mounted.is_ok_and(|done| done.status.success()).then_some(Self(dir))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("fits")
}

fn write(client: &Client, url: &str, time: i64) -> (u16, String) {
    let mut body = Vec::new();
    message::put_series(&mut body, [("__name__", "pushed")].into_iter(), &[(time, time as f64)]);
    let body = snap::raw::Encoder::new().compress_vec(&body).expect("compress");
    client.post(&format!("{url}/api/v1/write"), "application/x-protobuf", body).expect("it answers")
}

#[test]
fn a_server_on_a_really_full_disk_lives_refuses_and_recovers() {
    let Some(mount) = Mount::new(64) else {
        println!("skipped: this test mounts a small file system, which this user may not");
        return;
    };
    let root = mount.0.path();
    let config = root.join("config.yml");
    let job = "scrape_configs:\n- {job_name: self, scrape_interval: 200ms, scrape_timeout: 200ms, static_configs: [{targets: ['TARGET']}]}\n";
    std::fs::write(&config, "scrape_configs: []\n").expect("write");
    let path = config.to_string_lossy().into_owned();
    let args = ["--web.enable-remote-write-receiver", "--web.enable-lifecycle", "--config.file", &path];
    let server = Server::start(&root.join("data"), &args, &[]);
    let client = Client::new();
    let url = &server.url;
    let address = url.trim_start_matches("http://");
    std::fs::write(&config, job.replace("TARGET", address)).expect("write");
    assert_eq!(client.post(&format!("{url}/-/reload"), "text/plain", Vec::new()).expect("reload").0, 200);
    let mut acknowledged = Vec::new();
    let mut push = |expect_success: bool| {
        let time = now_ms();
        let (status, text) = write(&client, url, time);
        if status == 204 {
            acknowledged.push(time);
        } else {
            assert!((500..600).contains(&status), "{status}: {text}");
            assert!(!expect_success, "{status}: {text}");
        }
        (status, text)
    };
    push(true);
    wait_for("a scrape", || (!client.vector(url, "up").is_empty()).then_some(()));
    // Filled to the last byte.
    let filler = root.join("filler");
    let block = vec![0u8; 1 << 16];
    let mut file = std::fs::File::create(&filler).expect("create");
    while io::Write::write_all(&mut file, &block).is_ok() {}
    drop(file);
    let text = wait_for("a refusal that says why", || {
        let (status, text) = push(false);
        std::thread::sleep(Duration::from_millis(5));
        (status != 204 && text.contains("disk is nearly full")).then_some(text)
    });
    assert!(text.contains("bytes are left"), "{text}");
    wait_for("the target says why", || {
        let targets = client.api(url, "targets", &[]);
        let error = targets["activeTargets"][0]["lastError"].as_str().unwrap_or_default().to_owned();
        (error.contains("disk is nearly full")).then_some(())
    });
    let (_, metrics) = client.get(&format!("{url}/metrics")).expect("metrics");
    assert!(metrics.contains("\nprometheus_tsdb_disk_full 1\n"), "the metric says so");
    let pushed = || {
        let data = client.api(url, "query", &[("query", "pushed[1h]")]);
        let values = data["result"][0]["values"].as_array().cloned().unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds since the epoch")]
        values.iter().map(|pair| number(&pair[1]) as i64).collect::<Vec<i64>>()
    };
    assert!(!pushed().is_empty(), "queries go on");
    std::fs::remove_file(&filler).expect("remove");
    wait_for("intake by itself", || {
        std::thread::sleep(Duration::from_millis(5));
        (push(false).0 == 204).then_some(())
    });
    wait_for("scrapes by themselves", || {
        let targets = client.api(url, "targets", &[]);
        (targets["activeTargets"][0]["health"] == "up").then_some(())
    });
    assert_eq!(pushed(), acknowledged, "all that was acknowledged, and nothing that was refused");
    assert!(server.stop().success());
    let server = Server::start(&root.join("data"), &args, &[]);
    let data = client.api(&server.url, "query", &[("query", "count_over_time(pushed[1h])")]);
    assert_eq!(number(&data["result"][0]["value"][1]), acknowledged.len() as f64, "after a restart");
}
