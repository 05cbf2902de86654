//! Columns: the values of a complete chunk, bit-exact for every 64-bit float.
//!
//! Decimal values (`0.25`, `1024`) become integers by a power of ten that gives back the very same bits, and are
//! packed as such (`decimal`); sums of decimals keep what they are off in units of the last place. The rest is coded
//! by XOR with the value before (`xor`), by `pco` (`entropy`), or stored as it is.
//!
//! **Format**: `docs/format/chunks.md`, "Columns".
//! **Cost**: [`encode`] builds a few candidates and keeps the smallest; with [`Effort::Thorough`] also those that take
//! a compressor. Decoding works on 128 values at a time.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod decimal;
mod entropy;
pub(super) mod mode;
mod wanted;
mod xor;

use super::ints;
use crate::codec::{ByteReader, ByteWriter, CodecError};
use crate::model::STALE_NAN_BITS;

use wanted::Wanted;
pub(super) use xor::XorState;

/// How much work a column is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// What the head can afford for every 120 samples of every series.
    #[default]
    Quick,
    /// What is written to a block, once.
    Thorough,
}

/// Working memory of [`encode`], kept by the caller between calls.
#[derive(Debug, Default)]
pub struct Scratch {
    effort: Effort,
    decimals: decimal::Decimals,
    candidate: Vec<u8>,
    ints: ints::Scratch,
}

impl Scratch {
    /// Working memory for columns of that effort.
    pub fn new(effort: Effort) -> Self {
        Self { effort, ..Self::default() }
    }
}

/// Appends the column of `values` to `out`.
pub fn encode(values: &[f64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    let Some(first) = values.first() else { return };
    if values.iter().all(|v| v.to_bits() == first.to_bits()) {
        if !decimal::put_constant(*first, out) {
            out.put_u8(mode::CONSTANT);
            out.put_f64(*first);
        }
        return;
    }
    let Scratch { effort, decimals, candidate, ints } = scratch;
    let mut best = Best { start: out.len(), out, candidate };
    let thorough = *effort == Effort::Thorough;
    let is_decimal = decimals.scale(values);
    if is_decimal {
        if decimals.put_linear(best.out) {
            return;
        }
        best.out.put_u8(mode::PACKED);
        decimals.put_packed(ints, best.out);
        best.offer(100, |out| {
            out.put_u8(mode::SPARSE);
            decimals.put_sparse(out)
        });
    }
    // The others win over integers only where those are wide.
    if !is_decimal || best.len() >= values.len() * 4 {
        best.offer(100, |out| {
            out.put_u8(mode::RAW);
            values.iter().for_each(|v| out.put_f64(*v));
            true
        });
        best.offer(100, |out| {
            out.put_u8(mode::XOR);
            out.put_bytes(&xor::encode(values));
            true
        });
        best.offer(100, |out| {
            out.put_u8(mode::CORRECTED);
            decimals.put_corrected(values, ints, out)
        });
    }
    if thorough && values.len() >= entropy::MIN_SAMPLES && best.len() >= entropy::MIN_BYTES {
        // Several times slower to decode: it has to save 3 %, and a sixteenth of a byte a sample. Columns of less
        // than that are left to the compressor of the bundle.
        let most = best.len().saturating_sub(values.len() / 16);
        if is_decimal {
            best.offer(97, |out| {
                out.put_u8(mode::PCO_DECIMAL);
                decimals.scale(values) && decimals.put_entropy(out) && out.len() <= most
            });
        } else {
            best.offer(97, |out| {
                out.put_u8(mode::PCO_FLOAT);
                entropy::put_floats(values, out) && out.len() <= most
            });
        }
    }
}

/// The smallest column so far, at the end of `out`.
struct Best<'a> {
    start: usize,
    out: &'a mut Vec<u8>,
    candidate: &'a mut Vec<u8>,
}

