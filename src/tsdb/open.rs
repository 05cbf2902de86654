//! Opening a data directory: lock, blocks, log. Blocks answer at once; the log is replayed meanwhile.
//!
//! The replay holds the head's lock from before [`Tsdb::begin`] returns, so whatever needs the head waits for it.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::admission::{Admission, NoNewSeries};
use super::block::BlockMeta;
use super::block::catalog::Catalog;
use super::block::reader::{BlockCache, load_meta};
use super::block::tombstones::Tombstones;
use super::compact::worker;
use super::db::Tsdb;
use super::error::{IoContext as _, Result};
use super::foreign;
use super::head::Head;
use super::inner::{Inner, Suspects};
use super::lock::DirLock;
use super::memory_watch::MemoryWatch;
use super::metrics::TsdbMetrics;
use super::options::TsdbOptions;
use super::replay::{Held, ReplayState};
use super::space::Space;
use super::store::sled::SledStore;
use super::store::{BlockStore, Recovered};
use super::turns::Turns;
use super::wal::fs::{DiskFs, LogFile, LogFs};
use super::wal::reader::{self, LogFiles, ReplayReport};
use super::wal::{SyncPolicy, Wal};
use crate::telemetry::Registry;
use crate::util::{Clock, StopToken};

impl Tsdb {
    /// Runs the maintenance that is due now on this thread: cut, compact, expire. For tests and the command line.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn maintain(&self) -> Result<()> {
        worker::run_due(&self.inner)
    }

    /// Opens the data directory: locks it, recovers blocks, replays the log, starts the maintenance thread.
    ///
    /// # Errors
    /// When another process holds the directory, an option is invalid, or the disk refuses. Damage is no error: it
    /// is set aside and reported in the log and in metrics.
    pub fn open(options: TsdbOptions, clock: Arc<dyn Clock>, registry: &mut Registry) -> Result<Self> {
        let db = Self::begin(options, clock, registry)?;
        db.wait()?;
        Ok(db)
    }

    /// As [`Tsdb::open`], but returns while the log is still being replayed: queries of what is in blocks are
    /// answered, those of anything else are refused, and commits wait. [`Tsdb::wait`] tells how it ended.
    ///
    /// # Errors
    /// As [`Tsdb::open`], but for what the replay meets.
    pub fn begin(options: TsdbOptions, clock: Arc<dyn Clock>, registry: &mut Registry) -> Result<Self> {
        options.validate()?;
        foreign::check(&options.dir)?;
        let held = Held::Directory { _lock: DirLock::acquire(&options.dir)? };
        let store = Arc::new(SledStore::new(&options.dir.join("blocks"))?);
        Self::begin_on(options, store, held, clock, registry)
    }

    /// As [`Tsdb::begin`], on blocks in `store`.
    pub(super) fn begin_on(
        options: TsdbOptions,
        store: Arc<dyn BlockStore>,
        held: Held,
        clock: Arc<dyn Clock>,
        registry: &mut Registry,
    ) -> Result<Self> {
        let dir = options.dir.clone();
        let metrics = TsdbMetrics::new(registry);
        let RecoveredCatalog { catalog, missing } = recover_catalog(&options, &*store, &metrics)?;
        super::snapshot::remove_unfinished(&dir)?;
        let (tombstones, damage) = Tombstones::load(&dir)?;
        let tombstones_lost = damage.is_some();
        if let Some(error) = damage {
            tracing::error!(
                %error,
                "both copies of the tombstones are damaged and were set aside; deleted data has reappeared in blocks not rewritten since, delete it again"
            );
        }
        if !tombstones.is_saved(&dir) {
            // A process that ended between the two left an older copy, or one of them was damaged.
            if let Err(error) = tombstones.save(&dir) {
                tracing::warn!(%error, "failed to repair the copy of the tombstones; retrying at the next start");
            }
        }
        let catalog = catalog.with_tombstones(tombstones);

        let wal_dir = dir.join("wal");
        let fs = Arc::new(DiskFs::open(&wal_dir).at("create", &wal_dir)?);
        let files = reader::files(&*fs)?;
        let wal = Wal::open(fs, &files, options.sync, options.segment_bytes)?;
        let inner = Arc::new(Inner {
            clock,
            head: Head::new(catalog.head_start.unwrap_or(i64::MIN)),
            wal,
            store,
            cache: Arc::new(BlockCache::new(options.cache_bytes)),
            catalog: ArcSwap::from_pointee(catalog),
            metrics,
            stop: StopToken::new(),
            retired: Mutex::default(),
            doubtful: Mutex::default(),
            missing,
            tombstones_lost,
            suspects: Suspects::default(),
            maintenance: Turns::default(),
            copies: Turns::default(),
            replay: ReplayState::default(),
            limits: ArcSwap::from_pointee(options.limits),
            space: Space::default(),
            admission: Admission::default(),
            sizes: Mutex::new(HashMap::new()),
            options,
            _held: held,
        });
        inner.look_at_disk();
        inner.head.set_max_exemplars(inner.options.limits.max_exemplars);
        let threads = start(&inner, files)?;
        Ok(Self { inner, threads: Mutex::new(threads) })
    }

    /// Waits until the log is replayed.
    ///
    /// # Errors
    /// When it cannot be read or repaired.
    pub fn wait(&self) -> Result<()> {
        self.inner.replay.wait()
    }

    /// Whether the log is replayed, for tasks that wait for it without a thread.
    ///
    /// # Errors
    /// As [`Tsdb::wait`].
    pub fn poll_replayed(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.replay.poll(cx)
    }

    /// Why no new series are taken, if so: those that are in memory go on in any case.
    pub fn refuses_new_series(&self) -> Option<NoNewSeries> {
        self.inner.refuses_new_series()
    }

    /// Leaves memory out of account that is held by somebody else, as by queries, and has bounds of its own. The first
    /// who says so counts.
    pub fn exclude_memory(&self, bytes: impl Fn() -> u64 + Send + Sync + 'static) {
        self.inner.admission.exclude(Box::new(bytes));
    }

    /// Ends a replay that is under way before the next file of the log. Nothing is lost: the log stays as it is. What
    /// waits for the replay gets an error.
    pub fn give_up_replay(&self) {
        self.inner.replay.give_up.stop();
    }

    /// Whether the log is replayed.
    pub fn is_replayed(&self) -> bool {
        self.inner.replay.is_done()
    }
}

