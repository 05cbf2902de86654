//! Numbers inside chunks: prefixed signed and unsigned numbers, floats as the difference to the one before.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use crate::codec::CodecError;
use crate::codec::bits::{BitReader, BitWriter};

type Result<T> = std::result::Result<T, CodecError>;

/// Bits of the number after a prefix of one, two, ... set bits; eight set bits stand for a whole number.
const WIDTHS: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];

/// Whether `value` fits `width` bits, of which the highest alone is positive still.
pub(crate) fn fits(value: i64, width: u32) -> bool {
    let half = 1i64 << (width - 1);
    -(half - 1) <= value && value <= half
}

/// The number that was stored in `width` bits by the rule of [`fits`].
pub(crate) fn signed(stored: u64, width: u32) -> i64 {
    if stored > 1 << (width - 1) {
        stored.wrapping_sub(1 << width).cast_signed()
    } else {
        stored.cast_signed()
    }
}

/// A prefix of `ones` set bits and a clear one.
fn put_prefix(out: &mut BitWriter, ones: u32) {
    out.put((1 << (ones + 1)) - 2, ones + 1);
}

pub(crate) fn put_signed(out: &mut BitWriter, value: i64) {
    if value == 0 {
        return out.put(0, 1);
    }
    for (ones, width) in (1..).zip(WIDTHS) {
        if fits(value, width) {
            put_prefix(out, ones);
            return out.put(value.cast_unsigned(), width);
        }
    }
    out.put(0xff, 8);
    out.put(value.cast_unsigned(), 64);
}

pub(crate) fn put_unsigned(out: &mut BitWriter, value: u64) {
    if value == 0 {
        return out.put(0, 1);
    }
    for (ones, width) in (1..).zip(WIDTHS) {
        if value >> width == 0 {
            put_prefix(out, ones);
            return out.put(value, width);
        }
    }
    out.put(0xff, 8);
    out.put(value, 64);
}

/// Width of the number that follows: 0 for a zero.
fn width(bits: &mut BitReader<'_>) -> Result<u32> {
    if bits.get(1)? == 0 {
        return Ok(0);
    }
    for width in WIDTHS {
        if bits.get(1)? == 0 {
            return Ok(width);
        }
    }
    Ok(64)
}

pub(crate) fn get_signed(bits: &mut BitReader<'_>) -> Result<i64> {
    match width(bits)? {
        0 => Ok(0),
        64 => Ok(bits.get(64)?.cast_signed()),
        width => Ok(signed(bits.get(width)?, width)),
    }
}

pub(crate) fn get_unsigned(bits: &mut BitReader<'_>) -> Result<u64> {
    let width = width(bits)?;
    bits.get(width)
}

/// A number of seven bits a byte, lowest first, in the midst of bits.
pub(crate) fn put_varint(out: &mut BitWriter, mut value: u64) {
    while value > 0x7f {
        out.put(value & 0x7f | 0x80, 8);
        value >>= 7;
    }
    out.put(value, 8);
}

pub(crate) fn get_varint(bits: &mut BitReader<'_>) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = bits.get(8)?;
        if shift == 63 && byte > 1 {
            break;
        }
        value |= (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(CodecError::Invalid { what: "number", at: 0 })
}

/// A float that is stored as what changed since the last.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct XorFloat {
    /// Bits of the last value.
    pub(crate) last: u64,
    /// Leading and trailing clear bits of the last difference that said so.
    window: Option<(u32, u32)>,
}

impl XorFloat {
    pub(crate) fn new(value: f64) -> Self {
        Self { last: value.to_bits(), window: None }
    }

    pub(crate) fn value(self) -> f64 {
        f64::from_bits(self.last)
    }

    pub(crate) fn put(&mut self, out: &mut BitWriter, value: f64) {
        let change = value.to_bits() ^ self.last;
        self.last = value.to_bits();
        if change == 0 {
            return out.put(0, 1);
        }
        // Five bits are kept for it.
        let leading = change.leading_zeros().min(31);
        let trailing = change.trailing_zeros();
        if let Some((known_leading, known_trailing)) = self.window
            && leading >= known_leading
            && trailing >= known_trailing
        {
            out.put(0b10, 2);
            return out.put(change >> known_trailing, 64 - known_leading - known_trailing);
        }
        self.window = Some((leading, trailing));
        let width = 64 - leading - trailing;
        out.put(0b11, 2);
        out.put(u64::from(leading), 5);
        // 64 does not fit six bits and becomes 0, which is not needed otherwise.
        out.put(u64::from(width), 6);
        out.put(change >> trailing, width);
    }

    pub(crate) fn get(&mut self, bits: &mut BitReader<'_>) -> Result<f64> {
        if bits.get(1)? == 0 {
            return Ok(self.value());
        }
        let (leading, trailing) = if bits.get(1)? == 0 {
            self.window.unwrap_or((0, 0))
        } else {
            let leading = u32::try_from(bits.get(5)?).unwrap_or(0);
            let width = match u32::try_from(bits.get(6)?).unwrap_or(0) {
                0 => 64,
                width => width,
            };
            let used = leading + width;
            let trailing = 64u32.checked_sub(used);
            let trailing = trailing.ok_or(CodecError::Invalid { what: "width of a value", at: 0 })?;
            self.window = Some((leading, trailing));
            (leading, trailing)
        };
        self.last ^= bits.get(64 - leading - trailing)? << trailing;
        Ok(self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let mut out = BitWriter::new();
        let mut edges = vec![0i64, i64::MAX, i64::MIN];
        for width in WIDTHS {
            let half = 1i64 << (width - 1);
            edges.extend([half, half + 1, -half, 1 - half]);
        }
        for edge in &edges {
            put_signed(&mut out, *edge);
            put_unsigned(&mut out, edge.cast_unsigned());
            put_varint(&mut out, edge.cast_unsigned());
        }
        let mut bits = BitReader::new(out.as_bytes());
        for edge in &edges {
            assert_eq!(get_signed(&mut bits), Ok(*edge));
            assert_eq!(get_unsigned(&mut bits), Ok(edge.cast_unsigned()));
            assert_eq!(get_varint(&mut bits), Ok(edge.cast_unsigned()));
        }
        assert_eq!((signed(4, 3), signed(5, 3), fits(4, 3), fits(-4, 3)), (4, -3, true, false));
    }
}