impl Best<'_> {
    fn len(&self) -> usize {
        self.out.len() - self.start
    }

    /// Takes what `put` writes if it says that it can, and needs at most `percent` of the bytes so far.
    fn offer(&mut self, percent: usize, put: impl FnOnce(&mut Vec<u8>) -> bool) {
        self.candidate.clear();
        let fits = put(self.candidate);
        if fits && (self.len() == 0 || self.candidate.len() * 100 < self.len() * percent) {
            self.out.truncate(self.start);
            self.out.extend_from_slice(self.candidate);
        }
    }
}

/// Appends the `count` values of column `bytes` to `out`.
///
/// # Errors
/// When the bytes are cut or damaged.
pub fn decode(bytes: &[u8], count: usize, out: &mut Vec<f64>) -> Result<(), CodecError> {
    decode_range(bytes, count, 0, count, out)
}

/// Appends the values from number `start` to before `end` of column `bytes`, which has `count`, to `out`.
///
/// # Errors
/// When the bytes are cut or damaged. `out` may then hold some values more.
pub fn decode_range(
    bytes: &[u8],
    count: usize,
    start: usize,
    end: usize,
    out: &mut Vec<f64>,
) -> Result<(), CodecError> {
    let wanted = Wanted { start, end: end.min(count) };
    if wanted.start >= wanted.end {
        return Ok(());
    }
    if count > super::MAX_COLUMN_SAMPLES {
        return Err(CodecError::Invalid { what: "column length", at: 0 });
    }
    let mut reader = ByteReader::new(bytes);
    match reader.u8()? {
        mode::CONSTANT => {
            let value = reader.f64()?;
            out.resize(out.len() + wanted.end - wanted.start, value);
            Ok(())
        }
        mode::DECIMAL => decimal::read_version_1(&mut reader, count, wanted, out),
        mode::XOR => xor::decode(reader.bytes(reader.remaining())?, wanted, out),
        mode::RAW => {
            let bytes = reader.bytes(count * 8)?;
            let floats = bytes.as_chunks::<8>().0.get(wanted.start..wanted.end).unwrap_or_default();
            out.extend(floats.iter().map(|chunk| f64::from_bits(u64::from_le_bytes(*chunk))));
            Ok(())
        }
        mode::LINEAR => decimal::read_linear(&mut reader, wanted, out),
        mode::SPARSE => decimal::read_sparse(&mut reader, count, wanted, out),
        mode::PACKED => decimal::read_packed(&mut reader, count, wanted, out),
        mode::CORRECTED => decimal::read_corrected(&mut reader, count, wanted, out),
        mode::PCO_DECIMAL => decimal::read_entropy(&mut reader, count, wanted, out),
        mode::PCO_FLOAT => {
            let floats = entropy::read_floats(reader.bytes(reader.remaining())?, count)?;
            out.extend_from_slice(floats.get(wanted.start..wanted.end).unwrap_or_default());
            Ok(())
        }
        _ => Err(CodecError::Invalid { what: "column mode", at: 0 }),
    }
}

/// Whether the column surely holds no stale marker, as its first bytes say.
pub fn is_plain(bytes: &[u8]) -> bool {
    match bytes {
        [mode::CONSTANT, value @ ..] => value.first_chunk::<8>() != Some(&STALE_NAN_BITS.to_le_bytes()),
        [mode::LINEAR | mode::SPARSE | mode::PACKED | mode::CORRECTED | mode::PCO_DECIMAL, exponent, ..] => {
            decimal::has_no_exceptions(*exponent)
        }
        _ => false,
    }
}

/// The column that stands for the one `distance` columns before it in the block.
pub fn encode_duplicate(distance: u64, out: &mut Vec<u8>) {
    out.put_u8(mode::DUPLICATE);
    out.put_varint(distance);
}

