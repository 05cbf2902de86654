//! Columns and blocks: each mode by itself, and a recording of real exporters as a day of scrapes 15 s apart.
//!
//! The recording is the file named by `EMBERKEEP_CAPTURE`; without it those parts are left out. Besides the times they
//! print what a day takes: bytes a sample of the values alone, of everything in the block, and on disk.
//! The recording holds 2,100 scrapes, so a day of 5,760 is it, continued: once backwards, then both again by every
//! second scrape (see `emberkeep::workload::Replay`).

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use emberkeep::model::{Labels, LabelsBuf, Samples, TimeRange};
use emberkeep::storage::{SeriesSet, StorageError};
use emberkeep::telemetry::metrics::Counter;
use emberkeep::tsdb::block::reader::{BlockCache, Wanted};
use emberkeep::tsdb::block::writer::{BlockPlan, write_block};
use emberkeep::tsdb::block::{Block, BlockMeta};
use emberkeep::tsdb::chunk::column::{self, Effort, Scratch};
use emberkeep::tsdb::store::sled::SledStore;
use emberkeep::tsdb::store::{BlockId, BlockStore, keys};
use emberkeep::util::StopToken;
use emberkeep::workload::{Capture, Replay};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const INTERVAL_MS: i64 = 15_000;
const START_MS: i64 = 1_700_006_400_000;
const DAY: usize = 5760;
const TWO_HOURS: usize = 480;
/// Blocks that hold anything at all.
const CACHE_BYTES: usize = 1 << 30;

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ (self.0 >> 29)
    }

    fn below(&mut self, bound: u32) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap_or(0) % bound)
    }
}

/// Values of each kind, named after the mode they end in.
fn kinds(len: u32) -> Vec<(&'static str, Vec<f64>)> {
    let mut random = Random(7);
    let mut total = 0.0;
    let mut sum = 0.0;
    vec![
        ("constant", vec![0.25; len as usize]),
        ("linear", (0..len).map(|i| f64::from(i * 15)).collect()),
        ("sparse", (0..len).map(|i| f64::from(i / 60)).collect()),
        (
            "counter",
            (0..len)
                .map(|_| {
                    total += random.below(100);
                    total
                })
                .collect(),
        ),
        ("gauge", (0..len).map(|_| random.below(1000) / 100.0).collect()),
        (
            "corrected",
            (0..len)
                .map(|_| {
                    sum += random.below(50) / 100.0;
                    sum
                })
                .collect(),
        ),
        ("float", (0..len).map(|_| random.below(1 << 30).sqrt()).collect()),
    ]
}

fn columns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunk/column");
    for (effort, len) in [(Effort::Quick, 120), (Effort::Thorough, 5760)] {
        for (kind, values) in kinds(len) {
            let mut scratch = Scratch::new(effort);
            let (mut out, mut back) = (Vec::new(), Vec::new());
            group.throughput(Throughput::Elements(u64::from(len)));
            group.bench_function(format!("encode/{kind}/{len}"), |b| {
                b.iter(|| {
                    out.clear();
                    column::encode(black_box(&values), &mut scratch, &mut out);
                });
            });
            group.bench_function(format!("decode/{kind}/{len}"), |b| {
                b.iter(|| {
                    back.clear();
                    column::decode(black_box(&out), values.len(), &mut back).is_ok()
                });
            });
        }
    }
    group.finish();
}

/// The recording as series of a block, in label order.
struct Recorded(Vec<(Labels, Samples)>);

impl Recorded {
    fn new(capture: &Capture, scrapes: usize, jittered: bool) -> Self {
        let mut series = Vec::new();
        let mut random = Random(11);
        let mut labels = LabelsBuf::new();
        for target in &capture.targets {
            let times: Vec<i64> = (0..scrapes)
                .zip(0i64..)
                .map(|(_, at)| START_MS + at * INTERVAL_MS + if jittered { jitter(&mut random) } else { 0 })
                .collect();
            for recorded in &target.series {
                recorded.labels(&mut labels).expect("series of the recording");
                labels.set("job", &target.name);
                labels.set("instance", "host-1:9100");
                let mut samples = Samples::new();
                for (at, value) in Replay::new(recorded, target.scrape_count()).samples(scrapes) {
                    samples.push(times[at], value);
                }
                if !samples.is_empty() {
                    series.push((labels.to_labels(), samples));
                }
            }
        }
        series.sort_by(|a, b| a.0.cmp(&b.0));
        series.dedup_by(|a, b| a.0 == b.0);
        Self(series)
    }

    fn samples(&self) -> u64 {
        self.0.iter().map(|(_, samples)| samples.len() as u64).sum()
    }
}

