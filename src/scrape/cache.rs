//! What a target exposed last time: the text of a series leads to its reference, so that a known series is never
//! parsed again.
//!
//! A target exposes its series in the same order every time, so the entry after the last hit is compared first; only
//! when it is another one is the text hashed.
//!
//! **Cost**: one allocation for the text of a new series; nothing for a known one.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::{HashSet, HashTable};

use crate::model::MetricType;
use crate::tsdb::SeriesRef;

/// What the text of a series stands for.
#[derive(Debug)]
pub(super) enum Known {
    /// A series of the database.
    Series(SeriesRef),
    /// Relabelling drops it.
    Dropped,
}

/// One text.
#[derive(Debug)]
pub(super) struct Entry {
    text: Box<[u8]>,
    /// What [`Cache::type_key`] gave for its family.
    type_key: u32,
    pub(super) known: Known,
    /// The scrape that saw it last.
    seen: u64,
    /// It was in the last successful scrape and gets a stale marker when it vanishes.
    live: bool,
    /// It counts for staleness in the scrape that runs.
    tracked: bool,
}

/// All texts of a target, in the order of their first appearance.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: Vec<Entry>,
    by_text: HashTable<u32>,
    hasher: RandomState,
    scrape: u64,
    /// Where the next hit is expected.
    next: usize,
    /// Entries seen in the scrape that runs.
    seen_count: usize,
}

impl Cache {
    /// Begins a scrape.
    pub(super) fn begin(&mut self) {
        self.scrape += 1;
        self.next = 0;
        self.seen_count = 0;
    }

    /// The text that most likely comes next.
    pub(super) fn expected(&self) -> Option<&[u8]> {
        self.entries.get(self.next).map(|entry| &*entry.text)
    }

    /// A number for what a family says of itself, where that becomes labels: then the same text under another type is
    /// another series.
    pub(super) fn type_key(&self, kind: MetricType, unit: &[u8]) -> u32 {
        u32::try_from(self.hasher.hash_one((kind, unit)) >> 32).unwrap_or(0)
    }

    /// Index of `text`, if it is known in a family that `type_key` stands for.
    pub(super) fn find(&mut self, text: &[u8], type_key: u32) -> Option<usize> {
        let is_it = |entry: &Entry| *entry.text == *text && entry.type_key == type_key;
        let at = match self.entries.get(self.next) {
            Some(entry) if is_it(entry) => self.next,
            _ => {
                let hash = hash_of(&self.hasher, text, type_key);
                let entries = &self.entries;
                let is_it = |at: &u32| entries.get(*at as usize).is_some_and(is_it);
                *self.by_text.find(hash, is_it)? as usize
            }
        };
        self.next = at + 1;
        Some(at)
    }

    /// Adds `text`, which must not be there yet; returns its index.
    pub(super) fn insert(&mut self, text: &[u8], type_key: u32, known: Known) -> usize {
        let at = self.entries.len();
        let hash = hash_of(&self.hasher, text, type_key);
        self.entries.push(Entry { text: text.into(), type_key, known, seen: 0, live: false, tracked: false });
        let (entries, hasher) = (&self.entries, &self.hasher);
        let rehash = |at: &u32| {
            entries.get(*at as usize).map_or(0, |entry| hash_of(hasher, &entry.text, entry.type_key))
        };
        // A body of 512 MiB holds fewer than 2^32 lines.
        self.by_text.insert_unique(hash, u32::try_from(at).unwrap_or(u32::MAX), rehash);
        self.next = at + 1;
        at
    }

    /// Whether relabelling drops the entry at `at`.
    pub(super) fn is_dropped(&self, at: usize) -> bool {
        self.entries.get(at).is_some_and(|entry| matches!(entry.known, Known::Dropped))
    }

    /// The entry at `at`, which [`Cache::find`] or [`Cache::insert`] returned.
    pub(super) fn entry(&mut self, at: usize) -> &mut Entry {
        &mut self.entries[at]
    }

    /// Marks the entry as seen in this scrape; false when it was seen already.
    pub(super) fn see(&mut self, at: usize, tracked: bool) -> bool {
        let entry = &mut self.entries[at];
        let first = entry.seen != self.scrape;
        if first {
            entry.seen = self.scrape;
            entry.tracked = tracked;
            self.seen_count += 1;
        } else {
            entry.tracked |= tracked;
        }
        first
    }

    /// Calls `mark` for every series that was live and is not tracked in this scrape.
    pub(super) fn vanished(&self, mut mark: impl FnMut(SeriesRef)) {
        for entry in &self.entries {
            let gone = entry.live && !(entry.seen == self.scrape && entry.tracked);
            if let (true, Known::Series(series)) = (gone, &entry.known) {
                mark(*series);
            }
        }
    }

    /// Forgets series for which `known` says false: the database has removed them.
    pub(super) fn forget_unknown(&mut self, known: impl Fn(SeriesRef) -> bool) {
        let is_known = |entry: &Entry| !matches!(entry.known, Known::Series(series) if !known(series));
        if self.entries.iter().all(is_known) {
            return;
        }
        self.entries.retain(is_known);
        self.index();
    }

