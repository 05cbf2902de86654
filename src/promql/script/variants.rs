//! Other ways to ask for the same thing: they must not change the answer.

use super::command::Expectations;
use crate::promql::syntax::ast::{At, Expr, ExprKind};
use crate::promql::syntax::visit::walk;

/// Functions whose result depends on the evaluation time itself.
const TIME_DEPENDENT: [&str; 15] = [
    "time",
    "timestamp",
    "predict_linear",
    "start",
    "end",
    "range",
    "step",
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
];

/// The expression with every selector fixed at `at_ms`, unless its result depends on the evaluation time.
pub(super) fn fixed_in_time(expr: &Expr, at_ms: i64) -> Option<String> {
    let mut dependent = false;
    walk(expr, &mut |node| {
        if let ExprKind::Call(call) = &node.kind {
            dependent |= TIME_DEPENDENT.contains(&call.function.name);
        }
    });
    if dependent {
        return None;
    }
    let mut fixed = expr.clone();
    fix(&mut fixed, at_ms);
    Some(fixed.to_string())
}

fn fix(expr: &mut Expr, at_ms: i64) {
    let at = Some(At::Timestamp(at_ms));
    match &mut expr.kind {
        ExprKind::Number { .. } | ExprKind::String(_) => {}
        ExprKind::Paren(inner) | ExprKind::Unary { expr: inner, .. } => fix(inner, at_ms),
        ExprKind::Binary(binary) => {
            fix(&mut binary.lhs, at_ms);
            fix(&mut binary.rhs, at_ms);
        }
        ExprKind::Aggregate(aggregate) => {
            aggregate.param.iter_mut().for_each(|param| fix(param, at_ms));
            fix(&mut aggregate.expr, at_ms);
        }
        ExprKind::Call(call) => call.args.iter_mut().for_each(|arg| fix(arg, at_ms)),
        ExprKind::Vector(selector) => selector.at = selector.at.or(at),
        ExprKind::Matrix(matrix) => matrix.selector.at = matrix.selector.at.or(at),
        // What is inside moves along with the subquery.
        ExprKind::Subquery(subquery) => subquery.at = subquery.at.or(at),
    }
}

/// Evaluation times at which the fixed expression must give the answer it gives at `time_ms`.
pub(super) fn other_times(time_ms: i64) -> [i64; 5] {
    if time_ms == 0 {
        return [-1000, -1000, 0, 1000, 1000];
    }
    [-10 * time_ms, 0, time_ms / 5, time_ms, 10 * time_ms]
}

/// Whether the query can be asked as the middle step of a range query.
pub(super) fn works_as_range(text: &str, expect: &Expectations) -> bool {
    !(expect.ordered
        || expect.string.is_some()
        || expect.range_vector.is_some()
        || ["start()", "end()", "range()", "step()"].iter().any(|word| text.contains(word)))
}
