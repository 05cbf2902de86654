//! The process killed, and the power cut, at every named point of a database under extreme input.
//!
//! At a point the directory is copied as a kill or a power cut leaves it, the copy is opened, and what it holds is held
//! against a model: everything acknowledged, nothing twice, nothing half. `EMBERKEEP_DEATHS` says how many deaths
//! there are (100).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Once};

use emberkeep::model::{Exemplar, Labels, Matcher, Samples, TimeRange};
use emberkeep::storage::{Queryable as _, SelectRequest, SeriesSet, StorageError};
use emberkeep::tsdb::points::{self, Point, Step, Watch};
use emberkeep::tsdb::{CommitMode, SyncPolicy, Tsdb, TsdbOptions};

use crate::extreme::{self, Content, Series, Value};
use crate::image::Durable;
use crate::support::Random;
use crate::support::files::copy_dir;
use crate::{MINUTE, open_with, options, try_open};

type AtPoint = Rc<dyn Fn(Point)>;
type AtStep = Rc<dyn Fn(Step, &Path)>;

thread_local! {
    static AT_POINT: RefCell<Option<AtPoint>> = const { RefCell::new(None) };
    static AT_STEP: RefCell<Option<AtStep>> = const { RefCell::new(None) };
}

/// Hands everything to the test on whose thread it happens.
struct PerThread;

impl Watch for PerThread {
    fn reached(&self, point: Point) {
        let hook = AT_POINT.with_borrow(Option::clone);
        hook.into_iter().for_each(|hook| hook(point));
    }

    fn done(&self, step: Step, path: &Path) {
        let hook = AT_STEP.with_borrow(Option::clone);
        hook.into_iter().for_each(|hook| hook(step, path));
    }
}

/// Has `at_point` called at the points that this thread reaches, and `at_step` with what it does to files.
pub(crate) fn watch(at_point: impl Fn(Point) + 'static, at_step: impl Fn(Step, &Path) + 'static) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| points::watch(PerThread));
    AT_POINT.set(Some(Rc::new(at_point)));
    AT_STEP.set(Some(Rc::new(at_step)));
}

/// Runs `work` without being told of what it does.
fn unwatched<T>(work: impl FnOnce() -> T) -> T {
    let (point, step) = (AT_POINT.take(), AT_STEP.take());
    let out = work();
    AT_POINT.set(point);
    AT_STEP.set(step);
    out
}

fn tiny(dir: &Path) -> TsdbOptions {
    TsdbOptions { sync: SyncPolicy::Always, segment_bytes: 96 << 10, ..options(dir) }
}

/// What goes on when the process dies: it may have happened or not.
#[derive(Default)]
enum UnderWay {
    #[default]
    Nothing,
    /// All of it or nothing.
    Adding(Content),
    /// Any part of it.
    Deleting { series: usize, range: TimeRange },
}

/// A database being written to, and what it must hold.
struct Life {
    db: Option<Tsdb>,
    series: Vec<Series>,
    content: Content,
    under_way: UnderWay,
    now: i64,
}

impl Life {
    /// Holds what `db` has against the model.
    fn check(&self, db: &Tsdb, what: &str) {
        let found = extreme::read(db, &self.series).unwrap_or_else(|error| panic!("{what}: {error}"));
        let mut extra = 0;
        let nothing = Content::new();
        let adding = if let UnderWay::Adding(adding) = &self.under_way { adding } else { &nothing };
        for (key, value) in &found {
            let at = format!("{what}: series {} at {}", key.0, key.1);
            match (self.content.get(key), adding.get(key)) {
                (Some(known), _) => assert!(known == value, "{at}: another value: {value:?}"),
                (None, Some(known)) => {
                    assert!(known == value, "{at}: another value");
                    extra += 1;
                }
                (None, None) => panic!("{at}: a sample that nobody wrote, or that was deleted"),
            }
        }
        let new = adding.keys().filter(|key| !self.content.contains_key(*key)).count();
        assert!(extra == 0 || extra == new, "{what}: {extra} of {new} samples of what was under way");
        let may_be_gone = |(number, time): &(usize, i64)| match &self.under_way {
            UnderWay::Deleting { series, range } => series == number && range.contains(*time),
            _ => false,
        };
        let lost: Vec<_> =
            self.content.keys().filter(|key| !found.contains_key(*key) && !may_be_gone(key)).collect();
        assert!(lost.is_empty(), "{what}: {} samples are lost, the first {:?}", lost.len(), lost[0]);
    }

