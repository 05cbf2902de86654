//! What a restart makes of what it finds: whose data it is, where the head begins, what is missing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use emberkeep::model::histogram::{Buckets, Histogram, Span};
use emberkeep::model::{Exemplar, Labels, Matcher, Samples, TimeRange};
use emberkeep::storage::{Queryable as _, SelectRequest, SeriesSet, StorageError, Watch};
use emberkeep::tsdb::{CommitMode, CommitStats, Tsdb};

use crate::support::files::copy_dir;
use crate::{MINUTE, open, options, try_open};

pub(crate) const BEGIN: i64 = 1_000_000 * MINUTE;

pub(crate) fn name(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name)])
}

pub(crate) fn push(db: &Tsdb, samples: &[(&str, i64, f64)]) -> CommitStats {
    let mut appender = db.appender(None);
    for (series, time, value) in samples {
        let series = appender.series(&name(series));
        appender.append(series, BEGIN + time, *value);
    }
    let stats = appender.commit(CommitMode::Each).expect("commit");
    assert_eq!(stats.committed, samples.len(), "{stats:?}");
    stats
}

/// Times after [`BEGIN`] and values of a series.
pub(crate) fn read(db: &Tsdb, series: &str) -> Vec<(i64, f64)> {
    let matchers = [Matcher::equal("__name__", series)];
    let querier = db.querier(TimeRange::ALL).expect("querier");
    let set = querier.select(&SelectRequest::new(&matchers, TimeRange::ALL)).expect("select");
    let mut samples = Samples::new();
    let mut out = Vec::new();
    for index in 0..set.len() {
        set.read(index, TimeRange::ALL, &mut samples).expect("read");
        out.extend(samples.iter().map(|(time, value)| (time - BEGIN, value)));
    }
    out
}

/// Has the current file of the log end with the next commit.
fn fill_segment(db: &Tsdb, time: i64) {
    let fillers: Vec<String> = (0..300).map(|n| format!("filler_of_the_log_{time}_{n}")).collect();
    push(db, &fillers.iter().map(|series| (series.as_str(), time, 0.5)).collect::<Vec<_>>());
}

/// The directory as a kill at this moment leaves it, opened.
pub(crate) fn killed(dir: &Path) -> (tempfile::TempDir, Tsdb) {
    let copy = tempfile::tempdir().expect("dir");
    copy_dir(dir, &copy.path().join("data"));
    let db = open(&copy.path().join("data"));
    (copy, db)
}

#[test]
fn a_series_made_after_a_restart_gets_nothing_of_one_that_left() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    push(&db, &[("stays", 0, 1.0), ("gone", 0, 1.0)]);
    fill_segment(&db, 1);
    // What this file has of the series that leaves outlives the definition of that series.
    push(&db, &[("gone", 10_000, 1.0), ("stays", 10_000, 2.0)]);
    push(&db, &[("gone", 5000, 555.0)]);
    let mut appender = db.appender(None);
    let gone = appender.series(&name("gone"));
    let labels = Labels::from_pairs([("trace", "of the one that left")]);
    appender.append_exemplar(gone, Exemplar { labels, value: 1.0, timestamp: BEGIN + 10_000 }, true);
    assert_eq!(appender.commit(CommitMode::Each).expect("commit").exemplars.committed, 1);
    push(&db, &[("stays", 20 * MINUTE, 3.0)]);
    db.maintain().expect("maintain");
    push(&db, &[("stays", 40 * MINUTE, 3.0)]);
    db.close().expect("close");
    drop(db);

    let db = open(dir.path());
    push(&db, &[("new", 40 * MINUTE + 1, 7.0)]);
    db.maintain().expect("maintain");
    db.close().expect("close");
    drop(db);

    let db = open(dir.path());
    assert_eq!(read(&db, "new"), [(40 * MINUTE + 1, 7.0)]);
    let exemplars = db
        .exemplars(&[vec![Matcher::equal("__name__", "new")]], TimeRange::ALL, Watch::NONE)
        .expect("exemplars");
    assert_eq!(exemplars.series.len(), 0, "{:?}", exemplars.series);
    assert_eq!(read(&db, "gone"), [(0, 1.0), (5000, 555.0), (10_000, 1.0)]);
}

