//! Text to tokens, one at a time.
//!
//! What a character means depends on where it stands: inside braces every word is a label name, inside square
//! brackets only durations are expected. The lexer tracks that by itself; the parser only asks for the next token.

use super::ast::BinaryOp;
use super::quote::{quote, quote_char};
use super::span::Span;
use super::token::{Keyword, Token, TokenKind, keyword};

/// A text that cannot be split into tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LexError {
    pub(crate) message: String,
    pub(crate) start: usize,
}

/// The lexer.
#[expect(clippy::struct_excessive_bools, reason = "what has been opened, each on its own")]
#[derive(Debug, Clone)]
pub(crate) struct Lexer<'a> {
    input: &'a str,
    pos: usize,
    start: usize,
    paren_depth: usize,
    brace_open: bool,
    bracket_open: bool,
    got_colon: bool,
    got_duration: bool,
    /// Whether the next token is the first of a duration expression, or follows an operator of one.
    in_duration: bool,
}

type Lexed = Result<Token, LexError>;

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || c.is_ascii_digit()
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(input: &'a str) -> Self {
        Self {
            input,
            pos: 0,
            start: 0,
            paren_depth: 0,
            brace_open: false,
            bracket_open: false,
            got_colon: false,
            got_duration: false,
            in_duration: false,
        }
    }

    fn rest(&self) -> &'a str {
        &self.input[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn peek_is(&self, test: impl Fn(char) -> bool) -> bool {
        self.peek().is_some_and(test)
    }

    fn accept(&mut self, test: impl Fn(char) -> bool) -> bool {
        let hit = self.peek_is(test);
        if hit {
            self.next();
        }
        hit
    }

    fn accept_run(&mut self, test: impl Fn(char) -> bool) {
        while self.accept(&test) {}
    }

    #[expect(clippy::unnecessary_wraps, reason = "every caller returns it as it is")]
    fn emit(&mut self, kind: TokenKind) -> Lexed {
        let span = Span::new(self.start, self.pos);
        self.start = self.pos;
        Ok(Token { kind, span })
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, LexError> {
        Err(LexError { message: message.into(), start: self.start })
    }

    /// The next token that is not a comment. After the end it is the end again.
    pub(crate) fn next_token(&mut self) -> Lexed {
        loop {
            self.accept_run(is_space);
            self.start = self.pos;
            let comment_here = !(self.bracket_open && self.in_duration);
            if !(comment_here && self.rest().starts_with('#')) {
                break;
            }
            self.accept_run(|c| c != '\n' && c != '\r');
        }
        if self.brace_open {
            self.inside_braces()
        } else if self.bracket_open && self.in_duration {
            self.inside_duration()
        } else {
            self.statement()
        }
    }

    fn statement(&mut self) -> Lexed {
        let Some(c) = self.next() else {
            if self.paren_depth != 0 {
                return self.error("unclosed left parenthesis");
            }
            if self.bracket_open {
                return self.error("unclosed left bracket");
            }
            return self.emit(TokenKind::Eof);
        };
        let binary = |op| TokenKind::Binary(op);
        let kind = match c {
            ',' => TokenKind::Comma,
            '*' => binary(BinaryOp::Mul),
            '/' => binary(BinaryOp::Div),
            '%' => binary(BinaryOp::Mod),
            '+' => binary(BinaryOp::Add),
            '-' => binary(BinaryOp::Sub),
            '^' => binary(BinaryOp::Pow),
            '@' => TokenKind::At,
            '=' => match self.peek() {
                Some('=') => {
                    self.next();
                    binary(BinaryOp::Equal)
                }
                Some('~') => return self.error("unexpected character after '=': '~'"),
                _ => TokenKind::Equal,
            },
            '!' => match self.next() {
                Some('=') => binary(BinaryOp::NotEqual),
                other => {
                    return self.error(format!("unexpected character after '!': {}", quote_char(other)));
                }
            },
            '<' => {
                if self.accept(|c| c == '=') {
                    binary(BinaryOp::LessEqual)
                } else if self.accept(|c| c == '/') {
                    binary(BinaryOp::TrimUpper)
                } else {
                    binary(BinaryOp::Less)
                }
            }
            '>' => {
                if self.accept(|c| c == '=') {
                    binary(BinaryOp::GreaterEqual)
                } else if self.accept(|c| c == '/') {
                    binary(BinaryOp::TrimLower)
                } else {
                    binary(BinaryOp::Greater)
                }
            }
            c if c.is_ascii_digit() || (c == '.' && self.peek_is(|c| c.is_ascii_digit())) => {
                self.pos = self.start;
                return self.number_or_duration();
            }
            '"' | '\'' => return self.string(c),
            '`' => return self.raw_string(),
            c if is_alpha(c) || c == ':' => return self.word(c),
            '(' => {
                self.paren_depth += 1;
                TokenKind::LeftParen
            }
            ')' => return self.right_paren(),
            '{' => {
                self.brace_open = true;
                TokenKind::LeftBrace
            }
            '[' => {
                if self.bracket_open {
                    return self.error("unexpected left bracket '['");
                }
                self.got_colon = false;
                self.bracket_open = true;
                self.in_duration = true;
                TokenKind::LeftBracket
            }
            ']' => {
                if !self.bracket_open {
                    return self.error("unexpected right bracket ']'");
                }
                self.bracket_open = false;
                TokenKind::RightBracket
            }
            c => return self.error(format!("unexpected character: {}", quote_char(Some(c)))),
        };
        self.emit(kind)
    }

    fn right_paren(&mut self) -> Lexed {
        if self.paren_depth == 0 {
            // The position is behind the bracket: the token itself has been cut off already.
            self.start = self.pos;
            return self.error("unexpected right parenthesis ')'");
        }
        self.paren_depth -= 1;
        self.emit(TokenKind::RightParen)
    }

    fn word(&mut self, first: char) -> Lexed {
        if self.bracket_open {
            if first == ':' {
                if self.got_colon {
                    return self.error("unexpected colon ':'");
                }
                self.got_colon = true;
                return self.emit(TokenKind::Colon);
            }
            if let Some(kind) = self.duration_keyword() {
                return self.emit(kind);
            }
            return self.error(format!("unexpected character: {}, expected ':'", quote_char(Some(first))));
        }
        self.accept_run(|c| is_alphanumeric(c) || c == ':');
        let word = &self.input[self.start..self.pos];
        let kind = match keyword(word) {
            Some(TokenKind::Keyword(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight))
                if !self.rest().trim_start_matches(is_space).starts_with('(') =>
            {
                TokenKind::Identifier
            }
            Some(kind) => kind,
            None if word.contains(':') => TokenKind::MetricIdentifier,
            None => TokenKind::Identifier,
        };
        self.emit(kind)
    }

    /// A word of duration expressions, its first letter already read.
    fn duration_keyword(&mut self) -> Option<TokenKind> {
        self.accept_run(is_alpha);
        match keyword(&self.input[self.start..self.pos]) {
            Some(
                kind @ TokenKind::Keyword(Keyword::Step | Keyword::Range | Keyword::MaxOf | Keyword::MinOf),
            ) => Some(kind),
            _ => None,
        }
    }

    fn inside_duration(&mut self) -> Lexed {
        let Some(c) = self.next() else {
            return self.error("unexpected end of input in duration expression");
        };
        let binary = |op| TokenKind::Binary(op);
        let kind = match c {
            ']' => {
                self.bracket_open = false;
                self.got_colon = false;
                self.in_duration = false;
                TokenKind::RightBracket
            }
            ':' => {
                if !self.got_duration {
                    self.start = self.pos;
                    return self.error("unexpected colon before duration in duration expression");
                }
                if self.got_colon {
                    self.start = self.pos;
                    return self.error("unexpected repeated colon in duration expression");
                }
                self.got_colon = true;
                TokenKind::Colon
            }
            '(' => {
                self.paren_depth += 1;
                TokenKind::LeftParen
            }
            ')' => return self.right_paren(),
            '+' => binary(BinaryOp::Add),
            '-' => binary(BinaryOp::Sub),
            '*' => binary(BinaryOp::Mul),
            '/' => binary(BinaryOp::Div),
            '%' => binary(BinaryOp::Mod),
            '^' => binary(BinaryOp::Pow),
            ',' => TokenKind::Comma,
            c if c.is_ascii_digit() || (c == '.' && self.peek_is(|c| c.is_ascii_digit())) => {
                self.pos = self.start;
                self.got_duration = true;
                self.in_duration = false;
                return self.number_or_duration();
            }
            c => {
                if is_alpha(c)
                    && let Some(kind) = self.duration_keyword()
                {
                    return self.emit(kind);
                }
                return self
                    .error(format!("unexpected character in duration expression: {}", quote_char(Some(c))));
            }
        };
        self.emit(kind)
    }

    fn inside_braces(&mut self) -> Lexed {
        let Some(c) = self.next() else {
            return self.error("unexpected end of input inside braces");
        };
        let kind = match c {
            c if is_alpha(c) => {
                self.accept_run(is_alphanumeric);
                TokenKind::Identifier
            }
            ',' => TokenKind::Comma,
            '"' | '\'' => return self.string(c),
            '`' => return self.raw_string(),
            '=' => {
                if self.accept(|c| c == '~') {
                    TokenKind::EqualRegex
                } else {
                    TokenKind::Equal
                }
            }
            '!' => match self.next() {
                Some('~') => TokenKind::NotEqualRegex,
                Some('=') => TokenKind::Binary(BinaryOp::NotEqual),
                other => {
                    return self.error(format!(
                        "unexpected character after '!' inside braces: {}",
                        quote_char(other)
                    ));
                }
            },
            '{' => return self.error("unexpected left brace '{'"),
            '}' => {
                self.brace_open = false;
                TokenKind::RightBrace
            }
            c => return self.error(format!("unexpected character inside braces: {}", quote_char(Some(c)))),
        };
        self.emit(kind)
    }

    fn raw_string(&mut self) -> Lexed {
        loop {
            match self.next() {
                Some('\u{fffd}') => return self.error("invalid UTF-8 rune"),
                None => return self.error("unterminated raw string"),
                Some('`') => return self.emit(TokenKind::String),
                Some(_) => {}
            }
        }
    }

    fn string(&mut self, open: char) -> Lexed {
        loop {
            match self.next() {
                Some('\\') => self.escape(open)?,
                Some('\u{fffd}') => return self.error("invalid UTF-8 rune"),
                None | Some('\n') => return self.error("unterminated quoted string"),
                Some(c) if c == open => return self.emit(TokenKind::String),
                Some(_) => {}
            }
        }
    }

    fn escape(&mut self, open: char) -> Result<(), LexError> {
        let (digits, base, max) = match self.next() {
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => return Ok(()),
            Some(c) if c == open => return Ok(()),
            Some('0'..='7') => {
                self.pos -= 1;
                (3, 8, 255)
            }
            Some('x') => (2, 16, 255),
            Some('u') => (4, 16, 0x0010_ffff),
            Some('U') => (8, 16, 0x0010_ffff),
            None => return self.error("escape sequence not terminated"),
            Some(c) => return self.error(format!("unknown escape sequence {}", unicode_name(c))),
        };
        let mut value = 0u64;
        for _ in 0..digits {
            let Some(c) = self.next() else {
                return self.error("escape sequence not terminated");
            };
            let Some(digit) = c.to_digit(base) else {
                return self.error(format!("illegal character {} in escape sequence", unicode_name(c)));
            };
            value = value * u64::from(base) + u64::from(digit);
        }
        if value > max || (0xd800..0xe000).contains(&value) {
            return self.error("escape sequence is an invalid Unicode code point");
        }
        Ok(())
    }

    fn number_or_duration(&mut self) -> Lexed {
        if self.scan_number() {
            return self.emit(TokenKind::Number);
        }
        if self.accept_remaining_duration() {
            return self.emit(TokenKind::Duration);
        }
        self.error(format!("bad number or duration syntax: {}", quote(&self.input[self.start..self.pos])))
    }

    fn accept_remaining_duration(&mut self) -> bool {
        if !self.accept(|c| "smhdwy".contains(c)) {
            return false;
        }
        // The second letter of "ms"; impossible units such as "hs" are found when the value is read.
        self.accept(|c| c == 's');
        while self.accept(|c| c.is_ascii_digit()) {
            self.accept_run(|c| c.is_ascii_digit());
            if !self.accept(|c| "smhdw".contains(c)) {
                return false;
            }
            self.accept(|c| c == 's');
        }
        if self.peek_is(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }

    /// Reads the longest text that may be a number; whether it is one is checked when its value is read.
    fn scan_number(&mut self) -> bool {
        let begin = self.pos;
        let mut hex = false;
        if self.accept(|c| c == '0') && self.accept(|c| c == 'x' || c == 'X') {
            self.accept(|c| c == '_');
            hex = true;
        }
        let digit = move |c: char| if hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
        let is_exponent = |c: char| c == 'e' || c == 'E';
        self.accept(|c| c == '.');
        self.accept(digit);
        let (mut dot, mut exponent) = (false, false);
        while self.peek_is(|c| digit(c) || c == '.' || c == '_' || is_exponent(c)) {
            if dot && self.peek_is(|c| c == '.') {
                self.next();
                return false;
            }
            if exponent && self.peek_is(is_exponent) {
                self.next();
                return false;
            }
            if self.accept(|c| c == '.') {
                dot = true;
                if self.accept(|c| c == '_' || c == '.') || hex {
                    return false;
                }
            } else if self.accept(is_exponent) {
                exponent = true;
                self.accept(|c| c == '+' || c == '-');
                if self.accept(|c| c == '.' || c == '_' || is_exponent(c)) || self.peek().is_none() {
                    return false;
                }
            } else if self.accept(|c| c == '_') {
                if self.accept(|c| c == '.' || c == '_' || is_exponent(c)) || self.peek().is_none() {
                    return false;
                }
            } else {
                self.accept_run(digit);
            }
        }
        self.pos != begin && !self.peek_is(is_alphanumeric)
    }
}

/// A character as `U+0041 'A'`.
fn unicode_name(c: char) -> String {
    if c.is_control() { format!("U+{:04X}", u32::from(c)) } else { format!("U+{:04X} '{c}'", u32::from(c)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_by_context() {
        let check = |input: &str, expected: &[&str]| {
            let mut lexer = Lexer::new(input);
            let mut texts = Vec::new();
            loop {
                let token = lexer.next_token().expect(input);
                if token.kind == TokenKind::Eof {
                    break;
                }
                texts.push(token.text(input));
            }
            assert_eq!(texts, expected, "{input}");
        };
        check("a{sum='x' # c\n}", &["a", "{", "sum", "=", "'x'", "}"]);
        check("a[5m:1m]", &["a", "[", "5m", ":", "1m", "]"]);
        check("a:b + 0x1F", &["a:b", "+", "0x1F"]);
        check("1_000e3 .5", &["1_000e3", ".5"]);
        check("x[step()+1]", &["x", "[", "step", "(", ")", "+", "1", "]"]);
    }

    #[test]
    fn fill_is_a_word_unless_a_bracket_follows() {
        let kind = |input: &str| Lexer::new(input).next_token().expect(input).kind;
        assert_eq!(kind("fill + 1"), TokenKind::Identifier);
        assert_eq!(kind("fill (1)"), TokenKind::Keyword(Keyword::Fill));
    }

    #[test]
    fn reports_what_is_wrong() {
        let check = |input: &str, message: &str, start: usize| {
            let mut lexer = Lexer::new(input);
            let error = loop {
                match lexer.next_token() {
                    Err(error) => break error,
                    Ok(token) => assert_ne!(token.kind, TokenKind::Eof, "{input}"),
                }
            };
            assert_eq!((error.message.as_str(), error.start), (message, start), "{input}");
        };
        check("(1", "unclosed left parenthesis", 2);
        check("\"a", "unterminated quoted string", 0);
        check("a !~ b", "unexpected character after '!': '~'", 2);
        check("1.2.3", "bad number or duration syntax: \"1.2.\"", 0);
        check("\"\\c\"", "unknown escape sequence U+0063 'c'", 0);
    }
}