    /// What a death at this moment leaves: opened, checked, used and opened again.
    fn die(&self, dir: &Path, durable: &Durable, power: bool, what: &str) {
        let copy = tempfile::tempdir().expect("dir");
        let data = copy.path().join("data");
        if power {
            durable.after_power_cut(&data);
        } else {
            copy_dir(dir, &data);
        }
        unwatched(|| {
            for round in ["first", "second"] {
                let what = format!("{what}, {round} start");
                let db = try_open(&tiny(&data)).unwrap_or_else(|error| panic!("{what}: {error}"));
                let status = db.status();
                assert_eq!(
                    (status.missing.len(), status.corruptions),
                    (0, 0),
                    "{what}: {:?}",
                    db.log_damage()
                );
                self.check(&db, &what);
                for block in &status.blocks {
                    let verified = db.verify_block(block).unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert_eq!(verified, block.samples, "{what}");
                }
                let mut appender = db.appender(None);
                let series = appender.series(&Labels::from_pairs([("__name__", "extreme"), ("plain", "0")]));
                appender.append(series, self.now + MINUTE, 1.0);
                let stats =
                    appender.commit(CommitMode::Each).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(stats.committed + stats.repeated, 1, "{what}: {stats:?}");
                db.delete(
                    &[vec![Matcher::equal("plain", "0")]],
                    TimeRange::new(self.now + MINUTE, self.now + MINUTE),
                )
                .unwrap_or_else(|error| panic!("{what}: {error}"));
                db.maintain().unwrap_or_else(|error| panic!("{what}: {error}"));
                self.check(&db, &format!("{what}, after maintenance"));
            }
        });
    }
}

/// What is done to the database next.
fn act(life: &Rc<RefCell<Life>>, random: &mut Random, dir: &Path) {
    let db = life.borrow_mut().db.take().expect("open");
    match random.below(20) {
        0..10 => commit(&db, life, random),
        10..12 => refuse(&db, random),
        12..15 => db.maintain().expect("maintain"),
        15..17 => delete(&db, life, random),
        17 => {
            db.clean_tombstones().expect("clean");
        }
        18 => {
            let name = db.snapshot(false).expect("snapshot");
            let path = dir.join("snapshots").join(name);
            unwatched(|| {
                let copy = try_open(&tiny(&path)).expect("open the snapshot");
                life.borrow().check(&copy, "snapshot");
            });
            std::fs::remove_dir_all(&path).expect("remove");
        }
        _ => import(&db, life, random),
    }
    // Sometimes it is started again.
    let db = if random.below(12) == 0 {
        if random.below(2) == 0 {
            db.close().expect("close");
        }
        drop(db);
        open_with(&tiny(dir))
    } else {
        db
    };
    let mut life = life.borrow_mut();
    life.check(&db, "live");
    life.db = Some(db);
}

