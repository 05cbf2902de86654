//! One write-once sled database per block. The only user of sled.
//!
//! How sled is used, and why: `docs/decisions/0002-sled-write-once.md`. A block is written under `<id>.tmp`, closed,
//! opened again and verified ("sealed"), every file synced by us, renamed to `<id>`, and never written by us again.
//!
//! A tree of sled that grows by large values rewrites each page several times and keeps the garbage. So the keys come
//! first, in order and without values, which makes all the splits cheap; then each gets its value, once.
//!
//! **Locking**: the list of open databases, held during an open; then what a database has touched.
//! **Cost**: an open reads sled's snapshot: some milliseconds. sled keeps every page it has read until its database is
//! closed, so the least recently used is closed beyond [`MAX_OPEN`], or when all have read `MAX_TOUCHED_BYTES`.
//! Writing and verifying close it now and then for the same reason; writing also holds up to `BATCH_BYTES` of values.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{BlockId, BlockReader, BlockStore, BlockWriter, MAX_VALUE_BYTES, Recovered, ValueDigest, keys};
use crate::codec::frame;
use crate::tsdb::durable;
use crate::tsdb::error::{Error, IoContext as _, Result};
use crate::tsdb::points::{Point, reach};
use crate::util::lock::lock;

/// Databases open at once.
pub const MAX_OPEN: usize = 16;
/// Bytes that open databases may have read before one is closed.
const MAX_TOUCHED_BYTES: usize = 64 << 20;
/// Values whose page sled reads with one of them, about: nine keys a page.
const VALUES_PER_PAGE: usize = 8;
/// Keys at which sled splits a page.
const FILLERS: u32 = 17;
/// Bytes put before their keys and then their values are handed to sled. At each border one page is written again.
const BATCH_BYTES: usize = 8 << 20;
/// Size of sled's segments, in which the file of a database grows.
const SEGMENT_BYTES: usize = 512 << 10;
/// Of a block of a few series.
const MIN_SEGMENT_BYTES: usize = 16 << 10;
/// Blocks of at most so many segments' bytes get smaller segments.
const SMALL_SEGMENTS: usize = 4;
const TEMPORARY: &str = ".tmp";
const DELETED: &str = ".del";
const CORRUPT: &str = ".corrupt";

/// Blocks as sled databases in one folder.
pub struct SledStore {
    dir: PathBuf,
    /// Open databases, the most recently used last.
    open: Mutex<Vec<Arc<SledBlock>>>,
    /// [`BATCH_BYTES`] and [`MAX_TOUCHED_BYTES`]; smaller in tests.
    batch_bytes: usize,
    max_touched_bytes: usize,
}

struct SledBlock {
    id: BlockId,
    db: sled::Db,
    touched: Mutex<Touched>,
}

/// What sled has read and keeps.
#[derive(Default)]
struct Touched {
    /// Keys by page, about.
    pages: HashSet<(u8, u32)>,
    bytes: usize,
}

struct SledWriter {
    id: BlockId,
    dir: PathBuf,
    temporary: PathBuf,
    /// None before the first batch, and after the last.
    db: Option<sled::Db>,
    segment_bytes: usize,
    batch: Vec<(Vec<u8>, Vec<u8>)>,
    batch_bytes: usize,
    max_batch_bytes: usize,
    /// Whether there was a batch before.
    started: bool,
    /// Bytes written since the database was last opened, which sled keeps.
    kept_bytes: usize,
    max_kept_bytes: usize,
    crc: crc32fast::Hasher,
    digest: ValueDigest,
}

fn failed(id: &BlockId, action: &'static str, reason: &(impl ToString + ?Sized)) -> Error {
    Error::Store { block: id.to_string(), action, reason: reason.to_string() }
}

fn damaged(id: &BlockId, reason: &(impl ToString + ?Sized)) -> Error {
    Error::BlockDamaged { block: id.to_string(), reason: reason.to_string() }
}

/// Runs `work` on sled, turning a panic inside sled into an error: damaged databases can make it panic.
fn guarded<T>(id: &BlockId, action: &'static str, work: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| match &error {
            // What the system refused has a number of the system, or, told a second time, its kind only; what sled made
            // up itself is about the bytes.
            sled::Error::Io(io) if io.raw_os_error().is_some() || !is_made_up(io.kind()) => {
                failed(id, action, &error)
            }
            _ => damaged(id, &error),
        }),
        Err(_) => Err(damaged(id, "sled panicked")),
    }
}

