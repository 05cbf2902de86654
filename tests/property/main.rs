//! The database against a map: whatever is committed is read back, through cuts, merges, retention and restarts.

#[path = "../support/mod.rs"]
mod support;

mod bounds;
mod exemplars;
mod results;
mod starts;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use emberkeep::model::{Labels, Matcher, Samples, TimeRange, is_stale, stale_nan};
use emberkeep::storage::{Bounds, Fields, Need, Queryable as _, SelectRequest, StorageError, Watch};
use emberkeep::telemetry::Registry;
use emberkeep::tsdb::{AppendOutcome, CommitMode, CommitStats, Limits, SyncPolicy, Tsdb, TsdbOptions};
use emberkeep::util::ManualClock;
use support::Random;

type Model = BTreeMap<Labels, BTreeMap<i64, f64>>;

const MINUTE: i64 = 60_000;

fn open(dir: &Path) -> Tsdb {
    let options = TsdbOptions {
        sync: SyncPolicy::Never,
        segment_bytes: 4096,
        block_range_ms: MINUTE,
        max_block_range_ms: Some(60 * MINUTE),
        limits: Limits { retention_ms: 0, out_of_order_ms: 3 * MINUTE, ..Limits::default() },
        ..TsdbOptions::new(dir)
    };
    // The threads of an unclosed database end by themselves; the lock says when.
    loop {
        let clock = Arc::new(ManualClock::new(i64::MAX / 4));
        match Tsdb::open(options.clone(), clock, &mut Registry::default()) {
            Ok(db) => return db,
            Err(emberkeep::tsdb::Error::Locked { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

fn select(db: &Tsdb, matchers: &[Matcher], range: TimeRange) -> Model {
    let querier = db.querier(range).expect("querier");
    let set = querier.select(&SelectRequest::new(matchers, range)).expect("select");
    let mut out = Model::new();
    let mut samples = Samples::new();
    for index in 0..set.len() {
        set.read(index, range, &mut samples).expect("read");
        if !samples.is_empty() {
            let before = out.insert(set.labels(index), samples.iter().collect());
            assert!(before.is_none(), "each label set once");
        }
    }
    out
}

/// As [`select`], while nothing else goes on: selects of less have to agree.
fn select_both_ways(db: &Tsdb, matchers: &[Matcher], range: TimeRange) -> Model {
    let out = select(db, matchers, range);
    let mut samples = Samples::new();
    let querier = db.querier(range).expect("querier");
    let newest = querier
        .select(&SelectRequest { need: Need::Newest, ..SelectRequest::new(matchers, range) })
        .expect("select");
    let mut ends = 0;
    for index in 0..newest.len() {
        newest.read(index, range, &mut samples).expect("read");
        let Some((time, value)) = samples.iter().last() else { continue };
        let labels = newest.labels(index);
        let expected = out.get(&labels).and_then(|held| held.last_key_value());
        let expected = expected.map(|(time, value)| (*time, value.to_bits()));
        assert_eq!(Some((time, value.to_bits())), expected, "newest sample of {labels}");
        ends += 1;
    }
    assert_eq!(ends, out.len(), "series with a newest sample");
    let times = SelectRequest {
        fields: Fields { values: false, starts: true },
        ..SelectRequest::new(matchers, range)
    };
    let set = querier.select(&times).expect("select");
    let mut found = 0;
    for index in 0..set.len() {
        set.read(index, range, &mut samples).expect("read");
        if samples.is_empty() {
            continue;
        }
        let expected = &out[&set.labels(index)];
        let marked = |(time, value): (i64, f64)| (time, is_stale(value));
        let expected: Vec<_> = expected.iter().map(|(time, value)| marked((*time, *value))).collect();
        assert_eq!(samples.iter().map(marked).collect::<Vec<_>>(), expected, "times and stale markers");
        found += 1;
    }
    assert_eq!(found, out.len(), "series with times");
    out
}

fn assert_same(found: &Model, model: &Model, range: TimeRange, what: &str) {
    let bits = |m: &Model| -> Vec<(Labels, Vec<(i64, u64)>)> {
        m.iter()
            .map(|(l, s)| {
                (l.clone(), s.range(range.start..=range.end).map(|(t, v)| (*t, v.to_bits())).collect())
            })
            .filter(|(_, s): &(Labels, Vec<(i64, u64)>)| !s.is_empty())
            .collect()
    };
    let (found, expected) = (bits(found), bits(model));
    for (f, e) in found.iter().zip(&expected) {
        assert_eq!(f, e, "{what}");
    }
    assert_eq!(found.len(), expected.len(), "{what}");
}

#[test]
fn agrees_with_a_map_through_cuts_merges_and_restarts() {
    let mut random = Random::from_env(7);
    let dir = tempfile::tempdir().expect("dir");
    let mut model = Model::new();
    let mut db = open(dir.path());
    let mut timelines = [db.create_timeline(), db.create_timeline()];
    let mut now = 1_000_000 * MINUTE;
    let (mut restarts, mut late, mut deleted) = (0, 0, 0);
    for step in 0..1500 {
        now += 1000 + i64::try_from(random.below(4500)).expect("small") * 2;
        let target = random.below(2);
        let mut appender = db.appender(Some(timelines[usize::try_from(target).expect("small")]));
        let mut accepted = Vec::new();
        for series in 0..12 {
            // Series come and go, some with timestamps of their own.
            if (step / 100 + series) % 5 == 0 || random.below(20) == 0 {
                continue;
            }
            let labels = Labels::from_pairs([
                ("__name__", format!("m{}", series % 3)),
                ("target", format!("t{target}")),
                ("n", format!("{series}-{}", step / 400)),
            ]);
            let value = match (series, random.below(30)) {
                (_, 0) => stale_nan(),
                (0..3, _) => 5.0,
                (3..8, _) => f64::from(step) * 3.0,
                _ => f64::from_bits(random.next()),
            };
            let timestamp = if series == 11 { now - 7 } else { now };
            let reference = appender.series(&labels);
            appender.append(reference, timestamp, value);
            accepted.push((labels, timestamp, value));
        }
        if random.below(30) == 0 {
            drop(appender);
            continue;
        }
        let stats = appender.commit(CommitMode::Each).expect("commit");
        assert_eq!((stats.committed, stats.first_refused), (accepted.len(), None));
        for (labels, timestamp, value) in accepted {
            model.entry(labels).or_default().insert(timestamp, value);
        }
        // Something late, at a time nothing else has.
        let timestamp = now - 1 - 2 * i64::try_from(random.below(120_000)).expect("small");
        let known = usize::try_from(random.below(model.len() as u64)).expect("small");
        let labels = model.keys().nth(known).expect("some series").clone();
        let newest = model[&labels].last_key_value().map(|(time, _)| *time);
        if let Some(newest) = newest.filter(|_| !model[&labels].contains_key(&timestamp)) {
            let mut appender = db.appender(None);
            let series = appender.series(&labels);
            appender.append(series, timestamp, f64::from(step) + 0.5);
            let stats = appender.commit(CommitMode::Each).expect("commit");
            if timestamp < newest && timestamp < newest - 3 * MINUTE {
                assert_eq!(stats.committed, 0, "outside of the window");
            }
            if stats.committed == 1 {
                late += 1;
                model.entry(labels).or_default().insert(timestamp, f64::from(step) + 0.5);
            }
        }
        if random.below(40) == 0 {
            db.maintain().expect("maintain");
        }
        if random.below(60) == 0 {
            if random.below(2) == 0 {
                db.close().expect("close");
            }
            drop(db);
            db = open(dir.path());
            timelines = [db.create_timeline(), db.create_timeline()];
            restarts += 1;
        }
        if random.below(50) == 0 {
            // Deleted from head and blocks alike; what comes later at the same time is not.
            let start = now - i64::try_from(random.below(60 * 60_000)).expect("small");
            let range =
                TimeRange::new(start, start + i64::try_from(random.below(5 * 60_000)).expect("small"));
            let metric = format!("m{}", random.below(3));
            let selector = vec![Matcher::equal("__name__", &metric)];
            let affected = db.count_deletion(std::slice::from_ref(&selector), range).expect("count");
            db.delete(&[selector], range).expect("delete");
            let before: usize = model.values().map(BTreeMap::len).sum();
            for (_, samples) in model.iter_mut().filter(|(labels, _)| labels.metric_name() == metric) {
                samples.retain(|time, _| !range.contains(*time));
            }
            let after: usize = model.values().map(BTreeMap::len).sum();
            assert_eq!(affected.samples, (before - after) as u64);
            deleted += before - after;
            if random.below(3) == 0 {
                db.clean_tombstones().expect("clean");
            }
        }
        if random.below(25) == 0 {
            let start = now - i64::try_from(random.below(40 * 60_000)).expect("small");
            let range =
                TimeRange::new(start, start + i64::try_from(random.below(30 * 60_000)).expect("small"));
            assert_same(&select_both_ways(&db, &[], range), &model, range, "random range");
        }
    }
    db.maintain().expect("maintain");
    assert_same(&select_both_ways(&db, &[], TimeRange::ALL), &model, TimeRange::ALL, "everything");
    let one = [Matcher::equal("__name__", "m1")];
    let part =
        model.iter().filter(|(l, _)| l.metric_name() == "m1").map(|(l, s)| (l.clone(), s.clone())).collect();
    assert_same(&select_both_ways(&db, &one, TimeRange::ALL), &part, TimeRange::ALL, "one metric");
    let status = db.status();
    assert!(deleted > 100, "{deleted} deleted samples");
    assert!(late > 100, "{late} late samples");
    assert!(restarts > 5, "{restarts} restarts");
    assert!(status.blocks.iter().any(|b| b.level > 1), "some blocks were merged");
    assert!(status.blocks.len() < 40, "{} blocks", status.blocks.len());
    db.clean_tombstones().expect("clean");
    assert_same(&select_both_ways(&db, &[], TimeRange::ALL), &model, TimeRange::ALL, "after cleaning");
    let status = db.status();
    for block in &status.blocks {
        assert_eq!(db.verify_block(block).expect("verify"), block.samples);
    }
    db.close().expect("close");
}

#[test]
fn a_second_server_on_the_directory_is_refused() {
    let dir = tempfile::tempdir().expect("dir");
    let _first = open(dir.path());
    let options = TsdbOptions::new(dir.path());
    let second = Tsdb::open(options, Arc::new(ManualClock::new(0)), &mut Registry::default());
    let error = second.err().expect("refused").to_string();
    assert!(error.contains("is in use by another process"), "{error}");
}

#[test]
fn refuses_what_is_late_doubled_or_far_ahead() {
    let dir = tempfile::tempdir().expect("dir");
    let options = TsdbOptions::new(dir.path());
    let now = 1_700_000_000_000;
    let db = Tsdb::open(options, Arc::new(ManualClock::new(now)), &mut Registry::default()).expect("open");
    let labels = Labels::from_pairs([("__name__", "m")]);
    let push = |samples: &[(i64, f64)], mode: CommitMode| {
        let mut appender = db.appender(None);
        let series = appender.series(&labels);
        samples.iter().for_each(|(t, v)| appender.append(series, *t, *v));
        appender.commit(mode).expect("commit")
    };
    assert_eq!(push(&[(now, 1.0)], CommitMode::Whole).committed, 1);
    let bad = [
        (now, 1.0),
        (now, 2.0),
        (now - 1, 2.0),
        (now - 2 * 3_600_000, 2.0),
        (now + 11 * 60_000, 2.0),
        (i64::MAX, 2.0),
        (now + 1, 3.0),
        (now + 1, 4.0),
    ];
    let counted = CommitStats {
        repeated: 1,
        duplicate: 2,
        out_of_order: 1,
        too_old: 1,
        too_far_ahead: 2,
        first_refused: Some((1, AppendOutcome::DuplicateTimestamp)),
        ..CommitStats::default()
    };
    assert_eq!(push(&bad, CommitMode::Whole), counted);
    assert_eq!(push(&bad, CommitMode::Each), CommitStats { committed: 1, ..counted });
    assert_eq!(push(&[(now + 2, 5.0)], CommitMode::Each).committed, 1);
    let mut appender = db.appender(None);
    appender.append(emberkeep::tsdb::SeriesRef(99), now, 2.0);
    assert_eq!(appender.commit(CommitMode::Each).expect("commit").unknown, 1);
    let expected = BTreeMap::from([(now, 1.0), (now + 1, 3.0), (now + 2, 5.0)]);
    assert_eq!(select(&db, &[], TimeRange::ALL).into_values().next(), Some(expected.clone()));
    // What was undone in memory was undone in the log too.
    db.close().expect("close");
    drop(db);
    assert_eq!(select(&open(dir.path()), &[], TimeRange::ALL).into_values().next(), Some(expected));
}

#[test]
fn native_histograms_come_back_from_log_head_and_blocks() {
    use emberkeep::model::Histogram;
    use emberkeep::model::histogram::{Buckets, ResetHint, Span};
    let dir = tempfile::tempdir().expect("dir");
    let labels = Labels::from_pairs([("__name__", "h")]);
    let make = |n: i64| {
        let counts: Vec<f64> = (0..=n % 7).map(|bucket| (n * bucket) as f64).collect();
        let length = u32::try_from(counts.len()).expect("small");
        Arc::new(Histogram {
            schema: if n % 50 < 25 { 3 } else { 4 },
            zero_threshold: 0.001,
            count: n as f64,
            sum: if n % 31 == 0 { stale_nan() } else { n as f64 * 0.3 },
            positive: Buckets { spans: vec![Span { offset: -2, length }], counts },
            reset_hint: if n % 3 == 0 { ResetHint::Reset } else { ResetHint::Unknown },
            integer: n % 2 == 0,
            ..Histogram::default()
        })
    };
    // Two hours of one every ten seconds, some of them plain numbers.
    let is_float = |n: i64| n % 13 == 5;
    let check = |db: &Tsdb, what: &str| {
        let querier = db.querier(TimeRange::ALL).expect("querier");
        let set = querier.select(&SelectRequest::new(&[], TimeRange::ALL)).expect("select");
        let mut samples = Samples::new();
        set.read(0, TimeRange::ALL, &mut samples).expect("read");
        assert_eq!(samples.timestamps, (0..720).map(|n| n * 10_000).collect::<Vec<_>>(), "{what}");
        let mut histograms = samples.histograms.iter();
        for n in 0..720 {
            if is_float(n) {
                assert_eq!(
                    samples.values[usize::try_from(n).expect("index")].to_bits(),
                    (n as f64).to_bits()
                );
            } else {
                let (at, found) = histograms.next().expect("as many as were put in");
                // By their text: a stale sum is not equal to itself.
                assert_eq!(
                    (i64::try_from(*at).expect("small"), format!("{found:?}")),
                    (n, format!("{:?}", make(n))),
                    "{what}"
                );
            }
        }
        assert!(histograms.next().is_none());
    };
    let db = open(dir.path());
    for n in 0..720 {
        let mut appender = db.appender(None);
        let series = appender.series(&labels);
        if is_float(n) {
            appender.append(series, n * 10_000, n as f64);
        } else {
            appender.append_histogram(series, n * 10_000, make(n));
        }
        assert_eq!(appender.commit(CommitMode::Whole).expect("commit").committed, 1);
    }
    check(&db, "from the head");
    drop(db);
    let db = open(dir.path());
    check(&db, "from the log");
    db.maintain().expect("maintain");
    assert!(!db.status().blocks.is_empty());
    check(&db, "from blocks");
    db.close().expect("close");
    drop(db);
    check(&open(dir.path()), "after another start");
}

/// Floats and native histograms of one series, in one commit and after deletions.
#[test]
fn the_newest_sample_is_known_whatever_it_is() {
    use emberkeep::model::Histogram;
    let dir = tempfile::tempdir().expect("dir");
    let histogram = || Arc::new(Histogram { count: 1.0, sum: 5.0, ..Histogram::default() });
    let labels = |name: &str| Labels::from_pairs([("__name__", name)]);
    let float = |db: &Tsdb, name: &str, time: i64, value: f64| {
        let mut appender = db.appender(None).in_order();
        let series = appender.series(&labels(name));
        appender.append(series, time, value);
        appender.commit(CommitMode::Each).expect("commit")
    };
    let times = |db: &Tsdb, name: &str, from: i64| {
        let range = TimeRange::new(from, 1000 * MINUTE);
        let querier = db.querier(range).expect("querier");
        let set =
            querier.select(&SelectRequest::new(&[Matcher::equal("__name__", name)], range)).expect("select");
        let mut samples = Samples::new();
        (0..set.len()).for_each(|at| set.read(at, range, &mut samples).expect("read"));
        samples.timestamps
    };
    // On both sides of the end of a block.
    let border = 120 * MINUTE;
    let mut db = open(dir.path());
    let mut appender = db.appender(None);
    let series = appender.series(&labels("both"));
    appender.append(series, border + 5000, 7.0);
    appender.append_histogram(series, border - 5000, histogram());
    assert_eq!(appender.commit(CommitMode::Each).expect("commit").committed, 2);
    for after in ["the commit", "a restart", "a cut"] {
        assert_eq!(times(&db, "both", border), [border + 5000], "{after}");
        assert_eq!(times(&db, "both", 0), [border - 5000, border + 5000], "{after}");
        if after == "a cut" {
            break;
        }
        let late = float(&db, "both", border, 7.0);
        assert_eq!(late.out_of_order + late.too_old, 1, "{after}");
        assert_eq!(float(&db, "both", border + 5000, 8.0).duplicate, 1, "{after}");
        assert_eq!(float(&db, "both", border + 5000, 7.0).repeated, 1, "{after}");
        if after == "the commit" {
            drop(db);
            db = open(dir.path());
        } else {
            float(&db, "other", 2 * border, 1.0);
            db.maintain().expect("maintain");
        }
    }
    assert!(!db.status().blocks.is_empty());
    // A float is not repeated by one that has its bits at the time of a histogram, even if that is gone.
    let time = 2 * border;
    for name in ["after a float", "alone"] {
        if name == "after a float" {
            float(&db, name, time, 0.0);
        }
        let mut appender = db.appender(None);
        let series = appender.series(&labels(name));
        appender.append_histogram(series, time + 1000, histogram());
        assert_eq!(appender.commit(CommitMode::Each).expect("commit").committed, 1, "{name}");
        let range = TimeRange::new(time + 500, time + 1500);
        db.delete(&[vec![Matcher::equal("__name__", name)]], range).expect("delete");
        assert_eq!(float(&db, name, time + 1000, 0.0).duplicate, 1, "{name}");
    }
}

#[test]
fn samples_far_apart_do_no_harm() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    let labels = Labels::from_pairs([("__name__", "m")]);
    let times = [i64::MIN, -MINUTE * 1_000_000, 0, MINUTE * 50_000_000];
    for time in times {
        let mut appender = db.appender(None);
        let series = appender.series(&labels);
        appender.append(series, time, 1.0);
        appender.commit(CommitMode::Each).expect("commit");
    }
    db.maintain().expect("maintain");
    let found: Vec<i64> = select(&db, &[], TimeRange::ALL).values().flat_map(|s| s.keys().copied()).collect();
    assert!(found.ends_with(&times[2..]), "{found:?}");
    assert!(db.status().blocks.len() >= 2, "the old ones are in blocks");
    db.close().expect("close");
}

#[test]
fn retention_removes_whole_blocks() {
    let dir = tempfile::tempdir().expect("dir");
    let options = TsdbOptions {
        sync: SyncPolicy::Never,
        block_range_ms: MINUTE,
        max_block_range_ms: Some(2 * MINUTE),
        limits: Limits { retention_ms: 10 * MINUTE, ..Limits::default() },
        ..TsdbOptions::new(dir.path())
    };
    let clock = Arc::new(ManualClock::new(i64::MAX / 4));
    let db = Tsdb::open(options, clock, &mut Registry::default()).expect("open");
    let labels = Labels::from_pairs([("__name__", "m")]);
    for minute in 0..60 {
        let mut appender = db.appender(None);
        let series = appender.series(&labels);
        appender.append(series, minute * MINUTE, 1.0);
        appender.commit(CommitMode::Each).expect("commit");
        db.maintain().expect("maintain");
    }
    let oldest = select(&db, &[], TimeRange::ALL).values().filter_map(|s| s.keys().next().copied()).min();
    let oldest = oldest.expect("samples") / MINUTE;
    // Blocks are merged to windows of 12 minutes and leave whole.
    assert!((60 - 10 - 13..=60 - 10).contains(&oldest), "oldest is minute {oldest}");
    db.close().expect("close");
}

#[test]
fn a_query_keeps_the_blocks_it_began_with() {
    let dir = tempfile::tempdir().expect("dir");
    let options = TsdbOptions {
        sync: SyncPolicy::Never,
        block_range_ms: MINUTE,
        max_block_range_ms: Some(12 * MINUTE),
        limits: Limits { retention_ms: 0, ..Limits::default() },
        ..TsdbOptions::new(dir.path())
    };
    let clock = Arc::new(ManualClock::new(i64::MAX / 4));
    let db = Tsdb::open(options, clock, &mut Registry::default()).expect("open");
    let labels = Labels::from_pairs([("__name__", "m")]);
    let push = |minutes: std::ops::Range<i64>| {
        for minute in minutes {
            let mut appender = db.appender(None);
            let series = appender.series(&labels);
            appender.append(series, minute * MINUTE, minute as f64);
            appender.commit(CommitMode::Each).expect("commit");
            db.maintain().expect("maintain");
        }
    };
    push(0..12);
    let querier = db.querier(TimeRange::ALL).expect("querier");
    let set = querier.select(&SelectRequest::new(&[], TimeRange::ALL)).expect("select");
    let before: Vec<_> = db.status().blocks.iter().map(|b| b.id.clone()).collect();
    push(12..20);
    let after: Vec<_> = db.status().blocks.iter().map(|b| b.id.clone()).collect();
    assert!(before.iter().all(|id| !after.contains(id)), "all of them were merged");
    let mut samples = Samples::new();
    set.read(0, TimeRange::ALL, &mut samples).expect("read");
    assert_eq!(samples.values, (0..12).map(f64::from).collect::<Vec<_>>());
    let folders = || std::fs::read_dir(dir.path().join("blocks")).expect("folder").count();
    assert!(folders() > after.len(), "kept for the reader");
    drop((set, querier));
    db.maintain().expect("maintain");
    assert_eq!(folders(), db.status().blocks.len(), "gone with the reader");
}

#[test]
fn a_commit_is_visible_whole_or_not_at_all() {
    const SERIES: i64 = 60;
    const COMMITS: i64 = 400;
    let dir = tempfile::tempdir().expect("dir");
    let options = TsdbOptions { sync: SyncPolicy::Never, ..TsdbOptions::new(dir.path()) };
    let clock = Arc::new(ManualClock::new(i64::MAX / 4));
    let db = Tsdb::open(options, clock, &mut Registry::default()).expect("open");
    let timeline = db.create_timeline();
    let all: Vec<Labels> = (0..SERIES)
        .map(|n| Labels::from_pairs([("__name__", "m".to_owned()), ("n", n.to_string())]))
        .collect();
    let done = std::sync::atomic::AtomicBool::new(false);
    let (mut looks, mut last_seen) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for commit in 1..=COMMITS {
                let mut appender = db.appender(Some(timeline));
                for labels in &all {
                    let series = appender.series(labels);
                    appender.append(series, commit * 1000, commit as f64);
                }
                appender.commit(CommitMode::Each).expect("commit");
            }
            done.store(true, std::sync::atomic::Ordering::Release);
        });
        while !done.load(std::sync::atomic::Ordering::Acquire) || looks == 0 {
            let found = select(&db, &[], TimeRange::ALL);
            let newest: Vec<_> = found.values().map(|s| s.last_key_value().map(|(t, _)| *t)).collect();
            if let Some(Some(first)) = newest.first() {
                assert_eq!(newest.len(), all.len(), "all series of the first commit at once");
                assert!(newest.iter().all(|t| t.as_ref() == Some(first)), "{newest:?}");
                assert!(*first >= last_seen, "time does not go back");
                last_seen = *first;
            }
            looks += 1;
        }
    });
    assert_eq!(select(&db, &[], TimeRange::ALL).values().map(BTreeMap::len).sum::<usize>(), 60 * 400);
}

