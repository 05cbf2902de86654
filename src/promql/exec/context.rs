//! What all operators of one query share: its data, its budget, its deadline, its annotations.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::batch::Row;
use super::kept::Kept;
use super::profile::{Profile, Reads};
use super::record::{Held, Record};
use super::steps::StepCounts;
use crate::model::Labels;
use crate::promql::annotations::{Annotation, Annotations};
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

/// Steps that are set to nothing in the time that others are worked on.
const STEPS_PER_UNIT: usize = 8;

/// Buffers from this size on are counted.
const COUNTED_BUFFER: usize = 64 << 10;

/// Rows enough to share between threads.
const FEW_ROWS: usize = 16;

/// Most rows of one batch.
const BATCH_ROWS: usize = 4096;

/// Steps, samples or bytes that are worked on between two looks at deadline and cancellation: below a millisecond for
/// most, a few for the slowest.
const UNCHECKED_WORK: usize = 1 << 16;

/// Bounds of one query.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) max_samples: usize,
    pub(crate) memory: Arc<Memory>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) stop: StopToken,
}

impl Limits {
    /// Fails when there is no time left, or nobody waits any more.
    pub(crate) fn check_time(&self) -> Result<(), Error> {
        if self.stop.is_stopped() {
            return Err(Error::Canceled(PHASE));
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Error::Timeout(PHASE));
        }
        Ok(())
    }
}

/// The shared state of one running query.
pub(crate) struct Context<'a> {
    /// The series of each selector, by number.
    pub(crate) selects: &'a [Box<dyn SeriesSet>],
    /// Whether names are dropped at the end instead of by each operation.
    pub(crate) delayed_names: bool,
    /// Whether the query is about more than one moment.
    pub(crate) is_range: bool,
    /// The parts of the language that are on.
    pub(crate) features: &'a Features,
    limits: Limits,
    held: Arc<Held>,
    /// Equal parts of the plan; not in forks, which work inside of one node.
    shares: Shares,
    kept: Arc<Kept>,
    total: Cell<u64>,
    /// Work done since the last look at the limits.
    unchecked: Cell<usize>,
    annotations: RefCell<Annotations>,
    /// What the annotations take.
    annotated: RefCell<Ticket>,
    /// Series and samples read from the storage.
    reads: Cell<Reads>,
    /// Kept when asked for.
    steps: Option<RefCell<StepCounts>>,
    /// Kept when asked for; not in forks, whose work is part of one node.
    profile: Option<Profile>,
}

/// What a query leaves behind.
pub(crate) struct Outcome {
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

impl<'a> Context<'a> {
    pub(crate) fn new(
        selects: &'a [Box<dyn SeriesSet>],
        features: &'a Features,
        is_range: bool,
        limits: Limits,
    ) -> Self {
        let annotated = Ticket::new(&limits.memory, 0);
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
            unchecked: Cell::new(0),
            annotations: RefCell::default(),
            annotated: RefCell::new(annotated),
            reads: Cell::default(),
            steps: None,
            profile: None,
        }
    }

    /// Counts samples for each of `steps` from now on.
    pub(crate) fn count_steps(&mut self, steps: usize) -> Result<(), Error> {
        self.steps = Some(RefCell::new(self.step_counts(steps)?));
        Ok(())
    }

