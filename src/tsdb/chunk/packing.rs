//! Blocks of up to 128 integers: a base, a bit width, and patches for the few values that need more bits.
//!
//! **Format**: `docs/format/chunks.md`, "Packed blocks".
//! **Cost**: unpacking has one loop per bit width, eight values a round, with no branch on a value.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use crate::codec::{ByteReader, ByteWriter, CodecError};

/// Values that share one base and width.
pub(super) const BLOCK: usize = 128;

/// Marks a block with patches, in the byte of its width.
const PATCHED: u8 = 0x80;
/// Candidates for the base: a few values far below the others become patches.
const LOWEST: usize = 4;

/// How a block is packed best.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    base: i64,
    width: u32,
    /// Bytes it takes, its header included.
    pub(super) bytes: usize,
}

fn bits(value: u64) -> u32 {
    64 - value.leading_zeros()
}

fn varint_len(value: u64) -> usize {
    (bits(value | 1) as usize).div_ceil(7)
}

impl Shape {
    /// The best base and width for `block`, which has at most [`BLOCK`] values.
    pub(super) fn of(block: &[i64]) -> Self {
        let Some(&first) = block.first() else { return Self { base: 0, width: 0, bytes: 2 } };
        let (mut min, mut max) = (first, first);
        for value in block {
            min = min.min(*value);
            max = max.max(*value);
        }
        let spread = bits(max.wrapping_sub(min).cast_unsigned());
        if spread <= 2 {
            return Self::with(block, min, spread);
        }
        let mut best = Self::with(block, min, spread);
        // Another base pays only if the lowest values stand far apart from the rest.
        let mut lowest = [i64::MAX; LOWEST];
        for value in block {
            let mut value = *value;
            for slot in &mut lowest {
                if value < *slot {
                    std::mem::swap(slot, &mut value);
                }
            }
        }
        for base in lowest.into_iter().skip(1) {
            let rest = bits(max.wrapping_sub(base).cast_unsigned());
            if base != min && base < max && rest < spread {
                let shape = Self::with(block, base, rest);
                if shape.bytes < best.bytes {
                    best = shape;
                }
            }
        }
        best
    }

    /// The best width for `block` above `base`; `spread` is the width of the largest value.
    fn with(block: &[i64], base: i64, spread: u32) -> Self {
        let header = varint_len(zigzag(base)) + 1;
        let payload = |width: u32| (block.len() * width as usize).div_ceil(8);
        let mut best = Self { base, width: spread, bytes: header + payload(spread) };
        if spread == 0 {
            return best;
        }
        let mut counts = [0usize; 65];
        for value in block {
            if let Some(count) = counts.get_mut(bits(value.wrapping_sub(base).cast_unsigned()) as usize) {
                *count += 1;
            }
        }
        // From the widest down: each step gives up the values that need more bits than are left.
        let mut patched = 0usize;
        for width in (0..spread).rev() {
            let needed = width as usize + 1;
            patched += counts.get(needed).copied().unwrap_or(0);
            if patched > block.len() / 3 {
                break;
            }
            // A position, and a byte for each seven bits above the width.
            let wider = counts.iter().enumerate().take(spread as usize + 1).skip(needed);
            let patches: usize =
                wider.map(|(bits, many)| many * (1 + (bits - width as usize).div_ceil(7))).sum();
            let bytes = header + 1 + payload(width) + patches;
            if bytes < best.bytes {
                best = Self { base, width, bytes };
            }
        }
        best
    }

