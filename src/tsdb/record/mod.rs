//! Payloads of log records: label pairs, series, samples, start timestamps, exemplars, metadata.
//!
//! **Format**: `docs/format/records.md`. The first byte of a payload is its type. A file of the log stands for
//! itself: label pairs are numbered within it, and a value is coded against the value of its series before it in the
//! same file.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod exemplars;
pub mod histograms;
pub mod metadata;
pub mod samples;
pub mod starts;
pub mod v1;

use super::SeriesRef;
use crate::codec::{ByteReader, ByteWriter, CodecError};
use crate::model::LabelsBuf;
use crate::model::bounds::MAX_LABELS;
pub use samples::{LoggedSample, SampleHeader};
pub use starts::LoggedStart;

/// Type bytes. 1 to 3 are those of the first version, see [`v1`].
pub(crate) mod kind {
    pub(crate) const SERIES_V1: u8 = 1;
    pub(crate) const SCRAPE_V1: u8 = 2;
    pub(crate) const SAMPLES_V1: u8 = 3;
    pub(crate) const PAIRS: u8 = 4;
    pub(crate) const SERIES: u8 = 5;
    pub(crate) const SAMPLES: u8 = 6;
    pub(crate) const DELETE: u8 = 7;
    pub(crate) const HISTOGRAMS: u8 = 8;
    pub(crate) const EXEMPLARS: u8 = 9;
    pub(crate) const METADATA: u8 = 10;
    pub(crate) const LATE: u8 = 11;
    pub(crate) const STARTS: u8 = 12;
    pub(crate) const LATE_STARTS: u8 = 13;
}

/// Appends the payload that gives the next numbers of the file to label pairs.
pub fn put_pairs<'a>(out: &mut Vec<u8>, pairs: impl ExactSizeIterator<Item = (&'a str, &'a str)>) {
    out.put_u8(kind::PAIRS);
    out.put_len(pairs.len());
    for (name, value) in pairs {
        out.put_text(name);
        out.put_text(value);
    }
}

/// Appends the payload of new series, each with the numbers of its label pairs in name order.
pub fn put_series(out: &mut Vec<u8>, series: &[(SeriesRef, Vec<u32>)]) {
    out.put_u8(kind::SERIES);
    out.put_len(series.len());
    let mut next = 0u64;
    for (reference, pairs) in series {
        out.put_zigzag(reference.0.wrapping_sub(next).cast_signed());
        next = reference.0.wrapping_add(1);
        out.put_len(pairs.len());
        let mut previous = 0i64;
        for pair in pairs {
            out.put_zigzag(i64::from(*pair) - previous);
            previous = i64::from(*pair);
        }
    }
}

/// Appends the payload that deletes the samples of `series` (ascending) from `start` to `end` (milliseconds, inside).
pub fn put_delete(out: &mut Vec<u8>, series: &[SeriesRef], start: i64, end: i64) {
    out.put_u8(kind::DELETE);
    out.put_zigzag(start);
    out.put_zigzag(end);
    out.put_len(series.len());
    let mut next = 0u64;
    for reference in series {
        out.put_zigzag(reference.0.wrapping_sub(next).cast_signed());
        next = reference.0.wrapping_add(1);
    }
}

/// A decoded deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// First millisecond that goes.
    pub start: i64,
    /// Last millisecond that goes.
    pub end: i64,
    /// From which series.
    pub series: Vec<SeriesRef>,
}

/// Reads what [`put_delete`] wrote.
///
/// # Errors
/// When it is cut or damaged.
pub fn read_delete(payload: &[u8]) -> Result<Deletion, CodecError> {
    let mut reader = ByteReader::new(payload);
    reader.u8()?;
    let (start, end) = (reader.zigzag()?, reader.zigzag()?);
    let count = reader.len("series count", reader.remaining())?;
    let mut series = Vec::with_capacity(count);
    let mut next = 0u64;
    for _ in 0..count {
        let reference = next.wrapping_add(reader.zigzag()?.cast_unsigned());
        series.push(SeriesRef(reference));
        next = reference.wrapping_add(1);
    }
    Ok(Deletion { start, end, series })
}

/// The type of a payload.
///
/// # Errors
/// When it is empty or of an unknown type.
pub fn kind_of(payload: &[u8]) -> Result<u8, CodecError> {
    match payload.first() {
        Some(kind @ kind::SERIES_V1..=kind::LATE_STARTS) => Ok(*kind),
        _ => Err(CodecError::Invalid { what: "record type", at: 0 }),
    }
}

