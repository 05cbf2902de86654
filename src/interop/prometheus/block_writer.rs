//! Series in label order -> a block folder.
//!
//! **Cost**: holds the labels of all series and 24 bytes a chunk; samples one series at a time.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::float_chunk::{FloatChunk, MAX_SAMPLES};
use super::histogram_chunk::HistogramChunk;
use super::index_writer::{self, ChunkMeta};
use super::meta::{self, Meta, Stats};
use super::xor2_chunk::StartChunk;
use super::{
    CHUNKS_HEADER_BYTES, CHUNKS_MAGIC, CHUNKS_VERSION, Encoding, TOMBSTONES_MAGIC, TOMBSTONES_VERSION, crc,
};
use crate::codec::ByteWriter as _;
use crate::interop::error::{Error, IoContext as _, Result};
use crate::model::{Histogram, Labels, Samples};

/// Size at which a segment of chunks ends.
const SEGMENT_BYTES: u64 = 512 << 20;
/// What Prometheus itself takes for unfinished, and removes.
const UNFINISHED: &str = ".tmp-for-creation";

/// A block that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub ulid: String,
    /// Time of the first sample in milliseconds.
    pub min_time: i64,
    /// Time of the last sample in milliseconds.
    pub max_time: i64,
    /// Number of series.
    pub series: u64,
    /// Number of samples, histograms included.
    pub samples: u64,
    /// Number of samples that are native histograms.
    pub histograms: u64,
}

/// A block being written, invisible until it is finished; dropping it removes it.
pub struct BlockWriter {
    /// Where it will be.
    target: PathBuf,
    ulid: String,
    unfinished: PathBuf,
    segment: Option<Segment>,
    segments: u64,
    series: Vec<(Labels, Vec<ChunkMeta>)>,
    stats: Stats,
    range: Option<(i64, i64)>,
    done: bool,
}

struct Segment {
    path: PathBuf,
    file: BufWriter<File>,
    position: u64,
}

impl BlockWriter {
    /// Begins a block below folder `parent`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(parent: &Path) -> Result<Self> {
        let ulid = meta::new_ulid();
        let unfinished = parent.join(format!("{ulid}{UNFINISHED}"));
        let chunks = unfinished.join("chunks");
        fs::create_dir_all(&chunks).at("create", &chunks)?;
        Ok(Self {
            target: parent.join(&ulid),
            ulid,
            unfinished,
            segment: None,
            segments: 0,
            series: Vec::new(),
            stats: Stats::default(),
            range: None,
            done: false,
        })
    }

    /// Adds a series; they must come in label order. Without samples it is left out.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn push(&mut self, labels: Labels, samples: &Samples) -> Result<()> {
        let (Some(first), Some(last)) = (samples.timestamps.first(), samples.timestamps.last()) else {
            return Ok(());
        };
        let mut chunks = Vec::with_capacity(samples.len().div_ceil(MAX_SAMPLES));
        let mut histograms = samples.histograms.iter().peekable();
        let mut open = Open::None;
        for (index, (timestamp, value)) in samples.iter().enumerate() {
            let histogram = histograms.next_if(|(at, _)| *at == index).map(|(_, histogram)| histogram);
            let start = samples.start(index);
            if !open.takes(histogram, start) {
                chunks.extend(self.end(std::mem::replace(&mut open, Open::None))?);
            }
            open.push(timestamp, value, histogram, start);
        }
        chunks.extend(self.end(open)?);
        let (min, max) = self.range.unwrap_or((i64::MAX, i64::MIN));
        self.range = Some((min.min(*first), max.max(*last)));
        self.stats.series += 1;
        self.stats.chunks += chunks.len() as u64;
        self.stats.samples += samples.len() as u64;
        self.stats.histograms += samples.histograms.len() as u64;
        self.stats.floats = self.stats.samples - self.stats.histograms;
        self.series.push((labels, chunks));
        Ok(())
    }

    fn end(&mut self, open: Open) -> Result<Option<ChunkMeta>> {
        let (min, max, encoding, data) = match open {
            Open::None => return Ok(None),
            Open::Floats(min, max, chunk) => (min, max, Encoding::Xor, chunk.finish()),
            Open::Starts(min, max, chunk) => (min, max, Encoding::Xor2, chunk.finish()),
            Open::Histograms(min, max, chunk) => {
                let encoding = chunk.encoding();
                (min, max, encoding, chunk.finish())
            }
        };
        let mut bytes = Vec::with_capacity(data.len() + 10);
        bytes.put_len(data.len());
        let begin = bytes.len();
        bytes.put_u8(encoding.to_byte());
        bytes.put_bytes(&data);
        let sum = crc(&bytes[begin..]);
        bytes.put_bytes(&sum.to_be_bytes());
        let reference = self.put_chunk(&bytes)?;
        Ok(Some(ChunkMeta { min, max, reference }))
    }

    fn put_chunk(&mut self, bytes: &[u8]) -> Result<u64> {
        if self.segment.as_ref().is_some_and(|s| s.position + bytes.len() as u64 > SEGMENT_BYTES) {
            self.end_segment()?;
        }
        if self.segment.is_none() {
            self.segments += 1;
            let path = self.unfinished.join("chunks").join(format!("{:06}", self.segments));
            let mut file = BufWriter::with_capacity(1 << 20, File::create_new(&path).at("create", &path)?);
            let mut header = CHUNKS_MAGIC.to_be_bytes().to_vec();
            header.extend([CHUNKS_VERSION, 0, 0, 0]);
            file.write_all(&header).at("write", &path)?;
            self.segment = Some(Segment { path, file, position: CHUNKS_HEADER_BYTES as u64 });
        }
        let segment = self.segment.as_mut().expect("was just made");
        segment.file.write_all(bytes).at("write", &segment.path)?;
        let reference = (self.segments - 1) << 32 | segment.position;
        segment.position += bytes.len() as u64;
        Ok(reference)
    }

    fn end_segment(&mut self) -> Result<()> {
        let Some(Segment { path, file, .. }) = self.segment.take() else { return Ok(()) };
        let file = file.into_inner().map_err(std::io::IntoInnerError::into_error).at("write", &path)?;
        file.sync_all().at("sync", &path)
    }

    /// Makes the block durable and visible. None if it has no samples; nothing is left then.
    ///
    /// # Errors
    /// When the disk refuses; nothing is left then.
    pub fn finish(mut self) -> Result<Option<Written>> {
        let Some((min_time, max_time)) = self.range else { return Ok(None) };
        self.end_segment()?;
        index_writer::write(&self.unfinished.join("index"), &self.series)?;
        let mut tombstones = TOMBSTONES_MAGIC.to_be_bytes().to_vec();
        tombstones.push(TOMBSTONES_VERSION);
        // The checksum is over no tombstones.
        tombstones.extend(crc(&[]).to_be_bytes());
        self.put_file("tombstones", &tombstones)?;
        let meta = Meta::new(&self.ulid, min_time, max_time.saturating_add(1), self.stats.clone());
        let json = serde_json::to_vec_pretty(&meta).expect("a meta record has no maps with odd keys");
        self.put_file(meta::FILE, &json)?;
        for dir in [self.unfinished.join("chunks"), self.unfinished.clone()] {
            File::open(&dir).and_then(|dir| dir.sync_all()).at("sync", &dir)?;
        }
        fs::rename(&self.unfinished, &self.target).at("rename", &self.unfinished)?;
        self.done = true;
        let parent = self.target.parent().unwrap_or(&self.target);
        File::open(parent).and_then(|dir| dir.sync_all()).at("sync", parent)?;
        Ok(Some(Written {
            ulid: self.ulid.clone(),
            min_time,
            max_time,
            series: self.stats.series,
            samples: self.stats.samples,
            histograms: self.stats.histograms,
        }))
    }

    fn put_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.unfinished.join(name);
        let mut file = File::create_new(&path).at("create", &path)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).at("write", &path)
    }
}

