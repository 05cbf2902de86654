//! The log of Prometheus' head: what is not yet in a block.
//!
//! Pages of 32 KiB hold fragments of records; a record is whole, or compressed by snappy or zstd. A checkpoint stands
//! for the segments up to its number. Records of series, samples, histograms, exemplars and tombstones are read;
//! those of metadata are not: the database forgets what has no series in memory.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{BigEndian as _, crc};
use crate::codec::reader::unzigzag;
use crate::codec::{ByteReader, CodecError};
use crate::interop::error::{Error, IoContext as _, Result};
use crate::interop::gathered::Gathered;
use crate::model::bounds::check_histogram;
use crate::model::histogram::{Buckets, CUSTOM_SCHEMA, ResetHint, Span};
use crate::model::{Exemplar, Histogram, Labels, LabelsBuf, TimeRange};

const PAGE_BYTES: usize = 32 << 10;
/// Kind, length, checksum.
const HEADER_BYTES: usize = 7;
const SNAPPY: u8 = 1 << 3;
const ZSTD: u8 = 1 << 4;
/// A record that unpacks to more is damage: Prometheus writes batches of some thousand samples.
const MAX_RECORD_BYTES: usize = 256 << 20;

type Decoded<T> = std::result::Result<T, CodecError>;

/// What was read of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogReport {
    /// Files read.
    pub segments: usize,
    /// Samples of series that the log does not define.
    pub orphans: u64,
    /// Records of a kind that is not read, by their number.
    pub unknown: HashMap<u8, u64>,
    /// The file whose last record was not written to its end, as after a crash.
    pub torn: Option<PathBuf>,
}

/// Reads logs into `into`.
pub struct LogReader<'a> {
    into: &'a mut Gathered,
    /// Series by their number in the log.
    known: HashMap<u64, usize>,
    /// Samples before are in blocks.
    min_valid: i64,
    report: LogReport,
    labels: LabelsBuf,
}

/// The segments in `dir` to read in order: those of the last checkpoint, then those behind it.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let numbered = |dir: &Path| -> Result<Vec<(u64, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).at("read", dir)? {
            let entry = entry.at("read", dir)?;
            if let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                found.push((number, entry.path()));
            }
        }
        found.sort();
        Ok(found)
    };
    let mut checkpoint: Option<(u64, PathBuf)> = None;
    for entry in fs::read_dir(dir).at("read", dir)? {
        let entry = entry.at("read", dir)?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("checkpoint."));
        if let Some(number) = number.and_then(|number| number.parse().ok())
            && checkpoint.as_ref().is_none_or(|(last, _)| *last < number)
        {
            checkpoint = Some((number, entry.path()));
        }
    }
    let mut paths = Vec::new();
    if let Some((_, path)) = &checkpoint {
        paths.extend(numbered(path)?.into_iter().map(|(_, path)| path));
    }
    let behind = numbered(dir)?.into_iter();
    let behind = behind.filter(|(number, _)| checkpoint.as_ref().is_none_or(|(last, _)| number > last));
    paths.extend(behind.map(|(_, path)| path));
    Ok(paths)
}

impl<'a> LogReader<'a> {
    /// A reader that leaves out samples before `min_valid` (milliseconds).
    pub fn new(into: &'a mut Gathered, min_valid: i64) -> Self {
        let (known, report, labels) = (HashMap::new(), LogReport::default(), LabelsBuf::new());
        Self { into, known, min_valid, report, labels }
    }

    /// Reads the log in folder `dir`.
    ///
    /// # Errors
    /// When the disk refuses, or naming the file that is damaged and where. A last record that was not written to
    /// its end is none.
    pub fn read(&mut self, dir: &Path) -> Result<()> {
        let files = files(dir)?;
        for (index, path) in files.iter().enumerate() {
            self.segment(path, index + 1 == files.len())?;
            self.report.segments += 1;
        }
        Ok(())
    }

    /// From now on samples of every time are taken.
    pub fn take_late(&mut self) {
        self.min_valid = i64::MIN;
    }

    /// What was read.
    pub fn report(self) -> LogReport {
        self.report
    }

