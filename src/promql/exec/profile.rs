//! What each node of a plan took, for those who ask.
//!
//! **Invariants**: time and samples read of a node include those of its inputs; a node is never evaluated inside
//! itself, so nothing counts twice.
//!
//! **Cost**: nothing unless asked for; else two looks at the clock for each batch of each node.

use std::cell::RefCell;
use std::time::Duration;

use hashbrown::HashMap;

use crate::promql::plan::Node;

/// What a node gave and took, its inputs included.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NodeStats {
    /// Rows handed on.
    pub(crate) series: u64,
    /// Samples in them; a native histogram counts as several.
    pub(crate) samples: u64,
    /// Bytes of them, histograms aside.
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
    pub(crate) read: Reads,
    /// Whether its rows were taken from an equal node.
    pub(crate) shared: bool,
}

/// What was read from the storage.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reads {
    pub(crate) series: u64,
    pub(crate) samples: u64,
}

impl Reads {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { series: self.series + other.series, samples: self.samples + other.samples }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            series: self.series.saturating_sub(other.series),
            samples: self.samples.saturating_sub(other.samples),
        }
    }
}

/// What each node took, by its address: the plan stays where it is as long as it is evaluated.
#[derive(Debug, Default)]
pub(crate) struct Profile(RefCell<HashMap<usize, NodeStats>>);

pub(super) fn key(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

impl Profile {
    /// What `node` took: no time if its rows were taken from an equal node.
    pub(crate) fn of(&self, node: &Node) -> NodeStats {
        let took = self.0.borrow().get(&key(node)).copied().unwrap_or_default();
        if took.shared { NodeStats { time: Duration::ZERO, ..took } } else { took }
    }

    /// Notes whether the rows of `node` are taken from an equal node.
    pub(super) fn set_shared(&self, node: &Node, shared: bool) {
        self.0.borrow_mut().entry(key(node)).or_default().shared = shared;
    }

    pub(super) fn add(&self, key: usize, took: NodeStats) {
        let mut known = self.0.borrow_mut();
        let all = known.entry(key).or_default();
        all.series += took.series;
        all.samples += took.samples;
        all.bytes += took.bytes;
        all.time += took.time;
        all.read = all.read.plus(took.read);
    }
}