pub(crate) struct Imported(pub(crate) Vec<(i64, f64)>);

impl SeriesSet for Imported {
    fn len(&self) -> usize {
        1
    }

    fn labels(&self, _: usize) -> Labels {
        name("imported")
    }

    fn read(&self, _: usize, range: TimeRange, out: &mut Samples) -> Result<(), StorageError> {
        out.clear();
        self.0
            .iter()
            .filter(|(time, _)| range.contains(*time))
            .for_each(|(time, value)| out.push(*time, *value));
        Ok(())
    }
}

pub(crate) fn imported() -> Imported {
    Imported((0..100).map(|n| (BEGIN + 100 * MINUTE + n * 1000, 4.0)).collect())
}

pub(crate) fn none() -> Vec<(Labels, Vec<Exemplar>)> {
    Vec::new()
}

#[test]
fn an_import_that_is_killed_leaves_nothing_and_takes_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    (0..30).for_each(|n| {
        push(&db, &[("own", n * 1000, 1.0)]);
    });
    let mut import = db.import().expect("import");
    let (start, end) = (BEGIN + 90 * MINUTE, BEGIN + 110 * MINUTE);
    assert!(import.write(&imported(), &none(), start, end).expect("write").is_some());
    let (copy, after) = killed(dir.path());
    assert_eq!(read(&after, "own").len(), 30, "acknowledged samples");
    assert_eq!(read(&after, "imported"), [], "a part of an import");
    assert_eq!(std::fs::read_dir(copy.path().join("data/blocks")).expect("folder").count(), 0);
}

#[test]
fn a_catalog_that_is_lost_invents_no_beginning_of_the_head() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    (0..30).for_each(|n| {
        push(&db, &[("own", n * 1000, 1.0)]);
    });
    let mut import = db.import().expect("import");
    let (start, end) = (BEGIN + 90 * MINUTE, BEGIN + 110 * MINUTE);
    assert!(import.write(&imported(), &none(), start, end).expect("write").is_some());
    import.publish().expect("publish");
    db.close().expect("close");
    drop(db);
    for damage in ["", "damaged"] {
        let copy = tempfile::tempdir().expect("dir");
        let data = copy.path().join("data");
        copy_dir(dir.path(), &data);
        for file in ["catalog", "catalog.copy"] {
            let _ = std::fs::remove_file(data.join(file));
            if !damage.is_empty() {
                std::fs::write(data.join(file), damage).expect("write");
            }
        }
        let db = open(&data);
        assert_eq!(read(&db, "own").len(), 30, "{damage}");
        assert_eq!(read(&db, "imported").len(), 100, "{damage}");
        push(&db, &[("own", 31_000, 2.0)]);
        db.maintain().expect("maintain");
        drop(db);
        let db = open(&data);
        assert_eq!(read(&db, "own").len(), 31, "{damage}");
    }
}

pub(crate) fn blocks_on_disk(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("blocks")).expect("folder").count()
}

#[test]
fn blocks_do_not_pile_up_while_the_catalog_cannot_be_saved() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    (0..300).for_each(|n| {
        push(&db, &[("own", n * 1000, 1.0)]);
    });
    // Nobody can write a file where a folder is.
    let obstacle = dir.path().join("catalog.tmp");
    std::fs::create_dir(&obstacle).expect("folder");
    for _ in 0..4 {
        let error = db.maintain().expect_err("the catalog cannot be saved").to_string();
        assert!(error.contains("catalog.tmp"), "{error}");
    }
    assert!(blocks_on_disk(dir.path()) <= 1, "{} blocks", blocks_on_disk(dir.path()));
    // A kill now must not let go of anything either.
    let (_copy, after) = killed(dir.path());
    assert_eq!(read(&after, "own").len(), 300);
    std::fs::remove_dir(&obstacle).expect("remove");
    db.maintain().expect("maintain");
    assert_eq!(blocks_on_disk(dir.path()), db.status().blocks.len());
    assert_eq!(read(&db, "own").len(), 300);
}

