//! The index of a block as it is loaded: label pairs, series, postings, timelines.
//!
//! Label pairs are numbered in the order of their texts; a series is a row of pair numbers. Postings are not stored:
//! loading counts them together from the rows, as runs of series where that is shorter.
//!
//! **Format**: `docs/format/index.md`; version 1 is still read.
//! **Cost**: loading is two passes over the rows. A loaded index takes 4 bytes a label of a series, and as much for
//! postings at most; timelines are decoded when first asked for. Postings are made into bitmaps when asked for.

use std::borrow::Cow;
use std::io::Read as _;
use std::ops::Range;
use std::sync::OnceLock;

use roaring::RoaringBitmap;

pub use super::builder::IndexBuilder;
use super::digest::IndexDigest;
use super::rows::{Columns, MAX_PER_BYTE, Rows, Timeline, as_u32, span};
use super::{LabelSource, Postings, ValueVisitor, version_1};
use crate::codec::{ByteReader, CodecError};
use crate::model::Labels;
use crate::tsdb::chunk::MAX_COLUMN_SAMPLES;

/// Version of the index format.
pub const VERSION: u8 = 2;
/// Inflating stops here.
const MAX_INFLATED_BYTES: usize = 1 << 31;

/// Postings of all pairs in one array.
#[derive(Debug, Default)]
struct PostingLists {
    /// Series numbers, or first and last number of each run.
    numbers: Vec<u32>,
    /// End of each pair's part.
    ends: Vec<u32>,
    /// Whether a pair's part holds runs.
    in_runs: Vec<bool>,
}

/// A loaded block index.
#[derive(Debug)]
pub struct BlockIndex {
    rows: Rows,
    /// Name of each pair.
    pair_names: Vec<u32>,
    columns: Columns,
    timelines: Vec<Timeline>,
    postings: PostingLists,
    all: RoaringBitmap,
    memory_bytes: usize,
}

impl BlockIndex {
    /// Reads what [`IndexBuilder::finish`] wrote.
    ///
    /// # Errors
    /// When the bytes are cut or damaged.
    pub fn open(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = ByteReader::new(bytes);
        let version = reader.u8()?;
        if version != VERSION && version != version_1::VERSION {
            return Err(CodecError::Version { what: "block index", version });
        }
        let len = reader.len("index length", MAX_INFLATED_BYTES)?;
        let invalid = CodecError::Invalid { what: "compressed index", at: 0 };
        // Not into a buffer of that length at once: the length may be damaged.
        let packed = reader.bytes(reader.remaining())?;
        let mut body = Vec::new();
        let inflated = zstd::Decoder::new(packed)
            .and_then(|decoder| decoder.take(len as u64 + 1).read_to_end(&mut body));
        if inflated.is_err() || body.len() != len {
            return Err(invalid);
        }
        Self::read(&body, version)
    }

    pub(super) fn read(body: &[u8], version: u8) -> Result<Self, CodecError> {
        let mut reader = ByteReader::new(body);
        let (rows, mut columns) =
            if version == VERSION { read_rows(&mut reader)? } else { version_1::read_rows(&mut reader)? };
        let mut first = 0u64;
        for _ in 0..reader.len("bundle count", reader.remaining())? {
            first = first.saturating_add(reader.varint()?);
            columns.bundles.push(first);
        }
        let mut timelines = Vec::new();
        for _ in 0..reader.len("timeline count", reader.remaining())? {
            timelines.push(if version == VERSION {
                read_timeline(&mut reader)?
            } else {
                version_1::read_timeline(&mut reader)?
            });
        }
        let known = |t: &u32| timelines.get(*t as usize).is_some_and(|t| t.count > 0);
        if !columns.timelines.iter().all(known) {
            return Err(reader.invalid("timeline number"));
        }
        if !reader.is_empty() {
            return Err(reader.invalid("index length"));
        }
        Self::assemble(rows, columns, timelines)
    }

    fn assemble(mut rows: Rows, mut columns: Columns, timelines: Vec<Timeline>) -> Result<Self, CodecError> {
        rows.values.shrink_to_fit();
        rows.value_ends.shrink_to_fit();
        rows.pairs.shrink_to_fit();
        rows.ends.shrink_to_fit();
        columns.timelines.shrink_to_fit();
        columns.ends.shrink_to_fit();
        columns.bundles.shrink_to_fit();
        let pair_count = rows.value_ends.len();
        let mut pair_names = Vec::with_capacity(pair_count);
        let firsts = rows.names.iter().skip(1).map(|(_, first)| *first as usize).chain([pair_count]);
        for (name, end) in (0u32..).zip(firsts) {
            pair_names.resize(end, name);
        }
        let postings = PostingLists::count(&rows)?;
        let mut all = RoaringBitmap::new();
        all.insert_range(0..as_u32(rows.ends.len())?);
        let mut index = Self { rows, pair_names, columns, timelines, postings, all, memory_bytes: 0 };
        index.memory_bytes = index.count_memory();
        Ok(index)
    }

