//! The messages inside a metric of the protobuf format: totals, buckets, native histograms, labels, exemplars, times.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::series::SeriesError;
use crate::codec::CodecError;
use crate::codec::protobuf::{Field, each_field, push_floats, push_varints, sint32, uint32};
use crate::codec::reader::unzigzag;
use crate::model::LabelsBuf;
use crate::model::bounds::MAX_HISTOGRAM_CELLS;
use crate::model::histogram::{Span, Unchecked, UncheckedBuckets};
use crate::util::brief;

type Result<T> = std::result::Result<T, CodecError>;

/// What a summary or a histogram says of all its observations.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals<'a> {
    count: u64,
    count_float: f64,
    pub(super) sum: f64,
    /// The message that says when counting began.
    pub(super) created: Option<&'a [u8]>,
    /// It has buckets with bounds of their own.
    pub(super) has_buckets: bool,
    /// It has exemplars that are not of such buckets.
    pub(super) has_exemplars: bool,
    /// It has buckets of a native histogram, be they empty.
    pub(super) is_native: bool,
}

impl<'a> Totals<'a> {
    pub(super) fn of_summary(message: &'a [u8]) -> Result<Self> {
        let mut out = Self::default();
        each_field(message, |number, value| {
            match (number, value) {
                (1, Field::Varint(count)) => out.count = count,
                (2, Field::Fixed64(bits)) => out.sum = f64::from_bits(bits),
                (4, Field::Bytes(message)) => out.created = Some(message),
                _ => {}
            }
            Ok(())
        })?;
        Ok(out)
    }

