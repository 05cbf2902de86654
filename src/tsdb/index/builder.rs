//! Collects a block's index while its series are written, and writes it down.
//!
//! **Format**: `docs/format/index.md`, version 2.
//! **Cost**: holds the labels of all series; writing sorts the different label texts once.

use hashbrown::HashMap;

use super::digest::IndexDigest;
use super::reader::{BlockIndex, VERSION};
use super::rows::MAX_PER_BYTE;
use crate::codec::{ByteWriter, CodecError};
use crate::model::Labels;
use crate::tsdb::chunk::{ints, timeline};

/// Level of zstd: an index is written once and read often.
const LEVEL: i32 = 9;

/// Collects a block's index while its series are written, in label order.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    series: Vec<(Labels, Vec<u32>)>,
    timelines: Vec<u8>,
    timeline_count: usize,
    bundle_first_columns: Vec<u64>,
    /// Of everything that goes in, to hold the stored form against.
    digest: IndexDigest,
}

impl IndexBuilder {
    /// Adds one timeline; its number is the count of those before it.
    pub fn add_timeline(&mut self, timestamps: &[i64], scratch: &mut ints::Scratch) {
        self.digest.timeline(timestamps);
        let mut bytes = Vec::new();
        timeline::encode(timestamps, scratch, &mut bytes);
        // The ends stand outside, so that a read outside of them decodes nothing.
        self.timelines.put_len(timestamps.len());
        let (first, last) = (timestamps.first(), timestamps.last());
        if let (Some(first), Some(last)) = (first, last) {
            self.timelines.put_zigzag(*first);
            self.timelines.put_varint(last.wrapping_sub(*first).cast_unsigned());
        }
        self.timelines.put_len(bytes.len());
        self.timelines.put_bytes(&bytes);
        self.timeline_count += 1;
    }

    /// Adds the next series with the timeline of each of its columns.
    pub fn add_series(&mut self, labels: Labels, column_timelines: Vec<u32>) {
        self.digest.series(labels.packed(), column_timelines.iter().copied());
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

    /// The stored form. It was read again and held everything that was added.
    ///
    /// # Errors
    /// When it does not come back: a bug.
    pub fn finish(mut self) -> Result<Vec<u8>, CodecError> {
        let mut body = Vec::new();
        self.put_pairs_and_series(&mut body);

        body.put_len(self.bundle_first_columns.len());
        let mut previous = 0;
        for column in &self.bundle_first_columns {
            body.put_varint(column - previous);
            previous = *column;
        }

        body.put_len(self.timeline_count);
        body.put_bytes(&self.timelines);

        let digest = std::mem::take(&mut self.digest);
        // What follows needs memory of its own.
        drop(self);
        let mut out = Vec::new();
        out.put_u8(VERSION);
        out.put_len(body.len());
        out.put_bytes(&zstd::bulk::compress(&body, LEVEL).expect("compressing in memory cannot fail"));
        drop(body);
        if BlockIndex::open(&out)?.digest()? == digest {
            Ok(out)
        } else {
            Err(CodecError::Invalid { what: "block index", at: 0 })
        }
    }

    /// Names with their values, then series as differences to the one before.
    fn put_pairs_and_series(&self, body: &mut Vec<u8>) {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        let mut numbers: HashMap<(&str, &str), u32> = HashMap::new();
        for (name, value) in self.series.iter().flat_map(|(labels, _)| labels) {
            numbers.entry((name, value)).or_insert_with(|| {
                pairs.push((name, value));
                0
            });
        }
        pairs.sort_unstable();
        for (number, pair) in (0u32..).zip(&pairs) {
            numbers.insert(*pair, number);
        }

        let by_name: Vec<&[(&str, &str)]> = pairs.chunk_by(|a, b| a.0 == b.0).collect();
        body.put_len(by_name.len());
        let mut value_bytes = 0;
        for values in &by_name {
            body.put_text(values[0].0);
            body.put_len(values.len());
            let mut previous = "";
            for (_, text) in *values {
                value_bytes += text.len();
                // Long texts alike to the end would make more of few bytes than a reader believes.
                let sharing = value_bytes <= body.len().saturating_mul(MAX_PER_BYTE);
                let shared = text.bytes().zip(previous.bytes()).take_while(|(a, b)| a == b).count();
                let shared = if sharing { shared } else { 0 };
                // Cut back to a character border so that both parts stay text.
                let shared = (0..=shared).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                body.put_len(shared);
                body.put_text(&text[shared..]);
                previous = text;
            }
        }

        body.put_len(self.series.len());
        let mut before: Vec<u32> = Vec::new();
        let mut row: Vec<u32> = Vec::new();
        // Each field in a stream of its own: alike bytes stand together for the compressor.
        let (mut shared, mut counts, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut columns, mut timelines) = (Vec::new(), Vec::new());
        let (mut last_timeline, mut label_count) = (0u32, 0usize);
        for (labels, column_timelines) in &self.series {
            row.clear();
            row.extend(labels.iter().map(|pair| numbers[&pair]));
            label_count += row.len();
            // As for the values above.
            let sharing = label_count <= (body.len() + changes.len()).saturating_mul(MAX_PER_BYTE);
            let most = if sharing { row.len() } else { 0 };
            // Names are sorted, so equal labels mostly stand at equal distance from the front or the end.
            let front = row.iter().zip(&before).take(most).take_while(|(a, b)| a == b).count();
            let rest = (row.len() - front).min(before.len() - front).min(most - front);
            let back =
                row.iter().rev().zip(before.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
            shared.put_len(front);
            shared.put_len(back);
            counts.put_len(row.len() - front - back);
            for (at, number) in row.iter().enumerate().take(row.len() - back).skip(front) {
                let near = before.get(at).copied().unwrap_or(0);
                changes.put_zigzag(i64::from(*number) - i64::from(near));
            }
            std::mem::swap(&mut row, &mut before);
            columns.put_len(column_timelines.len());
            for timeline in column_timelines {
                timelines.put_zigzag(i64::from(*timeline) - i64::from(last_timeline));
                last_timeline = *timeline;
            }
        }
        for stream in [shared, counts, changes, columns, timelines] {
            body.put_len(stream.len());
            body.put_bytes(&stream);
        }
    }
}
