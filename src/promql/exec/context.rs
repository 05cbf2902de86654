//! What all operators of one query share: its data, its budget, its deadline, its remarks.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use crate::promql::annotations::{Annotations, Remark};
use crate::promql::error::Error;
use crate::promql::options::Features;
use crate::promql::syntax::ast::Span;
use crate::storage::SeriesSet;
use crate::util::StopToken;

/// Phase named in errors of queries that end early.
const PHASE: &str = "expression evaluation";

/// Most cells (rows times steps) of one batch: 8 MiB of values.
const BATCH_CELLS: usize = 1 << 20;

/// Most rows of one batch.
const BATCH_ROWS: usize = 256;

/// Bounds of one query.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) max_samples: usize,
    pub(crate) deadline: Option<Instant>,
    pub(crate) stop: StopToken,
}

/// The shared state of one running query.
pub(crate) struct Context<'a> {
    /// The series of each selector, by number.
    pub(crate) selects: &'a [Box<dyn SeriesSet>],
    /// Whether names are dropped at the end instead of by each operation.
    pub(crate) delayed_names: bool,
    /// Whether the query has more than one step.
    pub(crate) is_range: bool,
    /// The parts of the language that are on.
    pub(crate) features: &'a Features,
    limits: Limits,
    held: Cell<usize>,
    peak: Cell<usize>,
    total: Cell<u64>,
    annotations: RefCell<Annotations>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        selects: &'a [Box<dyn SeriesSet>],
        features: &'a Features,
        is_range: bool,
        limits: Limits,
    ) -> Self {
        Self {
            selects,
            delayed_names: features.delayed_name_removal,
            is_range,
            features,
            limits,
            held: Cell::new(0),
            peak: Cell::new(0),
            total: Cell::new(0),
            annotations: RefCell::default(),
        }
    }

    /// Fails when the query should end early. Called per series and per batch.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.limits.stop.is_stopped() {
            return Err(Error::Canceled(PHASE));
        }
        if self.limits.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Error::Timeout(PHASE));
        }
        Ok(())
    }

    /// Counts `samples` as held from now on.
    pub(crate) fn hold(&self, samples: usize) -> Result<(), Error> {
        let held = self.held.get().saturating_add(samples);
        self.held.set(held);
        self.peak.set(self.peak.get().max(held));
        if held > self.limits.max_samples {
            return Err(Error::TooManySamples);
        }
        Ok(())
    }

    /// Most samples that may be held.
    pub(crate) fn max_samples(&self) -> usize {
        self.limits.max_samples
    }

    /// Counts `samples` as no longer held.
    pub(crate) fn release(&self, samples: usize) {
        self.held.set(self.held.get().saturating_sub(samples));
    }

    /// Counts samples looked at.
    pub(crate) fn looked_at(&self, samples: usize) {
        self.total.set(self.total.get().saturating_add(u64::try_from(samples).unwrap_or(u64::MAX)));
    }

    /// Runs `work`, counting what it looks at `times` over: not at all inside subqueries, whose windows are counted
    /// instead, and once per step for what is computed once but shown at every step.
    pub(crate) fn counting<T>(&self, times: usize, work: impl FnOnce() -> T) -> T {
        let before = self.total.get();
        let result = work();
        let seen = self.total.get().saturating_sub(before);
        let times = u64::try_from(times).unwrap_or(u64::MAX);
        self.total.set(before.saturating_add(seen.saturating_mul(times)));
        result
    }

    /// Adds a remark about the expression at `span`.
    pub(crate) fn remark(&self, remark: Remark, span: Span) {
        self.annotations.borrow_mut().add(remark, span);
    }

    /// Rows per batch for rows of `steps` columns.
    pub(crate) fn batch_rows(steps: usize) -> usize {
        (BATCH_CELLS / steps.max(1)).clamp(1, BATCH_ROWS)
    }

    /// Everything the query leaves behind: remarks, samples looked at, most samples held.
    pub(crate) fn finish(self) -> (Annotations, u64, u64) {
        let peak = u64::try_from(self.peak.get()).unwrap_or(u64::MAX);
        (self.annotations.into_inner(), self.total.get(), peak)
    }
}