/// The label pairs of one file by number.
#[derive(Debug, Default)]
pub struct PairNames {
    pairs: Vec<(Box<str>, Box<str>)>,
}

impl PairNames {
    /// Reads what [`put_pairs`] wrote.
    ///
    /// # Errors
    /// When it is cut or damaged.
    pub fn add(&mut self, payload: &[u8]) -> Result<(), CodecError> {
        let mut reader = ByteReader::new(payload);
        reader.u8()?;
        let count = reader.len("pair count", reader.remaining())?;
        for _ in 0..count {
            self.pairs.push((reader.text()?.into(), reader.text()?.into()));
        }
        if reader.is_empty() { Ok(()) } else { Err(reader.invalid("record length")) }
    }

    /// Reads what [`put_series`] wrote, calling `visit` with each series and its labels.
    ///
    /// # Errors
    /// When it is cut or damaged, or `visit` says so.
    pub fn each_series(
        &self,
        payload: &[u8],
        mut visit: impl FnMut(SeriesRef, &LabelsBuf) -> Result<(), CodecError>,
    ) -> Result<(), CodecError> {
        let mut buf = LabelsBuf::new();
        each_reference(payload, |reference, reader| {
            buf.clear();
            let mut number = 0i64;
            for _ in 0..reader.len("label count", MAX_LABELS)? {
                number = number.wrapping_add(reader.zigzag()?);
                let pair = usize::try_from(number).ok().and_then(|n| self.pairs.get(n));
                let (name, value) = pair.ok_or_else(|| reader.invalid("label pair"))?;
                buf.set(name, value);
            }
            visit(reference, &buf)
        })
    }
}

/// Calls `visit` with each reference of a [`put_series`] payload.
///
/// # Errors
/// When it is cut or damaged.
pub fn each_new_series(payload: &[u8], mut visit: impl FnMut(SeriesRef)) -> Result<(), CodecError> {
    each_reference(payload, |reference, reader| {
        for _ in 0..reader.len("label count", MAX_LABELS)? {
            reader.zigzag()?;
        }
        visit(reference);
        Ok(())
    })
}

fn each_reference(
    payload: &[u8],
    mut visit: impl FnMut(SeriesRef, &mut ByteReader<'_>) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    let mut reader = ByteReader::new(payload);
    reader.u8()?;
    let mut next = 0u64;
    for _ in 0..reader.len("series count", reader.remaining())? {
        let reference = next.wrapping_add(reader.zigzag()?.cast_unsigned());
        next = reference.wrapping_add(1);
        visit(SeriesRef(reference), &mut reader)?;
    }
    if reader.is_empty() { Ok(()) } else { Err(reader.invalid("record length")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;
    use proptest::prelude::*;

    #[test]
    fn series_and_deletions_come_back() {
        let (mut pairs, mut series, mut delete) = (Vec::new(), Vec::new(), Vec::new());
        put_pairs(&mut pairs, [("__name__", "up"), ("job", "x"), ("job", "y")].into_iter());
        let defined = [(SeriesRef(7), vec![0, 1]), (SeriesRef(8), vec![0, 2]), (SeriesRef(1), vec![])];
        put_series(&mut series, &defined);
        let mut names = PairNames::default();
        names.add(&pairs).expect("pairs");
        let mut found = Vec::new();
        names
            .each_series(&series, |r, labels| {
                found.push((r, labels.to_labels()));
                Ok(())
            })
            .expect("series");
        let labels = |job| Labels::from_pairs([("__name__", "up"), ("job", job)]);
        assert_eq!(
            found,
            [(SeriesRef(7), labels("x")), (SeriesRef(8), labels("y")), (SeriesRef(1), Labels::empty())]
        );
        let mut references = Vec::new();
        each_new_series(&series, |r| references.push(r)).expect("series");
        assert_eq!(references, [SeriesRef(7), SeriesRef(8), SeriesRef(1)]);
        put_delete(&mut delete, &references, -5, i64::MAX);
        let expected = Deletion { start: -5, end: i64::MAX, series: references };
        assert_eq!(read_delete(&delete), Ok(expected));
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            for kind in 0..14 {
                bytes[0] = kind;
                let mut names = PairNames::default();
                let _ = names.add(&bytes);
                let _ = names.each_series(&bytes, |_, _| Ok(()));
                let _ = each_new_series(&bytes, |_| {});
                let _ = read_delete(&bytes);
                let _ = kind_of(&bytes);
            }
        }
    }
}
