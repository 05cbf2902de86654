//! The `Histogram` message, the same in both versions of remote write.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use crate::codec::protobuf::{Field, Result, each_field, push_floats, push_varints, sint32, uint32};
use crate::codec::reader::unzigzag;
use crate::model::Histogram;
use crate::model::histogram::{HistogramFault, ResetHint, Span, Unchecked};

/// Reads a message: its timestamp in milliseconds, and the histogram or what is wrong with it.
///
/// # Errors
/// When the bytes are no such message.
pub fn read(bytes: &[u8]) -> Result<(i64, std::result::Result<Histogram, HistogramFault>)> {
    let (timestamp, message) = decode(bytes)?;
    Ok((timestamp, message.check()))
}

fn decode(bytes: &[u8]) -> Result<(i64, Unchecked)> {
    let mut out = Unchecked::default();
    let mut timestamp = 0;
    each_field(bytes, |number, value| {
        match (number, value) {
            (1, Field::Varint(count)) => (out.count, out.float) = (count, false),
            (2, Field::Fixed64(bits)) => (out.count_float, out.float) = (f64::from_bits(bits), true),
            (3, Field::Fixed64(bits)) => out.sum = f64::from_bits(bits),
            (4, Field::Varint(schema)) => out.schema = sint32(schema),
            (5, Field::Fixed64(bits)) => out.zero_threshold = f64::from_bits(bits),
            (6, Field::Varint(count)) => out.zero_count = count,
            (7, Field::Fixed64(bits)) => out.zero_count_float = f64::from_bits(bits),
            (8, Field::Bytes(span)) => out.negative.spans.push(read_span(span)?),
            (9, value) => push_varints(value, |delta| out.negative.deltas.push(unzigzag(delta)))?,
            (10, value) => push_floats(value, |n| out.negative.counts.push(n))?,
            (11, Field::Bytes(span)) => out.positive.spans.push(read_span(span)?),
            (12, value) => push_varints(value, |delta| out.positive.deltas.push(unzigzag(delta)))?,
            (13, value) => push_floats(value, |n| out.positive.counts.push(n))?,
            (14, Field::Varint(hint)) => {
                out.reset_hint = match hint {
                    1 => ResetHint::Reset,
                    2 => ResetHint::NotReset,
                    3 => ResetHint::Gauge,
                    _ => ResetHint::Unknown,
                };
            }
            (15, Field::Varint(time)) => timestamp = time.cast_signed(),
            (16, value) => push_floats(value, |n| out.custom_values.push(n))?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((timestamp, out))
}

fn read_span(bytes: &[u8]) -> Result<Span> {
    let mut span = Span { offset: 0, length: 0 };
    each_field(bytes, |number, value| {
        match (number, value) {
            (1, Field::Varint(offset)) => span.offset = sint32(offset),
            (2, Field::Varint(length)) => span.length = uint32(length),
            _ => {}
        }
        Ok(())
    })?;
    Ok(span)
}

#[cfg(test)]
#[path = "histogram_tests.rs"]
mod tests;
