//! What the value of an expression at one step depends on, so that it can be kept for other queries that have the step.

use super::build::one_name;
use crate::promql::syntax::ast::{AggregateOp, Call, Expr, ExprKind, Length, Subquery, VectorSelector};
use crate::promql::syntax::visit::{children, walk};

/// How far after the time of a step (milliseconds, below zero for before) its value looks at samples at most;
/// `i64::MIN` if at none. None if its value, or whether there is an error, depends on the other steps of the query or on
/// its ends.
pub(crate) fn reach(expr: &Expr, lookback: i64) -> Option<i64> {
    Reach { lookback }.of(expr, 0)
}

struct Reach {
    lookback: i64,
}

impl Reach {
    /// The reach of `expr`, evaluated `shift` milliseconds after the step.
    fn of(&self, expr: &Expr, shift: i64) -> Option<i64> {
        match &expr.kind {
            ExprKind::Vector(selector) => self.of_selector(selector, shift),
            ExprKind::Matrix(matrix) => {
                literal(&matrix.range)?;
                self.of_selector(&matrix.selector, shift)
            }
            ExprKind::Subquery(subquery) => {
                let Subquery { expr, range, step, offset, at, .. } = &**subquery;
                literal(range)?;
                step.as_ref().map_or(Some(0), literal)?;
                if at.is_some() {
                    return None;
                }
                self.of(expr, shift.saturating_sub(literal(offset)?))
            }
            ExprKind::Call(call) if depends_on_other_steps(call) => None,
            // Parameters are checked over all steps, and those over an operand that never changes are taken from the
            // first step.
            ExprKind::Aggregate(aggregate) if aggregate.param.as_ref().is_some_and(|p| !is_constant(p)) => {
                None
            }
            _ => {
                let mut reach = i64::MIN;
                for child in children(expr) {
                    reach = reach.max(self.of(child, shift)?);
                }
                Some(reach)
            }
        }
    }

    fn of_selector(&self, selector: &VectorSelector, shift: i64) -> Option<i64> {
        if selector.at.is_some() {
            return None;
        }
        let after = if selector.smoothed { self.lookback } else { 0 };
        Some(shift.saturating_sub(literal(&selector.offset)?).saturating_add(after))
    }
}

/// Milliseconds, if they do not depend on the query.
fn literal(length: &Length) -> Option<i64> {
    match length {
        Length::Literal(ms) => Some(*ms),
        Length::Computed(_) => None,
    }
}

fn depends_on_other_steps(call: &Call) -> bool {
    match call.function.name {
        // Which info series matter follows from all steps.
        "start" | "end" | "range" | "step" | "info" => true,
        _ => call.args.iter().any(may_collide),
    }
}

/// Whether an expression is made of numbers and texts alone.
fn is_constant(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number { .. } | ExprKind::String(_) => true,
        ExprKind::Paren(_) | ExprKind::Unary { .. } | ExprKind::Binary(_) => {
            children(expr).into_iter().all(is_constant)
        }
        _ => false,
    }
}

/// Whether series of a range vector may become equal when their names go: that is an error even where they share no
/// step.
fn may_collide(expr: &Expr) -> bool {
    match &expr.unwrap_parens().kind {
        ExprKind::Matrix(matrix) => !one_name(&matrix.selector.matchers),
        ExprKind::Subquery(subquery) => {
            let mut risky = false;
            walk(&subquery.expr, &mut |expr| {
                risky |= match &expr.kind {
                    ExprKind::Vector(selector) => !one_name(&selector.matchers),
                    ExprKind::Matrix(matrix) => !one_name(&matrix.selector.matchers),
                    ExprKind::Binary(binary) => binary.op.is_set(),
                    ExprKind::Aggregate(aggregate) => aggregate.op == AggregateOp::CountValues,
                    ExprKind::Call(call) => call.function.name.starts_with("label_"),
                    _ => false,
                };
            });
            risky
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::{Features, parse};

    #[test]
    fn knows_how_far_values_look() {
        let check = |query: &str, expected: Option<i64>| {
            let expr = parse(query, &Features::all()).expect(query);
            assert_eq!(reach(&expr, 300_000), expected, "{query}");
        };
        check("1 + time()", Some(i64::MIN));
        check("a", Some(0));
        check("sum by (x) (rate(a[5m])) / 2", Some(0));
        check("a offset 1m", Some(-60_000));
        check("a offset 1m + b offset -2m", Some(120_000));
        check("max_over_time((a offset -1m)[10m:1m] offset -1m)", Some(120_000));
        check("increase(a[5m] smoothed)", Some(300_000));
        check("a smoothed offset 10m", Some(-300_000));
        check("absent(a)", Some(0));
        check("{x=\"1\"} or b", Some(0));
        check("rate({__name__=\"a\"}[5m])", Some(0));
        check("topk(1 + 2, a)", Some(0));
        check("count_values(\"x\", a)", Some(0));
    }

    #[test]
    fn knows_what_depends_on_the_whole_query() {
        for query in [
            "a @ 5",
            "sum(a @ end())",
            "avg_over_time(a[5m:] @ start())",
            "a + start()",
            "vector(range())",
            "sum(rate(a[step()]))",
            "a offset (range() / 2)",
            "max_over_time(a[5m:range()])",
            "info(a)",
            "rate({x=\"1\"}[5m])",
            "sum(increase({__name__=~\"a|b\"}[5m]))",
            "max_over_time({x=\"1\"}[5m:])",
            "max_over_time((a or b)[5m:])",
            "max_over_time(label_replace(a, \"__name__\", \"b\", \"\", \"\")[5m:])",
            "max_over_time(count_values(\"__name__\", a)[5m:])",
            "vector(step())",
            "topk(time() - 5, vector(1))",
            "bottomk(scalar(b), a)",
            "limitk(scalar(b), a)",
            "limit_ratio(time() / 9, vector(1))",
            "quantile by (x) (scalar(b), a)",
            "sum(max_over_time(topk(time() - 5, vector(1))[5m:1m]))",
        ] {
            let expr = parse(query, &Features::all()).expect(query);
            assert_eq!(reach(&expr, 300_000), None, "{query}");
        }
    }
}
