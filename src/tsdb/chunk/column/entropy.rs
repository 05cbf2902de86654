//! Columns through the `pco` crate: what is left when packing has no more to gain.
//!
//! **Cost**: slower than packing both ways, so it is taken only for long columns and where it saves room.

use std::cell::Cell;
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
    // Chosen here and not by the crate, which also tries kinds of differences that take long to undo.
    let bits = |value: i64| u64::from(64 - value.unsigned_abs().leading_zeros());
    let first = values.first().copied().unwrap_or(0);
    let plain: u64 = values.iter().map(|v| bits(v.wrapping_sub(first))).sum();
    let steps: u64 = values.iter().zip(values.iter().skip(1)).map(|(a, b)| bits(b.wrapping_sub(*a))).sum();
    let delta = if steps < plain { DeltaSpec::TryConsecutive(1) } else { DeltaSpec::NoOp };
    put(values, ModeSpec::Classic, delta, out).is_ok()
}

/// Appends `values`; false if they cannot be compressed.
pub(super) fn put_floats(values: &[f64], out: &mut Vec<u8>) -> bool {
    // Floats that are no decimals wander as often as they scatter: the smaller of the two tells.
    let mut plain = Vec::new();
    let mut steps = Vec::new();
    let is_plain = put(values, ModeSpec::Auto, DeltaSpec::NoOp, &mut plain).is_ok();
    let is_steps = put(values, ModeSpec::Auto, DeltaSpec::TryConsecutive(1), &mut steps).is_ok();
    let best = if is_steps && (!is_plain || steps.len() < plain.len()) { steps } else { plain };
    out.extend_from_slice(&best);
    is_plain || is_steps
}

/// Longer columns get a buffer of their own.
const KEPT_SAMPLES: usize = 1 << 16;

/// Reads the `count` values of `bytes` and hands them to `take`.
///
/// # Errors
/// When the bytes are cut or damaged.
pub(super) fn read_integers<R>(
    bytes: &[u8],
    count: usize,
    take: impl FnOnce(&[i64]) -> R,
) -> Result<R, CodecError> {
    thread_local! {
        /// What is read does not depend on what was there: it need not be made anew for every column.
        static BUFFER: Cell<Vec<i64>> = const { Cell::new(Vec::new()) };
    }
    let mut buffer = BUFFER.take();
    if buffer.len() < count {
        buffer.resize(count, 0);
    }
    let integers = buffer.get_mut(..count).unwrap_or_default();
    let result = read_into(bytes, integers).map(|()| take(integers));
    if count <= KEPT_SAMPLES {
        BUFFER.set(buffer);
    }
    result
}

/// Reads the `count` values of `bytes`.
///
/// # Errors
/// When the bytes are cut or damaged.
pub(super) fn read_floats(bytes: &[u8], count: usize) -> Result<Vec<f64>, CodecError> {
    read(bytes, count)
}

fn put<T: Number>(values: &[T], mode: ModeSpec, delta: DeltaSpec, out: &mut Vec<u8>) -> Result<(), PcoError> {
    let config = ChunkConfig::default()
        .with_compression_level(LEVEL)
        .with_mode_spec(mode)
        .with_delta_spec(delta)
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
    read_into(bytes, &mut out).map(|()| out)
}

fn read_into<T: Number>(bytes: &[u8], out: &mut [T]) -> Result<(), CodecError> {
    // The crate answers damage with errors; a panic inside of it must not take the reader down either.
    match catch_unwind(AssertUnwindSafe(|| fill(bytes, out))) {
        Ok(Ok(true)) => Ok(()),
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
