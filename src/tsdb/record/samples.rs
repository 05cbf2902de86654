//! The record of samples: references, timestamps and values of one commit as three columns.
//!
//! References are runs of neighbours, timestamps runs of "as in the series before", values two bits each (same as
//! before, a whole number's difference, other bits, stale) and a payload for those that need one.
//!
//! **Cost**: a value that did not change takes a quarter of a byte, a counter's step one or two bytes.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::kind;
use crate::codec::reader::{unzigzag, zigzag};
use crate::codec::{ByteReader, ByteWriter, CodecError};
use crate::model::STALE_NAN_BITS;
use crate::tsdb::SeriesRef;
use crate::tsdb::chunk::open::TimelineId;

/// How one value is coded.
mod code {
    pub(super) const SAME: u8 = 0;
    pub(super) const STEP: u8 = 1;
    pub(super) const BITS: u8 = 2;
    pub(super) const STALE: u8 = 3;
}

/// Whole numbers up to here are exact in a 64-bit float.
const MAX_EXACT: u64 = 1 << 53;

/// One sample as it is put into the log.
#[derive(Debug, Clone, Copy)]
pub struct LoggedSample {
    /// The series.
    pub series: SeriesRef,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// Bits of the value.
    pub bits: u64,
    /// Bits of the series' value before this one in the same file; zero if it is the first.
    pub base: u64,
}

/// What the record says of itself before its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleHeader {
    /// The timeline the samples with the first sample's timestamp belong to.
    pub timeline: Option<TimelineId>,
    /// Timestamp of the first sample, in milliseconds.
    pub first: i64,
    /// Largest timestamp, in milliseconds.
    pub newest: i64,
    /// Number of samples.
    pub count: usize,
}

/// Appends the payload of a samples record; nothing without samples.
pub fn put(out: &mut Vec<u8>, timeline: Option<TimelineId>, samples: &[LoggedSample]) {
    put_as(out, kind::SAMPLES, timeline, samples);
}

/// Appends the payload of samples that were behind their series when they came; nothing without samples. Their base is
/// zero, and they are no base of others.
pub fn put_late(out: &mut Vec<u8>, samples: &[LoggedSample]) {
    put_as(out, kind::LATE, None, samples);
}

fn put_as(out: &mut Vec<u8>, kind: u8, timeline: Option<TimelineId>, samples: &[LoggedSample]) {
    let (Some(first), Some(newest)) = (samples.first(), samples.iter().map(|s| s.timestamp).max()) else {
        return;
    };
    out.put_u8(kind);
    // Zero says "no timeline".
    out.put_varint(timeline.map_or(0, |id| u64::from(id) + 1));
    out.put_zigzag(first.timestamp);
    out.put_varint(newest.wrapping_sub(first.timestamp).cast_unsigned());
    out.put_len(samples.len());
    // Bodies with several samples of each series: the series is named once for all of them.
    let leading = samples.iter().take_while(|s| s.series == first.series).count();
    let uniform = samples.len().is_multiple_of(leading)
        && samples
            .chunks(leading)
            .all(|group| group.iter().all(|s| Some(s.series) == group.first().map(|g| g.series)));
    let repeat = if uniform { leading } else { 1 };
    out.put_len(repeat);
    put_references(out, samples.iter().step_by(repeat).map(|s| s.series.0));
    put_timestamps(out, samples, repeat);
    put_values(out, samples);
}

fn put_references(out: &mut Vec<u8>, references: impl Iterator<Item = u64>) {
    let (mut start, mut len, mut end) = (0u64, 0u64, 0u64);
    let mut put_run = |start: u64, len: u64| {
        let distance = zigzag(start.wrapping_sub(end).cast_signed());
        end = start.wrapping_add(len);
        // The lowest bit says whether a length follows; most runs of scattered series are one long.
        if distance < 1 << 62 {
            out.put_varint((distance * 2) | u64::from(len > 1));
        } else {
            // Too far for the shift: written as the distance to zero and the reference itself.
            out.put_varint(u64::MAX);
            out.put_u64(start);
            out.put_u8(u8::from(len > 1));
        }
        if len > 1 {
            out.put_varint(len);
        }
    };
    for reference in references {
        if len > 0 && reference == start.wrapping_add(len) {
            len += 1;
            continue;
        }
        if len > 0 {
            put_run(start, len);
        }
        (start, len) = (reference, 1);
    }
    if len > 0 {
        put_run(start, len);
    }
}

