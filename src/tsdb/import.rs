//! Blocks of samples that come from elsewhere, beside the log.
//!
//! **Invariants**: all blocks of an import become visible at once, or none does.

use super::block::BlockMeta;
use super::block::exemplars::ExemplarSource;
use super::db::Tsdb;
use super::error::{Error, Result};
use super::inner::Inner;
use super::points::{Point, reach};
use super::publish::{Pending, Window};
use super::turns::Turn;
use crate::storage::SeriesSet;

/// An import under way; maintenance waits for it. Dropping it removes what it wrote.
pub struct BlockImport<'a> {
    inner: &'a Inner,
    pending: Pending<'a>,
    oldest: Option<i64>,
    /// Samples that could not be stored before it began, here and elsewhere.
    lost_before: u64,
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
        let alone = inner.maintenance.take();
        let lost_before = inner.metrics.samples_lost.get();
        Ok(BlockImport { inner, pending: Pending::new(inner)?, oldest: None, lost_before, _alone: alone })
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
        let written = self.pending.write(Window::new(start, end), set, exemplars)?;
        if written.is_some() {
            self.oldest = self.oldest.into_iter().chain([start]).min();
            reach(Point::ImportWritten);
        }
        Ok(written)
    }

    /// Makes the blocks visible, durably.
    ///
    /// # Errors
    /// When there were samples that could not be stored, as histograms that are too wide, or the disk refuses; none is
    /// visible then.
    pub fn publish(self) -> Result<()> {
        let Self { inner, pending, oldest, lost_before, _alone } = self;
        // It has the turn, so nobody else writes blocks meanwhile.
        let lost = inner.metrics.samples_lost.get().saturating_sub(lost_before);
        if lost > 0 {
            return Err(Error::ImportIncomplete { lost });
        }
        pending.publish(&[], None, |catalog| inner.catalog.store(catalog))?;
        if let Some(oldest) = oldest {
            inner.head.changes().note(oldest);
        }
        Ok(())
    }
}
