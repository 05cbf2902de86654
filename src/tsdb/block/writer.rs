//! Series in label order -> columns, bundles, index, exemplars -> a published block.
//!
//! **Invariants**: every column, timeline and index is decoded again and held against what went in before it is handed
//! to the store, and the store reads back what it wrote before the block is published: a published block can be read.
//! A column that does not come back is left out and told, so that one series never costs the others.
//!
//! **Cost**: holds the labels of all series, the different timelines and the last columns of the block; samples one
//! series at a time.

use std::collections::VecDeque;
use std::hash::BuildHasher as _;

use hashbrown::HashMap;

use super::BlockMeta;
use super::exemplars::{ExemplarIter, ExemplarSource, ExemplarWriter};
use super::meta::ExemplarMeta;
use crate::codec::envelope;
use crate::model::{Exemplar, Labels, Samples, TimeRange};
use crate::storage::{Fields, SeriesSet};
use crate::telemetry::metrics::Counter;
use crate::tsdb::chunk::bundle::{self, BundleBuilder};
use crate::tsdb::chunk::column::{self, Effort};
use crate::tsdb::chunk::content;
use crate::tsdb::chunk::ints;
use crate::tsdb::error::{Error, Result};
use crate::tsdb::index::reader::IndexBuilder;
use crate::tsdb::store::{BlockId, BlockStore, BlockWriter, MAX_VALUE_BYTES, ValueDigest, keys};
use crate::util::StopToken;

/// Bytes of one stored part of the index.
const INDEX_PART_BYTES: usize = 64 << 10;

/// Bytes of one column at most. What intake takes needs less than half of it.
const MAX_COLUMN_BYTES: usize = 2 << 20;
const _: () = assert!(MAX_COLUMN_BYTES + 2 * bundle::TARGET_BYTES < bundle::MAX_INFLATED_BYTES);
const _: () = assert!(MAX_COLUMN_BYTES + 2 * bundle::TARGET_BYTES < MAX_VALUE_BYTES);

/// What a block is to be made of.
pub struct BlockPlan {
    /// Its name.
    pub id: BlockId,
    /// Start of its window in milliseconds, inside.
    pub start: i64,
    /// End of its window in milliseconds, outside.
    pub end: i64,
    /// See [`BlockMeta::level`].
    pub level: u32,
    /// See [`BlockMeta::sources`].
    pub sources: Vec<BlockId>,
    /// Counts samples that cannot be encoded and are left out.
    pub lost: Counter,
}

/// Timestamps seen before, so that equal ones are stored once.
#[derive(Default)]
struct TimelineSet {
    known: Vec<Box<[i64]>>,
    by_hash: HashMap<u64, Vec<u32>>,
}

impl TimelineSet {
    /// The number of `timestamps`, and whether they are new.
    fn number(&mut self, timestamps: &[i64]) -> (u32, bool) {
        let hash = foldhash::fast::FixedState::default().hash_one(timestamps);
        let same = self.by_hash.entry(hash).or_default();
        if let Some(known) = same.iter().find(|n| *self.known[**n as usize] == *timestamps) {
            return (*known, false);
        }
        let number = u32::try_from(self.known.len()).expect("fewer than 2^32 timelines");
        self.known.push(timestamps.into());
        same.push(number);
        (number, true)
    }
}

/// Bytes of columns that are remembered to find equal ones: those of twin metrics are not far apart.
const REMEMBERED_BYTES: usize = 4 << 20;
/// Shorter columns are not worth a second look at read.
const MIN_DUPLICATE_BYTES: usize = 24;

/// The last columns written, to find one that is equal to the next.
#[derive(Default)]
struct RecentColumns {
    columns: VecDeque<RecentColumn>,
    /// Number of the first of `columns`, counted over all that were remembered.
    first: usize,
    by_hash: HashMap<u64, usize>,
    bytes: usize,
}

struct RecentColumn {
    number: u64,
    count: usize,
    hash: u64,
    bytes: Box<[u8]>,
}

