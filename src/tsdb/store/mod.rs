//! Whole immutable blocks: the seam to whatever keeps them.
//!
//! `sled` keeps each block as one write-once database; [`memory`] keeps them in maps, for tests.
//! Directories, batches and flushes stay inside; callers see keys, payloads and "published".

pub mod keys;
pub mod memory;
pub mod sled;

use std::fmt;
use std::sync::Arc;

use super::error::Result;

/// Name of a block: its time range and a suffix that makes it unique.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, bincode::Encode, bincode::Decode)]
pub struct BlockId(String);

impl BlockId {
    /// A name for a block of samples from `start` to before `end` (milliseconds).
    pub fn new(start: i64, end: i64, suffix: u32) -> Self {
        Self(format!("{start:015}-{end:015}-{suffix:08x}"))
    }

    /// The block called `name`, if that is the name of a block.
    pub fn parse(name: &str) -> Option<Self> {
        let plain = name.bytes().all(|b| b.is_ascii_digit() || b == b'-' || (b'a'..=b'f').contains(&b));
        (plain && name.len() >= 40).then(|| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Count and digest of the values of a block, its meta record not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, bincode::Encode, bincode::Decode)]
pub struct ValueDigest {
    /// Number of values.
    pub values: u64,
    /// Sum of their bytes, frames included.
    pub bytes: u64,
    /// crc32 over keys and stored values in the order of keys.
    pub crc: u32,
}

/// No stored value is larger. Most are far below: from a quarter of a segment on sled makes a file of each value.
pub const MAX_VALUE_BYTES: usize = 4 << 20;

/// The blocks that a store holds when it is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Published ones, by name.
    pub blocks: Vec<BlockId>,
    /// Damaged ones that were set aside.
    pub set_aside: Vec<BlockId>,
    /// Published ones that had been set aside: somebody mended them, or the disk, and gave them their name again.
    pub put_back: Vec<BlockId>,
}

/// Keeps blocks. Errors of damaged blocks are told from those of a disk that refuses by
/// [`super::error::Error::is_damage`]: only the former are to be set aside.
pub trait BlockStore: Send + Sync {
    /// Starts block `id`, invisible until it is published.
    ///
    /// # Errors
    /// When it cannot be created.
    fn begin(&self, id: &BlockId) -> Result<Box<dyn BlockWriter>>;

    /// Opens a published block.
    ///
    /// # Errors
    /// When it is not there or damaged; [`super::error::Error::is_damage`] tells the two apart.
    fn open(&self, id: &BlockId) -> Result<Arc<dyn BlockReader>>;

    /// Reads all of a block and recomputes its digest, in memory that does not grow with the block.
    ///
    /// # Errors
    /// When the disk refuses or a value is damaged.
    fn verify(&self, id: &BlockId) -> Result<ValueDigest>;

    /// What there is. Removes what was left unpublished by an earlier process.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn recover(&self) -> Result<Recovered>;

    /// Deletes a block.
    ///
    /// # Errors
    /// When it cannot be deleted.
    fn remove(&self, id: &BlockId) -> Result<()>;

    /// Sets a damaged block aside, for a person to look at.
    ///
    /// # Errors
    /// When it cannot be renamed.
    fn quarantine(&self, id: &BlockId) -> Result<()>;

    /// Forgets that a block which was put back had been set aside.
    ///
    /// # Errors
    /// When the disk refuses.
    fn accept(&self, id: &BlockId) -> Result<()>;

    /// Bytes a block takes on disk.
    fn size_bytes(&self, id: &BlockId) -> u64;
}

/// A block being written. Keys must come in rising order; dropping it unpublished deletes it.
pub trait BlockWriter: Send {
    /// Stores `payload` under `key`.
    ///
    /// # Errors
    /// When the disk refuses.
    fn put(&mut self, key: &[u8], payload: &[u8]) -> Result<()>;

    /// Count and digest of what was put so far.
    fn digest(&self) -> ValueDigest;

    /// Stores the meta record, verifies everything that was written and makes the block durable and visible.
    ///
    /// # Errors
    /// When the disk refuses, or gives back something else than was put.
    fn publish(self: Box<Self>, meta: &[u8]) -> Result<()>;
}

/// An open block.
pub trait BlockReader: Send + Sync {
    /// The payload under `key`, checked; none if there is no such key.
    ///
    /// # Errors
    /// When the disk refuses or the value is damaged.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;
}