/// Whether sled gives errors of this kind by itself.
fn is_made_up(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, NotFound, Other, UnexpectedEof};
    matches!(kind, InvalidData | InvalidInput | NotFound | Other | UnexpectedEof)
}

/// How long an open waits for sled's own threads to let go of a database that was just closed.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Opens the database in folder `path`, made with segments of `segment_bytes` if it is not there.
fn open_db(id: &BlockId, path: &Path, segment_bytes: usize) -> Result<sled::Db> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(8 << 20)
        .flush_every_ms(None)
        .segment_size(stored_segment_bytes(path).unwrap_or(segment_bytes));
    let started = Instant::now();
    loop {
        let opened = guarded(id, "open", || config.open().map_or_else(retry_when_locked, |db| Ok(Some(db))));
        let opened = opened.map_err(|error| match error {
            Error::Store { block, action, reason } => {
                Error::Store { block, action, reason: format!("{}: {reason}", path.display()) }
            }
            other => other,
        });
        match opened? {
            Some(db) => return Ok(db),
            None if started.elapsed() < LOCK_PATIENCE => std::thread::sleep(Duration::from_millis(2)),
            None => return Err(failed(id, "open", "the database is still locked by an earlier use")),
        }
    }
}

/// The size of segments that the database in folder `path` was made with; sled opens it with no other.
fn stored_segment_bytes(path: &Path) -> Option<usize> {
    let bytes = fs::read(path.join("conf")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let size = text.lines().find_map(|line| line.strip_prefix("segment_size: "))?.trim().parse().ok()?;
    // What is out of bounds makes sled panic.
    (usize::is_power_of_two(size) && (MIN_SEGMENT_BYTES..=SEGMENT_BYTES).contains(&size)).then_some(size)
}

/// Small segments for small blocks: a database takes at least one, and every value should fit inside one.
fn fitting_segment_bytes(batch: &[(Vec<u8>, Vec<u8>)]) -> usize {
    let total: usize = batch.iter().map(|(_, value)| value.len()).sum();
    let largest = batch.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
    // sled makes a file of what is larger than a quarter of a segment, its header included.
    let fits = 4 * (largest + 64);
    let small = fits.next_power_of_two().clamp(MIN_SEGMENT_BYTES, SEGMENT_BYTES);
    if total <= SMALL_SEGMENTS * SEGMENT_BYTES { small } else { SEGMENT_BYTES }
}

fn retry_when_locked(error: sled::Error) -> sled::Result<Option<sled::Db>> {
    match &error {
        // sled wraps the kind of the lock's error in a message of its own.
        sled::Error::Io(io) if io.to_string().contains("could not acquire lock") => Ok(None),
        _ => Err(error),
    }
}

impl SledStore {
    /// The blocks in folder `dir`, created if absent.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn new(dir: &Path) -> Result<Self> {
        durable::create_dir(dir).at("create", dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            open: Mutex::default(),
            batch_bytes: BATCH_BYTES,
            max_touched_bytes: MAX_TOUCHED_BYTES,
        })
    }

    fn path(&self, id: &BlockId) -> PathBuf {
        self.dir.join(id.as_str())
    }

    fn close(&self, id: &BlockId) {
        lock(&self.open).retain(|block| block.id != *id);
    }

    /// Opens with repair of what a kill during an open can leave behind.
    fn open_guarded(&self, id: &BlockId) -> Result<SledBlock> {
        let path = self.path(id);
        if !path.is_dir() {
            return Err(failed(id, "open", "no such block"));
        }
        set_snapshots_aside(&path, |name| name.ends_with(".generating")).at("clean", &path)?;
        let first = open_db(id, &path, SEGMENT_BYTES).and_then(|db| {
            let block = SledBlock::new(id, db);
            // A database that lost its end still opens; the meta record was written last.
            block.get(keys::META)?.map(|_| ()).ok_or_else(|| damaged(id, "meta record missing"))?;
            Ok(block)
        });
        let error = match first {
            Err(error) if error.is_damage() => error,
            other => return other,
        };
        tracing::warn!(block = %id, %error, "block does not open, trying without its snapshot");
        set_snapshots_aside(&path, |_| true).at("clean", &path)?;
        let block = SledBlock::new(id, open_db(id, &path, SEGMENT_BYTES)?);
        block.verify()?;
        block.get(keys::META)?.ok_or_else(|| damaged(id, "meta record missing"))?;
        Ok(block)
    }
}

