//! Columns: the values of a complete chunk, bit-exact for every 64-bit float.
//!
//! Decimal values (`0.25`, `1024`) become integers by a power of ten that gives back the very same bits, and are
//! packed as such; the rest is coded by XOR with the value before, or stored as it is.
//!
//! **Format**: `docs/format/chunks.md`, "Columns".

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::ints;
use crate::codec::bits::{BitReader, BitWriter};
use crate::codec::{ByteReader, ByteWriter, CodecError};
use crate::model::{STALE_NAN_BITS, is_stale};

/// First byte of a column.
mod mode {
    /// One value for all samples: 8 bytes.
    pub(super) const CONSTANT: u8 = 1;
    /// Exponent, exceptions, packed integers.
    pub(super) const DECIMAL: u8 = 2;
    /// Each value as the difference in bits to the one before.
    pub(super) const XOR: u8 = 3;
    /// 8 bytes a value.
    pub(super) const RAW: u8 = 4;
}

const POWERS_OF_TEN: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Integers up to here are exact in a 64-bit float.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Working memory of [`encode`], kept by the caller between calls.
#[derive(Debug, Default)]
pub struct Scratch {
    scaled: Vec<i64>,
    exceptions: Vec<(usize, f64)>,
    ints: ints::Scratch,
}

/// Appends the column of `values` to `out`.
pub fn encode(values: &[f64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    let Some(first) = values.first() else { return };
    if values.iter().all(|v| v.to_bits() == first.to_bits()) {
        out.put_u8(mode::CONSTANT);
        out.put_f64(*first);
        return;
    }
    let start = out.len();
    if scale(values, scratch) {
        out.put_u8(mode::DECIMAL);
        put_decimal(scratch, out);
        // XOR wins over integers only where those are wide.
        if out.len() - start < values.len() * 4 {
            return;
        }
    }
    let xor = xor_bits(values);
    let decimal_len = out.len() - start;
    let raw_len = values.len() * 8;
    if decimal_len > 0 && decimal_len <= xor.len().min(raw_len) {
        return;
    }
    out.truncate(start);
    if xor.len() < raw_len {
        out.put_u8(mode::XOR);
        out.put_bytes(&xor);
    } else {
        out.put_u8(mode::RAW);
        values.iter().for_each(|v| out.put_f64(*v));
    }
}

/// Appends the `count` values of column `bytes` to `out`.
///
/// # Errors
/// When the bytes are cut or damaged.
pub fn decode(bytes: &[u8], count: usize, out: &mut Vec<f64>) -> Result<(), CodecError> {
    if count == 0 {
        return Ok(());
    }
    let mut reader = ByteReader::new(bytes);
    match reader.u8()? {
        mode::CONSTANT => {
            let value = reader.f64()?;
            out.resize(out.len() + count, value);
            Ok(())
        }
        mode::DECIMAL => read_decimal(&mut reader, count, out),
        mode::XOR => read_xor(reader.bytes(reader.remaining())?, count, out),
        mode::RAW => {
            for _ in 0..count {
                out.push(reader.f64()?);
            }
            Ok(())
        }
        _ => Err(CodecError::Invalid { what: "column mode", at: 0 }),
    }
}

/// Splits `values` into scaled integers and exceptions; false when they are no decimals. The exponent is left
/// as the last entry of `scaled`.
fn scale(values: &[f64], scratch: &mut Scratch) -> bool {
    scratch.scaled.clear();
    scratch.exceptions.clear();
    let is_plain = |v: f64| v.is_finite() && (v != 0.0 || v.is_sign_positive());
    let mut exponent = 0usize;
    for &value in values.iter().filter(|v| is_plain(**v)) {
        // What is exact with one exponent is exact with every larger one, so it only ever grows.
        loop {
            let Some(power) = POWERS_OF_TEN.get(exponent) else { return false };
            if to_integer(value, *power).is_some() {
                break;
            }
            exponent += 1;
        }
    }
    let Some(power) = POWERS_OF_TEN.get(exponent) else { return false };
    let mut previous = 0;
    for (at, &value) in values.iter().enumerate() {
        if is_plain(value) {
            match to_integer(value, *power) {
                Some(integer) => previous = integer,
                // Too large for the exponent that another value needs.
                None => return false,
            }
        } else {
            scratch.exceptions.push((at, value));
            // More specials than plain values: the other modes serve better.
            if scratch.exceptions.len() * 2 > values.len() {
                return false;
            }
        }
        scratch.scaled.push(previous);
    }
    scratch.scaled.push(i64::try_from(exponent).unwrap_or(0));
    true
}

#[expect(clippy::cast_possible_truncation, reason = "the value is a whole number below 2^53")]
fn to_integer(value: f64, power: f64) -> Option<i64> {
    let scaled = (value * power).round();
    (scaled.abs() < MAX_EXACT && (scaled / power).to_bits() == value.to_bits()).then_some(scaled as i64)
}

fn put_decimal(scratch: &mut Scratch, out: &mut Vec<u8>) {
    let exponent = scratch.scaled.pop().unwrap_or(0);
    out.put_u8(exponent.to_le_bytes()[0]);
    out.put_len(scratch.exceptions.len());
    let mut next = 0;
    for &(at, value) in &scratch.exceptions {
        out.put_len(at - next);
        next = at + 1;
        if is_stale(value) {
            out.put_u8(1);
        } else {
            out.put_u8(0);
            out.put_f64(value);
        }
    }
    ints::pack(&scratch.scaled, &mut scratch.ints, out);
}

fn read_decimal(reader: &mut ByteReader<'_>, count: usize, out: &mut Vec<f64>) -> Result<(), CodecError> {
    let exponent = reader.u8()?;
    let power = *POWERS_OF_TEN.get(usize::from(exponent)).ok_or_else(|| reader.invalid("exponent"))?;
    let exceptions = reader.len("exception count", count)?;
    let start = out.len();
    let mut specials = Vec::new();
    let mut next = 0usize;
    for _ in 0..exceptions {
        let at = next + reader.len("exception position", count)?;
        if at >= count {
            return Err(reader.invalid("exception position"));
        }
        next = at + 1;
        let value = if reader.u8()? == 1 { f64::from_bits(STALE_NAN_BITS) } else { reader.f64()? };
        specials.push((at, value));
    }
    let mut scaled = Vec::with_capacity(count);
    ints::unpack(reader, count, &mut scaled)?;
    if exponent == 0 {
        out.extend(scaled.iter().map(|i| *i as f64));
    } else {
        out.extend(scaled.iter().map(|i| *i as f64 / power));
    }
    for (at, value) in specials {
        if let Some(slot) = out.get_mut(start + at) {
            *slot = value;
        }
    }
    Ok(())
}

/// Value bits: `0` equal to the last; `10` fits the last window; `11`, leading zeros (6), length (6), bits.
fn xor_bits(values: &[f64]) -> Vec<u8> {
    let mut bits = BitWriter::new();
    let mut state = XorState::default();
    for value in values {
        state.put(value.to_bits(), &mut bits);
    }
    bits.into_bytes()
}

fn read_xor(bytes: &[u8], count: usize, out: &mut Vec<f64>) -> Result<(), CodecError> {
    let mut bits = BitReader::new(bytes);
    let mut state = XorState::default();
    for _ in 0..count {
        out.push(f64::from_bits(state.get(&mut bits)?));
    }
    Ok(())
}

/// The running state of XOR coding, shared with the open chunk of the head.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct XorState {
    last: u64,
    shift: u8,
    width: u8,
}

