//! Integer packing: differences of order 0 to 2, a common divisor, then blocks of 128.
//!
//! **Format**: `docs/format/chunks.md`, "Packed integers"; the blocks of version 1 are still read.
//! **Cost**: encoding tries the three orders on the whole input; decoding is one pass, block by block.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::packing::{self, BLOCK, Shape};
use crate::codec::bits::BitReader;
use crate::codec::{ByteReader, ByteWriter, CodecError};

/// Largest order of differences.
const MAX_ORDER: u8 = 2;
/// Added to the order by today's writer; without it the blocks are those of version 1.
const PATCHED_BLOCKS: u8 = 0x10;

/// Working memory of [`pack`], kept by the caller between calls.
#[derive(Debug, Default)]
pub struct Scratch {
    candidate: Vec<i64>,
    best: Vec<i64>,
    shapes: Vec<Shape>,
    best_shapes: Vec<Shape>,
}

/// Appends `values` to `out`. All arithmetic wraps, so every input is reproduced exactly.
pub fn pack(values: &[i64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    let Some(&first) = values.first() else { return };
    let divisor = common_divisor(first, values);
    let signed_divisor = i64::try_from(divisor).unwrap_or(1);

    let Scratch { candidate, best, shapes, best_shapes } = scratch;
    candidate.clear();
    // Dividing by 1 costs as much as by anything else: the common case goes without.
    if signed_divisor == 1 {
        candidate.extend(values.iter().map(|v| v.wrapping_sub(first)));
    } else {
        candidate.extend(values.iter().map(|v| v.wrapping_sub(first) / signed_divisor));
    }
    let mut best_order = 0;
    let mut best_bytes = measure(candidate, best_shapes);
    best.clone_from(candidate);
    for order in 1..=MAX_ORDER {
        let start = usize::from(order);
        // Two bytes a block is as small as it gets.
        if candidate.len() <= start || best_bytes <= 2 * candidate.len().div_ceil(BLOCK) {
            break;
        }
        // The first `order` entries stay as they are: they start the sums again.
        let mut previous = 0;
        for (at, value) in candidate.iter_mut().enumerate() {
            let current = *value;
            if at >= start {
                *value = current.wrapping_sub(previous);
            }
            previous = current;
        }
        let bytes = measure(candidate.get(start..).unwrap_or_default(), shapes);
        if bytes < best_bytes {
            best_bytes = bytes;
            best_order = order;
            best.clone_from(candidate);
            std::mem::swap(shapes, best_shapes);
        }
    }

    out.put_u8(best_order | PATCHED_BLOCKS);
    out.put_zigzag(first);
    out.put_varint(divisor);
    let (heads, body) = best.split_at(usize::from(best_order));
    // heads[0] is always zero: the first value stands outside.
    heads.iter().skip(1).for_each(|head| out.put_zigzag(*head));
    body.chunks(BLOCK).zip(best_shapes).for_each(|(block, shape)| shape.put(block, out));
}

/// The divisor of all differences to `first`, taken only when none of them overflows.
fn common_divisor(first: i64, values: &[i64]) -> u64 {
    let mut divisor = 0u64;
    for value in values {
        let Some(difference) = value.checked_sub(first) else { return 1 };
        if difference == 0 {
            continue;
        }
        divisor = gcd(divisor, difference.unsigned_abs());
        if divisor == 1 {
            return 1;
        }
    }
    if divisor > 1 && i64::try_from(divisor).is_ok() { divisor } else { 1 }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn measure(values: &[i64], shapes: &mut Vec<Shape>) -> usize {
    shapes.clear();
    shapes.extend(values.chunks(BLOCK).map(Shape::of));
    shapes.iter().map(|shape| shape.bytes).sum()
}

/// Appends `count` values read from `reader` to `out`.
///
/// # Errors
/// When the bytes are cut or damaged. `out` may then hold a part of the values.
pub fn unpack(reader: &mut ByteReader<'_>, count: usize, out: &mut Vec<i64>) -> Result<(), CodecError> {
    let mut blocks = Blocks::new(reader, count)?;
    let mut block = [0; BLOCK];
    while let Some(values) = blocks.next(&mut block)? {
        out.extend_from_slice(values);
    }
    Ok(())
}

/// Reads packed integers block by block.
pub(super) struct Blocks<'r, 'a> {
    reader: &'r mut ByteReader<'a>,
    order: u8,
    patched: bool,
    /// Values at the start that stand outside of blocks.
    heads: u8,
    head: i64,
    left: usize,
    first: i64,
    divisor: i64,
    sum: i64,
    difference: i64,
}

impl<'r, 'a> Blocks<'r, 'a> {
    /// Starts reading `count` values.
    ///
    /// # Errors
    /// When the bytes are cut or damaged.
    pub(super) fn new(reader: &'r mut ByteReader<'a>, count: usize) -> Result<Self, CodecError> {
        let (mut order, mut first, mut divisor, mut head, mut patched) = (0, 0, 1, 0, true);
        if count > 0 {
            let byte = reader.u8()?;
            order = byte & !PATCHED_BLOCKS;
            patched = byte & PATCHED_BLOCKS != 0;
            if order > MAX_ORDER || usize::from(order) > count {
                return Err(reader.invalid("order of differences"));
            }
            first = reader.zigzag()?;
            divisor = i64::try_from(reader.varint()?).map_err(|_| reader.invalid("divisor"))?;
            if order == 2 {
                head = reader.zigzag()?.wrapping_mul(divisor);
            }
        }
        let left = count - usize::from(order);
        let (sum, difference) = (first.wrapping_add(head), head);
        Ok(Self { reader, order, patched, heads: order, head, left, first, divisor, sum, difference })
    }

    /// The next values, none at the end.
    ///
    /// # Errors
    /// When the bytes are cut or damaged.
    pub(super) fn next<'b>(&mut self, block: &'b mut [i64; BLOCK]) -> Result<Option<&'b [i64]>, CodecError> {
        if self.heads > 0 {
            let heads = usize::from(std::mem::take(&mut self.heads));
            let [one, two, ..] = block;
            (*one, *two) = (self.first, self.first.wrapping_add(self.head));
            return Ok(block.get(..heads));
        }
        let take = self.left.min(BLOCK);
        if take == 0 {
            return Ok(None);
        }
        self.left -= take;
        if self.patched {
            packing::read_block(self.reader, take, block)?;
        } else {
            self.read_version_1(take, block)?;
        }
        let values = block.get_mut(..take).unwrap_or_default();
        // The divisor goes into the differences: all arithmetic wraps, so the sums are the same.
        if self.divisor != 1 {
            values.iter_mut().for_each(|v| *v = v.wrapping_mul(self.divisor));
        }
        match self.order {
            0 => values.iter_mut().for_each(|v| *v = v.wrapping_add(self.first)),
            1 => {
                let mut sum = self.sum;
                for value in values.iter_mut() {
                    sum = sum.wrapping_add(*value);
                    *value = sum;
                }
                self.sum = sum;
            }
            _ => {
                let (mut sum, mut difference) = (self.sum, self.difference);
                for value in values.iter_mut() {
                    difference = difference.wrapping_add(*value);
                    sum = sum.wrapping_add(difference);
                    *value = sum;
                }
                (self.sum, self.difference) = (sum, difference);
            }
        }
        Ok(Some(values))
    }

    /// Blocks as version 1 wrote them: minimum, width, bits from the highest to the lowest, no patches.
    fn read_version_1(&mut self, take: usize, block: &mut [i64; BLOCK]) -> Result<(), CodecError> {
        let min = self.reader.zigzag()?;
        let width = u32::from(self.reader.u8()?);
        if width > 64 {
            return Err(self.reader.invalid("bit width"));
        }
        let mut bits = BitReader::new(self.reader.bytes((take * width as usize).div_ceil(8))?);
        for value in block.iter_mut().take(take) {
            *value = min.wrapping_add(bits.get(width)?.cast_signed());
        }
        Ok(())
    }
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

    #[test]
    fn blocks_of_version_1_are_read() {
        // Order 1, first 100, divisor 5, differences 0, 1, 2, 3 in two bits each, then the same with order 2.
        let mut back = Vec::new();
        unpack(&mut ByteReader::new(&[1, 200, 1, 5, 0, 2, 0b0001_1011]), 5, &mut back).expect("order 1");
        assert_eq!(back, [100, 100, 105, 115, 130]);
        back.clear();
        unpack(&mut ByteReader::new(&[2, 200, 1, 5, 4, 2, 1, 0b1010_0000]), 5, &mut back).expect("order 2");
        assert_eq!(back, [100, 110, 130, 155, 190]);
        back.clear();
        unpack(&mut ByteReader::new(&[0, 200, 1, 5, 2, 0]), 3, &mut back).expect("order 0");
        assert_eq!(back, [105; 3]);
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
