//! The window for samples that are out of order: measured from the newest sample of the database, as in Prometheus.

use std::path::Path;
use std::sync::Arc;

use emberkeep::model::{Labels, Matcher, Samples, TimeRange};
use emberkeep::storage::{Queryable as _, SelectRequest};
use emberkeep::telemetry::Registry;
use emberkeep::tsdb::{CommitMode, CommitStats, Limits, Tsdb, TsdbOptions};
use emberkeep::util::ManualClock;

const NOW: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;

fn open(dir: &Path) -> Tsdb {
    let options = TsdbOptions {
        limits: Limits { out_of_order_ms: 6 * HOUR, ..Limits::default() },
        background: false,
        ..TsdbOptions::new(dir)
    };
    Tsdb::open(options, Arc::new(ManualClock::new(NOW)), &mut Registry::default()).expect("open")
}

fn push(db: &Tsdb, name: &str, times: &[i64]) -> CommitStats {
    let mut appender = db.appender(None);
    let series = appender.series(&Labels::from_pairs([("__name__", name)]));
    times.iter().for_each(|time| appender.append(series, *time, 1.0));
    appender.commit(CommitMode::Each).expect("commit")
}

fn times(db: &Tsdb, name: &str) -> Vec<i64> {
    let matchers = [Matcher::equal("__name__", name)];
    let querier = db.querier(TimeRange::ALL).expect("querier");
    let set = querier.select(&SelectRequest::new(&matchers, TimeRange::ALL)).expect("select");
    let mut samples = Samples::new();
    if !set.is_empty() {
        set.read(0, TimeRange::ALL, &mut samples).expect("read");
    }
    samples.timestamps
}

#[test]
fn a_backlog_older_than_the_head_takes_is_kept_while_the_window_is_open() {
    let dir = tempfile::tempdir().expect("dir");
    let mut db = open(dir.path());
    // An agent that was cut off five hours ago, and others that went on.
    assert_eq!(push(&db, "agent", &[NOW - 5 * HOUR]).committed, 1);
    for hours in (0..5).rev() {
        assert_eq!(push(&db, "other", &[NOW - hours * HOUR]).committed, 1);
    }
    // What it sends now is in order for its series, until it has caught up.
    let backlog: Vec<i64> = (1..=10).map(|step| NOW - 5 * HOUR + step * HOUR / 2).collect();
    assert_eq!(push(&db, "agent", &backlog).committed, backlog.len());
    // The same for a series that is new, and for one whose own newest sample is long ago.
    assert_eq!(push(&db, "new", &[NOW - 4 * HOUR, NOW - 3 * HOUR, NOW]).committed, 3);
    let refused = push(&db, "agent", &[NOW - 6 * HOUR - 1, NOW - 6 * HOUR]);
    assert_eq!((refused.too_old, refused.committed), (1, 1));
    let mut expected = vec![NOW - 6 * HOUR, NOW - 5 * HOUR];
    expected.extend(&backlog);
    for after in ["the commit", "a restart", "blocks were cut", "another restart"] {
        assert_eq!(times(&db, "agent"), expected, "{after}");
        assert_eq!(times(&db, "new"), [NOW - 4 * HOUR, NOW - 3 * HOUR, NOW], "{after}");
        if after == "a restart" {
            db.maintain().expect("maintain");
        } else {
            db.close().expect("close");
            drop(db);
            db = open(dir.path());
        }
    }
    // And once blocks are all there is, the window is measured from their end.
    assert_eq!(push(&db, "yet another", &[NOW - 5 * HOUR]).committed, 1);
}
