//! From the text of a template to tokens.
//!
//! **Cost**: one token at a time, none of which owns text.

use super::error::{Fault, fail};
use super::syntax::Span;

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];
/// What stands beside a delimiter to trim the text on that side: a minus, apart from the action by a space.
const TRIM_BYTES: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    LeftDelim,
    RightDelim,
    Space,
    LeftParen,
    RightParen,
    Pipe,
    Assign,
    Declare,
    Comma,
    /// A character that means nothing.
    Other,
    Identifier,
    Keyword(Keyword),
    /// `.name`
    Field,
    /// `$name`
    Variable,
    Dot,
    Nil,
    Bool,
    Number,
    Char,
    Quoted,
    Raw,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

impl Keyword {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "block" => Self::Block,
            "break" => Self::Break,
            "continue" => Self::Continue,
            "define" => Self::Define,
            "else" => Self::Else,
            "end" => Self::End,
            "if" => Self::If,
            "range" => Self::Range,
            "template" => Self::Template,
            "with" => Self::With,
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: &'t str,
    pub(super) at: usize,
}

impl Token<'_> {
    pub(super) fn span(&self) -> Span {
        Span { start: self.at, end: self.at + self.text.len() }
    }
}

/// A reader of tokens. After an error or [`Kind::End`] nothing more comes.
#[derive(Debug)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    in_action: bool,
    /// Where the action began that is being read.
    action_at: usize,
    open_parens: usize,
}

/// An error with the place of what is wrong.
pub(super) type Lexed<T> = Result<T, (usize, Fault)>;

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_numeric()
}

/// Whether an action begins with a minus that trims the text before it.
fn trims_before(rest: &str) -> bool {
    rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(SPACES))
}

