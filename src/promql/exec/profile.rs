//! What each node of a plan took, for those who ask.
//!
//! **Invariants**: time and samples read of a node include those of its inputs; a node is never evaluated inside
//! itself, so nothing counts twice.
//!
//! **Cost**: nothing unless asked for; else two looks at the clock for each batch of each node.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::build::Opened;
use super::{Batch, Column, Context, Operator};
use crate::promql::Value;
use crate::promql::error::Error;
use crate::promql::plan::Node;

/// What a node gave and took, its inputs included.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Took {
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

impl Took {
    /// The same of something that gave `value`.
    pub(crate) fn giving(self, value: &Value) -> Self {
        let (series, samples) = match value {
            Value::Matrix(series) => (series.len(), series.iter().map(|s| s.samples.len()).sum()),
            Value::Vector(samples) => (samples.len(), samples.len()),
            Value::Scalar { .. } | Value::String { .. } => (1, 1),
        };
        Self { series: series as u64, samples: samples as u64, bytes: value.bytes() as u64, ..self }
    }
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
pub(crate) struct Profile(RefCell<HashMap<usize, Took>>);

fn key(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

impl Profile {
    /// What `node` took: no time if its rows were taken from an equal node.
    pub(crate) fn of(&self, node: &Node) -> Took {
        let took = self.0.borrow().get(&key(node)).copied().unwrap_or_default();
        if took.shared { Took { time: Duration::ZERO, ..took } } else { took }
    }

    /// Notes whether the rows of `node` are taken from an equal node.
    pub(super) fn set_shared(&self, node: &Node, shared: bool) {
        self.0.borrow_mut().entry(key(node)).or_default().shared = shared;
    }

    fn add(&self, key: usize, took: Took) {
        let mut known = self.0.borrow_mut();
        let all = known.entry(key).or_default();
        all.series += took.series;
        all.samples += took.samples;
        all.bytes += took.bytes;
        all.time += took.time;
        all.read = all.read.plus(took.read);
    }
}

/// Runs `work` and says what it took; what it gave is left open.
pub(crate) fn measure<T>(cx: &Context<'_>, work: impl FnOnce() -> T) -> (T, Took) {
    let (started, before) = (Instant::now(), cx.reads());
    let result = work();
    let read = cx.reads().minus(before);
    (result, Took { time: started.elapsed(), read, ..Took::default() })
}

/// What `rows` hold, added to `took`.
pub(crate) fn gives(rows: &Batch, took: &mut Took) {
    for row in rows {
        took.series += 1;
        took.samples += row.count() as u64;
        took.bytes += row.bytes() as u64;
    }
}

/// The operator of `node`, measured if that is asked for.
pub(super) fn probed<'p>(
    node: &'p Node,
    cx: &Context<'_>,
    open: impl FnOnce() -> Result<Opened<'p>, Error>,
) -> Result<Opened<'p>, Error> {
    let Some(profile) = cx.profile() else { return open() };
    let (inner, took) = measure(cx, open);
    profile.add(key(node), took);
    Ok(Box::new(Probe { node, inner: inner? }))
}

/// The column of the scalar `node`, measured if that is asked for.
pub(super) fn probed_scalar(
    node: &Node,
    cx: &Context<'_>,
    work: impl FnOnce() -> Result<Column, Error>,
) -> Result<Column, Error> {
    let Some(profile) = cx.profile() else { return work() };
    let (column, mut took) = measure(cx, work);
    if let Ok(column) = &column {
        (took.series, took.samples, took.bytes) = (1, column.len() as u64, column.len() as u64 * 8);
    }
    profile.add(key(node), took);
    column
}

/// An operator that is watched.
struct Probe<'p> {
    node: &'p Node,
    inner: Opened<'p>,
}

impl Operator for Probe<'_> {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, Error> {
        let (batch, mut took) = measure(cx, || self.inner.next(cx));
        if let Ok(Some(rows)) = &batch {
            gives(rows, &mut took);
        }
        if let Some(profile) = cx.profile() {
            profile.add(key(self.node), took);
        }
        batch
    }
}
