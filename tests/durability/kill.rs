//! A process killed at random moments of intake, cut, seal, merge, deletion, snapshot and start.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use emberkeep::tsdb::Tsdb;

use crate::load::{Load, WRITERS};
use crate::model::{Event, Expected, STEP, read};
use crate::support::Random;
use crate::{CHILD, MINUTE, child, open};

const ROUNDS: usize = 24;
const BEGIN: i64 = 1_000_000 * MINUTE;

/// Runs in the child process: `<next time> <seed> <directory>`.
#[test]
fn child_process() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let mut parts = task.splitn(3, ' ');
    let mut number = || parts.next().and_then(|p| p.parse::<u64>().ok()).expect("a number");
    let (next, seed) = (number().cast_signed(), number());
    let dir = PathBuf::from(parts.next().expect("a directory"));
    let db = open(&dir);
    // One write for each line, straight to the pipe: what was said stays said when the process dies.
    let say = |event: Event| {
        let line = event.to_line() + "\n";
        std::io::stdout()
            .lock()
            .write_all(line.as_bytes())
            .and_then(|()| std::io::stdout().flush())
            .expect("say");
    };
    let load = Load::new(&db, BEGIN, next, &say);
    std::thread::scope(|scope| {
        let load = &load;
        (0..WRITERS).for_each(|writer| {
            scope.spawn(move || load.write(writer));
        });
        scope.spawn(|| load.administer(Random::new(seed), &dir, |_| {}));
        // The parent ends this process.
    });
}

/// Starts a child, kills it after `lines` events (none: while it starts), and returns its events.
fn run_and_kill(dir: &Path, next: i64, seed: u64, lines: u64, random: &mut Random) -> Vec<Event> {
    let task = format!("{next} {seed} {}", dir.display());
    let mut process = child("kill::child_process", &task)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start");
    let stdout = BufReader::new(process.stdout.take().expect("piped"));
    let (sender, events) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if let Some(event) = Event::from_line(&line) {
                let _ = sender.send(event);
            }
        }
    });
    let mut all: Vec<Event> = Vec::new();
    while (all.len() as u64) < lines {
        match events.recv_timeout(crate::support::server::PATIENCE) {
            Ok(event) => all.push(event),
            Err(_) => break,
        }
    }
    let early = (all.len() as u64) < lines;
    // Somewhere inside of whatever it does: chance is the point, nothing waits for this.
    std::thread::sleep(Duration::from_micros(random.below(if lines == 0 { 120_000 } else { 15_000 })));
    let alive = process.try_wait().expect("wait").is_none();
    process.kill().expect("kill");
    let output = process.wait_with_output().expect("wait");
    assert!(alive && !early, "the child ended by itself: {}", String::from_utf8_lossy(&output.stderr));
    reader.join().expect("reader");
    all.extend(events.try_iter());
    all
}

/// No half blocks of a process that was killed, and none that was merged.
fn check_folders(dir: &Path, db: &Tsdb, what: &str) {
    let folders = std::fs::read_dir(dir.join("blocks")).expect("folder");
    let names = folders.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned());
    let live = db.status().blocks.iter().map(|block| block.id.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(names.collect::<BTreeSet<_>>(), live, "{what}");
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_deleted_is_back() {
    let mut random = Random::from_env(23);
    let dir = tempfile::tempdir().expect("dir");
    let data = dir.path().join("data");
    let mut expected = Expected::default();
    let (mut next, mut most_blocks, mut merged, mut deletions) = (BEGIN, 0, 0, 0);
    for round in 0..ROUNDS {
        // Every third dies while it starts, and what it was starting on is started again.
        let lines = if round % 3 == 2 { 0 } else { 1 + random.below(1200) };
        let seed = random.next();
        let events = run_and_kill(&data, next, seed, lines, &mut random);
        for event in events {
            if let Event::Begin { time, .. } = event {
                next = next.max(time + STEP);
            }
            deletions += usize::from(matches!(event, Event::Deleted { .. }));
            expected.take(event);
        }
        let db = open(&data);
        let what = format!("round {round}, seed {seed}, {}", data.display());
        expected.check(&read(&db).unwrap_or_else(|error| panic!("{what}: {error}")), &what);
        let status = db.status();
        assert_eq!(status.corruptions, 0, "{what}: a kill tears no record that was written whole");
        for block in &status.blocks {
            assert_eq!(db.verify_block(block).unwrap_or_else(|e| panic!("{what}: {e}")), block.samples);
        }
        let blocks = status.blocks.len();
        // Whoever holds a block keeps its files.
        drop(status);
        most_blocks = most_blocks.max(blocks);
        check_folders(&data, &db, &what);
        if round % 4 == 3 {
            // A process that is killed again and again does not get to merging all of them.
            db.maintain().expect("maintain");
            expected.check(&read(&db).unwrap_or_else(|error| panic!("{what}: {error}")), &what);
            check_folders(&data, &db, &what);
        }
        merged = merged.max(db.status().blocks.iter().filter(|b| b.level > 1).count());
        println!(
            "round {round}: {lines} events, {} samples, {blocks} blocks, newest {}",
            expected.count(),
            (next - BEGIN) / MINUTE
        );
        db.close().expect("close");
    }
    assert!(
        most_blocks > 5 && merged > 0 && deletions > 5,
        "{most_blocks} blocks, {merged} merged, {deletions} deletions"
    );
    let verified = Command::new(env!("CARGO_BIN_EXE_emberkeep")).args(["tsdb", "verify"]).arg(&data).output();
    let verified = verified.expect("run");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    println!("{} samples, {most_blocks} blocks, {deletions} deletions", expected.count());
}