    fn step_counts(&self, steps: usize) -> Result<StepCounts, Error> {
        Ok(StepCounts::counted(steps, self.reserve(StepCounts::bytes_of(steps))?))
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
            unchecked: Cell::new(0),
            annotations: RefCell::default(),
            annotated: RefCell::new(Ticket::new(&self.limits.memory, 0)),
            reads: Cell::default(),
            profile: None,
            steps: self.steps.as_ref().map(|own| RefCell::new(own.borrow().emptied())),
        }
    }

    /// Takes over what a fork has noted.
    pub(crate) fn join(&self, fork: Self) {
        self.looked_at_more(fork.total.get());
        self.reads.set(self.reads.get().plus(fork.reads.get()));
        let grown = self.annotations.borrow_mut().join(fork.annotations.into_inner());
        self.annotated.borrow_mut().grow(grown);
        if let (Some(own), Some(theirs)) = (&self.steps, fork.steps) {
            own.borrow_mut().join(&theirs.into_inner());
        }
    }

    /// Fails when the query should end early. Called per series and per batch.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.check_memory()?;
        self.limits.check_time()
    }

    /// Notes that about so many steps, samples or bytes were or are to be worked on, and fails when the query should end
    /// early. Called in loops within a series, so that none goes on for long.
    #[inline]
    pub(crate) fn work(&self, units: usize) -> Result<(), Error> {
        let unchecked = self.unchecked.get().saturating_add(units);
        if unchecked < UNCHECKED_WORK {
            self.unchecked.set(unchecked);
            return Ok(());
        }
        self.unchecked.set(0);
        self.check()
    }

    /// As [`Context::work`], where an early end cannot be told: whether there is no time left. The query fails at the next
    /// look at its limits then, whatever comes of the work.
    pub(super) fn is_late(&self, units: usize) -> bool {
        let unchecked = self.unchecked.get().saturating_add(units);
        let late = unchecked >= UNCHECKED_WORK && self.limits.check_time().is_err();
        self.unchecked.set(if late || unchecked < UNCHECKED_WORK { unchecked } else { 0 });
        late
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
    pub(crate) fn row(&self, labels: Labels, steps: usize) -> Result<Row, Error> {
        let memory = self.reserve(Row::bytes_of(&labels, steps))?;
        self.work(steps / STEPS_PER_UNIT)?;
        Ok(Row { memory, ..Row::empty(labels, steps) })
    }

    /// Counts `bytes` of memory, which are about to be taken, as long as the ticket lives.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<Ticket, Error> {
        Ticket::try_new(&self.limits.memory, bytes).or_else(|_| {
            self.kept.give_up_all();
            Ticket::try_new(&self.limits.memory, bytes)
        })
    }

    /// As [`Context::reserve`], of a buffer for one series at a time: a small one is not worth counting.
    pub(crate) fn reserve_buffer(&self, bytes: usize) -> Result<Ticket, Error> {
        if bytes < COUNTED_BUFFER { Ok(Ticket::default()) } else { self.reserve(bytes) }
    }

    /// Counts `more` bytes, which are about to be taken, with others.
    #[inline]
    pub(crate) fn grow(&self, ticket: &mut Ticket, more: usize) -> Result<(), Error> {
        ticket.try_grow(more).or_else(|_| {
            self.kept.give_up_all();
            ticket.try_grow(more)
        })
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
        self.apart(StepCounts::emptied, work)
    }

    /// The same for what is to be kept, by whom the numbers of samples are counted.
    pub(super) fn aside_kept<T>(&self, work: impl FnOnce() -> T) -> (T, Record) {
        self.apart(|counts| counts.emptied().uncounted(), work)
    }

    fn apart<T>(&self, emptied: fn(&StepCounts) -> StepCounts, work: impl FnOnce() -> T) -> (T, Record) {
        let annotations = self.annotations.take();
        // What is noted later is counted then.
        let annotated = self.annotated.replace(Ticket::new(&self.limits.memory, 0));
        let total = self.total.replace(0);
        let steps = self.steps.as_ref().map(|counts| {
            let empty = emptied(&counts.borrow());
            counts.replace(empty)
        });
        let result = work();
        self.annotated.replace(annotated);
        let record = Record {
            annotations: self.annotations.replace(annotations),
            total: self.total.replace(total),
            steps: self.steps.as_ref().zip(steps).map(|(counts, steps)| counts.replace(steps).uncounted()),
        };
        (result, record)
    }

    /// Notes everything in `record`, the annotations at other positions.
    pub(super) fn note(&self, record: &Record, position: impl Fn(Span) -> Span) {
        self.looked_at_more(record.total);
        let grown = self.annotations.borrow_mut().repeat(&record.annotations, position);
        self.annotated.borrow_mut().grow(grown);
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

    /// What the numbers of samples of each step take, which every fork has its own of.
    pub(super) fn bytes_of_counts(&self) -> usize {
        self.steps.as_ref().map_or(0, |counts| counts.borrow().bytes())
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
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some(counts) = &self.steps else { return work() };
        let around = counts.replace(self.step_counts(steps)?);
        let result = work();
        let inside = counts.replace(around);
        add(&mut counts.borrow_mut(), &inside);
        result
    }

    /// Adds an annotation about the expression at `span`.
    pub(crate) fn annotate(&self, annotation: Annotation, span: Span) {
        let grown = self.annotations.borrow_mut().add(annotation, span);
        if grown > 0 {
            self.annotated.borrow_mut().grow(grown);
        }
    }

    /// Rows per batch for rows of `steps` columns.
    pub(crate) fn batch_rows(steps: usize) -> usize {
        let few = (BATCH_CELLS / steps.max(1)).min(FEW_ROWS);
        (MANY_ROWS_CELLS / steps.max(1)).clamp(few.max(1), BATCH_ROWS)
    }

    /// Everything the query leaves behind.
    pub(crate) fn finish(self) -> Outcome {
        let peak = u64::try_from(self.held.peak.load(Ordering::Relaxed)).unwrap_or(u64::MAX);
        Outcome {
            annotations: self.annotations.into_inner(),
            total: self.total.get(),
            peak,
            steps: self.steps.map(RefCell::into_inner),
            profile: self.profile,
        }
    }
}

#[cfg(test)]
impl Context<'static> {
    /// A context without data that nothing is too much for.
    pub(crate) fn unlimited() -> Self {
        use crate::promql::memory::TotalMemory;
        static FEATURES: std::sync::LazyLock<Features> = std::sync::LazyLock::new(Features::all);
        let memory = Memory::new(usize::MAX, &Arc::new(TotalMemory::new(usize::MAX)));
        let limits = Limits { max_samples: usize::MAX, memory, deadline: None, stop: StopToken::new() };
        Self::new(&[], &FEATURES, true, limits)
    }

    /// What stops the query.
    pub(crate) fn stop(&self) -> &StopToken {
        &self.limits.stop
    }
}