impl BlockStore for SledStore {
    fn begin(&self, id: &BlockId) -> Result<Box<dyn BlockWriter>> {
        let temporary = self.dir.join(format!("{id}{TEMPORARY}"));
        if temporary.exists() {
            fs::remove_dir_all(&temporary).at("remove", &temporary)?;
        }
        Ok(Box::new(SledWriter {
            id: id.clone(),
            dir: self.dir.clone(),
            temporary,
            db: None,
            segment_bytes: SEGMENT_BYTES,
            batch: Vec::new(),
            batch_bytes: 0,
            max_batch_bytes: self.batch_bytes,
            started: false,
            kept_bytes: 0,
            max_kept_bytes: self.max_touched_bytes,
            crc: crc32fast::Hasher::new(),
            digest: ValueDigest::default(),
        }))
    }

    fn open(&self, id: &BlockId) -> Result<Arc<dyn BlockReader>> {
        // Held during the open: two threads must not open one database twice, sled would refuse the second.
        let mut open = lock(&self.open);
        close_idle(&mut open, self.max_touched_bytes);
        if let Some(at) = open.iter().position(|block| block.id == *id) {
            let block = open.remove(at);
            open.push(Arc::clone(&block));
            return Ok(block);
        }
        let block = Arc::new(self.open_guarded(id)?);
        open.push(Arc::clone(&block));
        Ok(block)
    }

    fn recover(&self) -> Result<Recovered> {
        let mut found = Recovered::default();
        for entry in fs::read_dir(&self.dir).at("list", &self.dir)? {
            let entry = entry.at("list", &self.dir)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.ends_with(TEMPORARY) || name.ends_with(DELETED) {
                fs::remove_dir_all(entry.path()).at("remove", entry.path())?;
            } else if let Some(id) = BlockId::parse(&name) {
                found.blocks.push(id);
            } else if let Some(id) = name.strip_suffix(CORRUPT).and_then(BlockId::parse) {
                found.set_aside.push(id);
            }
        }
        found.blocks.sort();
        Ok(found)
    }

    fn remove(&self, id: &BlockId) -> Result<()> {
        self.close(id);
        let (path, deleted) = (self.path(id), self.dir.join(format!("{id}{DELETED}")));
        // Renamed first: a kill in the middle must not leave half a block under a valid name.
        match durable::rename(&path, &deleted) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed.at("rename", &path)?,
        }
        reach(Point::BlockRemoving);
        fs::remove_dir_all(&deleted).at("remove", &deleted)
    }

    fn quarantine(&self, id: &BlockId) -> Result<()> {
        self.close(id);
        let aside = self.dir.join(format!("{id}{CORRUPT}"));
        durable::rename(&self.path(id), &aside).at("rename", self.path(id))?;
        sync_path(&self.dir)
    }

    fn size_bytes(&self, id: &BlockId) -> u64 {
        files_below(&self.path(id))
            .map_or(0, |files| files.iter().filter_map(|file| fs::metadata(file).ok()).map(|m| m.len()).sum())
    }
}

/// Closes databases beyond the bounds, the least recently used first. One that is being read stays: a second open of
/// it would find it locked.
fn close_idle(open: &mut Vec<Arc<SledBlock>>, max_touched_bytes: usize) {
    loop {
        let touched: usize = open.iter().map(|block| lock(&block.touched).bytes).sum();
        if open.len() < MAX_OPEN && touched <= max_touched_bytes {
            return;
        }
        // New handles are made under the lock of this list only, so one that is alone stays alone.
        let Some(at) = open.iter().position(|block| Arc::strong_count(block) == 1) else { return };
        open.remove(at);
    }
}

impl SledWriter {
    /// Hands the batch to sled: keys first, then each value. Behind the keys of the `last` batch come some more, so
    /// that the last page with values is split like the others.
    fn flush_batch(&mut self, last: bool) -> Result<()> {
        let first = !std::mem::replace(&mut self.started, true);
        if first {
            self.segment_bytes = fitting_segment_bytes(&self.batch);
        }
        if self.kept_bytes >= self.max_kept_bytes {
            self.db = None;
            self.kept_bytes = 0;
        }
        if self.db.is_none() {
            self.db = Some(open_db(&self.id, &self.temporary, self.segment_bytes)?);
        }
        self.kept_bytes += std::mem::take(&mut self.batch_bytes);
        let batch = std::mem::take(&mut self.batch);
        let Some(db) = &self.db else { return Ok(()) };
        guarded(&self.id, "write", || {
            if first {
                // It gets its value last, but has its place in the first page.
                db.insert(keys::META, &[])?;
            }
            for (key, _) in &batch {
                db.insert(key, &[])?;
            }
            for number in 0..if last { FILLERS } else { 0 } {
                db.insert(keys::filler(number), &[])?;
            }
            for (key, value) in batch {
                db.insert(key, value)?;
            }
            db.flush().map(|_| ())
        })
    }

