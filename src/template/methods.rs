//! Methods of the values that have some: times, durations, months and days of the week.

use std::sync::Arc;

use jiff::Timestamp;

use super::calendar;
use super::error::{Fault, fail};
use super::function::{Param, Signature};
use super::message::{column, of_status, sorted_pairs, status_name};
use super::value::{List, ListKind, Value, seconds};
use crate::model::Labels;

/// A method that a value has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method {
    pub(super) name: &'static str,
    pub(super) signature: Signature,
    run: fn(&Receiver, &[Value]) -> Result<Value, Fault>,
}

/// What a method is called on.
#[derive(Debug, Clone)]
enum Receiver {
    Time(Timestamp),
    Duration(i64),
    Month(i8),
    Weekday(i8),
    KeyValues(Labels),
    List(Arc<List>),
}

impl Method {
    /// The method of that name.
    ///
    /// # Errors
    /// When the value has it in Go, but it cannot be used in a template.
    pub(super) fn of(value: &Value, name: &str) -> Result<Option<Self>, Fault> {
        let methods = match receiver(value) {
            Some(Receiver::Time(_)) => {
                if let Some((name, results)) = SEVERAL_RESULTS.iter().find(|(known, _)| *known == name) {
                    return fail!("method {name} has {results} results; a template can use one only");
                }
                if OTHER_METHODS.contains(&name) {
                    return fail!("method {name} of time.Time is not supported");
                }
                TIME
            }
            Some(Receiver::Duration(_)) => DURATION,
            Some(Receiver::Month(_) | Receiver::Weekday(_)) => NAMED,
            Some(Receiver::KeyValues(_)) => KEY_VALUES,
            Some(Receiver::List(list)) => match list.kind {
                ListKind::Alerts => ALERTS,
                ListKind::Pairs => PAIRS,
                ListKind::Texts => return Ok(None),
            },
            None => return Ok(None),
        };
        Ok(methods.iter().find(|method| method.name == name).copied())
    }

    /// Calls it with values that its signature allows.
    pub(super) fn run(&self, value: &Value, arguments: &[Value]) -> Result<Value, Fault> {
        match receiver(value) {
            Some(receiver) => (self.run)(&receiver, arguments),
            None => fail!("{} has no method {}", value.type_name(), self.name),
        }
    }
}

fn receiver(value: &Value) -> Option<Receiver> {
    Some(match value {
        Value::Time(time) | Value::TimePointer(time) => Receiver::Time(*time),
        Value::Duration(nanoseconds) | Value::DurationPointer(nanoseconds) => {
            Receiver::Duration(*nanoseconds)
        }
        Value::Month(month) => Receiver::Month(*month),
        Value::Weekday(day) => Receiver::Weekday(*day),
        Value::KeyValues(labels) => Receiver::KeyValues(labels.clone()),
        Value::List(list) => Receiver::List(Arc::clone(list)),
        _ => return None,
    })
}

/// Methods of times that give more than a template can use.
const SEVERAL_RESULTS: [(&str, usize); 5] =
    [("Clock", 3), ("Date", 3), ("ISOWeek", 2), ("Zone", 2), ("ZoneBounds", 2)];

/// Methods of times that deal with zones or bytes, of which there are none here.
const OTHER_METHODS: [&str; 10] = [
    "AppendBinary",
    "AppendFormat",
    "AppendText",
    "GobEncode",
    "In",
    "IsDST",
    "Local",
    "Location",
    "MarshalBinary",
    "MarshalJSON",
];

const fn method(
    name: &'static str,
    takes: &'static [Param],
    run: fn(&Receiver, &[Value]) -> Result<Value, Fault>,
) -> Method {
    Method { name, signature: Signature::of(takes), run }
}

/// A method of times without arguments.
macro_rules! of_time {
    ($name:literal, $time:ident => $result:expr) => {
        method($name, &[], |receiver, _| match receiver {
            Receiver::Time($time) => Ok($result),
            _ => fail!("not a time"),
        })
    };
}

/// A method of two times.
macro_rules! of_times {
    ($name:literal, $time:ident, $other:ident => $result:expr) => {
        method($name, &[Param::Time], |receiver, arguments| match (receiver, arguments) {
            (Receiver::Time($time), [Value::Time($other)]) => Ok($result),
            _ => fail!("not a time"),
        })
    };
}

/// A method of times with a duration.
macro_rules! of_time_and_duration {
    ($name:literal, $time:ident, $duration:ident => $result:expr) => {
        method($name, &[Param::Duration], |receiver, arguments| match (receiver, arguments) {
            (Receiver::Time($time), [Value::Duration($duration)]) => $result,
            _ => fail!("not a time and a duration"),
        })
    };
}

