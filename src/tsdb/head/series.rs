//! One series of the head: sealed chunks and an open one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::timeline::Timelines;
use crate::model::Labels;
use crate::tsdb::SeriesRef;
use crate::tsdb::chunk::column;
use crate::tsdb::chunk::open::{OpenChunk, TimelineId, Times};
use crate::util::lock::lock;

/// Below this many samples a chunk that leaves its timeline is given timestamps of its own instead of being sealed,
/// so that series scraped in turns by two targets do not end in a chunk per sample.
const MIN_SEALED_SAMPLES: u16 = 16;

/// A chunk that is complete.
#[derive(Debug)]
pub struct SealedChunk {
    /// Where its timestamps are.
    pub times: Times,
    /// Timestamp of the first sample in milliseconds.
    pub start_time: i64,
    /// Timestamp of the last sample in milliseconds.
    pub end_time: i64,
    /// Number of samples.
    pub count: u16,
    /// Encoded values.
    pub column: Box<[u8]>,
}

/// Where a timestamp stands on a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The timeline.
    pub id: TimelineId,
    /// Number of the timestamp, counted from the timeline's beginning.
    pub number: u64,
}

#[derive(Debug, Default)]
struct State {
    sealed: Vec<Arc<SealedChunk>>,
    /// Shared with readers; an append while somebody reads copies it first.
    open: Option<Arc<OpenChunk>>,
    /// Time and value of the newest sample.
    last: Option<(i64, f64)>,
}

/// A series and its recent samples.
#[derive(Debug)]
pub struct MemSeries {
    reference: SeriesRef,
    labels: Labels,
    /// Whether the log has a record of this series.
    logged: AtomicBool,
    state: Mutex<State>,
}

/// Handles to the chunks of a series, as they were at one moment.
#[derive(Debug, Clone)]
pub enum ChunkHandle {
    /// A complete chunk.
    Sealed(Arc<SealedChunk>),
    /// The open chunk.
    Open(Arc<OpenChunk>),
}

impl ChunkHandle {
    /// Where its timestamps are, and how many.
    pub fn times(&self) -> (&Times, usize) {
        match self {
            Self::Sealed(chunk) => (&chunk.times, usize::from(chunk.count)),
            Self::Open(chunk) => (&chunk.times, usize::from(chunk.count())),
        }
    }
}

impl MemSeries {
    pub(super) fn new(reference: SeriesRef, labels: Labels, logged: bool) -> Self {
        Self { reference, labels, logged: AtomicBool::new(logged), state: Mutex::default() }
    }

    /// Its identity.
    pub fn reference(&self) -> SeriesRef {
        self.reference
    }

    /// Its labels.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(super) fn is_logged(&self) -> bool {
        // Acquire pairs with the release below: whoever sees the flag may log samples of the series.
        self.logged.load(Ordering::Acquire)
    }

    pub(super) fn mark_logged(&self) {
        self.logged.store(true, Ordering::Release);
    }

    /// Time and value of the newest sample.
    pub fn last(&self) -> Option<(i64, f64)> {
        lock(&self.state).last
    }

    pub(super) fn chunk_count(&self) -> usize {
        let state = lock(&self.state);
        state.sealed.len() + usize::from(state.open.is_some())
    }

    /// Adds a sample unless it is not newer than the last one; says whether it did.
    pub(super) fn append(
        &self,
        timestamp: i64,
        value: f64,
        place: Option<Placement>,
        timelines: &Timelines,
    ) -> bool {
        let mut state = lock(&self.state);
        if state.last.is_some_and(|(last, _)| timestamp <= last) {
            return false;
        }
        let previous = state.last.replace((timestamp, value));
        if let (Some(open), Some((end_time, _))) = (&mut state.open, previous) {
            let count = open.count();
            let follows = match (&open.times, place) {
                (Times::Shared { id, first }, Some(place)) => {
                    *id == place.id && first + u64::from(count) == place.number
                }
                (Times::Shared { .. }, None) => false,
                (Times::Own(_), _) => true,
            };
            if !open.is_full() && (follows || count < MIN_SEALED_SAMPLES) {
                let open = Arc::make_mut(open);
                if !follows {
                    open.times = Times::Own(timelines.copy(&open.times, usize::from(count)));
                }
                if let Times::Own(own) = &mut open.times {
                    own.push(timestamp);
                }
                open.push_value(value);
                return true;
            }
            let sealed = seal(open, end_time);
            state.sealed.push(Arc::new(sealed));
        }
        let times = match place {
            Some(place) => Times::Shared { id: place.id, first: place.number },
            None => Times::Own(vec![timestamp]),
        };
        state.open = Some(Arc::new(OpenChunk::new(times, timestamp, value)));
        true
    }

    /// Handles of the chunks that may hold samples from `start` to `end` (milliseconds, both inside).
    pub(super) fn chunks(&self, start: i64, end: i64, out: &mut Vec<ChunkHandle>) {
        let state = lock(&self.state);
        for chunk in &state.sealed {
            if chunk.end_time >= start && chunk.start_time <= end {
                out.push(ChunkHandle::Sealed(Arc::clone(chunk)));
            }
        }
        if let (Some(open), Some((last, _))) = (&state.open, state.last)
            && last >= start
            && open.start_time <= end
        {
            out.push(ChunkHandle::Open(Arc::clone(open)));
        }
    }

    /// Drops chunks that end before `min_time`. Says how many are left, and calls `used` with the time location of
    /// each of those.
    pub(super) fn truncate(&self, min_time: i64, mut used: impl FnMut(&Times)) -> usize {
        let mut state = lock(&self.state);
        state.sealed.retain(|chunk| chunk.end_time >= min_time);
        state.sealed.shrink_to_fit();
        if state.last.is_some_and(|(last, _)| last < min_time) {
            state.open = None;
        }
        state.sealed.iter().for_each(|chunk| used(&chunk.times));
        state.open.iter().for_each(|chunk| used(&chunk.times));
        state.sealed.len() + usize::from(state.open.is_some())
    }

    /// Timestamp of the oldest sample in milliseconds.
    pub(super) fn start_time(&self) -> Option<i64> {
        let state = lock(&self.state);
        state.sealed.first().map(|c| c.start_time).or_else(|| state.open.as_ref().map(|c| c.start_time))
    }
}

fn seal(open: &OpenChunk, end_time: i64) -> SealedChunk {
    thread_local! {
        static SCRATCH: std::cell::RefCell<(Vec<f64>, column::Scratch, Vec<u8>)> = std::cell::RefCell::default();
    }
    SCRATCH.with_borrow_mut(|(values, scratch, out)| {
        values.clear();
        out.clear();
        open.values(values);
        column::encode(values, scratch, out);
        SealedChunk {
            times: open.times.clone(),
            start_time: open.start_time,
            end_time,
            count: open.count(),
            column: out.as_slice().into(),
        }
    })
}
