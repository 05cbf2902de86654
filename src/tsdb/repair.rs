//! What a person with a damaged data directory asks for: what the log lost, and to set a block aside.

use std::sync::Arc;

use super::block::BlockMeta;
use super::compact::worker;
use super::db::Tsdb;
use super::error::Result;
use super::wal::reader::Damage;
use crate::util::lock::lock;

impl Tsdb {
    /// Places in which the log was damaged when it was opened; they are cut off and kept aside.
    pub fn log_damage(&self) -> Vec<Damage> {
        self.inner.replay.report().map(|report| report.damage.clone()).unwrap_or_default()
    }

    /// Takes the blocks that the disk does not have out of the catalog for good, so that they are not told again.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn forget_missing(&self) -> Result<()> {
        let inner = &*self.inner;
        let _alone = inner.maintenance.take();
        inner.catalog.load().save(&inner.options.dir)
    }

    /// Sets block `meta` aside if it is damaged; says whether it was.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn set_aside(&self, meta: &Arc<BlockMeta>) -> Result<bool> {
        let inner = &*self.inner;
        inner.replay.wait()?;
        let _alone = inner.maintenance.take();
        lock(&inner.suspects).insert(meta.id.clone());
        worker::quarantine_suspects(inner)?;
        Ok(!inner.catalog.load().blocks.iter().any(|block| block.id == meta.id))
    }
}
