//! What leaves the head once it is in a block: chunks, then series without chunks, then timestamps nobody needs.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;

use roaring::RoaringBitmap;

use super::series;
use super::{Departed, Head};
use crate::codec::frame;
use crate::model::{Labels, Matcher, TimeRange};
use crate::tsdb::SeriesRef;
use crate::tsdb::chunk::open::TimelineId;
use crate::tsdb::error::Result;
use crate::tsdb::index::resolve::resolve;
use crate::tsdb::record;
use crate::tsdb::wal::Wal;
use crate::util::lock::{lock, read, write};

impl Head {
    /// Refuses samples in order before `min_time` (milliseconds) from now on, and sets late ones apart: blocks are
    /// about to be cut there. `then` runs before the next commit.
    pub fn close_before<T>(&self, min_time: i64, then: impl FnOnce() -> T) -> T {
        // With the intake in hand: no commit that still saw the old border may be half applied.
        let _intake = lock(&self.intake);
        self.min_valid.fetch_max(min_time, Ordering::AcqRel);
        for slot in write(&self.table).pages.iter_mut().flatten() {
            if let Some(series) = &mut slot.series {
                series.set_leaving(min_time);
            }
        }
        then()
    }

    /// Time of the oldest sample in order at or after `floor`, in milliseconds.
    pub(in crate::tsdb) fn first_from(&self, floor: i64) -> Option<i64> {
        let table = read(&self.table);
        table.iter().filter_map(|series| series.first_from(floor, &table.timelines)).min()
    }

    /// The windows of `range` milliseconds that begin before `end` and hold late samples set apart, by their start.
    pub(in crate::tsdb) fn leaving_windows(&self, range: i64, end: i64) -> BTreeSet<i64> {
        let table = read(&self.table);
        let late = table.iter().filter_map(|series| series.rest.as_ref()).flat_map(|rest| &rest.leaving);
        late.map(|(t, _)| t.saturating_sub(t.rem_euclid(range))).filter(|start| *start < end).collect()
    }

    /// Drops what ends before `min_time`, and exemplars before it that came before the mark `upto`. `publish` runs
    /// while no select can look: it makes the block visible that holds what is dropped.
    pub fn truncate(&self, min_time: i64, upto: u64, publish: impl FnOnce()) {
        let intake = lock(&self.intake);
        let mut table = write(&self.table);
        publish();
        self.floor.fetch_max(min_time, Ordering::AcqRel);
        let mut needed: HashMap<TimelineId, u32> = HashMap::new();
        let mut oldest: Option<i64> = None;
        let mut idle = Vec::new();
        table.exemplars.leave(min_time, upto);
        let super::Table { pages, timelines, exemplars, .. } = &mut *table;
        for series in pages.iter_mut().flatten().filter_map(|slot| slot.series.as_mut()) {
            let left = series.truncate(min_time, |times| {
                if let Some((id, first)) = series::shared(times) {
                    let entry = needed.entry(id).or_insert(first);
                    *entry = first.min(*entry);
                }
            });
            let left = left || exemplars.holds(series.reference);
            // A series that was just made is about to get its first sample; one that never did goes the next time.
            if !left && (series.last_time != i64::MIN || series.empty) {
                idle.push(series.reference);
            }
            series.empty = series.last_time == i64::MIN;
            let late = series.rest.as_ref().and_then(|rest| rest.late.first()).map(|(t, _)| *t);
            oldest = oldest.into_iter().chain(series.first_from(min_time, timelines)).chain(late).min();
        }
        let any_idle = !idle.is_empty();
        for reference in idle {
            if let Some(series) = table.get(reference).filter(|series| series.was_late) {
                let texts = series.pairs.iter().map(|id| table.pairs.texts().get(*id));
                let labels = Labels::from_pairs(texts);
                lock(&self.departed).push(Departed { reference, labels, segment: intake.log_segment() });
            }
            table.remove(reference.slot());
            self.removed.fetch_add(1, Ordering::Relaxed);
        }
        if any_idle {
            table.keep_exemplars_of_series();
        }
        table.forget_families();
        table.timelines.trim(&needed);
        self.min_time.store(oldest.unwrap_or(i64::MAX), Ordering::Relaxed);
        if oldest.is_none() {
            self.max_time.store(i64::MIN, Ordering::Relaxed);
        }
    }

