//! The stored form of a block's index: symbols, series, postings, timelines.
//!
//! **Format**: `docs/format/index.md`.
//! **Cost**: loading decodes everything; a loaded index is immutable and shared.

use roaring::RoaringBitmap;

use super::LabelIndex;
use crate::codec::{ByteReader, ByteWriter, CodecError};
use crate::model::Labels;
use crate::tsdb::chunk::{MAX_COLUMN_SAMPLES, ints, timeline};

/// Version of the index format.
pub const VERSION: u8 = 1;
/// Inflating stops here.
const MAX_INFLATED_BYTES: usize = 1 << 31;

/// Collects a block's index while its series are written, in label order.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    series: Vec<(Labels, Vec<u32>)>,
    timelines: Vec<u8>,
    timeline_count: usize,
    bundle_first_columns: Vec<u64>,
}

impl IndexBuilder {
    /// Adds one timeline; its number is the count of those before it.
    pub fn add_timeline(&mut self, timestamps: &[i64], scratch: &mut ints::Scratch) {
        timeline::encode(timestamps, scratch, &mut self.timelines);
        self.timeline_count += 1;
    }

    /// Adds the next series with the timeline of each of its columns.
    pub fn add_series(&mut self, labels: Labels, column_timelines: Vec<u32>) {
        self.series.push((labels, column_timelines));
    }

    /// Notes that the next bundle starts with column `column`, counted over the block.
    pub fn add_bundle(&mut self, column: u64) {
        self.bundle_first_columns.push(column);
    }

    /// Number of series.
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// The stored form.
    pub fn finish(self) -> Vec<u8> {
        let mut symbols: Vec<&str> =
            self.series.iter().flat_map(|(l, _)| l.iter().flat_map(|(n, v)| [n, v])).collect();
        symbols.sort_unstable();
        symbols.dedup();
        let symbol = |text: &str| symbols.binary_search(&text).unwrap_or(0) as u64;

        let mut body = Vec::new();
        body.put_len(symbols.len());
        let mut previous = "";
        for text in &symbols {
            let shared = text.bytes().zip(previous.bytes()).take_while(|(a, b)| a == b).count();
            // Cut back to a character border so that both parts stay text.
            let shared = (0..=shared).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            body.put_len(shared);
            body.put_text(&text[shared..]);
            previous = text;
        }

        body.put_len(self.series.len());
        let mut last_timeline = 0u32;
        let mut index = LabelIndex::new();
        for (number, (labels, timelines)) in self.series.iter().enumerate() {
            body.put_len(labels.len());
            for (name, value) in labels {
                body.put_varint(symbol(name));
                body.put_varint(symbol(value));
            }
            body.put_len(timelines.len());
            for timeline in timelines {
                body.put_zigzag(i64::from(*timeline) - i64::from(last_timeline));
                last_timeline = *timeline;
            }
            index.insert(u32::try_from(number).expect("a block has fewer than 2^32 series"), labels);
        }

        body.put_len(index.pair_count());
        for (name, values) in index.names() {
            for (value, postings) in values {
                body.put_varint(symbol(name));
                body.put_varint(symbol(value));
                let mut bytes = Vec::with_capacity(postings.serialized_size());
                postings.serialize_into(&mut bytes).expect("writing to memory cannot fail");
                body.put_len(bytes.len());
                body.put_bytes(&bytes);
            }
        }

        body.put_len(self.bundle_first_columns.len());
        let mut previous = 0;
        for column in &self.bundle_first_columns {
            body.put_varint(column - previous);
            previous = *column;
        }

        body.put_len(self.timeline_count);
        body.put_bytes(&self.timelines);

        let mut out = Vec::new();
        out.put_u8(VERSION);
        out.put_len(body.len());
        out.put_bytes(&zstd::bulk::compress(&body, 3).expect("compressing in memory cannot fail"));
        out
    }
}