/// Starts the threads of the database; the first one replays the log before it does maintenance.
fn start(inner: &Arc<Inner>, files: LogFiles) -> Result<Vec<JoinHandle<()>>> {
    let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .at("start thread for", &inner.options.dir)
    };
    let mut threads = Vec::new();
    // First: the replay takes memory too.
    let watch = inner.options.background.then(|| MemoryWatch::begin(inner)).flatten();
    if let Some(watch) = watch {
        let shared = Arc::clone(inner);
        threads.push(spawn("tsdb-memory", Box::new(move || watch.run(&shared)))?);
    }
    let (locked, is_locked) = sync_channel(1);
    let shared = Arc::clone(inner);
    threads.push(spawn(
        "tsdb-compact",
        Box::new(move || {
            replay(&shared, &files, || {
                let _ = locked.send(());
            });
            if shared.options.background && shared.replay.report().is_some() {
                worker::run(&shared);
            }
        }),
    )?);
    // An error says that the thread ended without the lock: the outcome tells why.
    let _ = is_locked.recv();
    if let (true, SyncPolicy::Interval(ms)) = (inner.options.background, inner.options.sync) {
        let shared = Arc::clone(inner);
        threads.push(spawn(
            "tsdb-sync",
            Box::new(move || {
                let mut told = false;
                while !shared.stop.is_stopped() {
                    std::thread::park_timeout(Duration::from_millis(ms.max(1)));
                    shared.metrics.restarts.guard("sync of the log", || {
                        if let Err(error) = shared.wal.sync()
                            && !std::mem::replace(&mut told, true)
                        {
                            tracing::error!(%error, "failed to sync the write-ahead log; refusing samples from now on");
                        }
                    });
                }
            }),
        )?);
    }
    Ok(threads)
}

/// Replays `files`; whatever happens, those who wait for it are told how it ended.
fn replay(inner: &Inner, files: &LogFiles, locked: impl FnOnce()) {
    let replayed = inner.metrics.restarts.guard("replay of the log", || {
        let started = Instant::now();
        let report = inner
            .head
            .replay(&Until { fs: &**inner.wal.fs(), given_up: &inner.replay.give_up }, files, locked)
            .map_err(|error| error.to_string())?;
        inner.wal.learn(&report.newest);
        inner.metrics.replay_seconds.set(started.elapsed().as_secs_f64());
        Ok(report)
    });
    let outcome = replayed.unwrap_or_else(|| Err("a bug in the replay, please report it".to_owned()));
    let report = inner.replay.finish(outcome);
    inner.adopt_limits();
    inner.metrics.restarts.guard("report of the replay", || tell(inner, report.as_deref()));
}

