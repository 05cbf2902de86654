//! Values of literals: strings, characters and numbers as Go writes them.

use std::borrow::Cow;

use super::error::{Fault, fail};
use super::syntax::Number;

/// The text of a literal in double quotes or in back quotes.
pub(super) fn unquote(literal: &str) -> Result<String, Fault> {
    if let Some(raw) = literal.strip_prefix('`') {
        // Go drops these, so that files with either kind of line ends mean the same.
        return Ok(raw.strip_suffix('`').unwrap_or(raw).replace('\r', ""));
    }
    let inside = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default();
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((piece, behind)) = next_piece(rest, '"')? {
        match piece {
            Piece::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Piece::Byte(byte) => bytes.push(byte),
        }
        rest = behind;
    }
    String::from_utf8(bytes).map_err(|_| Fault::new(format_args!("string is not UTF-8: {literal}")))
}

/// The value of a character constant.
pub(super) fn character(literal: &str) -> Result<i64, Fault> {
    let inside = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default();
    match next_piece(inside, '\'')? {
        Some((Piece::Char(c), "")) => Ok(i64::from(u32::from(c))),
        Some((Piece::Byte(byte), "")) => Ok(i64::from(byte)),
        _ => fail!("malformed character constant: {literal}"),
    }
}

enum Piece {
    Char(char),
    /// One byte of several that may make a character.
    Byte(u8),
}

/// The first character or escape sequence of what stands between `quote`s, and what is behind it.
fn next_piece(text: &str, quote: char) -> Result<Option<(Piece, &str)>, Fault> {
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return Ok(None) };
    if first != '\\' {
        return Ok(Some((Piece::Char(first), characters.as_str())));
    }
    let Some(escape) = characters.next() else { return fail!("invalid syntax: trailing backslash") };
    let rest = characters.as_str();
    let simple = |c: char| Ok(Some((Piece::Char(c), rest)));
    let invalid = || Fault::new(format_args!("invalid escape sequence \\{escape}"));
    match escape {
        'a' => simple('\x07'),
        'b' => simple('\x08'),
        'f' => simple('\x0c'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\x0b'),
        '\\' => simple('\\'),
        c if c == quote => simple(c),
        'x' | 'u' | 'U' => {
            let digits = match escape {
                'x' => 2,
                'u' => 4,
                _ => 8,
            };
            let code = rest
                .get(..digits)
                .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
                .ok_or_else(invalid)?;
            let code = u32::from_str_radix(code, 16).map_err(|_| invalid())?;
            let piece = match u8::try_from(code) {
                Ok(byte) if escape == 'x' => Piece::Byte(byte),
                _ => Piece::Char(char::from_u32(code).ok_or_else(invalid)?),
            };
            Ok(Some((piece, &rest[digits..])))
        }
        '0'..='7' => {
            let all = &text[1..];
            let code =
                all.get(..3).filter(|d| d.bytes().all(|b| matches!(b, b'0'..=b'7'))).ok_or_else(invalid)?;
            let byte = u8::from_str_radix(code, 8).map_err(|_| invalid())?;
            Ok(Some((Piece::Byte(byte), &all[3..])))
        }
        _ => Err(invalid()),
    }
}

/// The value of a numeric constant.
pub(super) fn number(text: &str) -> Result<Number, Fault> {
    let invalid = || Fault::new(format_args!("illegal number syntax: {text:?}"));
    if let Form::Integer(value) = form(text).ok_or_else(invalid)? {
        let Ok(int) = i64::try_from(value) else { return fail!("integer overflow: {text:?}") };
        #[expect(clippy::cast_precision_loss, reason = "as Go converts")]
        return Ok(Number { int: Some(int), float: int as f64, is_float: false });
    }
    let float = match parse_float(text) {
        Ok(float) => float,
        Err(FloatError::Syntax) => return Err(invalid()),
        Err(FloatError::Range) => return fail!("number out of range: {text:?}"),
    };
    // One that is whole can be had as an integer too.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "kept only if nothing is lost"
    )]
    let int = Some(float as i64).filter(|int| *int as f64 == float && *int != i64::MAX);
    Ok(Number { int, float, is_float: true })
}

