//! Label pairs, each kept once, with the series that have them: what the head's series are made of and found by.
//!
//! **Cost**: a series holds four bytes for each of its labels; a pair that one series has takes no bitmap.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::BuildHasher as _;
use std::ops::Bound;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use roaring::RoaringBitmap;

use crate::tsdb::index::{LabelSource, Postings, ValueVisitor};

/// Number of a label pair in the head.
pub(super) type PairId = u32;

/// The text of a pair.
#[derive(Debug, Clone)]
pub(in crate::tsdb) struct PairText {
    pub(in crate::tsdb) name: Arc<str>,
    pub(in crate::tsdb) value: Arc<str>,
}

/// The series that have a pair.
#[derive(Debug, Clone)]
enum Members {
    /// None: the number is free.
    Free,
    One(u32),
    Many(RoaringBitmap),
}

impl Members {
    fn insert(&mut self, slot: u32) {
        match self {
            Self::Free => *self = Self::One(slot),
            Self::One(first) if *first == slot => {}
            Self::One(first) => *self = Self::Many(RoaringBitmap::from_iter([*first, slot])),
            Self::Many(all) => {
                all.insert(slot);
            }
        }
    }

    /// Removes a series; says whether none is left.
    fn remove(&mut self, slot: u32) -> bool {
        match self {
            Self::One(only) if *only != slot => return false,
            Self::Many(all) => {
                all.remove(slot);
                if !all.is_empty() {
                    return false;
                }
            }
            Self::Free | Self::One(_) => {}
        }
        *self = Self::Free;
        true
    }

    fn postings(&self) -> Postings<'_> {
        match self {
            Self::Free => Cow::Owned(RoaringBitmap::new()),
            Self::One(slot) => Cow::Owned(RoaringBitmap::from_iter([*slot])),
            Self::Many(all) => Cow::Borrowed(all),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::Free => 0,
            Self::One(_) => 1,
            Self::Many(all) => all.len(),
        }
    }
}

/// Where the log has the text of a pair: the file, and the pair's number in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LogPlace {
    pub(super) segment: u32,
    pub(super) number: u32,
}

#[derive(Debug)]
struct Pair {
    members: Members,
    logged: LogPlace,
}

/// Pairs in one page of texts; readers share whole pages.
const PAGE: usize = 1024;

/// The texts of all pairs as they were at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct PairTexts {
    pages: Vec<Arc<Vec<PairText>>>,
}

impl PairTexts {
    pub(super) fn get(&self, id: PairId) -> (&str, &str) {
        let text = self.shared(id);
        (&text.name, &text.value)
    }

    /// As [`PairTexts::get`], to be kept.
    pub(super) fn shared(&self, id: PairId) -> &PairText {
        &self.pages[id as usize / PAGE][id as usize % PAGE]
    }

    fn set(&mut self, id: PairId, text: PairText) {
        let (page, at) = (id as usize / PAGE, id as usize % PAGE);
        if page == self.pages.len() {
            self.pages.push(Arc::default());
        }
        // Copied only while a reader holds the page.
        let page = Arc::make_mut(&mut self.pages[page]);
        if at == page.len() { page.push(text) } else { page[at] = text }
    }
}

/// All label pairs of the head, and its inverted index.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    texts: PairTexts,
    slots: Vec<Pair>,
    free: Vec<PairId>,
    by_text: HashTable<PairId>,
    names: BTreeMap<Arc<str>, BTreeMap<Arc<str>, PairId>>,
    all: RoaringBitmap,
}

fn hash(name: &str, value: &str) -> u64 {
    FixedState::default().hash_one((name, value))
}