fn put_timestamps(out: &mut Vec<u8>, samples: &[LoggedSample], repeat: usize) {
    let times = |at: usize| samples.get(at).map_or(0, |s| s.timestamp);
    let alike = |at: usize| at >= repeat && at < samples.len() && times(at) == times(at - repeat);
    let mut at = 1;
    while at < samples.len() {
        let same = (at..samples.len()).take_while(|at| alike(*at)).count();
        at += same;
        let other = (at..samples.len()).take_while(|at| !alike(*at)).count();
        out.put_len(same);
        out.put_len(other);
        for at in at..at + other {
            out.put_zigzag(times(at).wrapping_sub(times(at - 1)));
        }
        at += other;
    }
}

/// The whole number that has exactly these bits, if there is one.
fn whole(bits: u64) -> Option<i64> {
    let value = f64::from_bits(bits);
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit is sorted out by the comparison")]
    let number = value as i64;
    (number.unsigned_abs() < MAX_EXACT && (number as f64).to_bits() == bits).then_some(number)
}

fn put_values(out: &mut Vec<u8>, samples: &[LoggedSample]) {
    let codes_at = out.len();
    out.resize(codes_at + samples.len().div_ceil(4), 0);
    for (at, sample) in samples.iter().enumerate() {
        let code = put_value(out, sample);
        if let Some(byte) = out.get_mut(codes_at + at / 4) {
            *byte |= code << (at % 4 * 2);
        }
    }
}

fn put_value(out: &mut Vec<u8>, sample: &LoggedSample) -> u8 {
    let LoggedSample { bits, base, .. } = *sample;
    if bits == base {
        return code::SAME;
    }
    if bits == STALE_NAN_BITS {
        return code::STALE;
    }
    if let (Some(value), Some(before)) = (whole(bits), whole(base)) {
        out.put_zigzag(value - before);
        return code::STEP;
    }
    let changed = bits ^ base;
    let low = changed.trailing_zeros() / 8;
    let len = 8 - changed.leading_zeros() / 8 - low;
    out.put_u8((low << 4 | len).to_le_bytes()[0]);
    out.extend((changed >> (low * 8)).to_le_bytes().into_iter().take(len as usize));
    code::BITS
}

/// Reads the beginning of what [`put`] wrote.
///
/// # Errors
/// When it is cut or damaged.
pub fn header(payload: &[u8]) -> Result<SampleHeader, CodecError> {
    read_header(&mut ByteReader::new(payload))
}

fn read_header(reader: &mut ByteReader<'_>) -> Result<SampleHeader, CodecError> {
    reader.u8()?;
    let timeline = match reader.varint32("timeline")? {
        0 => None,
        id => Some(id - 1),
    };
    let first = reader.zigzag()?;
    let newest = first.wrapping_add(reader.varint()?.cast_signed());
    // Four samples take at least one byte.
    let count = reader.len("sample count", reader.remaining().saturating_mul(4))?;
    Ok(SampleHeader { timeline, first, newest, count })
}

/// Working memory of [`each`], kept by the caller between calls.
#[derive(Debug, Default)]
pub struct Scratch {
    references: Vec<u64>,
    timestamps: Vec<i64>,
}

/// Takes the samples of a record, and knows the last bits of each series in the file.
pub trait SampleSink {
    /// Where it keeps a series, looked up once for a run of its samples.
    type Place: Copy;

    /// The place of a series, known or not.
    fn find(&mut self, series: SeriesRef) -> Self::Place;

    /// Bits of the series' value before in the same file; zero before the first.
    fn base(&mut self, place: Self::Place) -> u64;

