//! The index of a block: symbols, series, postings, table of contents.
//!
//! **Cost**: holds the symbols, and four bytes for each label of each series.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use super::{INDEX_MAGIC, INDEX_VERSION, SERIES_ALIGN, crc};
use crate::codec::ByteWriter as _;
use crate::interop::error::{Error, IoContext as _, Result};
use crate::model::Labels;

/// Where a chunk is and what time it covers.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkMeta {
    /// Time of its first sample.
    pub(super) min: i64,
    /// Time of its last sample.
    pub(super) max: i64,
    /// Number of the segment above, offset in it below.
    pub(super) reference: u64,
}

/// A file whose position is known.
struct Output<'a> {
    file: BufWriter<File>,
    path: &'a Path,
    position: u64,
}

impl Output<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).at("write", self.path)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self, align: usize) -> Result<()> {
        let over = usize::try_from(self.position % align as u64).unwrap_or(0);
        if over > 0 {
            self.put(&vec![0; align - over])?;
        }
        Ok(())
    }

    /// A section: its length in four bytes, its content, its checksum. Returns where it begins.
    fn section(&mut self, content: &[u8]) -> Result<u64> {
        let begin = self.position;
        let too_large = |_| Error::Unsupported {
            path: self.path.to_owned(),
            reason: "more series than an index holds; export a shorter time, or fewer series".to_owned(),
        };
        let length = u32::try_from(content.len()).map_err(too_large)?;
        self.put(&length.to_be_bytes())?;
        self.put(content)?;
        self.put(&crc(content).to_be_bytes())?;
        Ok(begin)
    }
}

/// Writes the index of `series`, which come in label order, to a new file at `path`, durably.
pub(super) fn write(path: &Path, series: &[(Labels, Vec<ChunkMeta>)]) -> Result<()> {
    let file = File::create_new(path).at("create", path)?;
    let mut out = Output { file: BufWriter::with_capacity(1 << 20, file), path, position: 0 };
    out.put(&INDEX_MAGIC.to_be_bytes())?;
    out.put(&[INDEX_VERSION])?;

    let texts: BTreeSet<&str> =
        series.iter().flat_map(|(labels, _)| labels.iter().flat_map(|(n, v)| [n, v])).chain([""]).collect();
    let mut content = as_u32(texts.len()).to_be_bytes().to_vec();
    texts.iter().for_each(|text| content.put_text(text));
    let symbols_at = out.section(&content)?;
    let symbols: HashMap<&str, u32> = texts.into_iter().zip(0..).collect();

    out.pad(SERIES_ALIGN)?;
    let series_at = out.position;
    let mut postings: BTreeMap<(&str, &str), Vec<u32>> = BTreeMap::new();
    for (labels, chunks) in series {
        out.pad(SERIES_ALIGN)?;
        let number = u32::try_from(out.position / SERIES_ALIGN as u64).unwrap_or(u32::MAX);
        postings.entry(("", "")).or_default().push(number);
        content.clear();
        content.put_len(labels.len());
        for (name, value) in labels {
            postings.entry((name, value)).or_default().push(number);
            for text in [name, value] {
                content.put_varint(u64::from(symbols.get(text).copied().unwrap_or(0)));
            }
        }
        put_chunks(&mut content, chunks);
        let mut entry = Vec::with_capacity(content.len() + 8);
        entry.put_len(content.len());
        entry.put_bytes(&content);
        entry.put_bytes(&crc(&content).to_be_bytes());
        out.put(&entry)?;
    }

    out.pad(4)?;
    let postings_at = out.position;
    let mut table = as_u32(postings.len()).to_be_bytes().to_vec();
    for ((name, value), numbers) in &postings {
        out.pad(4)?;
        content.clear();
        content.put_bytes(&as_u32(numbers.len()).to_be_bytes());
        numbers.iter().for_each(|number| content.put_bytes(&number.to_be_bytes()));
        let at = out.section(&content)?;
        table.put_u8(2);
        table.put_text(name);
        table.put_text(value);
        table.put_varint(at);
    }
    out.pad(4)?;
    // Nobody reads label indices any more, but some look where their table begins to know where postings end.
    let label_table_at = out.section(&0u32.to_be_bytes())?;
    let table_at = out.section(&table)?;
    content.clear();
    for at in [symbols_at, series_at, postings_at, label_table_at, postings_at, table_at] {
        content.put_bytes(&at.to_be_bytes());
    }
    let sum = crc(&content);
    content.put_bytes(&sum.to_be_bytes());
    out.put(&content)?;
    let file = out.file.into_inner().map_err(std::io::IntoInnerError::into_error).at("write", path)?;
    file.sync_all().at("sync", path)
}

/// Counts of things that are held in memory one by one.
fn as_u32(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than 2^32 are held")
}

fn put_chunks(content: &mut Vec<u8>, chunks: &[ChunkMeta]) {
    content.put_len(chunks.len());
    let mut before: Option<&ChunkMeta> = None;
    for chunk in chunks {
        match before {
            None => {
                content.put_zigzag(chunk.min);
                content.put_varint(chunk.max.wrapping_sub(chunk.min).cast_unsigned());
                content.put_varint(chunk.reference);
            }
            Some(before) => {
                content.put_varint(chunk.min.wrapping_sub(before.max).cast_unsigned());
                content.put_varint(chunk.max.wrapping_sub(chunk.min).cast_unsigned());
                content.put_zigzag(chunk.reference.wrapping_sub(before.reference).cast_signed());
            }
        }
        before = Some(chunk);
    }
}
