//! Two hundred cycles of fill, cut, merge and expire: disk, memory, descriptors and threads return to where they were.

use std::path::Path;

use emberkeep::tsdb::{CommitMode, Limits, TsdbOptions};

use crate::model::{labels, value};
use crate::{CHILD, MINUTE, child, options, try_open};

const CYCLES: i64 = 200;
/// Cycles until everything has been used once.
const WARM: i64 = 60;

#[derive(Debug, Clone, Copy)]
struct Use {
    disk: u64,
    resident: u64,
    descriptors: usize,
    threads: usize,
}

fn bytes_below(dir: &Path) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        sum += if path.is_dir() { bytes_below(&path) } else { entry.metadata().map_or(0, |m| m.len()) };
    }
    sum
}

fn in_use(dir: &Path) -> Use {
    let count = |path: &str| std::fs::read_dir(path).map_or(0, Iterator::count);
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = pages.split(' ').nth(1).and_then(|p| p.parse().ok()).unwrap_or(0);
    Use {
        disk: bytes_below(dir),
        resident: pages * 4096,
        descriptors: count("/proc/self/fd"),
        threads: count("/proc/self/task"),
    }
}

/// Runs alone in a process of its own, so that nobody else's threads and memory count.
#[test]
fn child_process() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let dir = Path::new(&dir);
    let limits = Limits { retention_ms: 30 * MINUTE, ..Limits::default() };
    let options = TsdbOptions {
        limits,
        max_block_range_ms: Some(12 * MINUTE),
        segment_bytes: 32 << 10,
        ..options(dir)
    };
    let db = try_open(&options).expect("open");
    let timeline = db.create_timeline();
    let (mut early, mut late) = (Vec::new(), Vec::new());
    for cycle in 0..CYCLES {
        for step in 0..20 {
            let time = 1_000_000 * MINUTE + cycle * MINUTE + step * 3000;
            let mut appender = db.appender(Some(timeline));
            for number in 0..30 {
                // Some series live for a few cycles only.
                let key = (if number < 20 { 0 } else { (cycle / 5).cast_unsigned() }, number);
                let series = appender.series(&labels(key));
                appender.append(series, time, value(key, time));
            }
            appender.commit(CommitMode::Each).expect("commit");
        }
        db.maintain().expect("maintain");
        crate::model::read(&db).expect("read");
        // Of the same phase of the cycle of merges.
        if cycle % 12 == 0 && cycle >= WARM {
            (if cycle < WARM + 48 { &mut early } else { &mut late }).push(in_use(dir));
        }
    }
    let most = |of: &[Use], what: fn(&Use) -> u64| of.iter().map(what).max().expect("looked");
    let text = format!("{early:?}\n{late:?}");
    assert!(most(&late, |u| u.disk) <= most(&early, |u| u.disk) * 5 / 4, "disk:\n{text}");
    assert!(most(&late, |u| u.resident) <= most(&early, |u| u.resident) + (24 << 20), "memory:\n{text}");
    assert!(
        most(&late, |u| u.descriptors as u64) <= most(&early, |u| u.descriptors as u64) + 8,
        "files:\n{text}"
    );
    assert!(most(&late, |u| u.threads as u64) <= most(&early, |u| u.threads as u64) + 8, "threads:\n{text}");
    assert!(db.status().blocks.len() < 50, "{} blocks", db.status().blocks.len());
    println!("{text}");
    db.close().expect("close");
}

#[test]
fn two_hundred_cycles_leave_nothing_behind() {
    let dir = tempfile::tempdir().expect("dir");
    let data = dir.path().join("data");
    let done = child("cycles::child_process", &data.to_string_lossy()).output().expect("run");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{}\n{out}\n{err}", data.display());
    println!("{out}");
}