    fn segment(&mut self, path: &Path, last: bool) -> Result<()> {
        // A segment has at most 128 MiB, where nobody set it to more.
        let bytes = fs::read(path).at("read", path)?;
        let mut reader = ByteReader::new(&bytes);
        let mut record: Vec<u8> = Vec::new();
        let mut begun: Option<usize> = None;
        while !reader.is_empty() {
            let at = reader.position();
            let left = PAGE_BYTES - at % PAGE_BYTES;
            let damaged = |reason: &str| Error::damaged(path, at, reason);
            let kind = reader.u8().map_err(|e| Error::codec(path, 0, &e))?;
            let part = kind & 7;
            if part == 0 {
                // The rest of the page is empty.
                let rest = reader
                    .bytes((left - 1).min(reader.remaining()))
                    .map_err(|e| Error::codec(path, 0, &e))?;
                if kind != 0 || rest.iter().any(|byte| *byte != 0) {
                    return Err(damaged("the rest of a page is not empty"));
                }
                continue;
            }
            let fragment = (|| {
                let (length, sum) = (usize::from(reader.be16()?), reader.be32()?);
                Ok((length, sum, reader.bytes(length)?))
            })();
            let (length, sum, fragment) = match fragment {
                Ok(fragment) => fragment,
                Err(CodecError::UnexpectedEnd { .. }) if last => {
                    self.report.torn = Some(path.to_owned());
                    return Ok(());
                }
                Err(error) => return Err(Error::codec(path, 0, &error)),
            };
            if length + HEADER_BYTES > left {
                return Err(damaged("a record crosses the border of a page"));
            }
            if crc(fragment) != sum {
                return Err(damaged("checksum mismatch of a record"));
            }
            // 1 a whole record, 2 its first part, 3 one of the middle, 4 the last.
            match (part, begun) {
                (1 | 2, None) => {
                    record.clear();
                    begun = Some(at);
                }
                (3 | 4, Some(_)) => {}
                _ => return Err(damaged("parts of records are out of order")),
            }
            record.extend_from_slice(fragment);
            if record.len() > MAX_RECORD_BYTES {
                return Err(damaged("a record is too long"));
            }
            if matches!(part, 1 | 4) {
                let plain = unpack(kind, &record).map_err(|reason| damaged(&reason))?;
                let plain = plain.as_deref().unwrap_or(&record);
                self.record(plain)
                    .map_err(|error| damaged(&format!("a record does not hold what it says: {error}")))?;
                begun = None;
            }
        }
        if let Some(at) = begun {
            if !last {
                return Err(Error::damaged(path, at, "a record has no end"));
            }
            self.report.torn = Some(path.to_owned());
        }
        Ok(())
    }

    fn record(&mut self, record: &[u8]) -> Decoded<()> {
        let mut reader = ByteReader::new(record);
        match reader.u8()? {
            1 => self.series(&mut reader),
            2 => self.samples(&mut reader),
            3 => self.tombstones(&mut reader),
            7 | 9 => self.histograms(&mut reader, integer_histogram),
            8 | 10 => self.histograms(&mut reader, float_histogram),
            11 => self.samples_since(&mut reader),
            12 => self.histograms_since(&mut reader, integer_histogram),
            13 => self.histograms_since(&mut reader, float_histogram),
            4 => self.exemplars(&mut reader),
            // Marks of chunks on disk, metadata.
            5 | 6 => Ok(()),
            other => {
                *self.report.unknown.entry(other).or_default() += 1;
                Ok(())
            }
        }
    }

    fn series(&mut self, reader: &mut ByteReader<'_>) -> Decoded<()> {
        while !reader.is_empty() {
            let number = reader.be64()?;
            let labels = self.labels(reader)?;
            // Each reference by itself, as what is deleted is; a checkpoint says again what was said before.
            let said = self.known.get(&number).is_some_and(|known| self.into.has_labels(*known, &labels));
            if !said {
                self.known.insert(number, self.into.series_apart(labels));
            }
        }
        Ok(())
    }

    fn labels(&mut self, reader: &mut ByteReader<'_>) -> Decoded<Labels> {
        self.labels.clear();
        for _ in 0..reader.varint()? {
            let (name, value) = (reader.text()?, reader.text()?);
            self.labels.set(name, value);
        }
        Ok(self.labels.to_labels())
    }

    /// The series called `number`, if a sample of it at `timestamp` is wanted.
    fn wanted(&mut self, number: u64, timestamp: i64) -> Option<usize> {
        let found = self.known.get(&number).copied();
        if found.is_none() {
            self.report.orphans += 1;
        }
        found.filter(|_| timestamp >= self.min_valid)
    }