    fn insert(&mut self, key: &[u8], stored: Vec<u8>) -> Result<()> {
        if stored.len() > MAX_VALUE_BYTES {
            return Err(failed(
                &self.id,
                "write",
                &format!("a value of {} bytes is too large", stored.len()),
            ));
        }
        self.batch_bytes += stored.len();
        self.batch.push((key.to_vec(), stored));
        if self.batch_bytes >= self.max_batch_bytes { self.flush_batch(false) } else { Ok(()) }
    }

    /// Opens and verifies the closed database, closes it, opens and closes it once more so that its snapshot
    /// covers everything.
    fn seal(&self) -> Result<()> {
        let mut verifier = Verifier::default();
        loop {
            // Closed now and then: sled keeps all that it has read.
            let block = SledBlock::new(&self.id, open_db(&self.id, &self.temporary, self.segment_bytes)?);
            if verifier.go_on(&block, self.max_kept_bytes)? {
                break;
            }
        }
        let found = verifier.digest();
        if found != self.digest {
            let reason = format!("wrote {:?}, read back {found:?}", self.digest);
            return Err(failed(&self.id, "verify", &reason));
        }
        drop(open_db(&self.id, &self.temporary, self.segment_bytes)?);
        Ok(())
    }
}

impl BlockWriter for SledWriter {
    fn put(&mut self, key: &[u8], payload: &[u8]) -> Result<()> {
        let stored = frame::seal_value(key, payload);
        self.crc.update(key);
        self.crc.update(&stored);
        self.digest.values += 1;
        self.digest.bytes += stored.len() as u64;
        self.insert(key, stored)
    }

    fn digest(&self) -> ValueDigest {
        ValueDigest { crc: self.crc.clone().finalize(), ..self.digest }
    }

    fn publish(mut self: Box<Self>, meta: &[u8]) -> Result<()> {
        self.digest = self.digest();
        self.insert(keys::META, frame::seal_value(keys::META, meta))?;
        self.flush_batch(true)?;
        reach(Point::BlockFilled);
        self.db = None;
        self.seal()?;
        reach(Point::BlockSealed);
        // sled syncs neither its files nor their folders for good.
        for file in files_below(&self.temporary).at("list", &self.temporary)? {
            sync_path(&file)?;
        }
        for folder in folders_below(&self.temporary).at("list", &self.temporary)? {
            sync_path(&folder)?;
        }
        reach(Point::BlockSynced);
        let path = self.dir.join(self.id.as_str());
        durable::rename(&self.temporary, &path).at("rename", &self.temporary)?;
        sync_path(&self.dir)
    }
}

impl Drop for SledWriter {
    fn drop(&mut self) {
        self.db = None;
        // Published, the folder has another name by now. What cannot be removed here is removed at the next start.
        if self.temporary.exists() {
            let _ = fs::remove_dir_all(&self.temporary);
        }
    }
}

impl SledBlock {
    fn new(id: &BlockId, db: sled::Db) -> Self {
        Self { id: id.clone(), db, touched: Mutex::default() }
    }

    /// Counts what sled keeps for a value of `len` bytes having been read: its page.
    fn touch(&self, key: &[u8], len: usize) {
        let kind = key.first().copied().unwrap_or(0);
        let number = key.get(1..).and_then(|k| k.first_chunk::<4>()).map_or(0, |n| u32::from_be_bytes(*n));
        let mut touched = lock(&self.touched);
        if touched.pages.insert((kind, number / 8)) {
            touched.bytes += len * VALUES_PER_PAGE;
        }
    }
}

impl BlockReader for SledBlock {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(value) = guarded(&self.id, "read", || self.db.get(key))? else { return Ok(None) };
        self.touch(key, value.len());
        match frame::open_value(key, &value) {
            Ok(payload) => Ok(Some(payload.to_vec())),
            Err(source) => Err(Error::Corrupt { what: format!("block {}", self.id), source }),
        }
    }

    fn verify(&self) -> Result<ValueDigest> {
        let mut verifier = Verifier::default();
        verifier.go_on(self, usize::MAX)?;
        Ok(verifier.digest())
    }
}

