//! Damage to every file of a data directory: right data, or a clean error and a block set aside, or a report of what
//! was cut; never a wrong value, a panic, or a database that does not open.

use std::fs;
use std::path::{Path, PathBuf};

use emberkeep::model::{Labels, Matcher, Samples, TimeRange};
use emberkeep::storage::{Queryable as _, SelectRequest};
use emberkeep::tsdb::{CommitMode, Tsdb, TsdbOptions};

use crate::model::{Event, Expected, Found, STEP, assert_value, labels, read, samples_of, value};
use crate::support::Random;
use crate::{MINUTE, open, open_with, options};

const BEGIN: i64 = 1_000_000 * MINUTE;

fn files_below(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir).expect("folder").map(|e| e.expect("entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { files_below(&path, out) } else { out.push(path) }
    }
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("mkdir");
    for entry in fs::read_dir(from).expect("folder") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copy");
        }
    }
}

fn push(db: &Tsdb, time: i64, expected: &mut Expected) {
    let mut appender = db.appender(None);
    for (key, time) in samples_of(0, time) {
        let series = appender.series(&labels(key));
        appender.append(series, time, value(key, time));
    }
    let stats = appender.commit(CommitMode::Each).expect("commit");
    if stats.first_refused.is_none() {
        expected.take(Event::Begin { writer: 0, time });
        expected.take(Event::Done { writer: 0, time });
    }
}

/// A directory with merged and small blocks, tombstones, a checkpoint and several files of the log.
fn prepare(dir: &Path) -> Expected {
    let mut expected = Expected::default();
    let db = open(dir);
    for step in 0..300 {
        // The first sample of a series cannot come late.
        push(&db, BEGIN + STEP + step * STEP, &mut expected);
        if step % 100 == 79 {
            db.maintain().expect("maintain");
        }
        if step == 250 {
            for (number, minutes) in [(1, 2..6), (3, 1..15)] {
                let (start, end) = (BEGIN + minutes.start * MINUTE, BEGIN + minutes.end * MINUTE);
                let selector = vec![Matcher::equal("number", u64::to_string(&number))];
                db.delete(&[selector], TimeRange::new(start, end)).expect("delete");
                expected.take(Event::Deleted { number, start, end });
            }
        }
    }
    expected.check(&read(&db).expect("read"), "before any damage");
    let levels: Vec<u32> = db.status().blocks.iter().map(|b| b.level).collect();
    assert!(levels.contains(&1) && levels.iter().any(|l| *l > 1), "{levels:?}");
    db.close().expect("close");
    expected
}

/// Reads until no block is in the way any more: each failed read names one, and maintenance sets it aside.
fn read_after_quarantine(db: &Tsdb, what: &str) -> Found {
    for _ in 0..=db.status().blocks.len() {
        match read(db) {
            Ok(found) => return found,
            Err(error) => {
                let error = error.to_string();
                let blocks = db.status().blocks;
                let named = blocks.iter().find(|block| error.contains(block.id.as_str()));
                let named = named.unwrap_or_else(|| panic!("{what}: which block? {error}"));
                db.maintain().unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(db.status().blocks.iter().all(|b| b.id != named.id), "{what}: {error}: still there");
            }
        }
    }
    panic!("{what}: more errors than blocks");
}

