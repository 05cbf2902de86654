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
use super::{Annotations, EngineOptions, Error, ExplainNode, QueryOptions, parse_within};
use crate::model::RegexBudget;
use crate::storage::{Queryable, SelectRequest, SeriesSet, Watch};

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
            selects: SelectSet::default(),
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
            let (source, range, _) = planner.windows(expr, grid, true)?;
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
mod tests {
    use std::time::Duration;

    use std::sync::Arc;

    use super::*;
    use crate::model::histogram::Buckets;
    use crate::model::{Histogram, Labels, Matcher, Samples, TimeRange};
    use crate::promql::{ErrorClass, Features};
    use crate::storage::fixed::FixedStorage;
    use crate::storage::{Bounds, Querier, StorageError};
    use crate::util::StopToken;

    fn storage() -> FixedStorage {
        let mut storage = FixedStorage::new();
        for instance in ["a", "b", "c"] {
            let labels = Labels::from_pairs([("__name__", "up_total"), ("instance", instance)]);
            for at in 0..100i32 {
                storage.add(&labels, i64::from(at) * 10_000, f64::from(at));
            }
        }
        let labels = Labels::from_pairs([("__name__", "h_total")]);
        for at in 0..100i32 {
            let positive = Buckets::from_numbered([(at % 7, f64::from(at))]);
            let histogram = Histogram { count: f64::from(at), positive, ..Histogram::default() };
            storage.add_histogram(&labels, i64::from(at) * 10_000, Arc::new(histogram));
            storage.set_start(&labels, i64::from(at) * 10_000, i64::from(at - 1) * 10_000);
        }
        storage
    }

    fn engine(max_samples: usize) -> Engine {
        Engine::new(EngineOptions { max_samples, features: Features::all(), ..EngineOptions::default() })
    }

    #[test]
    fn answers_instant_and_range_queries() {
        let engine = engine(100_000);
        let options = QueryOptions::default();
        let result = engine.instant(&storage(), "sum(rate(up_total[1m]))", 500_000, &options);
        let Value::Vector(vector) = result.expect("a good query").value else { panic!("not a vector") };
        assert!((vector[0].value - 0.3).abs() < 1e-12, "{vector:?}");
        let result = engine.range(&storage(), "up_total > 20", 0, 900_000, 60_000, &options);
        let result = result.expect("a good query");
        let Value::Matrix(matrix) = result.value else { panic!("not a matrix") };
        assert_eq!(matrix.len(), 3);
        assert_eq!(matrix[0].samples.timestamps.first(), Some(&240_000));
        assert!(result.stats.total_samples > 0 && result.stats.peak_samples > 0);
        let held = engine.memory_used() as u64;
        assert!(held > 0 && held <= result.stats.peak_bytes, "the result is held as long as it lives");
    }

    #[test]
    fn ends_early_when_a_limit_is_reached() {
        let check = |engine: &Engine, options: &QueryOptions, class: ErrorClass, text: &str| {
            let error = engine.range(&storage(), "sum(up_total)", 0, 990_000, 10_000, options);
            let error = error.expect_err("a limit is reached");
            assert_eq!((error.class(), error.to_string().as_str()), (class, text));
        };
        check(
            &engine(150),
            &QueryOptions::default(),
            ErrorClass::Execution,
            "query processing would load too many samples into memory in query execution",
        );
        let frugal = Engine::new(EngineOptions { max_memory: 2000, ..EngineOptions::default() });
        check(
            &frugal,
            &QueryOptions::default(),
            ErrorClass::Execution,
            "query needs more memory than the 2000 bytes that one query may hold",
        );
        assert_eq!(frugal.memory_used(), 0, "all is given back");
        let late = QueryOptions { timeout: Some(Duration::ZERO), ..QueryOptions::default() };
        check(&engine(100_000), &late, ErrorClass::Timeout, "query timed out in expression evaluation");
        let stop = StopToken::new();
        stop.stop();
        let gone = QueryOptions { stop, ..QueryOptions::default() };
        check(&engine(100_000), &gone, ErrorClass::Canceled, "query was canceled in expression evaluation");
    }

    #[test]
    fn histograms_weigh_more_than_floats() {
        let options = QueryOptions::default();
        // Without buckets, spans and bounds a histogram is as heavy as eleven floats; here it has one of two of them.
        let total = |query: &str| {
            let result = engine(100_000).range(&storage(), query, 0, 990_000, 10_000, &options);
            result.expect("a good query").stats.total_samples
        };
        assert_eq!((total("h_total"), total("up_total{instance=\"a\"}")), (1200, 100));
        assert_eq!(total("rate(h_total[20s])"), 12 * (1 + 99 * 2));
        let error = engine(1100).range(&storage(), "h_total", 0, 990_000, 10_000, &options);
        assert!(matches!(error, Err(Error::TooManySamples)), "{error:?}");
        assert!(engine(1300).range(&storage(), "h_total", 0, 990_000, 10_000, &options).is_ok());
    }