#[test]
fn a_window_that_could_not_be_written_is_written_later() {
    let dir = tempfile::tempdir().expect("dir");
    let options = TsdbOptions {
        sync: SyncPolicy::Never,
        block_range_ms: MINUTE,
        limits: Limits { retention_ms: 0, ..Limits::default() },
        background: false,
        ..TsdbOptions::new(dir.path())
    };
    let clock = Arc::new(ManualClock::new(i64::MAX / 4));
    let db = Tsdb::open(options, clock, &mut Registry::default()).expect("open");
    let labels = Labels::from_pairs([("__name__", "m")]);
    let push = |minutes: std::ops::Range<i64>| {
        for minute in minutes {
            let mut appender = db.appender(None);
            let series = appender.series(&labels);
            appender.append(series, minute * MINUTE, minute as f64);
            appender.commit(CommitMode::Each).expect("commit");
        }
    };
    push(0..5);
    // A file in place of the folder: no block can be made.
    let (blocks, aside) = (dir.path().join("blocks"), dir.path().join("aside"));
    std::fs::rename(&blocks, &aside).expect("rename");
    std::fs::write(&blocks, "").expect("write");
    for _ in 0..3 {
        db.maintain().expect_err("no block can be made");
    }
    std::fs::remove_file(&blocks).expect("remove");
    std::fs::rename(&aside, &blocks).expect("rename");
    push(5..8);
    db.maintain().expect("maintain");
    assert!(!db.status().blocks.is_empty());
    let all: Vec<i64> = select(&db, &[], TimeRange::ALL).values().flat_map(|s| s.keys().copied()).collect();
    assert_eq!(all, (0..8).map(|minute| minute * MINUTE).collect::<Vec<_>>());
}

