//! Blocks of samples that come from elsewhere, beside the log.
//!
//! **Invariants**: all blocks of an import become visible at once, or none does.

use std::sync::Arc;

use super::block::BlockMeta;
use super::block::exemplars::ExemplarSource;
use super::block::writer::{BlockPlan, write_block_with};
use super::compact::worker;
use super::db::{Inner, Tsdb};
use super::error::Result;
use super::turns::Turn;
use crate::storage::SeriesSet;

/// An import under way; maintenance waits for it. Dropping it removes what it wrote.
pub struct BlockImport<'a> {
    inner: &'a Inner,
    written: Vec<BlockMeta>,
    _alone: Turn<'a>,
}

impl Tsdb {
    /// Begins an import. Waits for the replay of the log and for a compaction under way.
    ///
    /// # Errors
    /// When the log could not be replayed.
    pub fn import(&self) -> Result<BlockImport<'_>> {
        let inner = &*self.inner;
        inner.replay.wait()?;
        Ok(BlockImport { inner, written: Vec::new(), _alone: inner.maintenance.take() })
    }
}

impl BlockImport<'_> {
    /// Writes the samples of `set` from `start` to before `end` (milliseconds), and `exemplars`, all of them before
    /// `end`, as a block, if there are any. They may
    /// overlap with what is there: where both have a timestamp, one of the two values stays.
    ///
    /// # Errors
    /// When samples cannot be read, or the disk refuses.
    pub fn write(
        &mut self,
        set: &dyn SeriesSet,
        exemplars: &dyn ExemplarSource,
        start: i64,
        end: i64,
    ) -> Result<Option<&BlockMeta>> {
        let id = worker::new_id(self.inner, start, end);
        let plan = BlockPlan { id, start, end, level: 1, sources: Vec::new() };
        let meta = write_block_with(&*self.inner.store, plan, set, exemplars, &self.inner.stop)?;
        let any = meta.is_some();
        self.written.extend(meta);
        Ok(self.written.last().filter(|_| any))
    }

    /// Makes the blocks visible, durably.
    ///
    /// # Errors
    /// When the disk refuses; none is visible then.
    pub fn publish(mut self) -> Result<()> {
        let catalog = self.inner.catalog.load().with(&[], self.written.clone(), None);
        catalog.save(&self.inner.options.dir)?;
        self.inner.catalog.store(Arc::new(catalog));
        if let Some(oldest) = self.written.iter().map(|block| block.start).min() {
            self.inner.head.changes().note(oldest);
        }
        self.written.clear();
        Ok(())
    }
}

impl Drop for BlockImport<'_> {
    fn drop(&mut self) {
        for block in self.written.drain(..) {
            // What stays is removed by the next start, since the catalog does not name it.
            if let Err(error) = self.inner.store.remove(&block.id) {
                tracing::warn!(block = %block.id, %error, "cannot remove a block of an import that failed");
            }
        }
    }
}
