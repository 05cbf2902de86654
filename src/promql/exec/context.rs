//! What all operators of one query share: its data, its budget, its deadline, its remarks.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::batch::Row;
use super::share::Kept;
use super::{Profile, Reads, StepCounts};
use crate::model::Labels;
use crate::promql::annotations::{Annotations, Remark};
use crate::promql::error::Error;
use crate::promql::memory::{Memory, Ticket};
use crate::promql::options::Features;
use crate::promql::plan::{Node, Shares};
use crate::promql::syntax::ast::Span;
use crate::storage::SeriesSet;
use crate::util::StopToken;

/// Phase named in errors of queries that end early.
const PHASE: &str = "expression evaluation";

/// Most cells (rows times steps) of one batch: 8 MiB of values.
const BATCH_CELLS: usize = 1 << 20;

/// Cells of a batch that has more rows than [`FEW_ROWS`].
const MANY_ROWS_CELLS: usize = 1 << 18;

/// Rows enough to share between threads.
const FEW_ROWS: usize = 16;

/// Most rows of one batch.
const BATCH_ROWS: usize = 4096;

/// Bounds of one query.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) max_samples: usize,
    pub(crate) memory: Arc<Memory>,
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
    held: Arc<Held>,
    /// Equal parts of the plan; not in forks, which work inside of one node.
    shares: Shares,
    kept: Arc<Kept>,
    total: Cell<u64>,
    annotations: RefCell<Annotations>,
    /// Series and samples read from the storage.
    reads: Cell<Reads>,
    /// Kept when asked for.
    steps: Option<RefCell<StepCounts>>,
    /// Kept when asked for; not in forks, whose work is part of one node.
    profile: Option<Profile>,
}

/// What a query leaves behind.
pub(crate) struct Left {
    pub(crate) annotations: Annotations,
    /// Samples looked at.
    pub(crate) total: u64,
    /// Most samples held.
    pub(crate) peak: u64,
    /// Samples of each step, if that was asked for.
    pub(crate) steps: Option<StepCounts>,
    /// What each node took, if that was asked for.
    pub(crate) profile: Option<Profile>,
}

/// Samples held by all threads of a query.
#[derive(Debug, Default)]
pub(super) struct Held {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl Held {
    /// Counts `samples` as no longer held.
    pub(super) fn release(&self, samples: usize) {
        let less = |held: usize| Some(held.saturating_sub(samples));
        let _ = self.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// What a part of a query notes beside its rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    annotations: Annotations,
    /// Samples looked at.
    total: u64,
    /// The same by step, if that is asked for.
    steps: Option<StepCounts>,
}

impl Record {
    /// Adds what was noted after it.
    pub(super) fn extend(&mut self, later: &Self) {
        self.annotations.join(later.annotations.clone());
        self.total = self.total.saturating_add(later.total);
        match (&mut self.steps, &later.steps) {
            (Some(own), Some(later)) => own.join(later),
            (own @ None, later) => own.clone_from(later),
            (Some(_), None) => {}
        }
    }

    /// Whether there are remarks in it.
    pub(super) fn has_remarks(&self) -> bool {
        !self.annotations.is_empty()
    }
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
            held: Arc::default(),
            shares: Shares::default(),
            kept: Arc::default(),
            total: Cell::new(0),
            annotations: RefCell::default(),
            reads: Cell::default(),
            steps: None,
            profile: None,
        }
    }

    /// Counts samples for each of `steps` from now on.
    pub(crate) fn count_steps(&mut self, steps: usize) {
        self.steps = Some(RefCell::new(StepCounts::new(steps)));
    }

    /// Computes equal parts of the plan once from now on.
    pub(crate) fn share(&mut self, shares: Shares) {
        self.kept = Arc::new(Kept::new(&shares, &self.held, self.limits.memory.limit()));
        self.shares = shares;
    }

    /// Equal parts of the plan.
    pub(super) fn shares(&self) -> &Shares {
        &self.shares
    }

    /// What is kept of them.
    pub(super) fn kept(&self) -> &Arc<Kept> {
        &self.kept
    }

    /// Notes whether the rows of `node` are those of another one.
    pub(super) fn shares_result_of(&self, node: &Node, shared: bool) {
        if let Some(profile) = &self.profile {
            profile.set_shared(node, shared);
        }
    }

    /// Measures each node from now on.
    pub(crate) fn measure_nodes(&mut self) {
        self.profile = Some(Profile::default());
    }

    /// What each node took so far, if that is asked for.
    pub(super) fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    /// A context of the same query for another thread; what it notes comes back by [`Context::join`].
    pub(crate) fn fork(&self) -> Self {
        Self {
            selects: self.selects,
            delayed_names: self.delayed_names,
            is_range: self.is_range,
            features: self.features,
            limits: self.limits.clone(),
            held: Arc::clone(&self.held),
            shares: Shares::default(),
            kept: Arc::clone(&self.kept),
            total: Cell::new(0),
            annotations: RefCell::default(),
            reads: Cell::default(),
            profile: None,
            steps: self.steps.as_ref().map(|own| RefCell::new(StepCounts::new(own.borrow().steps()))),
        }
    }

    /// Takes over what a fork has noted.
    pub(crate) fn join(&self, fork: Self) {
        self.looked_at_more(fork.total.get());
        self.reads.set(self.reads.get().plus(fork.reads.get()));
        self.annotations.borrow_mut().join(fork.annotations.into_inner());
        if let (Some(own), Some(theirs)) = (&self.steps, fork.steps) {
            own.borrow_mut().join(&theirs.into_inner());
        }
    }

