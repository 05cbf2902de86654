//! Exemplars of a block: parts in the order of series, and a directory that says which part holds what.
//!
//! **Invariants**: parts hold at most `PART_BYTES` and one exemplar before compression. All exemplars of a block are
//! before the end of its window; some may be older than its start.
//!
//! **Format**: `docs/format/exemplars.md`.
//!
//! **Cost**: writing and reading hold one part and the exemplars of one series.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::collections::VecDeque;

use roaring::RoaringBitmap;

use super::meta::ExemplarMeta;
use super::reader::Block;
use crate::codec::{ByteReader, ByteWriter, CodecError};
use crate::model::{Exemplar, Labels, LabelsBuf, MAX_EXEMPLAR_CHARACTERS, TimeRange};
use crate::tsdb::error::Result;
use crate::tsdb::store::{BlockWriter, keys};

/// Version of parts and directory.
const VERSION: u8 = 1;
/// Bytes at which a part is closed.
const PART_BYTES: usize = 48 << 10;
/// Larger ones are damaged.
const MAX_PART_BYTES: usize = 1 << 20;
/// Bytes of one stored part of the directory.
const DIRECTORY_PART_BYTES: usize = 64 << 10;
/// Level of zstd; ids are random, there is little to find.
const LEVEL: i32 = 3;
/// An exemplar has fewer labels: each takes two of its characters or more.
const MAX_EXEMPLAR_LABELS: usize = 1 << 10;

/// Series with their exemplars.
pub type ExemplarIter<'a> = Box<dyn Iterator<Item = Result<(Labels, Vec<Exemplar>)>> + 'a>;

/// Where the exemplars of a block come from.
pub trait ExemplarSource {
    /// The series that have any, in label order, each once, with their exemplars in order. Gives the same each time.
    ///
    /// # Errors
    /// When they cannot be read.
    fn series(&self) -> Result<ExemplarIter<'_>>;
}

impl ExemplarSource for Vec<(Labels, Vec<Exemplar>)> {
    fn series(&self) -> Result<ExemplarIter<'_>> {
        Ok(Box::new(self.iter().cloned().map(Ok)))
    }
}

/// What one part holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PartEntry {
    first_series: u32,
    last_series: u32,
    oldest: i64,
    newest: i64,
}

/// Writes the exemplars of a block.
#[derive(Default)]
pub(super) struct ExemplarWriter {
    meta: ExemplarMeta,
    directory: Vec<PartEntry>,
    part: Vec<u8>,
    open: Option<PartEntry>,
    /// Exemplars of one series in the open part, and how many.
    run: Vec<u8>,
    run_length: usize,
    run_series: u32,
    /// Series and time that the next are written as differences to.
    last_series: u32,
    last_time: i64,
}

impl ExemplarWriter {
    /// Adds the exemplars of `series`, which is behind all before it.
    pub(super) fn add(
        &mut self,
        writer: &mut dyn BlockWriter,
        series: u32,
        exemplars: &[Exemplar],
    ) -> Result<()> {
        self.end_run();
        self.run_series = series;
        // Those of other servers need not keep to the bound.
        for exemplar in exemplars.iter().filter(|one| one.characters() <= MAX_EXEMPLAR_CHARACTERS) {
            let time = exemplar.timestamp;
            let new = PartEntry { first_series: series, last_series: series, oldest: time, newest: time };
            let open = self.open.get_or_insert(new);
            open.last_series = series;
            open.oldest = open.oldest.min(time);
            open.newest = open.newest.max(time);
            self.run.put_zigzag(time.wrapping_sub(self.last_time));
            self.last_time = time;
            self.run.put_f64(exemplar.value);
            self.run.put_len(exemplar.labels.len());
            for (name, value) in &exemplar.labels {
                self.run.put_text(name);
                self.run.put_text(value);
            }
            self.run_length += 1;
            if self.part.len() + self.run.len() >= PART_BYTES {
                self.end_part(writer)?;
            }
        }
        Ok(())
    }

    fn end_run(&mut self) {
        if self.run_length > 0 {
            self.part.put_varint(u64::from(self.run_series - self.last_series));
            self.part.put_len(self.run_length);
            self.part.put_bytes(&self.run);
            self.meta.count += self.run_length as u64;
            (self.last_series, self.run_length) = (self.run_series, 0);
            self.run.clear();
        }
    }

