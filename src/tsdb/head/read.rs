//! The way out: what the series that match hold, as it is at one moment.
//!
//! **Cost**: a select copies the open bits of each series, and a handle for each sealed chunk; where only the newest
//! sample is wanted, that sample. Labels are put together only when asked for.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLockReadGuard};

use roaring::RoaringBitmap;

use super::Head;
use super::pairs::{PairId, PairTexts};
use super::series::{self, Extras, LateSample, MemSeries, SealedChunk, SealedHistograms};
use super::starts::{self, StartRun};
use super::table::Table;
use super::timeline::Stamps;
use crate::model::{Histogram, Labels, Matcher, Samples, TimeRange};
use crate::storage::{Fields, Need, SelectRequest, SeriesSet, StorageError, Watch};
use crate::tsdb::chunk::open::{OwnTimes, TimelineId, Times, ValueShape, read_values};
use crate::tsdb::index::LabelSource;
use crate::tsdb::index::resolve::Patterns;
use crate::util::lock::read;

/// Series between two looks whether to go on.
const BETWEEN_LOOKS: usize = 1024;

/// The values of an open chunk as they were.
struct OpenSnapshot {
    times: Times,
    count: u16,
    shape: ValueShape,
    /// Where its bits are in the set's bytes.
    bytes: (usize, usize),
}

struct Entry {
    /// Where its label pairs end; they begin where those of the entry before end.
    pairs: (u32, u32),
    /// Its sealed chunks.
    sealed: (u32, u32),
    recent: Recent,
    beside: Option<Box<Beside>>,
}

/// What was taken along of the samples that are in no sealed chunk.
enum Recent {
    Nothing,
    Chunk(Box<OpenSnapshot>),
    /// The newest sample, where no other is wanted.
    Newest(i64, u64),
}

/// Late samples and histograms.
struct Beside {
    late: Vec<LateSample>,
    sealed: Vec<Arc<SealedHistograms>>,
    histograms: Vec<(i64, Arc<Histogram>)>,
}

/// Series of the head, in label order, with what they hold inside a time range.
#[derive(Default)]
pub struct HeadSeriesSet {
    texts: PairTexts,
    pairs: Vec<PairId>,
    /// In the order they were found; `order` has their numbers in label order.
    entries: Vec<Entry>,
    order: Vec<u32>,
    sealed: Vec<Arc<SealedChunk>>,
    bytes: Vec<u8>,
    /// Of entries with starts, their numbers, rising, and where their runs end.
    starts: Vec<(u32, u32)>,
    runs: Vec<StartRun>,
    stamps: HashMap<TimelineId, Stamps>,
    /// Samples before this are left to the blocks.
    floor: i64,
    /// What of samples matters.
    fields: Fields,
}

fn as_u32(n: usize) -> u32 {
    u32::try_from(n).expect("a select holds fewer than 2^32 chunks")
}

fn span<T>(all: &[T], (start, end): (u32, u32)) -> &[T] {
    &all[start as usize..end as usize]
}

impl Head {
    /// The series that match and may have samples inside `range`. `then` runs while no commit is half visible and
    /// nothing is being truncated: what it reads belongs to the same moment.
    ///
    /// # Errors
    /// When its watch says no.
    pub fn select<T>(
        &self,
        SelectRequest { matchers, range, need, fields, watch }: SelectRequest<'_>,
        then: impl FnOnce() -> T,
    ) -> Result<(HeadSeriesSet, T), StorageError> {
        let mut set = HeadSeriesSet { fields, ..HeadSeriesSet::default() };
        if self.time_range().is_none_or(|held| !held.overlaps(&range)) {
            let table = read(&self.table);
            // What came since is for the next select.
            set.floor = self.floor.load(Ordering::Acquire);
            let beside = then();
            drop(table);
            return Ok((set, beside));
        }
        let (table, slots) = self.resolved(&[matchers], watch)?;
        let beside = then();
        set.floor = self.floor.load(Ordering::Acquire);
        let visible = set.visible(range);
        for (number, series) in slots.iter().filter_map(|slot| table.at_slot(slot)).enumerate() {
            if number.is_multiple_of(BETWEEN_LOOKS) {
                watch.check(set.memory_bytes())?;
            }
            match newest(series, &table, visible).filter(|_| need != Need::Samples) {
                Some((time, bits)) => {
                    set.push(series, (0, 0), Recent::Newest(time, bits), None, TimeRange::new(time, time));
                }
                None => set.add(series, &table, range),
            }
        }
        if !set.entries.is_empty() {
            set.texts = table.pairs.texts().clone();
        }
        drop(table);
        set.sort();
        Ok((set, beside))
    }

