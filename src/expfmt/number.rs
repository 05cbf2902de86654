//! Values and timestamps of the text formats.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

/// The NaN that stands for "not a number"; the stale marker is another one and cannot come in from outside.
const NORMAL_NAN: u64 = 0x7ff8_0000_0000_0001;

/// A value: decimal, `NaN`, `Inf`, `+Inf`, `-Inf`.
pub(super) fn value(text: &[u8]) -> Option<f64> {
    let number: f64 = fast_float2::parse(text).ok()?;
    Some(if number.is_nan() { f64::from_bits(NORMAL_NAN) } else { number })
}

/// A timestamp of the classic format: whole milliseconds.
pub(super) fn millis(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A timestamp of OpenMetrics: seconds with a fraction.
pub(super) fn seconds_as_millis(text: &[u8]) -> Option<i64> {
    to_millis(value(text)?)
}

/// Seconds to milliseconds; `None` where that is no time.
pub(super) fn to_millis(seconds: f64) -> Option<i64> {
    let millis = seconds * 1000.0;
    if !millis.is_finite() || millis.abs() >= 9.2e18 {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range is checked above; the fraction is dropped"
    )]
    Some(millis as i64)
}

/// A number as label value in the form all targets agree on: `1` becomes `1.0`. `None` where nothing changes.
pub(super) fn canonical_label(text: &str) -> Option<String> {
    let canonical = canonical_float(value(text.as_bytes())?);
    (canonical != text).then_some(canonical)
}

/// The same of a number.
pub(super) fn canonical_float(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        let magnitude = number.abs();
        if number == 0.0 {
            "0.0".to_owned()
        } else if !(1e-4..1e6).contains(&magnitude) {
            scientific(number)
        } else {
            let plain = format!("{number}");
            if plain.contains('.') { plain } else { plain + ".0" }
        }
    }
}

/// `1e+21`, with two digits of exponent at least.
fn scientific(number: f64) -> String {
    let text = format!("{number:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_values_and_timestamps() {
        assert_eq!(value(b"1.5e3"), Some(1500.0));
        assert_eq!(value(b"+Inf"), Some(f64::INFINITY));
        assert_eq!(value(b"NaN").map(f64::to_bits), Some(NORMAL_NAN));
        for bad in ["", "1x", "--1", "1 "] {
            assert_eq!(value(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(millis(b"-12"), Some(-12));
        assert_eq!(millis(b"1.5"), None);
        assert_eq!(seconds_as_millis(b"1.5"), Some(1500));
        assert_eq!(seconds_as_millis(b"NaN"), None);
        assert_eq!(seconds_as_millis(b"1e300"), None);
    }

    #[test]
    fn bounds_and_quantiles_take_one_form() {
        let check = |text: &str, expected: &str| {
            assert_eq!(canonical_label(text).as_deref().unwrap_or(text), expected);
        };
        check("1", "1.0");
        check("1.0", "1.0");
        check("0.5", "0.5");
        check("0", "0.0");
        check("+Inf", "+Inf");
        check("Inf", "+Inf");
        check("1e6", "1e+06");
        check("1048576", "1.048576e+06");
        check("999999", "999999.0");
        check("0.0001", "0.0001");
        check("-0", "0.0");
        check("-2500000.5", "-2.5000005e+06");
        check("1e-05", "1e-05");
        check("0.00001", "1e-05");
        check("1e21", "1e+21");
        check("abc", "abc");
    }
}
