//! The `WriteRequest` message of remote write 1.0, read in place.
//!
//! Strings and samples are borrowed from the request body, so that a request of known series allocates nothing per
//! series; exemplars and native histograms are read one by one when they are stored. Field numbers are those of the public protocol definition.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use crate::codec::ByteReader;
use crate::codec::protobuf::{self as wire, Field, Result, each_field, field};
use crate::model::{Metadata, MetricType};

/// The parts of one time series.
#[derive(Debug, Default)]
pub struct Series<'a> {
    /// Bytes of names and values, in the order they were sent; not yet known to be text.
    pub labels: Vec<(&'a [u8], &'a [u8])>,
    /// Timestamps in milliseconds and values.
    pub samples: Vec<(i64, f64)>,
    /// Native histograms that came along, for [`super::histogram::read`].
    pub histograms: Vec<&'a [u8]>,
    /// Exemplars that came along, for [`read_exemplar`].
    pub exemplars: Vec<&'a [u8]>,
}

/// Calls `visit` with each series of a request. The series is reused between calls. Says whether there is metadata,
/// for [`each_family`].
///
/// # Errors
/// When the bytes are no such message; series before the damage have been visited.
pub fn each_series<'a>(body: &'a [u8], mut visit: impl FnMut(&Series<'a>)) -> Result<bool> {
    let mut reader = ByteReader::new(body);
    let mut series = Series::default();
    let mut metadata = false;
    while !reader.is_empty() {
        match field(&mut reader)? {
            (1, Field::Bytes(bytes)) => {
                read_series(bytes, &mut series)?;
                visit(&series);
            }
            (3, Field::Bytes(_)) => metadata = true,
            (0 | 1, _) => return Err(reader.invalid("protobuf field")),
            _ => {}
        }
    }
    Ok(metadata)
}

fn read_series<'a>(bytes: &'a [u8], out: &mut Series<'a>) -> Result<()> {
    out.labels.clear();
    out.samples.clear();
    out.histograms.clear();
    out.exemplars.clear();
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
            (3, Field::Bytes(exemplar)) => out.exemplars.push(exemplar),
            (4, Field::Bytes(histogram)) => out.histograms.push(histogram),
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

/// An exemplar as it was sent.
#[derive(Debug, Default)]
pub struct ExemplarParts<'a> {
    /// Bytes of names and values, in the order they were sent; not yet known to be text.
    pub labels: Vec<(&'a [u8], &'a [u8])>,
    /// Its value.
    pub value: f64,
    /// In milliseconds; 0 says that there is none.
    pub timestamp: i64,
}

/// Reads one of [`Series::exemplars`].
///
/// # Errors
/// When the bytes are no such message.
pub fn read_exemplar(bytes: &[u8]) -> Result<ExemplarParts<'_>> {
    let mut out = ExemplarParts::default();
    each_field(bytes, |number, value| {
        match (number, value) {
            (1, Field::Bytes(label)) => out.labels.push(read_label(label)?),
            (2, Field::Fixed64(bits)) => out.value = f64::from_bits(bits),
            (3, Field::Varint(time)) => out.timestamp = time.cast_signed(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(out)
}

/// Calls `visit` with the name of each metric family that a request describes, and what it says of it. Texts that are
/// no UTF-8 are passed over.
///
/// # Errors
/// When the bytes are no such message; families before the damage have been visited.
pub fn each_family(body: &[u8], mut visit: impl FnMut(&str, Metadata)) -> Result<()> {
    each_field(body, |number, value| {
        let (3, Field::Bytes(message)) = (number, value) else { return Ok(()) };
        let (mut kind, mut name, mut help, mut unit) = (0, &[][..], &[][..], &[][..]);
        each_field(message, |number, value| {
            match (number, value) {
                (1, Field::Varint(number)) => kind = number,
                (2, Field::Bytes(text)) => name = text,
                (4, Field::Bytes(text)) => help = text,
                (5, Field::Bytes(text)) => unit = text,
                _ => {}
            }
            Ok(())
        })?;
        let text = |bytes| std::str::from_utf8(bytes).ok();
        if let (Some(name), Some(help), Some(unit)) = (text(name), text(help), text(unit)) {
            let kind = MetricType::from_number(kind);
            visit(name, Metadata { kind, help: help.to_owned(), unit: unit.to_owned() });
        }
        Ok(())
    })
}

/// Appends a series to a request being made: what a sender does. Used by benches and tests.
pub fn put_series<'a>(
    out: &mut Vec<u8>,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    samples: &[(i64, f64)],
) {
    let (mut series, mut part) = (Vec::new(), Vec::new());
    for (name, value) in labels {
        part.clear();
        wire::put_bytes(&mut part, 1, name.as_bytes());
        wire::put_bytes(&mut part, 2, value.as_bytes());
        wire::put_bytes(&mut series, 1, &part);
    }
    for (timestamp, value) in samples {
        part.clear();
        wire::put_float(&mut part, 1, *value);
        wire::put_varint(&mut part, 2, timestamp.cast_unsigned());
        wire::put_bytes(&mut series, 2, &part);
    }
    wire::put_bytes(out, 1, &series);
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
        let mut family = Vec::new();
        wire::put_varint(&mut family, 1, 4);
        wire::put_bytes(&mut family, 2, b"up");
        wire::put_bytes(&mut family, 4, b"Is it?");
        wire::put_bytes(&mut body, 3, &family);
        let mut seen = Vec::new();
        let metadata = each_series(&body, |s| seen.push((s.labels.clone(), s.samples.clone())));
        assert_eq!(metadata, Ok(true));
        let mut families = Vec::new();
        each_family(&body, |name, said| families.push((name.to_owned(), said))).expect("own output");
        let said =
            Metadata { kind: MetricType::GaugeHistogram, help: "Is it?".to_owned(), unit: String::new() };
        assert_eq!(families, [("up".to_owned(), said)]);
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
            let _ = each_family(&bytes, |_, _| {});
            let _ = read_exemplar(&bytes);
        }
    }
}
