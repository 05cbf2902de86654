//! Values as differences in bits to the value before.
//!
//! **Cost**: decoding branches on every value; columns of decimals never come here.

use super::Wanted;
use crate::codec::CodecError;
use crate::codec::bits::{BitReader, BitWriter, PEEK_BITS, top};

/// Value bits: `0` equal to the last; `10` fits the last window; `11`, leading zeros (6), length (6), bits.
pub(super) fn encode(values: &[f64]) -> Vec<u8> {
    let mut bits = BitWriter::new();
    let mut state = XorState::default();
    for value in values {
        state.put(value.to_bits(), 0, |value, width| bits.put(value, width));
    }
    bits.into_bytes()
}

/// Appends the wanted values.
pub(super) fn decode(bytes: &[u8], wanted: Wanted, out: &mut Vec<f64>) -> Result<(), CodecError> {
    let mut bits = BitReader::new(bytes);
    let mut state = XorState::default();
    for at in 0..wanted.end {
        let value = f64::from_bits(state.get(&mut bits, 0)?);
        if at >= wanted.start {
            out.push(value);
        }
    }
    Ok(())
}

/// The running state of XOR coding, shared with the open chunk of the head.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::tsdb::chunk) struct XorState {
    pub(in crate::tsdb::chunk) last: u64,
    pub(in crate::tsdb::chunk) shift: u8,
    pub(in crate::tsdb::chunk) width: u8,
}

impl XorState {
    /// Codes `value` after `lead` zero bits, at most 8: calls `put` with the lowest bits of a number and how many these
    /// are, once or twice.
    #[inline]
    pub(in crate::tsdb::chunk) fn put(&mut self, value: u64, lead: u32, mut put: impl FnMut(u64, u32)) {
        let difference = value ^ self.last;
        self.last = value;
        if difference == 0 {
            return put(0, lead + 1);
        }
        let shift = difference.trailing_zeros();
        let width = 64 - difference.leading_zeros() - shift;
        let (old_shift, old_width) = (u32::from(self.shift), u32::from(self.width));
        // The old window is used again unless it wastes more than a new header costs.
        let stays = old_width > 0
            && shift >= old_shift
            && shift + width <= old_shift + old_width
            && old_width <= width + 12;
        let (header, header_width, part, width) = if stays {
            (0b10, lead + 2, difference >> old_shift, old_width)
        } else {
            self.shift = shift.to_le_bytes()[0];
            self.width = width.to_le_bytes()[0];
            // A width of 64 is stored as 0: there is no width 0 here.
            (
                0b11 << 12 | u64::from(shift) << 6 | u64::from(width % 64),
                lead + 14,
                difference >> shift,
                width,
            )
        };
        if header_width + width <= u64::BITS {
            put(header << width | part, header_width + width);
        } else {
            put(header, header_width);
            put(part, width);
        }
    }

    /// The next value. `lead` bits before it are known and not taken yet.
    #[inline]
    pub(in crate::tsdb::chunk) fn get(
        &mut self,
        bits: &mut BitReader<'_>,
        lead: u32,
    ) -> Result<u64, CodecError> {
        let word = bits.peek() << lead;
        let header = match word >> 62 {
            0 | 1 => {
                bits.skip(lead + 1)?;
                return Ok(self.last);
            }
            2 => lead + 2,
            _ => {
                self.shift = top(word << 2, 6).to_le_bytes()[0];
                let width = top(word << 8, 6).to_le_bytes()[0];
                self.width = if width == 0 { 64 } else { width };
                lead + 14
            }
        };
        let width = u32::from(self.width);
        let part = if header + width <= PEEK_BITS {
            bits.skip(header + width)?;
            top(word << (header - lead), width)
        } else {
            bits.skip(header)?;
            bits.get(width)?
        };
        // A damaged window may reach past the top; the bits are then lost, not a panic.
        self.last ^= part.checked_shl(u32::from(self.shift)).unwrap_or(0);
        Ok(self.last)
    }
}
