//! Chunks of floats with start timestamps: as those without, but time and value share their first bits, and the stale
//! marker and the start have bits of their own.
//!
//! A start is stored as its distance to the sample before, in each sample from the first one on whose start is another.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::BigEndian as _;
use super::bits::{get_signed, get_varint, put_signed, put_varint};
use crate::codec::bits::{BitReader, BitWriter};
use crate::codec::reader::{unzigzag, zigzag};
use crate::codec::{ByteReader, CodecError};
use crate::model::STALE_NAN_BITS;

type Result<T> = std::result::Result<T, CodecError>;

/// In the byte about starts: the first sample has one. The rest is the number of the first sample with a distance.
const FIRST_KNOWN: u8 = 0x80;
/// Widths of the change of the interval behind two, three and four set bits.
const WIDTHS: [u32; 3] = [13, 20, 64];

/// The last value that is no stale marker, and where its last difference that said so had its bits.
#[derive(Debug, Clone, Copy, Default)]
struct Value {
    bits: u64,
    /// Leading and trailing clear bits.
    window: Option<(u32, u32)>,
}

impl Value {
    fn new(bits: u64) -> Self {
        // The marker is no base of others.
        Self { bits: if bits == STALE_NAN_BITS { 0 } else { bits }, window: None }
    }

    /// A value of which nothing is said yet.
    fn put(&mut self, value: u64, out: &mut BitWriter) {
        match value {
            STALE_NAN_BITS => out.put(0b111, 3),
            _ if value == self.bits => out.put(0, 1),
            _ => self.put_change(value, (0b10, 2), (0b110, 3), out),
        }
    }

    /// A value that is another one and not the marker; `known` and `new` are the bits before a difference in the known
    /// window and in a new one.
    fn put_change(&mut self, value: u64, known: (u64, u32), new: (u64, u32), out: &mut BitWriter) {
        let change = value ^ self.bits;
        self.bits = value;
        // Five bits are kept for it.
        let leading = change.leading_zeros().min(31);
        let trailing = change.trailing_zeros();
        if let Some((at_least, behind)) = self.window
            && leading >= at_least
            && trailing >= behind
        {
            out.put(known.0, known.1);
            return out.put(change >> behind, 64 - at_least - behind);
        }
        self.window = Some((leading, trailing));
        let width = 64 - leading - trailing;
        out.put(new.0, new.1);
        out.put(u64::from(leading), 5);
        // 64 does not fit six bits and becomes 0, which is not needed otherwise.
        out.put(u64::from(width), 6);
        out.put(change >> trailing, width);
    }

    fn get(&mut self, bits: &mut BitReader<'_>) -> Result<u64> {
        match ones(bits, 3)? {
            0 => Ok(self.bits),
            1 => self.get_known(bits),
            2 => self.get_new(bits),
            _ => Ok(STALE_NAN_BITS),
        }
    }

    fn get_known(&mut self, bits: &mut BitReader<'_>) -> Result<u64> {
        let (leading, trailing) = self.window.unwrap_or((0, 0));
        self.bits ^= bits.get(64 - leading - trailing)? << trailing;
        Ok(self.bits)
    }

    fn get_new(&mut self, bits: &mut BitReader<'_>) -> Result<u64> {
        let leading = u32::try_from(bits.get(5)?).unwrap_or(0);
        let width = match u32::try_from(bits.get(6)?).unwrap_or(0) {
            0 => 64,
            width => width,
        };
        let trailing = 64u32.checked_sub(leading + width);
        let trailing = trailing.ok_or(CodecError::Invalid { what: "width of a value", at: 0 })?;
        self.window = Some((leading, trailing));
        self.get_known(bits)
    }
}

/// Set bits before a clear one, which is read too, or `most` of them.
fn ones(bits: &mut BitReader<'_>, most: u32) -> Result<u32> {
    for found in 0..most {
        if bits.get(1)? == 0 {
            return Ok(found);
        }
    }
    Ok(most)
}

/// The signed number that has these lowest `width` bits.
fn signed(stored: u64, width: u32) -> i64 {
    let above = 64 - width;
    (stored << above).cast_signed() >> above
}