#[test]
fn what_was_set_aside_does_not_count_as_log() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    (0..300).for_each(|n| {
        push(&db, &[("own", n * 1000, 1.0)]);
    });
    db.maintain().expect("maintain");
    std::fs::write(dir.path().join("wal/damaged-00000001-0"), vec![0; 8 << 20]).expect("write");
    db.set_limits(emberkeep::tsdb::Limits { retention_bytes: 4 << 20, ..db.limits() }).expect("limits");
    db.maintain().expect("maintain");
    assert_eq!(read(&db, "own").len(), 300, "blocks were pushed out by a file nobody needs");
}

fn histogram(counts: &[f64]) -> Arc<Histogram> {
    let length = u32::try_from(counts.len()).expect("few");
    let positive = Buckets { spans: vec![Span { offset: 0, length }], counts: counts.to_vec() };
    Arc::new(Histogram { count: counts.iter().sum(), sum: 10.0, positive, ..Histogram::default() })
}

#[test]
fn histograms_are_repeated_only_when_all_of_them_is() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    let commit = |histograms: &[Arc<Histogram>], floats: &[f64], time: i64| {
        let mut appender = db.appender(None);
        let series = appender.series(&name("h"));
        floats.iter().for_each(|value| appender.append(series, BEGIN + time, *value));
        histograms.iter().for_each(|h| appender.append_histogram(series, BEGIN + time, Arc::clone(h)));
        let stats = appender.commit(CommitMode::Each).expect("commit");
        (stats.committed, stats.repeated, stats.duplicate)
    };
    let (one, other) = (histogram(&[3.0, 7.0]), histogram(&[7.0, 3.0]));
    assert_eq!(commit(&[Arc::clone(&one)], &[], 0), (1, 0, 0));
    assert_eq!(commit(&[Arc::clone(&one)], &[], 0), (0, 1, 0));
    assert_eq!(commit(&[Arc::clone(&other)], &[], 0), (0, 0, 1), "other buckets");
    assert_eq!(commit(&[], &[10.0], 0), (0, 0, 1), "a float of the same bits as the sum");
    assert_eq!(
        commit(&[Arc::clone(&one), Arc::clone(&one), Arc::clone(&other)], &[], 1),
        (1, 1, 1),
        "in one commit"
    );
    assert_eq!(commit(&[], &[10.0], 2), (1, 0, 0));
    assert_eq!(
        commit(&[Arc::clone(&one)], &[], 2),
        (0, 0, 1),
        "a histogram whose sum has the bits of the float"
    );
    // As many as make a chunk of their own.
    (3..200).for_each(|time| assert_eq!(commit(&[Arc::clone(&one)], &[], time), (1, 0, 0)));
    (122..124).for_each(|_| assert_eq!(commit(&[Arc::clone(&one)], &[], 199), (0, 1, 0)));
    assert_eq!(commit(&[other], &[], 199), (0, 0, 1));
}

#[test]
fn a_series_that_was_deleted_and_cut_is_no_damage_at_the_next_start() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    let both = |second: i64| {
        push(&db, &[("deleted", second * 1000, 1.0), ("stays", second * 1000, 1.0)]);
    };
    (0..50).for_each(both);
    // The file with the definition of the series goes, the one with its newest samples stays.
    fill_segment(&db, 50_000);
    (60..95).for_each(both);
    db.delete(&[vec![Matcher::equal("__name__", "deleted")]], TimeRange::ALL).expect("delete");
    db.maintain().expect("maintain");
    db.close().expect("close");
    drop(db);
    let db = open(dir.path());
    assert_eq!((db.status().lost_samples, db.status().corruptions), (0, 0));
    assert_eq!((read(&db, "deleted").len(), read(&db, "stays").len()), (0, 85));
}

#[test]
fn an_older_copy_of_the_catalog_is_made_good_at_the_start() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    (0..95).for_each(|second| {
        push(&db, &[("own", second * 1000, 1.0)]);
    });
    db.maintain().expect("maintain");
    let older = std::fs::read(dir.path().join("catalog.copy")).expect("read");
    (95..800).for_each(|second| {
        push(&db, &[("own", second * 1000, 1.0)]);
    });
    db.maintain().expect("maintain");
    db.close().expect("close");
    drop(db);
    // As if the process had ended between the two files; then the newer one is damaged.
    std::fs::write(dir.path().join("catalog.copy"), older).expect("write");
    open(dir.path()).close().expect("close");
    std::fs::write(dir.path().join("catalog"), "damaged").expect("write");
    let db = open(dir.path());
    assert_eq!(db.status().missing.len(), 0);
    assert_eq!(read(&db, "own").len(), 800);
}

