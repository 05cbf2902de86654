//! Payloads of log records: series and samples.
//!
//! **Format**: `docs/format/records.md`. The first byte of a payload is its type.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::SeriesRef;
use super::chunk::open::TimelineId;
use crate::codec::{ByteReader, ByteWriter, CodecError};
use crate::model::{Labels, LabelsBuf};

/// Type bytes.
mod kind {
    pub(super) const SERIES: u8 = 1;
    pub(super) const SCRAPE: u8 = 2;
    pub(super) const SAMPLES: u8 = 3;
}

/// No series has more labels than this; a larger count is damage.
const MAX_LABELS: usize = 1 << 16;

/// One sample as the log holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RefSample {
    /// The series.
    pub series: SeriesRef,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// The value.
    pub value: f64,
}

/// A decoded record.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// New series.
    Series(Vec<(SeriesRef, Labels)>),
    /// Samples; of one scrape if there is a timeline.
    Samples {
        /// The timeline the samples with the first sample's timestamp belong to.
        timeline: Option<TimelineId>,
        /// In the order they were appended.
        samples: Vec<RefSample>,
    },
}

/// Appends the payload of a series record.
pub fn put_series<'a>(out: &mut Vec<u8>, series: impl ExactSizeIterator<Item = (SeriesRef, &'a Labels)>) {
    out.put_u8(kind::SERIES);
    out.put_len(series.len());
    let mut previous = 0u64;
    for (reference, labels) in series {
        out.put_zigzag(reference.0.wrapping_sub(previous).cast_signed());
        previous = reference.0;
        out.put_len(labels.len());
        for (name, value) in labels {
            out.put_text(name);
            out.put_text(value);
        }
    }
}

/// Appends the payload of a samples record.
pub fn put_samples(
    out: &mut Vec<u8>,
    timeline: Option<TimelineId>,
    samples: impl ExactSizeIterator<Item = RefSample> + Clone,
) {
    let Some(first) = samples.clone().next().map(|s| s.timestamp) else { return };
    let one_time = samples.clone().all(|s| s.timestamp == first);
    out.put_u8(if one_time { kind::SCRAPE } else { kind::SAMPLES });
    // Zero says "no timeline".
    out.put_varint(timeline.map_or(0, |id| u64::from(id) + 1));
    out.put_zigzag(first);
    out.put_len(samples.len());
    let mut previous = RefSample { series: SeriesRef(0), timestamp: first, value: 0.0 };
    for sample in samples {
        out.put_zigzag(sample.series.0.wrapping_sub(previous.series.0).cast_signed());
        if !one_time {
            out.put_zigzag(sample.timestamp.wrapping_sub(previous.timestamp));
        }
        // Reversed, the zero bits at the end of most mantissas are leading zeros, which a varint leaves out.
        out.put_varint(sample.value.to_bits().reverse_bits());
        previous = sample;
    }
}

/// Reads a payload.
///
/// # Errors
/// When it is cut, damaged or of an unknown type.
pub fn decode(payload: &[u8]) -> Result<Record, CodecError> {
    let mut reader = ByteReader::new(payload);
    let record = match reader.u8()? {
        kind::SERIES => read_series(&mut reader)?,
        kind::SCRAPE => read_samples(&mut reader, true)?,
        kind::SAMPLES => read_samples(&mut reader, false)?,
        _ => return Err(CodecError::Invalid { what: "record type", at: 0 }),
    };
    if reader.is_empty() { Ok(record) } else { Err(reader.invalid("record length")) }
}

fn read_series(reader: &mut ByteReader<'_>) -> Result<Record, CodecError> {
    let count = reader.len("series count", reader.remaining())?;
    let mut series = Vec::with_capacity(count);
    let mut previous = 0u64;
    let mut buf = LabelsBuf::new();
    for _ in 0..count {
        previous = previous.wrapping_add(reader.zigzag()?.cast_unsigned());
        buf.clear();
        for _ in 0..reader.len("label count", MAX_LABELS)? {
            let name = reader.text()?;
            buf.set(name, reader.text()?);
        }
        series.push((SeriesRef(previous), buf.to_labels()));
    }
    Ok(Record::Series(series))
}

fn read_samples(reader: &mut ByteReader<'_>, one_time: bool) -> Result<Record, CodecError> {
    let timeline = match reader.varint32("timeline")? {
        0 => None,
        id => Some(id - 1),
    };
    let mut timestamp = reader.zigzag()?;
    // Every sample takes at least two bytes, so the count cannot exceed what is left.
    let count = reader.len("sample count", reader.remaining())?;
    let mut samples = Vec::with_capacity(count);
    let mut series = 0u64;
    for _ in 0..count {
        series = series.wrapping_add(reader.zigzag()?.cast_unsigned());
        if !one_time {
            timestamp = timestamp.wrapping_add(reader.zigzag()?);
        }
        let value = f64::from_bits(reader.varint()?.reverse_bits());
        samples.push(RefSample { series: SeriesRef(series), timestamp, value });
    }
    Ok(Record::Samples { timeline, samples })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn samples_come_back(
            raw in prop::collection::vec((any::<u64>(), any::<i64>(), any::<u64>()), 1..50),
            timeline in prop::option::of(0u32..9),
            one_time: bool,
        ) {
            let samples: Vec<RefSample> = raw
                .iter()
                .map(|(series, t, bits)| RefSample {
                    series: SeriesRef(*series),
                    timestamp: if one_time { 7 } else { *t },
                    value: f64::from_bits(*bits),
                })
                .collect();
            let mut out = Vec::new();
            put_samples(&mut out, timeline, samples.iter().copied());
            let Ok(Record::Samples { timeline: t, samples: back }) = decode(&out) else { panic!("own output") };
            prop_assert_eq!(t, timeline);
            let key = |s: &RefSample| (s.series, s.timestamp, s.value.to_bits());
            prop_assert_eq!(back.iter().map(key).collect::<Vec<_>>(), samples.iter().map(key).collect::<Vec<_>>());
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn series_come_back() {
        let series = [
            (SeriesRef(3), Labels::from_pairs([("__name__", "up"), ("job", "x")])),
            (SeriesRef(1), Labels::empty()),
        ];
        let mut out = Vec::new();
        put_series(&mut out, series.iter().map(|(r, l)| (*r, l)));
        assert_eq!(decode(&out), Ok(Record::Series(series.to_vec())));
    }
}
