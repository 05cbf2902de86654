//! The head: recent samples in memory, everything of which is also in the log.
//!
//! Read `series` (one series) with `starts`, [`timeline`] (shared timestamps), `pairs` (labels and the inverted index), `table`
//! (all series), [`exemplars`] and `families` (what stands beside samples), then [`appender`] and `order` (the way in), [`read`] (the way out), [`truncate`] (what leaves once it is in a
//! block) and [`replay`] (how it comes back from the log).
//!
//! **Invariants**: a sample is applied only after the log has it; a commit is visible whole or not at all, because it
//! is applied under the exclusive side of `table` and a select copies what it needs under the shared side.
//!
//! **Locking**: `intake` (one commit, truncation or deletion at a time), then `table`, then `removed_series`. Nobody waits for the disk
//! with `table` in hand.

pub mod appender;
pub mod exemplars;
mod families;
mod intake;
mod order;
mod page;
mod pairs;
pub mod read;
mod read_exemplars;
pub mod replay;
mod series;
mod starts;
mod table;
pub mod timeline;
pub mod truncate;

use std::borrow::Cow;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};

use super::SeriesRef;
use super::changes::Changes;
use super::chunk::open::TimelineId;
use super::index::{LabelSource as _, Postings};
use crate::model::{Labels, Metadata, TimeRange};
use crate::util::lock::{read as read_lock, write as write_lock};
use intake::Intake;
pub use pairs::HeadIndex;
pub(in crate::tsdb) use read_exemplars::SeriesExemplars;
use table::Table;
use table::fingerprint;
pub(crate) use table::fingerprint_packed;

/// Totals for metrics and the status page.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeadStats {
    /// Series in memory.
    pub series: usize,
    /// Different label pairs.
    pub label_pairs: usize,
    /// Chunks in memory.
    pub chunks: usize,
    /// Oldest and newest sample in milliseconds, if there is any.
    pub time_range: Option<TimeRange>,
}

/// A series that is no longer here.
#[derive(Debug)]
struct RemovedSeries {
    reference: SeriesRef,
    labels: Labels,
    /// The file of the log that was written when it left.
    segment: u64,
}

/// Recent samples of all active series.
pub struct Head {
    intake: Mutex<Intake>,
    table: RwLock<Table>,
    /// Samples before this are in blocks already and are refused.
    min_valid: AtomicI64,
    /// Samples before this are no longer shown: their block is published, though a chunk may still hold them.
    floor: AtomicI64,
    min_time: AtomicI64,
    max_time: AtomicI64,
    /// Oldest sample that came since the last truncation began.
    oldest_since: AtomicI64,
    /// Series that left and had late samples. The log may still have those, and a deletion must reach them there.
    removed_series: Mutex<Vec<RemovedSeries>>,
    created: AtomicU64,
    removed: AtomicU64,
    changes: Changes,
}

impl Head {
    /// An empty head that takes samples from `min_valid` (milliseconds) on.
    pub fn new(min_valid: i64) -> Self {
        Self {
            intake: Mutex::default(),
            table: RwLock::default(),
            min_valid: AtomicI64::new(min_valid),
            floor: AtomicI64::new(min_valid),
            min_time: AtomicI64::new(i64::MAX),
            max_time: AtomicI64::new(i64::MIN),
            oldest_since: AtomicI64::new(i64::MAX),
            removed_series: Mutex::default(),
            created: AtomicU64::new(0),
            removed: AtomicU64::new(0),
            changes: Changes::default(),
        }
    }

    /// Oldest and newest sample, if there is any.
    pub fn time_range(&self) -> Option<TimeRange> {
        // Relaxed: the two are hints for planning; nobody reads samples on their word.
        let (start, end) = (self.min_time.load(Ordering::Relaxed), self.max_time.load(Ordering::Relaxed));
        (start <= end).then_some(TimeRange { start, end })
    }

    /// What came and went lately, here and in blocks.
    pub(in crate::tsdb) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Samples before this timestamp are refused: they belong to blocks.
    pub fn min_valid(&self) -> i64 {
        self.min_valid.load(Ordering::Acquire)
    }

    /// Series made and removed since the start.
    pub fn churn(&self) -> (u64, u64) {
        (self.created.load(Ordering::Relaxed), self.removed.load(Ordering::Relaxed))
    }

    /// Counts everything. Linear in the number of series.
    pub fn stats(&self) -> HeadStats {
        let table = read_lock(&self.table);
        HeadStats {
            series: table.len(),
            chunks: table.iter().map(series::MemSeries::chunk_count).sum(),
            label_pairs: table.pairs.len(),
            time_range: self.time_range(),
        }
    }

    /// Number of series.
    pub fn series_count(&self) -> usize {
        read_lock(&self.table).len()
    }

    /// Calls `look` with the inverted index. Commits wait meanwhile.
    pub fn with_index<T>(&self, look: impl FnOnce(HeadIndex<'_>) -> T) -> T {
        look(HeadIndex(&read_lock(&self.table).pairs))
    }

    /// Whether the series is there.
    pub fn is_known(&self, reference: SeriesRef) -> bool {
        read_lock(&self.table).get(reference).is_some()
    }

    /// How many series have all of these labels.
    pub fn series_with<'a>(&self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> u64 {
        let table = read_lock(&self.table);
        let mut all: Vec<_> =
            labels.into_iter().map(|(name, value)| table.pairs.postings(name, value)).collect();
        // The fewest first: what follows has no more than those.
        all.sort_by_key(|postings| postings.len());
        let mut all = all.into_iter();
        let Some(first) = all.next() else { return table.len() as u64 };
        let left = all.try_fold(first, |left, more| {
            let both: Postings<'_> = Cow::Owned(&*left & &*more);
            (!both.is_empty()).then_some(both)
        });
        left.map_or(0, |left| left.len())
    }

    /// A new timeline for one scraped target.
    pub fn create_timeline(&self) -> TimelineId {
        write_lock(&self.table).timelines.create()
    }

    /// The series with these labels, made if absent.
    pub(crate) fn series(&self, labels: &Labels, near: Option<SeriesRef>) -> SeriesRef {
        let fingerprint = fingerprint(labels);
        if let Some(found) = self.find(fingerprint, near) {
            return found;
        }
        let mut table = write_lock(&self.table);
        // Somebody may have made it between the two locks.
        if let Some(found) = table.find(fingerprint) {
            return found;
        }
        self.created.fetch_add(1, Ordering::Relaxed);
        table.insert(labels, fingerprint)
    }

    /// The series with this fingerprint, if there is one; likely the one made after `near`.
    pub(crate) fn find(&self, fingerprint: u128, near: Option<SeriesRef>) -> Option<SeriesRef> {
        read_lock(&self.table).find_near(fingerprint, near)
    }

    fn note_time(&self, start: i64, end: i64) {
        self.min_time.fetch_min(start, Ordering::Relaxed);
        self.oldest_since.fetch_min(start, Ordering::Relaxed);
        self.max_time.fetch_max(end, Ordering::Relaxed);
    }

    /// What is known about metric families, by name.
    pub(in crate::tsdb) fn families(&self, only: Option<&str>) -> Vec<(String, Metadata)> {
        let table = read_lock(&self.table);
        let all = &table.families.by_name;
        match only {
            Some(name) => all.get(name).map(|known| (name.to_owned(), known.clone())).into_iter().collect(),
            None => all.iter().map(|(name, known)| (name.to_string(), known.clone())).collect(),
        }
    }
}
