//! The open chunk of the head: constant until its value first changes, then value bits.
//!
//! Timestamps are a range of a timeline; only samples that do not follow one make the chunk keep timestamps of its
//! own.
//!
//! **Cost**: a chunk takes 24 bytes, and one whose value never changed holds no buffer at all. A buffer grows by a quarter,
//! and by two words at least.

use thin_vec::ThinVec;

use super::column::XorState;
use crate::codec::bits::BitReader;
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
    /// Their bits, from the top of each word down; none as long as all are alike.
    words: ThinVec<u64>,
    /// The last value that is no stale marker; without words the one value of all samples.
    last: u64,
    /// The rest of the state of the coding.
    shift: u8,
    width: u8,
    /// Bits of the last word that are in use; 64 means it is full (or there is none).
    used: u8,
    stale: bool,
    count: u16,
}

// There is one in each series.
const _: () = assert!(size_of::<OpenValues>() == 24);

/// Words by which a buffer grows at least: sizes that allocators have.
const MIN_GROWTH: usize = 2;

impl Default for OpenValues {
    fn default() -> Self {
        Self { words: ThinVec::new(), last: 0, shift: 0, width: 0, used: 64, stale: false, count: 0 }
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

    /// Where the next value goes: looking there has the processor fetch it.
    #[inline]
    pub fn peek(&self) -> u64 {
        self.words.last().copied().unwrap_or_default()
    }

    /// Adds one value by its bits.
    pub fn push(&mut self, bits: u64) {
        self.stale |= bits == STALE_NAN_BITS;
        if self.count == 0 {
            self.last = bits;
        } else if !self.words.is_empty() {
            self.code(bits);
        } else if self.last != bits {
            let constant = std::mem::take(&mut self.last);
            for _ in 0..self.count {
                self.code(constant);
            }
            self.code(bits);
        }
        self.count += 1;
    }

    /// The stale marker has a bit of its own and leaves the state alone, so that the value after it costs nothing.
    fn code(&mut self, bits: u64) {
        if bits == STALE_NAN_BITS {
            return self.put(1, 1);
        }
        let mut state = XorState { last: self.last, shift: self.shift, width: self.width };
        state.put(bits, 1, |value, width| self.put(value, width));
        XorState { last: self.last, shift: self.shift, width: self.width } = state;
    }

    /// Appends the lowest `width` bits of `value`: 1 to 64, and none above them is set.
    fn put(&mut self, value: u64, width: u32) {
        let aligned = value << (u64::BITS - width);
        let free = u64::BITS - u32::from(self.used);
        if let Some(last) = self.words.last_mut()
            && free > 0
        {
            *last |= aligned >> self.used;
        }
        if width <= free {
            self.used += width.to_le_bytes()[0];
            return;
        }
        if self.words.len() == self.words.capacity() {
            self.words.reserve_exact(MIN_GROWTH.max(self.words.len() / 4));
        }
        self.words.push(aligned << free);
        self.used = (width - free).to_le_bytes()[0];
    }

    /// What is needed to read the values later; the bits are appended to `bytes`.
    pub fn snapshot(&self, bytes: &mut Vec<u8>) -> ValueShape {
        bytes.reserve(self.words.len() * size_of::<u64>());
        self.words.iter().for_each(|word| bytes.extend_from_slice(&word.to_be_bytes()));
        if self.words.is_empty() { ValueShape::Constant(self.last) } else { ValueShape::Bits }
    }

    /// Appends all values to `out`.
    pub fn read(&self, out: &mut Vec<f64>) {
        let mut bytes = Vec::new();
        let shape = self.snapshot(&mut bytes);
        read_values(shape, &bytes, self.count, out);
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
