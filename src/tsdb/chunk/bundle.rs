//! Bundles: columns of neighbouring series in one stored value, compressed when that pays.
//!
//! **Format**: `docs/format/chunks.md`, "Bundles".
//! **Cost**: reading one column of a bundle inflates the whole bundle, hence the bounds on its size.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::cell::RefCell;

use crate::codec::{ByteReader, ByteWriter, CodecError};

/// A bundle is complete at this many bytes of columns ...
pub const TARGET_BYTES: usize = 16 << 10;
/// ... or at this many columns.
pub const MAX_COLUMNS: usize = 128;
/// Inflating stops here: 128 columns of 8,192 raw floats, which is more than any bundle holds.
pub const MAX_INFLATED_BYTES: usize = MAX_COLUMNS * (super::MAX_COLUMN_SAMPLES * 8 + 16);

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// Level of zstd: bundles are written once, and every level inflates as fast.
const LEVEL: i32 = 6;

/// Collects columns until the bundle is complete.
#[derive(Debug, Default)]
pub struct BundleBuilder {
    ends: Vec<usize>,
    columns: Vec<u8>,
}

impl BundleBuilder {
    /// The buffer to append the next column to; [`BundleBuilder::end_column`] closes it.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.columns
    }

    /// Closes the column appended to [`BundleBuilder::buffer`]; says whether the bundle is complete.
    pub fn end_column(&mut self) -> bool {
        self.ends.push(self.columns.len());
        self.ends.len() >= MAX_COLUMNS || self.columns.len() >= TARGET_BYTES
    }

    /// The bytes of the column that is open.
    pub fn open_column(&self) -> &[u8] {
        self.columns.get(self.ends.last().copied().unwrap_or(0)..).unwrap_or_default()
    }

    /// Drops the bytes of the column that is open.
    pub fn reset_column(&mut self) {
        self.columns.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Number of columns.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The encoded bundle; the builder is empty afterwards.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.columns.len() + 2 * self.ends.len() + 4);
        body.put_len(self.ends.len());
        let mut start = 0;
        for end in &self.ends {
            body.put_len(end - start);
            start = *end;
        }
        body.put_bytes(&self.columns);
        self.ends.clear();
        self.columns.clear();
        let mut out = Vec::with_capacity(body.len() + 8);
        // Kept only when it saves 3 %, since inflating costs more than the few bytes, and when it comes back.
        let comes_back = |packed: &[u8]| inflate(packed, body.len()).is_some_and(|back| back == body);
        match compress(&body) {
            Some(packed) if packed.len() * 100 <= body.len() * 97 && comes_back(&packed) => {
                out.put_u8(ZSTD);
                out.put_len(body.len());
                out.put_bytes(&packed);
            }
            _ => {
                out.put_u8(PLAIN);
                out.put_bytes(&body);
            }
        }
        out
    }
}

// A context of zstd takes longer to make than a bundle takes to inflate, so each thread keeps one.
thread_local! {
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

fn compress(body: &[u8]) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = zstd::bulk::Compressor::new(LEVEL).ok();
        }
        kept.as_mut()?.compress(body).ok()
    })
}

/// What `packed` holds, if that is `len` bytes.
fn inflate(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    // The frame says its length too: a damaged one must not make us reserve megabytes.
    let said = zstd::zstd_safe::get_frame_content_size(packed).ok()?;
    if said.is_some_and(|said| said != len as u64) {
        return None;
    }
    DECOMPRESSOR.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = zstd::bulk::Decompressor::new().ok();
        }
        kept.as_mut()?.decompress(packed, len).ok().filter(|body| body.len() == len)
    })
}

/// A bundle ready to read columns from.
#[derive(Debug)]
pub struct Bundle {
    body: Vec<u8>,
    /// Start of each column, and the end of the last.
    offsets: Vec<u32>,
}

impl Bundle {
    /// Opens what [`BundleBuilder::finish`] made, and keeps the bytes if they are not compressed.
    ///
    /// # Errors
    /// When the bytes are cut or damaged.
    pub fn open(bytes: Vec<u8>) -> Result<Self, CodecError> {
        let mut reader = ByteReader::new(&bytes);
        let mut start = 1;
        let body = match reader.u8()? {
            PLAIN => bytes,
            ZSTD => {
                start = 0;
                let len = reader.len("bundle length", MAX_INFLATED_BYTES)?;
                let packed = reader.bytes(reader.remaining())?;
                inflate(packed, len).ok_or_else(|| reader.invalid("compressed bundle"))?
            }
            _ => return Err(CodecError::Invalid { what: "bundle flag", at: 0 }),
        };
        let mut reader = ByteReader::new(&body);
        reader.bytes(start)?;
        let count = reader.len("column count", MAX_COLUMNS)?;
        let mut lens = [0usize; MAX_COLUMNS];
        for len in lens.iter_mut().take(count) {
            *len = reader.len("column length", body.len())?;
        }
        let mut offsets = Vec::with_capacity(count + 1);
        let mut at = reader.position();
        let as_u32 =
            |at: usize| u32::try_from(at).map_err(|_| CodecError::Invalid { what: "bundle size", at });
        offsets.push(as_u32(at)?);
        for len in lens.iter().take(count) {
            at += len;
            offsets.push(as_u32(at)?);
        }
        if at != body.len() {
            return Err(CodecError::Invalid { what: "bundle size", at });
        }
        Ok(Self { body, offsets })
    }

    /// The bytes of column `number`.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn column(&self, number: usize) -> Result<&[u8], CodecError> {
        let bounds = (self.offsets.get(number), self.offsets.get(number + 1));
        match bounds {
            (Some(&start), Some(&end)) => self.body.get(start as usize..end as usize),
            _ => None,
        }
        .ok_or(CodecError::Invalid { what: "column number", at: number })
    }

    /// Bytes of memory it holds.
    pub fn memory_bytes(&self) -> usize {
        self.body.capacity() + self.offsets.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn columns_come_back_whether_compressed_or_not() {
        for filler in [0u8, 7] {
            let mut builder = BundleBuilder::default();
            let column =
                |i: u8| (0..200u8).map(|j| if filler == 0 { i } else { i.wrapping_mul(j) ^ j }).collect();
            for i in 0..20u8 {
                let bytes: Vec<u8> = column(i);
                builder.buffer().extend_from_slice(&bytes);
                assert!(!builder.end_column());
            }
            let bundle = Bundle::open(builder.finish()).expect("own output");
            for i in 0..20u8 {
                assert_eq!(bundle.column(usize::from(i)).expect("column"), column(i));
            }
            assert!(bundle.column(20).is_err());
            assert!(builder.is_empty());
        }
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(bundle) = Bundle::open(bytes) {
                let _ = bundle.column(3);
            }
        }
    }
}
