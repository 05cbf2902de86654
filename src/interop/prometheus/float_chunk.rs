//! Chunks of floats: the second difference of timestamps, the changed bits of values.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::bits::{XorFloat, fits, get_varint, put_varint, signed};
use crate::codec::bits::{BitReader, BitWriter};
use crate::codec::reader::{unzigzag, zigzag};
use crate::codec::{ByteReader, CodecError};

use super::BigEndian as _;

type Result<T> = std::result::Result<T, CodecError>;

/// Samples of a chunk as Prometheus cuts it.
pub const MAX_SAMPLES: usize = 120;

/// Encodes samples in order of time, one after the other.
#[derive(Debug, Clone)]
pub struct FloatChunk {
    bits: BitWriter,
    count: u16,
    last: i64,
    delta: i64,
    value: XorFloat,
}

impl Default for FloatChunk {
    fn default() -> Self {
        Self { bits: BitWriter::new(), count: 0, last: 0, delta: 0, value: XorFloat::default() }
    }
}

impl FloatChunk {
    /// Number of samples so far.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a sample; there must be fewer than 65,535.
    pub fn push(&mut self, timestamp: i64, value: f64) {
        let delta = timestamp.wrapping_sub(self.last);
        match self.count {
            0 => {
                put_varint(&mut self.bits, zigzag(timestamp));
                self.bits.put(value.to_bits(), 64);
                self.value = XorFloat::new(value);
            }
            1 => {
                put_varint(&mut self.bits, delta.cast_unsigned());
                self.value.put(&mut self.bits, value);
            }
            _ => {
                let change = delta.wrapping_sub(self.delta);
                let stored = change.cast_unsigned();
                match change {
                    0 => self.bits.put(0, 1),
                    _ if fits(change, 14) => {
                        self.bits.put(0b10, 2);
                        self.bits.put(stored, 14);
                    }
                    _ if fits(change, 17) => {
                        self.bits.put(0b110, 3);
                        self.bits.put(stored, 17);
                    }
                    _ if fits(change, 20) => {
                        self.bits.put(0b1110, 4);
                        self.bits.put(stored, 20);
                    }
                    _ => {
                        self.bits.put(0b1111, 4);
                        self.bits.put(stored, 64);
                    }
                }
                self.value.put(&mut self.bits, value);
            }
        }
        if self.count > 0 {
            self.delta = delta;
        }
        self.last = timestamp;
        self.count = self.count.saturating_add(1);
    }

    /// The chunk: the number of samples, then their bits.
    pub fn finish(self) -> Vec<u8> {
        let mut out = self.count.to_be_bytes().to_vec();
        out.extend_from_slice(self.bits.as_bytes());
        out
    }
}

/// Calls `each` with the samples of a chunk in their order.
///
/// # Errors
/// When the chunk ends before its samples do.
pub fn decode(chunk: &[u8], mut each: impl FnMut(i64, f64)) -> Result<()> {
    let mut head = ByteReader::new(chunk);
    let count = head.be16()?;
    let mut bits = BitReader::new(head.bytes(head.remaining())?);
    let (mut timestamp, mut delta, mut value) = (0i64, 0i64, XorFloat::default());
    for number in 0..count {
        match number {
            0 => {
                timestamp = unzigzag(get_varint(&mut bits)?);
                value = XorFloat::new(f64::from_bits(bits.get(64)?));
            }
            1 => {
                delta = get_varint(&mut bits)?.cast_signed();
                timestamp = timestamp.wrapping_add(delta);
                value.get(&mut bits)?;
            }
            _ => {
                let mut width = 0;
                for wider in [14, 17, 20, 64] {
                    if bits.get(1)? == 0 {
                        break;
                    }
                    width = wider;
                }
                let change = match width {
                    0 => 0,
                    64 => bits.get(64)?.cast_signed(),
                    width => signed(bits.get(width)?, width),
                };
                delta = delta.wrapping_add(change);
                timestamp = timestamp.wrapping_add(delta);
                value.get(&mut bits)?;
            }
        }
        each(timestamp, value.value());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(samples: &[(i64, f64)]) {
        let mut chunk = FloatChunk::default();
        samples.iter().for_each(|(t, v)| chunk.push(*t, *v));
        let mut back = Vec::new();
        decode(&chunk.finish(), |t, v| back.push((t, v.to_bits()))).expect("decodes");
        assert_eq!(back, samples.iter().map(|(t, v)| (*t, v.to_bits())).collect::<Vec<_>>());
    }

    #[test]
    fn samples_come_back() {
        check(&[]);
        check(&[(-5, 1.5)]);
        check(&[
            (0, 0.0),
            (15_000, f64::NAN),
            (30_003, -0.0),
            (44_000, 1e300),
            (5_000_000_000, 2.0),
            (5_000_000_001, 2.0),
        ]);
        check(&(0..120i64).map(|n| (n * 15_000 + n % 3, (n * n) as f64 / 7.0)).collect::<Vec<_>>());
        check(&[(i64::MIN, 1.0), (0, 1.0), (i64::MAX, f64::from_bits(crate::model::STALE_NAN_BITS))]);
    }

    #[test]
    fn is_the_bytes_that_prometheus_writes() {
        let mut chunk = FloatChunk::default();
        chunk.push(1000, 1.0);
        chunk.push(2000, 1.0);
        chunk.push(3000, 1.0);
        // Count, 1000 in zigzag, 1.0, 1000, then one bit each for value, change of time, value.
        let expected = [0, 3, 0xd0, 0x0f, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xe8, 0x07, 0];
        assert_eq!(chunk.finish(), expected);
    }
}
