//! What can be told of an alert expression from its syntax: the threshold at its top, and whether its value at one
//! moment depends on the range it is evaluated over.

use super::deep::{self, SHALLOW_TREE};
use super::plan::reach;
use super::syntax::ast::{BinaryOp, ExprKind};
use super::{Error, Expr, ValueType};

/// A comparison of series with a number that keeps those for which it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// The series, without the comparison; in brackets where they were.
    pub left: Expr,
    /// How they are compared, as if the number stood on the right.
    pub operator: BinaryOp,
    /// The number.
    pub value: f64,
}

impl Threshold {
    /// The comparison at the top of `expr`, as `rate(errors[5m]) > 0.1` or `5 <= up`; none if there is something else,
    /// or the expression is nested very deeply.
    pub fn of(expr: &Expr) -> Option<Self> {
        if expr.height() > SHALLOW_TREE {
            return None;
        }
        let ExprKind::Binary(binary) = &expr.unwrap_parens().kind else { return None };
        if binary.return_bool || !binary.op.is_comparison() {
            return None;
        }
        let of = |side: &Expr, value: Option<f64>, operator: BinaryOp| {
            (side.value_type() == ValueType::Vector).then_some(())?;
            Some(Self { left: side.clone(), operator, value: value? })
        };
        of(&binary.lhs, number(&binary.rhs), binary.op)
            .or_else(|| of(&binary.rhs, number(&binary.lhs), mirrored(binary.op)))
    }

    /// Whether `value` is on the side of the threshold that the expression keeps.
    #[inline]
    pub fn holds(&self, value: f64) -> bool {
        #[expect(clippy::float_cmp, reason = "the operator of the language means exactly that")]
        match self.operator {
            BinaryOp::Greater => value > self.value,
            BinaryOp::GreaterEqual => value >= self.value,
            BinaryOp::Less => value < self.value,
            BinaryOp::LessEqual => value <= self.value,
            BinaryOp::Equal => value == self.value,
            _ => value != self.value,
        }
    }

    /// Whether it is small values that are kept.
    pub fn keeps_small(&self) -> bool {
        matches!(self.operator, BinaryOp::Less | BinaryOp::LessEqual)
    }
}

fn number(expr: &Expr) -> Option<f64> {
    match &expr.unwrap_parens().kind {
        ExprKind::Number { value, .. } => Some(*value),
        ExprKind::Unary { negate, expr } => number(expr).map(|value| if *negate { -value } else { value }),
        _ => None,
    }
}

fn mirrored(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Greater => BinaryOp::Less,
        BinaryOp::GreaterEqual => BinaryOp::LessEqual,
        BinaryOp::Less => BinaryOp::Greater,
        BinaryOp::LessEqual => BinaryOp::GreaterEqual,
        other => other,
    }
}

/// Whether the value of `expr` at a step of a range query may differ from its value at that time alone: `@ end()`, say, is
/// of the query, not of the step.
///
/// # Errors
/// When there is no thread for a deep one.
pub fn depends_on_range(expr: &Expr) -> Result<bool, Error> {
    // How far it looks does not matter here.
    deep::run(expr.height() > SHALLOW_TREE, || reach(expr, 0).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::{Features, parse};

    fn read(text: &str) -> Expr {
        parse(text, &Features::all()).expect("a query")
    }

    #[test]
    fn thresholds_are_found_at_the_top_alone() {
        let check = |text: &str, expected: Option<(&str, &str, f64)>| {
            let found = Threshold::of(&read(text));
            let found = found.as_ref().map(|t| (t.left.to_string(), t.operator.as_str(), t.value));
            assert_eq!(found.as_ref().map(|(l, o, v)| (l.as_str(), *o, *v)), expected, "{text}");
        };
        check("(x or y) > 0.5", Some(("(x or y)", ">", 0.5)));
        check("((5 <= x))", Some(("x", ">=", 5.0)));
        check("x == (-3)", Some(("x", "==", -3.0)));
        check("x > bool 1", None);
        check("x > y", None);
        check("x > 1 and y", None);
        check("1 < bool 2", None);
        check("x + 1", None);
    }

    #[test]
    fn what_holds_is_what_the_language_says() {
        let holds = |text: &str, value: f64| Threshold::of(&read(text)).expect("a threshold").holds(value);
        assert!(holds("x > 1", 2.0) && !holds("x > 1", 1.0) && !holds("x > 1", f64::NAN));
        assert!(holds("1 > x", 0.0) && holds("x <= 1", 1.0) && !holds("x < 1", f64::NAN));
        assert!(holds("x != 1", f64::NAN) && !holds("x == 1", f64::NAN) && holds("x == 1", 1.0));
    }
}