const TIME: &[Method] = &[
    method("Format", &[Param::Text], |receiver, arguments| match (receiver, arguments) {
        (Receiver::Time(time), [Value::Text(layout)]) => Ok(Value::text(calendar::format(*time, layout))),
        _ => fail!("not a time and a layout"),
    }),
    of_time!("String", time => Value::text(calendar::time_text(*time))),
    of_time!("GoString", time => Value::text(calendar::time_source(*time))),
    of_time!("UTC", time => Value::Time(*time)),
    of_time!("Unix", time => Value::Int64(floor(time.as_nanosecond(), 1_000_000_000))),
    of_time!("UnixMilli", time => Value::Int64(floor(time.as_nanosecond(), 1_000_000))),
    of_time!("UnixMicro", time => Value::Int64(floor(time.as_nanosecond(), 1_000))),
    of_time!("UnixNano", time => Value::Int64(floor(time.as_nanosecond(), 1))),
    of_time!("Year", time => Value::Int(calendar::civil(*time).year().into())),
    of_time!("Month", time => Value::Month(calendar::civil(*time).month())),
    of_time!("Day", time => Value::Int(calendar::civil(*time).day().into())),
    of_time!("YearDay", time => Value::Int(calendar::civil(*time).day_of_year().into())),
    of_time!("Weekday", time => Value::Weekday(calendar::weekday(calendar::civil(*time)))),
    of_time!("Hour", time => Value::Int(calendar::civil(*time).hour().into())),
    of_time!("Minute", time => Value::Int(calendar::civil(*time).minute().into())),
    of_time!("Second", time => Value::Int(calendar::civil(*time).second().into())),
    of_time!("Nanosecond", time => Value::Int(calendar::civil(*time).subsec_nanosecond().into())),
    // The zero of times is the first moment of the year one, which no number of seconds leads to here.
    of_time!("IsZero", time => Value::Bool(time.as_nanosecond() == -62_135_596_800_000_000_000)),
    of_times!("Before", time, other => Value::Bool(time < other)),
    of_times!("After", time, other => Value::Bool(time > other)),
    of_times!("Equal", time, other => Value::Bool(time == other)),
    of_times!("Compare", time, other => Value::Int(time.cmp(other) as i64)),
    of_times!("Sub", time, other => {
        Value::Duration(saturated(time.as_nanosecond() - other.as_nanosecond()))
    }),
    of_time_and_duration!("Add", time, nanoseconds => added(*time, i128::from(*nanoseconds))),
    of_time_and_duration!("Truncate", time, unit => {
        let rest = since_year_one(*time).rem_euclid(i128::from(*unit).max(1));
        added(*time, -rest)
    }),
    of_time_and_duration!("Round", time, unit => {
        let unit = i128::from(*unit).max(1);
        let rest = since_year_one(*time).rem_euclid(unit);
        added(*time, if rest * 2 < unit { -rest } else { unit - rest })
    }),
    method("AddDate", &[Param::Int, Param::Int, Param::Int], |receiver, arguments| {
        match (receiver, arguments) {
            (Receiver::Time(time), [Value::Int(years), Value::Int(months), Value::Int(days)]) => {
                add_date(*time, *years, *months, *days)
            }
            _ => fail!("not a time and numbers"),
        }
    }),
];

fn floor(nanoseconds: i128, unit: i128) -> i64 {
    saturated(nanoseconds.div_euclid(unit))
}

