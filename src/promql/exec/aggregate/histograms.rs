//! The histograms of one group: their running sum or mean at each step.

use std::sync::Arc;

use crate::model::histogram::ResetHint;
use crate::model::{Histogram, METRIC_NAME};
use crate::promql::annotations::{Annotation, HistogramOperation};
use crate::promql::error::Error;
use crate::promql::exec::Context;
use crate::promql::exec::batch::{Presence, ROW_WORK, Row};
use crate::promql::exec::histogram::{Accumulator, MeanAccumulator, MixedSchemas, Reconciled, Sign};
use crate::promql::memory::Ticket;
use crate::promql::syntax::ast::Span;

/// A running sum or mean.
enum Running {
    Sum(Accumulator),
    Mean(MeanAccumulator),
}

impl Running {
    fn new(mean: bool, first: &Histogram) -> Self {
        if mean {
            Self::Mean(MeanAccumulator::new(first))
        } else {
            Self::Sum(Accumulator::compensated(first))
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Sum(sum) => sum.bytes(),
            Self::Mean(mean) => mean.bytes(),
        }
    }

    fn add(&mut self, histogram: &Histogram) -> Result<Reconciled, MixedSchemas> {
        match self {
            Self::Sum(sum) => sum.add(histogram, Sign::Plus),
            Self::Mean(mean) => mean.add(histogram),
        }
    }

    fn finish(self) -> Histogram {
        let mut out = match self {
            Self::Sum(sum) => sum.finish(),
            Self::Mean(mean) => mean.finish(),
        };
        out.compact();
        out
    }
}

/// One step of a group.
struct Cell {
    /// Nothing when exponential and custom bounds met.
    running: Option<Running>,
    /// Whether there were floats before that.
    floats_before: bool,
    reset_seen: bool,
    not_reset_seen: bool,
}

/// The histograms of one group. Empty until the first one comes.
#[derive(Default)]
pub(super) struct HistogramColumn {
    cells: Vec<Option<Cell>>,
    /// What the cells take.
    memory: Ticket,
    /// What the cells count as against the limit on samples.
    held: usize,
}

impl HistogramColumn {
    /// Adds the histograms of a row to a sum, or to a `mean`. Floats have been seen at the steps `floats`.
    pub(super) fn add(
        &mut self,
        row: &Row,
        mean: bool,
        floats: &Presence,
        span: Span,
        cx: &Context<'_>,
    ) -> Result<(), Error> {
        if self.cells.is_empty() {
            self.memory = cx.reserve(row.values.len() * size_of::<Option<Cell>>())?;
            self.cells.resize_with(row.values.len(), || None);
        }
        for at in row.present.iter() {
            let Some(histogram) = row.histogram(at) else { continue };
            cx.work(histogram.weight())?;
            let seen = |hint| histogram.reset_hint == hint;
            let Some(cell) = &mut self.cells[at] else {
                let weight = histogram.weight();
                cx.hold(weight)?;
                self.held += weight;
                let running = Running::new(mean, histogram);
                cx.grow(&mut self.memory, running.bytes())?;
                self.cells[at] = Some(Cell {
                    running: Some(running),
                    floats_before: false,
                    reset_seen: seen(ResetHint::Reset),
                    not_reset_seen: seen(ResetHint::NotReset),
                });
                continue;
            };
            let Some(running) = &mut cell.running else { continue };
            cell.reset_seen |= seen(ResetHint::Reset);
            cell.not_reset_seen |= seen(ResetHint::NotReset);
            let before = running.bytes();
            let added = running.add(histogram);
            // Buckets that only this one has are new ones of the sum.
            cx.grow(&mut self.memory, running.bytes().saturating_sub(before))?;
            match added {
                Ok(reconciled) if reconciled.bounds => {
                    cx.annotate(Annotation::BoundsReconciled(HistogramOperation::Aggregation), span);
                }
                Ok(_) => {}
                Err(MixedSchemas) => {
                    let name = row.labels.get(METRIC_NAME).unwrap_or("").to_owned();
                    cx.annotate(Annotation::MixedSchemas(name), span);
                    cell.running = None;
                    cell.floats_before = floats.get(at);
                }
            }
        }
        Ok(())
    }

    /// Moves the results into the row of the group, which holds the floats. Steps with both kinds have no value.
    pub(super) fn finish(self, row: &mut Row, span: Span, cx: &Context<'_>) -> Result<(), Error> {
        for (at, cell) in self.cells.into_iter().enumerate() {
            let Some(cell) = cell else { continue };
            let floats = row.present.get(at);
            row.present.clear(at);
            let mixed = if cell.running.is_some() { floats } else { cell.floats_before };
            if mixed {
                cx.annotate(Annotation::MixedGroup, span);
                continue;
            }
            let Some(running) = cell.running else { continue };
            cx.work(ROW_WORK)?;
            row.put_histogram(at, Arc::new(running.finish()), cx)?;
            if cell.reset_seen && cell.not_reset_seen {
                cx.annotate(Annotation::ConflictingResets(HistogramOperation::Aggregation), span);
            }
        }
        cx.release(self.held);
        Ok(())
    }
}