    /// One sample; its bits are the base of the series' next one.
    fn sample(&mut self, place: Self::Place, timestamp: i64, bits: u64);
}

/// Hands each sample of what [`put`] wrote to `sink`, in order.
///
/// # Errors
/// When it is cut or damaged; samples before the damage have been handed over.
pub fn each(payload: &[u8], scratch: &mut Scratch, sink: &mut impl SampleSink) -> Result<(), CodecError> {
    let mut reader = ByteReader::new(payload);
    let header = read_header(&mut reader)?;
    let repeat = reader.len("repetition", header.count.max(1))?.max(1);
    read_references(&mut reader, header.count / repeat, &mut scratch.references)?;
    read_timestamps(&mut reader, &header, repeat, &mut scratch.timestamps)?;
    let codes = reader.bytes(header.count.div_ceil(4))?;
    let mut at = 0usize;
    for (timestamps, reference) in scratch.timestamps.chunks(repeat).zip(&scratch.references) {
        let place = sink.find(SeriesRef(*reference));
        for timestamp in timestamps {
            let byte = codes.get(at / 4).copied().unwrap_or(0);
            let bits = read_value(byte >> (at % 4 * 2) & 3, sink.base(place), &mut reader)?;
            sink.sample(place, *timestamp, bits);
            at += 1;
        }
    }
    if at == header.count && reader.is_empty() { Ok(()) } else { Err(reader.invalid("record length")) }
}

fn read_references(reader: &mut ByteReader<'_>, count: usize, out: &mut Vec<u64>) -> Result<(), CodecError> {
    out.clear();
    let mut end = 0u64;
    while out.len() < count {
        let token = reader.varint()?;
        let (start, long) = if token == u64::MAX {
            (reader.u64()?, reader.u8()? == 1)
        } else {
            (end.wrapping_add(unzigzag(token >> 1).cast_unsigned()), token & 1 == 1)
        };
        let len = if long { reader.len("run of series", count - out.len())? as u64 } else { 1 };
        end = start.wrapping_add(len);
        out.extend((0..len).map(|n| start.wrapping_add(n)));
        if len == 0 {
            return Err(reader.invalid("run of series"));
        }
    }
    Ok(())
}

fn read_timestamps(
    reader: &mut ByteReader<'_>,
    header: &SampleHeader,
    repeat: usize,
    out: &mut Vec<i64>,
) -> Result<(), CodecError> {
    out.clear();
    if header.count == 0 {
        return Ok(());
    }
    out.push(header.first);
    while out.len() < header.count {
        let same = reader.len("run of timestamps", header.count - out.len())?;
        if same > 0 && out.len() < repeat {
            return Err(reader.invalid("run of timestamps"));
        }
        if repeat == 1 {
            let last = out.last().copied().unwrap_or(header.first);
            out.resize(out.len() + same, last);
        } else {
            for _ in 0..same {
                let before = out.get(out.len() - repeat).copied().unwrap_or(header.first);
                out.push(before);
            }
        }
        let other = reader.len("run of timestamps", header.count - out.len())?;
        for _ in 0..other {
            let last = out.last().copied().unwrap_or(header.first);
            out.push(last.wrapping_add(reader.zigzag()?));
        }
        if same == 0 && other == 0 {
            return Err(reader.invalid("run of timestamps"));
        }
    }
    Ok(())
}

