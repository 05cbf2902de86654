//! Everything at once in one process: writers, readers, maintenance, deletions, snapshots, changing limits.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use emberkeep::tsdb::Limits;

use crate::load::{Load, SETTLED, WRITERS};
use crate::model::{Event, Expected, Found, SERIES, assert_value, read};
use crate::support::Random;
use crate::{MINUTE, open};

const BEGIN: i64 = 1_000_000 * MINUTE;

/// A commit is visible whole: the newest timestamp of a writer's series is the same for all of them. Deletions, which
/// concern single series, stay [`SETTLED`] behind the clock, which shows `now` after the look.
fn assert_whole(found: &Found, now: i64, what: &str) {
    for writer in 0..WRITERS {
        let newest: Vec<Option<i64>> = (0..SERIES)
            .map(|number| {
                found.get(&(writer, number)).and_then(|s| s.last_key_value()).map(|(time, _)| *time)
            })
            .collect();
        let deletable = newest.iter().flatten().max().is_some_and(|time| *time <= now - SETTLED);
        assert!(
            deletable || newest.iter().all(|time| *time == newest[0]),
            "{what}: writer {writer}: {newest:?}"
        );
    }
    for (key, samples) in found {
        samples.iter().for_each(|(time, value)| assert_value(*key, *time, *value, what));
    }
}

#[test]
fn threads_do_not_get_in_each_others_way() {
    const COMMITS: u64 = 1000;
    let mut random = Random::from_env(5);
    let dir = tempfile::tempdir().expect("dir");
    let what = dir.path().display().to_string();
    let db = open(dir.path());
    let expected = Mutex::new(Expected::default());
    let (refused, looks) = (AtomicU64::new(0), AtomicU64::new(0));
    let tell = |event: Event| {
        refused.fetch_add(u64::from(matches!(event, Event::Refused { .. })), Ordering::Relaxed);
        expected.lock().expect("model").take(event);
    };
    let load = Load::new(&db, BEGIN, BEGIN, &tell);
    let (seeds, mut coin) = ([random.next(), random.next()], Random::new(random.next()));
    let snapshots = &AtomicU64::new(0);
    std::thread::scope(|scope| {
        let load = &load;
        (0..WRITERS).for_each(|writer| {
            scope.spawn(move || load.write(writer));
        });
        let look = |path: &std::path::Path| {
            let copy = open(path);
            let found = read(&copy).expect("read");
            assert_whole(&found, load.clock.load(Ordering::Relaxed), "snapshot");
            copy.status().blocks.iter().for_each(|block| {
                copy.verify_block(block).expect("sound");
            });
            snapshots.fetch_add(1, Ordering::Relaxed);
        };
        for seed in seeds {
            let dir = dir.path();
            scope.spawn(move || load.administer(Random::new(seed), dir, look));
        }
        scope.spawn(|| {
            let _ends = load.ends();
            while !load.stopped() {
                let found = read(&db).expect("read");
                assert_whole(&found, load.clock.load(Ordering::Relaxed), &what);
                looks.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(move || {
            let _ends = load.ends();
            while load.commits.load(Ordering::Relaxed) < COMMITS && !load.stopped() {
                let out_of_order_ms = [0, 3 * MINUTE][usize::from(coin.below(4) > 0)];
                let limits = Limits { retention_ms: 0, out_of_order_ms, ..Limits::default() };
                load.db.set_limits(limits).expect("limits");
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
    });
    let mut expected = expected.into_inner().expect("model");
    expected.check(&read(&db).expect("read"), &what);
    db.maintain().expect("maintain");
    db.clean_tombstones().expect("clean");
    expected.check(&read(&db).expect("read"), &what);
    db.close().expect("close");
    drop(db);
    let db = open(dir.path());
    expected.check(&read(&db).expect("read"), &what);
    let (refused, looks) = (refused.into_inner(), looks.into_inner());
    let snapshots = snapshots.load(Ordering::Relaxed);
    assert!(
        refused > 0 && looks > 5 && snapshots > 0,
        "{refused} refused, {looks} looks, {snapshots} snapshots"
    );
}
