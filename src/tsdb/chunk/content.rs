//! What a stored column holds: floats, or histograms with floats between them, and when counting began.
//!
//! **Format**: `docs/format/chunks.md`, "Columns", "Histograms" and "Start timestamps".

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::sync::Arc;

use super::column::{self, mode};
use super::{MAX_COLUMN_SAMPLES, histogram, ints, starts};
use crate::codec::{ByteReader, ByteWriter, CodecError};
use crate::model::{Histogram, Samples};
use crate::storage::Fields;

/// The parts of `samples` that make one column each, as ranges of sample numbers.
pub fn parts(samples: &Samples) -> Vec<(usize, usize)> {
    let mut out = Vec::with_capacity(1);
    let mut histograms = samples.histograms.iter().peekable();
    let (mut start, mut cells) = (0, 0);
    for at in 0..samples.len() {
        let here = histograms.next_if(|(number, _)| *number == at).map_or(0, |(_, h)| h.cells());
        if at - start >= MAX_COLUMN_SAMPLES || (cells > 0 && cells + here > histogram::MAX_CELLS) {
            out.push((start, at));
            (start, cells) = (at, 0);
        }
        cells += here;
    }
    if start < samples.len() {
        out.push((start, samples.len()));
    }
    out
}

/// Appends the column of the samples from `start` to before `end`.
pub fn encode(samples: &Samples, start: usize, end: usize, scratch: &mut column::Scratch, out: &mut Vec<u8>) {
    let began: Vec<i64> = if samples.starts.is_empty() {
        Vec::new()
    } else {
        (start..end).map(|at| samples.start(at)).collect()
    };
    if began.iter().any(|start| *start != 0) {
        out.put_u8(mode::STARTS);
        starts::encode(&began, out);
    }
    let values = samples.values.get(start..end).unwrap_or_default();
    let first = samples.histograms.partition_point(|(at, _)| *at < start);
    let last = samples.histograms.partition_point(|(at, _)| *at < end);
    let histograms = samples.histograms.get(first..last).unwrap_or_default();
    if histograms.is_empty() {
        return column::encode(values, scratch, out);
    }
    out.put_u8(mode::HISTOGRAMS);
    out.put_len(histograms.len());
    let mut floats = Vec::with_capacity(values.len() - histograms.len());
    if histograms.len() < values.len() {
        let positions: Vec<i64> =
            histograms.iter().filter_map(|(at, _)| i64::try_from(at - start).ok()).collect();
        ints::pack(&positions, &mut ints::Scratch::default(), out);
        let mut taken = histograms.iter().map(|(at, _)| at - start).peekable();
        for (at, value) in values.iter().enumerate() {
            if taken.next_if_eq(&at).is_none() {
                floats.push(*value);
            }
        }
        let mut packed = Vec::new();
        column::encode(&floats, scratch, &mut packed);
        out.put_len(packed.len());
        out.put_bytes(&packed);
    }
    let all: Vec<Arc<Histogram>> = histograms.iter().map(|(_, h)| Arc::clone(h)).collect();
    histogram::encode(&all, scratch, out);
}

/// Appends values, starts and histograms from number `start` to before `end` of column `bytes`, which has `count`, to
/// `out`. The caller has seen to the timestamps, or does so afterwards.
///
/// # Errors
/// When the bytes are cut or damaged. `out` may then hold a part of them.
pub fn decode(
    bytes: &[u8],
    count: usize,
    start: usize,
    end: usize,
    Fields { values, starts }: Fields,
    out: &mut Samples,
) -> Result<(), CodecError> {
    let bytes = match bytes.split_first() {
        Some((&mode::STARTS, rest)) => read_starts(rest, count, (start, end), starts, out)?,
        _ => bytes,
    };
    if !values && column::is_plain(bytes) {
        let wanted = end.min(count).saturating_sub(start);
        out.values.resize(out.values.len() + wanted, 0.0);
        return Ok(());
    }
    if bytes.first() != Some(&mode::HISTOGRAMS) {
        return column::decode_range(bytes, count, start, end, &mut out.values);
    }
    let mut reader = ByteReader::new(bytes);
    reader.u8()?;
    if count > MAX_COLUMN_SAMPLES {
        return Err(reader.invalid("column length"));
    }
    let histogram_count = reader.len("histogram count", count)?;
    let mut floats = Vec::new();
    let mut positions: Vec<usize> = (0..histogram_count).collect();
    if histogram_count < count {
        let mut packed = Vec::new();
        ints::unpack(&mut reader, histogram_count, &mut packed)?;
        if !packed.is_sorted_by(|a, b| a < b) {
            return Err(reader.invalid("histogram position"));
        }
        for (slot, at) in positions.iter_mut().zip(packed) {
            let at = usize::try_from(at).ok().filter(|at| *at < count);
            *slot = at.ok_or_else(|| reader.invalid("histogram position"))?;
        }
        let len = reader.len("column length", reader.remaining())?;
        column::decode(reader.bytes(len)?, count - histogram_count, &mut floats)?;
    }
    let all = histogram::decode(reader.bytes(reader.remaining())?, histogram_count)?;
    let mut histograms = positions.into_iter().zip(all).peekable();
    let mut floats = floats.into_iter();
    let base = out.values.len();
    for at in 0..count.min(end) {
        let histogram = histograms.next_if(|(number, _)| *number == at);
        let value = if histogram.is_some() { Some(f64::NAN) } else { floats.next() };
        let value = value.ok_or_else(|| reader.invalid("number of floats"))?;
        if at >= start {
            out.values.push(value);
            out.histograms.extend(histogram.map(|(at, h)| (base + at - start, h)));
        }
    }
    Ok(())
}