/// Reads a database in the order of its keys, in as many parts as wanted.
#[derive(Default)]
struct Verifier {
    digest: ValueDigest,
    crc: crc32fast::Hasher,
    /// The last key that was read.
    last: Option<sled::IVec>,
}

impl Verifier {
    /// Goes on until about `max_bytes` were read; says whether that was the end.
    fn go_on(&mut self, block: &SledBlock, max_bytes: usize) -> Result<bool> {
        let after = self.last.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let mut entries = block.db.range::<sled::IVec, _>((after, Bound::Unbounded));
        let mut read = 0usize;
        while let Some((key, value)) = guarded(&block.id, "read", || entries.next().transpose())? {
            if keys::is_filler(&key) {
                continue;
            }
            block.touch(&key, value.len());
            frame::open_value(&key, &value)
                .map_err(|source| Error::Corrupt { what: format!("block {}", block.id), source })?;
            if key.as_ref() != keys::META {
                self.crc.update(&key);
                self.crc.update(&value);
                self.digest.values += 1;
                self.digest.bytes += value.len() as u64;
            }
            read = read.saturating_add(value.len());
            self.last = Some(key);
            if read >= max_bytes {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn digest(&self) -> ValueDigest {
        ValueDigest { crc: self.crc.clone().finalize(), ..self.digest }
    }
}

fn sync_path(path: &Path) -> Result<()> {
    durable::sync(path).at("sync", path)
}

fn set_snapshots_aside(dir: &Path, which: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with("snap.") && which(&name) {
            fs::rename(entry.path(), dir.join(format!("aside.{name}")))?;
        }
    }
    Ok(())
}

fn files_below(dir: &Path) -> io::Result<Vec<PathBuf>> {
    walk(dir).map(|(files, _)| files)
}

fn folders_below(dir: &Path) -> io::Result<Vec<PathBuf>> {
    walk(dir).map(|(_, folders)| folders)
}

fn walk(dir: &Path) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut files, mut folders) = (Vec::new(), vec![dir.to_owned()]);
    let mut next = 0;
    while next < folders.len() {
        for entry in fs::read_dir(&folders[next])? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
        next += 1;
    }
    Ok((files, folders))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With small batches, so that their borders are common.
    fn small_store(dir: &Path) -> SledStore {
        SledStore {
            batch_bytes: 64 << 10,
            max_touched_bytes: 128 << 10,
            ..SledStore::new(dir).expect("store")
        }
    }

    fn write(store: &SledStore, id: &BlockId) -> ValueDigest {
        let mut writer = store.begin(id).expect("begin");
        for number in 0..200u32 {
            let payload: Vec<u8> = (0..2000u32).map(|i| (i * number).to_le_bytes()[0]).collect();
            writer.put(&keys::bundle(number), &payload).expect("put");
        }
        let digest = writer.digest();
        writer.publish(b"the meta record").expect("publish");
        digest
    }

    #[test]
    fn publishes_whole_blocks_only() {
        let dir = tempfile::tempdir().expect("dir");
        let store = small_store(dir.path());
        let id = BlockId::new(0, 7_200_000, 1);
        let digest = write(&store, &id);
        let block = store.open(&id).expect("open");
        assert_eq!(block.get(keys::META).expect("get").as_deref(), Some(&b"the meta record"[..]));
        assert_eq!(block.get(&keys::bundle(7)).expect("get").map(|v| v.len()), Some(2000));
        assert_eq!(block.get(&keys::bundle(200)).expect("get"), None);
        assert_eq!(block.verify().expect("verify"), digest);
        drop(block);

        let unpublished = BlockId::new(7_200_000, 14_400_000, 2);
        let mut writer = store.begin(&unpublished).expect("begin");
        for number in 0..100 {
            writer.put(&keys::bundle(number), &[7; 2000]).expect("put");
        }
        assert!(dir.path().join(format!("{unpublished}{TEMPORARY}")).exists());
        // As a kill leaves it: no drop.
        std::mem::forget(writer);
        let store = small_store(dir.path());
        assert_eq!(store.recover().expect("recover").blocks, std::slice::from_ref(&id));
        assert!(store.open(&unpublished).is_err_and(|error| !error.is_damage()));
        assert!(store.size_bytes(&id) > 1000);
        store.remove(&id).expect("remove");
        assert_eq!(store.recover().expect("recover").blocks, []);
    }

