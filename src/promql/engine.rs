//! The engine: one query from text to answer.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use super::answer::Plan;
use super::cache::ResultCache;
use super::deep::{self, SHALLOW_TREE};
use super::exec::{self, Context, Limits, StepCounts};
use super::memory::{Memory, Ticket, TotalMemory};
use super::plan::{Grid, Planner, QueryTimes, SelectSet, Shares, Wanted};
use super::syntax::ast::{Expr, ExprKind, ValueType};
use super::syntax::quote::lossy;
use super::value::{MatrixSeries, QueryResult, Stats, Value};
use super::{Annotations, EngineOptions, Error, ExplainNode, QueryLog, QueryOptions, parse_within};
use crate::model::RegexBudget;
use crate::storage::{Fields, Queryable, SelectRequest, SeriesSet, Watch};

/// Highest expression that is evaluated on the caller's stack. Queries written by hand are far below.
const SHALLOW: u16 = 24;

/// What a character of a query takes at most, as part of the syntax tree and of the plan.
const BYTES_PER_CHARACTER: usize = 256;

/// Evaluates queries. One serves any number of threads, and one storage: what it keeps of results is of that.
///
/// ```
/// use emberkeep::model::Labels;
/// use emberkeep::promql::{Engine, EngineOptions, QueryOptions, Value};
/// use emberkeep::storage::fixed::FixedStorage;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut storage = FixedStorage::new();
/// for (room, value) in [("kitchen", 21.5), ("cellar", 12.5)] {
///     storage.add(&Labels::from_pairs([("__name__", "temperature"), ("room", room)]), 60_000, value);
/// }
/// let engine = Engine::new(EngineOptions::default());
/// let result = engine.instant(&storage, "avg(temperature)", 60_000, &QueryOptions::default())?;
/// let Value::Vector(samples) = result.value else { panic!("an aggregation yields a vector") };
/// assert_eq!(samples[0].value, 17.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    /// In place of the one in `options`: a reload can change it.
    default_step_ms: AtomicI64,
    memory: Arc<TotalMemory>,
    results: ResultCache,
    /// Whether equal parts of a query are computed once.
    shares: bool,
    query_log: QueryLog,
}

/// A query that was asked, with all that holds until it is answered.
struct Asked<'a> {
    source: &'a dyn Queryable,
    options: &'a QueryOptions,
    limits: Limits,
    /// One step for the whole query, whatever is set meanwhile.
    default_step_ms: i64,
    started: Instant,
    /// What the query takes before it reads anything.
    _text: Ticket,
}

impl Engine {
    /// An engine with these settings.
    pub fn new(options: EngineOptions) -> Self {
        let memory = Arc::new(TotalMemory::new(options.max_total_memory));
        Self {
            memory,
            results: ResultCache::new(options.max_kept_results),
            default_step_ms: AtomicI64::new(options.default_step_ms),
            options,
            shares: true,
            query_log: QueryLog::default(),
        }
    }

    /// Changes the step of subqueries that name none, for queries that begin from now on. Results kept under another
    /// default stay, and are used again once that is back.
    pub fn set_default_step(&self, step_ms: i64) {
        self.default_step_ms.store(step_ms, Ordering::Relaxed);
    }

    /// The same engine computing every part of a query anew, however often it occurs, to compare with.
    #[doc(hidden)]
    #[must_use]
    pub fn without_sharing(self) -> Self {
        Self { shares: false, ..self }
    }

    /// Where those who ask log what they asked.
    pub fn query_log(&self) -> &QueryLog {
        &self.query_log
    }

    /// Bytes of results that are kept for later queries.
    pub fn kept_bytes(&self) -> usize {
        self.results.bytes()
    }

    /// Bytes that running queries hold.
    pub fn memory_used(&self) -> usize {
        self.memory.used()
    }

