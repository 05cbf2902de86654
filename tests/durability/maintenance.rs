//! Maintenance in which something fails: the rest is done nevertheless, and nothing is done too much.

use std::sync::Arc;

use emberkeep::model::{Matcher, TimeRange};
use emberkeep::storage::{Queryable as _, SelectRequest};
use emberkeep::telemetry::Registry;
use emberkeep::tsdb::{Limits, Tsdb, TsdbOptions};
use emberkeep::util::ManualClock;

use crate::recovery::{BEGIN, Imported, blocks_on_disk, none, push, read};
use crate::{MINUTE, open, options, try_open};

#[test]
fn one_block_that_cannot_be_removed_does_not_keep_the_others() {
    let dir = tempfile::tempdir().expect("dir");
    let db =
        try_open(&TsdbOptions { max_block_range_ms: Some(MINUTE), ..options(dir.path()) }).expect("open");
    for n in 0..120 {
        // A window, and a gap: nothing to merge.
        push(&db, &[("own", n * 1000 + n / 30 * 100 * MINUTE, 1.0)]);
    }
    db.maintain().expect("maintain");
    let blocks = db.status().blocks;
    assert!(blocks.len() >= 3, "{} blocks", blocks.len());
    // Somebody put something where the first is to go.
    let obstacle = dir.path().join("blocks").join(format!("{}.del", blocks[0].id));
    std::fs::create_dir_all(obstacle.join("in the way")).expect("folder");
    db.set_limits(Limits { retention_ms: 1, ..db.limits() }).expect("limits");
    let held = blocks.len();
    drop(blocks);
    assert!(db.maintain().is_err(), "it is told");
    assert!(blocks_on_disk(dir.path()) <= 3, "the others of {held} are gone");
    let cuts = db.time_range().expect("samples").end;
    push(&db, &[("own", 1000 * MINUTE, 1.0)]);
    push(&db, &[("own", 2000 * MINUTE, 1.0)]);
    assert!(db.maintain().is_err(), "it is told again");
    assert!(db.head().time_range().expect("samples").start > cuts, "the head is cut nevertheless");
    std::fs::remove_dir_all(&obstacle).expect("remove");
    db.maintain().expect("maintain");
    assert_eq!(blocks_on_disk(dir.path()), db.status().blocks.len());
}

#[test]
fn one_damaged_block_that_cannot_be_set_aside_does_not_keep_the_others() {
    let dir = tempfile::tempdir().expect("dir");
    let unmerged = || TsdbOptions { max_block_range_ms: Some(MINUTE), ..options(dir.path()) };
    let db = try_open(&unmerged()).expect("open");
    for n in 0..120 {
        // A window, and a gap: nothing to merge.
        push(&db, &[("own", n * 1000 + n / 30 * 100 * MINUTE, 1.0)]);
    }
    db.maintain().expect("maintain");
    let blocks = db.status().blocks;
    db.close().expect("close");
    drop(db);
    let folder = |n: usize, suffix: &str| dir.path().join("blocks").join(format!("{}{suffix}", blocks[n].id));
    for n in 0..3 {
        std::fs::write(folder(n, "").join("db"), vec![0x55; 8192]).expect("write");
    }
    // Somebody put something where the first is to go.
    let obstacle = folder(0, ".corrupt");
    std::fs::create_dir_all(obstacle.join("in the way")).expect("folder");
    let db = try_open(&unmerged()).expect("open");
    let matchers = [Matcher::equal("__name__", "own")];
    for meta in &blocks[..3] {
        // A query meets the damage.
        let range = TimeRange { start: meta.start, end: meta.end - 1 };
        let querier = db.querier(range).expect("querier");
        assert!(querier.select(&SelectRequest::new(&matchers, range)).is_err(), "{}", meta.id);
    }
    for turn in 0..2 {
        let error = db.maintain().expect_err("it is told").to_string();
        assert!(error.contains(blocks[0].id.as_str()), "turn {turn}: {error}");
        assert!((1..3).all(|n| folder(n, ".corrupt").is_dir()), "turn {turn}: the others are set aside");
        assert!(folder(0, "").is_dir(), "turn {turn}");
    }
    std::fs::remove_dir_all(&obstacle).expect("remove");
    db.maintain().expect("maintain");
    assert!(obstacle.join("db").is_file(), "now this one is");
    assert_eq!(db.status().blocks.len(), blocks.len() - 3);
}

