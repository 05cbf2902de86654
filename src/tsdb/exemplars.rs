//! Exemplars of head and blocks, as queries and compaction see them.
//!
//! **Cost**: a query reads the directory of each block that may hold some, and the parts that hold wanted series. An
//! answer has at most [`MAX_ANSWER`] exemplars.

use std::collections::BTreeMap;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::block::catalog::Catalog;
use super::block::exemplars::{ExemplarIter, ExemplarSource};
use super::block::tombstones::{self, Tombstone};
use super::block::{Block, BlockMeta};
use super::db::Tsdb;
use super::error::{Error, Result};
use super::head::SeriesExemplars;
use super::index::reader::BlockIndex;
use super::inner::{Inner, Suspects};
use super::read::any_of;
use crate::model::{Exemplar, Labels, Matcher, TimeRange, sort_exemplars};
use crate::storage::{StorageError, Watch};
use crate::util::lock::lock;

/// Exemplars in one answer at most.
pub const MAX_ANSWER: usize = 1_000_000;

/// The answer to a query of exemplars.
#[derive(Debug, Default)]
pub struct FoundExemplars {
    /// In label order, the exemplars of each series in order.
    pub series: SeriesExemplars,
    /// Whether there are more than [`MAX_ANSWER`], which were left out.
    pub cut: bool,
}

impl Tsdb {
    /// The exemplars inside `range` of the series that match one of `selectors`; no selector is all series.
    ///
    /// # Errors
    /// When the log is still being replayed, a block cannot be read or is damaged, or `watch` says no.
    pub fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        watch: Watch<'_>,
    ) -> std::result::Result<FoundExemplars, StorageError> {
        let inner = &*self.inner;
        inner.replay.check()?;
        let (head, catalog) = inner.head.exemplars(selectors, range, watch, || inner.catalog.load_full())?;
        let mut found: BTreeMap<Labels, Vec<Exemplar>> = BTreeMap::new();
        let mut count: usize = head.iter().map(|(_, exemplars)| exemplars.len()).sum();
        found.extend(head);
        for meta in catalog.blocks.iter().filter(|meta| meta.exemplars.overlaps(&range)) {
            let source = Source::new(inner, &catalog, meta)?;
            let wanted = match selectors {
                [] => None,
                selectors => Some(any_of(source.index.label_index(), selectors, watch)?),
            };
            for series in source.series(wanted, range)? {
                watch.check(0)?;
                let (labels, exemplars) = series?;
                count += exemplars.len();
                found.entry(labels).or_default().extend(exemplars);
                if count > MAX_ANSWER {
                    return Ok(FoundExemplars { series: sorted(found), cut: true });
                }
            }
        }
        Ok(FoundExemplars { series: sorted(found), cut: false })
    }
}

fn sorted(found: BTreeMap<Labels, Vec<Exemplar>>) -> SeriesExemplars {
    let mut all: SeriesExemplars = found.into_iter().collect();
    all.iter_mut().for_each(|(_, exemplars)| sort_exemplars(exemplars));
    all
}

/// A block, without what was deleted.
struct Source {
    block: Block,
    index: Arc<BlockIndex>,
    deleted: Option<Arc<Vec<Tombstone>>>,
    suspects: Suspects,
}

fn note<T>(suspects: &Suspects, meta: &BlockMeta, read: Result<T>) -> Result<T> {
    if read.as_ref().is_err_and(Error::is_damage) {
        lock(suspects).insert(meta.id.clone());
    }
    read
}

impl Source {
    fn new(inner: &Inner, catalog: &Catalog, meta: &Arc<BlockMeta>) -> Result<Self> {
        let block = inner.block(meta);
        let index = note(&inner.suspects, meta, block.index())?;
        let deleted = catalog.tombstones.of(&meta.id).cloned();
        Ok(Self { block, index, deleted, suspects: Arc::clone(&inner.suspects) })
    }

    /// The exemplars inside `range` of the series `wanted`, or of all.
    fn series(&self, wanted: Option<RoaringBitmap>, range: TimeRange) -> Result<ExemplarIter<'_>> {
        let runs = note(&self.suspects, self.block.meta(), self.block.exemplars(wanted, range))?;
        Ok(Box::new(runs.filter_map(|run| match note(&self.suspects, self.block.meta(), run) {
            Ok((number, mut exemplars)) => {
                if let Some(deleted) = &self.deleted {
                    tombstones::take_out_exemplars(deleted, number, &mut exemplars);
                }
                (!exemplars.is_empty()).then(|| Ok((self.index.labels(number), exemplars)))
            }
            Err(error) => Some(Err(error)),
        })))
    }
}

/// The exemplars of given blocks: what a compaction reads.
pub(super) struct BlockSources(Vec<Source>);

impl BlockSources {
    pub(super) fn new(inner: &Inner, blocks: &[Arc<BlockMeta>]) -> Result<Self> {
        let catalog = inner.catalog.load();
        let with_exemplars = blocks.iter().filter(|meta| meta.exemplars.count > 0);
        Ok(Self(with_exemplars.map(|meta| Source::new(inner, &catalog, meta)).collect::<Result<_>>()?))
    }
}

impl ExemplarSource for BlockSources {
    fn series(&self) -> Result<ExemplarIter<'_>> {
        let sources = self.0.iter().map(|source| source.series(None, TimeRange::ALL));
        let mut merged = Merged { sources: sources.collect::<Result<_>>()?, next: Vec::new() };
        for source in &mut merged.sources {
            merged.next.push(source.next().transpose()?);
        }
        Ok(Box::new(merged))
    }
}

/// Series of several sources, those of equal labels joined.
struct Merged<'a> {
    sources: Vec<ExemplarIter<'a>>,
    /// The next series of each source.
    next: Vec<Option<(Labels, Vec<Exemplar>)>>,
}

impl Merged<'_> {
    fn advance(&mut self) -> Result<Option<(Labels, Vec<Exemplar>)>> {
        let Some(least) = self.next.iter().flatten().map(|(labels, _)| labels).min().cloned() else {
            return Ok(None);
        };
        let mut all = Vec::new();
        for (source, next) in self.sources.iter_mut().zip(&mut self.next) {
            if let Some((_, exemplars)) = next.take_if(|(labels, _)| *labels == least) {
                all.extend(exemplars);
                *next = source.next().transpose()?;
            }
        }
        sort_exemplars(&mut all);
        Ok(Some((least, all)))
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<(Labels, Vec<Exemplar>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}
