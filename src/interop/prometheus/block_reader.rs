//! A block folder as a series set.
//!
//! **Cost**: holds the index and the labels of all series; chunks are read when their series is.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::index_reader::Index;
use super::index_writer::ChunkMeta;
use super::meta::{self, Meta};
use super::{
    BigEndian as _, CHUNKS_HEADER_BYTES, CHUNKS_MAGIC, CHUNKS_VERSION, Encoding, TOMBSTONES_MAGIC,
    TOMBSTONES_VERSION, crc, float_chunk, histogram_chunk, unsupported_encoding, xor2_chunk,
};
use crate::codec::{ByteReader, CodecError};
use crate::interop::error::{Error, IoContext as _, Result};
use crate::interop::merged;
use crate::model::{Labels, Samples, TimeRange};
use crate::storage::{SeriesSet, StorageError};
use crate::util::lock::lock;

/// Bytes read at once where the length of a chunk is not yet known: most chunks are shorter.
const FIRST_READ_BYTES: u64 = 1024;

/// A block that was found, not yet read.
#[derive(Debug, Clone)]
pub struct FoundBlock {
    /// Its folder.
    pub path: PathBuf,
    /// Time of its first sample in milliseconds, or before.
    pub min_time: i64,
    /// Time after its last sample in milliseconds.
    pub max_time: i64,
    /// Samples, as it says itself.
    pub samples: u64,
    /// Whether it holds samples that came late, or those of some series only: the log may have others of its time.
    pub partial: bool,
}

impl FoundBlock {
    /// The last millisecond that may have a sample.
    pub fn last_time(&self) -> i64 {
        self.max_time.saturating_sub(1).max(self.min_time)
    }
}

/// The blocks of Prometheus data directory `dir`, in order of time.
///
/// # Errors
/// When the directory or a meta record cannot be read.
pub fn find(dir: &Path) -> Result<Vec<FoundBlock>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).at("read", dir)? {
        let entry = entry.at("read", dir)?;
        if !entry.file_name().to_str().is_some_and(meta::is_ulid) {
            continue;
        }
        let path = entry.path();
        let meta = Meta::load(&path)?;
        found.push(FoundBlock {
            min_time: meta.min_time,
            max_time: meta.max_time,
            samples: meta.stats.samples,
            partial: meta.is_partial(),
            path,
        });
    }
    found.sort_by(|a, b| (a.min_time, &a.path).cmp(&(b.min_time, &b.path)));
    Ok(found)
}

struct Segment {
    path: PathBuf,
    file: File,
    bytes: u64,
}

/// Series whose samples are encoded in a way that is not read, by the name of the encoding.
pub type Refused = BTreeMap<String, BTreeSet<Labels>>;

/// An open block.
pub struct Block {
    index: Index,
    series: Vec<(Labels, u32)>,
    segments: Vec<Segment>,
    /// What was deleted, by number of the series.
    deleted: HashMap<u32, Vec<TimeRange>>,
    refused: Mutex<Refused>,
}

impl Block {
    /// Opens the block in folder `dir` and checks its index.
    ///
    /// # Errors
    /// When the disk refuses, or naming the file that is damaged and where.
    pub fn open(dir: &Path) -> Result<Self> {
        let index_path = dir.join("index");
        let (index, numbers) = Index::open(&index_path)?;
        let mut series: Vec<(Labels, u32)> = Vec::with_capacity(numbers.len());
        for number in numbers {
            let labels = index.labels(number)?;
            if series.last().is_some_and(|(last, _)| *last >= labels) {
                let at = u64::from(number) * super::SERIES_ALIGN as u64;
                return Err(Error::damaged(&index_path, at, "series are out of order"));
            }
            series.push((labels, number));
        }
        let (segments, deleted) = (open_segments(&dir.join("chunks"))?, load_tombstones(dir)?);
        Ok(Self { index, series, segments, deleted, refused: Mutex::default() })
    }

    /// What could not be read so far.
    pub fn refused(&self) -> Refused {
        lock(&self.refused).clone()
    }

    fn read_series(&self, labels: &Labels, number: u32, range: TimeRange, out: &mut Samples) -> Result<()> {
        for chunk in self.index.chunks(number)? {
            if range.overlaps(&TimeRange::new(chunk.min, chunk.max)) {
                self.read_chunk(&chunk, labels, range, out)?;
            }
        }
        merged::sort(out);
        if let Some(deleted) = self.deleted.get(&number) {
            merged::retain(out, |t| !deleted.iter().any(|range| range.contains(t)));
        }
        Ok(())
    }