/// A commit of some samples of some series, in order, and of some late ones.
fn commit(db: &Tsdb, life: &Rc<RefCell<Life>>, random: &mut Random) {
    let mut new = Content::new();
    let mut appender = db.appender(None);
    {
        let mut life = life.borrow_mut();
        // Mostly seconds; now and then hours, once in a while years.
        life.now += match random.below(40) {
            0 => 400 * 24 * 60 * MINUTE,
            1 => 5 * 60 * MINUTE,
            _ => 1 + i64::try_from(random.below(25_000)).expect("small"),
        };
        let first = usize::try_from(random.below(life.series.len() as u64)).expect("small");
        for number in (first..life.series.len()).take(12) {
            let Series { labels, histograms } = &life.series[number];
            let reference = appender.series(labels);
            for step in 0..=random.below(3) {
                let time = life.now + i64::try_from(step).expect("small");
                match extreme::value(random, *histograms) {
                    Value::Float(value) => {
                        appender.append(reference, time, value);
                        new.insert((number, time), Value::Float(value));
                    }
                    Value::Histogram(value) => {
                        appender.append_histogram(reference, time, Arc::clone(&value));
                        new.insert((number, time), Value::Histogram(value));
                    }
                }
            }
            // Odd, and a time that no other commit has.
            let late = life.now - 2 * MINUTE + 7;
            let newest = life.content.range((number, i64::MIN)..=(number, i64::MAX)).next_back();
            let behind = newest.is_some_and(|((_, newest), _)| *newest > late && *newest < late + 3 * MINUTE);
            if !histograms && behind && !life.content.contains_key(&(number, late)) {
                appender.append(reference, late, 0.25);
                new.insert((number, late), Value::Float(0.25));
            }
        }
        life.now += 3;
        life.under_way = UnderWay::Adding(new.clone());
    }
    let stats = appender.commit(CommitMode::Each).expect("commit");
    assert_eq!((stats.committed, stats.first_refused), (new.len(), None), "{stats:?}");
    let mut life = life.borrow_mut();
    life.content.append(&mut new);
    life.under_way = UnderWay::Nothing;
}

/// What is over the bounds is refused, and nothing else with it.
fn refuse(db: &Tsdb, random: &mut Random) {
    let mut appender = db.appender(None);
    let series = appender.series(&extreme::labels_over_the_bounds(random));
    appender.append(series, 0, 1.0);
    let series = appender.series(&Labels::from_pairs([("__name__", "extreme"), ("histogram", "0")]));
    appender.append_histogram(series, i64::MAX / 4, Arc::new(extreme::histogram_over_the_bounds(random)));
    let stats = appender.commit(CommitMode::Each).expect("commit");
    assert_eq!((stats.committed, stats.too_large), (0, 2), "{stats:?}");
}

fn delete(db: &Tsdb, life: &Rc<RefCell<Life>>, random: &mut Random) {
    let (selector, number, range) = {
        let mut life = life.borrow_mut();
        let number = usize::try_from(random.below(life.series.len() as u64)).expect("small");
        let oldest = life.content.keys().map(|(_, time)| *time).min().unwrap_or(life.now);
        let span = (life.now - oldest).max(1).cast_unsigned();
        let start = oldest + i64::try_from(random.below(span)).expect("small");
        let range = TimeRange::new(start, start + i64::try_from(random.below(5 * 60_000)).expect("small"));
        life.under_way = UnderWay::Deleting { series: number, range };
        let equal = |(name, value): (&str, &str)| Matcher::equal(name, value);
        let selector: Vec<Matcher> = life.series[number].labels.iter().map(equal).collect();
        (selector, number, range)
    };
    db.delete(&[selector], range).expect("delete");
    let mut life = life.borrow_mut();
    life.content.retain(|(series, time), _| *series != number || !range.contains(*time));
    life.under_way = UnderWay::Nothing;
}

/// Samples of one series long ago, as another server's blocks bring them.
struct Old(Labels, Vec<(i64, f64)>);

impl SeriesSet for Old {
    fn len(&self) -> usize {
        1
    }

    fn labels(&self, _: usize) -> Labels {
        self.0.clone()
    }

    fn read(&self, _: usize, range: TimeRange, out: &mut Samples) -> Result<(), StorageError> {
        out.clear();
        self.1
            .iter()
            .filter(|(time, _)| range.contains(*time))
            .for_each(|(time, value)| out.push(*time, *value));
        Ok(())
    }
}

fn import(db: &Tsdb, life: &Rc<RefCell<Life>>, random: &mut Random) {
    let (set, start, mut new) = {
        let mut life = life.borrow_mut();
        let Some(number) = life.series.iter().position(|series| !series.histograms) else { return };
        let oldest = life.content.keys().map(|(_, time)| *time).min().unwrap_or(life.now);
        let start = oldest - 10 * MINUTE;
        let samples: Vec<_> = (0..20).map(|n| (start + n * 10_000, random.below(99) as f64)).collect();
        let new: Content = samples.iter().map(|(t, v)| ((number, *t), Value::Float(*v))).collect();
        life.under_way = UnderWay::Adding(new.clone());
        (Old(life.series[number].labels.clone(), samples), start, new)
    };
    let none: Vec<(Labels, Vec<Exemplar>)> = Vec::new();
    let mut import = db.import().expect("import");
    import.write(&set, &none, start, start + MINUTE).expect("write");
    import.write(&set, &none, start + MINUTE, start + 10 * MINUTE).expect("write");
    import.publish().expect("publish");
    let mut life = life.borrow_mut();
    life.content.append(&mut new);
    life.under_way = UnderWay::Nothing;
}

