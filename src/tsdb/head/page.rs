//! A run of slots for series: dense as a rule, sparse where a log names few of them.
//!
//! **Cost**: a slot of a sparse page is found by a binary search; one that is not there takes no memory. What a log
//! names decides which slots there are, and must not cost more than in proportion to its length.

use super::series::MemSeries;

/// Slots in one page; what works on several pages at once splits the head between them.
pub(super) const PAGE: usize = 1024;

/// With as many slots a sparse page becomes a dense one.
const MIN_DENSE: usize = PAGE / MAX_GAP;
/// As many slots in a row that nobody named are made for the sake of a dense page.
const MAX_GAP: usize = 8;

/// Room for a series.
#[derive(Debug)]
pub(super) enum Slot {
    /// Without one; as often the slot was given away.
    Vacant { generation: u32 },
    /// With one, whose reference says how often.
    Taken(MemSeries),
}

const _: () = assert!(size_of::<Slot>() == size_of::<MemSeries>());

impl Default for Slot {
    fn default() -> Self {
        Self::Vacant { generation: 0 }
    }
}

impl Slot {
    /// How often it was given away.
    pub(super) fn generation(&self) -> u32 {
        match self {
            Self::Vacant { generation } => *generation,
            Self::Taken(series) => series.reference.generation(),
        }
    }

    pub(super) fn series(&self) -> Option<&MemSeries> {
        match self {
            Self::Vacant { .. } => None,
            Self::Taken(series) => Some(series),
        }
    }

    pub(super) fn series_mut(&mut self) -> Option<&mut MemSeries> {
        match self {
            Self::Vacant { .. } => None,
            Self::Taken(series) => Some(series),
        }
    }

    /// Takes the series out.
    pub(super) fn take(&mut self) -> Option<MemSeries> {
        let generation = self.generation();
        match std::mem::replace(self, Self::Vacant { generation }) {
            Self::Vacant { .. } => None,
            Self::Taken(series) => Some(series),
        }
    }
}

/// A run of at most [`PAGE`] slots.
#[derive(Debug, Default)]
pub(super) struct Page {
    slots: Vec<Slot>,
    /// Of a sparse page the number of each of its slots, ascending; empty for a dense page, whose slots are numbered
    /// from 0 on without a gap.
    numbers: Vec<u16>,
}