    fn count_memory(&self) -> usize {
        let Self { rows, pair_names, columns, timelines, postings, .. } = self;
        let words = rows.value_ends.len()
            + rows.pairs.len()
            + rows.ends.len()
            + pair_names.len()
            + columns.timelines.len()
            + columns.ends.len()
            + 2 * columns.bundles.len()
            + postings.numbers.len()
            + postings.ends.len();
        // Timelines count as decoded, which they will be as soon as samples are read.
        let timelines: usize =
            timelines.iter().map(|t| size_of::<Timeline>() + t.bytes.len() + 8 * t.count).sum();
        size_of::<Self>() + rows.values.len() + 4 * words + postings.in_runs.len() + timelines
    }

    /// The inverted index over series numbers.
    pub fn label_index(&self) -> &Self {
        self
    }

    /// Number of series.
    pub fn series_count(&self) -> usize {
        self.rows.ends.len()
    }

    /// Number of different label pairs.
    pub fn pair_count(&self) -> usize {
        self.rows.value_ends.len()
    }

    /// Labels of series `number`; the empty set for a number that is not in the block.
    pub fn labels(&self, number: u32) -> Labels {
        Labels::from_sorted(self.label_pairs(number))
    }

    /// Names and values of series `number` in name order, without building a set: two series of different blocks
    /// compare as their sets do by comparing these. Empty for a number that is not in the block.
    pub fn label_pairs(&self, number: u32) -> impl Iterator<Item = (&str, &str)> + Clone {
        let pairs = self.rows.pairs.get(span(&self.rows.ends, number)).unwrap_or_default();
        pairs.iter().map(|pair| self.pair(*pair))
    }

    /// The value of label `name` of series `number`, if it has one.
    pub fn label_value(&self, number: u32, name: &str) -> Option<&str> {
        let pairs = self.rows.pairs.get(span(&self.rows.ends, number)).unwrap_or_default();
        let wanted = self.pairs_of(name)?;
        let at = pairs.partition_point(|pair| *pair < wanted.start);
        pairs.get(at).filter(|pair| wanted.contains(pair)).map(|pair| self.pair(*pair).1)
    }

    fn pair(&self, pair: u32) -> (&str, &str) {
        let name = self.pair_names.get(pair as usize).and_then(|name| self.rows.names.get(*name as usize));
        (name.map_or("", |(text, _)| text), self.value(pair))
    }

    fn value(&self, pair: u32) -> &str {
        self.rows.values.get(span(&self.rows.value_ends, pair)).unwrap_or("")
    }

    /// The pairs of label `name`.
    fn pairs_of(&self, name: &str) -> Option<Range<u32>> {
        let names = &self.rows.names;
        let at = names.binary_search_by(|(text, _)| (**text).cmp(name)).ok()?;
        let end = names.get(at + 1).map_or(self.pair_names.len(), |(_, first)| *first as usize);
        Some(names[at].1..u32::try_from(end).unwrap_or(u32::MAX))
    }