/// Encodes samples in order of time, one after the other.
#[derive(Debug, Clone)]
pub struct StartChunk {
    bits: BitWriter,
    count: u16,
    last: i64,
    delta: i64,
    value: Value,
    start: i64,
    first_known: bool,
    /// Number of the first sample with a distance; 0 as long as there is none.
    changes_from: u8,
    distance: i64,
}

impl Default for StartChunk {
    fn default() -> Self {
        Self {
            bits: BitWriter::new(),
            count: 0,
            last: 0,
            delta: 0,
            value: Value::default(),
            start: 0,
            first_known: false,
            changes_from: 0,
            distance: 0,
        }
    }
}

impl StartChunk {
    /// Number of samples so far.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a sample that counts since `start`, 0 where that is unknown; there must be fewer than 127.
    pub fn push(&mut self, timestamp: i64, value: f64, start: i64) {
        let value = value.to_bits();
        let delta = timestamp.wrapping_sub(self.last);
        match self.count {
            0 => {
                put_varint(&mut self.bits, zigzag(timestamp));
                self.bits.put(value, 64);
                self.value = Value::new(value);
                if start != 0 {
                    put_varint(&mut self.bits, zigzag(timestamp.wrapping_sub(start)));
                    self.first_known = true;
                }
            }
            1 => {
                put_varint(&mut self.bits, delta.cast_unsigned());
                self.value.put(value, &mut self.bits);
            }
            _ => self.put_joint(delta.wrapping_sub(self.delta), value),
        }
        if self.count > 0 {
            self.put_start(start);
            self.delta = delta;
        }
        self.start = start;
        self.last = timestamp;
        self.count = self.count.saturating_add(1);
    }

    /// The change of the interval and the value.
    fn put_joint(&mut self, change: i64, value: u64) {
        let out = &mut self.bits;
        if change == 0 {
            return match value {
                STALE_NAN_BITS => out.put(0b1_1111, 5),
                _ if value == self.value.bits => out.put(0, 1),
                _ => {
                    out.put(0b10, 2);
                    self.value.put_change(value, (0, 1), (1, 1), out);
                }
            };
        }
        let (prefix, length, width) = match change {
            -0x1000..=0xfff => (0b110, 3, 13),
            -0x8_0000..=0x7_ffff => (0b1110, 4, 20),
            _ => (0b1_1110, 5, 64),
        };
        out.put(prefix, length);
        out.put(change.cast_unsigned(), width);
        self.value.put(value, out);
    }

    fn put_start(&mut self, start: i64) {
        let distance = self.last.wrapping_sub(start);
        if self.changes_from > 0 {
            put_signed(&mut self.bits, distance.wrapping_sub(self.distance));
        } else if start != self.start {
            self.changes_from = u8::try_from(self.count).unwrap_or(u8::MAX) & !FIRST_KNOWN;
            put_signed(&mut self.bits, distance);
        } else {
            return;
        }
        self.distance = distance;
    }

    /// The chunk: the number of samples, the byte about starts, then the bits.
    pub fn finish(self) -> Vec<u8> {
        let mut out = self.count.to_be_bytes().to_vec();
        out.push(self.changes_from | if self.first_known { FIRST_KNOWN } else { 0 });
        out.extend_from_slice(self.bits.as_bytes());
        out
    }
}

