//! Type check: what the grammar allows but no evaluation could make sense of.

use std::collections::HashSet;

use super::ast::{Aggregate, AggregateOp, Binary, Call, Cardinality, Expr, ExprKind, ValueType};
use super::quote::quote;
use super::span::Span;
use crate::model::METRIC_NAME;
use crate::promql::error::Error;
use crate::promql::functions::Arity;

struct Checker<'a> {
    text: &'a str,
}

/// Checks the whole tree.
pub(super) fn check(expr: &Expr, text: &str) -> Result<(), Error> {
    Checker { text }.expr(expr, false)
}

impl Checker<'_> {
    fn fail(&self, span: Span, message: impl Into<String>) -> Result<(), Error> {
        Err(Error::parse(self.text, span, message.into()))
    }

    fn expect(&self, expr: &Expr, want: ValueType, context: &str) -> Result<(), Error> {
        self.expr(expr, false)?;
        self.expect_type(expr, want, context)
    }

    fn expect_type(&self, expr: &Expr, want: ValueType, context: &str) -> Result<(), Error> {
        let got = expr.value_type();
        if got == want {
            return Ok(());
        }
        self.fail(
            expr.span,
            format!("expected type {} in {context}, got {}", want.documented(), got.documented()),
        )
    }

    /// `may_match_all` exempts a selector from the rule that it must exclude something.
    fn expr(&self, expr: &Expr, may_match_all: bool) -> Result<(), Error> {
        match &expr.kind {
            ExprKind::Number { .. } | ExprKind::String(_) => Ok(()),
            ExprKind::Paren(inner) => self.expr(inner, false),
            ExprKind::Unary { expr: inner, .. } => {
                self.expr(inner, false)?;
                match inner.value_type() {
                    ValueType::Scalar | ValueType::Vector => Ok(()),
                    other => self.fail(
                        expr.span,
                        format!(
                            "unary expression only allowed on expressions of type scalar or instant vector, got {}",
                            quote(other.documented())
                        ),
                    ),
                }
            }
            ExprKind::Binary(binary) => self.binary(binary, expr.span),
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate),
            ExprKind::Call(call) => self.call(call, expr.span),
            ExprKind::Subquery(subquery) => {
                self.expr(&subquery.expr, false)?;
                match subquery.expr.value_type() {
                    ValueType::Vector => Ok(()),
                    other => self.fail(
                        expr.span,
                        format!("subquery is only allowed on instant vector, got {} instead", other.as_str()),
                    ),
                }
            }
            ExprKind::Matrix(matrix) => self.selector(&matrix.selector, expr.span, false),
            ExprKind::Vector(selector) => self.selector(selector, expr.span, may_match_all),
        }
    }

    fn selector(
        &self,
        selector: &super::ast::VectorSelector,
        span: Span,
        may_match_all: bool,
    ) -> Result<(), Error> {
        if let Some(name) = &selector.name {
            let inside = selector.matchers.split_last().map_or(&[][..], |(_, inside)| inside);
            if let Some(twice) = inside.iter().find(|m| m.name() == METRIC_NAME) {
                return self.fail(
                    span,
                    format!("metric name must not be set twice: {} or {}", quote(name), quote(twice.value())),
                );
            }
            return Ok(());
        }
        if !may_match_all && selector.matchers.iter().all(crate::model::Matcher::matches_empty) {
            return self.fail(span, "vector selector must contain at least one non-empty matcher");
        }
        Ok(())
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Result<(), Error> {
        self.expect(&aggregate.expr, ValueType::Vector, "aggregation expression")?;
        if let Some(param) = &aggregate.param {
            let want =
                if aggregate.op == AggregateOp::CountValues { ValueType::String } else { ValueType::Scalar };
            self.expect(param, want, "aggregation parameter")?;
        }
        Ok(())
    }

    /// The bytes between the operands, without white space around.
    fn operator_span(&self, binary: &Binary) -> Span {
        let bytes = self.text.as_bytes();
        let is_space = |at: usize| bytes.get(at).is_some_and(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'));
        let mut start = binary.lhs.span.end;
        while is_space(start) {
            start += 1;
        }
        let mut end = binary.rhs.span.start.saturating_sub(1);
        while end > start && is_space(end) {
            end -= 1;
        }
        Span::new(start, end)
    }

    fn binary(&self, binary: &Binary, span: Span) -> Result<(), Error> {
        self.expr(&binary.lhs, false)?;
        self.expr(&binary.rhs, false)?;
        let (lt, rt) = (binary.lhs.value_type(), binary.rhs.value_type());
        let scalars = lt == ValueType::Scalar && rt == ValueType::Scalar;
        let vectors = lt == ValueType::Vector && rt == ValueType::Vector;
        let matching = &binary.matching;
        let op = binary.op;
        if binary.return_bool && !op.is_comparison() {
            return self
                .fail(self.operator_span(binary), "bool modifier can only be used on comparison operators");
        }
        if op.is_comparison() && !binary.return_bool && scalars {
            return self
                .fail(self.operator_span(binary), "comparisons between scalars must use BOOL modifier");
        }
        let include: HashSet<&String> = matching.include.iter().collect();
        if matching.on
            && let Some(label) = matching.labels.iter().find(|label| include.contains(label))
        {
            return self.fail(
                self.operator_span(binary),
                format!("label {} must not occur in ON and GROUP clause at once", quote(label)),
            );
        }
        for side in [&binary.lhs, &binary.rhs] {
            if !matches!(side.value_type(), ValueType::Scalar | ValueType::Vector) {
                return self
                    .fail(side.span, "binary expression must contain only scalar and instant vector types");
            }
        }
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if !vectors {
            if !matching.labels.is_empty() {
                return self.fail(span, "vector matching only allowed between instant vectors");
            }
            if fills {
                return self.fail(span, "filling in missing series only allowed between instant vectors");
            }
        } else if op.is_set() {
            if matching.card != Cardinality::OneToOne {
                return self.fail(span, format!("no grouping allowed for {} operation", quote(op.as_str())));
            }
            if fills {
                return self.fail(span, "filling in missing series not allowed for set operators");
            }
        }
        if op.is_set() && !vectors {
            return self.fail(
                span,
                format!("set operator {} not allowed in binary scalar expression", quote(op.as_str())),
            );
        }
        Ok(())
    }

    fn call(&self, call: &Call, span: Span) -> Result<(), Error> {
        let function = call.function;
        let name = quote(function.name);
        let (types, got) = (function.args.len(), call.args.len());
        let required = types.saturating_sub(1);
        let wrong = match function.arity {
            Arity::Fixed if got != types => Some(format!("expected {types}")),
            Arity::Any | Arity::UpTo(_) if got < required => Some(format!("expected at least {required}")),
            Arity::UpTo(more) if got > required + more => {
                Some(format!("expected at most {}", required + more))
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            return self.fail(span, format!("{wrong} argument(s) in call to {name}, got {got}"));
        }
        let is_info = function.name == "info";
        if let (true, Some(selector)) = (is_info, call.args.get(1)) {
            if selector.value_type() != ValueType::Vector {
                let got = selector.value_type().documented();
                let message = format!("expected type instant vector in call to function {name}, got {got}");
                return self.fail(span, message);
            }
            match &selector.kind {
                ExprKind::Vector(inner) if inner.name.is_some() => {
                    return self
                        .fail(selector.span, "expected label selectors only, got vector selector instead");
                }
                ExprKind::Vector(_) => {}
                _ => return self.fail(selector.span, "expected label selectors only"),
            }
        }
        for (at, arg) in call.args.iter().enumerate() {
            let Some(want) = function.args.get(at).or(function.args.last()) else { break };
            self.expr(arg, is_info && at == 1)?;
            self.expect_type(arg, *want, &format!("call to function {name}"))?;
        }
        Ok(())
    }
}
