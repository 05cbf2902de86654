//! Integer packing: differences of order 0 to 2, a common divisor, then blocks of 128 with minimum and bit width.
//!
//! **Format**: `docs/format/chunks.md`, "Packed integers".
//! **Cost**: encoding tries the three orders on the whole input; decoding is one pass.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use crate::codec::bits::{BitReader, BitWriter};
use crate::codec::{ByteReader, ByteWriter, CodecError};

/// Values that share one minimum and width.
const BLOCK: usize = 128;

/// Largest order of differences.
const MAX_ORDER: u8 = 2;

/// Working memory of [`pack`], kept by the caller between calls.
#[derive(Debug, Default)]
pub struct Scratch {
    candidate: Vec<i64>,
    best: Vec<i64>,
}

/// Appends `values` to `out`. All arithmetic wraps, so every input is reproduced exactly.
pub fn pack(values: &[i64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    let Some((&first, rest)) = values.split_first() else { return };
    // The divisor is taken only when no difference to the first value overflows.
    let divisor = rest
        .iter()
        .try_fold(0u64, |g, v| v.checked_sub(first).map(|d| gcd(g, d.unsigned_abs())))
        .filter(|g| *g > 1 && i64::try_from(*g).is_ok())
        .unwrap_or(1);
    let signed_divisor = i64::try_from(divisor).unwrap_or(1);

    let Scratch { candidate, best } = scratch;
    candidate.clear();
    // Dividing by 1 costs as much as by anything else: the common case goes without.
    if signed_divisor == 1 {
        candidate.extend(values.iter().map(|v| v.wrapping_sub(first)));
    } else {
        candidate.extend(values.iter().map(|v| v.wrapping_sub(first) / signed_divisor));
    }
    let mut best_order = 0;
    let mut best_bits = packed_bits(candidate);
    best.clone_from(candidate);
    for order in 1..=MAX_ORDER {
        if candidate.len() <= usize::from(order) {
            break;
        }
        // The first `order` entries stay as they are: they start the sums again.
        let mut previous = 0;
        for (at, value) in candidate.iter_mut().enumerate() {
            let current = *value;
            if at >= usize::from(order) {
                *value = current.wrapping_sub(previous);
            }
            previous = current;
        }
        let bits = packed_bits(candidate.get(usize::from(order)..).unwrap_or_default());
        if bits < best_bits {
            best_bits = bits;
            best_order = order;
            best.clone_from(candidate);
        }
    }

    out.put_u8(best_order);
    out.put_zigzag(first);
    out.put_varint(divisor);
    let (heads, body) = best.split_at(usize::from(best_order));
    // heads[0] is always zero: the first value stands outside.
    for head in heads.iter().skip(1) {
        out.put_zigzag(*head);
    }
    for block in body.chunks(BLOCK) {
        let (min, width) = block_shape(block);
        out.put_zigzag(min);
        out.put_u8(width.to_le_bytes()[0]);
        if width > 0 {
            let mut bits = BitWriter::new();
            for value in block {
                bits.put(value.wrapping_sub(min).cast_unsigned(), width);
            }
            out.put_bytes(bits.as_bytes());
        }
    }
}

/// Appends `count` values read from `reader` to `out`.
///
/// # Errors
/// When the bytes are cut or damaged. `out` may then hold a part of the values.
pub fn unpack(reader: &mut ByteReader<'_>, count: usize, out: &mut Vec<i64>) -> Result<(), CodecError> {
    if count == 0 {
        return Ok(());
    }
    let order = reader.u8()?;
    if order > MAX_ORDER || usize::from(order) > count {
        return Err(reader.invalid("order of differences"));
    }
    let first = reader.zigzag()?;
    let divisor = i64::try_from(reader.varint()?).map_err(|_| reader.invalid("divisor"))?;
    let start = out.len();
    if order > 0 {
        out.push(0);
    }
    for _ in 1..order {
        out.push(reader.zigzag()?);
    }
    let mut left = count - usize::from(order);
    while left > 0 {
        let take = left.min(BLOCK);
        let min = reader.zigzag()?;
        let width = u32::from(reader.u8()?);
        if width > 64 {
            return Err(reader.invalid("bit width"));
        }
        if width == 0 {
            out.resize(out.len() + take, min);
        } else {
            let bytes = reader.bytes((take * width as usize).div_ceil(8))?;
            let mut bits = BitReader::new(bytes);
            for _ in 0..take {
                out.push(min.wrapping_add(bits.get(width)?.cast_signed()));
            }
        }
        left -= take;
    }
    let values = out.get_mut(start..).unwrap_or_default();
    for level in (1..=order).rev() {
        let mut previous = 0i64;
        for (at, value) in values.iter_mut().enumerate() {
            if at >= usize::from(level) {
                *value = value.wrapping_add(previous);
            }
            previous = *value;
        }
    }
    if divisor == 1 {
        values.iter_mut().for_each(|v| *v = v.wrapping_add(first));
    } else {
        values.iter_mut().for_each(|v| *v = v.wrapping_mul(divisor).wrapping_add(first));
    }
    Ok(())
}

fn block_shape(block: &[i64]) -> (i64, u32) {
    let min = block.iter().copied().min().unwrap_or(0);
    let max = block.iter().copied().max().unwrap_or(0);
    (min, 64 - max.wrapping_sub(min).cast_unsigned().leading_zeros())
}

fn packed_bits(values: &[i64]) -> usize {
    values
        .chunks(BLOCK)
        .map(|block| {
            let (min, width) = block_shape(block);
            // Header of a block: width byte and the minimum, counted roughly.
            16 + 64 - min.unsigned_abs().leading_zeros() as usize + width as usize * block.len()
        })
        .sum()
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        // Once the divisor is 1 it stays 1.
        if a == 1 {
            return 1;
        }
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[i64]) -> usize {
        let mut out = Vec::new();
        pack(values, &mut Scratch::default(), &mut out);
        let mut back = Vec::new();
        let mut reader = ByteReader::new(&out);
        unpack(&mut reader, values.len(), &mut back).expect("own output");
        assert!(reader.is_empty());
        assert_eq!(back, values);
        out.len()
    }

    #[test]
    fn regular_sequences_take_next_to_nothing() {
        let check = |values: Vec<i64>, max_bytes: usize| {
            let bytes = round_trip(&values);
            assert!(bytes <= max_bytes, "{bytes} bytes for {:?}...", &values[..3.min(values.len())]);
        };
        check(vec![7; 500], 20);
        check((0..500).map(|i| 1000 + i * 15).collect(), 20);
        check((0..500).map(|i| i * i).collect(), 24);
        check((0..512).map(|i| 4096 * (i % 16)).collect(), 512 / 2 + 32);
        check(vec![], 0);
        check(vec![i64::MIN], 24);
        check(vec![i64::MIN, i64::MAX, 0, -1], 64);
    }

    proptest! {
        #[test]
        fn any_integers_come_back(values in prop::collection::vec(prop_oneof![any::<i64>(), -1000i64..1000], 0..400)) {
            round_trip(&values);
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..600) {
            let _ = unpack(&mut ByteReader::new(&bytes), count, &mut Vec::new());
        }
    }
}
