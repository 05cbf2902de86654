//! Blocks in maps: for tests of everything above the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::{BlockId, BlockReader, BlockStore, BlockWriter, Recovered, ValueDigest, keys};
use crate::codec::frame;
use crate::tsdb::error::{Error, Result};
use crate::util::lock::lock;

type Values = BTreeMap<Vec<u8>, Vec<u8>>;
type Blocks = Arc<Mutex<BTreeMap<BlockId, Arc<MemoryBlock>>>>;

/// A store that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    blocks: Blocks,
}

#[derive(Debug)]
struct MemoryBlock {
    id: BlockId,
    values: Values,
}

struct MemoryWriter {
    id: BlockId,
    blocks: Blocks,
    values: Values,
}

fn digest(values: &Values) -> ValueDigest {
    let mut out = ValueDigest::default();
    let mut crc = crc32fast::Hasher::new();
    for (key, value) in values.iter().filter(|(key, _)| key.as_slice() != keys::META) {
        crc.update(key);
        crc.update(value);
        out.values += 1;
        out.bytes += value.len() as u64;
    }
    out.crc = crc.finalize();
    out
}

impl BlockStore for MemoryStore {
    fn begin(&self, id: &BlockId) -> Result<Box<dyn BlockWriter>> {
        let writer = MemoryWriter { id: id.clone(), blocks: Arc::clone(&self.blocks), values: Values::new() };
        Ok(Box::new(writer))
    }

    fn open(&self, id: &BlockId) -> Result<Arc<dyn BlockReader>> {
        match lock(&self.blocks).get(id) {
            Some(block) => Ok(Arc::clone(block) as Arc<dyn BlockReader>),
            None => Err(Error::Store {
                block: id.to_string(),
                action: "open",
                reason: "no such block".to_owned(),
            }),
        }
    }

    fn verify(&self, id: &BlockId) -> Result<ValueDigest> {
        let block = self.open(id)?;
        let known = lock(&self.blocks).get(id).map(Arc::clone);
        let values = known.iter().flat_map(|block| block.values.keys());
        values.map(|key| block.get(key)).collect::<Result<Vec<_>>>()?;
        Ok(known.map(|block| digest(&block.values)).unwrap_or_default())
    }

    fn recover(&self) -> Result<Recovered> {
        Ok(Recovered { blocks: lock(&self.blocks).keys().cloned().collect(), ..Recovered::default() })
    }

    fn remove(&self, id: &BlockId) -> Result<()> {
        lock(&self.blocks).remove(id);
        Ok(())
    }

    fn quarantine(&self, id: &BlockId) -> Result<()> {
        self.remove(id)
    }

    fn accept(&self, _: &BlockId) -> Result<()> {
        Ok(())
    }

    fn size_bytes(&self, id: &BlockId) -> u64 {
        lock(&self.blocks).get(id).map_or(0, |b| b.values.values().map(|v| v.len() as u64).sum())
    }
}

impl BlockWriter for MemoryWriter {
    fn put(&mut self, key: &[u8], payload: &[u8]) -> Result<()> {
        self.values.insert(key.to_vec(), frame::seal_value(key, payload));
        Ok(())
    }

    fn digest(&self) -> ValueDigest {
        digest(&self.values)
    }

    fn publish(mut self: Box<Self>, meta: &[u8]) -> Result<()> {
        self.put(keys::META, meta)?;
        let block = MemoryBlock { id: self.id.clone(), values: std::mem::take(&mut self.values) };
        lock(&self.blocks).insert(self.id.clone(), Arc::new(block));
        Ok(())
    }
}

impl BlockReader for MemoryBlock {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        frame::open_value(key, value)
            .map(|payload| Some(payload.to_vec()))
            .map_err(|source| Error::Corrupt { what: format!("block {}", self.id), source })
    }
}
