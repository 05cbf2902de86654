//! What a target exposed last time: the text of a series leads to its reference, so that a known series is never
//! parsed again.
//!
//! A target exposes its series in the same order every time, so the entry after the last hit is compared first; only
//! when it is another one is the text hashed. Texts lie behind each other in that order: what is compared next is near.
//!
//! **Cost**: no allocation for a known series; 40 bytes and its text for each one.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::{HashSet, HashTable};

use crate::model::MetricType;
use crate::tsdb::SeriesRef;

/// One text.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Where its text begins; it ends where the next one begins.
    start: usize,
    /// What it stands for, unless relabelling drops it.
    series: SeriesRef,
    /// What [`Cache::type_key`] gave for its family.
    type_key: u32,
    /// The scrape that saw it last.
    seen: u32,
    /// It was in the last successful scrape and gets a stale marker when it vanishes.
    live: bool,
    /// It counts for staleness in the scrape that runs.
    tracked: bool,
    dropped: bool,
}

impl Entry {
    fn series(&self) -> Option<SeriesRef> {
        (!self.dropped).then_some(self.series)
    }
}

/// All texts of a target, in the order of their first appearance.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: Vec<Entry>,
    texts: Vec<u8>,
    by_text: HashTable<u32>,
    hasher: RandomState,
    /// Never 0 while one runs.
    scrape: u32,
    /// Where the next hit is expected.
    next: usize,
    /// Entries seen in the scrape that runs.
    seen_count: usize,
}

impl Cache {
    /// Begins a scrape.
    pub(super) fn begin(&mut self) {
        self.scrape = self.scrape.checked_add(1).unwrap_or_else(|| {
            self.entries.iter_mut().for_each(|entry| entry.seen = 0);
            1
        });
        self.next = 0;
        self.seen_count = 0;
    }

    /// The text that most likely comes next.
    #[inline]
    pub(super) fn expected(&self) -> Option<&[u8]> {
        let start = self.entries.get(self.next)?.start;
        self.texts.get(start..self.end(self.next))
    }

    /// Where the text of the entry at `at` ends.
    #[inline]
    fn end(&self, at: usize) -> usize {
        self.entries.get(at + 1).map_or(self.texts.len(), |next| next.start)
    }

    #[inline]
    fn text(&self, at: usize) -> &[u8] {
        let start = self.entries.get(at).map_or(self.texts.len(), |entry| entry.start);
        self.texts.get(start..self.end(at)).unwrap_or_default()
    }

    /// A number for what a family says of itself, where that becomes labels: then the same text under another type is
    /// another series.
    pub(super) fn type_key(&self, kind: MetricType, unit: &[u8]) -> u32 {
        u32::try_from(self.hasher.hash_one((kind, unit)) >> 32).unwrap_or(0)
    }

    /// Index of `text`, if it is known in a family that `type_key` stands for.
    #[inline]
    pub(super) fn find(&mut self, text: &[u8], type_key: u32) -> Option<usize> {
        let at = if self.is_it(self.next, text, type_key) {
            self.next
        } else {
            let hash = hash_of(&self.hasher, text, type_key);
            *self.by_text.find(hash, |at| self.is_it(*at as usize, text, type_key))? as usize
        };
        self.next = at + 1;
        Some(at)
    }

    #[inline]
    fn is_it(&self, at: usize, text: &[u8], type_key: u32) -> bool {
        self.entries.get(at).is_some_and(|entry| entry.type_key == type_key) && self.text(at) == text
    }

    /// Adds `text`, which must not be there yet; returns its index.
    pub(super) fn insert(&mut self, text: &[u8], type_key: u32, series: Option<SeriesRef>) -> usize {
        let at = self.entries.len();
        let start = self.texts.len();
        let dropped = series.is_none();
        let series = series.unwrap_or(SeriesRef(0));
        self.entries.push(Entry { start, series, type_key, seen: 0, live: false, tracked: false, dropped });
        self.texts.extend_from_slice(text);
        let mut by_text = std::mem::take(&mut self.by_text);
        // A body of 512 MiB holds fewer than 2^32 lines.
        let index = u32::try_from(at).unwrap_or(u32::MAX);
        by_text.insert_unique(self.hash_at(at), index, |at| self.hash_at(*at as usize));
        self.by_text = by_text;
        self.next = at + 1;
        at
    }

    fn hash_at(&self, at: usize) -> u64 {
        let type_key = self.entries.get(at).map_or(0, |entry| entry.type_key);
        hash_of(&self.hasher, self.text(at), type_key)
    }

