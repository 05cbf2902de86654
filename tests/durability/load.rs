//! Several threads at work on one database: writers, maintenance, deletions, snapshots.

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use emberkeep::model::{Matcher, TimeRange};
use emberkeep::tsdb::{CommitMode, CommitStats, Error, Tsdb};

use crate::MINUTE;
use crate::model::{Event, STEP, labels, samples_of, value};
use crate::support::Random;

pub(crate) const WRITERS: u64 = 2;
/// Deletions keep this far behind the writers: no commit under way can have samples there.
pub(crate) const SETTLED: i64 = 3 * MINUTE;

/// Work on one database until `stop` is set.
pub(crate) struct Load<'a> {
    pub(crate) db: &'a Tsdb,
    /// Time of the next commit.
    pub(crate) clock: AtomicI64,
    /// The clock after the last round of maintenance.
    maintained: AtomicI64,
    /// Oldest time there is.
    pub(crate) begin: i64,
    /// Acknowledged commits.
    pub(crate) commits: AtomicU64,
    pub(crate) stop: AtomicBool,
    /// Is told everything, in an order in which it can have happened.
    pub(crate) tell: &'a (dyn Fn(Event) + Sync),
    /// Shared by commits; alone, a thread knows that none is under way.
    gate: RwLock<()>,
}

/// Ends the load when it is dropped: whoever fails ends the others.
pub(crate) struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'a> Load<'a> {
    pub(crate) fn new(db: &'a Tsdb, begin: i64, next: i64, tell: &'a (dyn Fn(Event) + Sync)) -> Self {
        Self {
            db,
            clock: AtomicI64::new(next),
            maintained: AtomicI64::new(next),
            begin,
            commits: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            tell,
            gate: RwLock::default(),
        }
    }

    /// To be held by every thread while it works.
    pub(crate) fn ends(&self) -> Ends<'_> {
        Ends(&self.stop)
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether maintenance has much to do: writers wait then, so that blocks are cut all the time.
    fn is_far_ahead(&self) -> bool {
        self.clock.load(Ordering::Relaxed) > self.maintained.load(Ordering::Relaxed) + 4 * MINUTE
    }

    /// Commits of writer `writer`; errors other than a full disk are failures.
    pub(crate) fn write(&self, writer: u64) {
        let _ends = self.ends();
        let timeline = self.db.create_timeline();
        while !self.stopped() {
            if self.is_far_ahead() {
                std::thread::sleep(std::time::Duration::from_millis(1));
                continue;
            }
            let _gate = self.gate.read().expect("gate");
            let time = self.clock.fetch_add(STEP, Ordering::Relaxed);
            (self.tell)(Event::Begin { writer, time });
            let mut appender = self.db.appender(Some(timeline));
            for (key, time) in samples_of(writer, time) {
                let series = appender.series(&labels(key));
                appender.append(series, time, value(key, time));
            }
            match appender.commit(CommitMode::Whole) {
                Ok(CommitStats { first_refused: None, .. }) => {
                    self.commits.fetch_add(1, Ordering::Relaxed);
                    (self.tell)(Event::Done { writer, time });
                }
                Ok(_) | Err(Error::DiskFull { .. }) => (self.tell)(Event::Refused { writer, time }),
                Err(error) => panic!("commit: {error}"),
            }
        }
    }

    /// Maintenance, deletions and snapshots in random order; each snapshot is handed to `look` and then removed.
    pub(crate) fn administer(
        &self,
        mut random: Random,
        dir: &std::path::Path,
        look: impl Fn(&std::path::Path),
    ) {
        let _ends = self.ends();
        for turn in 1.. {
            if self.stopped() {
                return;
            }
            match if turn % 6 == 0 { 18 } else { random.below(18) } {
                0..8 => {
                    self.db.maintain().expect("maintain");
                    self.maintained.store(self.clock.load(Ordering::Relaxed), Ordering::Relaxed);
                }
                8..15 => self.delete(&mut random),
                15..18 => {
                    self.db.clean_tombstones().expect("clean");
                }
                18 => {
                    let name = self.db.snapshot(false).expect("snapshot");
                    let path = dir.join("snapshots").join(name);
                    look(&path);
                    std::fs::remove_dir_all(&path).expect("remove");
                }
                _ => std::thread::yield_now(),
            }
        }
    }

    /// Deletes a random range of one series of every writer.
    fn delete(&self, random: &mut Random) {
        let newest = self.clock.load(Ordering::Relaxed) - SETTLED;
        drop(self.gate.write().expect("gate"));
        let span = (newest - self.begin).max(1).cast_unsigned();
        let start = self.begin + i64::try_from(random.below(span)).expect("small");
        let end = (start + i64::try_from(random.below(90_000)).expect("small")).min(newest);
        if end < start {
            return;
        }
        let number = random.below(crate::model::SERIES);
        (self.tell)(Event::Delete { number, start, end });
        let selector = vec![Matcher::equal("number", number.to_string())];
        self.db.delete(&[selector], TimeRange::new(start, end)).expect("delete");
        (self.tell)(Event::Deleted { number, start, end });
    }
}
