//! The head: recent samples in memory, everything of which is also in the log.
//!
//! Read [`series`] (one series), [`timeline`] (shared timestamps), `table` (all series), then [`appender`] (the way
//! in), [`read`] (the way out) and [`truncate`] (what leaves once it is in a block).
//!
//! **Invariants**: a sample is applied only after the log has it; a commit is visible whole or not at all, because
//! it is applied under the shared side of `gate` and a select copies its chunk handles under the exclusive side.
//!
//! **Locking**: `gate`, then `table`, then `index`, then one series, then `timelines`, then one timeline.

pub mod appender;
pub mod read;
pub mod series;
mod table;
pub mod timeline;
pub mod truncate;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use super::SeriesRef;
use super::index::LabelIndex;
use super::record::{Record, RefSample};
use crate::model::{Labels, TimeRange};
use crate::util::lock::{read as read_lock, write as write_lock};
use series::{MemSeries, Placement};
use table::SeriesTable;
use timeline::Timelines;

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

/// Recent samples of all active series.
pub struct Head {
    gate: RwLock<()>,
    table: RwLock<SeriesTable>,
    index: RwLock<LabelIndex>,
    timelines: Timelines,
    /// Samples before this are in blocks already and are refused.
    min_valid: AtomicI64,
    /// Samples before this are no longer shown: their block is published, though a chunk may still hold them.
    floor: AtomicI64,
    min_time: AtomicI64,
    max_time: AtomicI64,
    created: AtomicU64,
    removed: AtomicU64,
}

impl Head {
    /// An empty head that takes samples from `min_valid` (milliseconds) on.
    pub fn new(min_valid: i64) -> Self {
        Self {
            gate: RwLock::new(()),
            table: RwLock::default(),
            index: RwLock::default(),
            timelines: Timelines::default(),
            min_valid: AtomicI64::new(min_valid),
            floor: AtomicI64::new(min_valid),
            min_time: AtomicI64::new(i64::MAX),
            max_time: AtomicI64::new(i64::MIN),
            created: AtomicU64::new(0),
            removed: AtomicU64::new(0),
        }
    }

    /// Oldest and newest sample, if there is any.
    pub fn time_range(&self) -> Option<TimeRange> {
        // Relaxed: the two are hints for planning; nobody reads samples on their word.
        let (start, end) = (self.min_time.load(Ordering::Relaxed), self.max_time.load(Ordering::Relaxed));
        (start <= end).then_some(TimeRange { start, end })
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
        let (series, chunks) = {
            let table = read_lock(&self.table);
            (table.len(), table.iter().map(|s| s.chunk_count()).sum())
        };
        HeadStats {
            series,
            chunks,
            label_pairs: read_lock(&self.index).pair_count(),
            time_range: self.time_range(),
        }
    }

    /// Number of series.
    pub fn series_count(&self) -> usize {
        read_lock(&self.table).len()
    }

    /// Calls `look` with the inverted index. New series wait meanwhile.
    pub fn with_index<T>(&self, look: impl FnOnce(&LabelIndex) -> T) -> T {
        look(&read_lock(&self.index))
    }

    fn get(&self, reference: SeriesRef) -> Option<Arc<MemSeries>> {
        read_lock(&self.table).get(reference).cloned()
    }

    fn get_or_create(&self, labels: &Labels) -> Arc<MemSeries> {
        if let Some(series) = read_lock(&self.table).find(labels) {
            return Arc::clone(series);
        }
        let mut table = write_lock(&self.table);
        // Somebody may have made it between the two locks.
        if let Some(series) = table.find(labels) {
            return Arc::clone(series);
        }
        let series = table.insert(labels.clone());
        write_lock(&self.index).insert(series.reference().slot(), labels);
        self.created.fetch_add(1, Ordering::Relaxed);
        series
    }

    /// Applies one record of the log. Samples of series that are not there, or that are in blocks, are left out.
    pub fn replay(&self, record: Record) {
        match record {
            Record::Series(series) => {
                let mut table = write_lock(&self.table);
                let mut index = write_lock(&self.index);
                for (reference, labels) in series {
                    let (displaced, inserted) = table.insert_at(reference, &labels);
                    if let Some(old) = displaced {
                        index.remove(reference.slot(), old.labels());
                    }
                    if inserted {
                        index.insert(reference.slot(), &labels);
                    }
                }
            }
            Record::Samples { timeline, samples } => {
                let Some(first) = samples.first().copied() else { return };
                let place = timeline.and_then(|id| self.timelines.push(id, first.timestamp));
                let table = read_lock(&self.table);
                for sample in &samples {
                    if sample.timestamp < self.min_valid() {
                        continue;
                    }
                    if let Some(series) = table.get(sample.series) {
                        series.mark_logged();
                        self.apply(series, sample, place.filter(|_| sample.timestamp == first.timestamp));
                    }
                }
            }
        }
    }

    fn apply(&self, series: &MemSeries, sample: &RefSample, place: Option<Placement>) -> bool {
        let applied = series.append(sample.timestamp, sample.value, place, &self.timelines);
        if applied {
            self.min_time.fetch_min(sample.timestamp, Ordering::Relaxed);
            self.max_time.fetch_max(sample.timestamp, Ordering::Relaxed);
        }
        applied
    }
}