/// The length of the delimiter that `rest` begins with, and whether it trims the text behind it.
fn right_delimiter(rest: &str) -> Option<(usize, bool)> {
    if rest.starts_with(RIGHT) {
        return Some((RIGHT.len(), false));
    }
    let marked = rest.strip_prefix(SPACES)?.strip_prefix('-')?;
    marked.starts_with(RIGHT).then_some((TRIM_BYTES + RIGHT.len(), true))
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0, in_action: false, action_at: 0, open_parens: 0 }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn token(&mut self, kind: Kind, bytes: usize) -> Token<'t> {
        let at = self.at;
        self.at += bytes;
        Token { kind, text: &self.text[at..self.at], at }
    }

    fn fail<T>(&self, at: usize, reason: &str) -> Lexed<T> {
        let _ = self;
        Err((at, Fault::new(reason)))
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Lexed<Token<'t>> {
        if self.in_action { self.inside() } else { self.outside() }
    }

    fn outside(&mut self) -> Lexed<Token<'t>> {
        loop {
            let rest = self.rest();
            let Some(text_bytes) = rest.find(LEFT) else {
                let kind = if rest.is_empty() { Kind::End } else { Kind::Text };
                return Ok(self.token(kind, rest.len()));
            };
            let behind = &rest[text_bytes + LEFT.len()..];
            let trims = trims_before(behind);
            let text = &rest[..text_bytes];
            let kept = if trims { text.trim_end_matches(SPACES).len() } else { text_bytes };
            if kept > 0 {
                let token = self.token(Kind::Text, kept);
                self.at += text_bytes - kept;
                return Ok(token);
            }
            self.at += text_bytes;
            let marker = if trims { TRIM_BYTES } else { 0 };
            if behind[marker..].starts_with("/*") {
                self.comment(LEFT.len() + marker)?;
                continue;
            }
            self.in_action = true;
            self.action_at = self.at;
            self.open_parens = 0;
            let token = self.token(Kind::LeftDelim, LEFT.len());
            self.at += marker;
            return Ok(token);
        }
    }

    /// Passes a comment; `opening` is the length of what stands before it.
    fn comment(&mut self, opening: usize) -> Lexed<()> {
        let start = self.at;
        self.at += opening + 2;
        let Some(length) = self.rest().find("*/") else {
            return self.fail(start, "unclosed comment");
        };
        self.at += length + 2;
        let Some((bytes, trims)) = right_delimiter(self.rest()) else {
            return self.fail(self.at, "comment ends before closing delimiter");
        };
        self.at += bytes;
        self.trim_after(trims);
        Ok(())
    }

    fn trim_after(&mut self, trims: bool) {
        if trims {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start_matches(SPACES).len();
        }
    }

    fn inside(&mut self) -> Lexed<Token<'t>> {
        let rest = self.rest();
        if let Some((bytes, trims)) = right_delimiter(rest) {
            if self.open_parens > 0 {
                return self.fail(self.at, "unclosed left paren");
            }
            self.in_action = false;
            let token = self.token(Kind::RightDelim, bytes);
            self.trim_after(trims);
            return Ok(token);
        }
        let mut characters = rest.chars();
        let Some(first) = characters.next() else {
            return self.fail(self.action_at, "unclosed action");
        };
        let second = characters.next();
        match first {
            ' ' | '\t' | '\r' | '\n' => Ok(self.spaces()),
            '=' => Ok(self.token(Kind::Assign, 1)),
            ':' if second == Some('=') => Ok(self.token(Kind::Declare, 2)),
            ':' => self.fail(self.at, "expected :="),
            '|' => Ok(self.token(Kind::Pipe, 1)),
            ',' => Ok(self.token(Kind::Comma, 1)),
            '"' => self.quoted('"', Kind::Quoted, "unterminated quoted string"),
            '\'' => self.quoted('\'', Kind::Char, "unterminated character constant"),
            '`' => match rest[1..].find('`') {
                Some(length) => Ok(self.token(Kind::Raw, length + 2)),
                None => self.fail(self.at, "unterminated raw quoted string"),
            },
            '$' => self.name(Kind::Variable, Kind::Variable),
            '.' if !second.is_some_and(|c| c.is_ascii_digit()) => self.name(Kind::Field, Kind::Dot),
            '.' | '+' | '-' | '0'..='9' => self.number(),
            '(' => {
                self.open_parens += 1;
                Ok(self.token(Kind::LeftParen, 1))
            }
            ')' => match self.open_parens.checked_sub(1) {
                Some(open) => {
                    self.open_parens = open;
                    Ok(self.token(Kind::RightParen, 1))
                }
                None => self.fail(self.at, "unexpected right paren"),
            },
            c if is_word(c) => self.word(),
            c if c.is_ascii_graphic() => Ok(self.token(Kind::Other, 1)),
            c => self.bad_character("unrecognized character in action", self.at, c),
        }
    }

    fn bad_character<T>(&self, what: &str, at: usize, c: char) -> Lexed<T> {
        let shown = if c.is_control() { String::new() } else { format!(" '{c}'") };
        self.fail(at, &format!("{what}: U+{:04X}{shown}", u32::from(c)))
    }

    /// Spaces that stand between words; the last one may belong to the delimiter.
    fn spaces(&mut self) -> Token<'t> {
        let rest = self.rest();
        let bytes = rest.len() - rest.trim_start_matches(SPACES).len();
        let is_marked = right_delimiter(&rest[bytes - 1..]).is_some();
        self.token(Kind::Space, if is_marked { bytes - 1 } else { bytes })
    }

    fn quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> Lexed<Token<'t>> {
        let rest = self.rest();
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == quote => return Ok(self.token(kind, at + 1)),
                _ => {}
            }
        }
        self.fail(self.at, unterminated)
    }

    /// A field or variable; `bare` is what its first character alone is.
    fn name(&mut self, kind: Kind, bare: Kind) -> Lexed<Token<'t>> {
        let bytes = self.word_bytes(1)?;
        Ok(self.token(if bytes == 1 { bare } else { kind }, bytes))
    }

    fn word(&mut self) -> Lexed<Token<'t>> {
        let bytes = self.word_bytes(0)?;
        let word = &self.rest()[..bytes];
        let kind = match word {
            "nil" => Kind::Nil,
            "true" | "false" => Kind::Bool,
            _ => Keyword::of(word).map_or(Kind::Identifier, Kind::Keyword),
        };
        Ok(self.token(kind, bytes))
    }

    /// The length of a word whose first `bytes` are known. Something that can follow a word must come behind it.
    fn word_bytes(&self, bytes: usize) -> Lexed<usize> {
        let rest = self.rest();
        let bytes = rest[bytes..].find(|c| !is_word(c)).map_or(rest.len(), |end| bytes + end);
        let behind = &rest[bytes..];
        let ends = SPACES.iter().chain(&['.', ',', '|', ':', ')', '(']);
        match behind.chars().next() {
            Some(c) if !ends.clone().any(|end| *end == c) && !behind.starts_with(RIGHT) => {
                self.bad_character("bad character", self.at + bytes, c)
            }
            _ => Ok(bytes),
        }
    }

    /// What looks like a number; whether it is one is found out when its value is read.
    fn number(&mut self) -> Lexed<Token<'t>> {
        let rest = self.rest();
        let mut previous = ' ';
        let is_hex =
            rest.trim_start_matches(['+', '-']).get(..2).is_some_and(|p| p.eq_ignore_ascii_case("0x"));
        let end = rest.find(|c: char| {
            let after_exponent = matches!(previous, 'p' | 'P') || !is_hex && matches!(previous, 'e' | 'E');
            let is_part =
                is_word(c) || c == '.' || matches!(c, '+' | '-') && (previous == ' ' || after_exponent);
            previous = c;
            !is_part
        });
        let bytes = end.unwrap_or(rest.len());
        let text = &rest[..bytes];
        let behind = rest[bytes..].chars().next();
        if text.ends_with('i') || matches!(behind, Some('+' | '-')) {
            return self
                .fail(self.at, &format!("bad number syntax: {text:?} (complex numbers are not supported)"));
        }
        if !text.is_ascii() {
            return Err((self.at, Fault::new(format_args!("bad number syntax: {text:?}"))));
        }
        Ok(self.token(Kind::Number, bytes))
    }
}

/// The error of a token that does not belong where it stands.
pub(super) fn unexpected<T>(token: &Token<'_>, context: &str) -> Lexed<T> {
    let fault = match token.kind {
        Kind::End => fail!("unexpected EOF in {context}"),
        Kind::Keyword(_) | Kind::Dot | Kind::Nil => fail!("unexpected <{}> in {context}", token.text),
        _ => fail!("unexpected {:?} in {context}", crate::util::brief(token.text)),
    };
    fault.map_err(|fault| (token.at, fault))
}
