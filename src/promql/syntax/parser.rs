//! Tokens to syntax tree: a Pratt parser for expressions.
//!
//! The parser stops at the first error, which is the one users see. **Invariants**: recursion and height of the
//! tree are bounded, so no text can exhaust the stack.

use super::ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Cardinality, Expr, ExprKind, Length, MAX_HEIGHT,
    Matching, MatrixSelector, Subquery,
};
use super::check::check;
use super::lexer::Lexer;
use super::quote::{has_raw_bytes, quote, unquote};
use super::span::Span;
use super::token::{Keyword, Token, TokenKind};
use crate::model::{Matcher, RegexBudget, parse_duration};
use crate::promql::error::Error;
use crate::promql::functions;
use crate::promql::{Features, short_float};

/// Deepest nesting of brackets, calls and signs.
const MAX_DEPTH: u16 = 100;

/// Binding strength of a sign: that of `*`, so its operand takes only what binds tighter.
const UNARY_OPERAND: u8 = 6;

pub(super) type Parsed<T> = Result<T, Error>;

/// The parser over one query text.
pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    lexer: Lexer<'a>,
    peeked: Option<Token>,
    pub(super) features: &'a Features,
    /// What the regular expressions may still take.
    pub(super) patterns: &'a mut RegexBudget,
    depth: u16,
    /// How many aggregations the current token is an argument of.
    aggregations: u16,
    /// End of the last closing bracket or number: where a selector's modifiers end.
    last_closing: usize,
}

/// Parses and type-checks a whole query.
pub(crate) fn parse(text: &str, features: &Features, patterns: &mut RegexBudget) -> Parsed<Expr> {
    let mut parser = Parser::new(text, features, patterns);
    let token = parser.peek()?;
    if token.kind == TokenKind::Eof {
        return parser.fail(Span::default(), "no expression found in input");
    }
    let expr = parser.expr(0)?;
    let token = parser.peek()?;
    if token.kind != TokenKind::Eof {
        return parser.unexpected("", "");
    }
    check(&expr, text)?;
    Ok(expr)
}

/// Parses a series selector without modifiers. It may match everything.
pub(crate) fn parse_selector(text: &str, patterns: &mut RegexBudget) -> Parsed<Vec<Matcher>> {
    let features = Features::default();
    let mut parser = Parser::new(text, &features, patterns);
    let token = parser.peek()?;
    let expr = match token.kind {
        TokenKind::LeftBrace => parser.selector(None)?,
        _ if is_metric_name(token.kind) => {
            parser.take()?;
            parser.selector(Some(token))?
        }
        _ => return parser.unexpected("", ""),
    };
    if parser.peek()?.kind != TokenKind::Eof {
        return parser.unexpected("", "");
    }
    match expr.kind {
        ExprKind::Vector(selector) => Ok(selector.matchers),
        _ => parser.fail(expr.span, "expected a series selector"),
    }
}