/// Points that a life without damage does not reach; they have tests of their own.
const ELSEWHERE: &[Point] = &[Point::BlockSetAside];

#[test]
fn a_death_at_any_point_loses_nothing_and_invents_nothing() {
    let mut random = Random::from_env(41);
    let wanted: usize = std::env::var("EMBERKEEP_DEATHS").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let mut died: BTreeMap<Point, usize> = BTreeMap::new();
    let mut lives = 0;
    while died.values().sum::<usize>() < wanted || died.len() + ELSEWHERE.len() < Point::ALL.len() {
        assert!(lives < 40 + wanted, "not reached: {:?}", unreached(&died));
        // A few of each kind, those that were rare so far first.
        let quota = 1 + wanted / Point::ALL.len();
        died = live(&mut random, lives, quota, died);
        lives += 1;
    }
    println!("{} deaths in {lives} lives: {died:?}", died.values().sum::<usize>());
}

fn unreached(died: &BTreeMap<Point, usize>) -> BTreeSet<Point> {
    Point::ALL.iter().copied().filter(|point| !died.contains_key(point)).collect()
}

/// One directory from its beginning on; dies at points that had fewer than `quota` deaths.
fn live(
    random: &mut Random,
    number: usize,
    quota: usize,
    died: BTreeMap<Point, usize>,
) -> BTreeMap<Point, usize> {
    let dir = tempfile::tempdir().expect("dir");
    let data = dir.path().join("data");
    std::fs::create_dir(&data).expect("folder");
    let begin = [1_700_000_000_000, -5_000_000_000_000, 0, -(1 << 61)][number % 4];
    let series = extreme::series(random, number % 8 == 3);
    let life = Rc::new(RefCell::new(Life {
        db: None,
        series,
        content: Content::new(),
        under_way: UnderWay::Nothing,
        now: begin,
    }));
    let durable = Rc::new(RefCell::new(Durable::new(&data)));
    let died = Rc::new(RefCell::new(died));
    let choice = Rc::new(RefCell::new(random.clone()));
    random.next();
    let (at_point, at_step) = {
        let (life, durable, died, data) =
            (Rc::clone(&life), Rc::clone(&durable), Rc::clone(&died), data.clone());
        let followed = Rc::clone(&durable);
        let at_point = move |point: Point| {
            let before = died.borrow().get(&point).copied().unwrap_or(0);
            // Not always at the first of a kind.
            if before >= quota + number || choice.borrow_mut().below(3) == 0 {
                return;
            }
            // Before the first is acknowledged there is nothing to lose.
            let Ok(life) = life.try_borrow() else { return };
            *died.borrow_mut().entry(point).or_insert(0) += 1;
            let power = (before + number).is_multiple_of(2);
            let what = format!("life {number}, {} at {point:?}", if power { "power cut" } else { "kill" });
            life.die(&data, &durable.borrow(), power, &what);
        };
        (at_point, move |step: Step, path: &Path| followed.borrow_mut().follow(step, path))
    };
    watch(at_point, at_step);
    life.borrow_mut().db = Some(unwatched_points(|| try_open(&tiny(&data)).expect("open")));
    for _ in 0..60 {
        act(&life, random, &data);
    }
    AT_POINT.set(None);
    AT_STEP.set(None);
    died.take()
}

/// Runs `work` and follows its steps, but does not die meanwhile.
fn unwatched_points<T>(work: impl FnOnce() -> T) -> T {
    let point = AT_POINT.take();
    let out = work();
    AT_POINT.set(point);
    out
}

