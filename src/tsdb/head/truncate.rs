//! What leaves the head once it is in a block: chunks, then series without chunks, then timestamps nobody needs.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::time::Duration;

use roaring::RoaringBitmap;

use super::page::{PAGE, Page};
use super::pairs::PairText;
use super::series;
use super::table::Table;
use super::{Head, RemovedSeries};
use crate::codec::frame;
use crate::model::{Labels, Matcher, TimeRange};
use crate::storage::Watch;
use crate::tsdb::SeriesRef;
use crate::tsdb::chunk::open::TimelineId;
use crate::tsdb::error::Result;
use crate::tsdb::index::resolve::Patterns;
use crate::tsdb::points::{Point, reach};
use crate::tsdb::record;
use crate::tsdb::wal::Wal;
use crate::util::lock::{lock, read, write};

/// Pages of series that are looked at with the locks in hand: some 4,000 series, which takes a few milliseconds.
const SLICE_PAGES: usize = 4;
/// Series of which samples are deleted with the table in hand: each may have to be coded anew.
const SERIES_IN_SLICE: usize = 512;
/// Bytes of labels after which a checkpoint takes no more series at once; a page of ordinary ones has fewer.
const LOGGED_BYTES: usize = 4 << 20;
/// Pause between two slices.
const BETWEEN_SLICES: Duration = Duration::from_micros(500);

/// A truncation under way.
struct Leaving {
    min_time: i64,
    /// For each timeline the first entry that is still needed.
    needed: HashMap<TimelineId, u32>,
    /// Oldest sample that stays.
    oldest: Option<i64>,
    /// Whether any series left.
    any: bool,
}

impl Head {
    /// Refuses samples in order before `min_time` (milliseconds) from now on, and sets late ones apart: blocks are
    /// about to be cut there. `then` runs before the next commit. Late samples are set apart in slices, between which
    /// commits go on; of what they add some is set apart too.
    pub fn close_before<T>(&self, min_time: i64, then: impl FnOnce() -> T) -> T {
        let done = {
            // With the intake in hand: no commit that still saw the old border may be half applied.
            let _intake = lock(&self.intake);
            self.min_valid.fetch_max(min_time, Ordering::AcqRel);
            then()
        };
        let mut from = 0;
        loop {
            let mut table = write(&self.table);
            let Some(slice) = next_slice(&mut table.pages, &mut from) else { break };
            let series = slice.iter_mut().flatten().filter_map(|slot| slot.series_mut());
            series.for_each(|series| series.set_leaving(min_time));
            drop(table);
            // Whoever waits gets the lock: it is not a fair one.
            std::thread::sleep(BETWEEN_SLICES);
        }
        done
    }

    /// Time of the oldest sample in order at or after `floor`, in milliseconds.
    pub(in crate::tsdb) fn first_from(&self, floor: i64) -> Option<i64> {
        let mut oldest = None;
        self.each_slice(|table, slice| {
            let series = slice.iter().flatten().filter_map(|slot| slot.series());
            let first = series.filter_map(|series| series.first_from(floor, &table.timelines)).min();
            oldest = oldest.into_iter().chain(first).min();
        });
        oldest
    }

    /// Calls `look` with the table and some pages of it, one slice after the other; commits go on in between.
    pub(super) fn each_slice(&self, mut look: impl FnMut(&Table, &[Page])) {
        for from in (0..).step_by(SLICE_PAGES) {
            let table = read(&self.table);
            let Some(slice) = table.pages.get(from..).filter(|left| !left.is_empty()) else { break };
            look(&table, &slice[..slice.len().min(SLICE_PAGES)]);
        }
    }

    /// The windows of `range` milliseconds that begin before `end` and hold late samples set apart, by their start.
    pub(in crate::tsdb) fn leaving_windows(&self, range: i64, end: i64) -> BTreeSet<i64> {
        let mut windows = BTreeSet::new();
        self.each_slice(|_, slice| {
            let series = slice.iter().flatten().filter_map(|slot| slot.series());
            let late = series.filter_map(|series| series.rest.as_ref()).flat_map(|rest| rest.leaving.keys());
            windows.extend(late.map(|t| t.saturating_sub(t.rem_euclid(range))).filter(|start| *start < end));
        });
        windows
    }

