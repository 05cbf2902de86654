//! Late samples of series that leave the head: deleted ones stay away.

use emberkeep::model::{Labels, Matcher, TimeRange};
use emberkeep::storage::{Queryable as _, SelectRequest};
use emberkeep::tsdb::{CommitMode, Tsdb};

use crate::{MINUTE, open};

fn push(db: &Tsdb, name: &str, time: i64) {
    let mut appender = db.appender(None);
    let series = appender.series(&Labels::from_pairs([("__name__", name)]));
    appender.append(series, time, 1.0);
    assert_eq!(appender.commit(CommitMode::Whole).expect("commit").committed, 1);
}

fn times(db: &Tsdb, name: &str) -> Vec<i64> {
    let matchers = [Matcher::equal("__name__", name)];
    let querier = db.querier(TimeRange::ALL).expect("querier");
    let set = querier.select(&SelectRequest::new(&matchers, TimeRange::ALL)).expect("select");
    let mut samples = emberkeep::model::Samples::new();
    let mut out = Vec::new();
    for index in 0..set.len() {
        set.read(index, TimeRange::ALL, &mut samples).expect("read");
        out.extend_from_slice(&samples.timestamps);
    }
    out
}

#[test]
fn late_samples_deleted_after_their_series_left_the_head_stay_deleted() {
    let dir = tempfile::tempdir().expect("dir");
    let begin = 1_000_000 * MINUTE;
    let db = open(dir.path());
    push(&db, "gone", begin + 90_000);
    push(&db, "gone", begin + 30_000);
    (90..240).step_by(10).for_each(|second| push(&db, "stays", begin + 500 + second * 1000));
    db.maintain().expect("maintain");
    assert_eq!(db.head().series_count(), 1, "the series left the head");
    assert_eq!(times(&db, "gone"), [begin + 30_000, begin + 90_000], "and is in blocks");
    db.delete(&[vec![Matcher::equal("__name__", "gone")]], TimeRange::ALL).expect("delete");
    assert_eq!(times(&db, "gone"), [] as [i64; 0]);
    db.close().expect("close");
    drop(db);
    // The log still has the samples.
    let db = open(dir.path());
    assert_eq!(times(&db, "gone"), [] as [i64; 0], "deleted samples are back after a restart");
}
