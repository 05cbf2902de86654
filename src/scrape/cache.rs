//! What a target exposed last time: the text of a series leads to its reference, so that a known series is never
//! parsed again.
//!
//! Texts are known by a 64-bit hash under a seed of this process and by their length; where both are equal the texts are
//! taken for equal, which spares keeping them. Two that are not are taken for equal with a chance of 2^-64, and only those
//! of one target are held against each other. A target exposes its series in the same order every time, so the entry after
//! the last hit is looked at first, and a table of all is made only for a scrape that departs from that order.
//!
//! **Cost**: no allocation for a known series; 24 bytes for each one.

use std::cell::Cell;
use std::hash::BuildHasher as _;
use std::sync::OnceLock;

use foldhash::fast::FixedState;
use hashbrown::{HashSet, HashTable};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::expfmt::Expect;
use crate::model::MetricType;
use crate::tsdb::SeriesRef;

/// Longer texts are not expected: each line would be hashed as far as they go, whatever it is.
const MAX_EXPECTED_BYTES: usize = 1024;

/// A text, in a family that says a certain thing of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    hash: u64,
    /// Bytes of the text.
    length: u32,
}

impl Key {
    pub(super) fn new(text: &[u8], type_key: u32) -> Self {
        static SEED: OnceLock<u64> = OnceLock::new();
        let seed = *SEED.get_or_init(|| {
            use std::hash::RandomState;
            RandomState::new().hash_one("texts of series")
        });
        // A body of 512 MiB holds fewer than 2^32 bytes.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        Self { hash: xxh3_64_with_seed(text, seed.wrapping_add(u64::from(type_key))), length }
    }
}

/// One text.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The parts of its key.
    hash: u64,
    length: u32,
    state: State,
    /// What it stands for, unless relabelling drops it.
    series: SeriesRef,
}

// There is one for each series of each target.
const _: () = assert!(size_of::<Entry>() == 24);

/// When a text was seen, and what follows from that.
#[derive(Debug, Clone, Copy, Default)]
struct State(u32);

impl State {
    /// It was in the last successful scrape and gets a stale marker when it vanishes.
    const LIVE: u32 = 1 << 31;
    /// It counts for staleness in the scrape that saw it.
    const TRACKED: u32 = 1 << 30;
    /// Relabelling drops it.
    const DROPPED: u32 = 1 << 29;
    /// The number of the scrape that saw it last; 0 for none.
    const SEEN: u32 = Self::DROPPED - 1;

    fn is(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    fn set(&mut self, flag: u32, on: bool) {
        self.0 = if on { self.0 | flag } else { self.0 & !flag };
    }

    fn seen(self) -> u32 {
        self.0 & Self::SEEN
    }

    fn see(&mut self, scrape: u32) {
        self.0 = self.0 & !Self::SEEN | scrape;
    }
}

impl Entry {
    fn key(&self) -> Key {
        Key { hash: self.hash, length: self.length }
    }

    fn series(&self) -> Option<SeriesRef> {
        (!self.state.is(State::DROPPED)).then_some(self.series)
    }

    fn is_tracked_in(&self, scrape: u32) -> bool {
        self.state.seen() == scrape && self.state.is(State::TRACKED)
    }
}

/// The text that most likely comes next, as the reader of a body asks for it.
#[derive(Debug)]
pub(super) struct Expected {
    key: Key,
    type_key: u32,
    length: usize,
    /// Where it was found.
    found: Cell<*const u8>,
}

impl Expect for Option<&Expected> {
    #[inline]
    fn length_in(self, line: &[u8]) -> Option<usize> {
        let expected = self?;
        let (text, rest) = line.split_at_checked(expected.length)?;
        // Nearly every other series ends elsewhere, and is not looked at closer.
        if rest.first().is_some_and(|byte| !matches!(byte, b' ' | b'\t')) {
            return None;
        }
        if Key::new(text, expected.type_key) != expected.key {
            return None;
        }
        expected.found.set(text.as_ptr());
        Some(expected.length)
    }
}

impl Expected {
    /// Whether this very text was compared, and is the one.
    fn is(&self, text: &[u8]) -> bool {
        self.found.get() == text.as_ptr() && self.length == text.len()
    }
}

/// All texts of a target, in the order of their first appearance.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: Vec<Entry>,
    /// Of all entries, while it is needed.
    by_key: Option<HashTable<u32>>,
    /// Never 0 while one runs.
    scrape: u32,
    /// Where the next hit is expected.
    next: usize,
    /// Entries seen in the scrape that runs.
    seen_count: usize,
    /// Whether the scrape that runs departed from the order.
    departed: bool,
}

impl Cache {
    /// Begins a scrape.
    pub(super) fn begin(&mut self) {
        self.scrape += 1;
        if self.scrape > State::SEEN {
            self.entries.iter_mut().for_each(|entry| entry.state.see(0));
            self.scrape = 1;
        }
        self.next = 0;
        self.seen_count = 0;
        self.departed = false;
    }

