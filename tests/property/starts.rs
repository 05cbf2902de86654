//! Start timestamps against a map: each sample keeps the start it came with, from head to log, replay, blocks and merges.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use emberkeep::model::{Histogram, Labels, Matcher, Samples, TimeRange, stale_nan};
use emberkeep::storage::{Fields, Need, Queryable as _, SelectRequest};
use emberkeep::telemetry::Registry;
use emberkeep::tsdb::{CommitMode, Limits, SyncPolicy, Tsdb, TsdbOptions};
use emberkeep::util::ManualClock;

use super::support::Random;

const MINUTE: i64 = 60_000;
const NOW: i64 = 1_000_000 * MINUTE;

/// Of each series: time, bits of the value (nothing of a histogram), start. Stale markers are not among them: of those
/// nothing is said.
type Model = BTreeMap<Labels, BTreeMap<i64, (Option<u64>, i64)>>;

fn options(dir: &Path) -> TsdbOptions {
    TsdbOptions {
        sync: SyncPolicy::Never,
        segment_bytes: 4096,
        block_range_ms: MINUTE,
        max_block_range_ms: Some(60 * MINUTE),
        limits: Limits { retention_ms: 0, out_of_order_ms: 3 * MINUTE, ..Limits::default() },
        background: false,
        start_timestamps: true,
        ..TsdbOptions::new(dir)
    }
}