impl Page {
    /// A dense page with room for as many slots.
    pub(super) fn with_capacity(slots: usize) -> Self {
        Self { slots: Vec::with_capacity(slots), numbers: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether its slots have no gaps.
    pub(super) fn is_dense(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Where slot `number` is among those there are.
    #[inline]
    fn place(&self, number: usize) -> Option<usize> {
        if self.is_dense() {
            return Some(number);
        }
        self.numbers.binary_search_by_key(&number, |number| usize::from(*number)).ok()
    }

    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<&Slot> {
        self.slots.get(self.place(number)?)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Slot> {
        let place = self.place(number)?;
        self.slots.get_mut(place)
    }

    /// Adds the slot behind the last one and returns its number; none if that must stay free or the page is full.
    pub(super) fn push(&mut self, slot: Slot) -> Option<usize> {
        if !self.is_dense() || self.slots.len() >= PAGE {
            return None;
        }
        self.slots.push(slot);
        Some(self.slots.len() - 1)
    }

    /// Slot `number`, below [`PAGE`], made if absent.
    pub(super) fn make(&mut self, number: usize) -> &mut Slot {
        debug_assert!(number < PAGE, "slots of other pages are made there");
        if self.is_dense() && number > self.slots.len() + MAX_GAP {
            self.thin();
            if self.numbers.is_empty() {
                // Sparse, though nothing is there yet: the first number says so.
                return self.insert(0, number);
            }
        }
        if self.is_dense() {
            if self.slots.len() <= number {
                self.slots.resize_with(number + 1, Slot::default);
            }
            return &mut self.slots[number];
        }
        match self.numbers.binary_search_by_key(&number, |number| usize::from(*number)) {
            Ok(place) => &mut self.slots[place],
            Err(place) if self.slots.len() < MIN_DENSE => self.insert(place, number),
            Err(_) => {
                self.fill(0);
                &mut self.slots[number]
            }
        }
    }

    fn insert(&mut self, place: usize, number: usize) -> &mut Slot {
        self.slots.insert(place, Slot::default());
        self.numbers.insert(place, u16::try_from(number).unwrap_or(u16::MAX));
        &mut self.slots[place]
    }

    /// Makes a dense page a sparse one, without the slots that nobody named.
    fn thin(&mut self) {
        let there = std::mem::take(&mut self.slots);
        let named = (0..).zip(there).filter(|(_, slot)| slot.series().is_some() || slot.generation() > 0);
        (self.numbers, self.slots) = named.unzip();
    }

    /// Whether it has all its slots.
    pub(super) fn is_full(&self) -> bool {
        self.slots.len() == PAGE
    }

    /// Makes the page a full one; slots that were not there have `generation`.
    pub(super) fn fill(&mut self, generation: u32) {
        let new = || Slot::Vacant { generation };
        if self.is_dense() {
            self.slots.resize_with(PAGE, new);
            return;
        }
        let there = std::mem::take(&mut self.slots);
        self.slots.resize_with(PAGE, new);
        for (number, slot) in std::mem::take(&mut self.numbers).into_iter().zip(there) {
            self.slots[usize::from(number)] = slot;
        }
    }

    /// Its slots, ascending.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Slot> {
        self.slots.iter()
    }

    /// Its slots, ascending.
    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Slot> {
        self.slots.iter_mut()
    }

    /// Its slots with their numbers, ascending.
    pub(super) fn numbered_mut(&mut self) -> impl Iterator<Item = (usize, &mut Slot)> {
        let numbers = &self.numbers;
        let number = |place: usize| numbers.get(place).map_or(place, |number| usize::from(*number));
        self.slots.iter_mut().enumerate().map(move |(place, slot)| (number(place), slot))
    }

    /// Its slots from `number` on, ascending.
    pub(super) fn from(&self, number: usize) -> &[Slot] {
        let place = if self.is_dense() {
            number
        } else {
            self.numbers.partition_point(|there| usize::from(*there) < number)
        };
        self.slots.get(place..).unwrap_or_default()
    }
}

impl<'a> IntoIterator for &'a Page {
    type Item = &'a Slot;
    type IntoIter = std::slice::Iter<'a, Slot>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut Page {
    type Item = &'a mut Slot;
    type IntoIter = std::slice::IterMut<'a, Slot>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn slots_are_found_where_they_were_made(
            numbers in prop::collection::vec(prop_oneof![0usize..PAGE, 0usize..20, Just(MAX_GAP)], 0..300),
        ) {
            let mut page = Page::default();
            let mut model = BTreeMap::new();
            for (at, number) in (0..).zip(numbers) {
                *page.make(number) = Slot::Vacant { generation: at + 1 };
                model.insert(number, at + 1);
                if !page.is_dense() {
                    prop_assert_eq!(page.iter().len(), model.len(), "a sparse page has no others");
                    prop_assert!(model.len() <= MIN_DENSE);
                }
                prop_assert!(page.iter().len() <= model.len() * (MAX_GAP + 1));
            }
            for number in 0..PAGE {
                let found = page.get(number).map_or(0, Slot::generation);
                prop_assert_eq!(found, model.get(&number).copied().unwrap_or(0));
                prop_assert_eq!(page.get_mut(number).map_or(0, |slot| slot.generation()), found);
                let from = page.from(number).iter().map(Slot::generation).find(|generation| *generation > 0);
                prop_assert_eq!(from, model.range(number..).next().map(|(_, at)| *at));
            }
            let numbered = page.numbered_mut().map(|(number, slot)| (number, slot.generation()));
            let made: BTreeMap<_, _> = numbered.filter(|(_, generation)| *generation > 0).collect();
            prop_assert_eq!(made, model);
        }
    }

    #[test]
    fn a_page_takes_slots_behind_its_last_until_it_is_full() {
        let mut page = Page::with_capacity(1);
        for number in 0..PAGE {
            assert_eq!(page.push(Slot::default()), Some(number));
        }
        assert_eq!(page.push(Slot::default()), None);
        let mut sparse = Page::default();
        sparse.make(900);
        assert_eq!(sparse.push(Slot::default()), None, "what lies between was given away before");
    }
}