    /// The series for which all matchers of one of `selectors` hold, with the table they are in. Expressions are looked
    /// at while nobody waits for the table.
    pub(super) fn resolved(
        &self,
        selectors: &[&[Matcher]],
        watch: Watch<'_>,
    ) -> Result<(RwLockReadGuard<'_, Table>, RoaringBitmap), StorageError> {
        loop {
            let removed = self.removed.load(Ordering::Acquire);
            let mut all = RoaringBitmap::new();
            let mut held = None;
            for matchers in selectors {
                drop(held.take());
                let mut patterns = Patterns::new(matchers);
                let (table, found) = loop {
                    watch.check(0)?;
                    let table = read(&self.table);
                    match patterns.resolve(&table.pairs) {
                        Some(found) => break (table, found),
                        None => drop(table),
                    }
                    patterns.answer(watch)?;
                };
                all |= found;
                held = Some(table);
            }
            let table = held.unwrap_or_else(|| read(&self.table));
            // Numbers of series that left may have been given to others since the first selector.
            if selectors.len() <= 1 || self.removed.load(Ordering::Acquire) == removed {
                return Ok((table, all));
            }
        }
    }

    /// Calls `look` with the inverted index and the series that match one of `selectors`; no selector is none of them.
    /// Commits wait meanwhile.
    ///
    /// # Errors
    /// When `watch` says no.
    pub(in crate::tsdb) fn with_matching<T>(
        &self,
        selectors: &[Vec<Matcher>],
        watch: Watch<'_>,
        look: impl FnOnce(&dyn LabelSource, &RoaringBitmap) -> T,
    ) -> Result<T, StorageError> {
        let selectors: Vec<&[Matcher]> = selectors.iter().map(Vec::as_slice).collect();
        let (table, found) = self.resolved(&selectors, watch)?;
        Ok(look(&table.pairs, &found))
    }

    /// All series that hold `part`, in label order, to be read one after another while commits go on: for a window
    /// that takes no samples any more.
    pub(in crate::tsdb) fn window(&self, part: Part) -> HeadWindow<'_> {
        let texts = PairTexts::default();
        let mut window = HeadWindow { head: self, part, texts, pairs: vec![], slots: vec![] };
        let holds = |series: &&MemSeries| {
            part == Part::All || series.rest.as_ref().is_some_and(|rest| !rest.leaving.is_empty())
        };
        // In slices: whoever waits to commit gets the table in between. No series leaves meanwhile, and one that comes has
        // nothing in the window.
        self.each_slice(|_, slice| {
            let series = slice.iter().flatten().filter_map(|slot| slot.series());
            for series in series.filter(holds) {
                let start = as_u32(window.pairs.len());
                window.pairs.extend_from_slice(&series.pairs);
                window.slots.push((series.reference.slot(), (start, as_u32(window.pairs.len()))));
            }
        });
        window.texts = read(&self.table).pairs.texts().clone();
        let order = label_order(&window.texts, &window.pairs, window.slots.iter().map(|(_, at)| *at));
        window.slots = order.into_iter().map(|number| window.slots[number as usize]).collect();
        window
    }
}