/// An hour and a half of one sample a minute, in blocks of a minute.
fn fill(db: &Tsdb) {
    let labels = Labels::from_pairs([("__name__", "m")]);
    for minute in 0..90 {
        let mut appender = db.appender(None);
        let series = appender.series(&labels);
        appender.append(series, minute * MINUTE, minute as f64);
        appender.commit(CommitMode::Each).expect("commit");
        db.maintain().expect("maintain");
    }
}

#[test]
fn a_snapshot_is_a_database_of_its_own() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    fill(&db);
    let deleted = TimeRange::new(3 * MINUTE, 5 * MINUTE);
    db.delete(&[vec![Matcher::equal("__name__", "m")]], deleted).expect("delete");
    let before = select(&db, &[], TimeRange::ALL);
    assert_eq!(before.values().map(BTreeMap::len).sum::<usize>(), 87);
    // One that a killed process left is removed at the next start.
    let left = dir.path().join("snapshots").join("left.unfinished");
    std::fs::create_dir_all(left.join("blocks")).expect("create");
    db.close().expect("close");
    drop(db);
    let db = open(dir.path());
    assert!(!left.exists());
    let name = db.snapshot(false).expect("snapshot");
    let blocks_only = db.snapshot(true).expect("snapshot");
    let push = |db: &Tsdb, minute: i64| {
        let mut appender = db.appender(None);
        let series = appender.series(&Labels::from_pairs([("__name__", "m")]));
        appender.append(series, minute * MINUTE + 1, 1.0);
        appender.commit(CommitMode::Whole).expect("commit").committed
    };
    assert_eq!(push(&db, 90), 1);
    let folder = dir.path().join("snapshots");
    let copy = open(&folder.join(&name));
    assert_eq!(select(&copy, &[], TimeRange::ALL), before, "as it was");
    copy.maintain().expect("maintain");
    assert_eq!(select(&copy, &[], TimeRange::ALL), before, "after maintenance");
    for block in &copy.status().blocks {
        copy.verify_block(block).expect("sound");
    }
    assert_eq!(push(&copy, 89), 1, "it goes on where it ends");
    let part = select(&open(&folder.join(&blocks_only)), &[], TimeRange::ALL);
    let count = part.values().map(BTreeMap::len).sum::<usize>();
    assert!(count > 60 && count < 87, "{count} samples are in blocks");
}

