//! Records of the first version, read only: series with their labels in full, values without a base.
//!
//! **Format**: `docs/format/records.md`, "Version 1".

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::{SampleHeader, kind};
use crate::codec::{ByteReader, CodecError};
use crate::model::LabelsBuf;
use crate::model::bounds::MAX_LABELS;
use crate::tsdb::SeriesRef;

/// Calls `visit` with each series of a payload.
///
/// # Errors
/// When it is cut or damaged, or `visit` says so.
pub fn each_series(
    payload: &[u8],
    mut visit: impl FnMut(SeriesRef, &LabelsBuf) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    let mut reader = ByteReader::new(payload);
    reader.u8()?;
    let mut previous = 0u64;
    let mut buf = LabelsBuf::new();
    for _ in 0..reader.len("series count", reader.remaining())? {
        previous = previous.wrapping_add(reader.zigzag()?.cast_unsigned());
        buf.clear();
        for _ in 0..reader.len("label count", MAX_LABELS)? {
            let name = reader.text()?;
            buf.set(name, reader.text()?);
        }
        visit(SeriesRef(previous), &buf)?;
    }
    if reader.is_empty() { Ok(()) } else { Err(reader.invalid("record length")) }
}

/// Calls `visit` with each sample of a payload (series, timestamp in milliseconds, bits of the value), in order.
///
/// # Errors
/// When it is cut or damaged; samples before the damage have been visited.
pub fn each_sample(
    payload: &[u8],
    mut visit: impl FnMut(SeriesRef, i64, u64),
) -> Result<SampleHeader, CodecError> {
    let mut reader = ByteReader::new(payload);
    let one_time = reader.u8()? == kind::SCRAPE_V1;
    let timeline = match reader.varint32("timeline")? {
        0 => None,
        id => Some(id - 1),
    };
    let mut timestamp = reader.zigzag()?;
    // Every sample takes at least two bytes, so the count cannot exceed what is left.
    let count = reader.len("sample count", reader.remaining())?;
    let (first, mut newest) = (timestamp, timestamp);
    let mut series = 0u64;
    for _ in 0..count {
        series = series.wrapping_add(reader.zigzag()?.cast_unsigned());
        if !one_time {
            timestamp = timestamp.wrapping_add(reader.zigzag()?);
        }
        newest = newest.max(timestamp);
        visit(SeriesRef(series), timestamp, reader.varint()?.reverse_bits());
    }
    if reader.is_empty() {
        Ok(SampleHeader { timeline, first, newest, count })
    } else {
        Err(reader.invalid("record length"))
    }
}

/// The timeline and the first timestamp of a payload of samples.
///
/// # Errors
/// When it is cut.
pub fn start(payload: &[u8]) -> Result<(Option<u32>, i64), CodecError> {
    let mut reader = ByteReader::new(payload);
    reader.u8()?;
    let timeline = reader.varint32("timeline")?.checked_sub(1);
    Ok((timeline, reader.zigzag()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::ByteWriter as _;
    use crate::model::Labels;
    use proptest::prelude::*;

    #[test]
    fn series_and_samples_are_read() {
        let mut series = vec![kind::SERIES_V1, 1];
        series.put_zigzag(3);
        series.put_len(1);
        series.put_text("__name__");
        series.put_text("up");
        let mut found = Vec::new();
        each_series(&series, |r, l| {
            found.push((r, l.to_labels()));
            Ok(())
        })
        .expect("series");
        assert_eq!(found, [(SeriesRef(3), Labels::from_pairs([("__name__", "up")]))]);

        let mut samples = vec![kind::SAMPLES_V1, 8];
        samples.put_zigzag(100);
        samples.put_len(2);
        for (series, step, value) in [(3, 0, 1.5f64), (1, 20, -0.0)] {
            samples.put_zigzag(series);
            samples.put_zigzag(step);
            samples.put_varint(value.to_bits().reverse_bits());
        }
        let mut found = Vec::new();
        let header = each_sample(&samples, |r, t, bits| found.push((r.0, t, bits))).expect("samples");
        assert_eq!(found, [(3, 100, 1.5f64.to_bits()), (4, 120, (-0.0f64).to_bits())]);
        assert_eq!(header, SampleHeader { timeline: Some(7), first: 100, newest: 120, count: 2 });
        assert_eq!(start(&samples), Ok((Some(7), 100)));
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = each_series(&bytes, |_, _| Ok(()));
            let _ = each_sample(&bytes, |_, _, _| {});
            let _ = start(&bytes);
        }
    }
}