/// Reads the starts before a column of `count`, appends those that are `wanted` of the samples from the first to before
/// the second of `part` to `out`, and returns the column.
fn read_starts<'a>(
    bytes: &'a [u8],
    count: usize,
    part: (usize, usize),
    wanted: bool,
    out: &mut Samples,
) -> Result<&'a [u8], CodecError> {
    let mut reader = ByteReader::new(bytes);
    if count > MAX_COLUMN_SAMPLES {
        return Err(reader.invalid("column length"));
    }
    // The values of this part are still to come.
    let base = out.values.len();
    let mut at = 0;
    starts::decode(&mut reader, count, |length, start| {
        let (from, to) = (at.max(part.0), (at + length).min(part.1));
        at += length;
        if wanted && start != 0 && from < to {
            out.starts.resize(base + from - part.0, 0);
            out.starts.resize(base + to - part.0, start);
        }
    })?;
    reader.bytes(reader.remaining())
}

#[cfg(test)]
mod tests {
    use super::super::histogram::tests::growing;
    use super::*;

    #[test]
    fn starts_stand_before_the_values_of_their_column() {
        let mut samples = Samples::new();
        for n in 0..9000i32 {
            if n % 700 == 3 {
                samples.push_histogram(i64::from(n), Arc::new(growing(3, 4)));
            } else {
                samples.push(i64::from(n), f64::from(n));
            }
            // Unknown at first, in the middle and at the end.
            samples.set_last_start([0, 7, 7, 0, 2500, 0][usize::try_from(n / 1500).expect("small")]);
        }
        let mut scratch = column::Scratch::default();
        let fields =
            [Fields::ALL, Fields { values: false, starts: true }, Fields { values: true, starts: false }];
        for fields in fields {
            let mut back = Samples::new();
            for (start, end) in parts(&samples) {
                let mut bytes = Vec::new();
                encode(&samples, start, end, &mut scratch, &mut bytes);
                let count = end - start;
                for (from, to) in [(0, count / 7), (count / 7, count / 2), (count / 2, count)] {
                    decode(&bytes, count, from, to, fields, &mut back).expect("own output");
                }
                back.timestamps.extend(&samples.timestamps[start..end]);
            }
            assert_eq!(back.histograms, samples.histograms);
            for at in 0..samples.len() {
                assert_eq!(back.start(at), if fields.starts { samples.start(at) } else { 0 }, "{at}");
            }
        }
        // Without starts there is nothing of them.
        let (mut plain, mut bytes) = (Vec::new(), Vec::new());
        column::encode(&samples.values[100..200], &mut scratch, &mut plain);
        encode(&samples, 100, 200, &mut scratch, &mut bytes);
        assert_eq!(bytes, plain);
        // They stand before a column once, and before none that names another one.
        const CONSTANT: u8 = 1;
        let refused = |inner: &[u8]| {
            let bytes = [&[mode::STARTS, 1, 14][..], inner].concat();
            decode(&bytes, 3, 0, 3, Fields::ALL, &mut Samples::new()).is_err()
        };
        assert!(!refused(&[CONSTANT, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert!(refused(&[mode::STARTS, 1, 14, CONSTANT, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert!(refused(&[11, 1]) && refused(&[]));
    }

    #[test]
    fn floats_between_histograms_come_back() {
        let mut samples = Samples::new();
        for n in 0..3000u32 {
            let time = i64::from(n) * 1000;
            if n % 5 == 3 {
                samples.push(time, f64::from(n));
            } else {
                samples.push_histogram(time, Arc::new(growing(n, 4)));
            }
        }
        let parts = parts(&samples);
        assert!(parts.len() > 1);
        assert_eq!(parts.last().map(|(_, end)| *end), Some(3000));
        let mut back = Samples::new();
        let mut scratch = column::Scratch::default();
        for (start, end) in parts {
            let mut bytes = Vec::new();
            encode(&samples, start, end, &mut scratch, &mut bytes);
            back.timestamps.extend(&samples.timestamps[start..end]);
            // In two halves, as a read of a part does.
            let (count, middle) = (end - start, (end - start) / 2);
            decode(&bytes, count, 0, middle, Fields::ALL, &mut back).expect("own output");
            decode(&bytes, count, middle, count, Fields::ALL, &mut back).expect("own output");
        }
        assert_eq!(back.histograms, samples.histograms);
        let plain = |s: &Samples| s.values.iter().filter(|v| !v.is_nan()).copied().collect::<Vec<_>>();
        assert_eq!(plain(&back), plain(&samples));
        assert_eq!(back.len(), back.values.len());
    }
}
