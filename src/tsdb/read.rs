//! The database as a [`Queryable`]: head and blocks merged into one series set.
//!
//! Each select sees one moment: the chunks of the head and the catalog are taken together, while no commit is half
//! applied and nothing is being truncated.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::block::catalog::Catalog;
use super::block::reader::Wanted;
use super::block::tombstones::{self, Tombstone};
use super::block::{Block, BlockMeta};
use super::db::Tsdb;
use super::error::Error;
use super::head::read::HeadSeriesSet;
use super::index::LabelSource;
use super::index::reader::BlockIndex;
use super::index::resolve::resolve;
use super::inner::{Inner, Suspects};
use crate::model::{Labels, Matcher, Samples, TimeRange};
use crate::storage::{
    Bounds, Fields, Mark, Querier, Queryable, SelectRequest, SeriesSet, StorageError, Watch,
};
use crate::util::lock::lock;

impl From<Error> for StorageError {
    fn from(error: Error) -> Self {
        match error {
            Error::Replaying => Self::NotReady(error.to_string()),
            error => Self::Read { what: "database".to_owned(), reason: error.to_string() },
        }
    }
}

impl Queryable for Tsdb {
    fn querier(&self, range: TimeRange) -> Result<Box<dyn Querier>, StorageError> {
        Ok(Box::new(TsdbQuerier { inner: Arc::clone(&self.inner), range }))
    }

    fn mark(&self) -> Option<Mark> {
        // What the replay brings is not noted.
        self.inner.replay.is_done().then(|| Mark(self.inner.head.changes().mark()))
    }

    fn unchanged_before(&self, mark: Mark) -> i64 {
        self.inner.head.changes().oldest_since(mark.0)
    }
}

struct TsdbQuerier {
    inner: Arc<Inner>,
    range: TimeRange,
}

impl TsdbQuerier {
    /// Whether the head has to be asked about `range`: not if blocks alone hold all of it while the log is replayed.
    ///
    /// # Errors
    /// When the head has to be asked and the log is still being replayed. Whoever asked waits, or not.
    fn needs_head(&self, range: TimeRange) -> Result<bool, StorageError> {
        let inner = &self.inner;
        let head_start = inner.catalog.load().head_start;
        let in_blocks = head_start.is_some_and(|start| range.end < start);
        if in_blocks && !inner.replay.is_done() && inner.limits.load().out_of_order_ms == 0 {
            return Ok(false);
        }
        inner.replay.check()?;
        Ok(true)
    }

    /// Calls `look` with the index of the head and of every block that overlaps the range, and the series there that
    /// match one of `selectors`.
    fn each_index(
        &self,
        selectors: &[Vec<Matcher>],
        watch: Watch<'_>,
        mut look: impl FnMut(&dyn LabelSource, &RoaringBitmap),
    ) -> Result<(), StorageError> {
        let catalog = self.inner.catalog.load_full();
        for meta in catalog.blocks.iter().filter(|b| b.range().overlaps(&self.range)) {
            let index = Source::new(&self.inner, &catalog, meta).index()?;
            look(index.label_index(), &any_of(index.label_index(), selectors, watch)?);
        }
        if self.needs_head(self.range)?
            && self.inner.head.time_range().is_some_and(|held| held.overlaps(&self.range))
        {
            self.inner.head.with_matching(selectors, watch, look)?;
        }
        Ok(())
    }
}

/// The series of a block for which all matchers of one of `selectors` hold.
pub(super) fn any_of(
    index: &dyn LabelSource,
    selectors: &[Vec<Matcher>],
    watch: Watch<'_>,
) -> Result<RoaringBitmap, StorageError> {
    let mut all = RoaringBitmap::new();
    for matchers in selectors {
        all |= resolve(index, matchers, watch)?;
    }
    Ok(all)
}

impl Querier for TsdbQuerier {
    fn select(&self, request: &SelectRequest<'_>) -> Result<Box<dyn SeriesSet>, StorageError> {
        let inner = &self.inner;
        let (head, catalog) = if self.needs_head(request.range)? {
            inner.head.select(*request, || inner.catalog.load_full())?
        } else {
            (HeadSeriesSet::default(), inner.catalog.load_full())
        };
        let blocks = catalog.blocks.iter().filter(|b| b.range().overlaps(&request.range));
        let blocks = blocks.map(|meta| Source::new(inner, &catalog, meta)).collect();
        Ok(Box::new(merge(blocks, head, request)?))
    }