    /// Calls `entry` with number and time of each sample, histogram or exemplar of a record; it reads the rest of them.
    fn entries(
        &mut self,
        reader: &mut ByteReader<'_>,
        mut entry: impl FnMut(&mut Self, &mut ByteReader<'_>, u64, i64) -> Decoded<()>,
    ) -> Decoded<()> {
        if reader.is_empty() {
            return Ok(());
        }
        let (base, base_time) = (reader.be64()?, reader.be64()?.cast_signed());
        while !reader.is_empty() {
            let number = base.wrapping_add_signed(reader.zigzag()?);
            let timestamp = base_time.wrapping_add(reader.zigzag()?);
            entry(self, reader, number, timestamp)?;
        }
        Ok(())
    }

    fn samples(&mut self, reader: &mut ByteReader<'_>) -> Decoded<()> {
        self.entries(reader, |log, reader, number, timestamp| {
            let value = float(reader)?;
            if let Some(series) = log.wanted(number, timestamp) {
                log.into.push(series, timestamp, value);
            }
            Ok(())
        })
    }

    fn histograms(
        &mut self,
        reader: &mut ByteReader<'_>,
        read: fn(&mut ByteReader<'_>) -> Decoded<Histogram>,
    ) -> Decoded<()> {
        self.entries(reader, |log, reader, number, timestamp| {
            let histogram = read(reader)?;
            if let Some(series) = log.wanted(number, timestamp) {
                log.into.push_histogram(series, timestamp, &Arc::new(histogram));
            }
            Ok(())
        })
    }

    /// As [`Self::entries`], of a record with starts, which `entry` gets too.
    fn entries_since(
        &mut self,
        reader: &mut ByteReader<'_>,
        mut entry: impl FnMut(&mut Self, &mut ByteReader<'_>, u64, i64, i64) -> Decoded<()>,
    ) -> Decoded<()> {
        if reader.is_empty() {
            return Ok(());
        }
        let mut number = reader.zigzag()?.cast_unsigned();
        let (first_time, first_start) = (reader.zigzag()?, reader.zigzag()?);
        let mut start = first_start;
        entry(self, reader, number, first_time, start)?;
        while !reader.is_empty() {
            number = number.wrapping_add_signed(reader.zigzag()?);
            let timestamp = first_time.wrapping_add(reader.zigzag()?);
            start = match reader.u8()? {
                // None; that of the entry before.
                0 => 0,
                1 => start,
                _ => first_start.wrapping_add(reader.zigzag()?),
            };
            entry(self, reader, number, timestamp, start)?;
        }
        Ok(())
    }

    fn samples_since(&mut self, reader: &mut ByteReader<'_>) -> Decoded<()> {
        self.entries_since(reader, |log, reader, number, timestamp, start| {
            let value = float(reader)?;
            if let Some(series) = log.wanted(number, timestamp) {
                log.into.push_since(series, timestamp, value, start);
            }
            Ok(())
        })
    }

    fn histograms_since(
        &mut self,
        reader: &mut ByteReader<'_>,
        read: fn(&mut ByteReader<'_>) -> Decoded<Histogram>,
    ) -> Decoded<()> {
        self.entries_since(reader, |log, reader, number, timestamp, start| {
            let histogram = read(reader)?;
            if let Some(series) = log.wanted(number, timestamp) {
                log.into.push_histogram_since(series, timestamp, &Arc::new(histogram), start);
            }
            Ok(())
        })
    }

    fn exemplars(&mut self, reader: &mut ByteReader<'_>) -> Decoded<()> {
        self.entries(reader, |log, reader, number, timestamp| {
            let (value, labels) = (float(reader)?, log.labels(reader)?);
            // Of every time: blocks of Prometheus have none.
            if let Some(series) = log.known.get(&number) {
                log.into.push_exemplar(*series, Exemplar { labels, value, timestamp });
            }
            Ok(())
        })
    }

    fn tombstones(&mut self, reader: &mut ByteReader<'_>) -> Decoded<()> {
        while !reader.is_empty() {
            let number = reader.be64()?;
            let range = TimeRange::new(reader.zigzag()?, reader.zigzag()?);
            if let Some(series) = self.known.get(&number) {
                self.into.delete(*series, range);
            }
        }
        Ok(())
    }
}

/// The content of a record whose kind says that it is compressed; none if it is not.
fn unpack(kind: u8, record: &[u8]) -> std::result::Result<Option<Vec<u8>>, String> {
    let too_long = || "a record unpacks to too much".to_owned();
    if kind & SNAPPY != 0 {
        let length = snap::raw::decompress_len(record).map_err(|error| error.to_string())?;
        if length > MAX_RECORD_BYTES {
            return Err(too_long());
        }
        let plain = snap::raw::Decoder::new().decompress_vec(record);
        return plain.map(Some).map_err(|error| format!("a record cannot be unpacked: {error}"));
    }
    if kind & ZSTD != 0 {
        let mut plain = Vec::new();
        let limit = MAX_RECORD_BYTES as u64 + 1;
        zstd::Decoder::new(record)
            .and_then(|decoder| decoder.take(limit).read_to_end(&mut plain))
            .map_err(|error| format!("a record cannot be unpacked: {error}"))?;
        return if plain.len() > MAX_RECORD_BYTES { Err(too_long()) } else { Ok(Some(plain)) };
    }
    Ok(None)
}

fn float(reader: &mut ByteReader<'_>) -> Decoded<f64> {
    Ok(f64::from_bits(reader.be64()?))
}

/// A list whose length stands before it. Each entry takes bytes, so that a wrong length ends with them.
fn list<T>(reader: &mut ByteReader<'_>, read: impl Fn(&mut ByteReader<'_>) -> Decoded<T>) -> Decoded<Vec<T>> {
    let count = reader.len("length of a list", reader.remaining())?;
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(read(reader)?);
    }
    Ok(entries)
}

fn span(reader: &mut ByteReader<'_>) -> Decoded<Span> {
    let offset = i32::try_from(reader.zigzag()?).map_err(|_| reader.invalid("offset of a span"))?;
    Ok(Span { offset, length: reader.varint32("length of a span")? })
}

/// What both kinds of histogram begin with; counts are read by `count`, in the order zero bucket, all.
fn beginning(
    reader: &mut ByteReader<'_>,
    count: impl Fn(&mut ByteReader<'_>) -> Decoded<f64>,
) -> Decoded<Histogram> {
    let reset_hint = match reader.u8()? {
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        _ => ResetHint::Unknown,
    };
    let schema = i32::try_from(reader.zigzag()?).map_err(|_| reader.invalid("schema"))?;
    if !(-4..=8).contains(&schema) && schema != CUSTOM_SCHEMA {
        return Err(reader.invalid("schema"));
    }
    let zero_threshold = float(reader)?;
    let (zero_count, all) = (count(reader)?, count(reader)?);
    let sum = float(reader)?;
    let positive = Buckets { spans: list(reader, span)?, counts: Vec::new() };
    let negative = Buckets { spans: list(reader, span)?, counts: Vec::new() };
    Ok(Histogram {
        schema,
        zero_threshold,
        zero_count,
        count: all,
        sum,
        positive,
        negative,
        reset_hint,
        ..Histogram::default()
    })
}

/// Checks that there are as many counts as the spans say, reads the bounds, and checks that it may be a sample.
fn end(reader: &mut ByteReader<'_>, mut histogram: Histogram) -> Decoded<Histogram> {
    for buckets in [&histogram.positive, &histogram.negative] {
        let length: u64 = buckets.spans.iter().map(|span| u64::from(span.length)).sum();
        if length != buckets.counts.len() as u64 {
            return Err(reader.invalid("number of buckets"));
        }
    }
    if histogram.schema == CUSTOM_SCHEMA {
        histogram.custom_values = list(reader, float)?;
    }
    if histogram.is_stale() {
        histogram = Histogram { integer: histogram.integer, ..Histogram::stale() };
    }
    check_histogram(&histogram).map_err(|_| reader.invalid("size of a histogram"))?;
    Ok(histogram)
}

fn integer_histogram(reader: &mut ByteReader<'_>) -> Decoded<Histogram> {
    let mut histogram = beginning(reader, |reader| Ok(reader.varint()? as f64))?;
    histogram.integer = true;
    for buckets in [&mut histogram.positive, &mut histogram.negative] {
        let mut running = 0i64;
        let deltas = list(reader, |bytes: &mut ByteReader<'_>| Ok(unzigzag(bytes.varint()?)))?;
        let counts = deltas.into_iter().map(|delta| {
            running = running.wrapping_add(delta);
            running as f64
        });
        buckets.counts = counts.collect();
    }
    end(reader, histogram)
}

fn float_histogram(reader: &mut ByteReader<'_>) -> Decoded<Histogram> {
    let mut histogram = beginning(reader, float)?;
    for buckets in [&mut histogram.positive, &mut histogram.negative] {
        buckets.counts = list(reader, float)?;
    }
    end(reader, histogram)
}