    fn end_part(&mut self, writer: &mut dyn BlockWriter) -> Result<()> {
        self.end_run();
        let Some(entry) = self.open.take() else { return Ok(()) };
        let mut stored = Vec::new();
        stored.put_u8(VERSION);
        stored.put_len(self.part.len());
        let packed = zstd::bulk::compress(&self.part, LEVEL).expect("compressing in memory cannot fail");
        stored.put_bytes(&packed);
        writer.put(&keys::exemplar_part(self.meta.parts), &stored)?;
        self.meta.parts += 1;
        self.directory.push(entry);
        self.part.clear();
        (self.last_series, self.last_time) = (0, 0);
        Ok(())
    }

    /// Writes what is left, and the directory.
    pub(super) fn finish(mut self, writer: &mut dyn BlockWriter) -> Result<ExemplarMeta> {
        self.end_part(writer)?;
        if self.directory.is_empty() {
            return Ok(ExemplarMeta::default());
        }
        for part in encode_directory(&self.directory).chunks(DIRECTORY_PART_BYTES) {
            writer.put(&keys::exemplar_directory(self.meta.directory_parts), part)?;
            self.meta.directory_parts += 1;
        }
        self.meta.oldest = self.directory.iter().map(|part| part.oldest).min().unwrap_or(0);
        self.meta.newest = self.directory.iter().map(|part| part.newest).max().unwrap_or(0);
        Ok(self.meta)
    }
}

fn encode_directory(parts: &[PartEntry]) -> Vec<u8> {
    let mut out = vec![VERSION];
    let (mut series, mut time) = (0u32, 0i64);
    for part in parts {
        out.put_varint(u64::from(part.first_series - series));
        out.put_varint(u64::from(part.last_series - part.first_series));
        out.put_zigzag(part.oldest.wrapping_sub(time));
        out.put_varint(part.newest.wrapping_sub(part.oldest).cast_unsigned());
        (series, time) = (part.last_series, part.oldest);
    }
    out
}

fn decode_directory(bytes: &[u8], count: usize) -> std::result::Result<Vec<PartEntry>, CodecError> {
    let mut reader = ByteReader::new(bytes);
    check_version(&mut reader)?;
    let mut parts = Vec::new();
    let (mut series, mut time) = (0u32, 0i64);
    for _ in 0..count {
        let first_series = series.wrapping_add(reader.varint32("series number")?);
        let last_series = first_series.wrapping_add(reader.varint32("series number")?);
        let oldest = time.wrapping_add(reader.zigzag()?);
        let newest = oldest.wrapping_add(reader.varint()?.cast_signed());
        if last_series < first_series || newest < oldest {
            return Err(reader.invalid("exemplar directory"));
        }
        (series, time) = (last_series, oldest);
        parts.push(PartEntry { first_series, last_series, oldest, newest });
    }
    if reader.is_empty() { Ok(parts) } else { Err(reader.invalid("exemplar directory length")) }
}

fn check_version(reader: &mut ByteReader<'_>) -> std::result::Result<(), CodecError> {
    match reader.u8()? {
        VERSION => Ok(()),
        version => Err(CodecError::Version { what: "exemplars", version }),
    }
}

/// Series numbers with their exemplars.
type Runs = VecDeque<(u32, Vec<Exemplar>)>;

fn decode_part(bytes: &[u8]) -> std::result::Result<Runs, CodecError> {
    let mut reader = ByteReader::new(bytes);
    check_version(&mut reader)?;
    let len = reader.len("length of exemplars", MAX_PART_BYTES)?;
    let packed = reader.bytes(reader.remaining())?;
    let body = zstd::bulk::decompress(packed, len)
        .ok()
        .filter(|body| body.len() == len)
        .ok_or(CodecError::Invalid { what: "compressed exemplars", at: 0 })?;
    let mut reader = ByteReader::new(&body);
    let mut runs = Runs::new();
    let mut buf = LabelsBuf::new();
    let (mut series, mut time) = (0u32, 0i64);
    while !reader.is_empty() {
        series = series.wrapping_add(reader.varint32("series number")?);
        let count = reader.len("exemplar count", reader.remaining())?;
        let mut exemplars = Vec::new();
        for _ in 0..count {
            time = time.wrapping_add(reader.zigzag()?);
            let value = reader.f64()?;
            buf.clear();
            for _ in 0..reader.len("label count", MAX_EXEMPLAR_LABELS)? {
                let (name, value) = (reader.text()?, reader.text()?);
                buf.set(name, value);
            }
            exemplars.push(Exemplar { labels: buf.to_labels(), value, timestamp: time });
        }
        runs.push_back((series, exemplars));
    }
    Ok(runs)
}

