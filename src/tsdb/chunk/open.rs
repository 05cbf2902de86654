//! The open chunk of the head: constant until its value first changes, then value bits.
//!
//! Timestamps are a range of the timeline its scrape writes; only samples that do not follow their timeline make the
//! chunk keep timestamps of its own.
//!
//! **Cost**: a chunk whose value never changed holds no buffer at all.

use super::column::XorState;
use crate::codec::bits::{BitReader, BitWriter};
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
        first: u64,
    },
    /// Timestamps of its own, in milliseconds.
    Own(Vec<i64>),
}

#[derive(Debug, Clone)]
enum Values {
    Constant(f64),
    Bits { writer: BitWriter, state: XorState },
}

/// An append-only run of samples of one series.
#[derive(Debug, Clone)]
pub struct OpenChunk {
    /// Where its timestamps are.
    pub times: Times,
    /// Timestamp of the first sample, in milliseconds.
    pub start_time: i64,
    values: Values,
    count: u16,
}

impl OpenChunk {
    /// A chunk of one sample.
    pub fn new(times: Times, start_time: i64, value: f64) -> Self {
        Self { times, start_time, values: Values::Constant(value), count: 1 }
    }

    /// Number of samples.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Whether no more samples should be added.
    pub fn is_full(&self) -> bool {
        self.count >= MAX_OPEN_SAMPLES
    }

    /// Adds the value of one more sample; the caller has seen to its timestamp.
    pub fn push_value(&mut self, value: f64) {
        if let Values::Constant(constant) = self.values
            && constant.to_bits() != value.to_bits()
        {
            let mut writer = BitWriter::new();
            let mut state = XorState::default();
            for _ in 0..self.count {
                put(constant, &mut state, &mut writer);
            }
            self.values = Values::Bits { writer, state };
        }
        if let Values::Bits { writer, state } = &mut self.values {
            put(value, state, writer);
        }
        self.count += 1;
    }

    /// Appends all values to `out`.
    pub fn values(&self, out: &mut Vec<f64>) {
        match &self.values {
            Values::Constant(value) => out.resize(out.len() + usize::from(self.count), *value),
            Values::Bits { writer, .. } => {
                let mut bits = BitReader::new(writer.as_bytes());
                let mut state = XorState::default();
                for _ in 0..self.count {
                    // Own memory, written by `put`: it cannot be short.
                    out.push(get(&mut state, &mut bits).unwrap_or(f64::NAN));
                }
            }
        }
    }
}

/// The stale marker has a bit of its own and leaves the state alone, so that the value after it costs nothing.
fn put(value: f64, state: &mut XorState, writer: &mut BitWriter) {
    if value.to_bits() == STALE_NAN_BITS {
        writer.put(1, 1);
    } else {
        writer.put(0, 1);
        state.put(value.to_bits(), writer);
    }
}

fn get(state: &mut XorState, bits: &mut BitReader<'_>) -> Option<f64> {
    if bits.get(1).ok()? == 1 {
        return Some(f64::from_bits(STALE_NAN_BITS));
    }
    state.get(bits).ok().map(f64::from_bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_values_come_back(values in prop::collection::vec(prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            Just(f64::from_bits(STALE_NAN_BITS)),
            (0u32..4).prop_map(f64::from),
        ], 1..120)) {
            let mut chunk = OpenChunk::new(Times::Own(vec![]), 0, values[0]);
            values[1..].iter().for_each(|v| chunk.push_value(*v));
            let mut back = Vec::new();
            chunk.values(&mut back);
            let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&back), bits(&values));
        }
    }
}
