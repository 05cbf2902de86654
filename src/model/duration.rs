//! Prometheus duration syntax: `1h30m`, `15s`, `500ms`, `0`.

use std::fmt::Write as _;
use std::time::Duration;

const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text is empty.
    #[error("empty duration string")]
    Empty,
    /// A unit that does not exist.
    #[error("unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// The text is not of the form `1h30m`.
    #[error("not a valid duration string: {0:?}")]
    Invalid(String),
    /// More than 64 bits of nanoseconds.
    #[error("duration out of range")]
    OutOfRange,
}

/// Reads a duration: parts in falling order of unit, each unit at most once; `0` alone is allowed.
///
/// # Errors
/// When the text has another form or does not fit 63 bits of nanoseconds.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    match text {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(Duration::ZERO),
        _ => {}
    }
    let invalid = || DurationError::Invalid(text.to_owned());
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total_ms = 0u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        if !number.is_empty() && !unit.is_empty() && !UNITS.iter().any(|(name, _)| *name == unit) {
            return Err(DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() });
        }
        // Units come in falling order, so the search goes on where the last one was found.
        let (_, ms) = units.find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        if number.is_empty() {
            return Err(invalid());
        }
        let number: u64 = number.parse().map_err(|_| DurationError::OutOfRange)?;
        total_ms = number
            .checked_mul(*ms)
            .and_then(|part| part.checked_add(total_ms))
            .filter(|total| *total <= u64::MAX / 2 / 1_000_000)
            .ok_or(DurationError::OutOfRange)?;
        rest = tail;
    }
    Ok(Duration::from_millis(total_ms))
}

/// Prints a duration in Prometheus' canonical form; years and weeks only when they are exact.
pub fn format_duration(duration: Duration) -> String {
    let mut ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, size) in UNITS {
        let exact_only = matches!(unit, "y" | "w");
        if ms < size || (exact_only && ms % size != 0) {
            continue;
        }
        let _ = write!(out, "{}{unit}", ms / size);
        ms %= size;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_canonical_forms() {
        let check = |text: &str, ms: u64, printed: &str| {
            let duration = parse_duration(text).expect(text);
            assert_eq!(duration, Duration::from_millis(ms), "{text}");
            assert_eq!(format_duration(duration), printed, "{text}");
        };
        check("0", 0, "0s");
        check("0s", 0, "0s");
        check("90m", 5_400_000, "1h30m");
        check("1h30m", 5_400_000, "1h30m");
        check("500ms", 500, "500ms");
        check("1w", 604_800_000, "1w");
        check("8d", 691_200_000, "8d");
        check("1y", 31_536_000_000, "1y");
        check("1d1ms", 86_400_001, "1d1ms");
    }

    #[test]
    fn refuses_other_forms() {
        for text in ["", "1", "1x", "30m1h", "1m1m", "-1s", "1.5s", "s", "1s ", "9999999999999y", "300y"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
