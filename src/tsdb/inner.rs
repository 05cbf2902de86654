//! What a running database shares between its threads.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use super::admission::{Admission, NoNewSeries};
use super::block::catalog::Catalog;
use super::block::reader::BlockCache;
use super::block::{Block, BlockMeta};
use super::error::Result;
use super::head::Head;
use super::metrics::TsdbMetrics;
use super::options::{Limits, TsdbOptions};
use super::replay::{Held, ReplayState};
use super::space::Space;
use super::store::{BlockId, BlockStore};
use super::turns::Turns;
use super::wal::{self, Wal};
use crate::util::lock::lock;
use crate::util::{Clock, StopToken};

/// Everything a running database shares between its threads.
pub(super) struct Inner {
    pub(super) options: TsdbOptions,
    pub(super) limits: ArcSwap<Limits>,
    pub(super) space: Space,
    pub(super) admission: Admission,
    /// Bytes of live blocks on disk; they never change.
    pub(super) sizes: Mutex<HashMap<BlockId, u64>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) head: Head,
    pub(super) wal: Wal,
    pub(super) store: Arc<dyn BlockStore>,
    pub(super) cache: Arc<BlockCache>,
    /// Changed by whoever has a turn of `maintenance`: the maintenance thread, deletions, imports, repairs.
    pub(super) catalog: ArcSwap<Catalog>,
    pub(super) metrics: TsdbMetrics,
    pub(super) stop: StopToken,
    /// Since a catalog could not be saved.
    pub(super) doubtful: Mutex<Option<Doubt>>,
    /// Blocks that the catalog named at the start and the disk did not have.
    pub(super) missing: Vec<Arc<BlockMeta>>,
    /// Whether both copies of the tombstones were damaged at the start.
    pub(super) tombstones_lost: bool,
    /// Blocks that left the catalog and wait for their last reader.
    pub(super) retired: Mutex<Vec<Arc<BlockMeta>>>,
    /// Blocks in which damage was met.
    pub(super) suspects: Suspects,
    /// Whoever changes the catalog takes a turn.
    pub(super) maintenance: Turns,
    /// One copy is made after the other: they take time, disk, and names that are free.
    pub(super) copies: Turns,
    pub(super) replay: ReplayState,
    /// The last to be dropped.
    pub(super) _held: Held,
}

impl Inner {
    /// Makes the head follow the limits.
    pub(super) fn adopt_limits(&self) {
        loop {
            let limits = self.limits.load_full();
            self.head.set_max_exemplars(limits.max_exemplars);
            // Somebody else may have set others meanwhile, and may have come first.
            if Arc::ptr_eq(&limits, &self.limits.load_full()) {
                return;
            }
        }
    }

    /// Looks how much room the disk has; a change is told once.
    pub(super) fn look_at_disk(&self) {
        let found = match (self.options.space_probe)(&self.options.dir) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "failed to read the free disk space");
                return;
            }
        };
        match self.space.look(found, self.options.reserve_bytes) {
            Some(true) => {
                tracing::error!(available_bytes = found.available, "disk nearly full; refusing samples");
            }
            Some(false) => {
                tracing::info!(available_bytes = found.available, "disk space recovered; accepting samples");
            }
            None => {}
        }
    }

    /// An error while the disk is nearly full.
    pub(super) fn check_space(&self) -> Result<()> {
        if self.space.is_stale() {
            self.look_at_disk();
        }
        self.space.check()
    }

    /// Why no new series are taken, if so. Never waits for the replay, which has the head: until it is over nothing is
    /// counted.
    pub(super) fn refuses_new_series(&self) -> Option<NoNewSeries> {
        let quota = self.limits.load().max_series;
        self.admission.closed().or_else(|| {
            let full = quota > 0 && self.replay.is_done() && self.head.series_count() as u64 >= quota;
            full.then_some(NoNewSeries::Quota { series: quota })
        })
    }

    /// Bytes a live block takes on disk.
    pub(super) fn block_bytes(&self, id: &BlockId) -> u64 {
        if let Some(known) = lock(&self.sizes).get(id) {
            return *known;
        }
        let bytes = self.store.size_bytes(id);
        lock(&self.sizes).insert(id.clone(), bytes);
        bytes
    }

    /// Forgets the size of a block that is gone.
    pub(super) fn forget_size(&self, id: &BlockId) {
        lock(&self.sizes).remove(id);
    }

    /// Bytes of the log on disk.
    pub(super) fn wal_bytes(&self) -> u64 {
        let files = std::fs::read_dir(self.wal.fs().path()).into_iter().flatten().flatten();
        // What was set aside for a person to look at must not push blocks out.
        let live = files.filter(|file| file.file_name().to_str().is_some_and(wal::is_live));
        live.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    }

    /// Bytes of blocks and log to keep at most; 0 for no limit.
    pub(super) fn max_bytes(&self) -> u64 {
        let limits = self.limits.load();
        let total = self.space.seen().map_or(0, |space| space.total);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of the disk, 0 to all of it"
        )]
        let share = (total as f64 * limits.retention_percent / 100.0) as u64;
        match (limits.retention_bytes, share) {
            (0, share) => share,
            (bytes, 0) => bytes,
            (bytes, share) => bytes.min(share),
        }
    }

    pub(super) fn block(&self, meta: &Arc<BlockMeta>) -> Block {
        Block::new(Arc::clone(meta), Arc::clone(&self.store), Arc::clone(&self.cache))
    }
}

/// What is not known of the disk since a catalog could not be saved.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// Blocks that the catalog on disk may name and that in memory does not.
    pub(super) blocks: Vec<BlockId>,
    /// Whether the tombstones on disk may be others, too.
    pub(super) tombstones: bool,
}

/// Blocks that showed damage; the maintenance thread looks at them closely.
pub(super) type Suspects = Arc<Mutex<BTreeSet<BlockId>>>;
