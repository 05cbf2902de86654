//! Blocks written and read back: floats, histograms, duplicates, ranges, damage.

use std::sync::Arc;

use super::reader::{Block, BlockCache, Wanted};
use super::writer::{BlockPlan, write_block};
use crate::model::histogram::{Buckets, Histogram, Span};
use crate::model::{Labels, Samples, TimeRange, stale_nan};
use crate::storage::{SeriesSet, StorageError};
use crate::telemetry::metrics::Counter;
use crate::tsdb::store::memory::MemoryStore;
use crate::tsdb::store::{BlockId, BlockStore};
use crate::util::StopToken;

/// Series at hand, in label order.
struct Given(Vec<(Labels, Samples)>);

impl SeriesSet for Given {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.0[index].0.clone()
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut Samples) -> Result<(), StorageError> {
        out.clear();
        let samples = &self.0[index].1;
        let mut histograms = samples.histograms.iter().peekable();
        for (at, (time, value)) in samples.iter().enumerate() {
            let histogram = histograms.next_if(|(number, _)| *number == at);
            match histogram {
                _ if !range.contains(time) => {}
                Some((_, histogram)) => out.push_histogram(time, Arc::clone(histogram)),
                None => out.push(time, value),
            }
        }
        Ok(())
    }
}

fn histogram(n: u32) -> Arc<Histogram> {
    let counts = vec![f64::from(n), f64::from(n * 2)];
    Arc::new(Histogram {
        count: f64::from(n * 3),
        sum: f64::from(n) / 8.0,
        positive: Buckets { spans: vec![Span { offset: 0, length: 2 }], counts },
        integer: true,
        ..Histogram::default()
    })
}

/// Twelve bits that no compressor finds a pattern in.
fn noise(n: u32) -> f64 {
    let mixed = n.wrapping_mul(2_654_435_761);
    let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca6b);
    f64::from((mixed ^ (mixed >> 13)) >> 20)
}

fn given() -> Given {
    let mut series = Vec::new();
    for (number, name) in ["a_bucket", "a_count", "b", "c", "d"].iter().enumerate() {
        let mut samples = Samples::new();
        let rounds = if *name == "c" { 20_000u32 } else { 4000 };
        for n in 0..rounds {
            let time = i64::from(n) * 15_000;
            match number {
                // Twins, which are long enough to be worth it.
                0 | 1 => samples.push(time, noise(n)),
                2 if n % 4 == 1 => samples.push(time, f64::from(n)),
                2 => samples.push_histogram(time, histogram(n)),
                3 => samples.push(time, f64::from(n).sqrt()),
                _ if n % 100 == 7 => samples.push(time, stale_nan()),
                _ => samples.push(time, 0.5),
            }
        }
        series.push((Labels::from_pairs([("__name__", *name)]), samples));
    }
    Given(series)
}

fn same(a: &Samples, b: &Samples) {
    assert_eq!(a.timestamps, b.timestamps);
    assert_eq!(a.histograms, b.histograms);
    let plain = |s: &Samples| -> Vec<u64> {
        let mut histograms = s.histograms.iter().map(|(at, _)| *at).peekable();
        let floats = s.values.iter().enumerate().filter(|(at, _)| histograms.next_if_eq(at).is_none());
        floats.map(|(_, v)| v.to_bits()).collect()
    };
    assert_eq!(plain(a), plain(b));
}

fn plan(id: BlockId, end: i64) -> BlockPlan {
    BlockPlan { id, start: 0, end, level: 1, sources: Vec::new(), lost: Counter::default() }
}

fn written() -> (Arc<MemoryStore>, Given, Block) {
    let (store, given) = (Arc::new(MemoryStore::default()), given());
    let end = 20_000 * 15_000;
    let plan = plan(BlockId::new(0, end, 1), end);
    let meta = write_block(&*store, plan, &given, &StopToken::new()).expect("write").expect("samples");
    let cache = Arc::new(BlockCache::new(1 << 20));
    let block = Block::new(Arc::new(meta), Arc::clone(&store) as Arc<dyn BlockStore>, cache);
    (store, given, block)
}

