//! An open block as a source of postings, labels and samples.
//!
//! **Cost**: a read looks at the ends of each column's timeline first; only columns with samples inside the range are
//! fetched, and of those only the wanted values are put out. Bundles are inflated once while they stay in the cache.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use hashbrown::HashMap;

use super::BlockMeta;
use super::meta::BlockMetaV1;
use crate::codec::{CodecError, envelope};
use crate::model::{Samples, TimeRange};
use crate::storage::Fields;
use crate::tsdb::chunk::bundle::Bundle;
use crate::tsdb::chunk::column;
use crate::tsdb::chunk::content;
use crate::tsdb::error::{Error, Result};
use crate::tsdb::index::reader::BlockIndex;
use crate::tsdb::store::{BlockId, BlockStore, keys};
use crate::util::ByteCache;
use crate::util::lock::lock;

/// Number of a block within the cache: short keys, made once for each handle of a block.
type Slot = u64;

/// Decoded parts of blocks, shared by all of them.
pub struct BlockCache {
    slots: Mutex<HashMap<BlockId, Slot>>,
    next_slot: AtomicU64,
    indexes: ByteCache<Slot, BlockIndex>,
    bundles: ByteCache<(Slot, u32), Bundle>,
}

impl BlockCache {
    /// A cache of at most `max_bytes` for indexes and as much for bundles.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            slots: Mutex::default(),
            next_slot: AtomicU64::new(0),
            indexes: ByteCache::new(max_bytes),
            bundles: ByteCache::new(max_bytes),
        }
    }

    fn slot(&self, id: &BlockId) -> Slot {
        let mut slots = lock(&self.slots);
        // A slot is never given out twice: what a late reader puts in under an old one is not found again.
        *slots.entry_ref(id).or_insert_with(|| self.next_slot.fetch_add(1, Ordering::Relaxed))
    }

    /// Forgets everything of block `id`.
    pub fn forget(&self, id: &BlockId) {
        let Some(slot) = lock(&self.slots).remove(id) else { return };
        self.indexes.remove_where(|key| *key == slot);
        self.bundles.remove_where(|(key, _)| *key == slot);
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.indexes.bytes() + self.bundles.bytes()
    }
}

/// What of a series is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Samples inside.
    pub range: TimeRange,
    /// What of them.
    pub fields: Fields,
}

impl Wanted {
    /// All that is inside `range`.
    pub fn all(range: TimeRange) -> Self {
        Self { range, fields: Fields::ALL }
    }
}

/// A live block.
#[derive(Clone)]
pub struct Block {
    meta: Arc<BlockMeta>,
    store: Arc<dyn BlockStore>,
    cache: Arc<BlockCache>,
    slot: Slot,
}

impl Block {
    /// The block described by `meta`; nothing is read yet.
    pub fn new(meta: Arc<BlockMeta>, store: Arc<dyn BlockStore>, cache: Arc<BlockCache>) -> Self {
        let slot = cache.slot(&meta.id);
        Self { meta, store, cache, slot }
    }

    /// Its description.
    pub fn meta(&self) -> &Arc<BlockMeta> {
        &self.meta
    }

    pub(super) fn corrupt(&self, source: CodecError) -> Error {
        Error::Corrupt { what: format!("block {}", self.meta.id), source }
    }

    pub(super) fn value(&self, key: &[u8]) -> Result<Vec<u8>> {
        self.store.open(&self.meta.id)?.get(key)?.ok_or_else(|| Error::BlockDamaged {
            block: self.meta.id.to_string(),
            reason: format!("key {key:02x?} is missing"),
        })
    }

