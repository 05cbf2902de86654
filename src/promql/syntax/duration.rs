//! Expressions over lengths of time: parsing, and their value once the query's step and range are known.

use super::ast::{BinaryOp, DurationExpr, DurationKind, Length, MAX_DURATION_HEIGHT};
use super::parser::{Parsed, Parser};
use super::span::Span;
use super::token::{Keyword, TokenKind};
use crate::promql::error::Error;

/// Largest number of seconds that fits 63 bits of nanoseconds.
const MAX_SECONDS: f64 = 9_223_372_036.854_775;

const OFFSET_EXPECTED: &str = "number, duration, step(), or range()";

fn out_of_range(seconds: f64) -> bool {
    !(-MAX_SECONDS..=MAX_SECONDS).contains(&seconds) && !seconds.is_nan()
}

/// Seconds to milliseconds by way of whole nanoseconds.
#[expect(clippy::cast_possible_truncation, reason = "literals are checked to fit; NaN becomes zero")]
fn literal_ms(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64 / 1_000_000
}

fn into_length(expr: DurationExpr) -> Length {
    match expr.kind {
        DurationKind::Number { value, .. } if !expr.wrapped => Length::Literal(literal_ms(value)),
        _ => Length::Computed(Box::new(expr)),
    }
}

impl Parser<'_> {
    /// A range or step; `context` and `expected` are for the error when none follows.
    pub(super) fn positive_length(&mut self, context: &str, expected: &str) -> Parsed<Length> {
        let expr = self.duration(0, context, expected)?;
        if let DurationKind::Number { value, .. } = expr.kind
            && !expr.wrapped
            && value <= 0.0
        {
            return self.fail(expr.span, "duration must be greater than 0");
        }
        Ok(into_length(expr))
    }

    /// What follows `offset`: one operand, signed or not, or a bracket.
    pub(super) fn offset_length(&mut self) -> Parsed<Length> {
        let context = "offset";
        if let Some((negate, sign)) = self.sign()? {
            let operand = self.duration_operand(context, OFFSET_EXPECTED)?;
            return Ok(into_length(self.signed(operand, negate, sign)?));
        }
        Ok(into_length(self.duration_operand(context, OFFSET_EXPECTED)?))
    }

    fn signed(&mut self, operand: DurationExpr, negate: bool, sign: Span) -> Parsed<DurationExpr> {
        let span = sign.to(operand.span);
        if let (DurationKind::Number { value, is_duration }, false) = (&operand.kind, operand.wrapped) {
            let value = if negate { -value } else { *value };
            return Ok(DurationExpr::new(DurationKind::Number { value, is_duration: *is_duration }, span));
        }
        if !negate {
            return Ok(operand);
        }
        self.duration_node(DurationKind::Negate(Box::new(operand)), span)
    }

    fn duration_node(&self, kind: DurationKind, span: Span) -> Parsed<DurationExpr> {
        let expr = DurationExpr::new(kind, span);
        if expr.height > MAX_DURATION_HEIGHT {
            return self.fail(span, "expression is nested too deeply");
        }
        Ok(expr)
    }

    fn duration(&mut self, min_precedence: u8, context: &str, expected: &str) -> Parsed<DurationExpr> {
        self.nested(|p| {
            let mut lhs = match p.sign()? {
                Some((negate, sign)) => {
                    let operand = p.duration(BinaryOp::Pow.precedence(), context, expected)?;
                    p.signed(operand, negate, sign)?
                }
                None => p.duration_operand(context, expected)?,
            };
            loop {
                let token = p.peek()?;
                let op = match token.kind {
                    TokenKind::Binary(
                        op @ (BinaryOp::Add
                        | BinaryOp::Sub
                        | BinaryOp::Mul
                        | BinaryOp::Div
                        | BinaryOp::Mod
                        | BinaryOp::Pow),
                    ) if op.precedence() >= min_precedence => op,
                    _ => return Ok(lhs),
                };
                p.take()?;
                let above = if op == BinaryOp::Pow { op.precedence() } else { op.precedence() + 1 };
                let rhs = p.duration(above, context, expected)?;
                if let DurationKind::Number { value, .. } = rhs.kind
                    && value == 0.0
                    && !rhs.wrapped
                {
                    match op {
                        BinaryOp::Div => return p.fail(token.span, "division by zero"),
                        BinaryOp::Mod => return p.fail(token.span, "modulo by zero"),
                        _ => {}
                    }
                }
                let span = lhs.span.to(rhs.span);
                let kind = DurationKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) };
                lhs = p.duration_node(kind, span)?;
            }
        })
    }

    fn duration_operand(&mut self, context: &str, expected: &str) -> Parsed<DurationExpr> {
        let token = self.peek()?;
        if let Some((value, is_duration)) = self.number()? {
            if out_of_range(value) {
                return self.fail(token.span, "duration out of range");
            }
            return Ok(DurationExpr::new(DurationKind::Number { value, is_duration }, token.span));
        }
        if self.accept(TokenKind::LeftParen)?.is_some() {
            let mut inner = self.duration(0, context, expected)?;
            let close = self.duration_expect(TokenKind::RightParen, context, expected)?;
            if matches!(inner.kind, DurationKind::Number { .. }) && !inner.wrapped {
                inner.span = token.span.to(close);
            }
            inner.wrapped = true;
            return Ok(inner);
        }
        let TokenKind::Keyword(word @ (Keyword::Step | Keyword::Range | Keyword::MinOf | Keyword::MaxOf)) =
            token.kind
        else {
            // A sign here is a second one, as in `offset --5`.
            if let Some((negate, sign)) = self.sign()? {
                let operand = self.nested(|p| p.duration_operand(context, expected))?;
                return self.signed(operand, negate, sign);
            }
            return self.unexpected(context, expected);
        };
        self.take()?;
        self.duration_expect(TokenKind::LeftParen, context, expected)?;
        if matches!(word, Keyword::Step | Keyword::Range) {
            let close = self.duration_expect(TokenKind::RightParen, context, expected)?;
            let kind = if word == Keyword::Step { DurationKind::Step } else { DurationKind::Range };
            return Ok(DurationExpr::new(kind, token.span.to(close)));
        }
        let first = self.duration(0, context, expected)?;
        self.duration_expect(TokenKind::Comma, context, expected)?;
        let second = self.duration(0, context, expected)?;
        self.duration_expect(TokenKind::RightParen, context, expected)?;
        let span = first.span.to(second.span);
        let (first, second) = (Box::new(first), Box::new(second));
        let kind = if word == Keyword::MinOf {
            DurationKind::MinOf(first, second)
        } else {
            DurationKind::MaxOf(first, second)
        };
        self.duration_node(kind, span)
    }

    fn duration_expect(&mut self, kind: TokenKind, context: &str, expected: &str) -> Parsed<Span> {
        match self.accept(kind)? {
            Some(token) => Ok(token.span),
            None => self.unexpected(context, expected),
        }
    }
}