#[test]
fn a_sample_of_the_future_expires_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    (0..300).for_each(|second| {
        push(&db, &[("own", second * 1000, 1.0)]);
    });
    let now = BEGIN + 300_000;
    let clock = Arc::new(ManualClock::new(now));
    db.close().expect("close");
    drop(db);
    let db = Tsdb::open(options(dir.path()), clock, &mut Registry::default());
    let db = db.expect("open");
    db.maintain().expect("maintain");
    db.set_limits(Limits { retention_ms: 60 * MINUTE, ..db.limits() }).expect("limits");
    // A file in other units.
    let mut import = db.import().expect("import");
    let future = Imported((0..100).map(|n| ((BEGIN + n) * 1000, 4.0)).collect());
    import.write(&future, &none(), BEGIN * 1000, BEGIN * 1000 + 100_000).expect("write");
    import.publish().expect("publish");
    db.maintain().expect("maintain");
    assert_eq!(read(&db, "own").len(), 300);
    assert_eq!(read(&db, "imported").len(), 100);
}

#[test]
fn a_clock_that_is_ahead_for_a_while_expires_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let day = 24 * 60 * MINUTE;
    let limits = Limits { retention_ms: 15 * day, ..Limits::default() };
    let clock = Arc::new(ManualClock::new(BEGIN + 300_000));
    let db = Tsdb::open(
        TsdbOptions { limits, ..options(dir.path()) },
        Arc::clone(&clock) as Arc<dyn emberkeep::util::Clock>,
        &mut Registry::default(),
    );
    let db = db.expect("open");
    (0..300).for_each(|second| {
        push(&db, &[("own", second * 1000, 1.0)]);
    });
    db.maintain().expect("maintain");
    assert!(!db.status().blocks.is_empty());
    clock.set(BEGIN + 30 * day);
    push(&db, &[("own", 30 * day, 1.0)]);
    db.maintain().expect("maintain");
    clock.set(BEGIN + 310_000);
    db.maintain().expect("maintain");
    assert_eq!(read(&db, "own").len(), 301);
}

#[test]
fn a_block_that_is_put_back_is_taken_once() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    (0..95).for_each(|second| {
        push(&db, &[("own", second * 1000, 1.0)]);
    });
    db.maintain().expect("maintain");
    let block = Arc::clone(&db.status().blocks[0]);
    db.close().expect("close");
    drop(db);
    let folder = dir.path().join("blocks").join(block.id.as_str());
    let aside = folder.with_file_name(format!("{}.corrupt", block.id));
    let sound = std::fs::read(folder.join("db")).expect("read");
    std::fs::write(folder.join("db"), vec![0x55; 8192]).expect("write");
    let db = open(dir.path());
    assert!(db.set_aside(&block).expect("set aside"));
    db.close().expect("close");
    drop(db);
    // As it is it is set aside once more.
    std::fs::rename(&aside, &folder).expect("rename");
    let db = open(dir.path());
    assert!(db.status().blocks.is_empty() && aside.is_dir());
    db.close().expect("close");
    drop(db);
    std::fs::rename(&aside, &folder).expect("rename");
    std::fs::write(folder.join("db"), sound).expect("write");
    let db = open(dir.path());
    assert_eq!(read(&db, "own").len(), 95);
    assert!(!folder.join("set-aside").exists(), "from now on it is as any other");
}

#[test]
fn one_block_that_cannot_be_merged_does_not_keep_the_others() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    let unmerged = || TsdbOptions { max_block_range_ms: Some(MINUTE), ..options(dir.path()) };
    db.close().expect("close");
    drop(db);
    let db = try_open(&unmerged()).expect("open");
    // Windows side by side, which are merged in threes and more.
    (0..100 * 6).for_each(|n| {
        push(&db, &[("own", n * 10_000, 1.0)]);
    });
    db.maintain().expect("maintain");
    let blocks = db.status().blocks;
    assert!(blocks.len() > 6, "{} blocks", blocks.len());
    db.close().expect("close");
    drop(db);
    let db = open(dir.path());
    // Taken away while the server runs: no damage, so it is not set aside.
    let (folder, elsewhere) =
        (dir.path().join("blocks").join(blocks[1].id.as_str()), dir.path().join("away"));
    std::fs::rename(&folder, &elsewhere).expect("rename");
    let error = db.maintain().expect_err("it is told").to_string();
    assert!(error.contains(blocks[1].id.as_str()), "{error}");
    let left = db.status().blocks;
    assert!(left.len() < blocks.len(), "{} of {}", left.len(), blocks.len());
    assert!(left.iter().any(|block| block.id == blocks[1].id));
    std::fs::rename(&elsewhere, &folder).expect("rename");
    db.maintain().expect("maintain");
    assert_eq!(read(&db, "own").len(), 600);
}
