//! An open block as a source of postings, labels and samples.

use std::sync::Arc;

use super::BlockMeta;
use super::cache::ByteCache;
use crate::codec::{CodecError, envelope};
use crate::model::{Samples, TimeRange};
use crate::tsdb::chunk::bundle::Bundle;
use crate::tsdb::chunk::column;
use crate::tsdb::error::{Error, Result};
use crate::tsdb::index::codec::BlockIndex;
use crate::tsdb::store::{BlockId, BlockStore, keys};

/// Decoded parts of blocks, shared by all of them.
pub struct BlockCache {
    indexes: ByteCache<BlockId, BlockIndex>,
    bundles: ByteCache<(BlockId, u32), Bundle>,
}

impl BlockCache {
    /// A cache of at most `max_bytes` for indexes and as much for bundles.
    pub fn new(max_bytes: usize) -> Self {
        Self { indexes: ByteCache::new(max_bytes), bundles: ByteCache::new(max_bytes) }
    }

    /// Forgets everything of block `id`.
    pub fn forget(&self, id: &BlockId) {
        self.indexes.remove_where(|key| key == id);
        self.bundles.remove_where(|(key, _)| key == id);
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.indexes.bytes() + self.bundles.bytes()
    }
}

/// A live block.
#[derive(Clone)]
pub struct Block {
    meta: Arc<BlockMeta>,
    store: Arc<dyn BlockStore>,
    cache: Arc<BlockCache>,
}

impl Block {
    /// The block described by `meta`; nothing is read yet.
    pub fn new(meta: Arc<BlockMeta>, store: Arc<dyn BlockStore>, cache: Arc<BlockCache>) -> Self {
        Self { meta, store, cache }
    }

    /// Its description.
    pub fn meta(&self) -> &Arc<BlockMeta> {
        &self.meta
    }

    fn corrupt(&self, source: CodecError) -> Error {
        Error::Corrupt { what: format!("block {}", self.meta.id), source }
    }

    fn value(&self, key: &[u8]) -> Result<Vec<u8>> {
        self.store.open(&self.meta.id)?.get(key)?.ok_or_else(|| Error::Store {
            block: self.meta.id.to_string(),
            action: "read",
            reason: format!("key {key:02x?} is missing"),
        })
    }

    /// Its index.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn index(&self) -> Result<Arc<BlockIndex>> {
        self.cache.indexes.get_or_load(&self.meta.id, || {
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
        self.cache.bundles.get_or_load(&(self.meta.id.clone(), number), || {
            let bundle =
                Bundle::open(&self.value(&keys::bundle(number))?).map_err(|source| self.corrupt(source))?;
            let memory = bundle.memory_bytes();
            Ok((bundle, memory))
        })
    }

    /// Appends the samples of series `number` inside `range` to `out`.
    ///
    /// # Errors
    /// When they cannot be read or are damaged.
    pub fn read(&self, index: &BlockIndex, number: u32, range: TimeRange, out: &mut Samples) -> Result<()> {
        for (column, timestamps) in index.columns(number) {
            let from = timestamps.partition_point(|t| *t < range.start);
            let to = timestamps.partition_point(|t| *t <= range.end);
            if from >= to {
                continue;
            }
            let missing = || self.corrupt(CodecError::Invalid { what: "column number", at: 0 });
            let (bundle, place) = index.locate(column).ok_or_else(missing)?;
            let bundle = self.bundle(bundle)?;
            let start = out.values.len();
            bundle
                .column(place)
                .and_then(|bytes| column::decode(bytes, timestamps.len(), &mut out.values))
                .map_err(|source| self.corrupt(source))?;
            out.values.truncate(start + to);
            out.values.drain(start..start + from);
            out.timestamps.extend_from_slice(&timestamps[from..to]);
        }
        Ok(())
    }

    /// Checks every value of the block against its meta record, and that index and columns decode. Returns the
    /// number of samples.
    ///
    /// # Errors
    /// Naming what is damaged.
    pub fn verify(&self) -> Result<u64> {
        let digest = self.store.open(&self.meta.id)?.verify()?;
        if digest != self.meta.digest {
            return Err(
                self.corrupt(CodecError::Checksum { stored: self.meta.digest.crc, computed: digest.crc })
            );
        }
        let index = self.index()?;
        let mut samples = Samples::new();
        let mut total = 0;
        for number in 0..u32::try_from(index.series_count()).unwrap_or(u32::MAX) {
            samples.clear();
            self.read(&index, number, TimeRange::ALL, &mut samples)?;
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
    let missing =
        || Error::Store { block: id.to_string(), action: "read", reason: "meta record missing".to_owned() };
    let bytes = store.open(id)?.get(keys::META)?.ok_or_else(missing)?;
    envelope::open(&bytes).map_err(|source| Error::Corrupt { what: format!("block {id}"), source })
}