/// What a constant can be.
enum Form {
    Integer(i128),
    Float,
}

/// What a constant can be by its looks. None if it is no number.
fn form(text: &str) -> Option<Form> {
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let prefix = unsigned.get(..2).unwrap_or_default().to_ascii_lowercase();
    let (radix, digits) = match prefix.as_str() {
        "0x" => (16, &unsigned[2..]),
        "0o" => (8, &unsigned[2..]),
        "0b" => (2, &unsigned[2..]),
        _ if unsigned.len() > 1 && unsigned.starts_with('0') => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    if digits.contains(if radix == 16 { ['.', 'p', 'P'] } else { ['.', 'e', 'E'] }) && !matches!(radix, 2) {
        return Some(Form::Float);
    }
    // A separator stands between digits, or behind the prefix.
    let has_prefix = radix != 10;
    if digits.ends_with('_') || digits.contains("__") || digits.starts_with('_') && !has_prefix {
        return None;
    }
    let plain = digits.replace('_', "");
    // What is longer overflows in any case.
    if plain.is_empty() || !plain.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(&plain, radix).unwrap_or(i128::MAX);
    Some(Form::Integer(if is_negative { -value } else { value }))
}

/// Why a text has no value as a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FloatError {
    Syntax,
    Range,
}

/// Reads a float as Go's `strconv.ParseFloat` does.
pub(super) fn parse_float(text: &str) -> Result<f64, FloatError> {
    let text = &*without_separators(text).ok_or(FloatError::Syntax)?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_hex = unsigned.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x"));
    if is_hex {
        let magnitude = hex_float(&unsigned[2..])?;
        return Ok(if text.starts_with('-') { -magnitude } else { magnitude });
    }
    let is_word = ["inf", "infinity", "nan"].iter().any(|word| unsigned.eq_ignore_ascii_case(word));
    if is_word {
        let is_signed_nan = unsigned.len() < text.len() && unsigned.eq_ignore_ascii_case("nan");
        return text.parse().ok().filter(|_| !is_signed_nan).ok_or(FloatError::Syntax);
    }
    let is_numeric = unsigned.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    let value: f64 = text.parse().ok().filter(|_| is_numeric).ok_or(FloatError::Syntax)?;
    if value.is_infinite() { Err(FloatError::Range) } else { Ok(value) }
}

/// A number without its underscores, if all of them stand between digits, or behind the prefix of hexadecimal numbers.
fn without_separators(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(Cow::Borrowed(text));
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text).as_bytes();
    let is_hex = unsigned.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"0x"));
    let is_digit = |byte: u8| byte.is_ascii_digit() || is_hex && byte.is_ascii_hexdigit();
    let is_right = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| unsigned.get(before));
        let is_behind_prefix = is_hex && at == 2;
        (is_behind_prefix || before.is_some_and(|byte| is_digit(*byte)))
            && unsigned.get(at + 1).is_some_and(|byte| is_digit(*byte))
    };
    let all_right = unsigned.iter().enumerate().all(|(at, byte)| *byte != b'_' || is_right(at));
    all_right.then(|| Cow::Owned(text.replace('_', "")))
}

