//! All series of the head: by reference and by fingerprint.
//!
//! A fingerprint is a 128-bit hash of the labels under a seed of this process; equal fingerprints are taken for equal
//! labels, which spares keeping or comparing their text.

use std::sync::OnceLock;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::exemplars::Exemplars;
use super::families::Families;
use super::page::{PAGE, Page, Slot};
use super::pairs::Pairs;
use super::series::MemSeries;
use super::timeline::Timelines;
use crate::model::{Labels, METRIC_NAME};
use crate::tsdb::SeriesRef;
use crate::tsdb::index::LabelSource as _;
use crate::tsdb::record::exemplars::LoggedExemplar;

/// Slots are numbered up to here: more series than any memory holds, and few enough that a page table for all of them
/// is small.
pub(super) const MAX_SLOT: u32 = (1 << 28) - 1;

/// Everything in the head that the one lock guards.
#[derive(Default)]
pub(super) struct Table {
    pub(super) pages: Vec<Page>,
    free: Vec<u32>,
    /// Pages with slots that are not there, after a replay; the lowest last.
    partial: Vec<u32>,
    /// Generation of slots that are made from now on: no record of the log names a larger or equal one of a series that
    /// is not here.
    generation: u32,
    by_fingerprint: HashTable<u32>,
    pub(super) pairs: Pairs,
    pub(super) timelines: Timelines,
    pub(super) exemplars: Exemplars,
    pub(super) families: Families,
}

/// Fingerprint of a label set in its packed form.
pub(crate) fn fingerprint(labels: &Labels) -> u128 {
    fingerprint_packed(labels.packed())
}

/// As [`fingerprint`], of text packed as in [`Labels::packed`].
pub(crate) fn fingerprint_packed(packed: &str) -> u128 {
    static SEED: OnceLock<u64> = OnceLock::new();
    let seed = *SEED.get_or_init(|| {
        use std::hash::{BuildHasher as _, RandomState};
        RandomState::new().hash_one("fingerprints of series")
    });
    xxh3_128_with_seed(packed.as_bytes(), seed)
}