    /// The settings it was made with.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Evaluates `query` at one time.
    ///
    /// # Errors
    /// When the query is wrong, does not fit the data, exceeds a limit or is ended.
    pub fn instant(
        &self,
        source: &dyn Queryable,
        query: &str,
        time_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, Error> {
        let (expr, asked) = self.read(source, query, options)?;
        self.instant_of(&asked, &expr, time_ms)
    }

    /// As [`Engine::instant`], of a query that was parsed before, with the features of this engine.
    ///
    /// # Errors
    /// As [`Engine::instant`].
    pub fn instant_parsed(
        &self,
        source: &dyn Queryable,
        expr: &Expr,
        time_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, Error> {
        let asked = self.ask(source, options, 0)?;
        self.instant_of(&asked, expr, time_ms)
    }

    fn instant_of(&self, asked: &Asked<'_>, expr: &Expr, time_ms: i64) -> Result<QueryResult, Error> {
        let options = asked.options;
        if let ExprKind::String(text) = &expr.unwrap_parens().kind {
            let value = Value::String { timestamp: time_ms, value: lossy(text).into_owned() };
            return Ok(QueryResult {
                value,
                annotations: Annotations::default(),
                stats: Stats::default(),
                steps: options.step_stats.then(|| StepCounts::new(1).into_stats(Grid::instant(time_ms))),
                explain: options.explain.then(|| ExplainNode::free("a string")),
                memory: Ticket::default(),
            });
        }
        let times = QueryTimes { start: time_ms, end: time_ms, step: 0 };
        self.run(asked, expr, times, Grid::instant(time_ms))
    }

    /// Evaluates `query` at every step from `start_ms` up to at most `end_ms`.
    ///
    /// # Errors
    /// When the query is wrong, does not fit the data, exceeds a limit or is ended.
    pub fn range(
        &self,
        source: &dyn Queryable,
        query: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, Error> {
        let (expr, asked) = self.read(source, query, options)?;
        let (grid, whole) = steps(&expr, start_ms, end_ms, step_ms)?;
        let run = |grid: Grid| self.range_of(&asked, &expr, whole, grid);
        // What a query cost is told by evaluating it.
        let may_keep = !(options.fresh || options.step_stats || options.explain);
        let lookback = options.lookback_ms.unwrap_or(self.options.lookback_ms);
        let defaults = (lookback, asked.default_step_ms);
        let look_up = || self.results.look_up(source, (query, &expr), grid, defaults);
        let lookup = if may_keep { deep::run(expr.height() > SHALLOW_TREE, look_up)? } else { None };
        let Some(lookup) = lookup else { return run(grid) };
        let mut result = match lookup.rest() {
            Some(rest) => run(rest)?,
            None => QueryResult::empty(asked.started.elapsed()),
        };
        let Value::Matrix(series) = &mut result.value else { return Ok(result) };
        if lookup.known_steps() > 0 {
            *series = lookup.join(std::mem::take(series));
            result.stats.known_steps = lookup.known_steps() as u64;
            result.memory = self.admit(series)?;
        }
        if result.annotations.is_empty() {
            lookup.keep(series);
        }
        Ok(result)
    }

    /// As [`Engine::range`], of a query that was parsed before, with the features of this engine. Every step is evaluated:
    /// results that are kept of earlier queries are neither used nor added to.
    ///
    /// # Errors
    /// As [`Engine::range`].
    pub fn range_parsed(
        &self,
        source: &dyn Queryable,
        expr: &Expr,
        (start_ms, end_ms, step_ms): (i64, i64, i64),
        options: &QueryOptions,
    ) -> Result<QueryResult, Error> {
        let asked = self.ask(source, options, 0)?;
        let (grid, whole) = steps(expr, start_ms, end_ms, step_ms)?;
        self.range_of(&asked, expr, whole, grid)
    }

    fn range_of(
        &self,
        asked: &Asked<'_>,
        expr: &Expr,
        whole: QueryTimes,
        grid: Grid,
    ) -> Result<QueryResult, Error> {
        let mut result = self.run(asked, expr, whole, grid)?;
        let sorting = Instant::now();
        if let Value::Matrix(series) = &mut result.value {
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        result.stats.sort = sorting.elapsed();
        Ok(result)
    }

    /// Counts a result that was put together, which the limits hold for as for any other.
    fn admit(&self, series: &[MatrixSeries]) -> Result<Ticket, Error> {
        if series.iter().map(|one| one.samples.weight()).sum::<usize>() > self.options.max_samples {
            return Err(Error::TooManySamples);
        }
        let memory = Memory::new(self.options.max_memory, &self.memory);
        Ticket::try_new(&memory, Value::bytes_of_series(series))
    }

    /// Reads a query, which counts against its time and memory as what comes after does.
    fn read<'a>(
        &self,
        source: &'a dyn Queryable,
        query: &str,
        options: &'a QueryOptions,
    ) -> Result<(Expr, Asked<'a>), Error> {
        let asked = self.ask(source, options, query.len())?;
        let limits = &asked.limits;
        let mut patterns = RegexBudget::until(limits.deadline, limits.stop.clone());
        let expr = parse_within(query, &self.options.features, &mut patterns);
        limits.check_time()?;
        let expr = expr?;
        if options.explain && expr.height() > SHALLOW_TREE {
            // What explains it would be a tree as high, to be written and dropped on any stack.
            return Err(Error::TooDeep("explained"));
        }
        Ok((expr, asked))
    }

    /// Begins a query of so many bytes.
    fn ask<'a>(
        &self,
        source: &'a dyn Queryable,
        options: &'a QueryOptions,
        query_bytes: usize,
    ) -> Result<Asked<'a>, Error> {
        let started = Instant::now();
        let default_step_ms = self.default_step_ms.load(Ordering::Relaxed);
        let timeout = options.timeout.map_or(self.options.timeout, |t| t.min(self.options.timeout));
        let memory = Memory::new(self.options.max_memory, &self.memory);
        let text = Ticket::try_new(&memory, query_bytes.saturating_mul(BYTES_PER_CHARACTER))?;
        let limits = Limits {
            max_samples: self.options.max_samples,
            memory,
            deadline: started.checked_add(timeout),
            stop: options.stop.clone(),
        };
        Ok(Asked { source, options, limits, default_step_ms, started, _text: text })
    }

    /// Runs the query where its depth has room: planning and evaluation recurse as deep as the expression.
    fn run(
        &self,
        asked: &Asked<'_>,
        expr: &Expr,
        times: QueryTimes,
        grid: Grid,
    ) -> Result<QueryResult, Error> {
        deep::run(expr.height() > SHALLOW, || self.run_here(asked, expr, times, grid))?
    }

    fn run_here(
        &self,
        asked: &Asked<'_>,
        expr: &Expr,
        times: QueryTimes,
        grid: Grid,
    ) -> Result<QueryResult, Error> {
        let Asked { source, options, limits, default_step_ms, started, .. } = asked;
        let (limits, memory) = (limits.clone(), Arc::clone(&limits.memory));
        let mut planner = Planner {
            times,
            lookback: options.lookback_ms.unwrap_or(self.options.lookback_ms),
            default_step: *default_step_ms,
            max_steps: self.options.max_samples,
            selects: SelectSet::new(self.options.features.start_timestamps),
            wanted: Wanted::default(),
            patterns: RegexBudget::until(limits.deadline, limits.stop.clone()),
            single: times.is_moment(),
        };
        let plan = plan(&mut planner, expr, grid);
        limits.check_time()?;
        let plan = plan?;
        let (opened, _selected) = open_selects(*source, &planner.selects, &limits)?;
        let is_range = times.step > 0;
        let mut cx = Context::new(&opened, &self.options.features, !times.is_moment(), limits);
        if options.step_stats {
            cx.count_steps(grid.count)?;
        }
        if options.explain {
            cx.measure_nodes();
        }
        if self.shares {
            cx.share(plan.root().map(Shares::find).unwrap_or_default());
        }
        cx.check()?;
        let prepare = started.elapsed();
        let (answer, took) = exec::measure(&cx, || plan.answer(grid, is_range, &cx));
        let (value, result) = answer?;
        cx.check()?;
        let left = cx.finish();
        let evaluate = started.elapsed().saturating_sub(prepare);
        let peak_bytes = memory.peak() as u64;
        let (total_samples, peak_samples) = (left.total, left.peak);
        let evaluated_steps = grid.count as u64;
        let stats = Stats {
            total_samples,
            peak_samples,
            peak_bytes,
            evaluated_steps,
            prepare,
            evaluate,
            ..Stats::default()
        };
        let steps = left.steps.map(|counts| counts.into_stats(grid));
        let explain = left.profile.map(|profile| match &plan {
            Plan::Scalar(node) | Plan::Vector(node) => ExplainNode::of(node, &planner.selects, &profile),
            Plan::Raw { source, range } => {
                let (series, samples) = value.counts();
                let gave = exec::NodeStats { series, samples, bytes: value.bytes() as u64, ..took };
                ExplainNode::of_source((source, *range), gave, &planner.selects, &profile)
            }
        });
        Ok(QueryResult { value, annotations: left.annotations, stats, steps, explain, memory: result })
    }
}

/// The steps of a range query.
fn steps(expr: &Expr, start_ms: i64, end_ms: i64, step_ms: i64) -> Result<(Grid, QueryTimes), Error> {
    if !matches!(expr.value_type(), ValueType::Scalar | ValueType::Vector) {
        return Err(Error::NotRangeable(expr.value_type().documented()));
    }
    if step_ms <= 0 {
        return Err(Error::InvalidStep);
    }
    if end_ms < start_ms {
        return Err(Error::InvalidRange);
    }
    let grid = Grid::spanning(start_ms, end_ms, step_ms).ok_or(Error::TooManySteps)?;
    Ok((grid, QueryTimes { start: start_ms, end: end_ms, step: step_ms }))
}

fn plan(planner: &mut Planner, expr: &Expr, grid: Grid) -> Result<Plan, Error> {
    let expr = expr.unwrap_parens();
    Ok(match expr.value_type() {
        ValueType::Scalar => Plan::Scalar(planner.build(expr, grid)?),
        ValueType::Matrix => {
            let (source, range, _) = planner.windows(expr, grid, Fields::VALUES)?;
            Plan::Raw { source, range }
        }
        _ => Plan::Vector(planner.build(expr, grid)?),
    })
}

/// Opens all selectors of a query; what they take is counted while they take it.
fn open_selects(
    source: &dyn Queryable,
    selects: &SelectSet,
    limits: &Limits,
) -> Result<(Vec<Box<dyn SeriesSet>>, Ticket), Error> {
    let mut opened = Vec::new();
    let held = RefCell::new(Ticket::try_new(&limits.memory, 0)?);
    let Some(range) = selects.range() else { return Ok((opened, held.into_inner())) };
    let querier = source.querier(range)?;
    for request in selects.requests() {
        let before = held.borrow().bytes();
        let failed = Cell::new(None);
        let count = |bytes: usize| {
            let mut held = held.borrow_mut();
            let more = before.saturating_add(bytes).saturating_sub(held.bytes());
            limits.check_time().and_then(|()| held.try_grow(more))
        };
        let watch = |bytes: usize| match count(bytes) {
            Ok(()) => true,
            Err(error) => {
                failed.set(Some(error));
                false
            }
        };
        let set = querier.select(&SelectRequest { watch: Watch(&watch), ..request });
        if let Some(error) = failed.take() {
            return Err(error);
        }
        let set = set?;
        count(set.memory_bytes())?;
        // What was needed to find them is free again.
        let found = held.borrow().bytes() - before;
        held.borrow_mut().shrink(found.saturating_sub(set.memory_bytes()));
        opened.push(set);
    }
    Ok((opened, held.into_inner()))
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
