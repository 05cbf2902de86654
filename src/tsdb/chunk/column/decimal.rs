//! Decimal values as integers: a power of ten for the whole column, and exceptions for what is no decimal.
//!
//! **Invariants**: an exponent is taken only if dividing gives back the very bits of every value that is no exception.

use super::{Wanted, entropy};
use crate::codec::{ByteReader, ByteWriter, CodecError};
use crate::model::{STALE_NAN_BITS, is_stale};
use crate::tsdb::chunk::ints::{self, Blocks};
use crate::tsdb::chunk::packing::BLOCK;

const POWERS_OF_TEN: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Whether a column whose head begins with this byte has no exceptions.
pub(super) fn has_no_exceptions(exponent: u8) -> bool {
    exponent & HAS_EXCEPTIONS == 0
}

/// Integers up to here are exact in a 64-bit float.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
/// In the byte of the exponent: exceptions follow.
const HAS_EXCEPTIONS: u8 = 0x10;
/// Corrections of more units than this are no rounding of a sum.
const MAX_CORRECTION: u64 = 1 << 12;
/// Values looked at to choose the exponent of a column with corrections.
const PROBES: usize = 32;

/// A column as integers and exceptions.
#[derive(Debug, Default)]
pub(super) struct Decimals {
    exponent: usize,
    /// One for each value; at an exception a copy of the one before.
    integers: Vec<i64>,
    exceptions: Vec<(usize, f64)>,
    corrections: Vec<i64>,
}

fn is_plain(value: f64) -> bool {
    value.is_finite() && (value != 0.0 || value.is_sign_positive())
}

/// The integer nearest to `scaled`, if it is exact in a float.
#[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number below 2^53")]
#[inline]
fn nearest(scaled: f64) -> Option<i64> {
    // Not `round`: without an instruction of its own on older processors it is a call. A tie may go either way.
    let whole = (scaled + 0.5f64.copysign(scaled)) as i64;
    (scaled.abs() < MAX_EXACT).then_some(whole)
}

/// The integer that divided by `power` gives the very bits of `value`.
#[inline]
fn to_integer(value: f64, power: f64) -> Option<i64> {
    nearest(value * power).filter(|i| (*i as f64 / power).to_bits() == value.to_bits())
}

impl Decimals {
    /// Takes in `values`; false when they are no decimals of one exponent.
    pub(super) fn scale(&mut self, values: &[f64]) -> bool {
        let mut exponent = 0;
        loop {
            // What is exact with one exponent is exact with every larger one, so it only ever grows.
            match self.scale_by(values, exponent) {
                Ok(()) => {
                    self.exponent = exponent;
                    return true;
                }
                Err(None) => return false,
                Err(Some(value)) => {
                    let fits =
                        |e: &usize| POWERS_OF_TEN.get(*e).is_some_and(|p| to_integer(value, *p).is_some());
                    let Some(larger) = (exponent + 1..POWERS_OF_TEN.len()).find(fits) else { return false };
                    exponent = larger;
                }
            }
        }
    }

    /// Fails with the value that needs another exponent, or with none if there are too many exceptions.
    fn scale_by(&mut self, values: &[f64], exponent: usize) -> Result<(), Option<f64>> {
        self.integers.clear();
        self.exceptions.clear();
        let power = POWERS_OF_TEN.get(exponent).copied().unwrap_or(1.0);
        let mut previous = 0;
        for (at, &value) in values.iter().enumerate() {
            if is_plain(value) {
                previous = to_integer(value, power).ok_or(Some(value))?;
            } else {
                self.exceptions.push((at, value));
                // More specials than plain values: the other modes serve better.
                if self.exceptions.len() * 2 > values.len() {
                    return Err(None);
                }
            }
            self.integers.push(previous);
        }
        self.lead_in();
        Ok(())
    }

    /// Exceptions before the first plain value take its integer, not zero.
    fn lead_in(&mut self) {
        let leading = self.exceptions.iter().enumerate().take_while(|(n, (at, _))| n == at).count();
        let Some(&first) = self.integers.get(leading) else { return };
        self.integers.iter_mut().take(leading).for_each(|i| *i = first);
    }