#[test]
fn a_damaged_block_is_set_aside_and_the_rest_is_served() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    fill(&db);
    let all = select(&db, &[], TimeRange::ALL);
    let blocks = db.status().blocks;
    let (first, kept) = (blocks[0].clone(), blocks.len() - 1);
    db.close().expect("close");
    drop(db);
    for entry in
        std::fs::read_dir(dir.path().join("blocks").join(first.id.as_str())).expect("folder").flatten()
    {
        if entry.path().is_dir() {
            continue;
        }
        let mut bytes = std::fs::read(entry.path()).expect("read");
        let len = bytes.len();
        // Beyond the first bytes, so that it still looks like a database.
        bytes.iter_mut().skip(len / 50).for_each(|byte| *byte ^= 0x5a);
        std::fs::write(entry.path(), bytes).expect("write");
    }
    let db = open(dir.path());
    let querier = db.querier(TimeRange::ALL).expect("querier");
    let request = SelectRequest::new(&[], TimeRange::ALL);
    let failed = querier.select(&request).and_then(|set| set.read(0, TimeRange::ALL, &mut Samples::new()));
    let error = failed.expect_err("damaged").to_string();
    assert!(error.contains(first.id.as_str()), "{error}");
    db.maintain().expect("maintain");
    assert!(db.status().blocks.iter().all(|b| b.id != first.id) && db.status().blocks.len() <= kept);
    assert!(dir.path().join("blocks").join(format!("{}.corrupt", first.id)).is_dir());
    let rest: Vec<_> = select(&db, &[], TimeRange::ALL).into_values().flatten().collect();
    let expected: Vec<_> =
        all.into_values().flatten().filter(|(time, _)| !first.range().contains(*time)).collect();
    assert_eq!(rest, expected);
}

