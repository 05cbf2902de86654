//! Prometheus' data directory: blocks (read and written) and the log of its head (read).
//!
//! Read `bits` (numbers inside chunks), [`float_chunk`], [`xor2_chunk`] and [`histogram_chunk`] (samples), `index_writer` and
//! `index_reader`, [`block_writer`] and [`block_reader`], [`wal`].
//!
//! **Format**: the format documents in Prometheus' own repository, below `tsdb/docs/format`. Numbers are big-endian,
//! checksums are crc32 with the polynomial of Castagnoli.

pub(crate) mod bits;
pub mod block_reader;
pub mod block_writer;
pub mod float_chunk;
pub mod histogram_chunk;
mod index_reader;
mod index_writer;
mod meta;
pub mod wal;
pub mod xor2_chunk;

use crate::codec::{ByteReader, CodecError};

const INDEX_MAGIC: u32 = 0xbaaa_d700;
const INDEX_VERSION: u8 = 2;
/// Bytes of an index before its symbols.
const INDEX_HEADER_BYTES: usize = 5;
/// Six references and their checksum, at the end of an index.
const TOC_BYTES: usize = 6 * 8 + 4;
/// A series' number is its offset in the index in units of so many bytes.
const SERIES_ALIGN: usize = 16;
const CHUNKS_MAGIC: u32 = 0x85bd_40dd;
const CHUNKS_VERSION: u8 = 1;
/// Bytes of a segment of chunks before the first.
const CHUNKS_HEADER_BYTES: usize = 8;
const TOMBSTONES_MAGIC: u32 = 0x0130_ba30;
const TOMBSTONES_VERSION: u8 = 1;

/// How the samples of a chunk are encoded, as the byte before them says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Encoding {
    /// Floats.
    Xor,
    /// Floats with start timestamps.
    Xor2,
    /// Histograms with integer counts.
    Histogram,
    /// Histograms with float counts.
    FloatHistogram,
}

impl Encoding {
    fn to_byte(self) -> u8 {
        match self {
            Self::Xor => 1,
            Self::Histogram => 2,
            Self::FloatHistogram => 3,
            Self::Xor2 => 4,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Xor, Self::Histogram, Self::FloatHistogram, Self::Xor2]
            .into_iter()
            .find(|e| e.to_byte() == byte)
    }
}

/// Names of encodings that are known of, but not read.
fn unsupported_encoding(byte: u8) -> String {
    match byte {
        5 => "histogramST".to_owned(),
        6 => "floathistogramST".to_owned(),
        other => format!("unknown ({other})"),
    }
}

fn crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// Big-endian numbers.
trait BigEndian {
    fn be16(&mut self) -> Result<u16, CodecError>;
    fn be32(&mut self) -> Result<u32, CodecError>;
    fn be64(&mut self) -> Result<u64, CodecError>;
}

impl BigEndian for ByteReader<'_> {
    fn be16(&mut self) -> Result<u16, CodecError> {
        Ok(self.bytes(2)?.iter().fold(0, |number, byte| number << 8 | u16::from(*byte)))
    }

    fn be32(&mut self) -> Result<u32, CodecError> {
        Ok(self.bytes(4)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn be64(&mut self) -> Result<u64, CodecError> {
        Ok(self.bytes(8)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}
