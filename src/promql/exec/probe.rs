//! Measures the operators of a query, for those who ask.

use std::time::Instant;

use super::batch::Batch;
use super::column::Column;
use super::context::Context;
use super::operator::{Opened, Operator};
use super::profile::{NodeStats, key};
use crate::promql::error::Error;
use crate::promql::plan::Node;

/// Runs `work` and says what it took; what it gave is left open.
pub(crate) fn measure<T>(cx: &Context<'_>, work: impl FnOnce() -> T) -> (T, NodeStats) {
    let (started, before) = (Instant::now(), cx.reads());
    let result = work();
    let read = cx.reads().minus(before);
    (result, NodeStats { time: started.elapsed(), read, ..NodeStats::default() })
}

/// What `rows` hold, added to `took`.
pub(crate) fn gives(rows: &Batch, took: &mut NodeStats) {
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
pub(super) struct Probe<'p> {
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