/// A loaded block index.
#[derive(Debug)]
pub struct BlockIndex {
    symbols: Vec<Box<str>>,
    /// Label pairs of all series, as symbol numbers.
    pairs: Vec<(u32, u32)>,
    /// End of each series' pairs.
    pair_ends: Vec<u32>,
    /// Timeline of each column.
    column_timelines: Vec<u32>,
    /// End of each series' columns.
    column_ends: Vec<u32>,
    bundle_first_columns: Vec<u64>,
    timelines: Vec<Vec<i64>>,
    labels: LabelIndex,
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
        if version != VERSION {
            return Err(CodecError::Version { what: "block index", version });
        }
        let len = reader.len("index length", MAX_INFLATED_BYTES)?;
        let body = zstd::bulk::decompress(reader.bytes(reader.remaining())?, len)
            .map_err(|_| CodecError::Invalid { what: "compressed index", at: 0 })?;
        let mut index = Self::read(&mut ByteReader::new(&body))?;
        // What the decoded form holds beside the strings is of the order of the stored form's size.
        index.memory_bytes = 2 * body.len() + index.timelines.iter().map(|t| 8 * t.len()).sum::<usize>();
        Ok(index)
    }

    fn read(reader: &mut ByteReader<'_>) -> Result<Self, CodecError> {
        let symbols = read_symbols(reader)?;
        let count = reader.len("series count", reader.remaining())?;
        let (mut pairs, mut pair_ends) = (Vec::new(), Vec::with_capacity(count));
        let (mut column_timelines, mut column_ends) = (Vec::new(), Vec::with_capacity(count));
        let read_symbol = |reader: &mut ByteReader<'_>| -> Result<u32, CodecError> {
            let number = reader.varint32("symbol")?;
            if (number as usize) < symbols.len() { Ok(number) } else { Err(reader.invalid("symbol")) }
        };
        let as_u32 =
            |len: usize| u32::try_from(len).map_err(|_| CodecError::Invalid { what: "index size", at: len });
        let mut timeline = 0i64;
        for _ in 0..count {
            for _ in 0..reader.len("label count", reader.remaining())? {
                pairs.push((read_symbol(reader)?, read_symbol(reader)?));
            }
            pair_ends.push(as_u32(pairs.len())?);
            for _ in 0..reader.len("column count", reader.remaining())? {
                timeline = timeline.wrapping_add(reader.zigzag()?);
                column_timelines
                    .push(u32::try_from(timeline).map_err(|_| reader.invalid("timeline number"))?);
            }
            column_ends.push(as_u32(column_timelines.len())?);
        }
        let mut labels = LabelIndex::new();
        for _ in 0..reader.len("pair count", reader.remaining())? {
            let (name, value) = (read_symbol(reader)?, read_symbol(reader)?);
            let len = reader.len("postings length", reader.remaining())?;
            let postings = RoaringBitmap::deserialize_from(reader.bytes(len)?)
                .ok()
                .filter(|p| p.max().is_none_or(|max| (max as usize) < count))
                .ok_or_else(|| reader.invalid("postings"))?;
            labels.insert_postings(&symbols[name as usize], &symbols[value as usize], postings);
        }
        let mut bundle_first_columns = Vec::new();
        let mut first = 0u64;
        for _ in 0..reader.len("bundle count", reader.remaining())? {
            first = first.saturating_add(reader.varint()?);
            bundle_first_columns.push(first);
        }
        let mut timelines = Vec::new();
        for _ in 0..reader.len("timeline count", reader.remaining())? {
            timelines.push(timeline::decode(reader, MAX_COLUMN_SAMPLES)?);
        }
        if column_timelines.iter().any(|t| timelines.get(*t as usize).is_none_or(Vec::is_empty)) {
            return Err(reader.invalid("timeline number"));
        }
        if !reader.is_empty() {
            return Err(reader.invalid("index length"));
        }
        Ok(Self {
            symbols,
            pairs,
            pair_ends,
            column_timelines,
            column_ends,
            bundle_first_columns,
            timelines,
            labels,
            memory_bytes: 0,
        })
    }

    /// The inverted index over series numbers.
    pub fn label_index(&self) -> &LabelIndex {
        &self.labels
    }

    /// Number of series.
    pub fn series_count(&self) -> usize {
        self.pair_ends.len()
    }

    /// Labels of series `number`; the empty set for a number that is not in the block.
    pub fn labels(&self, number: u32) -> Labels {
        let (start, end) = span(&self.pair_ends, number);
        let text = |symbol: u32| &*self.symbols[symbol as usize];
        Labels::from_sorted(self.pairs[start..end].iter().map(|(n, v)| (text(*n), text(*v))))
    }

    /// Columns of series `number`: the number of each in the block, with its timestamps.
    pub fn columns(&self, number: u32) -> impl Iterator<Item = (u64, &[i64])> {
        let (start, end) = span(&self.column_ends, number);
        (start..end).map(|column| {
            let timeline = self.column_timelines[column] as usize;
            (column as u64, self.timelines[timeline].as_slice())
        })
    }

    /// The bundle that holds column `column`, and the column's place in it.
    pub fn locate(&self, column: u64) -> Option<(u32, usize)> {
        let after = self.bundle_first_columns.partition_point(|first| *first <= column);
        let bundle = after.checked_sub(1)?;
        let place = usize::try_from(column - self.bundle_first_columns.get(bundle)?).ok()?;
        Some((u32::try_from(bundle).ok()?, place))
    }

    /// Number of samples of the block.
    pub fn sample_count(&self) -> u64 {
        self.column_timelines.iter().map(|t| self.timelines[*t as usize].len() as u64).sum()
    }

    /// About how many bytes of memory it takes.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }
}

