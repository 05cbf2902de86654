//! Exemplars and metadata against a map: what is committed is answered through cuts, merges, deletions and restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use emberkeep::model::{Exemplar, Labels, Matcher, Metadata, MetricType, TimeRange};
use emberkeep::storage::Watch;
use emberkeep::telemetry::Registry;
use emberkeep::tsdb::{CommitMode, ExemplarStats, Limits, SyncPolicy, Tsdb, TsdbOptions};
use emberkeep::util::ManualClock;

use super::support::Random;

/// Time, bits of the value, and labels of each exemplar of a series.
type Model = BTreeMap<Labels, BTreeSet<(i64, u64, Labels)>>;

const MINUTE: i64 = 60_000;
const NOW: i64 = 1_000_000 * MINUTE;

fn options(dir: &Path) -> TsdbOptions {
    TsdbOptions {
        sync: SyncPolicy::Never,
        segment_bytes: 8192,
        block_range_ms: MINUTE,
        max_block_range_ms: Some(60 * MINUTE),
        limits: Limits { retention_ms: 0, out_of_order_ms: MINUTE, ..Limits::default() },
        background: false,
        ..TsdbOptions::new(dir)
    }
}

fn open(options: &TsdbOptions) -> Tsdb {
    let clock = Arc::new(ManualClock::new(NOW * 2));
    Tsdb::open(options.clone(), clock, &mut Registry::default()).expect("open")
}

fn answer(db: &Tsdb, selectors: &[Vec<Matcher>], range: TimeRange) -> Model {
    let found = db.exemplars(selectors, range, Watch::NONE).expect("exemplars");
    assert!(found.series.is_sorted_by(|(a, _), (b, _)| a < b) && !found.cut);
    let series = found.series.into_iter().map(|(labels, exemplars)| {
        assert!(exemplars.is_sorted_by_key(|e| e.timestamp));
        let count = exemplars.len();
        let all: BTreeSet<_> =
            exemplars.into_iter().map(|e| (e.timestamp, e.value.to_bits(), e.labels)).collect();
        assert_eq!(all.len(), count, "each once");
        (labels, all)
    });
    series.collect()
}

fn part(model: &Model, wanted: impl Fn(&Labels) -> bool, range: TimeRange) -> Model {
    let series = model.iter().filter(|(labels, _)| wanted(labels)).map(|(labels, all)| {
        (labels.clone(), all.iter().filter(|(t, ..)| range.contains(*t)).cloned().collect())
    });
    series.filter(|(_, all): &(_, BTreeSet<_>)| !all.is_empty()).collect()
}

fn check(db: &Tsdb, model: &Model, random: &mut Random, now: i64, what: &str) {
    assert_eq!(answer(db, &[], TimeRange::ALL), part(model, |_| true, TimeRange::ALL), "{what}");
    let below = |random: &mut Random, n: u64| i64::try_from(random.below(n)).expect("small");
    let start = now - below(random, 3_600_000);
    let range = TimeRange::new(start, start + below(random, 600_000));
    let target = format!("t{}", random.below(3));
    let selector = vec![Matcher::equal("target", &target)];
    let expected = part(model, |labels| labels.get("target") == Some(&target), range);
    assert_eq!(answer(db, &[selector], range), expected, "{what}");
}

#[test]
fn exemplars_agree_with_a_map_through_cuts_merges_deletions_and_restarts() {
    let mut random = Random::from_env(11);
    let dir = tempfile::tempdir().expect("dir");
    let options = options(dir.path());
    let mut model = Model::new();
    let mut db = open(&options);
    let mut now = NOW;
    let (mut taken, mut deleted, mut restarts) = (0, 0, 0);
    for step in 0..1200 {
        now += 1000 + i64::try_from(random.below(9000)).expect("small");
        let mut appender = db.appender(None);
        let mut expected = Vec::new();
        for number in 0..8u64 {
            if (step / 60 + number) % 4 == 0 {
                continue;
            }
            let labels = Labels::from_pairs([
                ("__name__", "m"),
                ("target", &format!("t{}", number % 3)),
                ("n", &format!("{number}-{}", step / 300)),
            ]);
            let series = appender.series(&labels);
            appender.append(series, now, 1.0);
            let newest = model.get(&labels).and_then(|all| all.last()).map(|(time, ..)| *time);
            // The first of a series may be old, a rare one is late, some say the same again.
            let timestamp = match (newest, random.below(10)) {
                (_, 0..4) => continue,
                (None, _) => now - i64::try_from(random.below(1_800_000)).expect("small"),
                (Some(newest), 4) => newest,
                (Some(newest), 5) => newest - i64::try_from(random.below(90_000)).expect("small"),
                _ => now - i64::try_from(random.below(3000)).expect("small"),
            };
            let id = format!("{:016x}", random.next());
            let exemplar = Exemplar {
                labels: if random.below(5) == 0 { Labels::empty() } else { Labels::from_pairs([("id", id)]) },
                value: f64::from(u32::try_from(step).expect("small")),
                timestamp,
            };
            appender.append_exemplar(series, exemplar.clone(), true);
            expected.push((labels, newest, exemplar));
        }
        let stats = appender.commit(CommitMode::Each).expect("commit").exemplars;
        assert_eq!(stats.committed + stats.repeated + stats.out_of_order, expected.len());
        // Those that must be taken are; of the others the database itself is asked.
        let sure = expected.iter().filter(|(_, newest, e)| newest.is_none_or(|n| n < e.timestamp)).count();
        assert!(stats.committed >= sure, "{stats:?}");
        let there = answer(&db, &[], TimeRange::ALL);
        let mut visible = 0;
        for (labels, _, exemplar) in expected {
            let one = (exemplar.timestamp, exemplar.value.to_bits(), exemplar.labels);
            if there.get(&labels).is_some_and(|all| all.contains(&one)) {
                visible += 1;
                model.entry(labels).or_default().insert(one);
            }
        }
        assert!((stats.committed..=stats.committed + stats.repeated).contains(&visible), "{stats:?}");
        taken += visible;
        if random.below(25) == 0 {
            db.maintain().expect("maintain");
            check(&db, &model, &mut random, now, "after maintenance");
        }
        if random.below(50) == 0 {
            let target = format!("t{}", random.below(3));
            let start = now - i64::try_from(random.below(600_000)).expect("small");
            let range = TimeRange::new(start, start + i64::try_from(random.below(300_000)).expect("small"));
            let selector = vec![Matcher::equal("target", &target)];
            db.delete(&[selector], range).expect("delete");
            for (_, all) in model.iter_mut().filter(|(labels, _)| labels.get("target") == Some(&target)) {
                let before = all.len();
                all.retain(|(time, ..)| !range.contains(*time));
                deleted += before - all.len();
            }
            if random.below(3) == 0 {
                db.clean_tombstones().expect("clean");
            }
            check(&db, &model, &mut random, now, "after a deletion");
        }
        if random.below(60) == 0 {
            restarts += 1;
            if random.below(2) == 0 {
                db.close().expect("close");
            }
            drop(db);
            db = open(&options);
            assert_eq!(db.status().corruptions, 0);
            check(&db, &model, &mut random, now, "after a restart");
        }
    }
    assert!(taken > 1000 && deleted > 50 && restarts > 5, "{taken} {deleted} {restarts}");
    for meta in &db.status().blocks {
        db.verify_block(meta).expect("sound");
    }
    assert!(db.status().blocks.iter().any(|meta| meta.level > 1 && meta.exemplars.count > 0));

    let copy = tempfile::tempdir().expect("dir");
    let target = copy.path().join("copy");
    db.copy_to(&target, false).expect("copy");
    let snapshot = open(&TsdbOptions { dir: target, ..options });
    check(&snapshot, &model, &mut random, now, "in a snapshot");
    snapshot.maintain().expect("maintain");
    check(&snapshot, &model, &mut random, now, "in a snapshot that was merged");
}

