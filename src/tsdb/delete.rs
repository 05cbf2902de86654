//! Deleting series: tombstones for blocks, at once in the head, and rewriting blocks without what was deleted.

use std::sync::Arc;

use super::block::BlockMeta;
use super::block::tombstones::Tombstone;
use super::compact::worker;
use super::db::Tsdb;
use super::error::Result;
use super::inner::Inner;
use super::points::{Point, reach};
use super::publish;
use super::read::any_of;
use crate::model::{Matcher, Samples, TimeRange};
use crate::storage::{Queryable as _, SelectRequest, StorageError, Watch};

/// What a deletion concerns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Series, those in several blocks counted once for each; head included.
    pub series: usize,
    /// Blocks that got a tombstone.
    pub blocks: usize,
}

/// What a deletion would take away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Affected {
    /// Different series.
    pub series: usize,
    /// Samples.
    pub samples: u64,
}

impl Tsdb {
    /// Deletes the samples inside `range` of all series that match one of `selectors`. Waits for a compaction under
    /// way. What is deleted is gone for every query that begins later; space comes back when blocks are rewritten.
    ///
    /// # Errors
    /// When the log is still being replayed, a block's index cannot be read, or the disk refuses; what was deleted before stays deleted.
    pub fn delete(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Result<Deleted> {
        let inner = &*self.inner;
        inner.replay.check()?;
        let _alone = inner.maintenance.take();
        publish::settle(inner)?;
        let mut deleted = Deleted::default();
        let catalog = inner.catalog.load_full();
        let mut tombstones = catalog.tombstones.clone();
        let concerned = |b: &&Arc<BlockMeta>| b.range().overlaps(&range) || b.exemplars.overlaps(&range);
        for meta in catalog.blocks.iter().filter(concerned) {
            let index = inner.block(meta).index()?;
            let series = any_of(index.label_index(), selectors, Watch::NONE).expect("nobody says no");
            if !series.is_empty() {
                deleted.series += usize::try_from(series.len()).unwrap_or(usize::MAX);
                deleted.blocks += 1;
                tombstones.add(&meta.id, Tombstone { series, range });
            }
        }
        if deleted.blocks > 0 {
            tombstones.save(&inner.options.dir)?;
            reach(Point::TombstonesSaved);
            inner.catalog.store(Arc::new(catalog.with_tombstones(tombstones)));
        }
        // Even if the head fails: the blocks have changed.
        let in_head = inner.head.delete(&inner.wal, selectors, range);
        inner.head.changes().note(range.start);
        deleted.series += in_head?;
        Ok(deleted)
    }

    /// Counts what [`Tsdb::delete`] would take away.
    ///
    /// # Errors
    /// When data cannot be read.
    pub fn count_deletion(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> std::result::Result<Affected, StorageError> {
        let querier = self.querier(range)?;
        let mut counted = std::collections::HashMap::new();
        let mut samples = Samples::new();
        for matchers in selectors {
            let set = querier.select(&SelectRequest::new(matchers, range))?;
            for index in 0..set.len() {
                set.read(index, range, &mut samples)?;
                if !samples.is_empty() {
                    counted.insert(set.labels(index), samples.len() as u64);
                }
            }
        }
        Ok(Affected { series: counted.len(), samples: counted.values().sum() })
    }

    /// Rewrites every block that has tombstones, so that what was deleted leaves the disk. Returns how many were.
    ///
    /// # Errors
    /// When the log is still being replayed, or the disk refuses; blocks not yet rewritten keep their tombstones.
    pub fn clean_tombstones(&self) -> Result<usize> {
        let inner = &*self.inner;
        inner.replay.check()?;
        let mut rewritten = 0;
        for meta in with_tombstones(inner) {
            // A turn for each: the head is cut in between.
            let _alone = inner.maintenance.take();
            if with_tombstones(inner).iter().any(|block| block.id == meta.id) {
                worker::rewrite(inner, &meta)?;
                rewritten += 1;
            }
        }
        let _alone = inner.maintenance.take();
        worker::remove_unused(inner)?;
        Ok(rewritten)
    }
}

fn with_tombstones(inner: &Inner) -> Vec<Arc<BlockMeta>> {
    let catalog = inner.catalog.load();
    catalog.blocks.iter().filter(|b| catalog.tombstones.of(&b.id).is_some()).cloned().collect()
}