impl RecentColumns {
    /// The number of an earlier column of `count` samples and the very same bytes; else remembers this one.
    fn find_or_remember(&mut self, number: u64, count: usize, bytes: &[u8]) -> Option<u64> {
        if bytes.len() < MIN_DUPLICATE_BYTES {
            return None;
        }
        let hash = foldhash::fast::FixedState::default().hash_one((count, bytes));
        let known = self.by_hash.get(&hash).and_then(|at| self.columns.get(at.checked_sub(self.first)?));
        if let Some(known) = known.filter(|known| known.count == count && *known.bytes == *bytes) {
            return Some(known.number);
        }
        self.by_hash.insert(hash, self.first + self.columns.len());
        self.bytes += bytes.len();
        self.columns.push_back(RecentColumn { number, count, hash, bytes: bytes.into() });
        while self.bytes > REMEMBERED_BYTES
            && let Some(oldest) = self.columns.pop_front()
        {
            self.bytes -= oldest.bytes.len();
            // A later column may have taken the place of this hash.
            if self.by_hash.get(&oldest.hash) == Some(&self.first) {
                self.by_hash.remove(&oldest.hash);
            }
            self.first += 1;
        }
        None
    }
}

/// Writes and publishes a block of the samples of `set` inside the window of `plan`. None if there are none.
///
/// # Errors
/// When samples cannot be read, the disk refuses, or `stop` was called; nothing is published then.
pub fn write_block(
    store: &dyn BlockStore,
    plan: BlockPlan,
    set: &dyn SeriesSet,
    stop: &StopToken,
) -> Result<Option<BlockMeta>> {
    let none: Vec<(Labels, Vec<Exemplar>)> = Vec::new();
    write_block_with(store, plan, set, &none, stop)
}

/// The series that have exemplars, on their way into the index.
struct Beside<'a> {
    series: ExemplarIter<'a>,
    next: Option<Labels>,
    /// Their numbers in the block.
    numbers: Vec<u32>,
}

impl<'a> Beside<'a> {
    fn new(source: &'a dyn ExemplarSource) -> Result<Self> {
        let mut new = Self { series: source.series()?, next: None, numbers: Vec::new() };
        new.advance()?;
        Ok(new)
    }

    fn advance(&mut self) -> Result<()> {
        self.next = self.series.next().transpose()?.map(|(labels, _)| labels);
        Ok(())
    }

    /// Adds the series before `labels`, which have no samples, and notes the number of the series `labels`.
    fn up_to(&mut self, labels: Option<&Labels>, index: &mut IndexBuilder) -> Result<()> {
        while let Some(next) = &self.next {
            let known = labels.is_some_and(|labels| next == labels);
            if labels.is_some_and(|labels| next > labels) {
                return Ok(());
            }
            self.numbers.push(u32::try_from(index.series_count()).expect("series are counted in 32 bits"));
            if known {
                return self.advance();
            }
            index.add_series(next.clone(), Vec::new());
            self.advance()?;
        }
        Ok(())
    }
}

/// As [`write_block`], with exemplars, all of them before the end of the window.
///
/// # Errors
/// As [`write_block`].
pub fn write_block_with(
    store: &dyn BlockStore,
    plan: BlockPlan,
    set: &dyn SeriesSet,
    exemplars: &dyn ExemplarSource,
    stop: &StopToken,
) -> Result<Option<BlockMeta>> {
    let mut beside = Beside::new(exemplars)?;
    let window = TimeRange { start: plan.start, end: plan.end - 1 };
    let mut writer = store.begin(&plan.id)?;
    let mut index = IndexBuilder::default();
    let mut timelines = TimelineSet::default();
    let mut bundle = BundleBuilder::default();
    let (mut scratch, mut int_scratch) = (column::Scratch::new(Effort::Thorough), ints::Scratch::default());
    let mut recent = RecentColumns::default();
    let (mut samples, mut back) = (Samples::new(), Samples::new());
    let (mut bundles, mut columns, mut total) = (0u32, 0u64, 0u64);
    for number in 0..set.len() {
        if stop.is_stopped() {
            return Err(Error::Store {
                block: plan.id.to_string(),
                action: "write",
                reason: "the server is stopping".to_owned(),
            });
        }
        set.read(number, window, &mut samples).map_err(|error| Error::Store {
            block: plan.id.to_string(),
            action: "read the sources of",
            reason: error.to_string(),
        })?;
        if samples.is_empty() {
            continue;
        }
        let labels = set.labels(number);
        let mut series_timelines = Vec::with_capacity(1);
        for (start, end) in content::parts(&samples) {
            content::encode(&samples, start, end, &mut scratch, bundle.buffer());
            if let Err(reason) = check_column(bundle.open_column(), &samples, start, end, &mut back) {
                bundle.reset_column();
                plan.lost.inc_by((end - start) as u64);
                let (from, to) = (samples.timestamps[start], samples.timestamps[end - 1]);
                tracing::error!(
                    series = %labels, samples = end - start, from, to, reason,
                    "lost samples that a block cannot store"
                );
                continue;
            }
            let timestamps = &samples.timestamps[start..end];
            let (timeline, fresh) = timelines.number(timestamps);
            if fresh {
                index.add_timeline(timestamps, &mut int_scratch);
            }
            series_timelines.push(timeline);
            total += (end - start) as u64;
            if bundle.is_empty() {
                index.add_bundle(columns);
            }
            if let Some(same) = recent.find_or_remember(columns, end - start, bundle.open_column()) {
                bundle.reset_column();
                column::encode_duplicate(columns - same, bundle.buffer());
            }
            columns += 1;
            if bundle.end_column() {
                writer.put(&keys::bundle(bundles), &bundle.finish())?;
                bundles += 1;
            }
        }
        if series_timelines.is_empty() {
            continue;
        }
        beside.up_to(Some(&labels), &mut index)?;
        index.add_series(labels, series_timelines);
    }
    beside.up_to(None, &mut index)?;
    if index.series_count() == 0 {
        return Ok(None);
    }
    if !bundle.is_empty() {
        writer.put(&keys::bundle(bundles), &bundle.finish())?;
    }
    let meta = BlockMeta {
        id: plan.id,
        start: plan.start,
        end: plan.end,
        level: plan.level,
        sources: plan.sources,
        series: index.series_count() as u64,
        samples: total,
        columns,
        index_parts: 0,
        digest: ValueDigest::default(),
        exemplars: ExemplarMeta::default(),
    };
    finish(writer, index, exemplars, &beside.numbers, meta).map(Some)
}