    /// Fails when the query should end early. Called per series and per batch.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.check_memory()?;
        if self.limits.stop.is_stopped() {
            return Err(Error::Canceled(PHASE));
        }
        if self.limits.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Error::Timeout(PHASE));
        }
        Ok(())
    }

    /// Whether there is memory for what need not be kept.
    pub(super) fn has_memory_to_spare(&self) -> bool {
        self.limits.memory.is_plenty()
    }

    /// Fails when too much memory is held, even without what is kept for later.
    fn check_memory(&self) -> Result<(), Error> {
        self.limits.memory.check().or_else(|_| {
            self.kept.give_up_all();
            self.limits.memory.check()
        })
    }

    /// Counts `samples` as held from now on.
    pub(crate) fn hold(&self, samples: usize) -> Result<(), Error> {
        // One thread alone cannot bring the sum anywhere near the end of the numbers: each step is checked.
        let held = self.held.now.fetch_add(samples, Ordering::Relaxed).saturating_add(samples);
        self.held.peak.fetch_max(held, Ordering::Relaxed);
        if held > self.limits.max_samples {
            self.kept.give_up_all();
            if self.held.now.load(Ordering::Relaxed) > self.limits.max_samples {
                return Err(Error::TooManySamples);
            }
        }
        self.check_memory()
    }

    /// A row without values, counted as memory of the query.
    pub(crate) fn row(&self, labels: Labels, steps: usize) -> Row {
        let mut row = Row::empty(labels, steps);
        row.memory = Ticket::new(&self.limits.memory, row.bytes());
        row
    }

    /// Counts `bytes` of memory as long as the ticket lives.
    pub(crate) fn memory(&self, bytes: usize) -> Ticket {
        Ticket::new(&self.limits.memory, bytes)
    }

    /// Most samples that may be held.
    pub(crate) fn max_samples(&self) -> usize {
        self.limits.max_samples
    }

    /// Counts `samples` as no longer held.
    pub(crate) fn release(&self, samples: usize) {
        self.held.release(samples);
    }

    /// Counts samples looked at.
    pub(crate) fn looked_at(&self, samples: usize) {
        self.looked_at_more(u64::try_from(samples).unwrap_or(u64::MAX));
    }

    fn looked_at_more(&self, samples: u64) {
        self.total.set(self.total.get().saturating_add(samples));
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

    /// Runs `work` and gives back what it noted, which does not count for the query unless it is [noted](Self::note).
    pub(super) fn aside<T>(&self, work: impl FnOnce() -> T) -> (T, Record) {
        let annotations = self.annotations.take();
        let total = self.total.replace(0);
        let steps = self.steps.as_ref().map(|counts| {
            let empty = StepCounts::new(counts.borrow().steps());
            counts.replace(empty)
        });
        let result = work();
        let record = Record {
            annotations: self.annotations.replace(annotations),
            total: self.total.replace(total),
            steps: self.steps.as_ref().zip(steps).map(|(counts, steps)| counts.replace(steps)),
        };
        (result, record)
    }

    /// Notes everything in `record`, the remarks at other positions.
    pub(super) fn note(&self, record: &Record, position: impl Fn(Span) -> Span) {
        self.looked_at_more(record.total);
        self.annotations.borrow_mut().repeat(&record.annotations, position);
        if let (Some(own), Some(steps)) = (&self.steps, &record.steps) {
            own.borrow_mut().join(steps);
        }
    }

    /// Counts one series that was read, with `samples`.
    pub(super) fn has_read(&self, samples: usize) {
        self.reads.set(self.reads.get().plus(Reads { series: 1, samples: samples as u64 }));
    }

    /// What was read so far.
    pub(crate) fn reads(&self) -> Reads {
        self.reads.get()
    }

    /// Whether samples are counted for each step.
    pub(super) fn counts_steps(&self) -> bool {
        self.steps.is_some()
    }

    /// Whether rows may be left unread that cannot matter: whoever asks what a query took wants to know of all.
    pub(super) fn may_end_early(&self) -> bool {
        self.steps.is_none() && self.profile.is_none()
    }

    /// Counts samples looked at and read in step `at`, if that is asked for.
    pub(super) fn at_step(&self, at: usize, looked_at: usize, read: usize) {
        if let Some(counts) = &self.steps {
            counts.borrow_mut().add(at, looked_at, read);
        }
    }

    /// Runs `work`, which counts for `steps` of its own; `add` makes them counts of the steps around.
    pub(super) fn within<T>(
        &self,
        steps: usize,
        add: impl FnOnce(&mut StepCounts, &StepCounts),
        work: impl FnOnce() -> T,
    ) -> T {
        let Some(counts) = &self.steps else { return work() };
        let around = counts.replace(StepCounts::new(steps));
        let result = work();
        let inside = counts.replace(around);
        add(&mut counts.borrow_mut(), &inside);
        result
    }

    /// Adds a remark about the expression at `span`.
    pub(crate) fn remark(&self, remark: Remark, span: Span) {
        self.annotations.borrow_mut().add(remark, span);
    }

    /// Rows per batch for rows of `steps` columns.
    pub(crate) fn batch_rows(steps: usize) -> usize {
        let few = (BATCH_CELLS / steps.max(1)).min(FEW_ROWS);
        (MANY_ROWS_CELLS / steps.max(1)).clamp(few.max(1), BATCH_ROWS)
    }

    /// Everything the query leaves behind.
    pub(crate) fn finish(self) -> Left {
        let peak = u64::try_from(self.held.peak.load(Ordering::Relaxed)).unwrap_or(u64::MAX);
        Left {
            annotations: self.annotations.into_inner(),
            total: self.total.get(),
            peak,
            steps: self.steps.map(RefCell::into_inner),
            profile: self.profile,
        }
    }
}