    fn read_chunk(
        &self,
        chunk: &ChunkMeta,
        labels: &Labels,
        range: TimeRange,
        out: &mut Samples,
    ) -> Result<()> {
        let at = chunk.reference & u64::from(u32::MAX);
        let segment = usize::try_from(chunk.reference >> 32).ok().and_then(|n| self.segments.get(n));
        let Some(segment) = segment else {
            let (path, reason) =
                (self.segments.first().map(|s| s.path.clone()), "a chunk is in a segment that is not there");
            return Err(Error::damaged(&path.unwrap_or_default(), at, reason));
        };
        let damaged = |reason: &str| Error::damaged(&segment.path, at, reason);
        let mut bytes = segment.read(at, FIRST_READ_BYTES)?;
        let mut head = ByteReader::new(&bytes);
        let length = head.varint().map_err(|_| damaged("a chunk is cut"))?;
        // The encoding before, the checksum behind.
        let all = (head.position() as u64).saturating_add(length).saturating_add(5);
        if all > segment.bytes.saturating_sub(at) {
            return Err(damaged("a chunk is longer than its segment"));
        }
        let begin = head.position();
        if all > FIRST_READ_BYTES {
            bytes = segment.read(at, all)?;
        }
        let mut reader = ByteReader::new(bytes.get(begin..).unwrap_or_default());
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (content, stored) = (|| Ok((reader.bytes(length.saturating_add(1))?, reader.be32()?)))()
            .map_err(|_: CodecError| damaged("a chunk is cut"))?;
        if crc(content) != stored {
            return Err(damaged("checksum mismatch of a chunk"));
        }
        let Some((encoding, data)) = content.split_first() else { return Err(damaged("a chunk is empty")) };
        let done = match Encoding::from_byte(*encoding) {
            Some(Encoding::Xor) => float_chunk::decode(data, |timestamp, value| {
                if range.contains(timestamp) {
                    out.push(timestamp, value);
                }
            }),
            Some(Encoding::Xor2) => xor2_chunk::decode(data, |timestamp, value, start| {
                if range.contains(timestamp) {
                    out.push(timestamp, value);
                    out.set_last_start(start);
                }
            }),
            Some(encoding) => histogram_chunk::decode(data, encoding, |timestamp, histogram| {
                if range.contains(timestamp) {
                    out.push_histogram(timestamp, histogram);
                }
            }),
            None => {
                lock(&self.refused)
                    .entry(unsupported_encoding(*encoding))
                    .or_default()
                    .insert(labels.clone());
                Ok(())
            }
        };
        done.map_err(|error| damaged(&format!("a chunk does not hold what it says: {error}")))
    }
}

impl SeriesSet for Block {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series.get(index).map_or_else(Labels::empty, |(labels, _)| labels.clone())
    }

    fn read(
        &self,
        index: usize,
        range: TimeRange,
        out: &mut Samples,
    ) -> std::result::Result<(), StorageError> {
        out.clear();
        let Some((labels, number)) = self.series.get(index) else { return Ok(()) };
        self.read_series(labels, *number, range, out)
            .map_err(|error| StorageError::Read { what: labels.to_string(), reason: error.to_string() })
    }
}

impl Segment {
    /// Up to `length` bytes at `at`: fewer at the end.
    fn read(&self, at: u64, length: u64) -> Result<Vec<u8>> {
        let length = length.min(self.bytes.saturating_sub(at));
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, at).at("read", &self.path)?;
        Ok(bytes)
    }
}

fn open_segments(dir: &Path) -> Result<Vec<Segment>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).at("read", dir)? {
        let entry = entry.at("read", dir)?;
        if entry.file_name().to_str().is_some_and(|name| name.parse::<u64>().is_ok()) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    let mut segments = Vec::new();
    for path in paths {
        let file = File::open(&path).at("open", &path)?;
        let bytes = file.metadata().at("read", &path)?.len();
        let segment = Segment { path, file, bytes };
        let header = segment.read(0, CHUNKS_HEADER_BYTES as u64)?;
        let mut reader = ByteReader::new(&header);
        let (magic, version) =
            (|| Ok((reader.be32()?, reader.u8()?)))().map_err(|e| Error::codec(&segment.path, 0, &e))?;
        if magic != CHUNKS_MAGIC || version != CHUNKS_VERSION {
            return Err(Error::damaged(&segment.path, 0u64, "it is no segment of chunks of version 1"));
        }
        segments.push(segment);
    }
    Ok(segments)
}

/// What was deleted from the block in `dir`, by number of the series.
fn load_tombstones(dir: &Path) -> Result<HashMap<u32, Vec<TimeRange>>> {
    let path = dir.join("tombstones");
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashMap::new()),
        read => read.at("read", &path)?,
    };
    let codec = |error: CodecError| Error::codec(&path, 0, &error);
    let mut reader = ByteReader::new(&bytes);
    let (magic, version) = (reader.be32().map_err(codec)?, reader.u8().map_err(codec)?);
    if magic != TOMBSTONES_MAGIC || version != TOMBSTONES_VERSION {
        return Err(Error::damaged(&path, 0u64, "they are no tombstones of version 1"));
    }
    let length = reader.remaining().saturating_sub(4);
    let begin = reader.position();
    let content = reader.bytes(length).map_err(codec)?;
    if reader.be32().map_err(codec)? != crc(content) {
        return Err(Error::damaged(&path, begin, "checksum mismatch"));
    }
    let mut reader = ByteReader::new(content);
    let mut deleted: HashMap<u32, Vec<TimeRange>> = HashMap::new();
    let mut read = || -> std::result::Result<(), CodecError> {
        while !reader.is_empty() {
            let number = reader.varint32("series")?;
            let range = TimeRange::new(reader.zigzag()?, reader.zigzag()?);
            deleted.entry(number).or_default().push(range);
        }
        Ok(())
    };
    read().map_err(|error| Error::codec(&path, begin, &error))?;
    Ok(deleted)
}