    pub(super) fn of_histogram(message: &'a [u8]) -> Result<Self> {
        let mut out = Self::default();
        each_field(message, |number, value| {
            match (number, value) {
                (1, Field::Varint(count)) => out.count = count,
                (2, Field::Fixed64(bits)) => out.sum = f64::from_bits(bits),
                (3, Field::Bytes(_)) => out.has_buckets = true,
                (4, Field::Fixed64(bits)) => out.count_float = f64::from_bits(bits),
                (6, Field::Fixed64(bits)) => out.is_native |= f64::from_bits(bits) > 0.0,
                (7, Field::Varint(count)) => out.is_native |= count > 0,
                (9 | 12, Field::Bytes(_)) => out.is_native = true,
                (15, Field::Bytes(message)) => out.created = Some(message),
                (16, Field::Bytes(_)) => out.has_exemplars = true,
                _ => {}
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// All observations.
    pub(super) fn count(&self) -> f64 {
        float_or(self.count_float, self.count)
    }
}

/// The float if there is one, else the whole number.
fn float_or(float: f64, whole: u64) -> f64 {
    if float == 0.0 { whole as f64 } else { float }
}

/// A bucket of a classic histogram.
#[derive(Debug, Default)]
pub(super) struct ClassicBucket<'a> {
    pub(super) bound: f64,
    /// Of it and all buckets below.
    pub(super) count: f64,
    pub(super) exemplar: Option<&'a [u8]>,
}

impl<'a> ClassicBucket<'a> {
    pub(super) fn read(message: &'a [u8]) -> Result<Self> {
        let mut out = Self::default();
        let (mut whole, mut float) = (0, 0.0);
        each_field(message, |number, value| {
            match (number, value) {
                (1, Field::Varint(count)) => whole = count,
                (2, Field::Fixed64(bits)) => out.bound = f64::from_bits(bits),
                (3, Field::Bytes(message)) => out.exemplar = Some(message),
                (4, Field::Fixed64(bits)) => float = f64::from_bits(bits),
                _ => {}
            }
            Ok(())
        })?;
        out.count = float_or(float, whole);
        Ok(out)
    }
}

/// The native part of a histogram.
pub(super) fn read_histogram(message: &[u8]) -> Result<Unchecked> {
    let mut out = Unchecked::default();
    let Unchecked { positive, negative, .. } = &mut out;
    let (mut sum, mut schema, mut threshold) = (0.0, 0, 0.0);
    let (mut count, mut count_float, mut zero, mut zero_float) = (0, 0.0, 0, 0.0);
    each_field(message, |number, value| {
        match (number, value) {
            (1, Field::Varint(whole)) => count = whole,
            (2, Field::Fixed64(bits)) => sum = f64::from_bits(bits),
            (4, Field::Fixed64(bits)) => count_float = f64::from_bits(bits),
            (5, Field::Varint(number)) => schema = sint32(number),
            (6, Field::Fixed64(bits)) => threshold = f64::from_bits(bits),
            (7, Field::Varint(whole)) => zero = whole,
            (8, Field::Fixed64(bits)) => zero_float = f64::from_bits(bits),
            (9..=11, value) => push_buckets(negative, number - 9, value)?,
            (12..=14, value) => push_buckets(positive, number - 12, value)?,
            _ => {}
        }
        Ok(())
    })?;
    out.float = count_float > 0.0 || zero_float > 0.0;
    (out.sum, out.schema, out.zero_threshold) = (sum, schema, threshold);
    (out.count, out.count_float, out.zero_count, out.zero_count_float) =
        (count, count_float, zero, zero_float);
    Ok(out)
}

/// Takes a field of one sign: 0 a span, 1 differences, 2 counts.
fn push_buckets(side: &mut UncheckedBuckets, what: u64, value: Field<'_>) -> Result<()> {
    match (what, value) {
        (0, Field::Bytes(message)) => {
            let mut span = Span { offset: 0, length: 0 };
            each_field(message, |number, value| {
                match (number, value) {
                    (1, Field::Varint(offset)) => span.offset = sint32(offset),
                    (2, Field::Varint(length)) => span.length = uint32(length),
                    _ => {}
                }
                Ok(())
            })?;
            push(&mut side.spans, span);
            Ok(())
        }
        (1, value) => push_varints(value, |delta| push(&mut side.deltas, unzigzag(delta))),
        (2, value) => push_floats(value, |count| push(&mut side.counts, count)),
        _ => Ok(()),
    }
}

/// Appends one that may still be taken, and one more by which it is seen that there are too many.
fn push<T>(list: &mut Vec<T>, one: T) {
    if list.len() <= MAX_HISTOGRAM_CELLS {
        list.push(one);
    }
}

/// Appends the labels in field 1 of `message`.
pub(super) fn read_labels(message: &[u8], out: &mut LabelsBuf) -> std::result::Result<(), SeriesError> {
    let mut fault = None;
    let read = each_field(message, |number, value| {
        if let (1, Field::Bytes(pair)) = (number, value) {
            let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
            each_field(pair, |number, bytes| {
                match (number, bytes) {
                    (1, Field::Bytes(bytes)) => name = bytes,
                    (2, Field::Bytes(bytes)) => value = bytes,
                    _ => {}
                }
                Ok(())
            })?;
            match (std::str::from_utf8(name), std::str::from_utf8(value)) {
                (Ok(""), _) => fault = Some(SeriesError::Malformed("a label without a name".to_owned())),
                (Ok(name), Ok(value)) => out.append(name, value),
                _ => fault = Some(SeriesError::Utf8),
            }
        }
        Ok(())
    });
    match (fault, read) {
        (Some(fault), _) => Err(fault),
        (None, Err(error)) => Err(SeriesError::Malformed(brief(error))),
        (None, Ok(())) => Ok(()),
    }
}

/// Value and timestamp of an exemplar; its labels are put into `labels`.
pub(super) fn read_exemplar(
    message: &[u8],
    labels: &mut LabelsBuf,
) -> std::result::Result<(f64, Option<i64>), SeriesError> {
    let (mut number, mut timestamp) = (0.0, None);
    each_field(message, |field, value| {
        match (field, value) {
            (2, Field::Fixed64(bits)) => number = f64::from_bits(bits),
            (3, Field::Bytes(message)) => timestamp = millis(message),
            _ => {}
        }
        Ok(())
    })
    .map_err(|error| SeriesError::Malformed(brief(error)))?;
    labels.clear();
    read_labels(message, labels)?;
    labels.settle().map_err(|name| SeriesError::Duplicate(brief(name)))?;
    Ok((number, timestamp))
}

/// Milliseconds of a time in seconds and nanoseconds; `None` where that is no time.
pub(super) fn millis(message: &[u8]) -> Option<i64> {
    let (mut seconds, mut nanos) = (0, 0);
    each_field(message, |number, value| {
        match (number, value) {
            (1, Field::Varint(number)) => seconds = number.cast_signed(),
            (2, Field::Varint(number)) => nanos = number.cast_signed(),
            _ => {}
        }
        Ok(())
    })
    .ok()?;
    seconds.checked_mul(1000)?.checked_add(nanos / 1_000_000)
}
