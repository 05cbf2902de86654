//! One write-once sled database per block. The only user of sled.
//!
//! How sled is used, and why: `docs/decisions/0002-sled-write-once.md`. A block is written under `<id>.tmp`, closed,
//! opened again and verified ("sealed"), every file synced by us, renamed to `<id>`, and never written by us again.
//!
//! A tree of sled that grows by large values rewrites each page several times and keeps the garbage. So the keys come
//! first, in order and without values, which makes all the splits cheap; then each gets its value, once.
//!
//! Read `database` (one of them), then `writer` and `copied` (a folder that is only looked at).
//!
//! **Locking**: the list of open databases, never held during an open; then what a database has touched.
//! **Cost**: an open reads sled's snapshot: some milliseconds. sled keeps every page it has read until its database is
//! closed, so the least recently used is closed beyond [`MAX_OPEN`], or when all have read `MAX_TOUCHED_BYTES`.
//! Writing and verifying close it now and then for the same reason; writing also holds up to `BATCH_BYTES` of values.

mod copied;
mod database;
mod disk;
mod writer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::{BlockId, BlockReader, BlockStore, BlockWriter, MAX_VALUE_BYTES, Recovered, ValueDigest, keys};
use crate::tsdb::durable;
use crate::tsdb::error::{IoContext as _, Result};
use crate::tsdb::points::{Point, reach};
use crate::util::lock::lock;
pub use copied::CopiedStore;
use database::{SEGMENT_BYTES, SledBlock, Verifier, damaged, failed, open_db};
use disk::{MAX_TOUCHED_BYTES, TEMPORARY, files_below, folders_below, sync_path};
use writer::{Bounds, SledWriter};

/// Databases open at once.
pub const MAX_OPEN: usize = 16;
const DELETED: &str = ".del";
const CORRUPT: &str = ".corrupt";
/// An empty file in the folder of a block that was set aside.
const MARK: &str = "set-aside";

/// Blocks as sled databases in one folder.
pub struct SledStore {
    dir: PathBuf,
    open: Mutex<OpenBlocks>,
    ready: Condvar,
    bounds: Bounds,
}

#[derive(Default)]
struct OpenBlocks {
    /// Open databases, the most recently used last.
    blocks: Vec<Arc<SledBlock>>,
    /// Those that a thread is opening: a second open of one would find it locked.
    opening: Vec<BlockId>,
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
            ready: Condvar::new(),
            bounds: Bounds::default(),
        })
    }

    fn path(&self, id: &BlockId) -> PathBuf {
        self.dir.join(id.as_str())
    }

    fn close(&self, id: &BlockId) {
        lock(&self.open).blocks.retain(|block| block.id != *id);
    }

    /// The database of block `id`, opened if it is not.
    fn opened(&self, id: &BlockId) -> Result<Arc<SledBlock>> {
        let mut open = lock(&self.open);
        while open.opening.contains(id) {
            open = self.ready.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
        close_idle(&mut open.blocks, self.bounds.touched_bytes);
        if let Some(at) = open.blocks.iter().position(|block| block.id == *id) {
            let block = open.blocks.remove(at);
            open.blocks.push(Arc::clone(&block));
            return Ok(block);
        }
        open.opening.push(id.clone());
        drop(open);
        // Others are opened meanwhile: one that has to be looked at as a whole takes its time.
        let _opening = Opening { store: self, id };
        let block = Arc::new(self.open_guarded(id)?);
        lock(&self.open).blocks.push(Arc::clone(&block));
        Ok(block)
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
        tracing::warn!(block = %id, %error, "failed to open a block; retrying without its snapshot");
        set_snapshots_aside(&path, |_| true).at("clean", &path)?;
        let mut verifier = Verifier::default();
        let block = loop {
            let block = SledBlock::new(id, open_db(id, &path, SEGMENT_BYTES)?);
            if verifier.go_on(&block, MAX_TOUCHED_BYTES)? {
                break block;
            }
        };
        block.get(keys::META)?.ok_or_else(|| damaged(id, "meta record missing"))?;
        Ok(block)
    }
}

impl BlockStore for SledStore {
    fn begin(&self, id: &BlockId) -> Result<Box<dyn BlockWriter>> {
        Ok(Box::new(SledWriter::new(id, &self.dir, self.bounds)?))
    }

    fn open(&self, id: &BlockId) -> Result<Arc<dyn BlockReader>> {
        Ok(self.opened(id)?)
    }

    fn verify(&self, id: &BlockId) -> Result<ValueDigest> {
        let mut verifier = Verifier::default();
        // Opened for each part: one that has read much is closed when nobody holds it.
        while !verifier.go_on(&*self.opened(id)?, self.bounds.touched_bytes)? {}
        Ok(verifier.digest())
    }

    fn recover(&self) -> Result<Recovered> {
        list(&self.dir, |unfinished| fs::remove_dir_all(unfinished).at("remove", unfinished))
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
        // Only for somebody who puts it back: a disk that does not take it any more is no reason to keep the block.
        let _ = fs::File::create(self.path(id).join(MARK));
        durable::rename(&self.path(id), &aside).at("rename", self.path(id))?;
        sync_path(&self.dir)
    }

    fn accept(&self, id: &BlockId) -> Result<()> {
        let mark = self.path(id).join(MARK);
        match fs::remove_file(&mark) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.at("remove", mark),
        }
    }

    fn size_bytes(&self, id: &BlockId) -> u64 {
        size_of(&self.path(id))
    }
}

/// What is in folder `dir`; `unfinished` is called with each folder that was not published.
fn list(dir: &Path, unfinished: impl Fn(&Path) -> Result<()>) -> Result<Recovered> {
    let mut found = Recovered::default();
    for entry in fs::read_dir(dir).at("list", dir)? {
        let entry = entry.at("list", dir)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.ends_with(TEMPORARY) || name.ends_with(DELETED) {
            unfinished(&entry.path())?;
        } else if let Some(id) = BlockId::parse(&name) {
            if entry.path().join(MARK).exists() {
                found.put_back.push(id.clone());
            }
            found.blocks.push(id);
        } else if let Some(id) = name.strip_suffix(CORRUPT).and_then(BlockId::parse) {
            found.set_aside.push(id);
        }
    }
    found.blocks.sort();
    Ok(found)
}

/// Bytes of the files below `path`.
fn size_of(path: &Path) -> u64 {
    files_below(path)
        .map_or(0, |files| files.iter().filter_map(|file| fs::metadata(file).ok()).map(|m| m.len()).sum())
}

/// A block that is being opened; dropping it lets others in.
struct Opening<'a> {
    store: &'a SledStore,
    id: &'a BlockId,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        lock(&self.store.open).opening.retain(|other| other != self.id);
        self.store.ready.notify_all();
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

#[cfg(test)]
mod tests;
