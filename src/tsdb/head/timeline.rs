//! Shared timestamps: one growing list for each scraped target, or for series that are always written together.
//!
//! A scrape names its timeline. Samples that come without one (remote write) find theirs: a new chunk joins the list
//! that holds its timestamp, and follows it as long as the timestamps agree.
//!
//! **Cost**: 8 bytes per scrape of a target, however many series it has. A reader holds the list as it was; the next
//! append then copies it once.

use std::collections::HashMap;
use std::sync::Arc;

use crate::tsdb::chunk::open::{TimelineId, Times};

/// Ids from here on are of timelines that nobody named.
const UNNAMED: TimelineId = 1 << 31;
/// Timestamps remembered for new chunks to join.
const MAX_RECENT: usize = 1 << 14;

/// Where a timestamp stands on a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The timeline.
    pub id: TimelineId,
    /// Number of the timestamp, counted from the timeline's beginning.
    pub number: u32,
}

/// The timestamps of a timeline as they were at one moment.
#[derive(Debug, Clone, Default)]
pub struct Stamps {
    /// Number of the first entry, counted from the timeline's beginning.
    start: u32,
    stamps: Arc<Vec<i64>>,
}

impl Stamps {
    /// `count` timestamps from number `first` on.
    pub fn range(&self, first: u32, count: usize) -> &[i64] {
        let start = first.checked_sub(self.start).and_then(|n| usize::try_from(n).ok());
        start.and_then(|start| self.stamps.get(start..start + count)).unwrap_or_default()
    }

    fn end(&self) -> u32 {
        self.start.wrapping_add(u32::try_from(self.stamps.len()).unwrap_or(u32::MAX))
    }
}

/// All timelines of the head.
#[derive(Debug)]
pub struct Timelines {
    lists: HashMap<TimelineId, Stamps, foldhash::fast::FixedState>,
    next: TimelineId,
    next_unnamed: TimelineId,
    step: TimelineId,
    /// Timestamps lately put on unnamed timelines.
    recent: HashMap<i64, Placement, foldhash::fast::FixedState>,
}

impl Default for Timelines {
    fn default() -> Self {
        Self::part(0, 1)
    }
}

impl Timelines {
    /// No timelines; of `parts` such sets no two give out the same id to an unnamed timeline.
    pub fn part(number: u32, parts: u32) -> Self {
        Self {
            lists: HashMap::default(),
            next: 0,
            next_unnamed: UNNAMED + number,
            step: parts.max(1),
            recent: HashMap::default(),
        }
    }

    /// A new timeline with a name.
    pub fn create(&mut self) -> TimelineId {
        let id = self.next;
        self.next = (id + 1) % UNNAMED;
        id
    }

    /// Adds `timestamp` to the named timeline `id`; none if it is older than the newest there.
    pub fn push(&mut self, id: TimelineId, timestamp: i64) -> Option<Placement> {
        // Ids read from the log are not given out again.
        if id < UNNAMED {
            self.next = self.next.max(id + 1);
        }
        let list = self.lists.entry(id).or_default();
        match list.stamps.last() {
            Some(last) if *last > timestamp => return None,
            Some(last) if *last == timestamp => {}
            _ => Arc::make_mut(&mut list.stamps).push(timestamp),
        }
        Some(Placement { id, number: list.end().wrapping_sub(1) })
    }

    /// Whether number `number` of timeline `id` is `timestamp`; an unnamed timeline that ends there is extended.
    pub fn follow(&mut self, id: TimelineId, number: u32, timestamp: i64) -> bool {
        let Some(list) = self.lists.get_mut(&id) else { return false };
        let at = number.wrapping_sub(list.start) as usize;
        if let Some(found) = list.stamps.get(at) {
            return *found == timestamp;
        }
        let extends = id >= UNNAMED
            && at == list.stamps.len()
            && list.stamps.last().is_some_and(|last| *last < timestamp);
        if extends {
            Arc::make_mut(&mut list.stamps).push(timestamp);
            self.remember(timestamp, Placement { id, number });
        }
        extends
    }

    /// A place for a new chunk that begins with `timestamp` and comes without a timeline.
    pub fn place(&mut self, timestamp: i64) -> Placement {
        if let Some(place) = self.recent.get(&timestamp) {
            let list = self.lists.get(&place.id);
            if list.is_some_and(|list| list.range(place.number, 1).first() == Some(&timestamp)) {
                return *place;
            }
        }
        let id = self.next_unnamed;
        self.next_unnamed = id.checked_add(self.step).unwrap_or(UNNAMED);
        self.lists.insert(id, Stamps { start: 0, stamps: Arc::new(vec![timestamp]) });
        let place = Placement { id, number: 0 };
        self.remember(timestamp, place);
        place
    }