    fn label_names(
        &self,
        selectors: &[Vec<Matcher>],
        bounds: Bounds<'_>,
    ) -> Result<Vec<String>, StorageError> {
        let mut names = BTreeSet::new();
        let is_over = || !(bounds.watch.0)(0);
        self.each_index(selectors, bounds.watch, |index, wanted| {
            // Names come in order: of each index the first are enough.
            let mut found = 0;
            index.each_name(&mut |name| {
                if found >= bounds.most || is_over() {
                    return;
                }
                let mut held = selectors.is_empty();
                if !held {
                    index.each_value(name, "", &mut |_, postings| {
                        held = !wanted.is_disjoint(&postings());
                        if held { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    });
                }
                found += usize::from(held);
                if held && !names.contains(name) {
                    names.insert(name.to_owned());
                }
            });
        })?;
        bounds.watch.check(0)?;
        Ok(names.into_iter().collect())
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        bounds: Bounds<'_>,
    ) -> Result<Vec<String>, StorageError> {
        let mut values = BTreeSet::new();
        let is_over = || !(bounds.watch.0)(0);
        self.each_index(selectors, bounds.watch, |index, wanted| {
            // Values come in order too.
            let mut found = 0;
            index.each_value(name, "", &mut |value, postings| {
                let held = selectors.is_empty() || !wanted.is_disjoint(&postings());
                found += usize::from(held);
                if held && !values.contains(value) {
                    values.insert(value.to_owned());
                }
                let ends = found >= bounds.most || is_over();
                if ends { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        })?;
        bounds.watch.check(0)?;
        Ok(values.into_iter().collect())
    }
}

/// A querier over given blocks only: what compaction reads from.
pub(super) fn select_blocks(inner: &Inner, blocks: &[Arc<BlockMeta>], range: TimeRange) -> SnapshotQuerier {
    let catalog = inner.catalog.load();
    SnapshotQuerier { blocks: blocks.iter().map(|meta| Source::new(inner, &catalog, meta)).collect(), range }
}

/// A block as queries and compaction see it: without what was deleted, and noting damage that is met.
#[derive(Clone)]
struct Source {
    block: Block,
    deleted: Option<Arc<Vec<Tombstone>>>,
    suspects: Suspects,
}

impl Source {
    fn new(inner: &Inner, catalog: &Catalog, meta: &Arc<BlockMeta>) -> Self {
        Self {
            block: inner.block(meta),
            deleted: catalog.tombstones.of(&meta.id).cloned(),
            suspects: Arc::clone(&inner.suspects),
        }
    }

    fn noting<T>(&self, read: Result<T, Error>) -> Result<T, Error> {
        if read.as_ref().is_err_and(Error::is_damage) {
            lock(&self.suspects).insert(self.block.meta().id.clone());
        }
        read
    }

    fn index(&self) -> Result<Arc<BlockIndex>, Error> {
        self.noting(self.block.index())
    }

    fn read(&self, index: &BlockIndex, number: u32, wanted: Wanted, out: &mut Samples) -> Result<(), Error> {
        let before = out.len();
        self.noting(self.block.read(index, number, wanted, out))?;
        if let Some(deleted) = &self.deleted {
            tombstones::take_out(deleted, number, before, out);
        }
        Ok(())
    }
}

/// What a select of the head found, as a series set.
pub(super) fn head_alone(head: HeadSeriesSet) -> MergedSeriesSet {
    let order = (0..head.len()).map(|n| (n, n + 1)).collect();
    let parts = (0..head.len()).map(|n| Part { source: HEAD, number: as_number(n) }).collect();
    MergedSeriesSet { blocks: Vec::new(), head, fields: Fields::ALL, order, parts }
}

/// Given blocks as a querier.
pub(super) struct SnapshotQuerier {
    blocks: Vec<Source>,
    range: TimeRange,
}

impl SnapshotQuerier {
    pub(super) fn select(&self, request: &SelectRequest<'_>) -> Result<Box<dyn SeriesSet>, StorageError> {
        debug_assert!(self.range.overlaps(&request.range), "a compaction reads its own window");
        let blocks = self.blocks.clone();
        Ok(Box::new(merge(blocks, HeadSeriesSet::default(), request)?))
    }
}

/// Series between two looks whether to go on.
const BETWEEN_LOOKS: usize = 1024;

/// Source number of the head.
const HEAD: u32 = u32::MAX;

/// One series in one source.
#[derive(Debug, Clone, Copy)]
struct Part {
    source: u32,
    number: u32,
}

/// Series of several sources, equal label sets joined.
pub(super) struct MergedSeriesSet {
    blocks: Vec<(Source, Arc<BlockIndex>)>,
    head: HeadSeriesSet,
    /// What matters of samples of blocks; the head has seen to its own.
    fields: Fields,
    /// For each series its span of `parts`.
    order: Vec<(usize, usize)>,
    /// In order of time: blocks by start, then the head.
    parts: Vec<Part>,
}

fn as_number(n: usize) -> u32 {
    u32::try_from(n).expect("series are counted in 32 bits")
}

/// One source on its way through the merge: its series in label order, the next of them with its labels.
struct Cursor {
    source: u32,
    numbers: Box<dyn Iterator<Item = u32>>,
    next: Option<(Labels, u32)>,
}

fn merge(
    blocks: Vec<Source>,
    head: HeadSeriesSet,
    &SelectRequest { matchers, fields, watch, .. }: &SelectRequest<'_>,
) -> Result<MergedSeriesSet, StorageError> {
    if blocks.is_empty() {
        return Ok(head_alone(head));
    }
    let mut open = Vec::with_capacity(blocks.len());
    let mut cursors = Vec::with_capacity(blocks.len() + 1);
    for block in blocks {
        let index = block.index()?;
        // Blocks are written in label order, so their numbers are.
        let numbers = Box::new(resolve(index.label_index(), matchers, watch)?.into_iter());
        cursors.push(Cursor { source: as_number(open.len()), numbers, next: None });
        open.push((block, index));
    }
    cursors.push(Cursor { source: HEAD, numbers: Box::new(0..as_number(head.len())), next: None });
    let mut set = MergedSeriesSet { blocks: open, head, fields, order: Vec::new(), parts: Vec::new() };
    cursors.iter_mut().for_each(|cursor| set.advance(cursor));
    while let Some(least) =
        cursors.iter().filter_map(|c| c.next.as_ref()).map(|(labels, _)| labels).min().cloned()
    {
        if set.order.len().is_multiple_of(BETWEEN_LOOKS) {
            watch.check(set.memory_bytes())?;
        }
        let start = set.parts.len();
        // In the order of the sources, which is that of time.
        for cursor in &mut cursors {
            if let Some((_, number)) = cursor.next.take_if(|(labels, _)| *labels == least) {
                set.parts.push(Part { source: cursor.source, number });
                set.advance(cursor);
            }
        }
        set.order.push((start, set.parts.len()));
    }
    Ok(set)
}

impl MergedSeriesSet {
    fn part_labels(&self, part: Part) -> Labels {
        match part.source {
            HEAD => self.head.labels(part.number as usize),
            source => self.blocks[source as usize].1.labels(part.number),
        }
    }

    fn advance(&self, cursor: &mut Cursor) {
        let source = cursor.source;
        cursor.next = cursor.numbers.next().map(|number| (self.part_labels(Part { source, number }), number));
    }
}

impl SeriesSet for MergedSeriesSet {
    fn len(&self) -> usize {
        self.order.len()
    }

    fn memory_bytes(&self) -> usize {
        let own = self.order.len() * size_of::<(usize, usize)>() + self.parts.len() * size_of::<Part>();
        own + self.head.memory_bytes()
    }

    fn labels(&self, index: usize) -> Labels {
        self.part_labels(self.parts[self.order[index].0])
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut Samples) -> Result<(), StorageError> {
        out.clear();
        let (start, end) = self.order[index];
        for part in &self.parts[start..end] {
            let before = out.len();
            if part.source == HEAD {
                self.head.read(part.number as usize, range, out);
            } else {
                let (block, block_index) = &self.blocks[part.source as usize];
                let wanted = Wanted { range, fields: self.fields };
                block.read(block_index, part.number, wanted, out)?;
            }
            join(out, before);
        }
        Ok(())
    }
}

/// Brings the two sorted runs before and from `border` into one; of equal timestamps the first run's stays.
fn join(samples: &mut Samples, border: usize) {
    let overlap = border > 0
        && samples.timestamps.get(border).is_some_and(|first| *first <= samples.timestamps[border - 1]);
    if !overlap {
        return;
    }
    let mut histograms = std::mem::take(&mut samples.histograms).into_iter().peekable();
    let with_histogram = |(index, (timestamp, value))| {
        let histogram = histograms.next_if(|(at, _)| *at == index).map(|(_, histogram)| histogram);
        (timestamp, value, samples.start(index), histogram)
    };
    let mut all: Vec<(i64, f64, i64, _)> = samples.iter().enumerate().map(with_histogram).collect();
    all.sort_by_key(|(timestamp, ..)| *timestamp);
    all.dedup_by_key(|(timestamp, ..)| *timestamp);
    samples.clear();
    for (timestamp, value, start, histogram) in all {
        match histogram {
            Some(histogram) => samples.push_histogram(timestamp, histogram),
            None => samples.push(timestamp, value),
        }
        samples.set_last_start(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Histogram;

    #[test]
    fn overlapping_runs_keep_their_histograms() {
        let histogram = |count: f64| Arc::new(Histogram { count, ..Histogram::default() });
        let mut samples = Samples::new();
        samples.push(1, 1.0);
        samples.push_histogram(4, histogram(4.0));
        samples.push_histogram(2, histogram(2.0));
        samples.set_last_start(2);
        samples.push(4, 9.0);
        samples.set_last_start(3);
        join(&mut samples, 2);
        assert_eq!(samples.timestamps, [1, 2, 4]);
        assert_eq!(samples.histograms, [(1, histogram(2.0)), (2, histogram(4.0))]);
        assert_eq!((0..3).map(|at| samples.start(at)).collect::<Vec<_>>(), [0, 2, 0]);
    }
}