    /// Drops what ends before `min_time`, and exemplars before it that came before the mark `upto`. `segment` gives the
    /// file of the log that is written. `publish` runs while no select can look: it makes the block visible that holds
    /// what is dropped. The rest is done in slices, between which commits and selects go on: what is still there of it
    /// is no longer shown.
    pub fn truncate(&self, min_time: i64, upto: u64, segment: impl Fn() -> u64, publish: impl FnOnce()) {
        let mut leaving = {
            let _intake = lock(&self.intake);
            let mut table = write(&self.table);
            publish();
            self.floor.fetch_max(min_time, Ordering::AcqRel);
            self.oldest_since.store(i64::MAX, Ordering::Relaxed);
            table.exemplars.leave(min_time, upto);
            Leaving { min_time, needed: table.timelines.needed_from(min_time), oldest: None, any: false }
        };
        let mut page = 0;
        while self.truncate_pages(&mut page, &mut leaving, &segment) {
            // Whoever waits gets the lock: it is not a fair one.
            std::thread::sleep(BETWEEN_SLICES);
        }
        let _intake = lock(&self.intake);
        let mut table = write(&self.table);
        if leaving.any {
            table.keep_exemplars_of_series();
        }
        table.forget_families();
        table.timelines.trim(&leaving.needed);
        // What came between the slices counts too.
        let oldest = leaving.oldest.unwrap_or(i64::MAX).min(self.oldest_since.load(Ordering::Relaxed));
        self.min_time.store(oldest, Ordering::Relaxed);
        if oldest == i64::MAX {
            self.max_time.store(i64::MIN, Ordering::Relaxed);
        }
    }

