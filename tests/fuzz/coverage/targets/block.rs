//! A block of any values: index, bundles, exemplars and meta record are read, or refused as damaged.
//!
//! The input is a list of values, each with its kind; they come out of a store without passing a checksum.
#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use emberkeep::codec::envelope;
use emberkeep::model::{Samples, TimeRange};
use emberkeep::storage::{Queryable as _, SelectRequest};
use emberkeep::telemetry::metrics::Counter;
use emberkeep::tsdb::block::BlockMeta;
use emberkeep::tsdb::block::meta::ExemplarMeta;
use emberkeep::tsdb::block::reader::{Block, BlockCache, Wanted, load_meta};
use emberkeep::tsdb::block::writer::{BlockPlan, write_block_with};
use emberkeep::tsdb::store::memory::MemoryStore;
use emberkeep::tsdb::store::{BlockId, BlockReader, BlockStore, BlockWriter, Recovered, ValueDigest, keys};
use emberkeep::tsdb::{Error, Result};
use emberkeep::util::StopToken;
use emberkeep_fuzz::{put_varint, seeds, within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: seeds::write(made_seeds()),
    |data: &[u8]| {
        within(768, || look(data));
    }
);

#[derive(Clone)]
struct Values(Arc<BTreeMap<Vec<u8>, Vec<u8>>>);

fn nothing<T>() -> Result<T> {
    Err(Error::Store { block: String::new(), action: "write", reason: "read only".to_owned() })
}

impl BlockStore for Values {
    fn begin(&self, _: &BlockId) -> Result<Box<dyn BlockWriter>> {
        nothing()
    }

    fn open(&self, _: &BlockId) -> Result<Arc<dyn BlockReader>> {
        Ok(Arc::new(self.clone()))
    }

    fn verify(&self, _: &BlockId) -> Result<ValueDigest> {
        Ok(ValueDigest::default())
    }

    fn recover(&self) -> Result<Recovered> {
        nothing()
    }

    fn remove(&self, _: &BlockId) -> Result<()> {
        nothing()
    }

    fn quarantine(&self, _: &BlockId) -> Result<()> {
        nothing()
    }

    fn accept(&self, _: &BlockId) -> Result<()> {
        nothing()
    }

    fn size_bytes(&self, _: &BlockId) -> u64 {
        0
    }
}

impl BlockReader for Values {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(key).cloned())
    }
}

fn packed(head: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![head];
    put_varint(&mut out, bytes.len() as u64);
    out.extend_from_slice(&zstd::bulk::compress(bytes, 1).expect("memory"));
    out
}

/// Takes a value off the front: two bytes of length, then that many bytes.
fn take<'a>(data: &mut &'a [u8]) -> &'a [u8] {
    let Some((len, rest)) = data.split_first_chunk::<2>() else { return std::mem::take(data) };
    let (value, rest) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*len))));
    *data = rest;
    value
}

