//! What is large: taken and kept through log, cut, merge and restart, or refused before anything is kept of it.

use std::sync::Arc;

use emberkeep::model::histogram::{Buckets, CUSTOM_SCHEMA, Histogram, Span};
use emberkeep::model::{Labels, Matcher, Samples, TimeRange};
use emberkeep::storage::{Queryable as _, SelectRequest};
use emberkeep::tsdb::{CommitMode, CommitStats, Tsdb};

use crate::{MINUTE, open};

const BEGIN: i64 = 1_000_000 * MINUTE;

fn push(db: &Tsdb, series: &[Labels], time: i64) -> CommitStats {
    let mut appender = db.appender(None);
    for labels in series {
        let series = appender.series(labels);
        appender.append(series, BEGIN + time, time as f64);
    }
    appender.commit(CommitMode::Each).expect("commit")
}

fn push_histogram(db: &Tsdb, time: i64, histogram: Histogram) -> CommitStats {
    let mut appender = db.appender(None);
    let series = appender.series(&Labels::from_pairs([("__name__", "histogram")]));
    appender.append_histogram(series, BEGIN + time, Arc::new(histogram));
    appender.commit(CommitMode::Each).expect("commit")
}

fn samples(db: &Tsdb, name: &str, value: &str) -> Samples {
    let querier = db.querier(TimeRange::ALL).expect("querier");
    let matchers = [Matcher::equal(name, value)];
    let set = querier.select(&SelectRequest::new(&matchers, TimeRange::ALL)).expect("select");
    let mut all = Samples::new();
    let mut one = Samples::new();
    for index in 0..set.len() {
        set.read(index, TimeRange::ALL, &mut one).expect("read");
        all.timestamps.append(&mut one.timestamps);
        all.values.append(&mut one.values);
        all.histograms.append(&mut one.histograms);
    }
    all
}

fn plain() -> [Labels; 1] {
    [Labels::from_pairs([("__name__", "plain")])]
}

/// Runs `look` on the database as it is, after a kill, after a cut, and after another start.
fn through_everything(dir: &std::path::Path, db: Tsdb, look: impl Fn(&Tsdb, &str)) {
    look(&db, "live");
    drop(db);
    let db = open(dir);
    assert_eq!(db.status().corruptions, 0);
    look(&db, "after a kill");
    // Behind the end of every window that has samples so far.
    for time in [600, 601] {
        push(&db, &[Labels::from_pairs([("__name__", "later")])], time * 1000);
    }
    db.maintain().expect("maintain");
    assert!(!db.status().blocks.is_empty());
    look(&db, "in blocks");
    drop(db);
    let db = open(dir);
    look(&db, "after the last start");
    for block in &db.status().blocks {
        assert_eq!(db.verify_block(block).expect("sound"), block.samples);
    }
}

#[test]
fn too_many_labels_are_refused_and_what_comes_later_is_kept() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    push(&db, &plain(), 0);
    let many = Labels::from_pairs((0..70_000).map(|n| (format!("label_{n:05}"), "v")));
    assert_eq!(push(&db, &[many], 0).committed, 0);
    (1..60).for_each(|second| assert_eq!(push(&db, &plain(), second * 1000).committed, 1));
    through_everything(dir.path(), db, |db, what| {
        assert_eq!(samples(db, "__name__", "plain").len(), 60, "{what}");
    });
}

#[test]
fn histograms_that_are_too_wide_are_refused_and_what_comes_later_is_kept() {
    let wide = |count: usize, value: f64| {
        let spans = vec![Span { offset: 0, length: u32::try_from(count).expect("small") }];
        Histogram { positive: Buckets { spans, counts: vec![value; count] }, ..Histogram::default() }
    };
    let spans = vec![Span { offset: 1, length: 0 }; 2_200_000];
    let spans = Histogram { positive: Buckets { spans, counts: Vec::new() }, ..Histogram::default() };
    // Random bits: eight bytes of each have to be kept.
    let mut random = wide(700_000, 0.0);
    let mut bits = 1u64;
    for count in &mut random.positive.counts {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *count = f64::from_bits(bits >> 2);
    }
    for too_wide in [spans, wide(2_000_000, 0.0), random] {
        let dir = tempfile::tempdir().expect("dir");
        let db = open(dir.path());
        push(&db, &plain(), 0);
        assert_eq!(push_histogram(&db, 0, too_wide).committed, 0);
        (1..60).for_each(|second| assert_eq!(push(&db, &plain(), second * 1000).committed, 1));
        through_everything(dir.path(), db, |db, what| {
            assert_eq!(samples(db, "__name__", "plain").len(), 60, "{what}");
        });
    }
}

#[test]
fn many_histograms_with_many_bounds_come_back() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    let custom_values: Vec<f64> = (0..9000).map(f64::from).collect();
    for n in 0..480 {
        let positive = Buckets { spans: vec![Span { offset: 0, length: 1 }], counts: vec![f64::from(n)] };
        let custom_values = custom_values.clone();
        let histogram = Histogram { schema: CUSTOM_SCHEMA, custom_values, positive, ..Histogram::default() };
        assert_eq!(push_histogram(&db, i64::from(n) * 100, histogram).committed, 1);
    }
    push(&db, &plain(), 47_000);
    through_everything(dir.path(), db, |db, what| {
        let found = samples(db, "__name__", "histogram");
        assert_eq!(found.histograms.len(), 480, "{what}");
        for (n, (_, histogram)) in found.histograms.iter().enumerate() {
            assert_eq!(
                (histogram.custom_values.len(), histogram.positive.counts[0]),
                (9000, n as f64),
                "{what}"
            );
        }
        assert_eq!(samples(db, "__name__", "plain").len(), 1, "{what}");
    });
    // A deletion takes them out of the head and packs what is left again.
    let db = open(dir.path());
    for n in 0..100 {
        let custom_values = custom_values[..5000].to_vec();
        let histogram =
            Histogram { schema: CUSTOM_SCHEMA, custom_values, sum: f64::from(n), ..Histogram::default() };
        assert_eq!(push_histogram(&db, 700_000 + i64::from(n), histogram).committed, 1);
    }
    let range = TimeRange::new(BEGIN + 700_005, BEGIN + 700_006);
    db.delete(&[vec![Matcher::equal("__name__", "histogram")]], range).expect("delete");
    assert_eq!(samples(&db, "__name__", "histogram").histograms.len(), 578);
}

#[test]
fn long_values_that_begin_alike_come_back() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    let prefix = "v".repeat(20_000);
    let series: Vec<Labels> = (0..1000)
        .map(|n| Labels::from_pairs([("__name__", "long"), ("value", format!("{prefix}{n:04}").as_str())]))
        .collect();
    assert_eq!(push(&db, &series, 0).committed, 1000);
    (1..60).for_each(|second| assert_eq!(push(&db, &plain(), second * 1000).committed, 1));
    through_everything(dir.path(), db, |db, what| {
        assert_eq!(samples(db, "__name__", "long").len(), 1000, "{what}");
        assert_eq!(samples(db, "value", &format!("{prefix}0777")).len(), 1, "{what}");
        assert_eq!(samples(db, "__name__", "plain").len(), 59, "{what}");
    });
}