    /// One slice of a truncation, from page `from` on, which it moves; false when there is none left.
    fn truncate_pages(&self, from: &mut usize, leaving: &mut Leaving, segment: &dyn Fn() -> u64) -> bool {
        let _intake = lock(&self.intake);
        let mut table = write(&self.table);
        let super::Table { pages, timelines, exemplars, .. } = &mut *table;
        let Some(slice) = next_slice(pages, from) else { return false };
        let Leaving { min_time, needed, oldest, any } = leaving;
        let mut idle = Vec::new();
        for series in slice.iter_mut().flatten().filter_map(|slot| slot.series_mut()) {
            let left = series.truncate(*min_time, |times| {
                if let Some((id, first)) = series::shared(times) {
                    let entry = needed.entry(id).or_insert(first);
                    *entry = first.min(*entry);
                }
            });
            let left = left || exemplars.holds(series.reference);
            // A series that was just made is about to get its first sample; one that never did goes the next time. One
            // whose newest samples were deleted stays: the log, which is kept for as long, names it.
            let over = if series.last_time == i64::MIN { series.empty } else { series.last_time < *min_time };
            if !left && over {
                idle.push(series.reference);
            }
            series.empty = series.last_time == i64::MIN;
            let late = series.rest.as_ref().and_then(|rest| rest.late.first_key_value()).map(|(t, _)| *t);
            *oldest = (*oldest).into_iter().chain(series.first_from(*min_time, timelines)).chain(late).min();
        }
        *any |= !idle.is_empty();
        for reference in idle {
            if let Some(series) = table.get(reference).filter(|series| series.was_late) {
                let texts = series.pairs.iter().map(|id| table.pairs.texts().get(*id));
                let labels = Labels::from_pairs(texts);
                lock(&self.removed_series).push(RemovedSeries { reference, labels, segment: segment() });
            }
            table.remove(reference.slot());
            self.removed.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    /// Forgets the series that left while the log wrote to segment `upto` or one before: those are gone.
    pub(in crate::tsdb) fn forget_departed(&self, upto: u64) {
        lock(&self.removed_series).retain(|series| series.segment > upto);
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
        let mut patterns: Vec<Patterns<'_>> = selectors.iter().map(|all| Patterns::new(all)).collect();
        for one in &mut patterns {
            // Beforehand, since nobody may wait for what expressions take; only values that come meanwhile are left.
            while !self.is_resolved(one) {
                one.answer(Watch::NONE).expect("nobody says no");
            }
        }
        let (number, touched) = {
            let _intake = lock(&self.intake);
            wal.begin()?;
            // What comes later is not meant, even if its time is inside the range.
            let newest = self.max_time.load(Ordering::Relaxed).max(self.min_valid().saturating_sub(1));
            let newest = newest.max(read(&self.table).exemplars.newest_time().unwrap_or(i64::MIN));
            let range = TimeRange { end: range.end.min(newest), ..range };
            let mut references: Vec<SeriesRef> = {
                let table = read(&self.table);
                let wanted = patterns
                    .iter_mut()
                    .fold(RoaringBitmap::new(), |all, one| all | one.resolve_now(&table.pairs));
                let series = wanted.iter().filter_map(|slot| table.at_slot(slot));
                series.filter(|series| series.logged).map(|series| series.reference).collect()
            };
            // Their samples are in blocks; but late ones would come back with the next replay of the log.
            let removed_series = lock(&self.removed_series);
            let matched = |series: &&RemovedSeries| {
                selectors.iter().any(|matchers| matchers.iter().all(|m| m.matches_labels(&series.labels)))
            };
            references.extend(removed_series.iter().filter(matched).map(|series| series.reference));
            drop(removed_series);
            references.sort_unstable();
            if references.is_empty() || range.start > range.end {
                return Ok(0);
            }
            let mut record = Vec::new();
            frame::put_record(&mut record, |out| {
                record::put_delete(out, &references, range.start, range.end);
            });
            let number = wal.append(&record, Some(range.end))?;
            reach(Point::DeletionLogged);
            let mut table = None;
            let with_exemplars = write(&self.table).exemplars.delete(&references, range);
            let mut touched = 0;
            // No commit comes between; selects do, which may see a part of it.
            for (number, reference) in references.into_iter().enumerate() {
                if number.is_multiple_of(SERIES_IN_SLICE) {
                    drop(table.take());
                    // Whoever waits gets the lock: it is not a fair one.
                    std::thread::sleep(BETWEEN_SLICES);
                }
                let table = table.get_or_insert_with(|| write(&self.table));
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

    fn is_resolved(&self, patterns: &mut Patterns<'_>) -> bool {
        patterns.resolve(&read(&self.table).pairs).is_some()
    }

    /// Calls `visit` with the references and label pairs of the series the log knows, some at a time; commits go on
    /// between.
    pub(in crate::tsdb) fn each_logged(&self, mut visit: impl FnMut(&[LoggedSeries])) {
        let mut next = 0;
        let mut found = Vec::new();
        while let Some(behind) = self.logged_from(next, &mut found) {
            visit(&found);
            found.clear();
            next = behind;
        }
    }

    /// Adds series of the page of slot `from` that the log knows to `found`, from that slot on: all of them, or as many as
    /// reach [`LOGGED_BYTES`]. Returns the slot to go on from, none behind the last page.
    fn logged_from(&self, from: usize, found: &mut Vec<LoggedSeries>) -> Option<usize> {
        let table = read(&self.table);
        let page = from / PAGE;
        let mut bytes = 0;
        let all = table.pages.get(page)?.from(from % PAGE).iter().filter_map(|slot| slot.series());
        for series in all.filter(|series| series.logged) {
            let reference = series.reference;
            if bytes >= LOGGED_BYTES {
                return Some(reference.slot() as usize);
            }
            let texts = table.pairs.texts();
            let labels: Vec<_> = series.pairs.iter().map(|id| (*id, texts.shared(*id).clone())).collect();
            let texts = labels.iter().map(|(_, text)| text.name.len() + text.value.len());
            bytes += texts.sum::<usize>() + size_of_val(&*labels);
            found.push(LoggedSeries { reference, labels });
        }
        Some((page + 1) * PAGE)
    }
}

/// The pages of the next slice from page `from` on, which moves behind it; none behind the last page. Empty pages are
/// passed over: a log may name slots far apart.
fn next_slice<'a>(pages: &'a mut [Page], from: &mut usize) -> Option<&'a mut [Page]> {
    let left = pages.get(*from..)?;
    *from += left.iter().position(|page| !page.is_empty())?;
    let start = std::mem::replace(from, pages.len().min(*from + SLICE_PAGES));
    Some(&mut pages[start..*from])
}

/// A series as a checkpoint keeps it.
pub(in crate::tsdb) struct LoggedSeries {
    /// Its identity.
    pub(in crate::tsdb) reference: SeriesRef,
    /// Its labels, each with a number that stands for the pair.
    pub(in crate::tsdb) labels: Vec<(u32, PairText)>,
}