#[test]
fn what_is_deleted_while_the_catalog_is_in_doubt_stays_deleted() {
    let everything = || [vec![Matcher::equal("__name__", "own")]];
    for (cut, obstacle) in [
        (true, "catalog.copy.tmp"),
        (false, "catalog.copy.tmp"),
        (false, "tombstones.tmp"),
        (false, "tombstones.copy.tmp"),
    ] {
        let what = format!("{obstacle}, {}", if cut { "cut" } else { "merge" });
        let dir = tempfile::tempdir().expect("dir");
        let db = open(dir.path());
        (0..95).for_each(|second| {
            push(&db, &[("own", second * 1000, 1.0), ("other", second * 1000, 1.0)]);
        });
        if !cut {
            db.maintain().expect("maintain");
            // What was deleted before is not back either.
            db.delete(&[vec![Matcher::equal("__name__", "other")]], TimeRange::ALL).expect("delete");
            (95..800).for_each(|second| {
                push(&db, &[("own", second * 1000, 1.0)]);
            });
        }
        let obstacle = dir.path().join(obstacle);
        std::fs::create_dir(&obstacle).expect("folder");
        let _ = db.maintain();
        std::fs::remove_dir(&obstacle).expect("remove");
        db.delete(&everything(), TimeRange::ALL).expect("delete");
        push(&db, &[("last", 800_000, 1.0)]);
        let (_copy, after) = killed(dir.path());
        assert_eq!(read(&after, "own"), [], "{what}");
        assert_eq!(read(&after, "other").len(), if cut { 95 } else { 0 }, "{what}");
        assert_eq!(read(&after, "last").len(), 1, "{what}");
    }
}

#[test]
fn an_import_that_failed_is_not_there_later() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    push(&db, &[("own", 0, 1.0)]);
    let mut import = db.import().expect("import");
    let (start, end) = (BEGIN + 90 * MINUTE, BEGIN + 110 * MINUTE);
    import.write(&imported(), &none(), start, end).expect("write");
    let obstacles = ["catalog.copy.tmp", "tombstones.tmp"].map(|name| dir.path().join(name));
    obstacles.iter().for_each(|path| std::fs::create_dir(path).expect("folder"));
    import.publish().expect_err("the catalog cannot be saved");
    obstacles.iter().for_each(|path| std::fs::remove_dir(path).expect("remove"));
    let (_copy, after) = killed(dir.path());
    assert_eq!((read(&after, "imported").len(), read(&after, "own").len()), (0, 1));
}

#[test]
fn an_import_that_would_lose_samples_is_none() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    struct Wide;
    impl SeriesSet for Wide {
        fn len(&self) -> usize {
            1
        }

        fn labels(&self, _: usize) -> Labels {
            name("imported")
        }

        fn read(&self, _: usize, _: TimeRange, out: &mut Samples) -> Result<(), StorageError> {
            let counts: Vec<f64> =
                (0..400_000u32).map(|n| f64::from(n.wrapping_mul(2_654_435_761)).sqrt()).collect();
            out.clear();
            out.push_histogram(BEGIN, histogram(&counts));
            out.push(BEGIN + 1000, 1.0);
            Ok(())
        }
    }
    let mut import = db.import().expect("import");
    import.write(&Wide, &none(), BEGIN, BEGIN + MINUTE).expect("write");
    let error = import.publish().expect_err("a sample is missing").to_string();
    assert!(error.contains("1 samples cannot be stored"), "{error}");
    assert_eq!(db.status().blocks.len(), 0);
}

