//! Numbers as text: the shortest that reads back to the same value, as Go and so Prometheus write it.
//!
//! **Cost**: 10 to 30 ns a number; whole ones take a way of their own.

use std::io::Write as _;

/// Whole numbers below this size are exact in 64 bits, float and integer alike.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Appends the shortest text that reads back to the same value, without an exponent. Of two that are as short and as
/// near the one with the even last digit is taken.
pub fn write_plain_float(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        let text = if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        };
        out.extend_from_slice(text.as_bytes());
    } else if value.abs() < EXACT && value.trunc().to_bits() == value.to_bits() && value != 0.0 {
        #[expect(clippy::cast_possible_truncation, reason = "whole and small")]
        write_integer(value as i64, out);
    } else {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        if text.contains('e') {
            let _ = write!(out, "{value}");
        } else {
            out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
        }
    }
}

/// Appends a whole number.
pub fn write_integer(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        write_plain_float(value, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn ties_go_to_the_even_digit() {
        assert_eq!(text(654_564_610_305_829.0 + 0.25), "654564610305829.2");
        assert_eq!(text(654_564_610_305_829.0 + 0.75), "654564610305829.8");
        assert_eq!(text(-0.0), "-0");
    }

    proptest! {
        #[test]
        fn numbers_are_short_and_read_back(
            value in prop_oneof![
                any::<f64>(),
                any::<i32>().prop_map(f64::from),
                (-1_000_000i32..1_000_000).prop_map(|n| f64::from(n) / 1000.0),
                (-30i32..30, 1.0f64..10.0).prop_map(|(e, m)| m * 10f64.powi(e)),
            ].prop_filter("finite", |v| v.is_finite()),
        ) {
            let text = text(value);
            prop_assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()));
            // The standard library finds one as short, but takes another of two that are as near.
            prop_assert_eq!(text.len(), format!("{value}").len());
        }
    }
}