/// Reads the exemplars of a block series by series, in the order of their numbers.
pub(in crate::tsdb) struct BlockExemplars<'a> {
    block: &'a Block,
    /// Numbers of the parts that are wanted.
    parts: std::vec::IntoIter<u32>,
    wanted: Option<RoaringBitmap>,
    range: TimeRange,
    runs: Runs,
}

impl Block {
    /// Its exemplars inside `range`, of the series numbered in `wanted` or of all.
    ///
    /// # Errors
    /// When the directory cannot be read or is damaged.
    pub(in crate::tsdb) fn exemplars(
        &self,
        wanted: Option<RoaringBitmap>,
        range: TimeRange,
    ) -> Result<BlockExemplars<'_>> {
        let meta = self.meta().exemplars;
        let mut parts = Vec::new();
        if meta.overlaps(&range) {
            let mut bytes = Vec::new();
            for part in 0..meta.directory_parts {
                bytes.extend_from_slice(&self.value(&keys::exemplar_directory(part))?);
            }
            let directory =
                decode_directory(&bytes, meta.parts as usize).map_err(|source| self.corrupt(source))?;
            let is_wanted = |part: &PartEntry| {
                let series = part.first_series..=part.last_series;
                let times = TimeRange { start: part.oldest, end: part.newest };
                let held = wanted.as_ref().is_none_or(|wanted| wanted.range_cardinality(series) > 0);
                held && times.overlaps(&range)
            };
            let numbered = (0u32..).zip(&directory);
            parts.extend(numbered.filter(|(_, part)| is_wanted(part)).map(|(number, _)| number));
        }
        Ok(BlockExemplars { block: self, parts: parts.into_iter(), wanted, range, runs: Runs::new() })
    }

    /// Reads all of them; returns how many there are.
    ///
    /// # Errors
    /// Naming what is damaged.
    pub(in crate::tsdb) fn verify_exemplars(&self) -> Result<()> {
        let meta = self.meta().exemplars;
        let mut count = 0;
        for run in self.exemplars(None, TimeRange::ALL)? {
            count += run?.1.len() as u64;
        }
        if count == meta.count {
            Ok(())
        } else {
            Err(self.corrupt(CodecError::Invalid { what: "number of exemplars", at: 0 }))
        }
    }
}

impl BlockExemplars<'_> {
    /// Reads parts until one has a run; false at the end.
    fn fill(&mut self) -> Result<bool> {
        while self.runs.is_empty() {
            let Some(part) = self.parts.next() else { return Ok(false) };
            let bytes = self.block.value(&keys::exemplar_part(part))?;
            self.runs = decode_part(&bytes).map_err(|source| self.block.corrupt(source))?;
        }
        Ok(true)
    }

    fn next_run(&mut self) -> Result<Option<(u32, Vec<Exemplar>)>> {
        while self.fill()? {
            let Some((series, mut exemplars)) = self.runs.pop_front() else { continue };
            if self.wanted.as_ref().is_some_and(|wanted| !wanted.contains(series)) {
                continue;
            }
            exemplars.retain(|exemplar| self.range.contains(exemplar.timestamp));
            // The series may go on in the next part.
            while self.runs.is_empty()
                && self.fill()?
                && self.runs.front().is_some_and(|(next, _)| *next == series)
                && let Some((_, more)) = self.runs.pop_front()
            {
                exemplars.extend(more.into_iter().filter(|e| self.range.contains(e.timestamp)));
            }
            if !exemplars.is_empty() {
                return Ok(Some((series, exemplars)));
            }
        }
        Ok(None)
    }
}

impl Iterator for BlockExemplars<'_> {
    type Item = Result<(u32, Vec<Exemplar>)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_run().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn directories_come_back() {
        let parts = [
            PartEntry { first_series: 0, last_series: 4, oldest: -7, newest: 9 },
            PartEntry { first_series: 4, last_series: 4, oldest: i64::MIN, newest: i64::MAX },
            PartEntry { first_series: 900, last_series: 901, oldest: 5, newest: 5 },
        ];
        let bytes = encode_directory(&parts);
        assert_eq!(decode_directory(&bytes, 3).expect("own output"), parts);
        assert!(decode_directory(&bytes, 2).is_err() && decode_directory(&bytes, 4).is_err());
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..9) {
            let _ = decode_directory(&bytes, count);
            let _ = decode_part(&bytes);
            let mut part = vec![VERSION];
            part.put_len(bytes.len());
            part.put_bytes(&zstd::bulk::compress(&bytes, LEVEL).expect("compress"));
            let _ = decode_part(&part);
        }
    }
}
