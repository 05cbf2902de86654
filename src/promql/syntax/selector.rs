//! Series selectors: a name, matchers in braces, or both.

use super::ast::{BinaryOp, Expr, ExprKind, Length, VectorSelector};
use super::parser::{Parsed, Parser};
use super::token::{Token, TokenKind};
use crate::model::{METRIC_NAME, MatchOp, Matcher};

const CONTEXT: &str = "label matching";

impl Parser<'_> {
    /// A selector whose name, if any, has been read already.
    pub(super) fn selector(&mut self, name: Option<Token>) -> Parsed<Expr> {
        let mut matchers = Vec::new();
        let mut span = name.map(|token| token.span);
        if self.peek()?.kind == TokenKind::LeftBrace {
            let open = self.take()?;
            let close = self.matchers(&mut matchers)?;
            span = Some(span.unwrap_or(open.span).to(close.span));
        }
        let name = name.map(|token| token.text(self.text).to_owned());
        if let Some(name) = &name {
            matchers.push(Matcher::equal(METRIC_NAME, name.as_str()));
        }
        let selector = VectorSelector {
            name,
            matchers,
            offset: Length::ZERO,
            at: None,
            anchored: false,
            smoothed: false,
        };
        Ok(Expr::new(ExprKind::Vector(Box::new(selector)), span.unwrap_or_default()))
    }

    /// Everything behind the opening brace; answers the closing one.
    fn matchers(&mut self, matchers: &mut Vec<Matcher>) -> Parsed<Token> {
        if let Some(close) = self.accept(TokenKind::RightBrace)? {
            return Ok(close);
        }
        loop {
            matchers.push(self.matcher()?);
            let comma = self.accept(TokenKind::Comma)?.is_some();
            if let Some(close) = self.accept(TokenKind::RightBrace)? {
                return Ok(close);
            }
            if !comma {
                return self.unexpected(CONTEXT, "\",\" or \"}\"");
            }
        }
    }

    fn matcher(&mut self) -> Parsed<Matcher> {
        let label = self.peek()?;
        let name = match label.kind {
            TokenKind::Identifier => {
                self.take()?;
                label.text(self.text).to_owned()
            }
            TokenKind::String => {
                self.take()?;
                self.unquoted(label)?
            }
            _ => return self.unexpected(CONTEXT, "identifier or \"}\""),
        };
        let op = match self.peek()?.kind {
            TokenKind::Equal => MatchOp::Equal,
            TokenKind::Binary(BinaryOp::NotEqual) => MatchOp::NotEqual,
            TokenKind::EqualRegex => MatchOp::Regex,
            TokenKind::NotEqualRegex => MatchOp::NotRegex,
            // A string on its own is the metric name.
            _ if label.kind == TokenKind::String => return Ok(Matcher::equal(METRIC_NAME, name)),
            _ => return self.unexpected(CONTEXT, "label matching operator"),
        };
        self.take()?;
        let Some(value) = self.accept(TokenKind::String)? else {
            return self.unexpected(CONTEXT, "string");
        };
        let text = self.unquoted(value)?;
        match Matcher::within(name, op, text, self.patterns) {
            Ok(matcher) => Ok(matcher),
            Err(error) => self.fail(label.span.to(value.span), error.to_string()),
        }
    }
}