    /// Its index.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn index(&self) -> Result<Arc<BlockIndex>> {
        self.cache.indexes.get_or_load(&self.slot, || {
            let mut bytes = Vec::new();
            for part in 0..self.meta.index_parts {
                bytes.extend_from_slice(&self.value(&keys::index_part(part))?);
            }
            let index = BlockIndex::open(&bytes).map_err(|source| self.corrupt(source))?;
            let memory = index.memory_bytes();
            Ok((index, memory))
        })
    }

    fn bundle(&self, number: u32) -> Result<Arc<Bundle>> {
        self.cache.bundles.get_or_load(&(self.slot, number), || {
            let bundle =
                Bundle::open(self.value(&keys::bundle(number))?).map_err(|source| self.corrupt(source))?;
            let memory = bundle.memory_bytes();
            Ok((bundle, memory))
        })
    }

    /// Appends the samples of series `number` that are wanted to `out`.
    ///
    /// # Errors
    /// When they cannot be read or are damaged.
    pub fn read(
        &self,
        index: &BlockIndex,
        number: u32,
        Wanted { range, fields }: Wanted,
        out: &mut Samples,
    ) -> Result<()> {
        for (column, timeline) in index.columns(number) {
            let (first, last) = timeline.bounds();
            if first > range.end || last < range.start {
                continue;
            }
            let timestamps = timeline.timestamps().map_err(|source| self.corrupt(source))?;
            let from = timestamps.partition_point(|t| *t < range.start);
            let to = timestamps.partition_point(|t| *t <= range.end);
            if from < to {
                self.read_column(index, column, timestamps.len(), (from, to), fields, out)?;
                out.timestamps.extend_from_slice(&timestamps[from..to]);
            }
        }
        Ok(())
    }

    /// Appends what is asked for of the samples of `column` from the first to before the second of `wanted`.
    fn read_column(
        &self,
        index: &BlockIndex,
        column: u64,
        count: usize,
        wanted: (usize, usize),
        fields: Fields,
        out: &mut Samples,
    ) -> Result<()> {
        let decode = |bytes: &[u8], out: &mut Samples| {
            content::decode(bytes, count, wanted.0, wanted.1, fields, out)
                .map_err(|source| self.corrupt(source))
        };
        let invalid = |what| self.corrupt(CodecError::Invalid { what, at: 0 });
        let locate = |column| index.locate(column).ok_or_else(|| invalid("column number"));
        let (bundle, place) = locate(column)?;
        let bundle = self.bundle(bundle)?;
        let bytes = bundle.column(place).map_err(|source| self.corrupt(source))?;
        let Some(distance) = column::duplicate_distance(bytes).map_err(|source| self.corrupt(source))? else {
            return decode(bytes, out);
        };
        // Only ever to an earlier column of as many samples, which is none itself.
        let original = column.checked_sub(distance).filter(|c| index.column_len(*c) == Some(count));
        let (bundle, place) = locate(original.ok_or_else(|| invalid("distance of a duplicate"))?)?;
        let bundle = self.bundle(bundle)?;
        decode(bundle.column(place).map_err(|source| self.corrupt(source))?, out)
    }

    /// Checks every value of the block against its meta record, and that index and columns decode. Returns the
    /// number of samples.
    ///
    /// # Errors
    /// Naming what is damaged.
    pub fn verify(&self) -> Result<u64> {
        let digest = self.store.verify(&self.meta.id)?;
        if digest != self.meta.digest {
            return Err(
                self.corrupt(CodecError::Checksum { stored: self.meta.digest.crc, computed: digest.crc })
            );
        }
        self.verify_exemplars()?;
        let index = self.index()?;
        let mut samples = Samples::new();
        let mut total = 0;
        for number in 0..u32::try_from(index.series_count()).unwrap_or(u32::MAX) {
            samples.clear();
            self.read(&index, number, Wanted::all(TimeRange::ALL), &mut samples)?;
            total += samples.len() as u64;
        }
        if total == self.meta.samples {
            Ok(total)
        } else {
            Err(self.corrupt(CodecError::Invalid { what: "number of samples", at: 0 }))
        }
    }
}

/// Reads the meta record of a block that is not in the catalog.
///
/// # Errors
/// When it cannot be read or is damaged.
pub fn load_meta(store: &dyn BlockStore, id: &BlockId) -> Result<BlockMeta> {
    let missing = || Error::BlockDamaged { block: id.to_string(), reason: "meta record missing".to_owned() };
    let bytes = store.open(id)?.get(keys::META)?.ok_or_else(missing)?;
    envelope::open_or_old::<BlockMeta, BlockMetaV1>(&bytes)
        .map_err(|source| Error::Corrupt { what: format!("block {id}"), source })
}