fn look(mut data: &[u8]) {
    let Some((head, rest)) = data.split_first_chunk::<2>() else { return };
    data = rest;
    let mut values = BTreeMap::new();
    let version = 1 + head[0] % 2;
    if head[0] & 4 == 0 {
        values.insert(keys::index_part(0).to_vec(), packed(version, take(&mut data)));
    }
    let mut parts = 0;
    for _ in 0..head[1] % 4 {
        values.insert(keys::exemplar_part(parts).to_vec(), packed(1, take(&mut data)));
        parts += 1;
    }
    if parts > 0 {
        let directory: Vec<u8> = [1].iter().chain(take(&mut data)).copied().collect();
        values.insert(keys::exemplar_directory(0).to_vec(), directory);
    }
    if head[0] & 8 == 0 {
        let mut meta = b"EKBM".to_vec();
        meta.push(version);
        meta.extend_from_slice(&[0; 4]);
        meta.extend_from_slice(take(&mut data));
        values.insert(keys::META.to_vec(), meta);
    }
    let mut bundles = 0;
    while !data.is_empty() {
        let bundle = take(&mut data);
        values.insert(keys::bundle(bundles).to_vec(), bundle.to_vec());
        bundles += 1;
    }
    let store = Values(Arc::new(values));
    let id = BlockId::new(0, 10, 1);
    if let Ok(meta) = load_meta(&store, &id) {
        let sealed = envelope::seal(&meta).expect("small");
        assert_eq!(envelope::open::<BlockMeta>(&sealed), Ok(meta));
    }
    let meta = BlockMeta {
        id,
        start: i64::MIN,
        end: i64::MAX,
        level: 1,
        sources: Vec::new(),
        series: 1,
        samples: u64::from(head[0] >> 4),
        columns: 1,
        index_parts: u32::from(head[0] & 4 == 0),
        digest: ValueDigest::default(),
        exemplars: ExemplarMeta {
            count: u64::from(head[1] >> 2),
            parts,
            directory_parts: u32::from(parts > 0),
            oldest: i64::MIN,
            newest: i64::MAX,
        },
    };
    let block = Block::new(Arc::new(meta), Arc::new(store), Arc::new(BlockCache::new(1 << 20)));
    let verified = block.verify();
    let Ok(index) = block.index() else { return assert!(verified.is_err()) };
    let (mut samples, mut halves) = (Samples::new(), Samples::new());
    let mut readable = true;
    for number in 0..u32::try_from(index.series_count()).unwrap_or(u32::MAX).min(100) {
        samples.clear();
        halves.clear();
        let middle = index.columns(number).next().map_or(0, |(_, times)| times.bounds().1);
        let read = |range, out: &mut Samples| block.read(&index, number, Wanted::all(range), out).is_ok();
        if read(TimeRange::ALL, &mut samples) {
            assert_eq!(samples.timestamps.len(), samples.values.len());
            let early = TimeRange { start: i64::MIN, end: middle };
            assert!(read(early, &mut halves), "a part of what can be read");
            let expected = samples.timestamps.iter().filter(|time| early.contains(**time));
            assert!(halves.timestamps.iter().eq(expected));
            assert_eq!(halves.timestamps.len(), halves.values.len());
        } else {
            readable = false;
        }
    }
    assert!(readable || verified.is_err(), "a sound block can be read");
}

/// A block as it is written.
fn made_seeds() -> Vec<Vec<u8>> {
    let (store, storage, exemplars) = (MemoryStore::default(), seeds::storage(), seeds::exemplars());
    let querier = storage.querier(TimeRange::ALL).expect("memory");
    let set = querier.select(&SelectRequest::new(&[], TimeRange::ALL)).expect("memory");
    let (sources, lost) = (Vec::new(), Counter::default());
    let plan = BlockPlan { id: BlockId::new(0, 10, 1), start: 0, end: i64::MAX, level: 1, sources, lost };
    let id = plan.id.clone();
    let meta =
        write_block_with(&store, plan, &*set, &exemplars, &StopToken::new()).expect("memory").expect("some");
    let block = store.open(&id).expect("it is there");
    let value = |key: &[u8]| block.get(key).expect("sound").expect("it is there");
    // What is stored packed is packed by the target.
    let plain = |key: &[u8]| {
        let packed = value(key);
        let len = packed[1..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
        zstd::bulk::decompress(&packed[1 + len..], 1 << 16).expect("own output")
    };
    let head = [
        1 | u8::try_from(meta.samples << 4).expect("few"),
        1 | u8::try_from(meta.exemplars.count << 2).expect("few"),
    ];
    let mut all = head.to_vec();
    all.extend(seeds::part(&plain(&keys::index_part(0))));
    all.extend(seeds::part(&plain(&keys::exemplar_part(0))));
    all.extend(seeds::part(&value(&keys::exemplar_directory(0))[1..]));
    all.extend(seeds::part(&value(keys::META)[9..]));
    all.extend(seeds::part(&value(&keys::bundle(0))));
    vec![all]
}
