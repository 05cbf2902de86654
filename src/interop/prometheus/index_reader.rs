//! The index of a block read back.
//!
//! **Cost**: holds the file, and where each symbol is in it.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::path::{Path, PathBuf};

use super::index_writer::ChunkMeta;
use super::{BigEndian as _, INDEX_HEADER_BYTES, INDEX_MAGIC, INDEX_VERSION, SERIES_ALIGN, TOC_BYTES, crc};
use crate::codec::{ByteReader, CodecError};
use crate::interop::error::{Error, IoContext as _, Result};
use crate::model::Labels;

/// An open index.
pub(super) struct Index {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Offset and length of each symbol in the file.
    symbols: Vec<(usize, usize)>,
}

impl Index {
    /// Reads the index at `path`, and the numbers of its series in label order.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<u32>)> {
        let bytes = std::fs::read(path).at("read", path)?;
        let mut index = Self { path: path.to_owned(), bytes, symbols: Vec::new() };
        let mut head = ByteReader::new(&index.bytes);
        let (magic, version) = (|| Ok((head.be32()?, head.u8()?)))().map_err(|e| index.codec(0, &e))?;
        if magic != INDEX_MAGIC {
            return Err(Error::damaged(path, 0u64, "it is no index"));
        }
        if version != INDEX_VERSION {
            let reason =
                format!("version {version} of an index is not read; let a newer Prometheus rewrite it");
            return Err(Error::Unsupported { path: path.to_owned(), reason });
        }
        let toc_at = index.bytes.len().saturating_sub(TOC_BYTES);
        if toc_at < INDEX_HEADER_BYTES {
            return Err(Error::damaged(path, index.bytes.len(), "unexpected end of data"));
        }
        let toc = index.checked(toc_at, TOC_BYTES - 4)?;
        let mut toc = ByteReader::new(toc);
        let mut parts = [0u64; 6];
        for part in &mut parts {
            *part = toc.be64().map_err(|e| index.codec(toc_at, &e))?;
        }
        let [symbols_at, _, _, _, _, table_at] = parts;
        index.symbols = index.read_symbols(symbols_at)?;
        let numbers = index.all_series(table_at)?;
        Ok((index, numbers))
    }

    fn codec(&self, offset: usize, error: &CodecError) -> Error {
        Error::codec(&self.path, offset, error)
    }

    /// `length` bytes at `at`, which their checksum follows.
    fn checked(&self, at: usize, length: usize) -> Result<&[u8]> {
        let end = || Error::damaged(&self.path, at, "it points outside of the file");
        let rest = self.bytes.get(at..).ok_or_else(end)?;
        let mut reader = ByteReader::new(rest);
        let content = reader.bytes(length).map_err(|_| end())?;
        let stored = reader.be32().map_err(|_| end())?;
        if stored != crc(content) {
            return Err(Error::damaged(&self.path, at, "checksum mismatch"));
        }
        Ok(content)
    }

    /// The content of the section at `at`, and where it begins.
    fn section(&self, at: u64) -> Result<(&[u8], usize)> {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let outside = || Error::damaged(&self.path, at, "it points outside of the file");
        let mut reader = ByteReader::new(self.bytes.get(at..).ok_or_else(outside)?);
        let length = reader.be32().map_err(|_| outside())?;
        let begin = at + 4;
        Ok((self.checked(begin, usize::try_from(length).unwrap_or(usize::MAX))?, begin))
    }

    fn read_symbols(&self, at: u64) -> Result<Vec<(usize, usize)>> {
        let (content, begin) = self.section(at)?;
        let mut reader = ByteReader::new(content);
        let mut read = || -> std::result::Result<Vec<(usize, usize)>, CodecError> {
            let count = reader.be32()?;
            let mut symbols = Vec::new();
            for _ in 0..count {
                let length = reader.text()?.len();
                symbols.push((begin + reader.position() - length, length));
            }
            Ok(symbols)
        };
        read().map_err(|error| self.codec(begin, &error))
    }

    fn symbol(&self, number: u64) -> Option<&str> {
        let (at, length) = *self.symbols.get(usize::try_from(number).ok()?)?;
        // Checked to be text when the symbols were read.
        std::str::from_utf8(self.bytes.get(at..at + length)?).ok()
    }

    /// The list of all series, which is kept under empty name and value.
    fn all_series(&self, table_at: u64) -> Result<Vec<u32>> {
        let (content, begin) = self.section(table_at)?;
        let mut reader = ByteReader::new(content);
        let mut find = || -> std::result::Result<Option<u64>, CodecError> {
            for _ in 0..reader.be32()? {
                if reader.u8()? != 2 {
                    return Err(reader.invalid("postings table"));
                }
                let (name, value) = (reader.text()?, reader.text()?);
                let at = reader.varint()?;
                if name.is_empty() && value.is_empty() {
                    return Ok(Some(at));
                }
            }
            Ok(None)
        };
        let found = find().map_err(|error| self.codec(begin, &error))?;
        let at = found.ok_or_else(|| Error::damaged(&self.path, begin, "it has no list of all series"))?;
        let (content, begin) = self.section(at)?;
        let mut reader = ByteReader::new(content);
        let count = reader.be32().map_err(|e| self.codec(begin, &e))?;
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(reader.be32().map_err(|e| self.codec(begin, &e))?);
        }
        Ok(numbers)
    }

    /// Labels of series `number`, and a reader at its chunks with the offset its position counts from.
    fn entry(&self, number: u32) -> Result<(Labels, ByteReader<'_>, usize)> {
        let at = usize::try_from(number).unwrap_or(usize::MAX).saturating_mul(SERIES_ALIGN);
        let outside = || Error::damaged(&self.path, at, "a series is outside of the file");
        let mut reader = ByteReader::new(self.bytes.get(at..).ok_or_else(outside)?);
        let length = reader.varint().map_err(|e| self.codec(at, &e))?;
        let begin = at + reader.position();
        let content = self.checked(begin, usize::try_from(length).unwrap_or(usize::MAX))?;
        let mut reader = ByteReader::new(content);
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        let mut read = || -> std::result::Result<(), CodecError> {
            for _ in 0..reader.varint()? {
                let name = self.symbol(reader.varint()?);
                let value = self.symbol(reader.varint()?);
                let (Some(name), Some(value)) = (name, value) else {
                    return Err(reader.invalid("symbol"));
                };
                if pairs.last().is_some_and(|(last, _)| *last >= name) || value.is_empty() {
                    return Err(reader.invalid("label"));
                }
                pairs.push((name, value));
            }
            Ok(())
        };
        read().map_err(|error| self.codec(begin, &error))?;
        Ok((Labels::from_sorted(pairs.into_iter()), reader, begin))
    }

    pub(super) fn labels(&self, number: u32) -> Result<Labels> {
        Ok(self.entry(number)?.0)
    }

    /// Chunks of series `number`, in order of time.
    pub(super) fn chunks(&self, number: u32) -> Result<Vec<ChunkMeta>> {
        let (_, mut reader, begin) = self.entry(number)?;
        let mut read = || -> std::result::Result<Vec<ChunkMeta>, CodecError> {
            let count = reader.varint()?;
            let mut chunks: Vec<ChunkMeta> = Vec::new();
            for _ in 0..count {
                let min = match chunks.last() {
                    None => reader.zigzag()?,
                    Some(before) => before.max.wrapping_add(reader.varint()?.cast_signed()),
                };
                let max = min.wrapping_add(reader.varint()?.cast_signed());
                let reference = match chunks.last() {
                    None => reader.varint()?,
                    Some(before) => before.reference.wrapping_add(reader.zigzag()?.cast_unsigned()),
                };
                chunks.push(ChunkMeta { min, max, reference });
            }
            Ok(chunks)
        };
        read().map_err(|error| self.codec(begin, &error))
    }
}