    /// The series that the entry at `at` stands for; none where relabelling drops it.
    #[inline]
    pub(super) fn series(&self, at: usize) -> Option<SeriesRef> {
        self.entries.get(at)?.series()
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
        let gone = self.entries.iter().filter(|entry| self.is_gone(entry));
        gone.filter_map(Entry::series).for_each(&mut mark);
    }

    fn is_gone(&self, entry: &Entry) -> bool {
        entry.live && !(entry.seen == self.scrape && entry.tracked)
    }

    /// Forgets series for which `known` says false: the database has removed them.
    pub(super) fn forget_unknown(&mut self, known: impl Fn(SeriesRef) -> bool) {
        self.retain(|entry| entry.series().is_none_or(&known));
    }

    /// Keeps those for which `stays` says true, and gives back what the others took.
    fn retain(&mut self, stays: impl Fn(&Entry) -> bool) {
        let kept = self.entries.iter().filter(|entry| stays(entry)).count();
        if kept == self.entries.len() {
            return;
        }
        let old = std::mem::take(self);
        let mut entries = Vec::with_capacity(kept);
        let mut texts = Vec::new();
        for (at, entry) in old.entries.iter().enumerate().filter(|(_, entry)| stays(entry)) {
            entries.push(Entry { start: texts.len(), ..*entry });
            texts.extend_from_slice(old.text(at));
        }
        let by_text = HashTable::with_capacity(kept);
        *self = Self { entries, texts, by_text, ..old };
        let mut by_text = std::mem::take(&mut self.by_text);
        for at in 0..u32::try_from(kept).unwrap_or(u32::MAX) {
            by_text.insert_unique(self.hash_at(at as usize), at, |at| self.hash_at(*at as usize));
        }
        self.by_text = by_text;
    }

    /// The series tracked in this scrape, under whatever text.
    pub(super) fn tracked(&self) -> HashSet<SeriesRef> {
        if self.seen_count == 0 {
            return HashSet::default();
        }
        let now = self.entries.iter().filter(|entry| entry.seen == self.scrape && entry.tracked);
        now.filter_map(Entry::series).collect()
    }

    /// Whether a series that was live is missing from this scrape.
    pub(super) fn any_vanished(&self) -> bool {
        self.entries.iter().any(|entry| self.is_gone(entry))
    }

    /// Ends a successful scrape: what it saw is live, what it did not see is forgotten.
    pub(super) fn succeed(&mut self) {
        let scrape = self.scrape;
        for entry in &mut self.entries {
            entry.live = entry.seen == scrape && entry.tracked;
        }
        // A target that exposes the same as before costs nothing more.
        if self.seen_count < self.entries.len() {
            self.retain(|entry| entry.seen == scrape);
        }
        // There are many targets, and most never have more series than now.
        if self.texts.capacity() - self.texts.len() > self.texts.len() / 8 {
            self.texts.shrink_to_fit();
        }
        if self.entries.capacity() - self.entries.len() > self.entries.len() / 8 {
            self.entries.shrink_to_fit();
        }
    }

    /// Ends a scrape nothing of which was stored: what was live still is. `last_good` bounds what else stays here.
    pub(super) fn keep(&mut self, last_good: usize) {
        if self.entries.len() > 2 * last_good + 1000 {
            self.retain(|entry| entry.live);
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

    /// Number of texts that stand for a series.
    pub(super) fn stored(&self) -> u64 {
        self.entries.iter().filter(|entry| !entry.dropped).count() as u64
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
        self.entries.iter().filter(|entry| entry.live).filter_map(Entry::series)
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
                .unwrap_or_else(|| cache.insert(text.as_bytes(), 0, Some(series(text))));
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

    #[test]
    fn the_number_of_a_scrape_may_come_again() {
        let mut cache = Cache { scrape: u32::MAX - 1, ..Cache::default() };
        for expected in [&["a", "b"][..], &["a"], &["a", "c"], &["c"]] {
            scrape(&mut cache, expected);
            assert_eq!(cache.len(), expected.len());
        }
    }

    #[test]
    fn the_same_text_in_another_family_is_another_entry() {
        let mut cache = Cache::default();
        cache.begin();
        for key in 0..100 {
            assert!(cache.find(b"a", key).is_none());
            cache.insert(b"a", key, Some(SeriesRef(u64::from(key))));
        }
        cache.insert(b"", 0, None);
        assert_eq!(cache.find(b"", 0).map(|at| cache.series(at)), Some(None));
        for key in (0..100).rev() {
            let at = cache.find(b"a", key).expect("known");
            assert_eq!(cache.series(at), Some(SeriesRef(u64::from(key))));
        }
    }
}