/// Whether column `bytes` holds the samples of `samples` from `start` to before `end`; else why not.
fn check_column(
    bytes: &[u8],
    samples: &Samples,
    start: usize,
    end: usize,
    back: &mut Samples,
) -> std::result::Result<(), &'static str> {
    if bytes.len() > MAX_COLUMN_BYTES {
        return Err("the encoded samples are too large");
    }
    back.clear();
    let decoded = content::decode(bytes, end - start, 0, end - start, Fields::ALL, back);
    let values = samples.values[start..end].iter().zip(&back.values);
    let first = samples.histograms.partition_point(|(at, _)| *at < start);
    let last = samples.histograms.partition_point(|(at, _)| *at < end);
    let histograms = samples.histograms[first..last].iter().zip(&back.histograms);
    let same = decoded.is_ok()
        && back.values.len() == end - start
        && back.histograms.len() == last - first
        && (start..end).all(|at| samples.start(at) == back.start(at - start))
        && histograms.into_iter().all(|((at, one), (back_at, other))| {
            at - start == *back_at && one.reset_hint == other.reset_hint && one.same_data(other)
        })
        // Of histograms the value says nothing.
        && values.enumerate().all(|(at, (one, other))| {
            one.to_bits() == other.to_bits() || back.histograms.binary_search_by_key(&at, |(at, _)| *at).is_ok()
        });
    if same { Ok(()) } else { Err("the encoded samples do not come back; a bug to report") }
}

fn finish(
    mut writer: Box<dyn BlockWriter>,
    index: IndexBuilder,
    exemplars: &dyn ExemplarSource,
    numbers: &[u32],
    mut meta: BlockMeta,
) -> Result<BlockMeta> {
    let stored = index.finish().map_err(|source| Error::Corrupt {
        what: format!("index of block {}, not published", meta.id),
        source,
    })?;
    for part in stored.chunks(INDEX_PART_BYTES) {
        writer.put(&keys::index_part(meta.index_parts), part)?;
        meta.index_parts += 1;
    }
    if !numbers.is_empty() {
        // Keys must rise, so these come last; the source gives them once more rather than all are kept.
        let mut parts = ExemplarWriter::default();
        let mut series = exemplars.series()?;
        for number in numbers {
            let Some(found) = series.next() else { break };
            parts.add(&mut *writer, *number, &found?.1)?;
        }
        meta.exemplars = parts.finish(&mut *writer)?;
    }
    meta.digest = writer.digest();
    let sealed = envelope::seal(&meta)
        .map_err(|source| Error::TooLarge { what: format!("block {}", meta.id), source })?;
    writer.publish(&sealed)?;
    Ok(meta)
}
