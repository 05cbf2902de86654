//! The way out: handles to the chunks of the series that match, as they are at one moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Head;
use super::series::{ChunkHandle, MemSeries};
use super::timeline::Stamps;
use crate::model::{Labels, Matcher, Samples, TimeRange};
use crate::tsdb::chunk::column;
use crate::tsdb::chunk::open::{TimelineId, Times};
use crate::tsdb::index::resolve::resolve;
use crate::util::lock::{read, write};

/// Series of the head, in label order, with their chunks inside a time range.
#[derive(Default)]
pub struct HeadSeriesSet {
    series: Vec<(Arc<MemSeries>, Vec<ChunkHandle>)>,
    stamps: HashMap<TimelineId, Stamps>,
    /// Samples before this are left to the blocks.
    floor: i64,
}

impl Head {
    /// The series that match and may have samples inside `range`. `then` runs while no commit is half visible and
    /// nothing is being truncated: what it reads belongs to the same moment.
    pub fn select<T>(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        then: impl FnOnce() -> T,
    ) -> (HeadSeriesSet, T) {
        let mut set = HeadSeriesSet::default();
        let exclusive = write(&self.gate);
        let beside = then();
        set.floor = self.floor.load(Ordering::Acquire);
        let range = TimeRange { start: range.start.max(set.floor), end: range.end };
        if self.time_range().is_none_or(|held| !held.overlaps(&range)) {
            return (set, beside);
        }
        let slots = self.with_index(|index| resolve(index, matchers));
        {
            let table = read(&self.table);
            let mut chunks = Vec::new();
            for series in slots.iter().filter_map(|slot| table.at_slot(slot)) {
                series.chunks(range.start, range.end, &mut chunks);
                if !chunks.is_empty() {
                    set.series.push((Arc::clone(series), chunks.clone()));
                    chunks.clear();
                }
            }
        }
        for chunk in set.series.iter().flat_map(|(_, chunks)| chunks) {
            if let (Times::Shared { id, .. }, _) = chunk.times() {
                set.stamps.entry(*id).or_insert_with(|| self.timelines.stamps(*id));
            }
        }
        drop(exclusive);
        set.series.sort_unstable_by(|(a, _), (b, _)| a.labels().cmp(b.labels()));
        (set, beside)
    }
}

impl HeadSeriesSet {
    /// Number of series.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Labels of series `index`.
    pub fn labels(&self, index: usize) -> &Labels {
        self.series[index].0.labels()
    }

    /// Appends the samples of series `index` inside `range` to `out`.
    pub fn read(&self, index: usize, range: TimeRange, out: &mut Samples) {
        for chunk in &self.series[index].1 {
            let (times, count) = chunk.times();
            let stamps = match times {
                Times::Own(own) => own.as_slice(),
                Times::Shared { id, first } => {
                    self.stamps.get(id).map(|s| s.range(*first, count)).unwrap_or_default()
                }
            };
            let from = stamps.partition_point(|t| *t < range.start.max(self.floor));
            let to = stamps.partition_point(|t| *t <= range.end);
            if from >= to {
                continue;
            }
            let start = out.values.len();
            match chunk {
                // Own memory, written by the encoder: it cannot be damaged.
                ChunkHandle::Sealed(chunk) => {
                    if column::decode(&chunk.column, count, &mut out.values).is_err() {
                        out.values.truncate(start);
                        continue;
                    }
                }
                ChunkHandle::Open(chunk) => chunk.values(&mut out.values),
            }
            out.values.truncate(start + to);
            out.values.drain(start..start + from);
            out.timestamps.extend_from_slice(&stamps[from..to]);
        }
    }
}