/// Calls `each` with the samples of a chunk in their order: timestamp, value, start.
///
/// # Errors
/// When the chunk ends before its samples do.
pub fn decode(chunk: &[u8], mut each: impl FnMut(i64, f64, i64)) -> Result<()> {
    let mut head = ByteReader::new(chunk);
    let (count, about_starts) = (head.be16()?, head.u8()?);
    let changes_from = u16::from(about_starts & !FIRST_KNOWN);
    let mut bits = BitReader::new(head.bytes(head.remaining())?);
    let (mut timestamp, mut delta, mut value) = (0i64, 0i64, Value::default());
    let (mut start, mut distance) = (0i64, 0i64);
    for number in 0..count {
        let before = timestamp;
        let shown = match number {
            0 => {
                timestamp = unzigzag(get_varint(&mut bits)?);
                let first = bits.get(64)?;
                value = Value::new(first);
                if about_starts & FIRST_KNOWN != 0 {
                    start = timestamp.wrapping_sub(unzigzag(get_varint(&mut bits)?));
                }
                first
            }
            1 => {
                delta = get_varint(&mut bits)?.cast_signed();
                value.get(&mut bits)?
            }
            _ => match ones(&mut bits, 5)? {
                0 => value.bits,
                1 if bits.get(1)? == 0 => value.get_known(&mut bits)?,
                1 => value.get_new(&mut bits)?,
                5 => STALE_NAN_BITS,
                more => {
                    let width = WIDTHS.get(more as usize - 2).copied().unwrap_or(64);
                    delta = delta.wrapping_add(signed(bits.get(width)?, width));
                    value.get(&mut bits)?
                }
            },
        };
        if number > 0 {
            timestamp = timestamp.wrapping_add(delta);
            if changes_from > 0 && number >= changes_from {
                // The first one is the distance itself.
                distance = distance.wrapping_add(get_signed(&mut bits)?);
                start = before.wrapping_sub(distance);
            }
        }
        each(timestamp, f64::from_bits(shown), start);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stale_nan;
    use proptest::prelude::*;

    type Sample = (i64, f64, i64);

    fn encode(samples: &[Sample]) -> Vec<u8> {
        let mut chunk = StartChunk::default();
        samples.iter().for_each(|(time, value, start)| chunk.push(*time, *value, *start));
        chunk.finish()
    }

    fn read(chunk: &[u8]) -> Result<Vec<(i64, u64, i64)>> {
        let mut back = Vec::new();
        decode(chunk, |time, value, start| back.push((time, value.to_bits(), start)))?;
        Ok(back)
    }

    fn check(samples: &[Sample]) -> usize {
        let chunk = encode(samples);
        let expected: Vec<_> =
            samples.iter().map(|(time, value, start)| (*time, value.to_bits(), *start)).collect();
        assert_eq!(read(&chunk), Ok(expected));
        chunk.len()
    }

    #[test]
    fn samples_come_back() {
        check(&[]);
        check(&[(-5, 1.5, 0)]);
        check(&[(5, stale_nan(), 3), (6, 1.0, 3)]);
        let intervals = [0, 15_000, 30_003, 44_000, 60_000, 5_000_000_000, 5_000_000_001, 5_000_000_002];
        let values = [0.0, f64::NAN, -0.0, 1e300, stale_nan(), 2.0, 2.0, 7.5];
        for start in [0i64, -7, i64::MIN] {
            let samples: Vec<Sample> =
                intervals.iter().zip(values).map(|(time, value)| (*time, value, start)).collect();
            check(&samples);
        }
        // One start for all of a chunk takes no more than it does once.
        let plain: Vec<Sample> = (0..120i64).map(|n| (n * 15_000, n as f64, 0)).collect();
        let one: Vec<Sample> = plain.iter().map(|(time, value, _)| (*time, *value, -99_000)).collect();
        assert_eq!(check(&one), check(&plain) + 3);
    }

    #[test]
    fn is_the_bytes_that_prometheus_writes() {
        // Count, byte about starts, 1000 in zigzag, 1.0, 400 in zigzag for the start 600, 1000. Then a bit for the second
        // value, one for interval and value of the third sample, and the distance 200 of its start 1800.
        let chunk = encode(&[(1000, 1.0, 600), (2000, 1.0, 600), (3000, 1.0, 1800)]);
        let head = [0, 3, 0x82, 0xd0, 0x0f, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xa0, 0x06, 0xe8, 0x07];
        assert_eq!(chunk, [&head[..], &[0b0011_1001, 0b1001_0000]].concat());
        assert_eq!(read(&chunk).map(|all| all.len()), Ok(3));
    }

    proptest! {
        #[test]
        fn any_samples_come_back(raw in prop::collection::vec((
            prop_oneof![Just(15_000i64), 0i64..6000, any::<i64>()],
            prop_oneof![any::<u64>(), Just(STALE_NAN_BITS), (0u32..4).prop_map(|n| f64::from(n).to_bits())],
            prop_oneof![Just(0i64), Just(77), any::<i64>()],
        ), 0..120)) {
            let mut time = 0i64;
            let samples: Vec<Sample> = raw
                .into_iter()
                .map(|(step, bits, start)| {
                    time = time.wrapping_add(step);
                    (time, f64::from_bits(bits), start)
                })
                .collect();
            check(&samples);
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
