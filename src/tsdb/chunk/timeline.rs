//! Encoded timestamps: kept once for all series that share them.
//!
//! A timeline is the first timestamp, the usual interval, and what each timestamp is off the regular grid, packed.
//!
//! **Format**: `docs/format/chunks.md`, "Timelines".

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::ints;
use crate::codec::{ByteReader, ByteWriter, CodecError};

/// Appends the strictly rising `timestamps` (milliseconds) to `out`.
pub fn encode(timestamps: &[i64], scratch: &mut ints::Scratch, out: &mut Vec<u8>) {
    out.put_len(timestamps.len());
    let (Some(&first), Some(&last)) = (timestamps.first(), timestamps.last()) else { return };
    let steps = i64::try_from(timestamps.len() - 1).unwrap_or(i64::MAX).max(1);
    // Rounded, so that the grid stays within half a step's error of the last timestamp.
    let interval = (last.wrapping_sub(first).wrapping_add(steps / 2)) / steps;
    out.put_zigzag(interval);
    let residuals: Vec<i64> = timestamps
        .iter()
        .scan(0i64, |grid, t| {
            let residual = t.wrapping_sub(*grid);
            *grid = grid.wrapping_add(interval);
            Some(residual)
        })
        .collect();
    ints::pack(&residuals, scratch, out);
}

/// Reads one timeline of at most `max_len` timestamps.
///
/// # Errors
/// When the bytes are cut or damaged, or the timestamps do not rise.
pub fn decode(reader: &mut ByteReader<'_>, max_len: usize) -> Result<Vec<i64>, CodecError> {
    let len = reader.len("timeline length", max_len)?;
    let mut out = Vec::new();
    if len == 0 {
        return Ok(out);
    }
    let interval = reader.zigzag()?;
    ints::unpack(reader, len, &mut out)?;
    let mut grid = 0i64;
    for timestamp in &mut out {
        *timestamp = timestamp.wrapping_add(grid);
        grid = grid.wrapping_add(interval);
    }
    if out.is_sorted_by(|a, b| a < b) { Ok(out) } else { Err(reader.invalid("timeline order")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(timestamps: &[i64]) -> usize {
        let mut out = Vec::new();
        encode(timestamps, &mut ints::Scratch::default(), &mut out);
        let mut reader = ByteReader::new(&out);
        assert_eq!(decode(&mut reader, timestamps.len()).expect("own output"), timestamps);
        assert!(reader.is_empty());
        out.len()
    }

    #[test]
    fn regular_and_jittered_timestamps_are_small() {
        let start = 1_700_000_000_000;
        assert!(round_trip(&(0..5760).map(|i| start + i * 15_000).collect::<Vec<_>>()) < 150);
        let jittered: Vec<i64> = (0..5760).map(|i| start + i * 15_000 + (i * i) % 7).collect();
        assert!(round_trip(&jittered) < 5760 / 2 + 250);
        round_trip(&[]);
        round_trip(&[5]);
        round_trip(&[i64::MIN, 0, i64::MAX]);
    }

    proptest! {
        #[test]
        fn any_rising_timestamps_come_back(mut t in prop::collection::vec(any::<i64>(), 0..300)) {
            t.sort_unstable();
            t.dedup();
            round_trip(&t);
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&mut ByteReader::new(&bytes), 8192);
        }
    }
}
