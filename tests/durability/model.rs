//! What must be in a database after a number of events, and what may be.

use std::collections::BTreeMap;

use emberkeep::model::{Labels, Samples, TimeRange};
use emberkeep::storage::{Queryable as _, SelectRequest, StorageError};
use emberkeep::tsdb::Tsdb;

/// Series of each writer.
pub(crate) const SERIES: u64 = 6;
/// Distance of two commits in milliseconds.
pub(crate) const STEP: i64 = 3000;
/// How far behind its commit a late sample is: odd, so that no commit has its time.
const LATE: i64 = 61_001;

/// Writer and number of a series.
pub(crate) type Key = (u64, u64);
/// Samples by series.
pub(crate) type Found = BTreeMap<Key, BTreeMap<i64, f64>>;

/// What a load does, said before or after it does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A commit is about to be made.
    Begin { writer: u64, time: i64 },
    /// It was acknowledged.
    Done { writer: u64, time: i64 },
    /// It was refused whole.
    Refused { writer: u64, time: i64 },
    /// Samples of series `number` of all writers are about to be deleted.
    Delete { number: u64, start: i64, end: i64 },
    /// They were.
    Deleted { number: u64, start: i64, end: i64 },
}

impl Event {
    pub(crate) fn to_line(self) -> String {
        match self {
            Self::Begin { writer, time } => format!("begin {writer} {time} 0"),
            Self::Done { writer, time } => format!("done {writer} {time} 0"),
            Self::Refused { writer, time } => format!("refused {writer} {time} 0"),
            Self::Delete { number, start, end } => format!("delete {number} {start} {end}"),
            Self::Deleted { number, start, end } => format!("deleted {number} {start} {end}"),
        }
    }

    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let (a, b, c) =
            (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(match kind {
            "begin" => Self::Begin { writer: a, time: b },
            "done" => Self::Done { writer: a, time: b },
            "refused" => Self::Refused { writer: a, time: b },
            "delete" => Self::Delete { number: a, start: b, end: c },
            "deleted" => Self::Deleted { number: a, start: b, end: c },
            _ => return None,
        })
    }
}

pub(crate) fn labels((writer, number): Key) -> Labels {
    Labels::from_pairs([
        ("__name__", "load".to_owned()),
        ("number", number.to_string()),
        ("writer", writer.to_string()),
    ])
}

