//! One write-once sled database per block. The only user of sled.
//!
//! How sled is used, and why: `docs/decisions/0002-sled-write-once.md`. A block is written under `<id>.tmp`, closed,
//! opened again and verified ("sealed"), every file synced by us, renamed to `<id>`, and never written by us again.
//!
//! **Cost**: an open reads sled's snapshot and rewrites some megabytes, so databases stay open, the least recently
//! used of [`MAX_OPEN`] is closed.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{BlockId, BlockReader, BlockStore, BlockWriter, ValueDigest, keys};
use crate::codec::frame;
use crate::tsdb::error::{Error, IoContext as _, Result};
use crate::util::lock::lock;

/// Databases open at once.
pub const MAX_OPEN: usize = 16;
/// Bytes put before a batch is handed to sled, which holds it whole in memory.
const BATCH_BYTES: usize = 4 << 20;
/// From about 128 KiB on sled makes a file of each value.
const MAX_VALUE_BYTES: usize = 96 << 10;
const TEMPORARY: &str = ".tmp";
const DELETED: &str = ".del";
const CORRUPT: &str = ".corrupt";

/// Blocks as sled databases in one folder.
pub struct SledStore {
    dir: PathBuf,
    /// Open databases, the most recently used last.
    open: Mutex<Vec<Arc<SledBlock>>>,
}

struct SledBlock {
    id: BlockId,
    db: sled::Db,
}

struct SledWriter {
    id: BlockId,
    dir: PathBuf,
    temporary: PathBuf,
    db: Option<sled::Db>,
    batch: sled::Batch,
    batch_bytes: usize,
    crc: crc32fast::Hasher,
    digest: ValueDigest,
}

fn failed(id: &BlockId, action: &'static str, reason: &(impl ToString + ?Sized)) -> Error {
    Error::Store { block: id.to_string(), action, reason: reason.to_string() }
}

/// Runs `work` on sled, turning a panic inside sled into an error: damaged databases can make it panic.
fn guarded<T>(id: &BlockId, action: &'static str, work: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| failed(id, action, &error)),
        Err(_) => Err(failed(id, action, "the database is damaged")),
    }
}

/// How long an open waits for sled's own threads to let go of a database that was just closed.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

fn open_db(id: &BlockId, path: &Path) -> Result<sled::Db> {
    let config = sled::Config::new().path(path).cache_capacity(8 << 20).flush_every_ms(None);
    let started = Instant::now();
    loop {
        match guarded(id, "open", || config.open().map_or_else(retry_when_locked, |db| Ok(Some(db))))? {
            Some(db) => return Ok(db),
            None if started.elapsed() < LOCK_PATIENCE => std::thread::sleep(Duration::from_millis(2)),
            None => return Err(failed(id, "open", "the database is still locked by an earlier use")),
        }
    }
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
        fs::create_dir_all(dir).at("create", dir)?;
        Ok(Self { dir: dir.to_owned(), open: Mutex::default() })
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
        let first = open_db(id, &path).and_then(|db| {
            let block = SledBlock { id: id.clone(), db };
            // A database that lost its end still opens; the meta record was written last.
            block.get(keys::META)?.map(|_| ()).ok_or_else(|| failed(id, "open", "meta record missing"))?;
            Ok(block)
        });
        let Err(error) = first else { return first };
        tracing::warn!(block = %id, %error, "block does not open, trying without its snapshot");
        set_snapshots_aside(&path, |_| true).at("clean", &path)?;
        let block = SledBlock { id: id.clone(), db: open_db(id, &path)? };
        block.verify()?;
        block.get(keys::META)?.ok_or_else(|| failed(id, "open", "meta record missing"))?;
        Ok(block)
    }
}

impl BlockStore for SledStore {
    fn begin(&self, id: &BlockId) -> Result<Box<dyn BlockWriter>> {
        let temporary = self.dir.join(format!("{id}{TEMPORARY}"));
        if temporary.exists() {
            fs::remove_dir_all(&temporary).at("remove", &temporary)?;
        }
        let db = open_db(id, &temporary)?;
        Ok(Box::new(SledWriter {
            id: id.clone(),
            dir: self.dir.clone(),
            temporary,
            db: Some(db),
            batch: sled::Batch::default(),
            batch_bytes: 0,
            crc: crc32fast::Hasher::new(),
            digest: ValueDigest::default(),
        }))
    }

    fn open(&self, id: &BlockId) -> Result<Arc<dyn BlockReader>> {
        // Held during the open: two threads must not open one database twice, sled would refuse the second.
        let mut open = lock(&self.open);
        if let Some(at) = open.iter().position(|block| block.id == *id) {
            let block = open.remove(at);
            open.push(Arc::clone(&block));
            return Ok(block);
        }
        if open.len() >= MAX_OPEN {
            // Readers that still hold it keep it open until they are done.
            open.remove(0);
        }
        let block = Arc::new(self.open_guarded(id)?);
        open.push(Arc::clone(&block));
        Ok(block)
    }