fn is_metric_name(kind: TokenKind) -> bool {
    match kind {
        TokenKind::Identifier
        | TokenKind::MetricIdentifier
        | TokenKind::Aggregate(_)
        | TokenKind::Binary(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless) => true,
        TokenKind::Keyword(word) => word.is_metric_name(),
        _ => false,
    }
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, features: &'a Features, patterns: &'a mut RegexBudget) -> Self {
        Self {
            text,
            lexer: Lexer::new(text),
            peeked: None,
            features,
            patterns,
            depth: 0,
            aggregations: 0,
            last_closing: 0,
        }
    }

    /// The next token, left where it is.
    pub(super) fn peek(&mut self) -> Parsed<Token> {
        if let Some(token) = self.peeked {
            return Ok(token);
        }
        match self.lexer.next_token() {
            Ok(token) => {
                self.peeked = Some(token);
                Ok(token)
            }
            Err(error) => self.fail(Span::new(error.start, self.text.len()), error.message),
        }
    }

    /// The next token, consumed.
    pub(super) fn take(&mut self) -> Parsed<Token> {
        let token = self.peek()?;
        self.peeked = None;
        if matches!(
            token.kind,
            TokenKind::RightBrace
                | TokenKind::RightParen
                | TokenKind::RightBracket
                | TokenKind::Duration
                | TokenKind::Number
        ) {
            self.last_closing = token.span.end;
        }
        Ok(token)
    }

    /// Consumes the next token if it is of this kind.
    pub(super) fn accept(&mut self, kind: TokenKind) -> Parsed<Option<Token>> {
        if self.peek()?.kind == kind { self.take().map(Some) } else { Ok(None) }
    }

    fn accept_keyword(&mut self, word: Keyword) -> Parsed<bool> {
        Ok(self.accept(TokenKind::Keyword(word))?.is_some())
    }

    pub(super) fn fail<T>(&self, span: Span, message: impl Into<String>) -> Parsed<T> {
        Err(Error::parse(self.text, span, message.into()))
    }

    /// The error for a next token that does not fit. Without a context of its own, an aggregation around it is one.
    pub(super) fn unexpected<T>(&mut self, context: &str, expected: &str) -> Parsed<T> {
        let token = self.peek()?;
        let mut message = format!("unexpected {}", token.describe(self.text));
        let context = if context.is_empty() && self.aggregations > 0 { "aggregation" } else { context };
        if !context.is_empty() {
            message = format!("{message} in {context}");
        }
        if !expected.is_empty() {
            message = format!("{message}, expected {expected}");
        }
        self.fail(token.span, message)
    }

    fn expect(&mut self, kind: TokenKind) -> Parsed<Token> {
        match self.accept(kind)? {
            Some(token) => Ok(token),
            None => self.unexpected("", ""),
        }
    }

    fn node(&self, kind: ExprKind, span: Span) -> Parsed<Expr> {
        let expr = Expr::new(kind, span);
        if expr.height() > MAX_HEIGHT {
            return self.fail(span, "expression is nested too deeply");
        }
        Ok(expr)
    }

    /// Guards recursion; every call that nests goes through here.
    pub(super) fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            let span = self.peek()?.span;
            return self.fail(span, "expression is nested too deeply");
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn expr(&mut self, min_precedence: u8) -> Parsed<Expr> {
        self.nested(|p| {
            let mut lhs = p.prefix()?;
            loop {
                let token = p.peek()?;
                lhs = match token.kind {
                    TokenKind::LeftBracket => p.bracket(lhs)?,
                    TokenKind::At => p.at_modifier(lhs)?,
                    TokenKind::Keyword(Keyword::Offset) => p.offset(lhs)?,
                    TokenKind::Keyword(Keyword::Anchored) => p.extended(lhs, true)?,
                    TokenKind::Keyword(Keyword::Smoothed) => p.extended(lhs, false)?,
                    TokenKind::Binary(op) if op.precedence() >= min_precedence => {
                        p.take()?;
                        p.binary(lhs, op)?
                    }
                    _ => return Ok(lhs),
                };
            }
        })
    }

    fn binary(&mut self, lhs: Expr, op: BinaryOp) -> Parsed<Expr> {
        let return_bool = self.accept_keyword(Keyword::Bool)?;
        let mut matching = Matching::default();
        let on = self.accept_keyword(Keyword::On)?;
        if on || self.accept_keyword(Keyword::Ignoring)? {
            matching.on = on;
            matching.labels = self.grouping_labels()?;
            let left = self.accept_keyword(Keyword::GroupLeft)?;
            if left || self.accept_keyword(Keyword::GroupRight)? {
                matching.card = if left { Cardinality::ManyToOne } else { Cardinality::OneToMany };
                if self.peek()?.kind == TokenKind::LeftParen {
                    matching.include = self.grouping_labels()?;
                }
            }
        }
        self.fill_modifiers(&mut matching)?;
        // Powers associate to the right, everything else to the left.
        let precedence = op.precedence();
        let rhs = self.expr(if op == BinaryOp::Pow { precedence } else { precedence + 1 })?;
        let span = lhs.span.to(rhs.span);
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if fills && !self.features.binop_fill {
            return self.fail(span, "binop fill modifiers are experimental and not enabled");
        }
        self.node(ExprKind::Binary(Box::new(Binary { op, lhs, rhs, return_bool, matching })), span)
    }

    fn fill_modifiers(&mut self, matching: &mut Matching) -> Parsed<()> {
        if self.accept_keyword(Keyword::Fill)? {
            let value = self.fill_value()?;
            matching.fill_left = Some(value);
            matching.fill_right = Some(value);
            return Ok(());
        }
        if self.accept_keyword(Keyword::FillLeft)? {
            matching.fill_left = Some(self.fill_value()?);
            if self.accept_keyword(Keyword::FillRight)? {
                matching.fill_right = Some(self.fill_value()?);
            }
        } else if self.accept_keyword(Keyword::FillRight)? {
            matching.fill_right = Some(self.fill_value()?);
            if self.accept_keyword(Keyword::FillLeft)? {
                matching.fill_left = Some(self.fill_value()?);
            }
        }
        Ok(())
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(TokenKind::LeftParen)?;
        let negate = self.sign()?.is_some_and(|(negate, _)| negate);
        let Some((value, _)) = self.number()? else {
            return self.unexpected("", "");
        };
        self.expect(TokenKind::RightParen)?;
        Ok(if negate { -value } else { value })
    }

    /// A `+` or `-`, and whether it is the minus.
    pub(super) fn sign(&mut self) -> Parsed<Option<(bool, Span)>> {
        let token = self.peek()?;
        let negate = match token.kind {
            TokenKind::Binary(BinaryOp::Add) => false,
            TokenKind::Binary(BinaryOp::Sub) => true,
            _ => return Ok(None),
        };
        self.take()?;
        Ok(Some((negate, token.span)))
    }

    /// A number or duration literal: its value (seconds for durations) and whether it is a duration.
    pub(super) fn number(&mut self) -> Parsed<Option<(f64, bool)>> {
        let token = self.peek()?;
        let text = token.text(self.text);
        let value = match token.kind {
            TokenKind::Number => match parse_number(text) {
                Ok(value) => (value, false),
                Err(reason) => {
                    return self.fail(
                        token.span,
                        format!(
                            "error parsing number: strconv.ParseFloat: parsing {}: {reason}",
                            quote(text)
                        ),
                    );
                }
            },
            TokenKind::Duration => match parse_duration(text) {
                Ok(duration) => (duration.as_secs_f64(), true),
                Err(error) => return self.fail(token.span, error.to_string()),
            },
            _ => return Ok(None),
        };
        self.take()?;
        Ok(Some(value))
    }

    fn prefix(&mut self) -> Parsed<Expr> {
        let token = self.peek()?;
        if let Some((value, is_duration)) = self.number()? {
            return self.node(ExprKind::Number { value, is_duration }, token.span);
        }
        match token.kind {
            TokenKind::String => {
                self.take()?;
                let value = self.unquoted(token)?;
                self.node(ExprKind::String(value), token.span)
            }
            TokenKind::LeftParen => {
                self.take()?;
                let inner = self.expr(0)?;
                let close = self.expect(TokenKind::RightParen)?;
                self.node(ExprKind::Paren(Box::new(inner)), token.span.to(close.span))
            }
            TokenKind::Binary(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                self.take()?;
                self.unary(token.span, op == BinaryOp::Sub)
            }
            TokenKind::LeftBrace => self.selector(None),
            TokenKind::Aggregate(op) => {
                self.take()?;
                match self.peek()?.kind {
                    TokenKind::LeftParen | TokenKind::Keyword(Keyword::By | Keyword::Without) => {
                        self.aggregate(token, op)
                    }
                    _ => self.selector(Some(token)),
                }
            }
            TokenKind::Identifier
            | TokenKind::Keyword(
                Keyword::Start
                | Keyword::End
                | Keyword::Step
                | Keyword::Range
                | Keyword::MaxOf
                | Keyword::MinOf,
            ) => {
                self.take()?;
                if self.peek()?.kind == TokenKind::LeftParen {
                    self.call(token)
                } else {
                    self.selector(Some(token))
                }
            }
            kind if is_metric_name(kind) => {
                self.take()?;
                self.selector(Some(token))
            }
            _ => self.unexpected("", ""),
        }
    }

    pub(super) fn unquoted(&self, token: Token) -> Parsed<String> {
        let literal = token.text(self.text);
        match unquote(literal) {
            Ok(value) => Ok(value),
            Err(reason) => {
                self.fail(token.span, format!("error unquoting string {}: {reason}", quote(literal)))
            }
        }
    }

    fn unary(&mut self, sign: Span, negate: bool) -> Parsed<Expr> {
        let operand = self.expr(UNARY_OPERAND)?;
        let span = sign.to(operand.span);
        // A sign belongs to the literal behind it.
        if let ExprKind::Number { value, is_duration } = operand.kind {
            let value = if negate { -value } else { value };
            return self.node(ExprKind::Number { value, is_duration }, span);
        }
        self.node(ExprKind::Unary { negate, expr: Box::new(operand) }, span)
    }

    fn args(&mut self) -> Parsed<(Vec<Expr>, Span)> {
        self.expect(TokenKind::LeftParen)?;
        let mut args = Vec::new();
        if let Some(close) = self.accept(TokenKind::RightParen)? {
            return Ok((args, close.span));
        }
        loop {
            args.push(self.expr(0)?);
            if let Some(comma) = self.accept(TokenKind::Comma)? {
                if matches!(self.peek()?.kind, TokenKind::RightParen | TokenKind::Comma) {
                    return self.fail(comma.span, "trailing commas not allowed in function call args");
                }
                continue;
            }
            let close = self.expect(TokenKind::RightParen)?;
            return Ok((args, close.span));
        }
    }

    fn call(&mut self, name: Token) -> Parsed<Expr> {
        let (args, close) = self.args()?;
        let text = name.text(self.text);
        let Some(function) = functions::find(text) else {
            return self.fail(name.span, format!("unknown function with name {}", quote(text)));
        };
        if function.experimental && !self.features.experimental_functions {
            return self.fail(name.span, format!("function {} is not enabled", quote(text)));
        }
        self.node(ExprKind::Call(Box::new(Call { function, args })), name.span.to(close))
    }

    fn aggregate(&mut self, name: Token, op: AggregateOp) -> Parsed<Expr> {
        let mut grouping = self.grouping()?;
        self.aggregations += 1;
        let (mut args, close) = self.args()?;
        self.aggregations -= 1;
        let mut span = name.span.to(close);
        if grouping.is_none() {
            grouping = self.grouping()?;
            if grouping.is_some() {
                span.end = self.last_closing;
            }
        }
        if args.is_empty() {
            return self.fail(span, "no arguments for aggregate expression provided");
        }
        if op.is_experimental() && !self.features.experimental_functions {
            let message = format!(
                "{}() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
                op.as_str()
            );
            return self.fail(span, message);
        }
        let expected = if op.has_parameter() { 2 } else { 1 };
        let got = args.len();
        let (Some(expr), true) = (args.pop(), got == expected) else {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {expected}, got {got}"
            );
            return self.fail(span, message);
        };
        let (without, grouping) = grouping.unwrap_or_default();
        let aggregate = Aggregate { op, param: args.pop(), expr, grouping, without };
        self.node(ExprKind::Aggregate(Box::new(aggregate)), span)
    }

    /// A `by` or `without` clause, if one follows, and whether it is `without`.
    fn grouping(&mut self) -> Parsed<Option<(bool, Vec<String>)>> {
        if self.accept_keyword(Keyword::By)? {
            return Ok(Some((false, self.grouping_labels()?)));
        }
        if self.accept_keyword(Keyword::Without)? {
            return Ok(Some((true, self.grouping_labels()?)));
        }
        Ok(None)
    }

    fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        const CONTEXT: &str = "grouping opts";
        if self.accept(TokenKind::LeftParen)?.is_none() {
            return self.unexpected(CONTEXT, "\"(\"");
        }
        let mut labels = Vec::new();
        if self.accept(TokenKind::RightParen)?.is_some() {
            return Ok(labels);
        }
        loop {
            let token = self.peek()?;
            let label = match token.kind {
                TokenKind::String => {
                    self.take()?;
                    self.unquoted(token)?
                }
                TokenKind::Identifier
                | TokenKind::MetricIdentifier
                | TokenKind::Keyword(_)
                | TokenKind::Aggregate(_)
                | TokenKind::Binary(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless | BinaryOp::Atan2) => {
                    self.take()?;
                    token.text(self.text).to_owned()
                }
                _ => return self.unexpected(CONTEXT, "label"),
            };
            if label.is_empty() || has_raw_bytes(&label) {
                return self.fail(token.span, format!("invalid label name for grouping: {}", quote(&label)));
            }
            labels.push(label);
            if self.accept(TokenKind::Comma)?.is_none() && self.peek()?.kind != TokenKind::RightParen {
                return self.unexpected(CONTEXT, "\",\" or \")\"");
            }
            if self.accept(TokenKind::RightParen)?.is_some() {
                return Ok(labels);
            }
        }
    }

    fn bracket(&mut self, inner: Expr) -> Parsed<Expr> {
        const EXPECTED: &str = "number, duration, step(), or range()";
        let open = self.take()?;
        let range = self.positive_length("subquery or range selector", EXPECTED)?;
        if let Some(close) = self.accept(TokenKind::RightBracket)? {
            return self.matrix(inner, range, open.span.to(close.span));
        }
        if self.accept(TokenKind::Colon)?.is_none() {
            return self.unexpected("subquery or range", "\":\" or \"]\"");
        }
        let mut step = None;
        let context = "subquery selector";
        if self.peek()?.kind != TokenKind::RightBracket {
            step = Some(self.positive_length(context, "number, duration, step(), range(), or \"]\"")?);
        }
        let Some(close) = self.accept(TokenKind::RightBracket)? else {
            return self.unexpected(context, "\"]\"");
        };
        let span = inner.span.to(close.span);
        let subquery = Subquery { expr: inner, range, step, offset: Length::ZERO, at: None };
        self.node(ExprKind::Subquery(Box::new(subquery)), span)
    }

    fn matrix(&mut self, inner: Expr, range: Length, brackets: Span) -> Parsed<Expr> {
        let span = inner.span.to(brackets);
        let ExprKind::Vector(selector) = inner.kind else {
            return self.fail(brackets, "ranges only allowed for vector selectors");
        };
        if !selector.offset.is_zero() {
            return self.fail(brackets, "no offset modifiers allowed before range");
        }
        if selector.at.is_some() {
            return self.fail(brackets, "no @ modifiers allowed before range");
        }
        self.node(ExprKind::Matrix(Box::new(MatrixSelector { selector: *selector, range })), span)
    }

    fn offset(&mut self, mut inner: Expr) -> Parsed<Expr> {
        self.take()?;
        let offset = self.offset_length()?;
        let slot = match &mut inner.kind {
            ExprKind::Vector(selector) => &mut selector.offset,
            ExprKind::Matrix(matrix) => &mut matrix.selector.offset,
            ExprKind::Subquery(subquery) => &mut subquery.offset,
            _ => {
                return self.fail(
                    inner.span,
                    "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
                );
            }
        };
        if !slot.is_zero() {
            return self.fail(inner.span, "offset may not be set multiple times");
        }
        *slot = offset;
        let span = Span::new(inner.span.start, self.last_closing);
        self.node(inner.kind, span)
    }

    fn at_modifier(&mut self, mut inner: Expr) -> Parsed<Expr> {
        self.take()?;
        let at = self.at_time(inner.span)?;
        let slot = match &mut inner.kind {
            ExprKind::Vector(selector) => &mut selector.at,
            ExprKind::Matrix(matrix) => &mut matrix.selector.at,
            ExprKind::Subquery(subquery) => &mut subquery.at,
            _ => {
                return self.fail(
                    inner.span,
                    "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
                );
            }
        };
        if slot.is_some() {
            return self.fail(inner.span, "@ <timestamp> may not be set multiple times");
        }
        *slot = Some(at);
        inner.span.end = self.last_closing;
        Ok(inner)
    }

    fn at_time(&mut self, selector: Span) -> Parsed<At> {
        if let TokenKind::Keyword(word @ (Keyword::Start | Keyword::End)) = self.peek()?.kind {
            self.take()?;
            if self.accept(TokenKind::LeftParen)?.is_none() || self.accept(TokenKind::RightParen)?.is_none() {
                return self.unexpected("@", "timestamp");
            }
            return Ok(if word == Keyword::Start { At::Start } else { At::End });
        }
        let negate = self.sign()?.is_some_and(|(negate, _)| negate);
        let Some((seconds, _)) = self.number()? else {
            return self.unexpected("@", "timestamp");
        };
        let seconds = if negate { -seconds } else { seconds };
        if let Some(ms) = timestamp_ms(seconds) {
            return Ok(At::Timestamp(ms));
        }
        let seconds = if seconds.is_finite() { format!("{seconds:.6}") } else { short_float(seconds) };
        self.fail(selector, format!("timestamp out of bounds for @ modifier: {seconds}"))
    }

    fn extended(&mut self, mut inner: Expr, anchored: bool) -> Parsed<Expr> {
        self.take()?;
        let word = if anchored { "anchored" } else { "smoothed" };
        if !self.features.extended_range_selectors {
            return self.fail(inner.span, format!("{word} modifier is experimental and not enabled"));
        }
        let selector = match &mut inner.kind {
            ExprKind::Vector(selector) => selector.as_mut(),
            ExprKind::Matrix(matrix) => &mut matrix.selector,
            ExprKind::Subquery(_) => {
                return self.fail(inner.span, format!("{word} modifier is not supported for subqueries"));
            }
            _ => return self.fail(inner.span, format!("{word} modifier not implemented")),
        };
        if anchored {
            selector.anchored = true;
        } else {
            selector.smoothed = true;
        }
        if selector.anchored && selector.smoothed {
            return self.fail(inner.span, "anchored and smoothed modifiers cannot be used together");
        }
        Ok(inner)
    }
}