/// Milliseconds of a length, given the query's step and range in milliseconds.
///
/// # Errors
/// When the value is not a usable length of time.
#[expect(clippy::cast_possible_truncation, reason = "the bounds are checked; truncation is the rule")]
pub(crate) fn resolve(
    length: &Length,
    step_ms: i64,
    range_ms: i64,
    negative_allowed: bool,
) -> Result<i64, Error> {
    let expr = match length {
        Length::Literal(ms) => return Ok(*ms),
        Length::Computed(expr) => expr,
    };
    let seconds = value(expr, step_ms, range_ms)?;
    let fail = |message: &'static str| Err(Error::Duration { span: expr.span, message });
    if !seconds.is_finite() {
        return fail("duration is NaN or infinite");
    }
    if seconds <= 0.0 && !negative_allowed {
        return fail("duration must be greater than 0");
    }
    if out_of_range(seconds) {
        return fail("duration is out of range");
    }
    Ok((seconds * 1000.0) as i64)
}

fn value(expr: &DurationExpr, step_ms: i64, range_ms: i64) -> Result<f64, Error> {
    let of = |expr: &DurationExpr| value(expr, step_ms, range_ms);
    Ok(match &expr.kind {
        DurationKind::Number { value, .. } => *value,
        DurationKind::Step => step_ms as f64 / 1000.0,
        DurationKind::Range => range_ms as f64 / 1000.0,
        DurationKind::Negate(inner) => -of(inner)?,
        DurationKind::MinOf(a, b) => crate::promql::exec::math::min_of(of(a)?, of(b)?),
        DurationKind::MaxOf(a, b) => crate::promql::exec::math::max_of(of(a)?, of(b)?),
        DurationKind::Binary { op, lhs, rhs } => {
            let (lhs, rhs) = (of(lhs)?, of(rhs)?);
            match op {
                BinaryOp::Add => lhs + rhs,
                BinaryOp::Sub => lhs - rhs,
                BinaryOp::Mul => lhs * rhs,
                BinaryOp::Div if rhs == 0.0 => {
                    return Err(Error::Duration { span: expr.span, message: "division by zero" });
                }
                BinaryOp::Mod if rhs == 0.0 => {
                    return Err(Error::Duration { span: expr.span, message: "modulo by zero" });
                }
                BinaryOp::Div => lhs / rhs,
                BinaryOp::Mod => lhs % rhs,
                _ => lhs.powf(rhs),
            }
        }
    })
}