/// The value of a sample follows from where it is, so that a wrong one shows.
pub(crate) fn value((writer, number): Key, time: i64) -> f64 {
    let mixed = (time.cast_unsigned() ^ (writer << 50)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    match number {
        0 => 5.0,
        1 => time as f64 + writer as f64,
        2 => (mixed >> 50) as f64 / 10.0,
        // A finite number of random bits.
        3 => f64::from_bits(mixed >> 2),
        _ => (time / STEP) as f64 * 3.0,
    }
}

/// The samples of one commit: one of each series, sometimes a late one too.
pub(crate) fn samples_of(writer: u64, time: i64) -> Vec<(Key, i64)> {
    let mut all: Vec<(Key, i64)> = (0..SERIES).map(|number| ((writer, number), time)).collect();
    if (time / STEP) % 5 == 0 {
        all.push(((writer, SERIES - 1), time - LATE));
    }
    all
}

/// Everything in the database.
pub(crate) fn read(db: &Tsdb) -> Result<Found, StorageError> {
    let querier = db.querier(TimeRange::ALL)?;
    let set = querier.select(&SelectRequest::new(&[], TimeRange::ALL))?;
    let mut out = Found::new();
    let mut samples = Samples::new();
    for index in 0..set.len() {
        let labels = set.labels(index);
        let number = |name: &str| labels.get(name).and_then(|v| v.parse().ok()).expect("a number");
        set.read(index, TimeRange::ALL, &mut samples)?;
        assert!(samples.timestamps.is_sorted_by(|a, b| a < b), "each timestamp once, in order");
        let before = out.insert((number("writer"), number("number")), samples.iter().collect());
        assert!(before.is_none(), "{labels} is there once");
    }
    Ok(out)
}

/// The value is the one that was written.
pub(crate) fn assert_value(key: Key, time: i64, found: f64, what: &str) {
    let expected = value(key, time);
    assert_eq!(
        found.to_bits(),
        expected.to_bits(),
        "{what}: series {key:?} at {time}: {found}, not {expected}"
    );
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Must,
    May,
}

/// What is to be found.
#[derive(Debug, Default, Clone)]
pub(crate) struct Expected {
    samples: BTreeMap<Key, BTreeMap<i64, State>>,
    /// Commits begun and neither acknowledged nor refused.
    open: Vec<(u64, i64)>,
}

impl Expected {
    pub(crate) fn take(&mut self, event: Event) {
        match event {
            Event::Begin { writer, time } => {
                self.open.push((writer, time));
                for (key, time) in samples_of(writer, time) {
                    self.samples.entry(key).or_default().entry(time).or_insert(State::May);
                }
            }
            Event::Done { writer, time } => {
                self.open.retain(|open| *open != (writer, time));
                for (key, time) in samples_of(writer, time) {
                    self.samples.entry(key).or_default().insert(time, State::Must);
                }
            }
            Event::Refused { writer, time } => {
                self.open.retain(|open| *open != (writer, time));
                for (key, time) in samples_of(writer, time) {
                    self.samples.entry(key).or_default().remove(&time);
                }
            }
            Event::Delete { number, start, end } => self.each_in(number, start, end, |samples, time| {
                samples.insert(time, State::May);
            }),
            Event::Deleted { number, start, end } => self.each_in(number, start, end, |samples, time| {
                samples.remove(&time);
            }),
        }
    }

    fn each_in(
        &mut self,
        number: u64,
        start: i64,
        end: i64,
        change: impl Fn(&mut BTreeMap<i64, State>, i64),
    ) {
        for (_, samples) in self.samples.iter_mut().filter(|(key, _)| key.1 == number) {
            let times: Vec<i64> = samples.range(start..=end).map(|(time, _)| *time).collect();
            times.into_iter().for_each(|time| change(samples, time));
        }
    }

    /// Number of samples that must be there.
    pub(crate) fn count(&self) -> usize {
        self.samples.values().flat_map(BTreeMap::values).filter(|state| **state == State::Must).count()
    }

    /// Whether `key` must or may have a sample at `time`.
    pub(crate) fn knows(&self, key: Key, time: i64) -> bool {
        self.samples.get(&key).is_some_and(|samples| samples.contains_key(&time))
    }

    /// What was acknowledged is there, what was deleted is not, values are right, commits are whole. What was found
    /// must be there from now on.
    pub(crate) fn check(&mut self, found: &Found, what: &str) {
        for (key, samples) in found {
            for (time, value) in samples {
                assert_value(*key, *time, *value, what);
                assert!(
                    self.knows(*key, *time),
                    "{what}: {key:?} at {time} was deleted or refused, and is there"
                );
            }
        }
        let has = |key: &Key, time: i64| found.get(key).is_some_and(|samples| samples.contains_key(&time));
        for (key, samples) in &self.samples {
            let missing = samples.iter().find(|(time, state)| **state == State::Must && !has(key, **time));
            assert_eq!(missing, None, "{what}: series {key:?} lost an acknowledged sample");
        }
        for (writer, time) in self.open.drain(..) {
            let there = samples_of(writer, time).iter().filter(|(key, time)| has(key, *time)).count();
            let whole = samples_of(writer, time).len();
            assert!(
                there == 0 || there == whole,
                "{what}: {there} of {whole} samples of commit {writer} {time}"
            );
        }
        let settled =
            |samples: &BTreeMap<i64, f64>| samples.keys().map(|time| (*time, State::Must)).collect();
        self.samples = found.iter().map(|(key, samples)| (*key, settled(samples))).collect();
    }
}
