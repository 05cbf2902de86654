//! Shared timestamps: one growing list for each scraped target.
//!
//! **Cost**: 8 bytes per scrape of a target, however many series it has. A reader holds the list as it was; the next
//! append then copies it once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use super::series::Placement;
use crate::tsdb::chunk::open::{TimelineId, Times};
use crate::util::lock::{lock, read, write};

/// The timestamps of a timeline as they were at one moment.
#[derive(Debug, Clone, Default)]
pub struct Stamps {
    /// Number of the first entry, counted from the timeline's beginning.
    start: u64,
    stamps: Arc<Vec<i64>>,
}

impl Stamps {
    /// `count` timestamps from number `first` on.
    pub fn range(&self, first: u64, count: usize) -> &[i64] {
        let start = first.checked_sub(self.start).and_then(|n| usize::try_from(n).ok());
        start.and_then(|start| self.stamps.get(start..start + count)).unwrap_or_default()
    }
}

/// All timelines of the head.
#[derive(Debug, Default)]
pub struct Timelines {
    lists: RwLock<HashMap<TimelineId, Arc<Mutex<Stamps>>>>,
    next: AtomicU32,
}

impl Timelines {
    /// A new timeline.
    pub fn create(&self) -> TimelineId {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn list(&self, id: TimelineId) -> Arc<Mutex<Stamps>> {
        if let Some(list) = read(&self.lists).get(&id) {
            return Arc::clone(list);
        }
        // Ids read from the log are not given out again.
        self.next.fetch_max(id.saturating_add(1), Ordering::Relaxed);
        Arc::clone(write(&self.lists).entry(id).or_default())
    }

    /// Adds `timestamp` to timeline `id`; none if it is older than the newest there.
    pub fn push(&self, id: TimelineId, timestamp: i64) -> Option<Placement> {
        let list = self.list(id);
        let mut list = lock(&list);
        match list.stamps.last() {
            Some(last) if *last > timestamp => return None,
            Some(last) if *last == timestamp => {}
            _ => Arc::make_mut(&mut list.stamps).push(timestamp),
        }
        Some(Placement { id, number: list.start + list.stamps.len() as u64 - 1 })
    }

    /// The timestamps of timeline `id` as they are now.
    pub fn stamps(&self, id: TimelineId) -> Stamps {
        read(&self.lists).get(&id).map(|list| lock(list).clone()).unwrap_or_default()
    }

    /// The timestamps of one chunk of `count` samples.
    pub fn copy(&self, times: &Times, count: usize) -> Vec<i64> {
        match times {
            Times::Own(own) => own.clone(),
            Times::Shared { id, first } => self.stamps(*id).range(*first, count).to_vec(),
        }
    }

    /// Drops the entries before the given numbers, and timelines that are not named at all.
    pub fn trim(&self, needed: &HashMap<TimelineId, u64>) {
        write(&self.lists).retain(|id, list| {
            let Some(first) = needed.get(id) else { return false };
            let mut list = lock(list);
            let gone = usize::try_from(first.saturating_sub(list.start)).unwrap_or(0).min(list.stamps.len());
            if gone > 0 {
                list.stamps = Arc::new(list.stamps[gone..].to_vec());
                list.start += gone as u64;
            }
            true
        });
    }
}