    /// Forgets the series that left while the log wrote to segment `upto` or one before: those are gone.
    pub(in crate::tsdb) fn forget_departed(&self, upto: u64) {
        lock(&self.departed).retain(|series| u64::from(series.segment) > upto);
    }

    /// Deletes the samples inside `range` of the series that match one of `selectors`, from the log on. Returns the
    /// number of series that had any.
    ///
    /// # Errors
    /// When the log cannot take it; nothing is deleted then.
    pub(in crate::tsdb) fn delete(
        &self,
        wal: &Wal,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<usize> {
        let (number, touched) = {
            let _intake = lock(&self.intake);
            wal.begin()?;
            // What comes later is not meant, even if its time is inside the range.
            let newest = self.max_time.load(Ordering::Relaxed).max(self.min_valid().saturating_sub(1));
            let newest = newest.max(read(&self.table).exemplars.newest_time().unwrap_or(i64::MIN));
            let range = TimeRange { end: range.end.min(newest), ..range };
            let mut references: Vec<SeriesRef> = {
                let table = read(&self.table);
                let wanted = selectors
                    .iter()
                    .fold(RoaringBitmap::new(), |all, matchers| all | resolve(&table.pairs, matchers));
                let series = wanted.iter().filter_map(|slot| table.at_slot(slot));
                series.filter(|series| series.logged).map(|series| series.reference).collect()
            };
            // Their samples are in blocks; but late ones would come back with the next replay of the log.
            let departed = lock(&self.departed);
            let matched = |series: &&Departed| {
                selectors.iter().any(|matchers| matchers.iter().all(|m| m.matches_labels(&series.labels)))
            };
            references.extend(departed.iter().filter(matched).map(|series| series.reference));
            drop(departed);
            references.sort_unstable();
            if references.is_empty() || range.start > range.end {
                return Ok(0);
            }
            let mut record = Vec::new();
            frame::put_record(&mut record, |out| {
                record::put_delete(out, &references, range.start, range.end);
            });
            let number = wal.append(&record, Some(range.end))?;
            let mut table = write(&self.table);
            let with_exemplars = table.exemplars.delete(&references, range);
            let mut touched = 0;
            for reference in references {
                if let Some((series, timelines)) = table.get_mut(reference) {
                    let any = series.delete(range, timelines);
                    touched += usize::from(any || with_exemplars.binary_search(&reference).is_ok());
                }
            }
            (number, touched)
        };
        wal.acknowledge(number)?;
        Ok(touched)
    }

    /// Calls `visit` with the references and label pairs of the series the log knows, page by page; commits go on
    /// between pages.
    pub(in crate::tsdb) fn each_logged_page(&self, mut visit: impl FnMut(&[LoggedSeries])) {
        let mut page = 0;
        let mut found = Vec::new();
        loop {
            found.clear();
            {
                let table = read(&self.table);
                let Some(slots) = table.pages.get(page) else { return };
                for series in slots.iter().filter_map(|slot| slot.series.as_ref()).filter(|s| s.logged) {
                    let text = |id: &u32| {
                        let (name, value) = table.pairs.texts().get(*id);
                        (*id, name.to_owned(), value.to_owned())
                    };
                    found.push(LoggedSeries {
                        reference: series.reference,
                        labels: series.pairs.iter().map(text).collect(),
                    });
                }
            }
            visit(&found);
            page += 1;
        }
    }
}

/// A series as a checkpoint keeps it.
pub(in crate::tsdb) struct LoggedSeries {
    /// Its identity.
    pub(in crate::tsdb) reference: SeriesRef,
    /// Its labels, each with a number that stands for the pair.
    pub(in crate::tsdb) labels: Vec<(u32, String, String)>,
}
