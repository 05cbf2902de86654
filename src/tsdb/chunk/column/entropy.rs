//! Columns through the `pco` crate: what is left when packing has no more to gain.
//!
//! **Cost**: slower than packing both ways, so it is taken only for long columns and where it saves room.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pco::data_types::Number;
use pco::errors::PcoError;
use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec, ModeSpec, PagingSpec};

use crate::codec::CodecError;

/// Shorter columns cannot make up for the tables that come first.
pub(super) const MIN_SAMPLES: usize = 1024;
/// Nor can columns that are this small already.
pub(super) const MIN_BYTES: usize = 48;

/// Beyond this level encoding takes twice the time for next to nothing.
const LEVEL: usize = 8;

const DAMAGED: CodecError = CodecError::Invalid { what: "compressed column", at: 0 };

/// Appends `values`; false if they cannot be compressed.
pub(super) fn put_integers(values: &[i64], out: &mut Vec<u8>) -> bool {
    put(values, ModeSpec::Classic, out).is_ok()
}

/// Appends `values`; false if they cannot be compressed.
pub(super) fn put_floats(values: &[f64], out: &mut Vec<u8>) -> bool {
    put(values, ModeSpec::Auto, out).is_ok()
}

/// Reads the `count` values of `bytes`.
///
/// # Errors
/// When the bytes are cut or damaged.
pub(super) fn read_integers(bytes: &[u8], count: usize) -> Result<Vec<i64>, CodecError> {
    read(bytes, count)
}

/// Reads the `count` values of `bytes`.
///
/// # Errors
/// When the bytes are cut or damaged.
pub(super) fn read_floats(bytes: &[u8], count: usize) -> Result<Vec<f64>, CodecError> {
    read(bytes, count)
}

fn put<T: Number>(values: &[T], mode: ModeSpec, out: &mut Vec<u8>) -> Result<(), PcoError> {
    let config = ChunkConfig::default()
        .with_compression_level(LEVEL)
        .with_mode_spec(mode)
        .with_delta_spec(DeltaSpec::Auto)
        .with_paging_spec(PagingSpec::Exact(vec![values.len()]));
    let file = FileCompressor::default();
    file.write_header(&mut *out)?;
    let mut chunk = file.chunk_compressor(values, &config)?;
    chunk.write_meta(&mut *out)?;
    chunk.write_page(0, out)?;
    Ok(())
}

fn read<T: Number + Default>(bytes: &[u8], count: usize) -> Result<Vec<T>, CodecError> {
    let mut out = vec![T::default(); count];
    let filled = catch_unwind(AssertUnwindSafe(|| fill(bytes, &mut out)));
    // The crate answers damage with errors; a panic inside of it must not take the reader down either.
    match filled {
        Ok(Ok(true)) => Ok(out),
        _ => Err(DAMAGED),
    }
}

fn fill<T: Number>(bytes: &[u8], out: &mut [T]) -> Result<bool, PcoError> {
    let (file, rest) = FileDecompressor::new(bytes)?;
    let (mut chunk, rest) = file.chunk_decompressor::<T, _>(rest)?;
    let mut page = chunk.page_decompressor(rest, out.len())?;
    let progress = page.read(out)?;
    Ok(progress.n_processed == out.len())
}