    /// The first of `pairs`, whose values are sorted, with a value that is not below `value`.
    fn lower_bound(&self, pairs: &Range<u32>, value: &str) -> u32 {
        let (mut low, mut high) = (pairs.start, pairs.end);
        while low < high {
            let middle = low.midpoint(high);
            if self.value(middle) < value {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn postings_of(&self, pair: u32) -> RoaringBitmap {
        self.postings.bitmap(pair)
    }

    /// Columns of series `number`: the number of each in the block, and its timeline.
    pub fn columns(&self, number: u32) -> impl Iterator<Item = (u64, TimelineRef<'_>)> {
        span(&self.columns.ends, number).filter_map(|column| {
            let timeline = *self.columns.timelines.get(column)?;
            Some((column as u64, TimelineRef { timeline: self.timelines.get(timeline as usize)? }))
        })
    }

    /// Number of values of column `column`, if there is such a column.
    pub fn column_len(&self, column: u64) -> Option<usize> {
        let timeline = *self.columns.timelines.get(usize::try_from(column).ok()?)?;
        self.timelines.get(timeline as usize).map(|t| t.count)
    }

    /// The bundle that holds column `column`, and the column's place in it.
    pub fn locate(&self, column: u64) -> Option<(u32, usize)> {
        let bundles = &self.columns.bundles;
        let after = bundles.partition_point(|first| *first <= column);
        let bundle = after.checked_sub(1)?;
        let place = usize::try_from(column - bundles.get(bundle)?).ok()?;
        Some((u32::try_from(bundle).ok()?, place))
    }

    /// Number of samples of the block.
    pub fn sample_count(&self) -> u64 {
        let count = |t: &u32| self.timelines.get(*t as usize).map_or(0, |t| t.count as u64);
        self.columns.timelines.iter().map(count).sum()
    }

    /// The digest of everything it says. Decodes each timeline and keeps none.
    pub(super) fn digest(&self) -> Result<IndexDigest, CodecError> {
        let mut digest = IndexDigest::default();
        self.timelines.iter().try_for_each(|timeline| timeline.decode().map(|all| digest.timeline(&all)))?;
        let mut packed = String::new();
        for number in 0..as_u32(self.series_count())? {
            packed.clear();
            self.label_pairs(number).for_each(|(name, value)| Labels::pack(&mut packed, name, value));
            let columns = span(&self.columns.ends, number);
            let timelines = self.columns.timelines.get(columns).unwrap_or_default();
            digest.series(&packed, timelines.iter().copied());
        }
        Ok(digest)
    }

    /// Bytes of memory it takes once its timelines are decoded.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }
}

/// The timestamps of a column.
#[derive(Debug, Clone, Copy)]
pub struct TimelineRef<'a> {
    timeline: &'a Timeline,
}

impl<'a> TimelineRef<'a> {
    /// Number of timestamps, at least 1.
    pub fn len(self) -> usize {
        self.timeline.count
    }

    /// Never.
    pub fn is_empty(self) -> bool {
        self.timeline.count == 0
    }

    /// First and last timestamp, in milliseconds.
    pub fn bounds(self) -> (i64, i64) {
        (self.timeline.first, self.timeline.last)
    }

    /// All of them, strictly rising.
    ///
    /// # Errors
    /// When the stored bytes are damaged.
    pub fn timestamps(self) -> Result<&'a [i64], CodecError> {
        self.timeline.decoded.get_or_init(|| self.timeline.decode()).as_deref().map_err(Clone::clone)
    }
}

impl PostingLists {
    /// Counts first, then fills: no list is moved while it grows.
    fn count(rows: &Rows) -> Result<Self, CodecError> {
        const NONE: u32 = u32::MAX;
        let pair_count = rows.value_ends.len();
        // Per pair: series, runs, and the last series seen.
        let mut seen = vec![(0u32, 0u32, NONE); pair_count];
        each_pair(rows, |number, pair| {
            if let Some((series, runs, last)) = seen.get_mut(pair as usize) {
                *series += 1;
                if *last == NONE || *last + 1 != number {
                    *runs += 1;
                }
                *last = number;
            }
        });
        let mut in_runs = Vec::with_capacity(pair_count);
        let mut ends = Vec::with_capacity(pair_count);
        let mut total = 0usize;
        for (series, runs, last) in &mut seen {
            let as_runs = *runs * 2 < *series;
            // From here on the place to write to, and the series before.
            let start = as_u32(total)?;
            total += if as_runs { *runs as usize * 2 } else { *series as usize };
            in_runs.push(as_runs);
            ends.push(as_u32(total)?);
            (*series, *last) = (start, NONE);
        }
        let mut numbers = vec![0u32; total];
        each_pair(rows, |number, pair| {
            let Some((at, _, last)) = seen.get_mut(pair as usize) else { return };
            let as_runs = in_runs.get(pair as usize).is_some_and(|runs| *runs);
            let goes_on = *last != NONE && *last + 1 == number;
            *last = number;
            let place = *at as usize;
            if !as_runs {
                numbers[place] = number;
                *at += 1;
            } else if goes_on {
                numbers[place - 1] = number;
            } else {
                numbers[place] = number;
                numbers[place + 1] = number;
                *at += 2;
            }
        });
        Ok(Self { numbers, ends, in_runs })
    }

    fn bitmap(&self, pair: u32) -> RoaringBitmap {
        let part = self.numbers.get(span(&self.ends, pair)).unwrap_or_default();
        if self.in_runs.get(pair as usize) == Some(&true) {
            let mut out = RoaringBitmap::new();
            for [first, last] in part.as_chunks::<2>().0 {
                out.insert_range(*first..=*last);
            }
            return out;
        }
        RoaringBitmap::from_sorted_iter(part.iter().copied()).unwrap_or_default()
    }
}

/// Calls `visit` with the number of each series and each of its pairs.
fn each_pair(rows: &Rows, mut visit: impl FnMut(u32, u32)) {
    let mut start = 0;
    for (number, end) in (0u32..).zip(&rows.ends) {
        let row = rows.pairs.get(start..*end as usize).unwrap_or_default();
        row.iter().for_each(|pair| visit(number, *pair));
        start = *end as usize;
    }
}

impl LabelSource for BlockIndex {
    fn all(&self) -> Postings<'_> {
        Cow::Borrowed(&self.all)
    }