/// Seconds to milliseconds, rounded; nothing outside of 64 bits of seconds.
#[expect(clippy::cast_possible_truncation, reason = "the bounds are checked; rounding is the rule")]
fn timestamp_ms(seconds: f64) -> Option<i64> {
    let limit = i64::MAX as f64;
    if seconds.is_nan() || seconds >= limit || seconds <= -limit {
        return None;
    }
    Some((seconds * 1000.0).round() as i64)
}

/// The value of a number literal: integers with `0x` or octal with a leading `0`, else a float.
fn parse_number(text: &str) -> Result<f64, &'static str> {
    if let Some(integer) = parse_integer(text) {
        return Ok(integer as f64);
    }
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("0x") {
        return Err("invalid syntax");
    }
    match lower.as_str() {
        "inf" | "+inf" => return Ok(f64::INFINITY),
        "nan" => return Ok(f64::NAN),
        _ => {}
    }
    let bytes = lower.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    // Underscores stand between digits only.
    let stray = |at: usize| bytes[at] == b'_' && !(digit(at.checked_sub(1)) && digit(Some(at + 1)));
    if (0..bytes.len()).any(stray) {
        return Err("invalid syntax");
    }
    match lower.replace('_', "").parse::<f64>() {
        Ok(value) if value.is_infinite() => Err("value out of range"),
        Ok(value) => Ok(value),
        Err(_) => Err("invalid syntax"),
    }
}

fn parse_integer(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix, prefixed) = match lower.strip_prefix("0x") {
        Some(rest) => (rest, 16, true),
        None => match lower.strip_prefix('0') {
            Some(rest) if !rest.is_empty() => (rest, 8, true),
            _ => (lower.as_str(), 10, false),
        },
    };
    // Underscores stand between digits, or between the prefix and the first digit.
    let digits = if prefixed { digits.strip_prefix('_').unwrap_or(digits) } else { digits };
    if digits.starts_with('_') || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    i64::from_str_radix(&digits.replace('_', ""), radix).ok()
}