fn read_symbols(reader: &mut ByteReader<'_>) -> Result<Vec<Box<str>>, CodecError> {
    let count = reader.len("symbol count", reader.remaining())?;
    let mut symbols: Vec<Box<str>> = Vec::with_capacity(count);
    for _ in 0..count {
        let shared = reader.varint()?;
        let previous = symbols.last().map_or("", |s| &**s);
        let shared = usize::try_from(shared)
            .ok()
            .and_then(|n| previous.get(..n))
            .ok_or_else(|| reader.invalid("symbol"))?;
        let text = format!("{shared}{}", reader.text()?);
        symbols.push(text.into_boxed_str());
    }
    Ok(symbols)
}

fn span(ends: &[u32], number: u32) -> (usize, usize) {
    let number = number as usize;
    let Some(end) = ends.get(number) else { return (0, 0) };
    let start = number.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    (start as usize, *end as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample_index() -> Vec<u8> {
        let mut builder = IndexBuilder::default();
        builder.add_timeline(&[1000, 2000, 3000], &mut ints::Scratch::default());
        builder.add_timeline(&[5, 7], &mut ints::Scratch::default());
        builder.add_bundle(0);
        builder.add_series(Labels::from_pairs([("__name__", "a"), ("job", "j\u{e9}")]), vec![0, 1]);
        builder.add_bundle(2);
        builder.add_series(Labels::from_pairs([("__name__", "b"), ("job", "j\u{e8}")]), vec![1]);
        builder.finish()
    }

    #[test]
    fn comes_back_whole() {
        let index = BlockIndex::open(&sample_index()).expect("own output");
        assert_eq!(index.series_count(), 2);
        assert_eq!(index.sample_count(), 7);
        assert_eq!(index.labels(1), Labels::from_pairs([("__name__", "b"), ("job", "j\u{e8}")]));
        assert_eq!(index.columns(0).collect::<Vec<_>>(), [(0, &[1000i64, 2000, 3000][..]), (1, &[5, 7])]);
        assert_eq!(index.columns(1).collect::<Vec<_>>(), [(2, &[5i64, 7][..])]);
        assert_eq!((index.locate(1), index.locate(2)), (Some((0, 1)), Some((1, 0))));
        assert_eq!(index.labels(9), Labels::empty());
        let values: Vec<&str> =
            index.label_index().values("job").expect("job").keys().map(|v| &**v).collect();
        assert_eq!(values, ["j\u{e8}", "j\u{e9}"]);
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 0usize..400, byte: u8, cut: bool) {
            let bytes = sample_index();
            let mut reader = ByteReader::new(&bytes);
            reader.u8().expect("version");
            let len = reader.varint().expect("length");
            let packed = reader.bytes(reader.remaining()).expect("body");
            let mut body = zstd::bulk::decompress(packed, usize::try_from(len).expect("small")).expect("zstd");
            let at = at % body.len();
            body[at] ^= byte;
            if cut {
                body.truncate(at);
            }
            if let Ok(index) = BlockIndex::read(&mut ByteReader::new(&body)) {
                for number in 0..3 {
                    let _ = (index.labels(number), index.columns(number).count(), index.locate(u64::from(number)));
                }
            }
        }
    }
}