/// The distance to the column that `bytes` stand for, if they are no column themselves.
///
/// # Errors
/// When the bytes are cut or damaged.
pub fn duplicate_distance(bytes: &[u8]) -> Result<Option<u64>, CodecError> {
    let mut reader = ByteReader::new(bytes);
    if reader.u8()? != mode::DUPLICATE {
        return Ok(None);
    }
    match reader.varint()? {
        0 => Err(reader.invalid("distance of a duplicate")),
        distance => Ok(Some(distance)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[f64]) -> usize {
        let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let mut len = 0;
        for effort in [Effort::Thorough, Effort::Quick] {
            let mut out = Vec::new();
            encode(values, &mut Scratch::new(effort), &mut out);
            let mut back = Vec::new();
            decode(&out, values.len(), &mut back).expect("own output");
            assert_eq!(bits(&back), bits(values));
            assert!(!is_plain(&out) || bits(values).iter().all(|bits| *bits != STALE_NAN_BITS));
            let (start, end) = (values.len() / 3, values.len() / 3 * 2);
            back.clear();
            decode_range(&out, values.len(), start, end, &mut back).expect("own output");
            assert_eq!(bits(&back), bits(&values[start..end]));
            len = out.len();
        }
        len
    }

    fn mode_of(values: &[f64], effort: Effort) -> u8 {
        let mut out = Vec::new();
        encode(values, &mut Scratch::new(effort), &mut out);
        out[0]
    }

    #[test]
    fn each_kind_of_values_has_its_mode() {
        let noise = |i: u32| {
            let mixed = i.wrapping_mul(2_654_435_761);
            let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca6b);
            f64::from((mixed ^ (mixed >> 13)) >> 12)
        };
        let check = |values: Vec<f64>, expected: u8| {
            round_trip(&values);
            assert_eq!(mode_of(&values, Effort::Quick), expected);
            let mut out = Vec::new();
            encode(&values, &mut Scratch::new(Effort::Quick), &mut out);
            assert_eq!(is_plain(&out), !matches!(expected, mode::XOR | mode::RAW), "mode {expected}");
        };
        check(vec![0.1 + 0.2; 300], mode::CONSTANT);
        check(vec![0.25; 300], mode::LINEAR);
        check((0..300).map(|i| f64::from(i * 15) / 10.0).collect(), mode::LINEAR);
        check((0..300).map(|i| f64::from(i / 100) * 7.0).collect(), mode::SPARSE);
        check(
            (0..300).map(|i| noise(i) % 97.0 / 100.0).map(|v| (v * 100.0).round() / 100.0).collect(),
            mode::PACKED,
        );
        let mut sum = 0.0;
        let sums = (0..300).map(|i| {
            sum += (noise(i) % 50.0).round() / 100.0;
            sum
        });
        check(sums.collect(), mode::CORRECTED);
        check((0..300).map(|i| f64::from(i / 30).sqrt()).collect(), mode::XOR);
        check(
            (0..300u64).map(|i| f64::from_bits(i.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect(),
            mode::RAW,
        );
        // Mostly small, every fifth or so up to 4,096.
        let skewed =
            |i: u32| if noise(i * i) % 5.0 == 0.0 { noise(i * 3 + i * i) % 4096.0 } else { noise(i) % 4.0 };
        let skewed: Vec<f64> = (0..2000).map(skewed).collect();
        round_trip(&skewed);
        assert_eq!(mode_of(&skewed, Effort::Thorough), mode::PCO_DECIMAL);
        let thirds: Vec<f64> = (0..2000).map(|i| noise(i) % 1000.0 / 3.0).collect();
        round_trip(&thirds);
        assert_eq!(mode_of(&thirds, Effort::Thorough), mode::PCO_FLOAT);
    }

    #[test]
    fn columns_of_version_1_are_read() {
        // Exponent 1, one exception at 1 (stale), integers 0, 0, 1, 1 as order 0.
        let column = [mode::DECIMAL, 1, 1, 1, 1, 0, 20, 5, 0, 1, 0b0011_0000];
        let mut back = Vec::new();
        decode(&column, 4, &mut back).expect("column");
        assert_eq!(
            back.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
            [1.0f64.to_bits(), STALE_NAN_BITS, 1.5f64.to_bits(), 1.5f64.to_bits()]
        );
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
