//! One open sled database: opening, reading, checking every byte, and what may go wrong.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::{BlockId, BlockReader, ValueDigest, keys};
use crate::codec::frame;
use crate::tsdb::error::{Error, Result};
use crate::util::lock::lock;

/// Values whose page sled reads with one of them, about: nine keys a page.
const VALUES_PER_PAGE: usize = 8;
/// Size of sled's segments, in which the file of a database grows.
pub(super) const SEGMENT_BYTES: usize = 512 << 10;
/// Of a block of a few series.
pub(super) const MIN_SEGMENT_BYTES: usize = 16 << 10;

/// A database open for reading.
pub(super) struct SledBlock {
    pub(super) id: BlockId,
    db: sled::Db,
    pub(super) touched: Mutex<Touched>,
}

/// What sled has read and keeps.
#[derive(Default)]
pub(super) struct Touched {
    /// Keys by page, about.
    pages: HashSet<(u8, u32)>,
    pub(super) bytes: usize,
}

pub(super) fn failed(id: &BlockId, action: &'static str, reason: &(impl ToString + ?Sized)) -> Error {
    Error::Store { block: id.to_string(), action, reason: reason.to_string() }
}

pub(super) fn damaged(id: &BlockId, reason: &(impl ToString + ?Sized)) -> Error {
    Error::BlockDamaged { block: id.to_string(), reason: reason.to_string() }
}

/// Runs `work` on sled, turning a panic inside sled into an error: damaged databases can make it panic.
pub(super) fn guarded<T>(
    id: &BlockId,
    action: &'static str,
    work: impl FnOnce() -> sled::Result<T>,
) -> Result<T> {
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
pub(super) fn open_db(id: &BlockId, path: &Path, segment_bytes: usize) -> Result<sled::Db> {
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

fn retry_when_locked(error: sled::Error) -> sled::Result<Option<sled::Db>> {
    match &error {
        // sled wraps the kind of the lock's error in a message of its own.
        sled::Error::Io(io) if io.to_string().contains("could not acquire lock") => Ok(None),
        _ => Err(error),
    }
}

impl SledBlock {
    /// An open database.
    pub(super) fn new(id: &BlockId, db: sled::Db) -> Self {
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
}

/// Reads a database in the order of its keys, in as many parts as wanted.
#[derive(Default)]
pub(super) struct Verifier {
    digest: ValueDigest,
    crc: crc32fast::Hasher,
    /// The last key that was read.
    last: Option<sled::IVec>,
}

impl Verifier {
    /// Goes on until about `max_bytes` were read; says whether that was the end.
    pub(super) fn go_on(&mut self, block: &SledBlock, max_bytes: usize) -> Result<bool> {
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

    /// Count and digest of what was read.
    pub(super) fn digest(&self) -> ValueDigest {
        ValueDigest { crc: self.crc.clone().finalize(), ..self.digest }
    }
}