    /// Appends `block`.
    pub(super) fn put(self, block: &[i64], out: &mut Vec<u8>) {
        let Self { base, width, .. } = self;
        let above = |value: &i64| value.wrapping_sub(base).cast_unsigned();
        let patches = block.iter().filter(|v| bits(above(v)) > width).count();
        let flag = if patches > 0 { PATCHED } else { 0 };
        out.put_u8(width.to_le_bytes()[0] | flag);
        out.put_zigzag(base);
        if width > 0 {
            put_bits(block.iter().map(above), width, out);
        }
        if patches > 0 {
            // At most 128, so one byte each.
            out.put_len(patches);
            let patched = || block.iter().enumerate().filter(|(_, v)| bits(above(v)) > width);
            patched().for_each(|(at, _)| out.put_len(at));
            patched().for_each(|(_, value)| out.put_varint(above(value).checked_shr(width).unwrap_or(0)));
        }
    }
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

/// Appends the lowest `width` bits of each value, the first value in the lowest bits, padded to a byte.
fn put_bits(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    let (mut word, mut used) = (0u128, 0u32);
    for value in values {
        word |= u128::from(value & mask) << used;
        used += width;
        if used >= 64 {
            out.put_u64(low_word(word));
            word >>= 64;
            used -= 64;
        }
    }
    let bytes = low_word(word).to_le_bytes();
    out.extend(bytes.iter().take((used as usize).div_ceil(8)));
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn low_word(word: u128) -> u64 {
    word as u64
}

/// Reads a block of `count` values, at most [`BLOCK`], into the front of `out`.
///
/// # Errors
/// When the bytes are cut or damaged.
#[inline]
pub(super) fn read_block(
    reader: &mut ByteReader<'_>,
    count: usize,
    out: &mut [i64; BLOCK],
) -> Result<(), CodecError> {
    let head = reader.u8()?;
    let base = reader.zigzag()?;
    let width = head & !PATCHED;
    if width > 64 || count > BLOCK {
        return Err(reader.invalid("bit width"));
    }
    let bytes = reader.bytes((count * usize::from(width)).div_ceil(8))?;
    unpack(bytes, width, base, out);
    if head & PATCHED != 0 {
        let patches = reader.len("patch count", count)?;
        let positions = reader.bytes(patches)?;
        for at in positions {
            let high = reader.varint()?;
            let slot = out.get_mut(usize::from(*at)).filter(|_| usize::from(*at) < count);
            let slot = slot.ok_or_else(|| reader.invalid("patch position"))?;
            let high = high.checked_shl(u32::from(width)).unwrap_or(0);
            *slot = slot.wrapping_add(high.cast_signed());
        }
    }
    Ok(())
}

/// Bytes of a full block at the widest, and what the last load may read beyond.
const PADDED: usize = BLOCK * 8 + 16;

fn unpack(bytes: &[u8], width: u8, base: i64, out: &mut [i64; BLOCK]) {
    let full = BLOCK / 8 * usize::from(width);
    let mut padded = [0u8; PADDED];
    let len = bytes.len().min(full);
    if let (Some(to), Some(from)) = (padded.get_mut(..len), bytes.get(..len)) {
        to.copy_from_slice(from);
    }
    macro_rules! by_width {
        ($($w:literal)*) => {
            match width {
                0 => out.fill(base),
                $($w => unpack_narrow::<$w>(&padded, base, out),)*
                _ => unpack_wide(&padded, usize::from(width), base, out),
            }
        };
    }
    by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
        33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56);
}

/// Eight values of `W` bits are `W` bytes; each fits one load of eight bytes.
#[inline(never)]
fn unpack_narrow<const W: usize>(padded: &[u8; PADDED], base: i64, out: &mut [i64; BLOCK]) {
    let mask = (1u64 << W) - 1;
    for (group, slots) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let Some(bytes) = padded.get(group * W..group * W + W + 8) else { return };
        for (at, slot) in slots.iter_mut().enumerate() {
            let bit = at * W;
            let word = bytes.get(bit / 8..).and_then(|b| b.first_chunk::<8>());
            let word = u64::from_le_bytes(*word.unwrap_or(&[0; 8]));
            *slot = base.wrapping_add(((word >> (bit % 8)) & mask).cast_signed());
        }
    }
}

fn unpack_wide(padded: &[u8; PADDED], width: usize, base: i64, out: &mut [i64; BLOCK]) {
    let mask = if width >= 64 { u64::MAX } else { (1 << width) - 1 };
    for (at, slot) in out.iter_mut().enumerate() {
        let bit = at * width;
        let word = padded.get(bit / 8..).and_then(|b| b.first_chunk::<16>());
        let word = u128::from_le_bytes(*word.unwrap_or(&[0; 16])) >> (bit % 8);
        *slot = base.wrapping_add((low_word(word) & mask).cast_signed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[i64]) -> usize {
        let mut out = Vec::new();
        let shape = Shape::of(values);
        shape.put(values, &mut out);
        let mut back = [0; BLOCK];
        let mut reader = ByteReader::new(&out);
        read_block(&mut reader, values.len(), &mut back).expect("own output");
        assert!(reader.is_empty());
        assert_eq!(&back[..values.len()], values);
        out.len()
    }

    #[test]
    fn every_width_comes_back() {
        for width in 0..=64u32 {
            let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
            let noise = |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (i << 32)) & mask;
            for count in [1, 7, 8, 100, 128] {
                round_trip(&(0..count).map(|i| noise(i).cast_signed()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_few_outliers_do_not_widen_the_rest() {
        let mut values: Vec<i64> = (0..128).map(|i| i % 4).collect();
        values[17] = 1 << 40;
        values[90] = -(1 << 50);
        values[91] = i64::MIN;
        assert!(round_trip(&values) < 32 + 45);
    }

    proptest! {
        #[test]
        fn any_block_comes_back(values in prop::collection::vec(prop_oneof![any::<i64>(), -9i64..9], 1..=128)) {
            round_trip(&values);
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), count in 0usize..140) {
            let _ = read_block(&mut ByteReader::new(&bytes), count, &mut [0; BLOCK]);
        }
    }
}