    /// The text that most likely comes next, in a family that `type_key` stands for.
    #[inline]
    pub(super) fn expected(&self, type_key: u32) -> Option<Expected> {
        let entry = self.entries.get(self.next)?;
        let length = usize::try_from(entry.length).ok().filter(|length| *length <= MAX_EXPECTED_BYTES)?;
        Some(Expected { key: entry.key(), type_key, length, found: Cell::new(std::ptr::null()) })
    }

    /// A number for what a family says of itself, where that becomes labels: then the same text under another type is
    /// another series.
    pub(super) fn type_key(kind: MetricType, unit: &[u8]) -> u32 {
        u32::try_from(FixedState::default().hash_one((kind, unit)) >> 32).unwrap_or(0)
    }

    /// Index of `text`, if it is known in a family that `type_key` stands for; `expected` is what the reader that gave
    /// it was asked with.
    #[inline]
    pub(super) fn find(&mut self, text: &[u8], type_key: u32, expected: Option<&Expected>) -> Option<usize> {
        if expected.is_some_and(|expected| expected.is(text)) {
            self.next += 1;
            return Some(self.next - 1);
        }
        let key = Key::new(text, type_key);
        let at = if self.entries.get(self.next).is_some_and(|entry| entry.key() == key) {
            self.next
        } else {
            self.departed = true;
            let entries = &self.entries;
            let by_key = self.by_key.get_or_insert_with(|| table_of(entries));
            *by_key.find(key.hash, |at| is_at(entries, *at, key))? as usize
        };
        self.next = at + 1;
        Some(at)
    }

    /// Adds `text`, which must not be there yet; returns its index.
    pub(super) fn insert(&mut self, text: &[u8], type_key: u32, series: Option<SeriesRef>) -> usize {
        let at = self.entries.len();
        let mut state = State::default();
        state.set(State::DROPPED, series.is_none());
        let Key { hash, length } = Key::new(text, type_key);
        self.entries.push(Entry { hash, length, state, series: series.unwrap_or(SeriesRef(0)) });
        if let Some(by_key) = &mut self.by_key {
            let entries = &self.entries;
            let index = u32::try_from(at).unwrap_or(u32::MAX);
            by_key.insert_unique(hash, index, |at| hash_at(entries, *at));
        }
        self.next = at + 1;
        at
    }

    /// The series that the entry at `at` stands for; none where relabelling drops it.
    #[inline]
    pub(super) fn series(&self, at: usize) -> Option<SeriesRef> {
        self.entries.get(at)?.series()
    }

    /// Marks the entry as seen in this scrape; false when it was seen already.
    pub(super) fn see(&mut self, at: usize, tracked: bool) -> bool {
        let entry = &mut self.entries[at];
        let first = entry.state.seen() != self.scrape;
        if first {
            entry.state.see(self.scrape);
            self.seen_count += 1;
        }
        entry.state.set(State::TRACKED, tracked || !first && entry.state.is(State::TRACKED));
        first
    }

    /// Calls `mark` for every series that was live and is not tracked in this scrape.
    pub(super) fn vanished(&self, mut mark: impl FnMut(SeriesRef)) {
        let gone = self.entries.iter().filter(|entry| self.is_gone(entry));
        gone.filter_map(Entry::series).for_each(&mut mark);
    }

    fn is_gone(&self, entry: &Entry) -> bool {
        entry.state.is(State::LIVE) && !entry.is_tracked_in(self.scrape)
    }

    /// Forgets series for which `known` says false: the database has removed them.
    pub(super) fn forget_unknown(&mut self, known: impl Fn(SeriesRef) -> bool) {
        self.retain(|entry| entry.series().is_none_or(&known));
    }

    /// Keeps those for which `stays` says true, and gives back what the others took.
    fn retain(&mut self, stays: impl Fn(&Entry) -> bool) {
        if self.entries.iter().all(&stays) {
            return;
        }
        self.entries = self.entries.iter().filter(|entry| stays(entry)).copied().collect();
        self.by_key = None;
    }