    #[test]
    fn refuses_range_queries_without_a_value_per_step() {
        let error = engine(1000).range(&storage(), "up_total[5m]", 0, 10, 1, &QueryOptions::default());
        assert_eq!(
            error.expect_err("a range vector").to_string(),
            "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector"
        );
        assert!(engine(1000).range(&storage(), "1", 0, 10, 0, &QueryOptions::default()).is_err());
        assert!(engine(1000).range(&storage(), "1", 10, 0, 1, &QueryOptions::default()).is_err());
    }

    #[test]
    fn extreme_times_are_answered_or_refused_but_never_panic() {
        let engine = engine(100_000);
        let options = QueryOptions { lookback_ms: Some(i64::MAX), ..QueryOptions::default() };
        let queries = [
            "up_total",
            "up_total offset 292y",
            "up_total offset -292y",
            "up_total @ 9223372036854775",
            "up_total @ -9223372036854775 offset 292y",
            "rate(up_total[292y])",
            "rate(up_total[292y:1ms])",
            "rate(up_total[292y:292y] offset 292y)",
            "max_over_time(up_total[1ms:1ms])",
            "increase(up_total[292y] smoothed)",
            "up_total smoothed",
            "timestamp(up_total)",
            "year(vector(time()))",
            "day_of_year(up_total * 1e300)",
            "predict_linear(up_total[292y], 1e300)",
            "up_total[range() + 1]",
            "rate(up_total[range() + 1])",
            "topk(9e18, up_total)",
            "absent_over_time(nope[292y])",
            "rate(h_total[292y])",
            "increase(h_total[292y] smoothed)",
            "resets(h_total[292y] anchored)",
            "h_total smoothed",
            "avg_over_time(h_total[292y:292y])",
            "start_timestamp(h_total)",
            "histogram_quantile(1e300, h_total * 1e300)",
        ];
        let times = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
        for query in queries {
            for start in times {
                let _ = engine.instant(&storage(), query, start, &options);
                for end in times {
                    for step in [1, i64::MAX] {
                        let _ = engine.range(&storage(), query, start, end, step, &options);
                    }
                }
            }
        }
    }

    /// One value by its definition: the samples of the left-open window before `at`, stale markers aside.
    fn naive(samples: &[(i64, f64)], at: i64, length: i64) -> Vec<f64> {
        let inside = |t: i64| at - length < t && t <= at;
        samples.iter().filter(|(t, v)| inside(*t) && !crate::model::is_stale(*v)).map(|(_, v)| *v).collect()
    }

