//! Numbers and quoted strings as Go's `fmt` and `strconv` write them.

use std::fmt::Write as _;

/// Digits behind the point at which a float is exact.
const MAX_DIGITS: usize = 1100;

/// The text of a float for the verb of a format, with its sign if it is negative. Without a precision it is the shortest
/// that reads back the same, for `e` and `f` too.
pub(super) fn float(value: f64, verb: char, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return format!("{}Inf", if sign.is_empty() { "+" } else { sign });
    }
    let magnitude = value.abs();
    let text = match verb {
        'e' | 'E' => exponential(magnitude, precision, verb),
        'f' | 'F' => plain(magnitude, precision),
        'b' => binary(magnitude),
        'x' | 'X' => hexadecimal(magnitude, precision, verb),
        _ => general(magnitude, precision, verb),
    };
    format!("{sign}{text}")
}

/// Decimal digits of a float, rounded to `count` if that is given, without zeros at the end; and the power of ten of the
/// first one.
fn digits(magnitude: f64, count: Option<usize>) -> (String, i32) {
    let text = match count {
        Some(count) => format!("{magnitude:.*e}", count.clamp(1, MAX_DIGITS) - 1),
        None => format!("{magnitude:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = mantissa.replace('.', "");
    let digits = digits.trim_end_matches('0');
    (if digits.is_empty() { "0" } else { digits }.to_owned(), exponent.parse().unwrap_or(0))
}

fn exponential(magnitude: f64, precision: Option<usize>, verb: char) -> String {
    let (digits, exponent) = digits(magnitude, precision.map(|precision| precision.saturating_add(1)));
    let behind = precision.unwrap_or(digits.len() - 1);
    let mut out = digits[..1].to_owned();
    if behind > 0 {
        out.push('.');
        out.push_str(&digits[1..]);
        out.extend(std::iter::repeat_n('0', behind - (digits.len() - 1).min(behind)));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let _ = write!(out, "{}{sign}{:02}", if verb.is_uppercase() { 'E' } else { 'e' }, exponent.abs());
    out
}

fn plain(magnitude: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else { return format!("{magnitude}") };
    let mut out = format!("{magnitude:.*}", precision.min(MAX_DIGITS));
    out.extend(std::iter::repeat_n('0', precision.saturating_sub(MAX_DIGITS)));
    out
}

fn general(magnitude: f64, precision: Option<usize>, verb: char) -> String {
    let precision = precision.map(|precision| precision.max(1));
    let (digits, exponent) = digits(magnitude, precision);
    let largest = i32::try_from(precision.unwrap_or(6).min(MAX_DIGITS)).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= largest {
        let verb = if verb.is_uppercase() { 'E' } else { 'e' };
        return exponential(magnitude, Some(digits.len() - 1), verb);
    }
    let behind = i64::try_from(digits.len()).unwrap_or(i64::MAX) - 1 - i64::from(exponent);
    plain(magnitude, Some(usize::try_from(behind).unwrap_or(0)))
}

/// Whole mantissa and power of two of a finite float.
fn parts(magnitude: f64) -> (u64, i32) {
    let bits = magnitude.to_bits();
    let exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or(0);
    let fraction = bits & ((1 << 52) - 1);
    if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) }
}

fn binary(magnitude: f64) -> String {
    let (mantissa, exponent) = parts(magnitude);
    format!("{mantissa}p{exponent:+}")
}

fn hexadecimal(magnitude: f64, precision: Option<usize>, verb: char) -> String {
    let (mut mantissa, mut exponent) = parts(magnitude);
    if mantissa == 0 {
        exponent = 0;
    } else {
        // One digit before the point, which is 1, and sixty bits behind it.
        let shift = mantissa.leading_zeros() - 3;
        mantissa <<= shift;
        exponent = exponent + 60 - i32::try_from(shift).unwrap_or(0);
    }
    if let Some(precision) = precision.filter(|precision| *precision < 15) {
        let dropped = u32::try_from(60 - 4 * precision).unwrap_or(60);
        let (unit, half) = (1u64 << dropped, 1u64 << dropped >> 1);
        let rest = mantissa & (unit - 1);
        mantissa -= rest;
        if rest > half || rest == half && mantissa & unit != 0 {
            mantissa += unit;
        }
        if mantissa >> 61 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let all = format!("{:015x}", mantissa & ((1 << 60) - 1));
    let mut behind = all.trim_end_matches('0').to_owned();
    if let Some(precision) = precision {
        behind.extend(std::iter::repeat_n('0', precision.saturating_sub(behind.len())));
    }
    let point = if behind.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    let out = format!("0x{}{point}{behind}p{sign}{:02}", mantissa >> 60, exponent.abs());
    if verb == 'X' { out.to_uppercase() } else { out }
}

/// A text in double quotes, with what cannot be printed escaped; with everything outside of ASCII escaped too if
/// `only_ascii`.
pub(super) fn quote(text: &str, only_ascii: bool) -> String {
    quoted(text, '"', only_ascii)
}

/// A character in single quotes.
pub(super) fn quote_char(c: char, only_ascii: bool) -> String {
    quoted(c.encode_utf8(&mut [0; 4]), '\'', only_ascii)
}

fn quoted(text: &str, quote: char, only_ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) && (c.is_ascii() || !only_ascii) => out.push(c),
            c => {
                let _ = match u32::from(c) {
                    code @ (0..0x20 | 0x7f) => write!(out, "\\x{code:02x}"),
                    code @ 0..0x1_0000 => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
    out
}

/// Whether a character can be shown: letters, marks, numbers, punctuation, symbols and the space.
pub(super) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    // A mark is escaped only at the start of a text, where it has nothing to stand on.
    let mut text = [b'a', 0, 0, 0, 0];
    let length = c.encode_utf8(&mut text[1..]).len();
    let text = std::str::from_utf8(&text[..=length]).unwrap_or_default();
    text.escape_debug().eq(text.chars())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_go_writes_them() {
        let check = |value: f64, verb: char, precision: Option<usize>, text: &str| {
            assert_eq!(float(value, verb, precision), text, "{value} {verb} {precision:?}");
        };
        check(1e20, 'g', None, "1e+20");
        check(1e21, 'g', None, "1e+21");
        check(123_456_789.0, 'g', None, "1.23456789e+08");
        check(0.00001, 'g', None, "1e-05");
        check(1234.5, 'g', Some(4), "1234");
        check(12_345.0, 'g', Some(4), "1.234e+04");
        check(-0.0, 'g', None, "-0");
        check(100_000.0, 'g', Some(10), "100000");
        check(2.5, 'f', Some(0), "2");
        check(1.0, 'e', Some(3), "1.000e+00");
        check(1.0, 'b', None, "4503599627370496p-52");
        check(1.0, 'x', None, "0x1p+00");
        check(-0.3, 'X', Some(2), "-0X1.33P-02");
        check(5e-324, 'x', None, "0x1p-1074");
        check(0.0, 'x', Some(1), "0x0.0p+00");
        check(f64::INFINITY, 'g', None, "+Inf");
        assert_eq!(float(1.0, 'f', Some(100_000)).len(), 100_002);
        assert_eq!(float(1.0, 'e', Some(100_000)).len(), 100_006);
        assert_eq!(float(1.0, 'x', Some(100_000)).len(), 100_008);
    }

    #[test]
    fn texts_are_quoted() {
        assert_eq!(quote("a\"\n\u{1}\u{e9}\u{200b}", false), "\"a\\\"\\n\\x01\u{e9}\\u200b\"");
        assert_eq!(quote("\u{e9}\u{1f600}", true), "\"\\u00e9\\U0001f600\"");
        assert_eq!(quote("e\u{301}", false), "\"e\u{301}\"");
        assert_eq!(quote_char('\'', false), "'\\''");
    }
}
