//! Writing a block: batches for sled, the seal, the syncs, the name.
//!
//! sled works on threads of its own and can wait for ever for one that met an error of the disk. So what is done with
//! sled is done on a thread that is given up when it does not come back; nobody waits longer than [`PATIENCE`].

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use super::database::{MIN_SEGMENT_BYTES, SEGMENT_BYTES, SledBlock, Verifier, failed, guarded, open_db};
use super::disk::{MAX_TOUCHED_BYTES, TEMPORARY, files_below, folders_below, sync_path};
use super::{BlockId, BlockWriter, MAX_VALUE_BYTES, ValueDigest, keys};
use crate::codec::frame;
use crate::tsdb::durable;
use crate::tsdb::error::{Error, IoContext as _, Result};
use crate::tsdb::points::{Point, reach};

/// Keys at which sled splits a page.
const FILLERS: u32 = 17;
/// Blocks of at most so many segments' bytes get smaller segments.
const SMALL_SEGMENTS: usize = 4;
/// How long one batch may take, or reading some 64 MiB back. A disk that is that slow cannot be written to.
const PATIENCE: Duration = Duration::from_secs(60);

/// Keys and stored values.
type Batch = Vec<(Vec<u8>, Vec<u8>)>;

/// How much is handed to sled at once; smaller in tests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes of one batch.
    pub(super) batch_bytes: usize,
    /// Bytes after which a database is closed and opened again.
    pub(super) touched_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { batch_bytes: BATCH_BYTES, touched_bytes: MAX_TOUCHED_BYTES }
    }
}

/// A block being written.
pub(super) struct SledWriter {
    id: BlockId,
    dir: PathBuf,
    temporary: PathBuf,
    bounds: Bounds,
    batch: Batch,
    batch_bytes: usize,
    /// None while sled works on it, and once that was given up.
    filling: Option<Filling>,
    crc: crc32fast::Hasher,
    digest: ValueDigest,
}

/// The database that is being filled.
struct Filling {
    id: BlockId,
    path: PathBuf,
    /// None before the first batch, and after the last.
    db: Option<sled::Db>,
    segment_bytes: usize,
    /// Whether there was a batch before.
    started: bool,
    /// Bytes written since the database was last opened, which sled keeps.
    kept_bytes: usize,
    max_kept_bytes: usize,
}

/// Runs `work` on a thread of its own and waits for it no longer than `patience`. A thread that does not come back is
/// left to itself, with all that `work` owns.
fn apart<T: Send + 'static>(
    id: &BlockId,
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let spawned = std::thread::Builder::new().name("tsdb-sled".to_owned()).spawn(move || {
        let _ = sender.send(work());
    });
    spawned.map_err(|error| failed(id, "start a thread to write", &error))?;
    receiver.recv_timeout(patience).map_err(|_| {
        let reason = format!("no answer within {} s; it will be written anew", patience.as_secs());
        failed(id, "write", &reason)
    })
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

