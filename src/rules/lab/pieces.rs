//! A query over many steps, a piece of time after the other, so that memory does not grow with the range.

use std::sync::mpsc;

use crate::lanes::Turn;
use crate::model::{Labels, Samples};
use crate::promql::{
    Engine, Error, Expr, MatrixSeries, QueryOptions, QueryResult, Value, ValueType, threshold,
};
use crate::storage::Queryable;

/// Points that a piece is meant to have: a day of a thousand series at four a minute. With timestamps that is a hundred
/// megabytes.
const PIECE_POINTS: usize = 6_000_000;
/// Lengths of time that the database keeps together, in milliseconds, the longest first. A piece that ends at a multiple
/// of one is not decoded again for the next.
const KEPT_TOGETHER_MS: [i64; 4] = [24 * 3_600_000, 6 * 3_600_000, 2 * 3_600_000, 3_600_000];
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

    /// Where a piece ends that begins with step `from` and has `wanted` steps at most.
    fn end_of_piece(&self, from: usize, wanted: usize, offset: i64) -> usize {
        let to = from.saturating_add(wanted);
        if to >= self.count {
            return self.count;
        }
        // Not much shorter than wanted.
        let least = from + wanted / 2;
        let time = self.time(to).saturating_sub(offset);
        let ends = KEPT_TOGETHER_MS.iter().map(|length| time.div_euclid(*length) * length);
        let mut ends = ends.map(|end| {
            // The first step at or behind it.
            let behind = end.saturating_add(offset).saturating_sub(self.first);
            let whole = behind.div_euclid(self.interval) + i64::from(behind.rem_euclid(self.interval) > 0);
            usize::try_from(whole).unwrap_or(0)
        });
        ends.find(|end| (least + 1..=to).contains(end)).unwrap_or(to)
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
    /// before that of the step. While one piece is taken, the next is evaluated.
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
        std::thread::scope(|scope| {
            // Nothing waits in between: there is the piece that is taken, and the one that comes.
            let (hand_over, pieces) = mpsc::sync_channel(0);
            scope.spawn(move || self.evaluate(expr, steps, offset, single, &hand_over));
            for evaluated in pieces {
                let Evaluated { from, to, result } = evaluated?;
                let QueryResult { value, memory: _held, .. } = result;
                let series = matrix(value);
                // Who fails drops the receiver, and the evaluation ends.
                take(&Piece { from, to, series: &series })?;
            }
            Ok(())
        })
    }

    /// Evaluates piece after piece until one fails or nobody takes them.
    fn evaluate(
        self,
        expr: &Expr,
        steps: Steps,
        offset: i64,
        single: bool,
        hand_over: &mpsc::SyncSender<Result<Evaluated, Error>>,
    ) {
        let (mut from, mut wanted) = (0, if single { 1 } else { FIRST_STEPS });
        while from < steps.count {
            let to = steps.end_of_piece(from, wanted, offset);
            let first = steps.time(from).saturating_sub(offset);
            let (stop, timeout) = (self.turn.stop.clone(), Some(self.turn.left()));
            let options = QueryOptions { timeout, stop, ..QueryOptions::default() };
            let result = if single {
                self.engine.instant_parsed(self.source, expr, first, &options)
            } else {
                let last = steps.time(to - 1).saturating_sub(offset);
                self.engine.range_parsed(self.source, expr, (first, last, steps.interval), &options)
            };
            let result = match result {
                Err(
                    Error::TooManySamples | Error::TooMuchMemory { .. } | Error::TooMuchMemoryInAll { .. },
                ) if to - from > 1 => {
                    wanted = (to - from) / 2;
                    continue;
                }
                result => result,
            };
            if let Ok(QueryResult { value: Value::Matrix(series), .. }) = &result {
                let points: usize = series.iter().map(|one| one.samples.len()).sum();
                let per_step = (points / (to - from)).max(1);
                wanted = (PIECE_POINTS / per_step).clamp(1, (to - from).saturating_mul(MAX_GROWTH));
            }
            let evaluated = result.map(|result| Evaluated { from, to, result });
            let failed = evaluated.is_err();
            if hand_over.send(evaluated).is_err() || failed {
                return;
            }
            from = to;
        }
    }
}

/// What a query gave for the steps from `from` to before `to`.
struct Evaluated {
    from: usize,
    to: usize,
    result: QueryResult,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_where_blocks_do() {
        const HOUR: i64 = 3_600_000;
        let steps = Steps { first: 23 * HOUR, interval: 60_000, count: 10_000 };
        let check = |from, wanted, expected| {
            let to = steps.end_of_piece(from, wanted, 0);
            assert_eq!(to, expected, "{from} {wanted}");
        };
        check(0, 90, 60);
        check(60, 1440, 1500);
        check(60, 1500, 1500);
        // The end of a day would make it too short.
        check(0, 1000, 780);
        check(0, 30, 30);
        check(0, 20_000, 10_000);
        check(9_990, 5, 9_995);
        assert_eq!(steps.end_of_piece(0, 90, 10 * 60_000), 70);
        // A step that is no divisor of the hour: the first one behind its end.
        let odd = Steps { first: 0, interval: 7 * 60_000, count: 10_000 };
        assert_eq!(odd.end_of_piece(0, 11, 0), 9);
    }
}