fn open(options: &TsdbOptions) -> Tsdb {
    // The thread that replays for an unclosed database ends by itself; the lock says when.
    loop {
        let clock = Arc::new(ManualClock::new(NOW * 2));
        match Tsdb::open(options.clone(), clock, &mut Registry::default()) {
            Ok(db) => return db,
            Err(emberkeep::tsdb::Error::Locked { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

fn select(db: &Tsdb, request: &SelectRequest<'_>) -> Model {
    let range = request.range;
    let set = db.querier(range).and_then(|querier| querier.select(request)).expect("select");
    let mut out = Model::new();
    let mut samples = Samples::new();
    for index in 0..set.len() {
        set.read(index, range, &mut samples).expect("read");
        assert!(samples.starts.len() <= samples.len());
        samples.drop_stale();
        let found = samples.points().enumerate().map(|(at, (time, value, histogram))| {
            (time, (histogram.is_none().then(|| value.to_bits()), samples.start(at)))
        });
        let found: BTreeMap<_, _> = found.collect();
        if !found.is_empty() {
            out.insert(set.labels(index), found);
        }
    }
    out
}

fn check(db: &Tsdb, model: &Model, range: TimeRange, what: &str) {
    let request = SelectRequest::new(&[], range);
    let within = |all: &Model| -> Model {
        let within = all.iter().map(|(labels, samples)| {
            (labels.clone(), samples.range(range.start..=range.end).map(|(t, v)| (*t, *v)).collect())
        });
        within.filter(|(_, samples): &(_, BTreeMap<_, _>)| !samples.is_empty()).collect()
    };
    let expected = within(model);
    let found = select(db, &request);
    for (labels, samples) in &expected {
        assert_eq!(found.get(labels), Some(samples), "{labels}, {what}");
    }
    assert_eq!(found.len(), expected.len(), "{what}");
    // The newest alone says the same.
    let newest = select(db, &SelectRequest { need: Need::Newest, ..request });
    for (labels, samples) in &newest {
        let last = samples.last_key_value();
        assert!(
            last.is_none_or(|(time, sample)| expected[labels].get(time) == Some(sample)),
            "{labels}, {what}"
        );
    }
    // Nothing is read that nobody asks for.
    let set = db.querier(range).and_then(|q| q.select(&SelectRequest { fields: Fields::VALUES, ..request }));
    let set = set.expect("select");
    let mut samples = Samples::new();
    for index in 0..set.len() {
        set.read(index, range, &mut samples).expect("read");
        assert!(samples.starts.is_empty(), "{what}");
    }
}

/// A target whose series count since `start`.
struct Target {
    start: i64,
    /// What its last samples counted since, where each stands for itself.
    last: i64,
}

#[test]
fn each_sample_keeps_the_start_it_came_with() {
    let mut random = Random::from_env(11);
    let dir = tempfile::tempdir().expect("dir");
    let mut options = options(dir.path());
    let mut db = open(&options);
    let mut timeline = db.create_timeline();
    let mut model = Model::new();
    let mut now = NOW;
    let mut target = Target { start: now - 5000, last: now };
    let (mut restarts, mut changes, mut late, mut forgotten) = (0, 0, 0, 0);
    for step in 0..1200 {
        now += 1000 + i64::try_from(random.below(4000)).expect("small") * 2;
        if random.below(60) == 0 {
            target.start = now - i64::try_from(random.below(900)).expect("small");
            changes += 1;
        }
        let mut appender = db.appender(Some(timeline));
        let mut accepted = Vec::new();
        for series in 0..9 {
            if (step / 100 + series) % 5 == 0 || random.below(20) == 0 {
                continue;
            }
            let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("n", series.to_string())]);
            let start = match series {
                0 => 0,
                // Each sample stands for itself.
                1 => target.last,
                // Sometimes it is not known.
                2 if random.below(10) == 0 => 0,
                3 => i64::MIN + target.start,
                _ => target.start,
            };
            let reference = appender.series(&labels);
            if random.below(40) == 0 {
                appender.append(reference, now, stale_nan());
                continue;
            }
            let bits = if series == 7 {
                let histogram = Histogram { count: 3.0, sum: f64::from(step), ..Histogram::default() };
                appender.append_histogram_since(reference, now, Arc::new(histogram), start);
                None
            } else {
                appender.append_since(reference, now, f64::from(step), start);
                Some(f64::from(step).to_bits())
            };
            let start = if options.start_timestamps { start } else { 0 };
            forgotten += usize::from(!options.start_timestamps);
            accepted.push((labels, now, (bits, start)));
        }
        target.last = now;
        if random.below(30) == 0 {
            drop(appender);
            continue;
        }
        appender.commit(CommitMode::Each).expect("commit");
        for (labels, time, sample) in accepted {
            model.entry(labels).or_default().insert(time, sample);
        }
        // Something late, at a time nothing else has.
        let time = now - 1 - 2 * i64::try_from(random.below(60_000)).expect("small");
        let series = random.below(7);
        let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("n", series.to_string())]);
        if options.start_timestamps && model.get(&labels).is_some_and(|all| !all.contains_key(&time)) {
            let start = if random.below(3) == 0 { 0 } else { time - 77 };
            let mut appender = db.appender(None);
            let reference = appender.series(&labels);
            appender.append_since(reference, time, f64::from(step), start);
            if appender.commit(CommitMode::Each).expect("commit").committed == 1 {
                model.entry(labels).or_default().insert(time, (Some(f64::from(step).to_bits()), start));
                late += 1;
            }
        }
        if random.below(25) == 0 {
            let start = now - i64::try_from(random.below(20 * 60_000)).expect("small");
            let range =
                TimeRange::new(start, start + i64::try_from(random.below(10 * 60_000)).expect("small"));
            check(&db, &model, range, "a range");
        }
        if random.below(40) == 0 {
            db.maintain().expect("maintain");
        }
        if random.below(80) == 0 {
            let start = now - i64::try_from(random.below(20 * 60_000)).expect("small");
            let range = TimeRange::new(start, start + i64::try_from(random.below(60_000)).expect("small"));
            let series = random.below(8).to_string();
            db.delete(&[vec![Matcher::equal("n", &series)]], range).expect("delete");
            for (_, samples) in model.iter_mut().filter(|(labels, _)| labels.get("n") == Some(&series)) {
                samples.retain(|time, _| !range.contains(*time));
            }
        }
        if random.below(50) == 0 {
            // Now and then as after a kill; now and then starts are not wanted for a while.
            if random.below(2) == 0 {
                db.close().expect("close");
            }
            drop(db);
            options.start_timestamps = random.below(5) > 0;
            db = open(&options);
            timeline = db.create_timeline();
            check(&db, &model, TimeRange::ALL, "after a restart");
            restarts += 1;
        }
    }
    check(&db, &model, TimeRange::ALL, "everything");
    db.maintain().expect("maintain");
    db.clean_tombstones().expect("clean");
    check(&db, &model, TimeRange::ALL, "after cleaning");
    let status = db.status();
    assert!(status.blocks.iter().any(|block| block.level > 1), "some blocks were merged");
    for block in &status.blocks {
        assert_eq!(db.verify_block(block).expect("verify"), block.samples);
    }
    assert!(
        restarts > 10 && changes > 10 && late > 50 && forgotten > 100,
        "{restarts} {changes} {late} {forgotten}"
    );
    let name = db.snapshot(false).expect("snapshot");
    let copy = open(&TsdbOptions { dir: dir.path().join("snapshots").join(name), ..options });
    check(&copy, &model, TimeRange::ALL, "in a snapshot");
    db.close().expect("close");
}

#[test]
fn series_without_starts_cost_nothing_and_others_little() {
    let bytes = |start: i64| {
        let dir = tempfile::tempdir().expect("dir");
        let db = open(&options(dir.path()));
        let timeline = db.create_timeline();
        for step in 0..60i32 {
            let mut appender = db.appender(Some(timeline));
            for series in 0..100 {
                let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("n", series.to_string())]);
                let reference = appender.series(&labels);
                appender.append_since(reference, NOW + i64::from(step) * 1000, f64::from(step), start);
            }
            appender.commit(CommitMode::Whole).expect("commit");
        }
        let logged = std::fs::read_dir(dir.path().join("wal")).expect("log").flatten();
        logged.map(|file| file.metadata().expect("metadata").len()).sum::<u64>()
    };
    let (without, with) = (bytes(0), bytes(NOW - 1000));
    // Each file of the log says it once for each series, in a few bytes.
    let files = with / 4096 + 1;
    assert!(with > without && with - without <= files * (100 * 4 + 40), "{with} {without}");
}