    fn postings(&self, name: &str, value: &str) -> Postings<'_> {
        let found = self.pairs_of(name).and_then(|pairs| {
            let at = self.lower_bound(&pairs, value);
            (pairs.contains(&at) && self.value(at) == value).then_some(at)
        });
        Cow::Owned(found.map_or_else(RoaringBitmap::new, |pair| self.postings_of(pair)))
    }

    fn each_value<'a>(&'a self, name: &str, prefix: &str, visit: &mut ValueVisitor<'a, '_>) {
        let Some(pairs) = self.pairs_of(name) else { return };
        for pair in self.lower_bound(&pairs, prefix)..pairs.end {
            let value = self.value(pair);
            if !value.starts_with(prefix) || visit(value, &|| Cow::Owned(self.postings_of(pair))).is_break() {
                return;
            }
        }
    }

    fn each_name(&self, visit: &mut dyn FnMut(&str)) {
        self.rows.names.iter().for_each(|(name, _)| visit(name));
    }
}

fn read_rows(reader: &mut ByteReader<'_>) -> Result<(Rows, Columns), CodecError> {
    let mut rows = Rows::default();
    let max_values = reader.remaining().saturating_mul(MAX_PER_BYTE);
    for _ in 0..reader.len("name count", reader.remaining())? {
        let name = reader.text()?;
        if rows.names.last().is_some_and(|(before, _)| **before >= *name) {
            return Err(reader.invalid("order of names"));
        }
        rows.names.push((name.into(), as_u32(rows.value_ends.len())?));
        for at in 0..reader.len("value count", reader.remaining())? {
            let shared = reader.len("shared text", if at == 0 { 0 } else { usize::MAX })?;
            rows.push_value(shared, reader.text()?)?;
            if at > 0 && !rows.last_value_is_behind() {
                return Err(reader.invalid("order of values"));
            }
            if rows.values.len() > max_values {
                return Err(reader.invalid("length of values"));
            }
        }
    }
    let pair_count = i64::from(as_u32(rows.value_ends.len())?);

    let series = reader.len("series count", reader.remaining())?;
    let mut streams = [(); 5].map(|()| ByteReader::new(&[]));
    for stream in &mut streams {
        let len = reader.len("stream length", reader.remaining())?;
        *stream = ByteReader::new(reader.bytes(len)?);
    }
    let [shared, counts, changes, column_counts, timelines] = &mut streams;
    let mut columns = Columns::default();
    let mut timeline = 0i64;
    let mut before = 0..0;
    for _ in 0..series {
        let front = shared.len("shared labels", before.len())?;
        let back = shared.len("shared labels", before.len() - front)?;
        let count = counts.len("label count", reader.position())?;
        let start = rows.pairs.len();
        rows.pairs.extend_from_within(before.start..before.start + front);
        for at in 0..count {
            let near = rows.pairs.get(before.start + front + at).filter(|_| front + at < before.len());
            let near = i64::from(near.copied().unwrap_or(0));
            let pair = near.checked_add(changes.zigzag()?).filter(|pair| (0..pair_count).contains(pair));
            let pair = pair.and_then(|pair| u32::try_from(pair).ok());
            rows.pairs.push(pair.ok_or_else(|| changes.invalid("label pair"))?);
        }
        rows.pairs.extend_from_within(before.end - back..before.end);
        before = start..rows.pairs.len();
        if !rows.pairs.get(before.clone()).unwrap_or_default().is_sorted_by(|a, b| a < b) {
            return Err(changes.invalid("order of labels"));
        }
        if rows.pairs.len() > reader.position().saturating_mul(MAX_PER_BYTE) {
            return Err(shared.invalid("number of labels"));
        }
        rows.ends.push(as_u32(rows.pairs.len())?);
        for _ in 0..column_counts.len("column count", timelines.remaining())? {
            timeline = timeline.wrapping_add(timelines.zigzag()?);
            let number = u32::try_from(timeline).map_err(|_| timelines.invalid("timeline number"))?;
            columns.timelines.push(number);
        }
        columns.ends.push(as_u32(columns.timelines.len())?);
    }
    if streams.iter().all(ByteReader::is_empty) {
        Ok((rows, columns))
    } else {
        Err(reader.invalid("stream length"))
    }
}

fn read_timeline(reader: &mut ByteReader<'_>) -> Result<Timeline, CodecError> {
    let count = reader.len("timeline length", MAX_COLUMN_SAMPLES)?;
    let (mut first, mut last) = (0, 0);
    if count > 0 {
        first = reader.zigzag()?;
        last = first.wrapping_add(reader.varint()?.cast_signed());
    }
    let len = reader.len("timeline size", reader.remaining())?;
    Ok(Timeline { count, first, last, bytes: reader.bytes(len)?.into(), decoded: OnceLock::new() })
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