#[test]
fn a_damaged_block_is_kept_whenever_the_process_dies() {
    let dir = tempfile::tempdir().expect("dir");
    let db = try_open(&tiny(dir.path())).expect("open");
    for n in 0..200 {
        let mut appender = db.appender(None);
        let series = appender.series(&Labels::from_pairs([("__name__", "extreme")]));
        appender.append(series, n * 1000, 1.0);
        appender.commit(CommitMode::Each).expect("commit");
    }
    db.maintain().expect("maintain");
    let block = Arc::clone(&db.status().blocks[0]);
    db.close().expect("close");
    drop(db);
    let file = dir.path().join("blocks").join(block.id.as_str()).join("db");
    let mut bytes = std::fs::read(&file).expect("read");
    bytes.fill(0x55);
    std::fs::write(&file, bytes).expect("write");

    let images: Rc<RefCell<Vec<tempfile::TempDir>>> = Rc::default();
    let (taken, data) = (Rc::clone(&images), dir.path().to_owned());
    watch(
        move |point| {
            if matches!(point, Point::BlockSetAside | Point::CatalogSaved | Point::CatalogReplaced) {
                let copy = tempfile::tempdir().expect("dir");
                copy_dir(&data, &copy.path().join("data"));
                taken.borrow_mut().push(copy);
            }
        },
        |_, _| {},
    );
    let db = try_open(&tiny(dir.path())).expect("open");
    assert!(db.set_aside(&block).expect("set aside"), "the damage was not met");
    AT_POINT.set(None);
    AT_STEP.set(None);
    assert_eq!(images.borrow().len(), 3);
    for image in images.borrow().iter() {
        let data = image.path().join("data");
        let after = try_open(&tiny(&data)).expect("open");
        assert_eq!(after.status().missing.len(), 0, "it is not missing but set aside");
        assert!(data.join("blocks").join(format!("{}.corrupt", block.id)).is_dir(), "it is kept");
        let left = after.status().blocks.iter().filter(|other| other.id == block.id).count();
        assert_eq!(left, 0);
    }
}

#[test]
fn a_late_sample_that_comes_while_a_window_is_cut_survives_a_kill() {
    let dir = tempfile::tempdir().expect("dir");
    let db = Rc::new(try_open(&options(dir.path())).expect("open"));
    let named = |name: String| Labels::from_pairs([("__name__", name)]);
    let push = |db: &Tsdb, series: &[Labels], time: i64| {
        let mut appender = db.appender(None);
        for labels in series {
            let series = appender.series(labels);
            appender.append(series, time, 1.0);
        }
        assert_eq!(appender.commit(CommitMode::Each).expect("commit").committed, series.len());
    };
    let labels = named("extreme".to_owned());
    // The file of the log with the samples in order ends before the cut, and goes with it.
    (0..50).for_each(|second| push(&db, std::slice::from_ref(&labels), second * 1000));
    push(&db, &(0..300).map(|n| named(format!("filler_of_the_log_{n}"))).collect::<Vec<_>>(), 50_000);
    (60..95).for_each(|second| push(&db, &[named("other".to_owned())], second * 1000));
    let (other, series) = (Rc::clone(&db), labels.clone());
    watch(
        move |point| {
            if point == Point::BlockWritten {
                let mut appender = other.appender(None);
                let series = appender.series(&series);
                appender.append(series, 30_500, 555.0);
                assert_eq!(appender.commit(CommitMode::Each).expect("commit").committed, 1);
            }
        },
        |_, _| {},
    );
    db.maintain().expect("maintain");
    AT_POINT.set(None);
    AT_STEP.set(None);
    let copy = tempfile::tempdir().expect("dir");
    copy_dir(dir.path(), &copy.path().join("data"));
    let after = try_open(&options(&copy.path().join("data"))).expect("open");
    for db in [&*db, &after] {
        let matchers = [Matcher::equal("__name__", "extreme")];
        let querier = db.querier(TimeRange::ALL).expect("querier");
        let set = querier.select(&SelectRequest::new(&matchers, TimeRange::ALL)).expect("select");
        let mut samples = Samples::new();
        set.read(0, TimeRange::ALL, &mut samples).expect("read");
        assert_eq!(samples.len(), 51);
        assert!(samples.iter().any(|sample| sample == (30_500, 555.0)), "{:?}", samples.timestamps);
    }
}