#[inline]
fn read_value(code: u8, base: u64, reader: &mut ByteReader<'_>) -> Result<u64, CodecError> {
    match code {
        code::SAME => Ok(base),
        code::STALE => Ok(STALE_NAN_BITS),
        code::STEP => {
            let before = whole(base).unwrap_or(0);
            Ok((before.wrapping_add(reader.zigzag()?) as f64).to_bits())
        }
        _ => {
            let shape = reader.u8()?;
            let (low, len) = (u32::from(shape >> 4), usize::from(shape & 15));
            if len > 8 || low > 7 {
                return Err(reader.invalid("value length"));
            }
            let mut bytes = [0u8; 8];
            bytes.iter_mut().zip(reader.bytes(len)?).for_each(|(to, from)| *to = *from);
            Ok(base ^ (u64::from_le_bytes(bytes) << (low * 8)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    type Plain = (u64, i64, u64);

    fn logged(samples: &[Plain]) -> Vec<LoggedSample> {
        let mut bases: HashMap<u64, u64> = HashMap::new();
        samples
            .iter()
            .map(|&(series, timestamp, bits)| {
                let base = bases.insert(series, bits).unwrap_or(0);
                LoggedSample { series: SeriesRef(series), timestamp, bits, base }
            })
            .collect()
    }

    #[derive(Default)]
    struct Collect {
        bases: HashMap<u64, u64>,
        out: Vec<Plain>,
    }

    impl SampleSink for Collect {
        type Place = u64;

        fn find(&mut self, series: SeriesRef) -> u64 {
            series.0
        }
        fn base(&mut self, series: u64) -> u64 {
            self.bases.get(&series).copied().unwrap_or(0)
        }
        fn sample(&mut self, series: u64, timestamp: i64, bits: u64) {
            self.bases.insert(series, bits);
            self.out.push((series, timestamp, bits));
        }
    }

    fn read(payload: &[u8]) -> Result<Vec<Plain>, CodecError> {
        let mut sink = Collect::default();
        each(payload, &mut Scratch::default(), &mut sink)?;
        Ok(sink.out)
    }

    fn round_trip(samples: &[Plain], timeline: Option<u32>) -> usize {
        let mut out = Vec::new();
        put(&mut out, timeline, &logged(samples));
        let found = header(&out).expect("own output");
        assert_eq!((found.timeline, found.count), (timeline, samples.len()));
        assert_eq!(found.newest, samples.iter().map(|s| s.1).max().expect("samples"));
        assert_eq!(read(&out).expect("own output"), samples);
        out.len()
    }

    #[test]
    fn usual_commits_are_small() {
        let scrape: Vec<Plain> = (0..600).map(|n| (n + 40, 1_700_000_000_000, 0)).collect();
        assert!(round_trip(&scrape, Some(3)) < 600 / 4 + 30);
        let bits = |v: f64| v.to_bits();
        let steps: Vec<Plain> = (0..1000)
            .map(|n| (n % 500, 1_700_000_000_000, bits(1000.0 + f64::from(u16::try_from(n).expect("small")))))
            .collect();
        assert!(round_trip(&steps, None) < 500 * 12 + 500 * 3);
        // 20 samples of each of 100 series, the same timestamps for all.
        let many: Vec<Plain> =
            (0..2000).map(|n| (n / 20 * 7, i64::try_from(n % 20).expect("small") * 15_003, 0)).collect();
        assert!(round_trip(&many, None) < 2000 / 4 + 100 + 20 * 4 + 30);
    }

    proptest! {
        #[test]
        fn any_samples_come_back(
            raw in prop::collection::vec(
                (prop_oneof![0u64..9, any::<u64>()],
                 prop_oneof![0i64..3, any::<i64>()],
                 prop_oneof![any::<u64>(), Just(STALE_NAN_BITS), (-9i32..9).prop_map(|n| f64::from(n).to_bits()),
                             Just((-0.0f64).to_bits()), any::<f64>().prop_map(f64::to_bits)]),
                1..60),
            repeat in 1i64..4,
            timeline in prop::option::of(0u32..9),
        ) {
            let repeated: Vec<Plain> =
                raw.iter().flat_map(|(s, t, b)| (0..repeat).map(move |n| (*s, t.wrapping_add(n), *b))).collect();
            round_trip(&repeated, timeline);
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..300, with: u8) {
            let _ = read(&bytes);
            let mut out = Vec::new();
            put(&mut out, None, &logged(&[(1, 2, 3), (2, 2, 4), (9, 1, 5)]));
            let at = at % out.len();
            out[at] ^= with;
            let _ = read(&out);
        }
    }
}