    fn remember(&mut self, timestamp: i64, place: Placement) {
        if self.recent.len() >= MAX_RECENT {
            self.recent.clear();
        }
        self.recent.insert(timestamp, place);
    }

    /// The timestamps of timeline `id` as they are now.
    pub fn stamps(&self, id: TimelineId) -> Stamps {
        self.lists.get(&id).cloned().unwrap_or_default()
    }

    /// Timestamp number `number` of timeline `id`.
    pub fn stamp(&self, id: TimelineId, number: u32) -> Option<i64> {
        self.lists.get(&id)?.range(number, 1).first().copied()
    }

    /// Appends the timestamps of a chunk of `count` samples to `out`.
    pub fn read(&self, times: &Times, count: usize, out: &mut Vec<i64>) {
        match times {
            Times::Own(own) => own.read(out),
            Times::Shared { id, first } => {
                out.extend_from_slice(self.lists.get(id).map_or(&[][..], |list| list.range(*first, count)));
            }
        }
    }

    /// For each timeline the number of its first entry at or after `min_time`: what samples that are still taken can be
    /// placed at, and what [`Timelines::trim`] leaves if no chunk needs more.
    pub fn needed_from(&self, min_time: i64) -> HashMap<TimelineId, u32> {
        let first = |list: &Stamps| {
            let before = list.stamps.partition_point(|stamp| *stamp < min_time);
            list.start.wrapping_add(u32::try_from(before).unwrap_or(u32::MAX))
        };
        self.lists.iter().map(|(id, list)| (*id, first(list))).collect()
    }

    /// Drops the entries before the given numbers, and timelines that have none left. Those that are not named are new
    /// and stay whole.
    pub fn trim(&mut self, needed: &HashMap<TimelineId, u32>) {
        self.lists.retain(|id, list| {
            let Some(first) = needed.get(id) else { return true };
            let gone = (first.saturating_sub(list.start) as usize).min(list.stamps.len());
            if gone > 0 {
                list.stamps = Arc::new(list.stamps[gone..].to_vec());
                list.start += u32::try_from(gone).unwrap_or(0);
            }
            !list.stamps.is_empty()
        });
        self.lists.shrink_to_fit();
        self.recent.clear();
    }

    /// Takes over the timelines of `other`, a part made with [`Timelines::part`]. Named ones are the same in all parts.
    pub fn join(&mut self, other: Self) {
        self.lists.extend(other.lists);
        self.next = self.next.max(other.next);
        self.next_unnamed = self.next_unnamed.max(other.next_unnamed);
    }

    /// Ends the building from parts: ids are given out one by one again.
    pub fn joined(&mut self) {
        self.step = 1;
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_written_together_share_a_timeline() {
        let mut lines = Timelines::default();
        let first = lines.place(100);
        assert!(lines.follow(first.id, 1, 200));
        assert_eq!(lines.place(100), first);
        assert_eq!(lines.place(200), Placement { id: first.id, number: 1 });
        assert!(lines.follow(first.id, 1, 200), "another series follows what the first one began");
        assert!(!lines.follow(first.id, 1, 201));
        assert!(!lines.follow(first.id, 2, 150), "timelines only rise");
        assert_ne!(lines.place(150).id, first.id);
        let named = lines.create();
        assert_eq!(lines.push(named, 5), Some(Placement { id: named, number: 0 }));
        assert!(!lines.follow(named, 1, 6), "only its owner extends a named timeline");
        assert_eq!(lines.push(named, 5), Some(Placement { id: named, number: 0 }));
        assert_eq!(lines.push(named, 4), None);
        let needed = lines.needed_from(160);
        // Between the two somebody writes on.
        let later = lines.place(150_000);
        assert!(lines.follow(first.id, 2, 300));
        lines.trim(&needed);
        assert_eq!(lines.stamps(first.id).range(1, 2), [200, 300]);
        assert!(lines.stamps(first.id).range(0, 1).is_empty());
        assert_eq!(lines.stamp(named, 0), None);
        assert_eq!(lines.stamp(later.id, later.number), Some(150_000));
    }
}