/// For each pair among `used` its place in label order, from 1 on, and the largest.
fn ranks(texts: &PairTexts, used: &[PairId]) -> (Vec<u32>, u32) {
    let most = used.iter().max().map_or(0, |id| *id as usize + 1);
    let mut ranks = vec![0u32; most];
    used.iter().for_each(|id| ranks[*id as usize] = 1);
    let mut distinct: Vec<PairId> = (0..as_u32(most)).filter(|id| ranks[*id as usize] == 1).collect();
    distinct.sort_unstable_by(|a, b| texts.get(*a).cmp(&texts.get(*b)));
    for (rank, id) in distinct.iter().enumerate() {
        ranks[*id as usize] = as_u32(rank + 1);
    }
    (ranks, as_u32(distinct.len()))
}

/// The numbers of the series whose pairs are at `spans`, in label order.
///
/// The places of the first pairs, as many as fit, are compared as one number; only series alike in those are looked
/// at label by label.
fn label_order(texts: &PairTexts, pairs: &[PairId], spans: impl Iterator<Item = (u32, u32)>) -> Vec<u32> {
    let (ranks, most) = ranks(texts, pairs);
    let width = u32::BITS - most.leading_zeros();
    let fitting = (u128::BITS / width.max(1)) as usize;
    let mut keyed: Vec<(u128, u32, (u32, u32))> = spans
        .enumerate()
        .map(|(number, at)| {
            let first =
                span(pairs, at).iter().map(|id| u128::from(ranks[*id as usize])).chain(std::iter::repeat(0));
            // A series that is the beginning of another one is before it.
            let key = first.take(fitting).fold(0, |key, rank| key << width | rank);
            (key, as_u32(number), at)
        })
        .collect();
    let rest = |at: (u32, u32)| span(pairs, at).iter().skip(fitting).map(|id| ranks[*id as usize]);
    keyed.sort_unstable_by(|(a, _, at_a), (b, _, at_b)| a.cmp(b).then_with(|| rest(*at_a).cmp(rest(*at_b))));
    keyed.into_iter().map(|(_, number, _)| number).collect()
}

/// The newest sample of the series where that is known at once and lies inside `visible`.
fn newest(series: &MemSeries, table: &Table, visible: TimeRange) -> Option<(i64, u64)> {
    let time = series.last_time;
    let beside = |rest: &Extras| rest.has_histograms() || rest.has_late_after(time);
    if !visible.contains(time) || series.rest.as_ref().is_some_and(|rest| beside(rest)) {
        return None;
    }
    // What is known of the newest sample stays when it is deleted; the chunk tells.
    let (times, values) = series.open()?;
    let last = match times {
        Times::Shared { id, first } => {
            table.timelines.stamp(*id, first.wrapping_add(u32::from(values.count()) - 1))
        }
        Times::Own(own) => Some(own.last()),
    };
    (last == Some(time)).then_some((time, series.last_bits))
}

impl HeadSeriesSet {
    /// The part of `range` that blocks do not answer.
    fn visible(&self, range: TimeRange) -> TimeRange {
        TimeRange { start: range.start.max(self.floor), end: range.end }
    }