#[test]
fn whole_series_and_ranges_come_back() {
    let (_store, given, block) = written();
    assert_eq!(block.verify().expect("verify"), 4 * 4000 + 20_000);
    let index = block.index().expect("index");
    let (mut expected, mut found) = (Samples::new(), Samples::new());
    let ranges = [
        TimeRange::ALL,
        TimeRange::new(0, 0),
        TimeRange::new(15_000 * 8191, 15_000 * 8192),
        TimeRange::new(-5, 15_000 * 1000 + 1),
        TimeRange::new(15_000 * 3990 + 1, i64::MAX),
        TimeRange::new(1, 14_999),
    ];
    for range in ranges {
        for (at, number) in (0..given.len()).zip(0u32..) {
            given.read(at, range, &mut expected).expect("given");
            found.clear();
            block.read(&index, number, Wanted::all(range), &mut found).expect("read");
            same(&found, &expected);
        }
    }
}

#[test]
fn an_equal_column_is_stored_once() {
    let (store, given, block) = written();
    let bytes = store.size_bytes(&block.meta().id);
    let only = |names: std::ops::Range<usize>| {
        let store = MemoryStore::default();
        let plan = plan(BlockId::new(0, 1, 1), 1 << 40);
        let part = Given(given.0[names].to_vec());
        write_block(&store, plan, &part, &StopToken::new()).expect("write");
        store.size_bytes(&BlockId::new(0, 1, 1))
    };
    // 4,000 values of 12 bits: 6,000 bytes, which the twin does not take again.
    assert!(only(0..1) > 5000);
    assert!(only(0..2) < only(0..1) + 200);
    assert!(bytes > only(0..2));
}

#[test]
fn what_the_cache_forgot_is_read_again() {
    let (store, _given, block) = written();
    let cache = Arc::new(BlockCache::new(1 << 20));
    let other = Block::new(Arc::clone(block.meta()), store as Arc<dyn BlockStore>, Arc::clone(&cache));
    other.verify().expect("verify");
    assert!(cache.bytes() > 0);
    cache.forget(&block.meta().id);
    assert_eq!(cache.bytes(), 0);
    other.verify().expect("verify");
}

#[test]
fn a_column_that_would_not_come_back_is_left_out_and_counted() {
    // Wider than anything intake takes, and without a pattern.
    let length = 400_000u32;
    let counts: Vec<f64> = (0..length).map(|n| noise(n) + noise(n + 1_000_000) / 4096.0).collect();
    let positive = Buckets { spans: vec![Span { offset: 0, length }], counts };
    let wide = Arc::new(Histogram { positive, ..Histogram::default() });
    let mut given = given();
    let times = |series: &Samples| (series.timestamps.first().copied(), series.timestamps.last().copied());
    let (first, last) = times(&given.0[1].1);
    given.0[1].1.clear();
    given.0[1].1.push_histogram(first.expect("samples"), Arc::clone(&wide));
    given.0[1].1.push(last.expect("samples"), 1.0);
    given.0[3].1.clear();
    given.0[3].1.push_histogram(15_000, wide);
    let (store, lost) = (Arc::new(MemoryStore::default()), Counter::default());
    let plan = BlockPlan { lost: lost.clone(), ..plan(BlockId::new(0, 1, 1), 1 << 40) };
    let meta = write_block(&*store, plan, &given, &StopToken::new()).expect("write").expect("samples");
    assert_eq!(lost.get(), 2);
    assert_eq!(meta.samples, 3 * 4000 + 1);
    let cache = Arc::new(BlockCache::new(1 << 20));
    let block = Block::new(Arc::new(meta), store as Arc<dyn BlockStore>, cache);
    assert_eq!(block.verify().expect("verify"), 3 * 4000 + 1);
    let index = block.index().expect("index");
    let (mut expected, mut found) = (Samples::new(), Samples::new());
    // Of the second its other sample is there; the fourth has no other.
    for (number, at) in [(0, 0), (2, 2), (3, 4)] {
        given.read(at, TimeRange::ALL, &mut expected).expect("given");
        found.clear();
        block.read(&index, number, Wanted::all(TimeRange::ALL), &mut found).expect("read");
        same(&found, &expected);
    }
    found.clear();
    block.read(&index, 1, Wanted::all(TimeRange::ALL), &mut found).expect("read");
    assert_eq!(found.timestamps, [last.expect("samples")]);
}
