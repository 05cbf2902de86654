//! Quoting and unquoting of string literals, and the number forms that messages use.
//!
//! Escapes can spell bytes that are no text. Inside syntax trees such a byte stands as one of the last 256 private
//! characters of Unicode, so that it can be printed as it was written; [`lossy`] makes text of it for data.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::model::name::Quoted;
use crate::model::number::write_plain_float;

/// The character that stands for byte 0.
const RAW: u32 = 0x10_ff00;

/// The byte that a character stands for, if it does.
fn raw_byte(c: char) -> Option<u8> {
    u32::from(c).checked_sub(RAW).and_then(|byte| u8::try_from(byte).ok())
}

/// Whether a string literal spelled bytes that are no text.
pub(crate) fn has_raw_bytes(text: &str) -> bool {
    text.chars().any(|c| raw_byte(c).is_some())
}

/// The value of a string literal as text: a replacement character for each byte that is none.
pub(crate) fn lossy(text: &str) -> Cow<'_, str> {
    if has_raw_bytes(text) {
        let shown = |c: char| if raw_byte(c).is_some() { char::REPLACEMENT_CHARACTER } else { c };
        Cow::Owned(text.chars().map(shown).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Text in double quotes with the escapes of the query language.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for part in text.split_inclusive(|c| raw_byte(c).is_some()) {
        let byte = part.chars().next_back().and_then(raw_byte);
        let plain = part.strip_suffix(|c| raw_byte(c).is_some()).unwrap_or(part);
        let quoted = Quoted(plain).to_string();
        out.push_str(&quoted[1..quoted.len() - 1]);
        if let Some(byte) = byte {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

/// One character in single quotes; `None` (end of input) prints as the replacement character.
pub(crate) fn quote_char(c: Option<char>) -> String {
    match c {
        Some('\'') => "'\\''".to_owned(),
        Some('"') => "'\"'".to_owned(),
        Some(c) => {
            let quoted = quote(c.encode_utf8(&mut [0; 4]));
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
        None => "'\u{fffd}'".to_owned(),
    }
}

/// The value of a string literal including its quotes. The lexer has already checked the escapes.
///
/// Escapes can spell bytes that are not UTF-8; see the introduction for what becomes of them.
pub(crate) fn unquote(literal: &str) -> Result<String, &'static str> {
    let mut chars = literal.chars();
    let (Some(open), Some(close)) = (chars.next(), chars.next_back()) else {
        return Err("invalid syntax");
    };
    if open != close || !matches!(open, '"' | '\'' | '`') {
        return Err("invalid syntax");
    }
    let body = chars.as_str();
    if open == '`' {
        return Ok(body.to_owned());
    }
    if !body.contains('\\') {
        return Ok(body.to_owned());
    }
    let mut out = Vec::with_capacity(body.len());
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match chars.next().ok_or("invalid syntax")? {
            'a' => out.push(7),
            'b' => out.push(8),
            'f' => out.push(12),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(11),
            '\\' => out.push(b'\\'),
            c @ ('"' | '\'') if c == open => out.push(u8::try_from(c).map_err(|_| "invalid syntax")?),
            first @ '0'..='7' => {
                let mut value = first.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let digit = chars.next().and_then(|c| c.to_digit(8)).ok_or("invalid syntax")?;
                    value = value * 8 + digit;
                }
                out.push(u8::try_from(value).map_err(|_| "invalid syntax")?);
            }
            kind @ ('x' | 'u' | 'U') => {
                let digits = match kind {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let mut value = 0u32;
                for _ in 0..digits {
                    let digit = chars.next().and_then(|c| c.to_digit(16)).ok_or("invalid syntax")?;
                    value = value.checked_mul(16).ok_or("invalid syntax")? + digit;
                }
                if kind == 'x' {
                    out.push(u8::try_from(value).map_err(|_| "invalid syntax")?);
                } else {
                    let c = char::from_u32(value).ok_or("invalid syntax")?;
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            _ => return Err("invalid syntax"),
        }
    }
    Ok(String::from_utf8(out).unwrap_or_else(|error| {
        let mut text = String::with_capacity(error.as_bytes().len() + 8);
        for chunk in error.as_bytes().utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(RAW + u32::from(*byte))));
        }
        text
    }))
}

/// Shortest decimal form without an exponent.
pub(crate) fn plain_float(value: f64) -> String {
    let mut out = Vec::new();
    write_plain_float(value, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Shortest form, with an exponent outside of -4..=20: how label values print numbers.
pub(crate) fn short_float_wide(value: f64) -> String {
    float_with_limit(value, 21)
}

/// Shortest form, with an exponent outside of -4..=5: the `%g` of messages.
pub(crate) fn short_float(value: f64) -> String {
    float_with_limit(value, 6)
}

fn float_with_limit(value: f64, limit: i32) -> String {
    if !value.is_finite() || value == 0.0 {
        return plain_float(value);
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..limit).contains(&exponent) {
        return plain_float(value);
    }
    with_exponent(digits, exponent)
}

fn with_exponent(digits: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    let mut out = digits.to_owned();
    let _ = write!(out, "e{sign}{:02}", exponent.abs());
    out
}

/// Two significant digits: the `%.2g` of messages.
pub(crate) fn two_digit_float(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return plain_float(value);
    }
    let text = format!("{value:.1e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = digits.strip_suffix(".0").unwrap_or(digits);
    if (-4..2).contains(&exponent) {
        let rounded: f64 = text.parse().unwrap_or(value);
        return plain_float(rounded);
    }
    with_exponent(digits, exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unquotes_every_escape() {
        let check = |literal: &str, expected: &str| assert_eq!(unquote(literal).as_deref(), Ok(expected));
        check(r#""a\n\t\\\"b""#, "a\n\t\\\"b");
        check(r"'it\'s'", "it's");
        check(r"`raw\n`", "raw\\n");
        check(r#""\x41\101\u0041\U00000041""#, "AAAA");
        let raw = unquote(r#""a\xff\xc3\xa9""#).expect("well formed");
        assert_eq!((lossy(&raw).as_ref(), quote(&raw).as_str()), ("a\u{fffd}\u{e9}", "\"a\\xff\u{e9}\""));
        assert!(has_raw_bytes(&raw) && !has_raw_bytes("\u{fffd}"));
        assert!(unquote(r#""\'""#).is_err());
        assert!(unquote("\"").is_err());
    }

    #[test]
    fn prints_floats_like_percent_g() {
        let check = |value: f64, expected: &str| assert_eq!(short_float(value), expected);
        check(123_400.0, "123400");
        check(2_349_209.324, "2.349209324e+06");
        check(0.00001, "1e-05");
        check(0.0001, "0.0001");
        check(-0.5, "-0.5");
        check(f64::INFINITY, "+Inf");
        assert_eq!(two_digit_float(123.0), "1.2e+02");
        assert_eq!(two_digit_float(1.0), "1");
        assert_eq!(two_digit_float(0.123), "0.12");
        assert_eq!(two_digit_float(45.0), "45");
    }
}