    fn put_head(&self, out: &mut Vec<u8>) {
        let flag = if self.exceptions.is_empty() { 0 } else { HAS_EXCEPTIONS };
        out.put_u8(self.exponent.to_le_bytes()[0] | flag);
        if self.exceptions.is_empty() {
            return;
        }
        out.put_len(self.exceptions.len());
        let mut next = 0;
        for &(at, value) in &self.exceptions {
            out.put_len(at - next);
            next = at + 1;
            if is_stale(value) {
                out.put_u8(1);
            } else {
                out.put_u8(0);
                out.put_f64(value);
            }
        }
    }

    /// The whole column as first value and step, mode byte included, if it is one.
    pub(super) fn put_linear(&self, out: &mut Vec<u8>) -> bool {
        let [first, second, ..] = *self.integers.as_slice() else { return false };
        let step = second.wrapping_sub(first);
        let even = self.integers.is_sorted_by(|a, b| b.wrapping_sub(*a) == step);
        if !even || !self.exceptions.is_empty() {
            return false;
        }
        out.put_u8(super::mode::LINEAR);
        self.put_head(out);
        out.put_zigzag(first);
        out.put_zigzag(step);
        true
    }

    /// Head and packed integers.
    pub(super) fn put_packed(&self, scratch: &mut ints::Scratch, out: &mut Vec<u8>) {
        self.put_head(out);
        ints::pack(&self.integers, scratch, out);
    }

    /// Head, first value, then where it changes by how much; false if it changes often.
    pub(super) fn put_sparse(&self, out: &mut Vec<u8>) -> bool {
        let changes = || {
            self.integers.iter().zip(self.integers.iter().skip(1)).enumerate().filter(|(_, (a, b))| a != b)
        };
        let count = changes().count();
        if count * 4 > self.integers.len() {
            return false;
        }
        self.put_head(out);
        out.put_zigzag(self.integers.first().copied().unwrap_or(0));
        out.put_len(count);
        let mut next = 0;
        for (at, _) in changes() {
            out.put_len(at - next);
            next = at + 1;
        }
        for (_, (before, after)) in changes() {
            out.put_zigzag(after.wrapping_sub(*before));
        }
        true
    }

    /// Head and the integers compressed.
    pub(super) fn put_entropy(&self, out: &mut Vec<u8>) -> bool {
        self.put_head(out);
        entropy::put_integers(&self.integers, out)
    }

    /// Head, length of the packed integers, these, and packed corrections; false if the values are not near decimals.
    pub(super) fn put_corrected(
        &mut self,
        values: &[f64],
        scratch: &mut ints::Scratch,
        out: &mut Vec<u8>,
    ) -> bool {
        let stride = values.len().div_ceil(PROBES).max(1);
        let near = |value: f64, power: f64| {
            nearest(value * power)
                .is_some_and(|i| correction(value, i, power).unsigned_abs() <= MAX_CORRECTION)
        };
        let probes = || values.iter().step_by(stride).filter(|v| is_plain(**v));
        let wanted = probes().count();
        let fits = |power: &f64| probes().filter(|v| near(**v, *power)).count() * 10 >= wanted * 9;
        let Some(exponent) = POWERS_OF_TEN.iter().position(fits) else { return false };
        let power = POWERS_OF_TEN.get(exponent).copied().unwrap_or(1.0);
        self.exponent = exponent;
        self.integers.clear();
        self.exceptions.clear();
        self.corrections.clear();
        let mut previous = 0;
        for (at, &value) in values.iter().enumerate() {
            let mut off = 0;
            match nearest(value * power).filter(|_| is_plain(value)) {
                Some(integer) => {
                    previous = integer;
                    off = correction(value, integer, power);
                }
                None => self.exceptions.push((at, value)),
            }
            self.integers.push(previous);
            self.corrections.push(off);
        }
        if self.exceptions.len() * 2 > values.len() {
            return false;
        }
        self.lead_in();
        self.put_head(out);
        let mut packed = Vec::new();
        ints::pack(&self.integers, scratch, &mut packed);
        out.put_len(packed.len());
        out.put_bytes(&packed);
        ints::pack(&self.corrections, scratch, out);
        true
    }
}

