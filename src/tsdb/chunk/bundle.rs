//! Bundles: columns of neighbouring series in one stored value, compressed when that pays.
//!
//! **Format**: `docs/format/chunks.md`, "Bundles".
//! **Cost**: reading one column of a bundle inflates the whole bundle, hence the bounds on its size.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use crate::codec::{ByteReader, ByteWriter, CodecError};

/// A bundle is complete at this many bytes of columns ...
pub const TARGET_BYTES: usize = 16 << 10;
/// ... or at this many columns.
pub const MAX_COLUMNS: usize = 128;
/// Inflating stops here: 128 columns of 8,192 raw floats.
const MAX_INFLATED_BYTES: usize = MAX_COLUMNS * (super::MAX_COLUMN_SAMPLES * 8 + 16);

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

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
        // Kept only when it saves 3 %: inflating costs more than the few bytes.
        match zstd::bulk::compress(&body, 3) {
            Ok(packed) if packed.len() * 100 <= body.len() * 97 => {
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

/// A bundle ready to read columns from.
#[derive(Debug)]
pub struct Bundle {
    body: Vec<u8>,
    /// Start of each column, and the end of the last.
    offsets: Vec<usize>,
}

impl Bundle {
    /// Opens what [`BundleBuilder::finish`] made.
    ///
    /// # Errors
    /// When the bytes are cut or damaged.
    pub fn open(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut reader = ByteReader::new(bytes);
        let body = match reader.u8()? {
            PLAIN => reader.bytes(reader.remaining())?.to_vec(),
            ZSTD => {
                let len = reader.len("bundle length", MAX_INFLATED_BYTES)?;
                let packed = reader.bytes(reader.remaining())?;
                zstd::bulk::decompress(packed, len)
                    .ok()
                    .filter(|body| body.len() == len)
                    .ok_or_else(|| reader.invalid("compressed bundle"))?
            }
            _ => return Err(CodecError::Invalid { what: "bundle flag", at: 0 }),
        };
        let mut reader = ByteReader::new(&body);
        let count = reader.len("column count", MAX_COLUMNS)?;
        let mut lens = Vec::with_capacity(count);
        for _ in 0..count {
            lens.push(reader.len("column length", body.len())?);
        }
        let mut offsets = Vec::with_capacity(count + 1);
        let mut at = reader.position();
        offsets.push(at);
        for len in lens {
            at += len;
            offsets.push(at);
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
            (Some(&start), Some(&end)) => self.body.get(start..end),
            _ => None,
        }
        .ok_or(CodecError::Invalid { what: "column number", at: number })
    }

    /// Bytes of memory it holds.
    pub fn memory_bytes(&self) -> usize {
        self.body.capacity() + self.offsets.capacity() * size_of::<usize>()
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
            let bundle = Bundle::open(&builder.finish()).expect("own output");
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
            if let Ok(bundle) = Bundle::open(&bytes) {
                let _ = bundle.column(3);
            }
        }
    }
}