fn saturated(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

/// Nanoseconds since the beginning of the year one, which rounding starts from.
fn since_year_one(time: Timestamp) -> i128 {
    time.as_nanosecond() + 62_135_596_800_000_000_000
}

fn added(time: Timestamp, nanoseconds: i128) -> Result<Value, Fault> {
    let sum = Timestamp::from_nanosecond(time.as_nanosecond() + nanoseconds);
    sum.map(Value::Time).map_err(|_| Fault::new("time out of range"))
}

/// Adds to the parts of a date; one that does not exist is that many days further on.
fn add_date(time: Timestamp, years: i64, months: i64, days: i64) -> Result<Value, Fault> {
    let out_of_range = |_| Fault::new("time out of range");
    let civil = calendar::civil(time);
    let month = years
        .checked_mul(12)
        .and_then(|m| m.checked_add(months))
        .and_then(|m| m.checked_add(i64::from(civil.month()) - 1));
    let month = month.ok_or_else(|| Fault::new("time out of range"))?;
    let year = i64::from(civil.year()).saturating_add(month.div_euclid(12));
    let (Ok(year), Ok(month)) = (i16::try_from(year), i8::try_from(month.rem_euclid(12) + 1)) else {
        return fail!("time out of range");
    };
    let first = jiff::civil::Date::new(year, month, 1).map_err(out_of_range)?;
    let days = days.saturating_add(i64::from(civil.day()) - 1);
    let span = jiff::Span::new().try_days(days).map_err(out_of_range)?;
    let date = first.checked_add(span).map_err(out_of_range)?;
    let moved = date.to_datetime(civil.time());
    let zoned = moved.to_zoned(jiff::tz::TimeZone::UTC).map_err(out_of_range)?;
    Ok(Value::Time(zoned.timestamp()))
}

/// A method of durations without arguments.
macro_rules! of_duration {
    ($name:literal, $nanoseconds:ident => $result:expr) => {
        method($name, &[], |receiver, _| match receiver {
            Receiver::Duration($nanoseconds) => Ok($result),
            _ => fail!("not a duration"),
        })
    };
}

/// A method of two durations.
macro_rules! of_durations {
    ($name:literal, $nanoseconds:ident, $unit:ident => $result:expr) => {
        method($name, &[Param::Duration], |receiver, arguments| match (receiver, arguments) {
            (Receiver::Duration($nanoseconds), [Value::Duration($unit)]) => Ok($result),
            _ => fail!("not durations"),
        })
    };
}

const DURATION: &[Method] = &[
    of_duration!("String", nanoseconds => Value::text(calendar::duration_text(*nanoseconds))),
    of_duration!("Nanoseconds", nanoseconds => Value::Int64(*nanoseconds)),
    of_duration!("Microseconds", nanoseconds => Value::Int64(nanoseconds / 1_000)),
    of_duration!("Milliseconds", nanoseconds => Value::Int64(nanoseconds / 1_000_000)),
    of_duration!("Seconds", nanoseconds => Value::Float(seconds(*nanoseconds))),
    of_duration!("Minutes", nanoseconds => Value::Float(in_units(*nanoseconds, 60_000_000_000))),
    of_duration!("Hours", nanoseconds => Value::Float(in_units(*nanoseconds, 3_600_000_000_000))),
    of_duration!("Abs", nanoseconds => Value::Duration(nanoseconds.saturating_abs())),
    of_durations!("Truncate", nanoseconds, unit => {
        Value::Duration(if *unit <= 0 { *nanoseconds } else { nanoseconds - nanoseconds % unit })
    }),
    of_durations!("Round", nanoseconds, unit => Value::Duration(rounded(*nanoseconds, *unit))),
];

/// Whole units and the part of one that is left, as a float.
fn in_units(nanoseconds: i64, unit: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "as Go converts")]
    let (whole, part, unit) = ((nanoseconds / unit) as f64, (nanoseconds % unit) as f64, unit as f64);
    whole + part / unit
}

/// The nearest multiple of `unit`; of two that are as near the one further from zero.
fn rounded(nanoseconds: i64, unit: i64) -> i64 {
    if unit <= 0 {
        return nanoseconds;
    }
    let (value, unit) = (i128::from(nanoseconds), i128::from(unit));
    let rest = value % unit;
    let moved = if rest.abs() * 2 < unit { value - rest } else { value - rest + unit * value.signum() };
    saturated(moved)
}

const NAMED: &[Method] = &[method("String", &[], |receiver, _| match receiver {
    Receiver::Month(month) => Ok(Value::text(calendar::month_name(*month))),
    Receiver::Weekday(day) => Ok(Value::text(calendar::weekday_name(*day))),
    _ => fail!("not a month or day"),
})];

/// A method of the labels of a message.
macro_rules! of_key_values {
    ($name:literal, $labels:ident => $result:expr) => {
        method($name, &[], |receiver, _| match receiver {
            Receiver::KeyValues($labels) => Ok($result),
            _ => fail!("not a template.KV"),
        })
    };
}

const KEY_VALUES: &[Method] = &[
    of_key_values!("SortedPairs", labels => sorted_pairs(labels)),
    of_key_values!("Names", labels => {
        if let Value::List(list) = sorted_pairs(labels) { column(&list.items, "Name") } else { Value::Nil }
    }),
    of_key_values!("Values", labels => {
        if let Value::List(list) = sorted_pairs(labels) { column(&list.items, "Value") } else { Value::Nil }
    }),
    method("Remove", &[Param::Any], |receiver, arguments| match (receiver, arguments) {
        (Receiver::KeyValues(labels), [Value::List(names)]) if names.kind == ListKind::Texts => {
            let gone = |name: &str| {
                names.items.iter().any(|item| item.as_text().is_some_and(|text| **text == *name))
            };
            Ok(Value::KeyValues(labels.without(gone)))
        }
        _ => fail!("Remove takes a list of names"),
    }),
];

/// A method of a list of a message.
macro_rules! of_list {
    ($name:literal, $items:ident => $result:expr) => {
        method($name, &[], |receiver, _| match receiver {
            Receiver::List(list) => {
                let $items = &list.items;
                Ok($result)
            }
            _ => fail!("not a list"),
        })
    };
}

const ALERTS: &[Method] = &[
    of_list!("Firing", alerts => of_status(alerts, status_name(false))),
    of_list!("Resolved", alerts => of_status(alerts, status_name(true))),
];

const PAIRS: &[Method] =
    &[of_list!("Names", pairs => column(pairs, "Name")), of_list!("Values", pairs => column(pairs, "Value"))];
