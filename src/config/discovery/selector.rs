//! The languages in which Kubernetes is told which objects are wanted, checked before it is asked: a text that it would
//! refuse is an error of the configuration.

/// Bytes of a name, and of the value of a label, at most.
const MAX_NAME_BYTES: usize = 63;
/// Bytes of what stands before the `/` of a key at most.
const MAX_PREFIX_BYTES: usize = 253;

/// Whether `text` is a list of terms such as `metadata.name=a,status.phase!=Running`.
///
/// # Errors
/// What it is not.
pub(super) fn check_field_selector(text: &str) -> Result<(), String> {
    let refused = |term: &str, why: &str| Err(format!("invalid field selector {text:?}: {why} {term:?}"));
    for term in split_escaped(text) {
        if term.is_empty() {
            continue;
        }
        let Some(at) = term.find('=') else { return refused(term, "no = or != in") };
        let value = &term[at + 1..];
        let value = value.strip_prefix('=').filter(|_| !term[..at].ends_with('!')).unwrap_or(value);
        let mut characters = value.chars();
        while let Some(c) = characters.next() {
            match c {
                '\\' if !matches!(characters.next(), Some('\\' | ',' | '=')) => {
                    return refused(term, "invalid escape sequence in");
                }
                '=' => return refused(term, "a = that needs a \\ before it in"),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The parts between commas that have no `\` before them.
fn split_escaped(text: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut escaped) = (Vec::new(), 0, false);
    for (at, byte) in text.bytes().enumerate() {
        if byte == b',' && !escaped {
            parts.push(&text[begin..at]);
            begin = at + 1;
        }
        escaped = byte == b'\\' && !escaped;
    }
    parts.push(&text[begin..]);
    parts
}

/// Whether `text` is a list of requirements such as `app=x,tier in (a, b),!canary`.
///
/// # Errors
/// What it is not.
pub(super) fn check_label_selector(text: &str) -> Result<(), String> {
    let mut tokens = Tokens { rest: text };
    requirements(&mut tokens).map_err(|reason| format!("invalid label selector {text:?}: {reason}"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    End,
    Sign(&'a str),
    Word(&'a str),
}

#[derive(Debug, Clone, Copy)]
struct Tokens<'a> {
    rest: &'a str,
}

fn is_sign(c: char) -> bool {
    "=!(),<>".contains(c)
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Token<'a> {
        let rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = rest.chars().next() else {
            self.rest = rest;
            return Token::End;
        };
        let len = if ["==", "!="].iter().any(|sign| rest.starts_with(sign)) {
            2
        } else if is_sign(first) {
            1
        } else {
            rest.find(|c| is_sign(c) || matches!(c, ' ' | '\t' | '\r' | '\n')).unwrap_or(rest.len())
        };
        let (token, rest) = rest.split_at(len);
        self.rest = rest;
        if is_sign(first) { Token::Sign(token) } else { Token::Word(token) }
    }

    fn peek(self) -> Token<'a> {
        let mut copy = self;
        copy.next()
    }
}

fn expected<T>(found: Token<'_>, expected: &str) -> Result<T, String> {
    let found = match found {
        Token::End => "the end".to_owned(),
        Token::Sign(text) | Token::Word(text) => format!("{text:?}"),
    };
    Err(format!("found {found}, expected {expected}"))
}

fn requirements(tokens: &mut Tokens<'_>) -> Result<(), String> {
    if tokens.peek() == Token::End {
        return Ok(());
    }
    loop {
        requirement(tokens)?;
        match tokens.next() {
            Token::End => return Ok(()),
            Token::Sign(",") => {}
            other => return expected(other, "a comma or the end"),
        }
    }
}

fn requirement(tokens: &mut Tokens<'_>) -> Result<(), String> {
    let is_absent = tokens.peek() == Token::Sign("!");
    if is_absent {
        tokens.next();
    }
    match tokens.next() {
        Token::Word(key) => check_key(key)?,
        other => return expected(other, "the name of a label"),
    }
    if is_absent || matches!(tokens.peek(), Token::End | Token::Sign(",")) {
        return Ok(());
    }
    match tokens.next() {
        Token::Sign("=" | "==" | "!=") => match tokens.peek() {
            Token::End | Token::Sign(",") => Ok(()),
            _ => value(tokens).and_then(check_value),
        },
        Token::Sign("<" | ">") => {
            let value = value(tokens)?;
            value.parse::<i64>().map_err(|_| format!("{value:?} is not a whole number"))?;
            check_value(value)
        }
        Token::Word("in" | "notin") => values(tokens),
        other => expected(other, "=, ==, !=, in, notin, < or >"),
    }
}

fn value<'a>(tokens: &mut Tokens<'a>) -> Result<&'a str, String> {
    match tokens.next() {
        Token::Word(value) => Ok(value),
        other => expected(other, "a value"),
    }
}

/// `(a, b)`; a value may be empty.
fn values(tokens: &mut Tokens<'_>) -> Result<(), String> {
    match tokens.next() {
        Token::Sign("(") => {}
        other => return expected(other, "("),
    }
    loop {
        if let Token::Word(value) = tokens.peek() {
            check_value(value)?;
            tokens.next();
        }
        match tokens.next() {
            Token::Sign(")") => return Ok(()),
            Token::Sign(",") => {}
            other => return expected(other, "a comma or )"),
        }
    }
}

/// Letters and digits, with `-`, `_` and `.` between them.
fn is_name(text: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= MAX_NAME_BYTES
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_part = |part: &str| {
        is_name(part) && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    let is_prefix = |prefix: &str| prefix.len() <= MAX_PREFIX_BYTES && prefix.split('.').all(is_part);
    if is_name(name) && prefix.is_none_or(is_prefix) {
        return Ok(());
    }
    Err(format!("{key:?} is not the name of a label"))
}

fn check_value(value: &str) -> Result<(), String> {
    if value.is_empty() || is_name(value) {
        return Ok(());
    }
    Err(format!("{value:?} is not the value of a label"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_selectors_are_read_as_kubernetes_does_it() {
        for text in [
            "",
            "a",
            "!a",
            "a=b,c==d, e != f",
            "a=",
            "a=,b",
            "x in (a, b),y notin (c)",
            "x in ()",
            "x in (,a)",
            "in in (in)",
            "x.io/y_z=1",
            "a > 1,b<2",
            "\n a \t",
        ] {
            assert_eq!(check_label_selector(text), Ok(()), "{text}");
        }
        for (text, reason) in [
            ("a,", "found the end, expected the name of a label"),
            (",a", "found \",\", expected the name of a label"),
            ("a b", "found \"b\", expected =, =="),
            ("a=b c", "found \"c\", expected a comma"),
            ("!a=b", "found \"=\", expected a comma"),
            ("x in a", "found \"a\", expected ("),
            ("x in (a", "found the end, expected a comma or )"),
            ("x in (a b)", "found \"b\", expected a comma or )"),
            ("a > b", "\"b\" is not a whole number"),
            ("a==(b)", "found \"(\", expected a value"),
            ("-a=b", "\"-a\" is not the name of a label"),
            ("X.io/a=b", "\"X.io/a\" is not the name of a label"),
            ("a/b/c=b", "\"a/b/c\" is not the name of a label"),
            ("a=b/c", "\"b/c\" is not the value of a label"),
            ("a=b@c", "\"b@c\" is not the value of a label"),
        ] {
            let error = check_label_selector(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert!(check_label_selector(&"a".repeat(63)).is_ok());
        assert!(check_label_selector(&"a".repeat(64)).is_err());
    }

    #[test]
    fn field_selectors_are_read_as_kubernetes_does_it() {
        for text in ["", "a=b", "a==b", "a!=b", "a=,", "metadata.name=a,,b!=c", r"a=b\,c\=d\\", "a="] {
            assert_eq!(check_field_selector(text), Ok(()), "{text}");
        }
        for (text, reason) in [
            ("a", "no = or != in \"a\""),
            ("a=b,c", "no = or != in \"c\""),
            ("a=b=c", "a = that needs a"),
            ("a!==b", "a = that needs a"),
            (r"a=\b", "invalid escape sequence"),
            (r"a=b\", "invalid escape sequence"),
        ] {
            let error = check_field_selector(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