fn tell(inner: &Inner, report: Option<&ReplayReport>) {
    // Why there is none is told by whoever waits for the database.
    let Some(report) = report else { return };
    for damage in &report.damage {
        inner.metrics.wal_corruptions.inc();
        tracing::error!(
            file = damage.file, offset = damage.offset, lost_bytes = damage.lost_bytes, cause = %damage.cause,
            lost_after_ms = damage.after, lost_before_ms = damage.before,
            "write-ahead log was damaged; the damaged tail was kept in the wal directory"
        );
    }
    if report.orphans > 0 {
        tracing::error!(
            samples = report.orphans,
            "lost samples of series defined in a damaged part of the log"
        );
    }
    if report.undecodable > 0 {
        tracing::error!(
            histograms = report.undecodable,
            "skipped invalid native histograms in the write-ahead log; please report this bug"
        );
    }
    tracing::info!(
        dir = %inner.options.dir.display(), blocks = inner.catalog.load().blocks.len(), records = report.records,
        series = inner.head.series_count(), seconds = inner.metrics.replay_seconds.get(), "database opened"
    );
}

/// The files of the log, which cannot be read any more once the replay is given up.
struct Until<'a> {
    fs: &'a dyn LogFs,
    given_up: &'a StopToken,
}

impl LogFs for Until<'_> {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        if self.given_up.is_stopped() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the database is being closed"));
        }
        self.fs.read(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.fs.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        self.fs.create(name)
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        self.fs.truncate(name, len)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.fs.sync(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.fs.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.fs.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.fs.sync_dir()
    }

    fn path(&self) -> &Path {
        self.fs.path()
    }
}

/// What the catalog of a data directory comes to.
struct RecoveredCatalog {
    catalog: Catalog,
    /// Blocks that it names and the disk does not have.
    missing: Vec<Arc<BlockMeta>>,
}

/// The catalog as stored, or rebuilt from the blocks themselves; blocks it does not name are removed.
fn recover_catalog(
    options: &TsdbOptions,
    store: &dyn BlockStore,
    metrics: &TsdbMetrics,
) -> Result<RecoveredCatalog> {
    let Recovered { blocks: found, set_aside, put_back } = store.recover()?;
    match Catalog::load(&options.dir) {
        Ok(Some(mut catalog)) => {
            // A process that ended between the two left an older copy, which names blocks that are about to go.
            if !catalog.is_saved(&options.dir) {
                catalog.save(&options.dir)?;
            }
            for id in &found {
                if catalog.blocks.iter().any(|block| block.id == *id) {
                    continue;
                }
                if put_back.contains(id) {
                    match load_meta(store, id) {
                        Ok(meta) => {
                            tracing::warn!(block = %id, "a block that had been set aside is back");
                            catalog = catalog.with(&[], vec![meta], None);
                        }
                        Err(error) => {
                            tracing::error!(block = %id, %error, "failed to read a restored block");
                            if let Err(error) = store.quarantine(id) {
                                tracing::error!(block = %id, %error, "failed to set the block aside again");
                            }
                        }
                    }
                    continue;
                }
                // Published by name but not yet in the catalog: its samples are still in the log or in its sources.
                tracing::info!(block = %id, "removing a block not listed in the catalog");
                store.remove(id)?;
            }
            if !put_back.is_empty() {
                catalog.save(&options.dir)?;
                put_back.iter().try_for_each(|id| store.accept(id))?;
            }
            let (kept, mut missing): (Vec<_>, Vec<_>) =
                catalog.blocks.iter().cloned().partition(|b| found.contains(&b.id));
            // Set aside, and the process ended before the catalog said so.
            missing.retain(|block| !set_aside.contains(&block.id));
            for block in &missing {
                tracing::error!(block = %block.id, start = block.start, end = block.end, "block is missing from disk");
            }
            return Ok(RecoveredCatalog { catalog: Catalog::new(kept, catalog.head_start), missing });
        }
        Ok(None) if found.is_empty() => {}
        Ok(None) => tracing::error!("catalog missing; rebuilding it from the blocks"),
        Err(error) if error.is_damage() => {
            tracing::error!(%error, "rebuilding the catalog from the blocks");
            Catalog::set_aside(&options.dir)?;
        }
        Err(error) => return Err(error),
    }
    let mut metas = Vec::new();
    for id in found {
        match load_meta(store, &id) {
            Ok(meta) => metas.push(meta),
            Err(error) if !error.is_damage() => return Err(error),
            Err(error) => {
                tracing::error!(block = %id, %error, "damaged block set aside");
                metrics.blocks_quarantined.inc();
                store.quarantine(&id)?;
            }
        }
    }
    let catalog = Catalog::rebuild(&metas);
    // Of a new directory too: from here on a block that no catalog names is one that was not finished.
    catalog.save(&options.dir)?;
    Ok(RecoveredCatalog { catalog, missing: Vec::new() })
}
