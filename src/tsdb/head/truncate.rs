//! What leaves the head once it is in a block: chunks, then series without chunks, then timestamps nobody needs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Head;
use crate::tsdb::SeriesRef;
use crate::tsdb::chunk::open::{TimelineId, Times};
use crate::util::lock::{read, write};

impl Head {
    /// Refuses samples before `min_time` (milliseconds) from now on: a block is about to be cut there.
    pub fn close_before(&self, min_time: i64) {
        // Exclusive: no commit that still saw the old border may be half applied.
        let _exclusive = write(&self.gate);
        self.min_valid.fetch_max(min_time, Ordering::AcqRel);
    }

    /// Drops what ends before `min_time`. `publish` runs while no select can look: it makes the block visible that
    /// holds what is dropped.
    pub fn truncate(&self, min_time: i64, publish: impl FnOnce()) {
        let _exclusive = write(&self.gate);
        publish();
        self.floor.fetch_max(min_time, Ordering::AcqRel);
        let mut needed: HashMap<TimelineId, u64> = HashMap::new();
        let mut oldest = i64::MAX;
        let mut idle = Vec::new();
        for series in read(&self.table).iter() {
            let left = series.truncate(min_time, |times| {
                if let Times::Shared { id, first } = times {
                    let entry = needed.entry(*id).or_insert(*first);
                    *entry = (*first).min(*entry);
                }
            });
            if left == 0 {
                idle.push(Arc::clone(series));
            }
            oldest = oldest.min(series.start_time().unwrap_or(i64::MAX));
        }
        let mut table = write(&self.table);
        let mut index = write(&self.index);
        for series in idle {
            // Two handles are ours and the table's; a third is an appender's or a reader's, and the series stays.
            if Arc::strong_count(&series) == 2 {
                table.remove(&series);
                index.remove(series.reference().slot(), series.labels());
                self.removed.fetch_add(1, Ordering::Relaxed);
            }
        }
        drop((table, index));
        self.timelines.trim(&needed);
        // A chunk kept whole may reach back before min_time; what is older than that is in blocks.
        self.min_time.store(oldest.max(min_time), Ordering::Relaxed);
        if oldest == i64::MAX {
            self.max_time.store(i64::MIN, Ordering::Relaxed);
        }
    }

    /// Whether the log must keep the record of series `reference`.
    pub fn is_alive(&self, reference: SeriesRef) -> bool {
        read(&self.table).get(reference).is_some()
    }

    /// Ends a replay: slots of series that are gone become free.
    pub fn finish_replay(&self) {
        write(&self.table).collect_free_slots();
    }

    /// A new timeline for one scraped target.
    pub fn create_timeline(&self) -> TimelineId {
        self.timelines.create()
    }
}