    /// The series tracked in this scrape, under whatever text.
    pub(super) fn tracked(&self) -> HashSet<SeriesRef> {
        if self.seen_count == 0 {
            return HashSet::default();
        }
        let now = self.entries.iter().filter(|entry| entry.is_tracked_in(self.scrape));
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
            entry.state.set(State::LIVE, entry.is_tracked_in(scrape));
        }
        // A target that exposes the same as before costs nothing more.
        if self.seen_count < self.entries.len() {
            self.retain(|entry| entry.state.seen() == scrape);
        }
        if !self.departed {
            self.by_key = None;
        }
        // There are many targets, and most never have more series than now.
        if self.entries.capacity() - self.entries.len() > self.entries.len() / 8 {
            self.entries.shrink_to_fit();
        }
    }

    /// Ends a scrape nothing of which was stored: what was live still is. `last_good` bounds what else stays here.
    pub(super) fn keep(&mut self, last_good: usize) {
        if self.entries.len() > 2 * last_good + 1000 {
            self.retain(|entry| entry.state.is(State::LIVE));
        }
    }

    /// Ends a failed scrape: nothing is live. `last_good` bounds what a target that never succeeds can leave here.
    pub(super) fn fail(&mut self, last_good: usize) {
        if self.entries.len() > 2 * last_good + 1000 {
            *self = Self { scrape: self.scrape, ..Self::default() };
            return;
        }
        for entry in &mut self.entries {
            entry.state.set(State::LIVE, false);
        }
    }

    /// Number of series that texts stand for. Linear in the number of texts.
    pub(super) fn stored(&self) -> u64 {
        self.entries.iter().filter_map(Entry::series).collect::<HashSet<_>>().len() as u64
    }

    /// Number of texts.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Texts that there is room for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.entries.capacity().max(self.by_key.as_ref().map_or(0, HashTable::capacity))
    }

    /// The live series.
    pub(super) fn live(&self) -> impl Iterator<Item = SeriesRef> {
        self.entries.iter().filter(|entry| entry.state.is(State::LIVE)).filter_map(Entry::series)
    }
}

fn table_of(entries: &[Entry]) -> HashTable<u32> {
    let mut table = HashTable::with_capacity(entries.len());
    for (at, entry) in (0..).zip(entries) {
        table.insert_unique(entry.hash, at, |at| hash_at(entries, *at));
    }
    table
}

fn hash_at(entries: &[Entry], at: u32) -> u64 {
    entries.get(at as usize).map_or(0, |entry| entry.hash)
}

fn is_at(entries: &[Entry], at: u32, key: Key) -> bool {
    entries.get(at as usize).is_some_and(|entry| entry.key() == key)
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
                .find(text.as_bytes(), 0, None)
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
        assert!(cache.find(b"b", 0, None).is_none());
        assert!(cache.find(b"c", 0, None).is_some());
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
        assert!(cache.find(b"b", 0, None).is_none());
        assert!(cache.find(b"d", 0, None).is_some());
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
        let mut cache = Cache { scrape: State::SEEN - 1, ..Cache::default() };
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
            assert!(cache.find(b"a", key, None).is_none());
            cache.insert(b"a", key, Some(SeriesRef(u64::from(key))));
        }
        cache.insert(b"", 0, None);
        assert_eq!(cache.find(b"", 0, None).map(|at| cache.series(at)), Some(None));
        for key in (0..100).rev() {
            let at = cache.find(b"a", key, None).expect("known");
            assert_eq!(cache.series(at), Some(SeriesRef(u64::from(key))));
        }
    }

    #[test]
    fn what_is_expected_is_found_without_a_table() {
        let mut cache = Cache::default();
        scrape(&mut cache, &["a{b=\"c\"}", "d"]);
        cache.begin();
        let line = b"a{b=\"c\"} 1\nd 2\n".as_slice();
        let expected = cache.expected(0).expect("an entry");
        let length = Some(&expected).length_in(line).expect("it is the one");
        let text = &line[..length];
        assert_eq!((text, cache.find(text, 0, Some(&expected))), (b"a{b=\"c\"}".as_slice(), Some(0)));
        let expected = cache.expected(0).expect("an entry");
        assert_eq!(Some(&expected).length_in(b"e 1\n"), None);
        assert_eq!(Some(&expected).length_in(b""), None);
        // The same text elsewhere was not compared.
        assert!(Some(&expected).length_in(b"d 1\n").is_some());
        assert_eq!(cache.find(b"e", 0, Some(&expected)), None);
        assert!(cache.by_key.is_some());
        let other_type = cache.expected(1);
        assert!(other_type.is_none_or(|expected| Some(&expected).length_in(b"d 1\n").is_none()));
    }

    #[test]
    fn a_long_text_is_not_expected() {
        let mut cache = Cache::default();
        let long = format!("a{{{}}}", " ".repeat(MAX_EXPECTED_BYTES));
        scrape(&mut cache, &[&long, "b"]);
        cache.begin();
        assert!(cache.expected(0).is_none(), "each line would be hashed that far");
        assert_eq!(cache.find(long.as_bytes(), 0, None), Some(0));
        assert!(cache.expected(0).is_some());
    }

    #[test]
    fn the_table_goes_when_the_order_is_kept_again() {
        let mut cache = Cache::default();
        scrape(&mut cache, &["a", "b"]);
        assert!(cache.by_key.is_some());
        scrape(&mut cache, &["a", "b"]);
        assert!(cache.by_key.is_none());
        scrape(&mut cache, &["b", "a"]);
        assert!(cache.by_key.is_some());
    }
}