    fn add(&mut self, series: &MemSeries, table: &Table, range: TimeRange) {
        let sealed_from = self.sealed.len();
        let visible = self.visible(range);
        let inside =
            |chunk: &&Arc<SealedChunk>| chunk.end_time >= visible.start && chunk.start_time <= visible.end;
        self.sealed.extend(series.sealed().iter().filter(inside).cloned());
        let open = series.open().filter(|(times, _)| {
            let first = match times {
                Times::Shared { id, first } => table.timelines.stamp(*id, *first),
                Times::Own(own) => Some(own.first()),
            };
            series.last_time >= visible.start && first.is_some_and(|first| first <= visible.end)
        });
        let open = open.map(|(times, values)| {
            let start = self.bytes.len();
            let shape = if !self.fields.values && !values.has_stale() {
                ValueShape::Constant(0)
            } else {
                values.snapshot(&mut self.bytes)
            };
            let bytes = (start, self.bytes.len());
            Box::new(OpenSnapshot { times: times.clone(), count: values.count(), shape, bytes })
        });
        let beside = series.rest.as_ref().and_then(|rest| {
            let mut late: Vec<_> = series.late_inside(range).collect();
            if !self.fields.starts {
                late.iter_mut().for_each(|sample| sample.start = 0);
            }
            let open = rest.histograms.iter().filter(|(t, _)| visible.contains(*t));
            let chunks = rest.sealed_histograms.iter().filter(|chunk| chunk.overlaps(visible));
            let beside =
                Beside { late, sealed: chunks.cloned().collect(), histograms: open.cloned().collect() };
            let empty = beside.late.is_empty() && beside.sealed.is_empty() && beside.histograms.is_empty();
            (!empty).then(|| Box::new(beside))
        });
        if self.sealed.len() == sealed_from && open.is_none() && beside.is_none() {
            return;
        }
        let used = self.sealed[sealed_from..]
            .iter()
            .map(|chunk| &chunk.times)
            .chain(open.as_ref().map(|o| &o.times));
        for (id, _) in used.filter_map(series::shared) {
            self.stamps.entry(id).or_insert_with(|| table.timelines.stamps(id));
        }
        let sealed = (as_u32(sealed_from), as_u32(self.sealed.len()));
        self.push(series, sealed, open.map_or(Recent::Nothing, Recent::Chunk), beside, visible);
    }

    /// Adds an entry, with the starts inside `range`.
    fn push(
        &mut self,
        series: &MemSeries,
        sealed: (u32, u32),
        recent: Recent,
        beside: Option<Box<Beside>>,
        range: TimeRange,
    ) {
        if let Some(starts) = series.starts.as_ref().filter(|_| self.fields.starts) {
            starts.put_runs(range, &mut self.runs);
            self.starts.push((as_u32(self.entries.len()), as_u32(self.runs.len())));
        }
        let pairs_from = as_u32(self.pairs.len());
        self.pairs.extend_from_slice(&series.pairs);
        self.entries.push(Entry { pairs: (pairs_from, as_u32(self.pairs.len())), sealed, recent, beside });
    }

    fn sort(&mut self) {
        self.order = label_order(&self.texts, &self.pairs, self.entries.iter().map(|entry| entry.pairs));
    }

    /// Number of series.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of memory it takes, roughly: what it shares with the head aside.
    pub fn memory_bytes(&self) -> usize {
        let chunks = self.entries.len() * (size_of::<Entry>() + size_of::<OpenSnapshot>());
        let starts = self.starts.len() * size_of::<(u32, u32)>() + self.runs.len() * size_of::<StartRun>();
        chunks
            + starts
            + self.pairs.len() * 4
            + self.order.len() * 4
            + self.sealed.len() * 8
            + self.bytes.len()
    }

    /// When counting began, for the samples in order of entry `number`.
    fn runs_of(&self, number: u32) -> &[StartRun] {
        let Ok(at) = self.starts.binary_search_by_key(&number, |(entry, _)| *entry) else { return &[] };
        let start = at.checked_sub(1).map_or(0, |before| self.starts[before].1);
        span(&self.runs, (start, self.starts[at].1))
    }

    fn entry(&self, index: usize) -> &Entry {
        &self.entries[self.order[index] as usize]
    }

    /// Labels of series `index`.
    pub fn labels(&self, index: usize) -> Labels {
        Labels::from_sorted(span(&self.pairs, self.entry(index).pairs).iter().map(|id| self.texts.get(*id)))
    }

