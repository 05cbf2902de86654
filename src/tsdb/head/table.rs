//! All series of the head: by reference and by labels.

use std::sync::Arc;

use hashbrown::HashTable;

use super::series::MemSeries;
use crate::model::Labels;
use crate::tsdb::SeriesRef;

#[derive(Default)]
struct Slot {
    /// How often the slot was given away.
    generation: u32,
    series: Option<Arc<MemSeries>>,
}

/// Slots with series, and a hash table of slot numbers keyed by labels.
#[derive(Default)]
pub(super) struct SeriesTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_labels: HashTable<u32>,
}

impl SeriesTable {
    pub(super) fn len(&self) -> usize {
        self.by_labels.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<MemSeries>> {
        self.slots.iter().filter_map(|slot| slot.series.as_ref())
    }

    pub(super) fn get(&self, reference: SeriesRef) -> Option<&Arc<MemSeries>> {
        let slot = self.slots.get(reference.slot() as usize)?;
        slot.series.as_ref().filter(|_| slot.generation == reference.generation())
    }

    pub(super) fn at_slot(&self, slot: u32) -> Option<&Arc<MemSeries>> {
        self.slots.get(slot as usize)?.series.as_ref()
    }

    pub(super) fn find(&self, labels: &Labels) -> Option<&Arc<MemSeries>> {
        let slot = self.by_labels.find(labels.hash64(), |slot| {
            self.at_slot(*slot).is_some_and(|series| series.labels() == labels)
        })?;
        self.at_slot(*slot)
    }

    /// Makes a series that is not there yet.
    pub(super) fn insert(&mut self, labels: Labels) -> Arc<MemSeries> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 series at once")
        });
        let generation = self.slots[slot as usize].generation;
        let reference = SeriesRef::new(generation, slot);
        self.put(reference, labels, false)
    }

    /// Makes a series read from the log. Returns a series of an earlier generation that had the slot, and whether
    /// the series is new.
    pub(super) fn insert_at(
        &mut self,
        reference: SeriesRef,
        labels: &Labels,
    ) -> (Option<Arc<MemSeries>>, bool) {
        let at = reference.slot() as usize;
        while self.slots.len() <= at {
            self.slots.push(Slot::default());
        }
        let slot = &self.slots[at];
        if slot.series.is_some() && slot.generation >= reference.generation() {
            return (None, false);
        }
        let displaced = slot.series.clone();
        if let Some(old) = &displaced {
            self.unlink(old);
        }
        // The same labels may live in another slot when the log holds an earlier life of the series.
        if let Some(old) = self.find(labels).cloned() {
            self.unlink(&old);
            self.slots[old.reference().slot() as usize].series = None;
        }
        self.put(reference, labels.clone(), true);
        (displaced, true)
    }

    fn put(&mut self, reference: SeriesRef, labels: Labels, logged: bool) -> Arc<MemSeries> {
        let hash = labels.hash64();
        let series = Arc::new(MemSeries::new(reference, labels, logged));
        let slot = &mut self.slots[reference.slot() as usize];
        slot.generation = reference.generation();
        slot.series = Some(Arc::clone(&series));
        let slots = &self.slots;
        self.by_labels.insert_unique(hash, reference.slot(), |slot| {
            slots[*slot as usize].series.as_ref().map_or(0, |s| s.labels().hash64())
        });
        series
    }

    fn unlink(&mut self, series: &MemSeries) {
        let slot = series.reference().slot();
        if let Ok(entry) = self.by_labels.find_entry(series.labels().hash64(), |s| *s == slot) {
            entry.remove();
        }
    }

    /// Removes a series; its slot may be given away again with the next generation.
    pub(super) fn remove(&mut self, series: &MemSeries) {
        self.unlink(series);
        let number = series.reference().slot();
        let slot = &mut self.slots[number as usize];
        slot.series = None;
        slot.generation += 1;
        self.free.push(number);
    }

    /// After a replay: slots without series may be given away, with a generation the log has not seen.
    pub(super) fn collect_free_slots(&mut self) {
        self.free.clear();
        for (number, slot) in self.slots.iter_mut().enumerate() {
            if slot.series.is_none() {
                slot.generation += 1;
                self.free.push(u32::try_from(number).expect("slots are counted in 32 bits"));
            }
        }
    }
}
