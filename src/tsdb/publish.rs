//! The one way by which the catalog changes: blocks are written, then a catalog that names them is made durable, then
//! it is shown. Whoever calls has a turn.
//!
//! **Invariants**: a block is readable and durable before a catalog names it, and a catalog is durable before it is
//! shown. A block that was written in vain is removed again; one that a catalog on disk may name (saving it failed) is
//! removed once a catalog that does not name it is durable.

use std::sync::Arc;

use super::block::catalog::Catalog;
use super::block::exemplars::ExemplarSource;
use super::block::writer::{BlockPlan, write_block_with};
use super::block::{Block, BlockMeta};
use super::error::Result;
use super::inner::Inner;
use super::points::{Point, reach};
use super::store::BlockId;
use crate::storage::SeriesSet;
use crate::util::lock::lock;

/// A window to be written as a block.
pub(super) struct Window {
    /// First millisecond, inside.
    pub(super) start: i64,
    /// Last millisecond, outside.
    pub(super) end: i64,
    /// See [`BlockMeta::level`].
    pub(super) level: u32,
    /// See [`BlockMeta::sources`].
    pub(super) sources: Vec<BlockId>,
}

impl Window {
    /// A window of samples that come from no other block.
    pub(super) fn new(start: i64, end: i64) -> Self {
        Self { start, end, level: 1, sources: Vec::new() }
    }
}

/// Blocks that were written and are not published yet. Dropping it removes them.
pub(super) struct Pending<'a> {
    inner: &'a Inner,
    written: Vec<BlockMeta>,
}

impl<'a> Pending<'a> {
    /// Nothing written yet.
    ///
    /// # Errors
    /// When an earlier catalog could not be saved and it still cannot: a block would be written in vain.
    pub(super) fn new(inner: &'a Inner) -> Result<Self> {
        settle(inner)?;
        Ok(Self { inner, written: Vec::new() })
    }

    /// Writes the samples of `set` inside `window`, and `exemplars`, as a block. None if there are none.
    ///
    /// # Errors
    /// When samples cannot be read, or the disk refuses.
    pub(super) fn write(
        &mut self,
        window: Window,
        set: &dyn SeriesSet,
        exemplars: &dyn ExemplarSource,
    ) -> Result<Option<&BlockMeta>> {
        let inner = self.inner;
        let Window { start, end, level, sources } = window;
        let lost = inner.metrics.samples_lost.clone();
        let plan = BlockPlan { id: new_id(inner, start, end), start, end, level, sources, lost };
        let Some(meta) = write_block_with(&*inner.store, plan, set, exemplars, &inner.stop)? else {
            return Ok(None);
        };
        reach(Point::BlockWritten);
        let shared = Arc::new(meta.clone());
        self.written.push(meta);
        Block::new(shared, Arc::clone(&inner.store), Arc::clone(&inner.cache)).verify_exemplars()?;
        Ok(self.written.last())
    }

    /// Makes a catalog durable that names the blocks and no longer `gone`, and hands it to `show`, which stores it.
    ///
    /// # Errors
    /// When the disk refuses; nothing is shown then.
    pub(super) fn publish(
        mut self,
        gone: &[Arc<BlockMeta>],
        head_start: Option<i64>,
        show: impl FnOnce(Arc<Catalog>),
    ) -> Result<Vec<BlockMeta>> {
        let inner = self.inner;
        let written = std::mem::take(&mut self.written);
        let current = inner.catalog.load_full();
        let next = current.with(gone, written.clone(), head_start);
        if let Err(error) = save(inner, &current, &next) {
            // The disk may have either of the two catalogs by now.
            {
                let mut doubtful = lock(&inner.doubtful);
                let doubt = doubtful.get_or_insert_default();
                doubt.blocks.extend(written.into_iter().map(|meta| meta.id));
                doubt.tombstones |= next.tombstones != current.tombstones;
            }
            if let Err(error) = settle(inner) {
                tracing::warn!(%error, "failed to restore the previous catalog; retrying later");
            }
            return Err(error);
        }
        reach(Point::CatalogSaved);
        show(Arc::new(next));
        lock(&inner.retired).extend(gone.iter().cloned());
        Ok(written)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        for block in self.written.drain(..) {
            // What stays is removed by the next start, since the catalog does not name it.
            if let Err(error) = self.inner.store.remove(&block.id) {
                tracing::warn!(block = %block.id, %error, "failed to remove an unused block");
            }
        }
    }
}

/// Takes `gone` out of the catalog; they are removed from disk once nobody reads them.
///
/// # Errors
/// When the disk refuses; they are still there then.
pub(super) fn retire(inner: &Inner, gone: &[Arc<BlockMeta>]) -> Result<()> {
    Pending::new(inner)?.publish(gone, None, |catalog| inner.catalog.store(catalog)).map(|_| ())
}

/// Removes blocks that an earlier failure left in doubt, once a catalog without them is durable. Whoever makes
/// something durable that the catalog in memory gives its meaning does this before.
///
/// # Errors
/// When the disk still refuses the catalog.
pub(super) fn settle(inner: &Inner) -> Result<()> {
    let mut doubtful = lock(&inner.doubtful);
    let Some(doubt) = &*doubtful else { return Ok(()) };
    let catalog = inner.catalog.load();
    if doubt.tombstones {
        // Before the catalog is as it was leftovers mean nothing; after it what is missing would be there again.
        catalog.tombstones.save(&inner.options.dir)?;
    }
    catalog.save(&inner.options.dir)?;
    for id in doubtful.take().unwrap_or_default().blocks {
        if let Err(error) = inner.store.remove(&id) {
            tracing::warn!(block = %id, %error, "failed to remove an unused block");
        }
    }
    Ok(())
}

fn save(inner: &Inner, current: &Catalog, next: &Catalog) -> Result<()> {
    next.save(&inner.options.dir)?;
    // Leftovers of blocks that are gone mean nothing, so the order of the two does not matter.
    if next.tombstones != current.tombstones {
        next.tombstones.save(&inner.options.dir)?;
    }
    Ok(())
}

/// A name that no block has.
pub(super) fn new_id(inner: &Inner, start: i64, end: i64) -> BlockId {
    // The nanoseconds of the clock tell apart two blocks of one window; the catalog would refuse a clash anyway.
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| {
        d.subsec_nanos() ^ u32::try_from(d.as_secs() & 0xffff_ffff).unwrap_or(0).rotate_left(12)
    });
    let mut suffix = nanos;
    while inner.catalog.load().blocks.iter().any(|b| b.id == BlockId::new(start, end, suffix)) {
        suffix = suffix.wrapping_add(1);
    }
    BlockId::new(start, end, suffix)
}