    /// Appends the samples of series `index` inside `range` to `out`.
    pub fn read(&self, index: usize, range: TimeRange, out: &mut Samples) {
        let entry = self.entry(index);
        let before = out.len();
        let visible = self.visible(range);
        let mut own = Vec::new();
        for chunk in span(&self.sealed, entry.sealed) {
            let stamps = self.stamps_of(&chunk.times, usize::from(chunk.count), &mut own);
            series::push_sealed(chunk, stamps, visible, self.fields.values, out);
        }
        match &entry.recent {
            Recent::Nothing => {}
            Recent::Chunk(open) => {
                let stamps = self.stamps_of(&open.times, usize::from(open.count), &mut own);
                series::push_values(stamps, visible, out, |into| {
                    read_values(open.shape, &self.bytes[open.bytes.0..open.bytes.1], open.count, into);
                });
            }
            Recent::Newest(time, bits) => {
                if visible.contains(*time) {
                    out.push(*time, f64::from_bits(*bits));
                }
            }
        }
        let runs = self.runs_of(self.order[index]);
        if let Some(beside) = &entry.beside {
            let mut histograms = Vec::new();
            beside.sealed.iter().for_each(|chunk| chunk.read(visible, &mut histograms));
            histograms.extend(beside.histograms.iter().cloned());
            let late = beside.late.iter().copied();
            series::merge_beside(late, &histograms, runs, range, before, out);
        } else {
            starts::fill(runs, before, out);
        }
    }

    fn stamps_of<'a>(&'a self, times: &Times, count: usize, own: &'a mut Vec<i64>) -> &'a [i64] {
        match times {
            Times::Own(times) => {
                own.clear();
                OwnTimes::read(times, own);
                own
            }
            Times::Shared { id, first } => {
                self.stamps.get(id).map(|s| s.range(*first, count)).unwrap_or_default()
            }
        }
    }
}

/// Which samples of the head are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tsdb) enum Part {
    /// All.
    All,
    /// The late ones set apart by [`Head::close_before`].
    Leaving,
}

/// Series of the head, read one at a time.
pub(in crate::tsdb) struct HeadWindow<'a> {
    head: &'a Head,
    part: Part,
    texts: PairTexts,
    pairs: Vec<PairId>,
    slots: Vec<(u32, (u32, u32))>,
}

impl SeriesSet for HeadWindow<'_> {
    fn len(&self) -> usize {
        self.slots.len()
    }

    fn labels(&self, index: usize) -> Labels {
        Labels::from_sorted(span(&self.pairs, self.slots[index].1).iter().map(|id| self.texts.get(*id)))
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut Samples) -> Result<(), StorageError> {
        out.clear();
        let table = read(&self.head.table);
        let Some(series) = table.at_slot(self.slots[index].0) else { return Ok(()) };
        match self.part {
            Part::All => series.read(range, &table.timelines, &mut Vec::new(), out),
            Part::Leaving => {
                for LateSample { time, value, start } in
                    series.leaving().filter(|one| range.contains(one.time))
                {
                    out.push(time, value);
                    out.set_last_start(start);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::pairs::Pairs;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn label_order_is_that_of_label_sets(
            sets in prop::collection::vec(prop::collection::btree_map("[a-c]{1,2}", "[a-z]{1,3}", 0..40), 1..20),
        ) {
            let mut pairs = Pairs::default();
            let (mut ids, mut spans, mut expected) = (Vec::new(), Vec::new(), Vec::new());
            for (number, set) in sets.iter().enumerate() {
                let labels = Labels::from_pairs(set);
                let start = as_u32(ids.len());
                ids.extend_from_slice(&pairs.insert(as_u32(number), labels.iter()));
                spans.push((start, as_u32(ids.len())));
                expected.push(labels);
            }
            let order = label_order(pairs.texts(), &ids, spans.into_iter());
            let found: Vec<&Labels> = order.iter().map(|number| &expected[*number as usize]).collect();
            prop_assert!(found.is_sorted(), "{:?}", found);
        }
    }
}