impl Pairs {
    /// The number of a pair, made if absent.
    fn intern(&mut self, name: &str, value: &str) -> PairId {
        let hashed = hash(name, value);
        if let Some(id) = self.by_text.find(hashed, |id| self.texts.get(*id) == (name, value)) {
            return *id;
        }
        let name: Arc<str> = match self.names.get_key_value(name) {
            Some((known, _)) => Arc::clone(known),
            None => name.into(),
        };
        let value: Arc<str> = value.into();
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Pair { members: Members::Free, logged: LogPlace::default() });
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 label pairs")
        });
        self.names.entry(Arc::clone(&name)).or_default().insert(Arc::clone(&value), id);
        self.texts.set(id, PairText { name, value });
        let texts = &self.texts;
        self.by_text.insert_unique(hashed, id, |id| {
            let (name, value) = texts.get(*id);
            hash(name, value)
        });
        id
    }

    /// Adds series `slot` with labels in name order; returns the numbers of its pairs.
    pub(super) fn insert<'a>(
        &mut self,
        slot: u32,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Box<[PairId]> {
        self.all.insert(slot);
        let ids: Box<[PairId]> = labels.map(|(name, value)| self.intern(name, value)).collect();
        for id in &ids {
            self.slots[*id as usize].members.insert(slot);
        }
        ids
    }

    /// Removes series `slot`, and pairs that no series has any more.
    pub(super) fn remove(&mut self, slot: u32, ids: &[PairId]) {
        self.all.remove(slot);
        for id in ids {
            let pair = &mut self.slots[*id as usize];
            if !pair.members.remove(slot) {
                continue;
            }
            pair.logged = LogPlace::default();
            let (name, value) = self.texts.get(*id);
            if let Ok(entry) = self.by_text.find_entry(hash(name, value), |other| other == id) {
                entry.remove();
            }
            if let Some(values) = self.names.get_mut(name) {
                values.remove(value);
                if values.is_empty() {
                    self.names.remove(name);
                }
            }
            let nothing: Arc<str> = Arc::from("");
            self.texts.set(*id, PairText { name: Arc::clone(&nothing), value: nothing });
            self.free.push(*id);
        }
    }

    /// The texts as they are now.
    pub(super) fn texts(&self) -> &PairTexts {
        &self.texts
    }

    /// Where the log has pair `id`.
    pub(super) fn logged(&self, id: PairId) -> LogPlace {
        self.slots[id as usize].logged
    }

    /// Notes where the log has pair `id`.
    pub(super) fn set_logged(&mut self, id: PairId, place: LogPlace) {
        self.slots[id as usize].logged = place;
    }

    /// Number of different pairs.
    pub(super) fn len(&self) -> usize {
        self.by_text.len()
    }
}

/// The inverted index of the head.
#[derive(Debug)]
pub struct HeadIndex<'a>(pub(super) &'a Pairs);

impl<'a> HeadIndex<'a> {
    /// What matchers are resolved against.
    pub fn source(&self) -> &'a dyn LabelSource {
        self.0
    }

    /// Calls `visit` with name, value and number of series of each pair, sorted.
    pub fn each_pair(&self, mut visit: impl FnMut(&str, &str, u64)) {
        for (name, values) in &self.0.names {
            for (value, id) in values {
                visit(name, value, self.0.slots[*id as usize].members.len());
            }
        }
    }
}

impl LabelSource for Pairs {
    fn all(&self) -> Postings<'_> {
        Cow::Borrowed(&self.all)
    }

    fn postings(&self, name: &str, value: &str) -> Postings<'_> {
        match self.by_text.find(hash(name, value), |id| self.texts.get(*id) == (name, value)) {
            Some(id) => self.slots[*id as usize].members.postings(),
            None => Cow::Owned(RoaringBitmap::new()),
        }
    }

    fn each_value<'a>(&'a self, name: &str, prefix: &str, visit: &mut ValueVisitor<'a, '_>) {
        let Some(values) = self.names.get(name) else { return };
        for (value, id) in values.range::<str, _>((Bound::Included(prefix), Bound::Unbounded)) {
            let postings = || self.slots[*id as usize].members.postings();
            if !value.starts_with(prefix) || visit(value, &postings).is_break() {
                return;
            }
        }
    }

    fn each_name(&self, visit: &mut dyn FnMut(&str)) {
        self.names.keys().for_each(|name| visit(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_shared_and_given_back() {
        let mut pairs = Pairs::default();
        let labels =
            |job: &'static str, n: &'static str| [("__name__", "up"), ("job", job), ("n", n)].into_iter();
        let first = pairs.insert(3, labels("a", "1"));
        let second = pairs.insert(4, labels("a", "2"));
        assert_eq!(first[..2], second[..2]);
        assert_eq!(pairs.len(), 4);
        assert_eq!(pairs.postings("job", "a").iter().collect::<Vec<_>>(), [3, 4]);
        let before = pairs.texts().clone();
        pairs.remove(3, &first);
        let third = pairs.insert(5, labels("b", "3"));
        assert_eq!(before.get(first[2]), ("n", "1"), "a reader keeps what it saw");
        assert_eq!(
            third.iter().map(|id| pairs.texts().get(*id)).collect::<Vec<_>>(),
            labels("b", "3").collect::<Vec<_>>()
        );
        assert!(pairs.postings("n", "1").is_empty());
        pairs.remove(4, &second);
        pairs.remove(5, &third);
        assert_eq!((pairs.len(), pairs.all().len()), (0, 0));
        let mut names = 0;
        pairs.each_name(&mut |_| names += 1);
        assert_eq!(names, 0);
    }
}