impl Drop for BlockWriter {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_dir_all(&self.unfinished);
        }
    }
}

/// The chunk being filled, with the time of its first and last sample. Of histograms no starts are written.
enum Open {
    None,
    Floats(i64, i64, FloatChunk),
    /// From a sample with a start on, so that whoever has none writes what every Prometheus reads.
    Starts(i64, i64, StartChunk),
    Histograms(i64, i64, HistogramChunk),
}

impl Open {
    fn takes(&self, histogram: Option<&Arc<Histogram>>, start: i64) -> bool {
        match (self, histogram) {
            (Self::None, _) => true,
            (Self::Floats(_, _, chunk), None) => start == 0 && chunk.len() < MAX_SAMPLES,
            (Self::Starts(_, _, chunk), None) => chunk.len() < MAX_SAMPLES,
            (Self::Histograms(_, _, chunk), Some(next)) => chunk.len() < MAX_SAMPLES && chunk.takes(next),
            _ => false,
        }
    }

    /// Adds a sample that it takes.
    fn push(&mut self, timestamp: i64, value: f64, histogram: Option<&Arc<Histogram>>, start: i64) {
        match (self, histogram) {
            (Self::Floats(_, max, chunk), None) => {
                *max = timestamp;
                chunk.push(timestamp, value);
            }
            (Self::Starts(_, max, chunk), None) => {
                *max = timestamp;
                chunk.push(timestamp, value, start);
            }
            (Self::Histograms(_, max, chunk), Some(histogram)) => {
                *max = timestamp;
                chunk.push(timestamp, histogram);
            }
            (open, None) if start != 0 => {
                let mut chunk = StartChunk::default();
                chunk.push(timestamp, value, start);
                *open = Self::Starts(timestamp, timestamp, chunk);
            }
            (open, None) => {
                let mut chunk = FloatChunk::default();
                chunk.push(timestamp, value);
                *open = Self::Floats(timestamp, timestamp, chunk);
            }
            (open, Some(histogram)) => {
                *open = Self::Histograms(timestamp, timestamp, HistogramChunk::new(timestamp, histogram));
            }
        }
    }
}

/// Makes sure that `parent` can take blocks: it is made if absent, with an empty log, without which Prometheus' own
/// tools do not take it for a data directory.
///
/// # Errors
/// When it is there and holds something else than blocks.
pub fn prepare(parent: &Path) -> Result<()> {
    let wal = parent.join("wal");
    fs::create_dir_all(parent).at("create", parent)?;
    for entry in fs::read_dir(parent).at("read", parent)? {
        let entry = entry.at("read", parent)?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name == "blocks" || name == "catalog") {
            let reason =
                "it is a data directory of this server, blocks of Prometheus go elsewhere".to_owned();
            return Err(Error::Unsupported { path: parent.to_owned(), reason });
        }
    }
    fs::create_dir_all(&wal).at("create", &wal)
}