/// A column of nothing but `value`, mode byte included, if that is a short decimal.
pub(super) fn put_constant(value: f64, out: &mut Vec<u8>) -> bool {
    if !is_plain(value) {
        return false;
    }
    // Three bytes of integer at most, else the eight bytes of the float are hardly longer.
    let short = |e: &usize| {
        let integer = POWERS_OF_TEN.get(*e).and_then(|power| to_integer(value, *power));
        integer.is_some_and(|i| i.unsigned_abs() < 1 << 20)
    };
    let Some(exponent) = (0..4).find(short) else { return false };
    let integer = POWERS_OF_TEN.get(exponent).and_then(|power| to_integer(value, *power));
    out.put_u8(super::mode::LINEAR);
    out.put_u8(exponent.to_le_bytes()[0]);
    out.put_zigzag(integer.unwrap_or(0));
    out.put_zigzag(0);
    true
}

/// Units of the last place from `integer / power` to `value`.
fn correction(value: f64, integer: i64, power: f64) -> i64 {
    value.to_bits().wrapping_sub((integer as f64 / power).to_bits()).cast_signed()
}

/// Exponent and exceptions of a stored column.
struct Head {
    power: f64,
    exceptions: Vec<(usize, f64)>,
}

impl Head {
    fn read(reader: &mut ByteReader<'_>, count: usize) -> Result<Self, CodecError> {
        let byte = reader.u8()?;
        let power = POWERS_OF_TEN.get(usize::from(byte & !HAS_EXCEPTIONS));
        let power = *power.ok_or_else(|| reader.invalid("exponent"))?;
        let exceptions =
            if byte & HAS_EXCEPTIONS == 0 { Vec::new() } else { read_exceptions(reader, count)? };
        Ok(Self { power, exceptions })
    }

    /// Appends `integers` as values.
    #[inline]
    fn convert(&self, integers: &[i64], out: &mut Vec<f64>) {
        if self.power == 1.0 {
            out.extend(integers.iter().map(|i| *i as f64));
        } else {
            out.extend(integers.iter().map(|i| *i as f64 / self.power));
        }
    }

    /// Puts the exceptions among the wanted values, which are the last of `out`.
    fn finish(self, wanted: Wanted, out: &mut [f64]) {
        let base = out.len().saturating_sub(wanted.end - wanted.start);
        for (at, value) in self.exceptions {
            if let Some(slot) = at.checked_sub(wanted.start).and_then(|at| out.get_mut(base + at)) {
                *slot = value;
            }
        }
    }
}

fn read_exceptions(reader: &mut ByteReader<'_>, count: usize) -> Result<Vec<(usize, f64)>, CodecError> {
    let exceptions = reader.len("exception count", count)?;
    let mut out = Vec::with_capacity(exceptions);
    let mut next = 0usize;
    for _ in 0..exceptions {
        let at = next + reader.len("exception position", count)?;
        if at >= count {
            return Err(reader.invalid("exception position"));
        }
        next = at + 1;
        let value = if reader.u8()? == 1 { f64::from_bits(STALE_NAN_BITS) } else { reader.f64()? };
        out.push((at, value));
    }
    Ok(out)
}

/// The part of a block, whose first value is number `at`, that is wanted.
#[inline]
fn part(values: &[i64], at: usize, wanted: Wanted) -> &[i64] {
    let start = wanted.start.saturating_sub(at).min(values.len());
    let end = wanted.end.saturating_sub(at).min(values.len());
    values.get(start..end).unwrap_or_default()
}

fn read_blocks(
    reader: &mut ByteReader<'_>,
    count: usize,
    wanted: Wanted,
    mut each: impl FnMut(&[i64]),
) -> Result<(), CodecError> {
    let mut blocks = Blocks::new(reader, count)?;
    let mut block = [0; BLOCK];
    let mut at = 0;
    while at < wanted.end
        && let Some(values) = blocks.next(&mut block)?
    {
        each(part(values, at, wanted));
        at += values.len();
    }
    Ok(())
}