/// A float in hexadecimal: `1.8p3`, the exponent in powers of two and never absent.
fn hex_float(text: &str) -> Result<f64, FloatError> {
    let (mantissa, exponent) = text.split_once(['p', 'P']).ok_or(FloatError::Syntax)?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(FloatError::Syntax);
    }
    // Exponents of more digits than that are the same to a float.
    let mut exponent: i64 =
        exponent.parse().unwrap_or(if exponent.starts_with('-') { -100_000 } else { 100_000 });
    exponent = exponent.clamp(-100_000, 100_000);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(FloatError::Syntax);
    }
    let mut bits = 0u64;
    let mut places = 0i64;
    for (number, c) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = c.to_digit(16).ok_or(FloatError::Syntax)?;
        if number >= whole.len() {
            places -= 4;
        }
        if bits >> 58 == 0 {
            bits = bits << 4 | u64::from(digit);
        } else {
            // All that the digits beyond tell is whether there is something.
            bits |= u64::from(digit != 0);
            places += 4;
        }
    }
    let exponent = exponent + places;
    #[expect(clippy::cast_precision_loss, reason = "rounds to the nearest")]
    let mut value = bits as f64;
    // In steps that are exact as long as the result is normal.
    let mut left = exponent.clamp(-2200, 2200);
    while left != 0 && value != 0.0 && value.is_finite() {
        let step = left.clamp(-1000, 1000);
        value *= 2f64.powi(i32::try_from(step).unwrap_or(0));
        left -= step;
    }
    if value.is_infinite() { Err(FloatError::Range) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_unquoted() {
        let check =
            |literal: &str, text: &str| assert_eq!(unquote(literal), Ok(text.to_owned()), "{literal}");
        check(r#""a\tb\n\"\\""#, "a\tb\n\"\\");
        check(r#""\x41\u00e9\U0001f600\101""#, "A\u{e9}\u{1f600}A");
        check(r#""\xc3\xa9""#, "\u{e9}");
        check("`a\\n\r\n\"`", "a\\n\n\"");
        for wrong in
            [r#""\q""#, r#""\'""#, r#""\x4""#, r#""\400""#, r#""\ud800""#, r#""\xff""#, r#""\u00zz""#]
        {
            assert!(unquote(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn characters_have_a_code() {
        assert_eq!(character("'a'"), Ok(97));
        assert_eq!(character(r"'\n'"), Ok(10));
        assert_eq!(character(r"'\''"), Ok(39));
        assert_eq!(character(r"'\xff'"), Ok(255));
        assert!(character("'ab'").is_err() && character("''").is_err() && character(r#"'\"'"#).is_err());
    }

    #[test]
    fn numbers_have_the_types_they_fit() {
        let int = |text: &str| number(text).map(|n| (n.int, n.is_float));
        for (text, value) in
            [("1", 1), ("-0x1F", -31), ("0b101", 5), ("0o17", 15), ("017", 15), ("1_000", 1000)]
        {
            assert_eq!(int(text), Ok((Some(value), false)), "{text}");
        }
        assert_eq!(int("9223372036854775807"), Ok((Some(i64::MAX), false)));
        assert_eq!(int("1e3"), Ok((Some(1000), true)));
        assert_eq!(int("1.5"), Ok((None, true)));
        assert_eq!(number("0x1.8p1").map(|n| n.float), Ok(3.0));
        assert_eq!(number("1e400").map(|n| n.int), fail!("number out of range: \"1e400\""));
        for wrong in
            ["", "+", ".", "1__0", "1_", "0x", "0xg", "09", "0b2", "1.2.3", "1e", "9223372036854775808"]
        {
            assert!(number(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn floats_are_read_as_go_reads_them() {
        assert_eq!(parse_float("+Inf"), Ok(f64::INFINITY));
        assert_eq!(parse_float("-infinity"), Ok(f64::NEG_INFINITY));
        assert!(parse_float("nan").is_ok_and(f64::is_nan));
        assert_eq!(parse_float("0x1p-2"), Ok(0.25));
        assert_eq!(parse_float("0x1p-1074"), Ok(5e-324));
        assert_eq!(parse_float("1e400"), Err(FloatError::Range));
        assert_eq!(parse_float("0x1p99999999999999999999"), Err(FloatError::Range));
        assert_eq!(parse_float("-1_000.5e1_0"), Ok(-1_000.5e10));
        for wrong in ["_1", "1_", "1__0", "1_.5", "1_e5", "", " 1", "1 ", "0x1", "e1", "in", "one", "+nan"] {
            assert_eq!(parse_float(wrong), Err(FloatError::Syntax), "{wrong}");
        }
    }
}
