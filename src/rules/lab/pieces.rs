//! A query over many steps, a piece of time after the other, so that memory does not grow with the range.

use crate::lanes::Turn;
use crate::model::{Labels, Samples};
use crate::promql::{
    Engine, Error, Expr, MatrixSeries, QueryOptions, QueryResult, Value, ValueType, threshold,
};
use crate::storage::Queryable;

/// Points that a piece is meant to have. With timestamps that is sixteen megabytes.
const PIECE_POINTS: usize = 1 << 20;
/// Steps of the first piece, which tells how many points a step has.
const FIRST_STEPS: usize = 512;
/// How many times longer than the one before a piece may be.
const MAX_GROWTH: usize = 16;

/// Evaluation times: `count` of them, `interval` milliseconds apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rules) struct Steps {
    pub(in crate::rules) first: i64,
    pub(in crate::rules) interval: i64,
    pub(in crate::rules) count: usize,
}

impl Steps {
    /// The time of step `number`.
    pub(in crate::rules) fn time(&self, number: usize) -> i64 {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.first.saturating_add(self.interval.saturating_mul(number))
    }

    /// The step at `time`, which is one of those there are.
    pub(super) fn at(&self, time: i64) -> usize {
        usize::try_from(time.saturating_sub(self.first) / self.interval).unwrap_or(0)
    }
}

/// What a query gives at some of the steps.
pub(super) struct Piece<'a> {
    /// The first step.
    pub(super) from: usize,
    /// The step behind the last one.
    pub(super) to: usize,
    /// By labels. Timestamps are those of the query.
    pub(super) series: &'a [MatrixSeries],
}

/// Where a query is evaluated.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) engine: &'a Engine,
    pub(super) source: &'a dyn Queryable,
    pub(super) turn: &'a Turn,
}

impl Place<'_> {
    /// Evaluates `expr` at every step and hands over the pieces in order. The time of the query is `offset` milliseconds
    /// before that of the step.
    ///
    /// # Errors
    /// Those of the query, and those of `take`.
    pub(super) fn each<E: From<Error>>(
        self,
        expr: &Expr,
        steps: Steps,
        offset: i64,
        mut take: impl FnMut(&Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let single = threshold::depends_on_range(expr)?;
        let (mut from, mut wanted) = (0, if single { 1 } else { FIRST_STEPS });
        while from < steps.count {
            let to = from.saturating_add(wanted).min(steps.count);
            let first = steps.time(from).saturating_sub(offset);
            let (stop, timeout) = (self.turn.stop.clone(), Some(self.turn.left()));
            let options = QueryOptions { stop, timeout, ..QueryOptions::default() };
            let result = if single {
                self.engine.instant_parsed(self.source, expr, first, &options)
            } else {
                let last = steps.time(to - 1).saturating_sub(offset);
                self.engine.range_parsed(self.source, expr, (first, last, steps.interval), &options)
            };
            let result = match result {
                Err(Error::TooManySamples | Error::TooMuchMemory { .. }) if to - from > 1 => {
                    wanted = (to - from) / 2;
                    continue;
                }
                result => result?,
            };
            let QueryResult { value, memory: _held, .. } = result;
            let series = matrix(value);
            take(&Piece { from, to, series: &series })?;
            if !single {
                let points: usize = series.iter().map(|one| one.samples.len()).sum();
                let per_step = (points / (to - from)).max(1);
                wanted = (PIECE_POINTS / per_step).clamp(1, (to - from).saturating_mul(MAX_GROWTH));
            }
            from = to;
        }
        Ok(())
    }
}

/// Whatever a query gives as series.
fn matrix(value: Value) -> Vec<MatrixSeries> {
    let single = |labels: Labels, timestamp, value, histogram| {
        let mut samples = Samples::new();
        match histogram {
            Some(histogram) => samples.push_histogram(timestamp, histogram),
            None => samples.push(timestamp, value),
        }
        MatrixSeries { labels, samples }
    };
    match value {
        Value::Matrix(series) => series,
        Value::Vector(found) => {
            found.into_iter().map(|one| single(one.labels, one.timestamp, one.value, one.histogram)).collect()
        }
        Value::Scalar { timestamp, value } => vec![single(Labels::empty(), timestamp, value, None)],
        Value::String { .. } => Vec::new(),
    }
}

/// Whether a rule can have this query.
pub(super) fn is_rule_query(expr: &Expr) -> bool {
    matches!(expr.value_type(), ValueType::Scalar | ValueType::Vector)
}