    fn recover(&self) -> Result<Vec<BlockId>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).at("list", &self.dir)? {
            let entry = entry.at("list", &self.dir)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.ends_with(TEMPORARY) || name.ends_with(DELETED) {
                fs::remove_dir_all(entry.path()).at("remove", entry.path())?;
            } else if let Some(id) = BlockId::parse(&name) {
                found.push(id);
            }
        }
        found.sort();
        Ok(found)
    }

    fn remove(&self, id: &BlockId) -> Result<()> {
        self.close(id);
        let (path, deleted) = (self.path(id), self.dir.join(format!("{id}{DELETED}")));
        // Renamed first: a kill in the middle must not leave half a block under a valid name.
        match fs::rename(&path, &deleted) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed.at("rename", &path)?,
        }
        fs::remove_dir_all(&deleted).at("remove", &deleted)
    }

    fn quarantine(&self, id: &BlockId) -> Result<()> {
        self.close(id);
        let aside = self.dir.join(format!("{id}{CORRUPT}"));
        fs::rename(self.path(id), &aside).at("rename", self.path(id))?;
        sync_path(&self.dir)
    }

    fn size_bytes(&self, id: &BlockId) -> u64 {
        files_below(&self.path(id))
            .map_or(0, |files| files.iter().filter_map(|file| fs::metadata(file).ok()).map(|m| m.len()).sum())
    }
}

impl SledWriter {
    fn db(&self) -> Result<&sled::Db> {
        self.db.as_ref().ok_or_else(|| failed(&self.id, "write", "the block is closed"))
    }

    fn flush_batch(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let db = self.db()?;
        guarded(&self.id, "write", || db.apply_batch(batch).and_then(|()| db.flush()).map(|_| ()))
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
        self.batch.insert(key, stored);
        if self.batch_bytes >= BATCH_BYTES { self.flush_batch() } else { Ok(()) }
    }

    /// Opens and verifies the closed database, closes it, opens and closes it once more so that its snapshot
    /// covers everything.
    fn seal(&self) -> Result<()> {
        let block = SledBlock { id: self.id.clone(), db: open_db(&self.id, &self.temporary)? };
        let found = block.verify()?;
        if found != self.digest {
            let reason = format!("wrote {:?}, read back {found:?}", self.digest);
            return Err(failed(&self.id, "verify", &reason));
        }
        drop(block);
        drop(open_db(&self.id, &self.temporary)?);
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
        self.flush_batch()?;
        self.insert(keys::META, frame::seal_value(keys::META, meta))?;
        self.flush_batch()?;
        self.db = None;
        self.seal()?;
        // sled syncs neither its files nor their folders for good.
        for file in files_below(&self.temporary).at("list", &self.temporary)? {
            sync_path(&file)?;
        }
        for folder in folders_below(&self.temporary).at("list", &self.temporary)? {
            sync_path(&folder)?;
        }
        let path = self.dir.join(self.id.as_str());
        fs::rename(&self.temporary, &path).at("rename", &self.temporary)?;
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

impl BlockReader for SledBlock {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(value) = guarded(&self.id, "read", || self.db.get(key))? else { return Ok(None) };
        match frame::open_value(key, &value) {
            Ok(payload) => Ok(Some(payload.to_vec())),
            Err(source) => Err(Error::Corrupt { what: format!("block {}", self.id), source }),
        }
    }

    fn verify(&self) -> Result<ValueDigest> {
        let mut digest = ValueDigest::default();
        let mut crc = crc32fast::Hasher::new();
        let mut entries = self.db.iter();
        while let Some((key, value)) = guarded(&self.id, "read", || entries.next().transpose())? {
            frame::open_value(&key, &value)
                .map_err(|source| Error::Corrupt { what: format!("block {}", self.id), source })?;
            if key.as_ref() != keys::META {
                crc.update(&key);
                crc.update(&value);
                digest.values += 1;
                digest.bytes += value.len() as u64;
            }
        }
        digest.crc = crc.finalize();
        Ok(digest)
    }
}

fn sync_path(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).at("sync", path)
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
        let store = SledStore::new(dir.path()).expect("store");
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
        writer.put(&keys::bundle(0), b"x").expect("put");
        // As a kill leaves it: no drop.
        std::mem::forget(writer);
        let store = SledStore::new(dir.path()).expect("store");
        assert_eq!(store.recover().expect("recover"), std::slice::from_ref(&id));
        assert!(store.open(&unpublished).is_err());
        assert!(store.size_bytes(&id) > 1000);
        store.remove(&id).expect("remove");
        assert_eq!(store.recover().expect("recover"), []);
    }

    #[test]
    fn damage_to_any_file_gives_the_right_data_or_an_error() {
        let dir = tempfile::tempdir().expect("dir");
        let store = SledStore::new(dir.path()).expect("store");
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
                let Ok(block) = store.open(&id) else { continue };
                for number in 0..200u32 {
                    let expected: Vec<u8> = (0..2000u32).map(|i| (i * number).to_le_bytes()[0]).collect();
                    match block.get(&keys::bundle(number)) {
                        Ok(Some(value)) => assert_eq!(value, expected, "{relative:?} {kind}"),
                        Ok(None) => {
                            panic!("{relative:?} {kind}: bundle {number} is missing without an error")
                        }
                        Err(_) => {}
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
