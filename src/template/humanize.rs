//! Numbers for people.

use super::calendar;
use super::error::{Fault, fail};
use super::numbers::float;
use super::value::Value;
use jiff::Timestamp;

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// Four significant digits.
fn short(value: f64) -> String {
    float(value, 'g', Some(4))
}

/// Divides by `step` until it is below that, with the prefix of the last division.
fn with_prefix(mut value: f64, step: f64, prefixes: [&str; 8]) -> String {
    let mut prefix = "";
    for next in prefixes {
        if value.abs() < step {
            break;
        }
        prefix = next;
        value /= step;
    }
    format!("{}{prefix}", short(value))
}

/// Multiplies until it is one at least, with the prefix of the last multiplication.
fn with_small_prefix(mut value: f64) -> String {
    let mut prefix = "";
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    format!("{}{prefix}", short(value))
}

/// With prefixes of powers of a thousand: `1.235M`, `120m`.
pub(super) fn decimal(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        short(value)
    } else if value.abs() >= 1.0 {
        with_prefix(value, 1000.0, LARGE)
    } else {
        with_small_prefix(value)
    }
}

/// With prefixes of powers of 1024: `1.5Ki`; small numbers as they are.
pub(super) fn binary(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        short(value)
    } else {
        with_prefix(value, 1024.0, LARGE_BINARY)
    }
}

/// Of a hundred.
pub(super) fn percentage(value: f64) -> String {
    short(value * 100.0) + "%"
}

/// Seconds as days, hours, minutes and seconds; below a minute with fractions.
pub(super) fn duration(value: f64) -> String {
    if !value.is_finite() {
        return short(value);
    }
    if value == 0.0 {
        return short(value) + "s";
    }
    if value.abs() < 1.0 {
        return with_small_prefix(value) + "s";
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let value = value.abs();
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit is the largest number")]
    let whole = value as i64;
    let (seconds, minutes, hours, days) = (whole % 60, whole / 60 % 60, whole / 3600 % 24, whole / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", short(value)),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, ..) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

/// Seconds since 1970 as date and time, UTC.
pub(super) fn timestamp(value: f64) -> Result<String, Fault> {
    if value.is_finite() { to_time(value).map(calendar::time_text) } else { Ok(short(value)) }
}

/// The time so many seconds after 1970, to the millisecond.
pub(super) fn to_time(value: f64) -> Result<Timestamp, Fault> {
    if !value.is_finite() {
        return fail!("value is NaN or Inf");
    }
    let nanoseconds = value * 1e9;
    #[expect(clippy::cast_precision_loss, reason = "the bounds are powers of two")]
    let (least, most) = (i64::MIN as f64, i64::MAX as f64);
    let out_of_range = || {
        let text = float(value, 'g', None);
        Fault(format!("{text} cannot be represented as a nanoseconds timestamp since it overflows int64"))
    };
    if nanoseconds > most || nanoseconds < least {
        return Err(out_of_range());
    }
    #[expect(clippy::cast_possible_truncation, reason = "the bounds were checked")]
    let milliseconds = nanoseconds as i64 / 1_000_000;
    Timestamp::from_millisecond(milliseconds).map_err(|_| out_of_range())
}

/// The duration of so many seconds.
pub(super) fn to_duration(value: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit is the largest duration")]
    Value::DurationPointer((value * 1e9) as i64)
}