/// Normal with a deviation of 3 ms, and up to 80 ms once in a hundred scrapes.
#[expect(clippy::cast_possible_truncation, reason = "some milliseconds")]
fn jitter(random: &mut Random) -> i64 {
    if random.below(100) == 0.0 {
        return random.below(80) as i64;
    }
    let sum: f64 = (0..12).map(|_| random.below(1 << 20) / f64::from(1 << 20)).sum();
    ((sum - 6.0) * 3.0).round() as i64
}

impl SeriesSet for Recorded {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.0[index].0.clone()
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut Samples) -> Result<(), StorageError> {
        out.clear();
        let inside = self.0[index].1.iter().filter(|(time, _)| range.contains(*time));
        inside.for_each(|(time, value)| out.push(time, value));
        Ok(())
    }
}

fn plan(number: u32) -> BlockPlan {
    let (start, end) = (START_MS - 1000, START_MS + 86_400_000 + 1000);
    BlockPlan {
        id: BlockId::new(start, end, number),
        start,
        end,
        level: 2,
        sources: Vec::new(),
        lost: Counter::default(),
    }
}

/// Reads everything; says how many samples that were.
fn scan(block: &Block, range: TimeRange, out: &mut Samples) -> usize {
    let index = block.index().expect("index");
    let numbers = 0..u32::try_from(index.series_count()).unwrap_or(0);
    let mut samples = 0;
    for number in numbers {
        out.clear();
        block.read(&index, number, Wanted::all(range), out).expect("samples");
        samples += out.len();
    }
    samples
}

/// What a block takes, in bytes a sample.
#[expect(clippy::print_stdout, reason = "the figures are what this is run for")]
fn report(name: &str, set: &Recorded, store: &SledStore, meta: &BlockMeta) {
    let samples = set.samples() as f64;
    let mut scratch = Scratch::new(Effort::Thorough);
    let mut values = Vec::new();
    for (_, series) in &set.0 {
        column::encode(&series.values, &mut scratch, &mut values);
    }
    let reader = store.open(&meta.id).expect("open");
    let part = |number| reader.get(&keys::index_part(number)).ok().flatten().map_or(0, |part| part.len());
    let index: usize = (0..meta.index_parts).map(part).sum();
    println!(
        "{name}: {} series, {samples} samples; bytes a sample: values {:.4}, block {:.4}, of it index {:.4}, on \
         disk {:.4}",
        set.len(),
        values.len() as f64 / samples,
        meta.digest.bytes as f64 / samples,
        index as f64 / samples,
        store.size_bytes(&meta.id) as f64 / samples,
    );
}

fn blocks(criterion: &mut Criterion) {
    let Some(path) = std::env::var_os("EMBERKEEP_CAPTURE") else { return };
    let capture = Capture::load(Path::new(&path)).expect("recording");
    let mut group = criterion.benchmark_group("chunk/block");
    group.sample_size(10);
    for (name, scrapes, jittered) in
        [("two_hours", TWO_HOURS, true), ("day_exact", DAY, false), ("day_jittered", DAY, true)]
    {
        let set = Recorded::new(&capture, scrapes, jittered);
        let dir = tempfile::tempdir().expect("folder");
        let store = Arc::new(SledStore::new(dir.path()).expect("store"));
        group.throughput(Throughput::Elements(set.samples()));
        let mut number = 1;
        group.bench_function(format!("write/{name}"), |b| {
            b.iter_batched(
                || {
                    number += 1;
                    plan(number)
                },
                |plan| write_block(&*store, plan, &set, &StopToken::new()).expect("write"),
                BatchSize::PerIteration,
            );
        });
        let meta = write_block(&*store, plan(0), &set, &StopToken::new()).expect("write").expect("samples");
        report(name, &set, &store, &meta);
        let meta = Arc::new(meta);
        let open = || {
            let store = Arc::clone(&store) as Arc<dyn BlockStore>;
            let block = Block::new(Arc::clone(&meta), store, Arc::new(BlockCache::new(CACHE_BYTES)));
            block.index().expect("index");
            block
        };
        let mut out = Samples::new();
        group.bench_function(format!("load_index/{name}"), |b| b.iter(open));
        group.bench_function(format!("read_inflating/{name}"), |b| {
            b.iter_batched(
                open,
                |block| assert_eq!(scan(&block, TimeRange::ALL, &mut out) as u64, set.samples()),
                BatchSize::PerIteration,
            );
        });
        let block = open();
        group.bench_function(format!("read_cached/{name}"), |b| {
            b.iter(|| scan(&block, TimeRange::ALL, &mut out));
        });
        // By series: what is decoded before the last hour is not put out.
        let last = START_MS + i64::try_from(scrapes).unwrap_or(0) * INTERVAL_MS - 3_600_000;
        group.throughput(Throughput::Elements(set.len() as u64));
        group.bench_function(format!("read_last_hour/{name}"), |b| {
            b.iter(|| scan(&block, TimeRange::new(last, i64::MAX), &mut out));
        });
    }
    group.finish();
}

criterion_group!(benches, columns, blocks);
criterion_main!(benches);