impl Filling {
    /// Hands a batch to sled: keys first, then each value. Behind the keys of the `last` batch come some more, so that
    /// the last page with values is split like the others.
    fn flush(&mut self, batch: Batch, last: bool) -> Result<()> {
        let first = !std::mem::replace(&mut self.started, true);
        if first {
            self.segment_bytes = fitting_segment_bytes(&batch);
        }
        if self.kept_bytes >= self.max_kept_bytes {
            self.close()?;
            self.kept_bytes = 0;
        }
        let db = match self.db.take() {
            Some(db) => db,
            None => open_db(&self.id, &self.path, self.segment_bytes)?,
        };
        self.kept_bytes += batch.iter().map(|(_, value)| value.len()).sum::<usize>();
        let db = self.db.insert(db);
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

    /// Lets go of the database, which may make sled panic when the disk refuses.
    fn close(&mut self) -> Result<()> {
        let db = self.db.take();
        guarded(&self.id, "close", || {
            drop(db);
            Ok(())
        })
    }

    /// Reads on where `verifier` is in the closed database; says whether that was the end.
    fn verify(&mut self, verifier: &mut Verifier) -> Result<bool> {
        // Closed now and then: sled keeps all that it has read.
        let block = SledBlock::new(&self.id, open_db(&self.id, &self.path, self.segment_bytes)?);
        verifier.go_on(&block, self.max_kept_bytes)
    }

    /// Opens and closes the closed database once more, so that its snapshot covers everything.
    fn settle(&mut self) -> Result<()> {
        self.db = Some(open_db(&self.id, &self.path, self.segment_bytes)?);
        self.close()
    }
}

impl SledWriter {
    /// A writer of block `id` in folder `dir`.
    pub(super) fn new(id: &BlockId, dir: &Path, bounds: Bounds) -> Result<Self> {
        let temporary = dir.join(format!("{id}{TEMPORARY}"));
        if temporary.exists() {
            fs::remove_dir_all(&temporary).at("remove", &temporary)?;
        }
        let filling = Filling {
            id: id.clone(),
            path: temporary.clone(),
            db: None,
            segment_bytes: SEGMENT_BYTES,
            started: false,
            kept_bytes: 0,
            max_kept_bytes: bounds.touched_bytes,
        };
        Ok(Self {
            id: id.clone(),
            dir: dir.to_owned(),
            temporary,
            bounds,
            batch: Vec::new(),
            batch_bytes: 0,
            filling: Some(filling),
            crc: crc32fast::Hasher::new(),
            digest: ValueDigest::default(),
        })
    }

    /// Has `work` done with the database. An error of a block that was never published is no damage.
    fn with_sled<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Filling) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let given_up = || failed(&self.id, "write", "an earlier part of it was given up");
        let mut filling = self.filling.take().ok_or_else(given_up)?;
        let (filling, done) = apart(&self.id, PATIENCE, move || {
            let done = work(&mut filling);
            (filling, done)
        })?;
        self.filling = Some(filling);
        done.map_err(|error| match error {
            Error::BlockDamaged { reason, .. } => failed(&self.id, "write", &reason),
            other => other,
        })
    }

    fn flush_batch(&mut self, last: bool) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        self.with_sled(move |filling| filling.flush(batch, last))
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
        if self.batch_bytes >= self.bounds.batch_bytes { self.flush_batch(false) } else { Ok(()) }
    }

    /// Verifies the closed database against what was put.
    fn seal(&mut self) -> Result<()> {
        let mut verifier = Verifier::default();
        loop {
            let (read, done) = self.with_sled(move |filling| {
                let done = filling.verify(&mut verifier)?;
                Ok((verifier, done))
            })?;
            verifier = read;
            if done {
                break;
            }
        }
        let found = verifier.digest();
        if found != self.digest {
            let reason = format!("wrote {:?}, read back {found:?}", self.digest);
            return Err(failed(&self.id, "verify", &reason));
        }
        self.with_sled(Filling::settle)
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
        self.with_sled(Filling::close)?;
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
        if self.filling.as_ref().is_some_and(|filling| filling.db.is_some()) {
            let _ = self.with_sled(Filling::close);
        }
        // Published, the folder has another name by now. What cannot be removed here is removed at the next start.
        if self.temporary.exists() {
            let _ = fs::remove_dir_all(&self.temporary);
        }
    }
}

/// Bytes put before their keys and then their values are handed to sled. At each border one page is written again.
const BATCH_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_does_not_come_back_is_given_up() {
        let id = BlockId::new(0, 1, 1);
        assert_eq!(apart(&id, PATIENCE, || 7).expect("done"), 7);
        // Waits for as long as the test holds its end.
        let (hold, wait) = mpsc::channel::<()>();
        let error = apart(&id, Duration::from_millis(1), move || wait.recv().is_ok()).expect_err("given up");
        assert!(!error.is_damage() && error.to_string().contains("no answer"), "{error}");
        drop(hold);
        // Work that panics does not come back either, and is not waited for.
        assert!(apart(&id, PATIENCE, || -> u8 { panic!("injected") }).is_err());
    }
}