    fn index(&mut self) {
        self.by_text.clear();
        let (entries, hasher) = (&self.entries, &self.hasher);
        let rehash = |at: &u32| {
            entries.get(*at as usize).map_or(0, |entry| hash_of(hasher, &entry.text, entry.type_key))
        };
        for at in 0..u32::try_from(entries.len()).unwrap_or(u32::MAX) {
            self.by_text.insert_unique(rehash(&at), at, rehash);
        }
    }

    /// The series tracked in this scrape, under whatever text.
    pub(super) fn tracked(&self) -> HashSet<SeriesRef> {
        if self.seen_count == 0 {
            return HashSet::default();
        }
        let now = self.entries.iter().filter(|entry| entry.seen == self.scrape && entry.tracked);
        now.filter_map(|entry| match entry.known {
            Known::Series(series) => Some(series),
            Known::Dropped => None,
        })
        .collect()
    }

    /// Whether a series that was live is missing from this scrape.
    pub(super) fn any_vanished(&self) -> bool {
        self.entries.iter().any(|entry| entry.live && !(entry.seen == self.scrape && entry.tracked))
    }

    /// Ends a successful scrape: what it saw is live, what it did not see is forgotten.
    pub(super) fn succeed(&mut self) {
        let scrape = self.scrape;
        for entry in &mut self.entries {
            entry.live = entry.seen == scrape && entry.tracked;
        }
        // A target that exposes the same as before costs nothing more.
        if self.seen_count == self.entries.len() {
            return;
        }
        self.entries.retain(|entry| entry.seen == scrape);
        self.entries.shrink_to(2 * self.entries.len());
        self.index();
        self.shrink_index();
    }

    fn shrink_index(&mut self) {
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.by_text.shrink_to(2 * entries.len(), |at| {
            entries.get(*at as usize).map_or(0, |entry| hash_of(hasher, &entry.text, entry.type_key))
        });
    }

    /// Ends a scrape nothing of which was stored: what was live still is. `last_good` bounds what else stays here.
    pub(super) fn keep(&mut self, last_good: usize) {
        if self.entries.len() > 2 * last_good + 1000 {
            self.entries.retain(|entry| entry.live);
            self.index();
        }
    }

    /// Ends a failed scrape: nothing is live. `last_good` bounds what a target that never succeeds can leave here.
    pub(super) fn fail(&mut self, last_good: usize) {
        if self.entries.len() > 2 * last_good + 1000 {
            *self = Self { scrape: self.scrape, ..Self::default() };
            return;
        }
        for entry in &mut self.entries {
            entry.live = false;
        }
    }

    /// Number of texts.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Texts that there is room for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.entries.capacity().max(self.by_text.capacity())
    }

    /// The live series.
    pub(super) fn live(&self) -> impl Iterator<Item = SeriesRef> {
        self.entries.iter().filter(|entry| entry.live).filter_map(|entry| match entry.known {
            Known::Series(series) => Some(series),
            Known::Dropped => None,
        })
    }
}

fn hash_of(hasher: &RandomState, text: &[u8], type_key: u32) -> u64 {
    hasher.hash_one(text) ^ u64::from(type_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The series of a text of one letter.
    fn series(text: &str) -> SeriesRef {
        SeriesRef(u64::from(text.as_bytes()[0]))
    }

    fn scrape(cache: &mut Cache, texts: &[&str]) -> Vec<SeriesRef> {
        cache.begin();
        for text in texts {
            let at = cache
                .find(text.as_bytes(), 0)
                .unwrap_or_else(|| cache.insert(text.as_bytes(), 0, Known::Series(series(text))));
            cache.see(at, true);
        }
        let mut gone = Vec::new();
        cache.vanished(|series| gone.push(series));
        cache.succeed();
        gone
    }

    #[test]
    fn series_the_database_removed_are_looked_up_again() {
        let mut cache = Cache::default();
        scrape(&mut cache, &["a", "b", "c"]);
        cache.forget_unknown(|known| known != series("b"));
        assert!(cache.find(b"b", 0).is_none());
        assert!(cache.find(b"c", 0).is_some());
        assert_eq!(scrape(&mut cache, &["a", "b"]), [series("c")]);
    }

    #[test]
    fn tells_what_vanished_and_forgets_it() {
        let mut cache = Cache::default();
        assert!(scrape(&mut cache, &["a", "b", "c"]).is_empty());
        assert!(scrape(&mut cache, &["c", "a", "b"]).is_empty());
        assert_eq!(scrape(&mut cache, &["a", "d"]), [series("b"), series("c")]);
        assert_eq!(cache.len(), 2);
        assert!(scrape(&mut cache, &["d", "a"]).is_empty());
        assert!(cache.find(b"b", 0).is_none());
        assert!(cache.find(b"d", 0).is_some());
    }

    #[test]
    fn a_failed_scrape_leaves_nothing_live() {
        let mut cache = Cache::default();
        scrape(&mut cache, &["a"]);
        cache.begin();
        assert!(cache.any_vanished());
        cache.fail(1);
        assert_eq!(cache.live().count(), 0);
        assert!(scrape(&mut cache, &["b"]).is_empty());
    }
}