#[expect(clippy::cast_possible_truncation, reason = "any 64 of the 128 bits will do")]
fn short(fingerprint: u128) -> u64 {
    fingerprint as u64
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.by_fingerprint.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &MemSeries> {
        self.pages.iter().flatten().filter_map(|slot| slot.series())
    }

    fn slot(&self, number: u32) -> Option<&Slot> {
        self.pages.get(number as usize / PAGE)?.get(number as usize % PAGE)
    }

    fn slot_mut(&mut self, number: u32) -> Option<&mut Slot> {
        self.pages.get_mut(number as usize / PAGE)?.get_mut(number as usize % PAGE)
    }

    pub(super) fn at_slot(&self, slot: u32) -> Option<&MemSeries> {
        self.slot(slot)?.series()
    }

    pub(super) fn get(&self, reference: SeriesRef) -> Option<&MemSeries> {
        self.at_slot(reference.slot()).filter(|series| series.reference == reference)
    }

    /// The series, with what its samples need beside it.
    pub(super) fn get_mut(&mut self, reference: SeriesRef) -> Option<(&mut MemSeries, &mut Timelines)> {
        let slot = reference.slot() as usize;
        let series = self.pages.get_mut(slot / PAGE)?.get_mut(slot % PAGE)?.series_mut()?;
        (series.reference == reference).then_some((series, &mut self.timelines))
    }

    pub(super) fn find(&self, fingerprint: u128) -> Option<SeriesRef> {
        let found = self.by_fingerprint.find(short(fingerprint), |slot| {
            self.at_slot(*slot).is_some_and(|series| series.fingerprint() == fingerprint)
        })?;
        self.at_slot(*found).map(|series| series.reference)
    }

    /// As [`Table::find`], looking first at the slot after `near`: senders keep the order in which they made series.
    pub(super) fn find_near(&self, fingerprint: u128, near: Option<SeriesRef>) -> Option<SeriesRef> {
        let next = near.and_then(|near| self.at_slot(near.slot().wrapping_add(1)));
        match next {
            Some(series) if series.fingerprint() == fingerprint => Some(series.reference),
            _ => self.find(fingerprint),
        }
    }

    /// The number of a slot that is free.
    fn vacant(&mut self) -> u32 {
        if self.free.is_empty()
            && let Some(page) = self.partial.pop()
        {
            // Before a new page: over restarts there must not be ever more of them.
            let page = page as usize;
            let there: Vec<usize> = self.pages[page].numbered_mut().map(|(number, _)| number).collect();
            self.pages[page].fill(self.generation);
            let new = (0..PAGE).rev().filter(|number| there.binary_search(number).is_err());
            self.free.extend(new.filter_map(|number| u32::try_from(page * PAGE + number).ok()));
        }
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        let slot = || Slot::Vacant { generation: self.generation };
        let number = self.pages.last_mut().and_then(|page| page.push(slot())).unwrap_or_else(|| {
            let mut page = Page::with_capacity(if self.pages.is_empty() { 64 } else { PAGE });
            let number = page.push(slot()).unwrap_or_default();
            self.pages.push(page);
            number
        });
        let slot = u32::try_from((self.pages.len() - 1) * PAGE + number).unwrap_or(u32::MAX);
        assert!(slot <= MAX_SLOT, "memory ends before the numbers of series do");
        slot
    }

    /// Makes a series that is not there yet.
    pub(super) fn insert(&mut self, labels: &Labels, fingerprint: u128) -> SeriesRef {
        let slot = self.vacant();
        let generation = self.slot(slot).map_or(self.generation, Slot::generation);
        let reference = SeriesRef::new(generation, slot);
        self.put(reference, labels.iter(), fingerprint);
        reference
    }

    /// Makes a series read from the log, in the place of one of an earlier generation, or of the same labels
    /// elsewhere, that the log also has.
    pub(super) fn insert_logged(&mut self, reference: SeriesRef, labels: &Labels) {
        let slot = reference.slot();
        let (page, at) = (slot as usize / PAGE, slot as usize % PAGE);
        // Pages without any series stay empty, so that a high number costs next to nothing.
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, Page::default);
        }
        self.pages[page].make(at);
        self.note_generation(reference.generation());
        if let Some(old) = self.at_slot(slot) {
            if old.reference.generation() >= reference.generation() {
                return;
            }
            self.take(slot);
        }
        let fingerprint = fingerprint(labels);
        if let Some(old) = self.find(fingerprint) {
            self.take(old.slot());
        }
        self.put(reference, labels.iter(), fingerprint);
        if let Some((series, _)) = self.get_mut(reference) {
            series.logged = true;
        }
    }

    fn put<'a>(
        &mut self,
        reference: SeriesRef,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        fingerprint: u128,
    ) {
        let number = reference.slot();
        let pairs = self.pairs.insert(number, labels);
        let slot = self.pages[number as usize / PAGE].make(number as usize % PAGE);
        *slot = Slot::Taken(MemSeries::new(fingerprint, reference, pairs));
        let pages = &self.pages;
        self.by_fingerprint.insert_unique(short(fingerprint), number, |slot| {
            let slot = pages.get(*slot as usize / PAGE).and_then(|page| page.get(*slot as usize % PAGE));
            slot.and_then(|slot| slot.series()).map_or(0, |s| short(s.fingerprint()))
        });
    }

    fn take(&mut self, number: u32) {
        let Some(series) = self.slot_mut(number).and_then(Slot::take) else { return };
        if let Ok(entry) = self.by_fingerprint.find_entry(short(series.fingerprint()), |slot| *slot == number)
        {
            entry.remove();
        }
        self.pairs.remove(number, &series.pairs);
    }

    /// Removes a series; its slot may be given away again with the next generation.
    pub(super) fn remove(&mut self, number: u32) {
        self.take(number);
        let generation = self.generation;
        let Some(slot) = self.slot_mut(number) else { return };
        // A slot that was given away as often as can be counted is not given away again.
        if let Some(next) = slot.generation().checked_add(1) {
            *slot = Slot::Vacant { generation: generation.max(next) };
            self.free.push(number);
        }
    }

    /// Notes that the log names a series of this generation: of a slot that is not there any more, perhaps.
    pub(super) fn note_generation(&mut self, generation: u32) {
        self.generation = self.generation.max(generation);
    }

    /// After a replay: slots without series may be given away, with a generation the log has not seen.
    pub(super) fn collect_free_slots(&mut self) {
        self.free.clear();
        self.partial.clear();
        // Behind the last generation there is none that a free slot could have; damage alone gets there.
        let Some(next) = self.generation.checked_add(1) else { return };
        self.generation = next;
        for (page, slots) in self.pages.iter_mut().enumerate() {
            for (at, slot) in slots.numbered_mut().filter(|(_, slot)| slot.series().is_none()) {
                *slot = Slot::Vacant { generation: self.generation };
                self.free.push(u32::try_from(page * PAGE + at).expect("slots are counted in 32 bits"));
            }
        }
        // The last page, if it is dense, goes on to grow slot by slot.
        let last = self.pages.len().saturating_sub(1);
        let grows = |at: usize| at == last && self.pages[at].is_dense();
        let partial = (0..self.pages.len()).filter(|at| !self.pages[*at].is_full() && !grows(*at));
        self.partial = partial.filter_map(|at| u32::try_from(at).ok()).collect();
        // The lowest is given away first.
        self.free.reverse();
        self.partial.reverse();
    }

    /// Adds one that the log has; of a series that is not there it is left out.
    pub(super) fn insert_exemplar(&mut self, one: LoggedExemplar) {
        if let Some((series, _)) = self.get_mut(one.series) {
            // As with late samples the log may have it for longer than the series is here.
            series.was_late = true;
            self.exemplars.insert(one);
        }
    }

    /// Forgets exemplars whose series is not there.
    pub(super) fn keep_exemplars_of_series(&mut self) {
        let mut exemplars = std::mem::take(&mut self.exemplars);
        exemplars.keep_series(|series| self.get(series).is_some());
        self.exemplars = exemplars;
    }

    /// Forgets the families that no series is of any more.
    pub(super) fn forget_families(&mut self) {
        let pairs = &self.pairs;
        self.families.keep_families_of(|name| !pairs.postings(METRIC_NAME, name).is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_of_the_last_generation_is_not_given_away_again() {
        let mut table = Table::default();
        let labels = |text: &str| Labels::from_pairs([("a", text)]);
        table.insert_logged(SeriesRef::new(u32::MAX, 1), &labels("x"));
        table.collect_free_slots();
        table.remove(1);
        let made = table.insert(&labels("y"), fingerprint(&labels("y")));
        assert_eq!(made.slot(), 2);
    }

    /// Peaks and restarts that few series survive.
    #[test]
    fn slots_that_a_log_did_not_name_are_given_away() {
        let labels = |number: u32| Labels::from_pairs([("n", number.to_string())]);
        let (mut survivors, mut pages) = (Vec::new(), 0);
        for round in 0..4 {
            let mut table = Table::default();
            for (reference, labels) in &survivors {
                table.insert_logged(*reference, labels);
            }
            table.collect_free_slots();
            let known = u32::try_from(survivors.len()).expect("few");
            let mut all = survivors;
            for number in 0..20_000 - known {
                let labels = labels(round * 100_000 + number);
                let made = table.insert(&labels, fingerprint(&labels));
                assert!(all.iter().take(known as usize).all(|(old, _)| *old != made));
                all.push((made, labels));
            }
            let slots: std::collections::BTreeSet<u32> = all.iter().map(|(made, _)| made.slot()).collect();
            assert_eq!((table.len(), slots.len()), (20_000, 20_000));
            if round == 0 {
                pages = table.pages.len();
            }
            assert_eq!(table.pages.len(), pages, "round {round}");
            survivors = all.into_iter().step_by(100).collect();
        }
    }

    #[test]
    fn there_are_slots_below_the_last_number_that_a_log_names() {
        let mut table = Table::default();
        table.insert_logged(SeriesRef::new(0, MAX_SLOT), &Labels::from_pairs([("a", "x")]));
        table.collect_free_slots();
        for number in 0..2000 {
            let labels = Labels::from_pairs([("n", number.to_string())]);
            assert_eq!(table.insert(&labels, fingerprint(&labels)).slot(), number);
        }
    }
}