#[test]
fn lists_of_names_and_values_end_at_their_bounds() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    for part in 0..3 {
        let mut appender = db.appender(None);
        for number in (part..600).step_by(3) {
            let (name, value) = (format!("l{}", number % 50), format!("{number:03}"));
            let series =
                appender.series(&Labels::from_pairs([("__name__", "m"), ("n", &value), (&name, "x")]));
            appender.append(series, i64::from(part) * MINUTE, 1.0);
        }
        appender.commit(CommitMode::Each).expect("commit");
        db.maintain().expect("maintain");
    }
    let querier = db.querier(TimeRange::ALL).expect("querier");
    for selectors in [vec![], vec![vec![Matcher::equal("__name__", "m")]]] {
        let values = |bounds: Bounds<'_>| querier.label_values("n", &selectors, bounds).expect("values");
        let names = |bounds: Bounds<'_>| querier.label_names(&selectors, bounds).expect("names");
        let (all_values, all_names) = (values(Bounds::NONE), names(Bounds::NONE));
        assert_eq!((all_values.len(), all_names.len()), (600, 52));
        for most in [1, 7, 599, 600, 601] {
            let bounds = Bounds { most, ..Bounds::NONE };
            let some = values(bounds);
            assert_eq!(some[..most.min(600)], all_values[..most.min(600)], "{most}");
            assert!(some.len() <= most.saturating_mul(4), "{} for {most}", some.len());
            let some = names(bounds);
            assert_eq!(some[..most.min(52)], all_names[..most.min(52)], "{most}");
        }
        let left = std::cell::Cell::new(20);
        let go_on = |_: usize| {
            left.set(i32::max(left.get() - 1, 0));
            left.get() > 0
        };
        let bounds = Bounds { most: usize::MAX, watch: Watch(&go_on) };
        let given_up = querier.label_values("n", &selectors, bounds);
        assert!(matches!(given_up, Err(StorageError::GivenUp)), "{given_up:?}");
        left.set(20);
        let given_up = querier.label_names(&selectors, bounds);
        assert!(matches!(given_up, Err(StorageError::GivenUp)), "{given_up:?}");
    }
}