    #[test]
    fn sliding_windows_agree_with_their_definition() {
        for seed in 1..40u64 {
            let mut state = seed;
            let mut random = |limit: i64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                i64::try_from(state >> 33).unwrap_or(0) % limit
            };
            let labels = Labels::from_pairs([("__name__", "m")]);
            let (mut storage, mut samples, mut time) = (FixedStorage::new(), Vec::new(), 0);
            for _ in 0..random(60) {
                time += 1 + random(40_000);
                let value = if random(8) == 0 { crate::model::stale_nan() } else { random(9) as f64 };
                storage.add(&labels, time, value);
                samples.push((time, value));
            }
            let (start, step, range) = (random(300_000), 1 + random(60_000), 1 + random(200_000));
            let (offset, lookback) = (random(100_000) - 50_000, 1 + random(100_000));
            let end = start + 30 * step;
            let options = QueryOptions { lookback_ms: Some(lookback), ..QueryOptions::default() };
            let sign = if offset < 0 { "-" } else { "" };
            let shift = format!("offset {sign}{}ms", offset.abs());
            let run = |query: String| {
                let result = engine(1_000_000).range(&storage, &query, start, end, step, &options);
                match result.expect("a good query").value {
                    Value::Matrix(mut matrix) => matrix.pop().map(|s| s.samples).unwrap_or_default(),
                    other => panic!("{other:?}"),
                }
            };
            let (mut newest, mut counted, mut summed) = (Samples::new(), Samples::new(), Samples::new());
            for at in (start..=end).step_by(usize::try_from(step).expect("positive")) {
                let window = naive(&samples, at - offset, range);
                if !window.is_empty() {
                    counted.push(at, window.len() as f64);
                    summed.push(at, window.iter().sum());
                }
                let seen: Vec<_> = samples.iter().filter(|(t, _)| *t <= at - offset).collect();
                match seen.last() {
                    Some((t, v)) if *t > at - offset - lookback && !crate::model::is_stale(*v) => {
                        newest.push(at, *v);
                    }
                    _ => {}
                }
            }
            assert_eq!(run(format!("m {shift}")), newest, "seed {seed}");
            assert_eq!(run(format!("count_over_time(m[{range}ms] {shift})")), counted, "seed {seed}");
            assert_eq!(run(format!("sum_over_time(m[{range}ms] {shift})")), summed, "seed {seed}");
        }
    }

    #[test]
    fn the_deepest_accepted_queries_do_not_exhaust_the_stack() {
        let engine = engine(100_000);
        for query in [
            "up_total or ".repeat(240) + "up_total",
            "1 + ".repeat(240) + "scalar(up_total)",
            "up_total + ".repeat(240) + "up_total",
            "abs(".repeat(90) + "up_total" + &")".repeat(90),
            "sum(".repeat(90) + "up_total" + &")".repeat(90),
            "(".repeat(90) + "up_total" + &")".repeat(90),
            "-".repeat(90) + "up_total",
            "max_over_time(".repeat(60) + "up_total" + &"[1m:1m])".repeat(60),
            "up_total ^ ".repeat(90) + "up_total",
        ] {
            for start in [300_000, 0] {
                let result =
                    engine.range(&storage(), &query, start, 300_000, 60_000, &QueryOptions::default());
                assert!(result.is_ok(), "{query}: {result:?}");
            }
        }
    }

    /// Series sets without series that take so many bytes.
    struct Heavy(usize);

    impl Queryable for Heavy {
        fn querier(&self, _: TimeRange) -> Result<Box<dyn Querier>, StorageError> {
            Ok(Box::new(Self(self.0)))
        }
    }

    impl Querier for Heavy {
        fn select(&self, request: &SelectRequest<'_>) -> Result<Box<dyn SeriesSet>, StorageError> {
            // More while they are looked for.
            request.watch.check(self.0 + self.0 / 4)?;
            Ok(Box::new(Self(self.0)))
        }

        fn label_names(&self, _: &[Vec<Matcher>], _: Bounds<'_>) -> Result<Vec<String>, StorageError> {
            Ok(Vec::new())
        }

        fn label_values(
            &self,
            _: &str,
            _: &[Vec<Matcher>],
            _: Bounds<'_>,
        ) -> Result<Vec<String>, StorageError> {
            Ok(Vec::new())
        }
    }

    impl SeriesSet for Heavy {
        fn len(&self) -> usize {
            0
        }

        fn memory_bytes(&self) -> usize {
            self.0
        }

        fn labels(&self, _: usize) -> Labels {
            Labels::default()
        }

        fn read(&self, _: usize, _: TimeRange, _: &mut Samples) -> Result<(), StorageError> {
            Ok(())
        }
    }

    #[test]
    fn series_count_once_and_what_finds_them_only_meanwhile() {
        let engine = Engine::new(EngineOptions { max_memory: 4 << 20, ..EngineOptions::default() });
        let peak = |query: &str| {
            let found = engine.instant(&Heavy(1 << 20), query, 0, &QueryOptions::default());
            found.map(|found| found.stats.peak_bytes >> 18)
        };
        // In quarters of the megabyte that each takes; the text is far less.
        assert_eq!(peak("a").expect("it fits"), 5);
        assert_eq!(peak("a + b + c").expect("they fit"), 13);
        assert!(matches!(peak("a + b + c + d"), Err(Error::TooMuchMemory { .. })));
    }

    /// Time in the square of the number of selectors would be minutes and more.
    #[test]
    fn queries_of_many_parts_are_planned_in_one_go() {
        fn sum(from: u32, to: u32, one: &dyn Fn(u32) -> String) -> String {
            let middle = u32::midpoint(from, to);
            if middle == from {
                return one(from);
            }
            format!("({}+{})", sum(from, middle, one), sum(middle, to, one))
        }
        let options = QueryOptions::default();
        let engine = Engine::new(EngineOptions { max_memory: 4 << 30, ..EngineOptions::default() });
        let forms: [&dyn Fn(u32) -> String; 2] = [&|n| format!("a{n}"), &|_| "up_total".to_owned()];
        for form in forms {
            let result = engine.instant(&storage(), &sum(0, 40_000, form), 500_000, &options);
            assert!(result.is_ok(), "{result:?}");
        }
        let labels: Vec<String> = (0..100_000).rev().map(|n| format!("a{n:06}=\"\"")).collect();
        let query = format!("absent(nope{{{}}})", labels.join(","));
        assert!(engine.instant(&storage(), &query, 500_000, &options).is_ok());
    }

    #[test]
    fn strings_and_scalars_keep_the_evaluation_time() {
        let instant = |query: &str| engine(1000).instant(&storage(), query, 7, &QueryOptions::default());
        assert_eq!(
            instant("(\"a\")").expect("a string").value,
            Value::String { timestamp: 7, value: "a".to_owned() }
        );
        assert_eq!(instant("1 + 1").expect("a scalar").value, Value::Scalar { timestamp: 7, value: 2.0 });
    }

    #[test]
    fn only_what_is_not_deep_is_explained() {
        let (storage, engine) = (FixedStorage::new(), Engine::new(EngineOptions::default()));
        let ask = |terms: usize, explain: bool| {
            let options = QueryOptions { explain, ..QueryOptions::default() };
            engine
                .instant(&storage, &vec!["vector(1)"; terms].join("+"), 0, &options)
                .map(|result| result.explain)
        };
        assert!(ask(150, true).expect("answered").is_some());
        assert!(ask(1900, false).expect("answered").is_none());
        let refused = ask(300, true).expect_err("too deep").to_string();
        assert_eq!(refused, "expression is nested too deeply to be explained");
    }
}
