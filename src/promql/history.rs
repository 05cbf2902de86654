//! How much history an expression looks at.

use super::Error;
use super::deep::{self, SHALLOW_TREE};
use super::syntax::ast::{Expr, ExprKind, Length, VectorSelector};
use super::syntax::visit::{children, walk};

/// How far before the time of its evaluation (milliseconds) an expression looks at samples at most; none where that is
/// fixed with `@` or computed.
///
/// # Errors
/// When there is no thread for a deep one.
pub fn length(expr: &Expr, lookback: i64) -> Result<Option<i64>, Error> {
    deep::run(expr.height() > SHALLOW_TREE, || behind(expr, lookback))
}

fn behind(expr: &Expr, lookback: i64) -> Option<i64> {
    match &expr.kind {
        ExprKind::Vector(selector) => of_selector(selector, 0, lookback),
        ExprKind::Matrix(matrix) => of_selector(&matrix.selector, literal(&matrix.range)?, lookback),
        ExprKind::Subquery(subquery) if subquery.at.is_some() => None,
        ExprKind::Subquery(subquery) => {
            let inner = behind(&subquery.expr, lookback)?;
            // Its steps are aligned: the first one is up to a step before.
            let step = subquery.step.as_ref().map_or(Some(0), literal)?;
            let own = literal(&subquery.range)?.saturating_add(literal(&subquery.offset)?);
            Some(inner.saturating_add(own).saturating_add(step))
        }
        _ => {
            let mut most = 0;
            for child in children(expr) {
                most = most.max(behind(child, lookback)?);
            }
            Some(most)
        }
    }
}

fn of_selector(selector: &VectorSelector, range: i64, lookback: i64) -> Option<i64> {
    if selector.at.is_some() {
        return None;
    }
    Some(range.saturating_add(literal(&selector.offset)?).saturating_add(lookback).max(0))
}

fn literal(length: &Length) -> Option<i64> {
    match length {
        Length::Literal(ms) => Some(*ms),
        Length::Computed(_) => None,
    }
}

/// Whether the value depends on the time itself, and not on samples alone: `time()`, say, or `hour()`.
///
/// # Errors
/// When there is no thread for a deep one.
pub fn reads_time(expr: &Expr) -> Result<bool, Error> {
    const FUNCTIONS: [&str; 12] = [
        "time",
        "timestamp",
        "hour",
        "minute",
        "month",
        "year",
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "days_in_month",
        "start_timestamp",
        "ts_of_last_over_time",
    ];
    let any = || {
        let mut found = false;
        walk(expr, &mut |one| {
            if let ExprKind::Call(call) = &one.kind {
                found |= FUNCTIONS.contains(&call.function.name);
            }
        });
        found
    };
    deep::run(expr.height() > SHALLOW_TREE, any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::{Features, parse};

    #[test]
    fn knows_how_far_back_expressions_look() {
        let check = |query: &str, expected: Option<i64>| {
            let expr = parse(query, &Features::all()).expect(query);
            assert_eq!(length(&expr, 300_000).expect("a low tree"), expected, "{query}");
        };
        check("vector(1)", Some(0));
        check("a > 1", Some(300_000));
        check("rate(a[10m]) > a offset 1h", Some(3_900_000));
        check("max_over_time(rate(a[5m])[1h:1m] offset 1m)", Some(4_320_000));
        check("a @ 5", None);
        check("a @ end()", None);
        check("sum(rate(a[step()]))", None);
    }

    #[test]
    fn notices_functions_of_the_time() {
        let check = |query: &str, expected: bool| {
            let expr = parse(query, &Features::all()).expect(query);
            assert_eq!(reads_time(&expr).expect("a low tree"), expected, "{query}");
        };
        check("a > 1", false);
        check("time() - a > 60", true);
        check("a and on () hour() > 8", true);
    }
}