    #[test]
    fn databases_are_little_larger_than_what_they_hold() {
        let dir = tempfile::tempdir().expect("dir");
        let store = SledStore::new(dir.path()).expect("store");
        let mut state = 1u64;
        for (number, values, value_bytes, most) in
            [(1, 400, 12_000, 130), (2, 60, 10_000, 130), (3, 4, 5000, 400), (4, 40, 70_000, 140)]
        {
            let id = BlockId::new(0, 1, number);
            let mut writer = store.begin(&id).expect("begin");
            for key in 0..values {
                let mut payload = vec![0u8; value_bytes];
                for byte in &mut payload {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    *byte = state.to_be_bytes()[0];
                }
                writer.put(&keys::bundle(key), &payload).expect("put");
            }
            let payload = writer.digest().bytes;
            writer.publish(b"meta").expect("publish");
            let share = store.size_bytes(&id) * 100 / payload;
            assert!(share <= most, "{values} values of {value_bytes} bytes take {share} %");
        }
    }

    #[test]
    fn what_was_read_does_not_stay_open_without_bound() {
        let dir = tempfile::tempdir().expect("dir");
        let store = small_store(dir.path());
        let ids: Vec<BlockId> = (0..20).map(|n| BlockId::new(n, n + 1, 1)).collect();
        ids.iter().for_each(|id| {
            write(&store, id);
        });
        let held = store.open(&ids[0]).expect("open");
        for id in &ids {
            let block = store.open(id).expect("open");
            assert_eq!(block.get(&keys::bundle(3)).expect("get").map(|v| v.len()), Some(2000));
        }
        assert!(lock(&store.open).len() <= MAX_OPEN);
        // The one in use was spared, so opening it again is no second open.
        assert!(Arc::ptr_eq(&held, &store.open(&ids[0]).expect("open")));
        // As if it had read more than all may keep: closed and opened again.
        drop(held);
        let first = lock(&store.open).iter().position(|block| block.id == ids[0]).expect("open");
        lock(&lock(&store.open)[first].touched).bytes = store.max_touched_bytes + 1;
        let again = store.open(&ids[0]).expect("open");
        assert_eq!(again.get(&keys::bundle(3)).expect("get").map(|v| v.len()), Some(2000));
        let kept: usize = lock(&store.open).iter().map(|block| lock(&block.touched).bytes).sum();
        assert!(kept <= store.max_touched_bytes);
    }

    #[test]
    fn damage_to_any_file_gives_the_right_data_or_an_error() {
        let dir = tempfile::tempdir().expect("dir");
        let store = small_store(dir.path());
        let id = BlockId::new(0, 7_200_000, 1);
        write(&store, &id);
        drop(store);
        let source = dir.path().join(id.as_str());
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        for file in files_below(&source).expect("files") {
            let relative = file.strip_prefix(&source).expect("below").to_owned();
            for kind in 0..12 {
                let copy = tempfile::tempdir().expect("dir");
                let block_dir = copy.path().join(id.as_str());
                copy_dir(&source, &block_dir);
                let target = block_dir.join(&relative);
                let mut bytes = fs::read(&target).expect("read");
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = usize::try_from(seed >> 33).expect("fits") % bytes.len().max(1);
                match kind % 3 {
                    0 if !bytes.is_empty() => bytes[at] ^= 0x20,
                    1 => bytes.truncate(at),
                    _ => bytes.iter_mut().skip(at).take(4096).for_each(|b| *b = 0),
                }
                fs::write(&target, &bytes).expect("write");
                let store = SledStore::new(copy.path()).expect("store");
                let block = match store.open(&id) {
                    Ok(block) => block,
                    Err(error) => {
                        assert!(error.is_damage(), "{relative:?} {kind}: {error}");
                        continue;
                    }
                };
                for number in 0..200u32 {
                    let expected: Vec<u8> = (0..2000u32).map(|i| (i * number).to_le_bytes()[0]).collect();
                    match block.get(&keys::bundle(number)) {
                        Ok(Some(value)) => assert_eq!(value, expected, "{relative:?} {kind}"),
                        Ok(None) => {
                            panic!("{relative:?} {kind}: bundle {number} is missing without an error")
                        }
                        Err(error) => assert!(error.is_damage(), "{relative:?} {kind}: {error}"),
                    }
                }
            }
        }
    }

    fn copy_dir(from: &Path, to: &Path) {
        for folder in folders_below(from).expect("walk") {
            fs::create_dir_all(to.join(folder.strip_prefix(from).expect("below"))).expect("mkdir");
        }
        for file in files_below(from).expect("walk") {
            fs::copy(&file, to.join(file.strip_prefix(from).expect("below"))).expect("copy");
        }
    }
}