#[test]
fn late_samples_of_a_series_that_leaves_before_the_first_commit_stay_deleted() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    push(&db, &[("stays", 0, 1.0)]);
    fill_segment(&db, 1);
    push(&db, &[("gone", 10_000, 1.0), ("stays", 10_000, 2.0)]);
    push(&db, &[("gone", 5000, 555.0)]);
    push(&db, &[("stays", 20 * MINUTE, 3.0)]);
    db.close().expect("close");
    drop(db);
    let db = open(dir.path());
    db.maintain().expect("maintain");
    assert_eq!(read(&db, "gone").len(), 2);
    db.delete(&[vec![Matcher::equal("__name__", "gone")]], TimeRange::ALL).expect("delete");
    assert_eq!(read(&db, "gone"), []);
    db.close().expect("close");
    drop(db);
    assert_eq!(read(&open(dir.path()), "gone"), []);
}

#[test]
fn what_a_newer_version_wrote_is_refused_as_it_is() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    (0..300).for_each(|second| {
        push(&db, &[("own", second * 1000, 1.0)]);
    });
    db.maintain().expect("maintain");
    db.delete(&[vec![Matcher::equal("__name__", "own")]], TimeRange::new(BEGIN, BEGIN + 3000))
        .expect("delete");
    db.close().expect("close");
    drop(db);
    let log = std::fs::read_dir(dir.path().join("wal")).expect("folder").map(|entry| entry.expect("entry"));
    let names = log.map(|file| file.file_name().to_string_lossy().into_owned());
    let newest = names.filter(|name| name.starts_with('0')).max().expect("a file of the log");
    // The version stands behind the magic.
    for (files, at) in [
        (vec![PathBuf::from("catalog"), PathBuf::from("catalog.copy")], 4),
        (vec![PathBuf::from("tombstones"), PathBuf::from("tombstones.copy")], 4),
        (vec![PathBuf::from("wal/position"), Path::new("wal").join(newest)], 4),
    ] {
        let copy = tempfile::tempdir().expect("dir");
        let data = copy.path().join("data");
        copy_dir(dir.path(), &data);
        for file in &files {
            let path = data.join(file);
            let mut bytes = std::fs::read(&path).expect("read");
            // Segments have a longer magic.
            let at = at + usize::from(bytes.starts_with(b"EKWAL"));
            bytes[at] = 99;
            std::fs::write(&path, bytes).expect("write");
        }
        let content =
            || files.iter().map(|file| std::fs::read(data.join(file)).expect("read")).collect::<Vec<_>>();
        let before = content();
        let Err(error) = try_open(&options(&data)) else { panic!("{files:?}: it opens") };
        let error = error.to_string();
        assert!(error.contains("newer version") && error.contains("99"), "{error}");
        assert!(content() == before, "{files:?}");
        let aside = data.join("wal").read_dir().expect("folder").chain(data.read_dir().expect("folder"));
        let names = aside.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned());
        let aside: Vec<String> =
            names.filter(|name| name.contains("damaged") || name.contains("corrupt")).collect();
        assert!(aside.is_empty(), "{aside:?}");
        // One of the two alone is damage, which keeps no server down.
        let path = data.join(&files[0]);
        let mut bytes = std::fs::read(&path).expect("read");
        bytes[at] = std::fs::read(dir.path().join(&files[0])).expect("read")[at];
        std::fs::write(&path, bytes).expect("write");
        assert!(read(&open(&data), "own").len() > 100, "{files:?}");
    }
}

#[test]
fn an_older_copy_of_the_tombstones_is_made_good_at_the_start() {
    let dir = tempfile::tempdir().expect("dir");
    let db = open(dir.path());
    (0..95).for_each(|second| {
        push(&db, &[("own", second * 1000, 1.0), ("other", second * 1000, 1.0)]);
    });
    db.maintain().expect("maintain");
    let delete = |series: &str| {
        db.delete(&[vec![Matcher::equal("__name__", series)]], TimeRange::ALL).expect("delete");
    };
    delete("own");
    let older = std::fs::read(dir.path().join("tombstones.copy")).expect("read");
    delete("other");
    db.close().expect("close");
    drop(db);
    // As if the process had ended between the two files; then the newer one is damaged.
    std::fs::write(dir.path().join("tombstones.copy"), older).expect("write");
    open(dir.path()).close().expect("close");
    std::fs::write(dir.path().join("tombstones"), "damaged").expect("write");
    let db = open(dir.path());
    assert_eq!((read(&db, "own").len(), read(&db, "other").len()), (0, 0));
}
