//! Numbers of scripts.

use crate::model::number::write_plain_float;

type Parsed<T> = Result<T, String>;

/// A number with an optional sign; words are `Inf` and `NaN` in any case.
pub(super) fn parse_number(text: &str) -> Parsed<(f64, &str)> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let negative = text.starts_with('-');
    let lower = unsigned.get(..3).map(str::to_ascii_lowercase);
    let (value, rest) = match lower.as_deref() {
        Some("inf") => (f64::INFINITY, &unsigned[3..]),
        Some("nan") => (f64::NAN, &unsigned[3..]),
        _ => {
            let mut end = 0;
            let bytes = unsigned.as_bytes();
            while let Some(byte) = bytes.get(end) {
                let exponent_sign =
                    matches!(byte, b'+' | b'-') && end > 0 && matches!(bytes[end - 1], b'e' | b'E');
                if !(byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E') || exponent_sign) {
                    break;
                }
                end += 1;
            }
            let value = unsigned[..end].parse().map_err(|_| format!("expected a value at {text:?}"))?;
            (value, &unsigned[end..])
        }
    };
    Ok((if negative { -value } else { value }, rest))
}

/// A number as it can be written in a script: the shortest text that reads back to it.
pub fn number_text(value: f64) -> String {
    let size = value.abs();
    if value.is_finite() && size != 0.0 && !(1e-4..1e21).contains(&size) {
        return format!("{value:e}");
    }
    let mut text = Vec::new();
    write_plain_float(value, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