#[test]
fn damage_to_any_file_is_met_with_the_right_data_or_an_error() {
    let mut random = Random::from_env(3);
    let dir = tempfile::tempdir().expect("dir");
    let source = dir.path().join("source");
    let expected = prepare(&source);
    let mut files = Vec::new();
    files_below(&source, &mut files);
    let (mut whole, mut quarantined, mut cut, mut kinds) = (0, 0, 0, std::collections::BTreeSet::new());
    for file in &files {
        let relative = file.strip_prefix(&source).expect("below");
        kinds.insert(relative.components().next().expect("a name").as_os_str().to_owned());
        let length = fs::metadata(file).expect("metadata").len();
        // Of the many files of blocks two kinds each, by chance; the others are met with all four.
        let in_block = relative.starts_with("blocks");
        let first = usize::try_from(random.below(4)).expect("small");
        let kinds_here = if length == 0 {
            1
        } else if in_block {
            2
        } else {
            4
        };
        for kind in (0..kinds_here).map(|n| (first + n) % 4) {
            let at = usize::try_from(random.below(length)).expect("small");
            let what = format!(
                "{} {} at {at} of {length}",
                relative.display(),
                ["flip", "cut", "zero", "lost"][kind]
            );
            let copy = dir.path().join("copy");
            copy_dir(&source, &copy);
            let target = copy.join(relative);
            let mut bytes = fs::read(&target).expect("read");
            match kind {
                0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
                1 => bytes.truncate(at),
                2 => bytes.iter_mut().skip(at).take(512).for_each(|byte| *byte = 0),
                _ => {}
            }
            if kind == 3 {
                fs::remove_file(&target).expect("remove");
            } else {
                fs::write(&target, bytes).expect("write");
            }
            let db = open(&copy);
            let blocks = db.status().blocks.len();
            let found = read_after_quarantine(&db, &what);
            for (key, samples) in &found {
                for (time, value) in samples {
                    assert_value(*key, *time, *value, &what);
                    assert!(expected.knows(*key, *time), "{what}: {key:?} at {time} was deleted and is back");
                }
            }
            let count: usize = found.values().map(std::collections::BTreeMap::len).sum();
            let aside = fs::read_dir(copy.join("blocks"))
                .expect("folder")
                .filter(|entry| {
                    entry.as_ref().is_ok_and(|e| e.path().extension().is_some_and(|x| x == "corrupt"))
                })
                .count();
            let lost_file = kind == 3 && relative.starts_with("wal");
            if count == expected.count() {
                whole += 1;
            } else {
                assert!(
                    aside > 0 || db.status().corruptions > 0 || lost_file,
                    "{what}: {count} samples, not a word"
                );
            }
            quarantined += usize::from(aside > 0);
            cut += usize::from(db.status().corruptions > 0);
            assert!(blocks > 0, "{what}");
            // It goes on: intake, maintenance, another start.
            push(&db, BEGIN + 500 * STEP, &mut Expected::default());
            db.maintain().unwrap_or_else(|error| panic!("{what}: {error}"));
            db.close().expect("close");
            drop(db);
            let again = read_after_quarantine(&open(&copy), &what);
            let key = (0, 1);
            assert!(again[&key].contains_key(&(BEGIN + 500 * STEP)), "{what}");
            fs::remove_dir_all(&copy).expect("remove");
        }
    }
    for name in ["catalog", "tombstones", "tombstones.copy", "wal", "blocks", "lock"] {
        assert!(kinds.contains(std::ffi::OsStr::new(name)), "{name} is not among {kinds:?}");
    }
    assert!(quarantined > 3 && cut > 3 && whole > 3, "{quarantined} set aside, {cut} cut, {whole} whole");
    println!("{} files: {quarantined} set aside, {cut} cut, {whole} whole", files.len());
}

/// Counting that ended is told by each file of the log: the one that told it first may be lost.
#[test]
fn a_start_that_ended_stays_so_when_the_file_that_says_it_is_damaged() {
    let dir = tempfile::tempdir().expect("dir");
    let options = TsdbOptions { start_timestamps: true, block_range_ms: 120 * MINUTE, ..options(dir.path()) };
    let db = open_with(&options);
    let counter = Labels::from_pairs([("__name__", "counter")]);
    let mut time = BEGIN;
    let mut push = |start: i64| {
        let segment = db.status().segment;
        // Others fill the file.
        while db.status().segment == segment {
            time += 100;
            let mut appender = db.appender(None);
            let series = appender.series(&counter);
            appender.append_since(series, time, 1.0, start);
            for number in 0..50 {
                let series = appender.series(&Labels::from_pairs([("n", number.to_string())]));
                appender.append(series, time, (time * (number + 1)) as f64);
            }
            appender.commit(CommitMode::Each).expect("commit");
        }
        (segment, time)
    };
    push(BEGIN - 5);
    let (ended_in, _) = push(0);
    let (_, before) = push(0);
    let (_, newest) = push(0);
    db.close().expect("close");
    drop(db);
    let file = dir.path().join(format!("wal/{ended_in:08}"));
    let bytes = fs::read(&file).expect("read");
    fs::write(&file, &bytes[..8]).expect("cut");

    let db = open_with(&options);
    let range = TimeRange::new(before, newest);
    let matchers = [Matcher::equal("__name__", "counter")];
    let querier = db.querier(range).expect("querier");
    let set = querier.select(&SelectRequest::new(&matchers, range)).expect("select");
    let mut samples = Samples::new();
    set.read(0, range, &mut samples).expect("read");
    assert!(!samples.is_empty());
    assert_eq!((0..samples.len()).map(|at| samples.start(at)).max(), Some(0), "{samples:?}");
}
