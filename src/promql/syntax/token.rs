//! Tokens of the query language and how they are named in messages.

use std::fmt::Write as _;

use super::ast::{AggregateOp, BinaryOp};
use super::quote::quote;
use super::span::Span;

/// Words with a meaning of their own besides operators and aggregators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyword {
    Bool,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Fill,
    FillLeft,
    FillRight,
    Offset,
    Smoothed,
    Anchored,
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
}

impl Keyword {
    /// Words that stand for a value rather than change one: they print quoted in messages.
    fn is_preprocessor(self) -> bool {
        matches!(self, Self::Start | Self::End | Self::Step | Self::Range | Self::MaxOf | Self::MinOf)
    }

    /// Whether the word can be a metric name outside braces.
    pub(crate) fn is_metric_name(self) -> bool {
        !matches!(self, Self::Bool | Self::On | Self::Ignoring | Self::GroupLeft | Self::GroupRight)
    }
}

/// What a token is; its text is the span of the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Eof,
    Identifier,
    MetricIdentifier,
    Number,
    Duration,
    String,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// `=` alone.
    Equal,
    EqualRegex,
    NotEqualRegex,
    At,
    Binary(BinaryOp),
    Aggregate(AggregateOp),
    Keyword(Keyword),
}

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

impl Token {
    /// The token's text in `query`.
    pub(crate) fn text(self, query: &str) -> &str {
        &query[self.span.start..self.span.end]
    }

    /// The token as it appears behind "unexpected" in messages.
    pub(crate) fn describe(self, query: &str) -> String {
        let text = self.text(query);
        let class = match self.kind {
            TokenKind::Eof => return "end of input".to_owned(),
            TokenKind::Identifier => return format!("identifier {}", quote(text)),
            TokenKind::MetricIdentifier => return format!("metric identifier {}", quote(text)),
            TokenKind::String => "string ",
            TokenKind::Number => "number ",
            TokenKind::Duration => "duration ",
            TokenKind::Keyword(word) if !word.is_preprocessor() => return format!("<{text}>"),
            TokenKind::Binary(_) | TokenKind::At | TokenKind::EqualRegex | TokenKind::NotEqualRegex => {
                return format!("<op:{text}>");
            }
            TokenKind::Aggregate(_) => return format!("<aggr:{text}>"),
            _ => "",
        };
        let mut out = class.to_owned();
        if text.len() > 10 {
            let short: String = text.chars().take(10).collect();
            let _ = write!(out, "{}...", quote(&short));
        } else {
            out.push_str(&quote(text));
        }
        out
    }
}

/// The keyword, operator or aggregator a word stands for, whatever its case.
pub(crate) fn keyword(word: &str) -> Option<TokenKind> {
    if word.len() > 12 {
        return None;
    }
    let lower = word.to_ascii_lowercase();
    Some(match lower.as_str() {
        "and" => TokenKind::Binary(BinaryOp::And),
        "or" => TokenKind::Binary(BinaryOp::Or),
        "unless" => TokenKind::Binary(BinaryOp::Unless),
        "atan2" => TokenKind::Binary(BinaryOp::Atan2),
        "inf" | "nan" => TokenKind::Number,
        "offset" => TokenKind::Keyword(Keyword::Offset),
        "smoothed" => TokenKind::Keyword(Keyword::Smoothed),
        "anchored" => TokenKind::Keyword(Keyword::Anchored),
        "by" => TokenKind::Keyword(Keyword::By),
        "without" => TokenKind::Keyword(Keyword::Without),
        "on" => TokenKind::Keyword(Keyword::On),
        "ignoring" => TokenKind::Keyword(Keyword::Ignoring),
        "group_left" => TokenKind::Keyword(Keyword::GroupLeft),
        "group_right" => TokenKind::Keyword(Keyword::GroupRight),
        "fill" => TokenKind::Keyword(Keyword::Fill),
        "fill_left" => TokenKind::Keyword(Keyword::FillLeft),
        "fill_right" => TokenKind::Keyword(Keyword::FillRight),
        "bool" => TokenKind::Keyword(Keyword::Bool),
        "start" => TokenKind::Keyword(Keyword::Start),
        "end" => TokenKind::Keyword(Keyword::End),
        "step" => TokenKind::Keyword(Keyword::Step),
        "range" => TokenKind::Keyword(Keyword::Range),
        "max_of" => TokenKind::Keyword(Keyword::MaxOf),
        "min_of" => TokenKind::Keyword(Keyword::MinOf),
        other => TokenKind::Aggregate(AggregateOp::from_name(other)?),
    })
}
