//! The open chunk of the head: constant until its value first changes, then value bits.
//!
//! Timestamps are a range of a timeline; only samples that do not follow one make the chunk keep timestamps of its
//! own.
//!
//! **Cost**: a chunk whose value never changed holds no buffer at all.

use super::column::XorState;
use crate::codec::bits::{BitReader, BitWriter};
use crate::codec::{ByteReader, ByteWriter as _};
use crate::model::STALE_NAN_BITS;

/// Samples after which a chunk of the head is complete.
pub const MAX_OPEN_SAMPLES: u16 = 120;

/// Identity of a timeline of the head.
pub type TimelineId = u32;

/// Where the timestamps of a chunk are.
#[derive(Debug, Clone, PartialEq)]
pub enum Times {
    /// A range of a shared timeline: its id and the number, within it, of the first timestamp.
    Shared {
        /// The timeline.
        id: TimelineId,
        /// Number of the first timestamp, counted from the timeline's beginning.
        first: u32,
    },
    /// Timestamps of its own.
    Own(Box<OwnTimes>),
}

/// Timestamps of one chunk: the first, then differences of differences.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnTimes {
    first: i64,
    last: i64,
    step: i64,
    coded: Vec<u8>,
}

impl OwnTimes {
    /// The timestamps of `stamps` (milliseconds), which are not empty.
    pub fn new(stamps: &[i64]) -> Self {
        let first = stamps.first().copied().unwrap_or(0);
        let mut new = Self { first, last: first, step: 0, coded: Vec::new() };
        stamps.iter().skip(1).for_each(|t| new.push(*t));
        new
    }

    /// Adds a timestamp.
    pub fn push(&mut self, timestamp: i64) {
        let step = timestamp.wrapping_sub(self.last);
        self.coded.put_zigzag(step.wrapping_sub(self.step));
        self.last = timestamp;
        self.step = step;
    }

    /// The first timestamp, in milliseconds.
    pub fn first(&self) -> i64 {
        self.first
    }

    /// The last timestamp, in milliseconds.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// Appends all timestamps to `out`.
    pub fn read(&self, out: &mut Vec<i64>) {
        out.push(self.first);
        let (mut last, mut step) = (self.first, 0i64);
        let mut reader = ByteReader::new(&self.coded);
        // Own memory, written by `push`: it cannot be damaged.
        while let Ok(change) = reader.zigzag() {
            step = step.wrapping_add(change);
            last = last.wrapping_add(step);
            out.push(last);
        }
    }

    /// Gives back memory kept for more timestamps.
    pub fn shrink(&mut self) {
        self.coded.shrink_to_fit();
    }
}

/// The values of a chunk that still grows.
#[derive(Debug, Clone)]
pub struct OpenValues {
    bits: BitWriter,
    state: XorState,
    /// Without bits: the one value of all samples.
    constant: u64,
    count: u16,
    stale: bool,
}

impl Default for OpenValues {
    fn default() -> Self {
        Self { bits: BitWriter::new(), state: XorState::default(), constant: 0, count: 0, stale: false }
    }
}

/// The values of an open chunk as they were at one moment; bits are kept by the holder.
#[derive(Debug, Clone, Copy)]
pub enum ValueShape {
    /// All alike.
    Constant(u64),
    /// As bits.
    Bits,
}

impl OpenValues {
    /// Number of values.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Whether no more values should be added.
    pub fn is_full(&self) -> bool {
        self.count >= MAX_OPEN_SAMPLES
    }

    /// Whether a value is the stale marker.
    pub fn has_stale(&self) -> bool {
        self.stale
    }

    /// Adds one value by its bits.
    pub fn push(&mut self, bits: u64) {
        self.stale |= bits == STALE_NAN_BITS;
        if self.count == 0 {
            self.constant = bits;
        } else if !self.bits.as_bytes().is_empty() {
            put(bits, &mut self.state, &mut self.bits);
        } else if self.constant != bits {
            for _ in 0..self.count {
                put(self.constant, &mut self.state, &mut self.bits);
            }
            put(bits, &mut self.state, &mut self.bits);
        }
        self.count += 1;
    }

    /// What is needed to read the values later; the bits are appended to `bytes`.
    pub fn snapshot(&self, bytes: &mut Vec<u8>) -> ValueShape {
        bytes.extend_from_slice(self.bits.as_bytes());
        self.shape()
    }

    fn shape(&self) -> ValueShape {
        if self.bits.as_bytes().is_empty() { ValueShape::Constant(self.constant) } else { ValueShape::Bits }
    }

    /// Appends all values to `out`.
    pub fn read(&self, out: &mut Vec<f64>) {
        read_values(self.shape(), self.bits.as_bytes(), self.count, out);
    }
}

/// Appends the `count` values of a snapshot to `out`.
pub fn read_values(shape: ValueShape, bytes: &[u8], count: u16, out: &mut Vec<f64>) {
    match shape {
        ValueShape::Constant(bits) => out.resize(out.len() + usize::from(count), f64::from_bits(bits)),
        ValueShape::Bits => {
            let mut bits = BitReader::new(bytes);
            let mut state = XorState::default();
            for _ in 0..count {
                // Own memory, written by `put`: it cannot be short.
                out.push(get(&mut state, &mut bits).unwrap_or(f64::NAN));
            }
        }
    }
}

/// The stale marker has a bit of its own and leaves the state alone, so that the value after it costs nothing.
fn put(bits: u64, state: &mut XorState, writer: &mut BitWriter) {
    if bits == STALE_NAN_BITS {
        writer.put(1, 1);
    } else {
        writer.put(0, 1);
        state.put(bits, writer);
    }
}

fn get(state: &mut XorState, bits: &mut BitReader<'_>) -> Option<f64> {
    if bits.peek() >> 63 == 1 {
        bits.skip(1).ok()?;
        return Some(f64::from_bits(STALE_NAN_BITS));
    }
    state.get(bits, 1).ok().map(f64::from_bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_values_come_back(values in prop::collection::vec(prop_oneof![
            any::<u64>(),
            Just(STALE_NAN_BITS),
            (0u32..4).prop_map(|n| f64::from(n).to_bits()),
        ], 1..120)) {
            let mut chunk = OpenValues::default();
            values.iter().for_each(|v| chunk.push(*v));
            let (mut back, mut bytes, mut again) = (Vec::new(), Vec::new(), Vec::new());
            chunk.read(&mut back);
            let shape = chunk.snapshot(&mut bytes);
            read_values(shape, &bytes, chunk.count(), &mut again);
            let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(chunk.has_stale(), values.contains(&STALE_NAN_BITS));
            prop_assert_eq!(bits(&back), values);
            prop_assert_eq!(bits(&back), bits(&again));
        }

        #[test]
        fn any_timestamps_come_back(stamps in prop::collection::vec(any::<i64>(), 1..50)) {
            let mut back = Vec::new();
            OwnTimes::new(&stamps).read(&mut back);
            prop_assert_eq!(back, stamps);
        }
    }
}
