//! Numbers and times in replies, as Prometheus writes them.

use std::io::Write as _;

use crate::model::number::write_integer;
pub use crate::model::number::write_plain_float;

/// Appends milliseconds as seconds: whole, or with exactly three decimals.
pub fn write_timestamp(ms: i64, out: &mut Vec<u8>) {
    let (whole, rest) = (ms / 1000, ms % 1000);
    if ms < 0 && whole == 0 {
        out.push(b'-');
    }
    write_integer(whole, out);
    let rest = u16::try_from(rest.unsigned_abs()).unwrap_or(0);
    if rest > 0 {
        let digits = [rest / 100, rest / 10 % 10, rest % 10];
        out.push(b'.');
        out.extend(digits.iter().map(|digit| b'0' + digit.to_le_bytes()[0]));
    }
}

/// Appends the shortest text that reads back to the same value; exponents only outside of 1e-6 to 1e21.
pub fn write_float(value: f64, out: &mut Vec<u8>) {
    let size = value.abs();
    if value.is_finite() && size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
        // Writing to memory cannot fail, here and below.
        let _ = write!(out, "{digits}e{sign}{exponent:0>2}");
    } else {
        write_plain_float(value, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn formats_numbers_as_prometheus_does() {
        let check = |value: f64, expected: &str| assert_eq!(text(|o| write_float(value, o)), expected);
        check(0.0, "0");
        check(-0.0, "-0");
        check(1.5, "1.5");
        check(1e20, "100000000000000000000");
        check(1e21, "1e+21");
        check(1e-6, "0.000001");
        check(1.5e-7, "1.5e-07");
        check(-2.5e-123, "-2.5e-123");
        check(f64::NAN, "NaN");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
        check(0.1 + 0.2, "0.30000000000000004");
    }

    #[test]
    fn formats_timestamps() {
        let check = |ms: i64, expected: &str| assert_eq!(text(|o| write_timestamp(ms, o)), expected);
        check(0, "0");
        check(1_700_000_000_000, "1700000000");
        check(1500, "1.500");
        check(1007, "1.007");
        check(-500, "-0.500");
        check(-1500, "-1.500");
    }
}