impl XorState {
    pub(super) fn put(&mut self, value: u64, bits: &mut BitWriter) {
        let difference = value ^ self.last;
        self.last = value;
        if difference == 0 {
            bits.put(0, 1);
            return;
        }
        let shift = difference.trailing_zeros();
        let width = 64 - difference.leading_zeros() - shift;
        let (old_shift, old_width) = (u32::from(self.shift), u32::from(self.width));
        // The old window is used again unless it wastes more than a new header costs.
        if old_width > 0
            && shift >= old_shift
            && shift + width <= old_shift + old_width
            && old_width <= width + 12
        {
            bits.put(0b10, 2);
            bits.put(difference >> old_shift, old_width);
        } else {
            bits.put(0b11, 2);
            bits.put(u64::from(shift), 6);
            // A width of 64 is stored as 0: there is no width 0 here.
            bits.put(u64::from(width % 64), 6);
            bits.put(difference >> shift, width);
            self.shift = shift.to_le_bytes()[0];
            self.width = width.to_le_bytes()[0];
        }
    }

    pub(super) fn get(&mut self, bits: &mut BitReader<'_>) -> Result<u64, CodecError> {
        if bits.get(1)? == 1 {
            if bits.get(1)? == 1 {
                self.shift = bits.get(6)?.to_le_bytes()[0];
                let width = bits.get(6)?.to_le_bytes()[0];
                self.width = if width == 0 { 64 } else { width };
            }
            let part = bits.get(u32::from(self.width))?;
            // A damaged window may reach past the top; the bits are then lost, not a panic.
            self.last ^= part.checked_shl(u32::from(self.shift)).unwrap_or(0);
        }
        Ok(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[f64]) -> usize {
        let mut out = Vec::new();
        encode(values, &mut Scratch::default(), &mut out);
        let mut back = Vec::new();
        decode(&out, values.len(), &mut back).expect("own output");
        let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(values));
        out.len()
    }

    #[test]
    fn sizes_by_class() {
        let check = |name: &str, values: Vec<f64>, max_bytes: usize| {
            let bytes = round_trip(&values);
            assert!(bytes <= max_bytes, "{name}: {bytes} bytes");
        };
        check("constant", vec![1.5; 120], 9);
        check("constant stale", vec![f64::from_bits(STALE_NAN_BITS); 120], 9);
        check("counter", (0..120).map(|i| f64::from(i * 10 + i % 3)).collect(), 120 * 3 / 8 + 16);
        check("cents", (0..120).map(|i| f64::from(i % 50) / 100.0).collect(), 120);
        check("full mantissa", (0..120).map(|i| f64::from(i).sqrt()).collect(), 120 * 8 + 1);
    }

    #[test]
    fn specials_come_back_bit_for_bit() {
        let stale = f64::from_bits(STALE_NAN_BITS);
        let mut values: Vec<f64> = (0..50).map(f64::from).collect();
        values.extend([stale, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, stale, f64::MAX]);
        round_trip(&values);
        values.pop();
        round_trip(&values);
        round_trip(&[stale, 1.0]);
        round_trip(&[-0.0, 0.0]);
        round_trip(&[9_007_199_254_740_993.0, 0.1]);
        round_trip(&[0.1, 1e300, 5e-324]);
    }

    proptest! {
        #[test]
        fn any_floats_come_back(values in prop::collection::vec(prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-100_000i32..100_000).prop_map(|i| f64::from(i) / 100.0),
            (0u32..9).prop_map(f64::from),
        ], 0..300)) {
            round_trip(&values);
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..600) {
            let _ = decode(&bytes, count, &mut Vec::new());
        }
    }
}
