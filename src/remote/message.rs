//! The `WriteRequest` message of remote write 1.0, read in place.
//!
//! Only what is stored is looked at; strings and samples are borrowed from the request body, so that a request of
//! known series allocates nothing per series. Field numbers are those of the public protocol definition.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use crate::codec::{ByteReader, CodecError};

type Result<T> = std::result::Result<T, CodecError>;

/// One field of a protobuf message.
enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

fn field<'a>(reader: &mut ByteReader<'a>) -> Result<(u64, Field<'a>)> {
    let tag = reader.varint()?;
    let value = match tag & 7 {
        0 => Field::Varint(reader.varint()?),
        1 => Field::Fixed64(reader.u64()?),
        2 => {
            let len = reader.len("field length", reader.remaining())?;
            Field::Bytes(reader.bytes(len)?)
        }
        5 => {
            reader.u32()?;
            Field::Fixed32
        }
        _ => return Err(reader.invalid("protobuf wire type")),
    };
    Ok((tag >> 3, value))
}

/// The parts of one time series.
#[derive(Debug, Default)]
pub struct Series<'a> {
    /// Bytes of names and values, in the order they were sent; not yet known to be text.
    pub labels: Vec<(&'a [u8], &'a [u8])>,
    /// Timestamps in milliseconds and values.
    pub samples: Vec<(i64, f64)>,
    /// Native histograms that came along.
    pub histograms: usize,
}

/// Calls `visit` with each series of a request. The series is reused between calls.
///
/// # Errors
/// When the bytes are no such message; series before the damage have been visited.
pub fn each_series<'a>(body: &'a [u8], mut visit: impl FnMut(&Series<'a>)) -> Result<()> {
    let mut reader = ByteReader::new(body);
    let mut series = Series::default();
    while !reader.is_empty() {
        match field(&mut reader)? {
            (1, Field::Bytes(bytes)) => {
                read_series(bytes, &mut series)?;
                visit(&series);
            }
            (0 | 1, _) => return Err(reader.invalid("protobuf field")),
            _ => {}
        }
    }
    Ok(())
}

fn read_series<'a>(bytes: &'a [u8], out: &mut Series<'a>) -> Result<()> {
    out.labels.clear();
    out.samples.clear();
    out.histograms = 0;
    let mut reader = ByteReader::new(bytes);
    while !reader.is_empty() {
        match field(&mut reader)? {
            (1, Field::Bytes(label)) => out.labels.push(match usual_label(label) {
                Some(usual) => usual,
                None => read_label(label)?,
            }),
            (2, Field::Bytes(sample)) => out.samples.push(match usual_sample(sample) {
                Some(usual) => usual,
                None => read_sample(sample)?,
            }),
            (4, Field::Bytes(_)) => out.histograms += 1,
            _ => {}
        }
    }
    Ok(())
}

/// A label as every sender writes it: name, then value, both shorter than 128 bytes, nothing else.
fn usual_label(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[0x0a, name_len], rest) = bytes.split_first_chunk()? else { return None };
    let (name, rest) = rest.split_at_checked(usize::from(name_len)).filter(|_| name_len < 0x80)?;
    let (&[0x12, value_len], value) = rest.split_first_chunk()? else { return None };
    (value_len < 0x80 && value.len() == usize::from(value_len)).then_some((name, value))
}

/// A sample as every sender writes it: the value, then a timestamp of today.
fn usual_sample(bytes: &[u8]) -> Option<(i64, f64)> {
    let (&[0x09], rest) = bytes.split_first_chunk()? else { return None };
    let (value, rest) = rest.split_first_chunk::<8>()?;
    let (&[0x10], rest) = rest.split_first_chunk()? else { return None };
    let (last, before) = rest.split_last().filter(|(_, before)| before.len() == 5)?;
    if before.iter().any(|byte| *byte < 0x80) || *last >= 0x80 {
        return None;
    }
    let timestamp = rest.iter().rev().fold(0, |sum, byte| sum << 7 | i64::from(byte & 0x7f));
    Some((timestamp, f64::from_le_bytes(*value)))
}

fn read_label(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let mut reader = ByteReader::new(bytes);
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    while !reader.is_empty() {
        match field(&mut reader)? {
            (1, Field::Bytes(text)) => name = text,
            (2, Field::Bytes(text)) => value = text,
            _ => {}
        }
    }
    Ok((name, value))
}

fn read_sample(bytes: &[u8]) -> Result<(i64, f64)> {
    let mut reader = ByteReader::new(bytes);
    let (mut timestamp, mut value) = (0, 0.0);
    while !reader.is_empty() {
        match field(&mut reader)? {
            (1, Field::Fixed64(bits)) => value = f64::from_bits(bits),
            (2, Field::Varint(time)) => timestamp = time.cast_signed(),
            _ => {}
        }
    }
    Ok((timestamp, value))
}

/// Appends a series to a request being made: what a sender does. Used by benches and tests.
pub fn put_series<'a>(
    out: &mut Vec<u8>,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    samples: &[(i64, f64)],
) {
    use crate::codec::ByteWriter as _;
    let put_bytes = |out: &mut Vec<u8>, number: u8, bytes: &[u8]| {
        out.put_u8(number << 3 | 2);
        out.put_len(bytes.len());
        out.put_bytes(bytes);
    };
    let (mut series, mut part) = (Vec::new(), Vec::new());
    for (name, value) in labels {
        part.clear();
        put_bytes(&mut part, 1, name.as_bytes());
        put_bytes(&mut part, 2, value.as_bytes());
        put_bytes(&mut series, 1, &part);
    }
    for (timestamp, value) in samples {
        part.clear();
        part.put_u8(1 << 3 | 1);
        part.put_f64(*value);
        part.put_u8(2 << 3);
        part.put_varint(timestamp.cast_unsigned());
        put_bytes(&mut series, 2, &part);
    }
    put_bytes(out, 1, &series);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_back_what_a_sender_writes() {
        let mut body = Vec::new();
        put_series(
            &mut body,
            [("__name__", "up"), ("job", "x")].into_iter(),
            &[(-5, 1.5), (7, f64::INFINITY)],
        );
        put_series(&mut body, [("__name__", "down")].into_iter(), &[]);
        // Metadata (field 3) is passed over.
        body.extend_from_slice(&[3 << 3 | 2, 2, 0x08, 0x01]);
        let mut seen = Vec::new();
        each_series(&body, |s| seen.push((s.labels.clone(), s.samples.clone()))).expect("own output");
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].0, [(&b"__name__"[..], &b"up"[..]), (b"job", b"x")]);
        assert_eq!(seen[0].1, [(-5, 1.5), (7, f64::INFINITY)]);
    }

    proptest! {
        #[test]
        fn the_usual_forms_are_read_as_all_others(
            name in "[a-z]{0,200}", value in "\\PC{0,80}", timestamp: i64, now in 0i64..1 << 43, float: f64,
        ) {
            let mut body = Vec::new();
            let samples = [(timestamp, float), (now, 1.0), (1_700_000_000_000, float)];
            put_series(&mut body, [(name.as_str(), value.as_str())].into_iter(), &samples);
            each_series(&body, |series| {
                assert_eq!(series.labels, [(name.as_bytes(), value.as_bytes())]);
                let bits = |s: &[(i64, f64)]| s.iter().map(|(t, v)| (*t, v.to_bits())).collect::<Vec<_>>();
                assert_eq!(bits(&series.samples), bits(&samples));
            }).expect("own output");
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = each_series(&bytes, |_| {});
        }
    }
}