pub(super) fn read_version_1(
    reader: &mut ByteReader<'_>,
    count: usize,
    wanted: Wanted,
    out: &mut Vec<f64>,
) -> Result<(), CodecError> {
    let power = POWERS_OF_TEN.get(usize::from(reader.u8()?));
    let power = *power.ok_or_else(|| reader.invalid("exponent"))?;
    let head = Head { power, exceptions: read_exceptions(reader, count)? };
    read_blocks(reader, count, wanted, |integers| head.convert(integers, out))?;
    head.finish(wanted, out);
    Ok(())
}

pub(super) fn read_packed(
    reader: &mut ByteReader<'_>,
    count: usize,
    wanted: Wanted,
    out: &mut Vec<f64>,
) -> Result<(), CodecError> {
    let head = Head::read(reader, count)?;
    out.reserve(wanted.end - wanted.start);
    read_blocks(reader, count, wanted, |integers| head.convert(integers, out))?;
    head.finish(wanted, out);
    Ok(())
}

pub(super) fn read_linear(
    reader: &mut ByteReader<'_>,
    wanted: Wanted,
    out: &mut Vec<f64>,
) -> Result<(), CodecError> {
    let head = Head::read(reader, 0)?;
    let (first, step) = (reader.zigzag()?, reader.zigzag()?);
    let start = first.wrapping_add(step.wrapping_mul(i64::try_from(wanted.start).unwrap_or(0)));
    let mut next = start;
    out.extend((wanted.start..wanted.end).map(|_| {
        let value = next as f64 / head.power;
        next = next.wrapping_add(step);
        value
    }));
    Ok(())
}

pub(super) fn read_sparse(
    reader: &mut ByteReader<'_>,
    count: usize,
    wanted: Wanted,
    out: &mut Vec<f64>,
) -> Result<(), CodecError> {
    let head = Head::read(reader, count)?;
    let mut value = reader.zigzag()?;
    let changes = reader.len("number of changes", count)?;
    let mut gaps = reader.clone();
    for _ in 0..changes {
        reader.varint()?;
    }
    let base = out.len();
    // The values before the wanted ones are passed over, not written.
    let mut at = 0usize;
    let fill = |value: i64, until: usize, out: &mut Vec<f64>| {
        let len = base + until.min(wanted.end).saturating_sub(wanted.start);
        if len > out.len() {
            out.resize(len, value as f64 / head.power);
        }
    };
    for _ in 0..changes {
        at += gaps.len("position of a change", count)? + 1;
        if at >= count {
            return Err(reader.invalid("position of a change"));
        }
        fill(value, at, out);
        value = value.wrapping_add(reader.zigzag()?);
    }
    fill(value, count, out);
    head.finish(wanted, out);
    Ok(())
}

pub(super) fn read_corrected(
    reader: &mut ByteReader<'_>,
    count: usize,
    wanted: Wanted,
    out: &mut Vec<f64>,
) -> Result<(), CodecError> {
    let head = Head::read(reader, count)?;
    let len = reader.len("length of integers", reader.remaining())?;
    let mut integers = ByteReader::new(reader.bytes(len)?);
    let base = out.len();
    read_blocks(&mut integers, count, wanted, |integers| head.convert(integers, out))?;
    let mut values = out.get_mut(base..).unwrap_or_default().iter_mut();
    read_blocks(reader, count, wanted, |corrections| {
        for (off, value) in corrections.iter().zip(values.by_ref()) {
            *value = f64::from_bits(value.to_bits().wrapping_add(off.cast_unsigned()));
        }
    })?;
    head.finish(wanted, out);
    Ok(())
}

pub(super) fn read_entropy(
    reader: &mut ByteReader<'_>,
    count: usize,
    wanted: Wanted,
    out: &mut Vec<f64>,
) -> Result<(), CodecError> {
    let head = Head::read(reader, count)?;
    entropy::read_integers(reader.bytes(reader.remaining())?, count, |integers| {
        head.convert(integers.get(wanted.start..wanted.end).unwrap_or_default(), out);
    })?;
    head.finish(wanted, out);
    Ok(())
}