fn exemplar(timestamp: i64, value: f64) -> Exemplar {
    Exemplar { labels: Labels::from_pairs([("id", "x")]), value, timestamp }
}

#[test]
fn the_limit_on_exemplars_is_followed() {
    let dir = tempfile::tempdir().expect("dir");
    let options = options(dir.path());
    let db = open(&options);
    let labels = Labels::from_pairs([("__name__", "m")]);
    let commit = |exemplars: &[Exemplar]| -> ExemplarStats {
        let mut appender = db.appender(None);
        let series = appender.series(&labels);
        exemplars.iter().for_each(|e| appender.append_exemplar(series, e.clone(), true));
        appender.commit(CommitMode::Whole).expect("commit").exemplars
    };
    let times = || answer(&db, &[], TimeRange::ALL).remove(&labels).unwrap_or_default().len();
    let ten: Vec<_> = (0..10).map(|n| exemplar(NOW + n, 1.0)).collect();
    assert_eq!(commit(&ten).committed, 10);
    let set = |max_exemplars| db.set_limits(Limits { max_exemplars, ..options.limits }).expect("limits");
    set(4);
    assert_eq!(times(), 4);
    assert_eq!(commit(&[exemplar(NOW + 10, 1.0), exemplar(NOW + 9, 1.0)]).committed, 1);
    assert_eq!(times(), 4);
    set(0);
    assert_eq!(commit(&[exemplar(NOW + 20, 1.0)]).disabled, 1);
    assert_eq!(times(), 0);
    set(10);
    let long = Exemplar { labels: Labels::from_pairs([("id", "x".repeat(127))]), ..exemplar(NOW + 30, 1.0) };
    let stats = commit(&[long, exemplar(NOW + 30, 1.0), exemplar(i64::MAX, 1.0)]);
    assert_eq!((stats.too_long, stats.committed, stats.too_far_ahead), (1, 1, 1));
}

#[test]
fn metadata_survives_restarts_and_leaves_with_its_series() {
    let dir = tempfile::tempdir().expect("dir");
    let options = options(dir.path());
    let mut db = open(&options);
    let metadata =
        |help: &str| Metadata { kind: MetricType::Counter, unit: String::new(), help: help.to_owned() };
    let commit = |db: &Tsdb, name: &str, at: i64, help: &str| {
        let mut appender = db.appender(None);
        let series = appender.series(&Labels::from_pairs([("__name__", format!("{name}_total").as_str())]));
        appender.append(series, at, 1.0);
        appender.set_metadata(name, metadata(help));
        appender.commit(CommitMode::Each).expect("commit").families
    };
    assert_eq!(commit(&db, "gone", NOW, "x"), 1);
    for step in 0..200 {
        let help = format!("help {}", step / 70);
        assert_eq!(commit(&db, "stays", NOW + step * 10_000, &help), usize::from(step % 70 == 0));
        if step % 40 == 39 {
            db.maintain().expect("maintain");
        }
        if step % 50 == 49 {
            db.close().expect("close");
            drop(db);
            db = open(&options);
            let known = db.metadata(Some("stays")).expect("metadata");
            assert_eq!(known, [("stays".to_owned(), metadata(&help))]);
        }
    }
    assert_eq!(db.metadata(Some("stays")).expect("metadata").len(), 1);
    assert_eq!(db.metadata(Some("gone")).expect("metadata"), []);
}
