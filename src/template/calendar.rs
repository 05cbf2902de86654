//! Points in time and durations as Go writes them: names, texts and layouts such as `Jan 2 15:04:05`. All in UTC.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The layout of a time that nobody gave a layout.
const DEFAULT_LAYOUT: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

/// Date and time of day.
pub(super) fn civil(time: Timestamp) -> DateTime {
    TimeZone::UTC.to_datetime(time)
}

/// The name of a month, from 1.
pub(super) fn month_name(month: i8) -> &'static str {
    usize::try_from(month).ok().and_then(|month| MONTHS.get(month.checked_sub(1)?)).copied().unwrap_or("?")
}

/// The name of a day of the week, from 0, which is Sunday.
pub(super) fn weekday_name(day: i8) -> &'static str {
    usize::try_from(day).ok().and_then(|day| WEEKDAYS.get(day)).copied().unwrap_or("?")
}

/// The day of the week, from 0, which is Sunday.
pub(super) fn weekday(time: DateTime) -> i8 {
    time.weekday().to_sunday_zero_offset()
}

/// A time as text.
pub(super) fn time_text(time: Timestamp) -> String {
    format(time, DEFAULT_LAYOUT)
}

/// A time as a Go program has it.
pub(super) fn time_source(time: Timestamp) -> String {
    let t = civil(time);
    format!(
        "time.Date({}, time.{}, {}, {}, {}, {}, {}, time.UTC)",
        t.year(),
        month_name(t.month()),
        t.day(),
        t.hour(),
        t.minute(),
        t.second(),
        t.subsec_nanosecond()
    )
}

/// A duration of that many nanoseconds as text: `1h2m3.5s`.
pub(super) fn duration_text(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let magnitude = nanoseconds.unsigned_abs();
    // A number of units with so many digits behind the point.
    let decimal = |value: u64, digits: u32| {
        let unit = 10u64.pow(digits);
        let (whole, part) = (value / unit, value % unit);
        if part == 0 {
            return whole.to_string();
        }
        let part = format!("{part:0width$}", width = digits as usize);
        format!("{whole}.{}", part.trim_end_matches('0'))
    };
    let text = match magnitude {
        0 => "0s".to_owned(),
        1..1_000 => format!("{magnitude}ns"),
        1_000..1_000_000 => format!("{}\u{b5}s", decimal(magnitude, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(magnitude, 6)),
        _ => {
            let minutes = magnitude / 60_000_000_000;
            let seconds = decimal(magnitude % 60_000_000_000, 9);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

/// A time in a layout, which is how Go's reference time, `Mon Jan 2 15:04:05 MST 2006`, would be written.
pub(super) fn format(time: Timestamp, layout: &str) -> String {
    let time = civil(time);
    let mut out = String::with_capacity(layout.len() + 10);
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        let mut length = element(rest, time, &mut out);
        if length == 0 {
            out.push(c);
            length = c.len_utf8();
        }
        rest = &rest[length..];
    }
    out
}

/// A part of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Year,
    /// The year behind an underscore, which has no meaning there.
    UnderscoreYear,
    ShortYear,
    MonthName,
    ShortMonthName,
    Month,
    /// With two places, filled with a zero.
    ZeroMonth,
    WeekdayName,
    ShortWeekdayName,
    Day,
    ZeroDay,
    /// With two places, filled with a space.
    SpaceDay,
    ZeroYearDay,
    SpaceYearDay,
    ZeroHour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    Fraction,
    HalfDay,
    SmallHalfDay,
    Zone,
    /// A distance from UTC, which is none.
    Offset(&'static str),
}

/// How the reference time has them; the longer ones first where one begins like another.
const ELEMENTS: [(&str, Element); 38] = [
    ("January", Element::MonthName),
    ("Jan", Element::ShortMonthName),
    ("Monday", Element::WeekdayName),
    ("Mon", Element::ShortWeekdayName),
    ("MST", Element::Zone),
    ("002", Element::ZeroYearDay),
    ("01", Element::ZeroMonth),
    ("02", Element::ZeroDay),
    ("03", Element::ZeroHour12),
    ("04", Element::ZeroMinute),
    ("05", Element::ZeroSecond),
    ("06", Element::ShortYear),
    ("15", Element::ZeroHour),
    ("1", Element::Month),
    ("2006", Element::Year),
    ("2", Element::Day),
    ("__2", Element::SpaceYearDay),
    ("_2006", Element::UnderscoreYear),
    ("_2", Element::SpaceDay),
    ("3", Element::Hour12),
    ("4", Element::Minute),
    ("5", Element::Second),
    ("PM", Element::HalfDay),
    ("pm", Element::SmallHalfDay),
    ("-070000", Element::Offset("+000000")),
    ("-07:00:00", Element::Offset("+00:00:00")),
    ("-0700", Element::Offset("+0000")),
    ("-07:00", Element::Offset("+00:00")),
    ("-07", Element::Offset("+00")),
    ("Z070000", Element::Offset("Z")),
    ("Z07:00:00", Element::Offset("Z")),
    ("Z0700", Element::Offset("Z")),
    ("Z07:00", Element::Offset("Z")),
    ("Z07", Element::Offset("Z")),
    (".0", Element::Fraction),
    (",0", Element::Fraction),
    (".9", Element::Fraction),
    (",9", Element::Fraction),
];

/// Writes the element that a layout begins with; gives its length, 0 if there is none.
fn element(layout: &str, time: DateTime, out: &mut String) -> usize {
    let Some((name, element)) = ELEMENTS.iter().find(|(name, _)| layout.starts_with(name)) else { return 0 };
    let mut length = name.len();
    let behind = &layout[length..];
    match element {
        // A short name at the start of a longer word is no name.
        Element::ShortMonthName | Element::ShortWeekdayName
            if behind.starts_with(|c: char| c.is_ascii_lowercase()) =>
        {
            return 0;
        }
        Element::Fraction => {
            let digit = if name.ends_with('9') { '9' } else { '0' };
            length += behind.len() - behind.trim_start_matches(digit).len();
            if layout[length..].starts_with(|c: char| c.is_ascii_digit()) {
                return 0;
            }
        }
        _ => {}
    }
    let _ = write_element(*element, &layout[..length], time, out);
    length
}

fn write_element(element: Element, layout: &str, time: DateTime, out: &mut String) -> std::fmt::Result {
    let hour12 = if time.hour() % 12 == 0 { 12 } else { time.hour() % 12 };
    let is_morning = time.hour() < 12;
    let (month, weekday) = (month_name(time.month()), weekday_name(weekday(time)));
    match element {
        Element::Year => write_year(time.year(), out),
        Element::UnderscoreYear => {
            out.push('_');
            write_year(time.year(), out)
        }
        Element::ShortYear => write!(out, "{:02}", time.year().rem_euclid(100)),
        Element::MonthName => write!(out, "{month}"),
        Element::ShortMonthName => write!(out, "{month:.3}"),
        Element::Month => write!(out, "{}", time.month()),
        Element::ZeroMonth => write!(out, "{:02}", time.month()),
        Element::WeekdayName => write!(out, "{weekday}"),
        Element::ShortWeekdayName => write!(out, "{weekday:.3}"),
        Element::Day => write!(out, "{}", time.day()),
        Element::ZeroDay => write!(out, "{:02}", time.day()),
        Element::SpaceDay => write!(out, "{:2}", time.day()),
        Element::ZeroYearDay => write!(out, "{:03}", time.day_of_year()),
        Element::SpaceYearDay => write!(out, "{:3}", time.day_of_year()),
        Element::ZeroHour => write!(out, "{:02}", time.hour()),
        Element::Hour12 => write!(out, "{hour12}"),
        Element::ZeroHour12 => write!(out, "{hour12:02}"),
        Element::Minute => write!(out, "{}", time.minute()),
        Element::ZeroMinute => write!(out, "{:02}", time.minute()),
        Element::Second => write!(out, "{}", time.second()),
        Element::ZeroSecond => write!(out, "{:02}", time.second()),
        Element::Fraction => write_fraction(layout, time, out),
        Element::HalfDay => write!(out, "{}", if is_morning { "AM" } else { "PM" }),
        Element::SmallHalfDay => write!(out, "{}", if is_morning { "am" } else { "pm" }),
        Element::Zone => write!(out, "UTC"),
        Element::Offset(text) => write!(out, "{text}"),
    }
}

fn write_year(year: i16, out: &mut String) -> std::fmt::Result {
    let sign = if year < 0 { "-" } else { "" };
    write!(out, "{sign}{:04}", year.unsigned_abs())
}

/// `.000` with as many digits, `.999` without zeros at the end, nine at most; a comma instead of the point is kept.
fn write_fraction(layout: &str, time: DateTime, out: &mut String) -> std::fmt::Result {
    let mut digits = format!("{:09}", time.subsec_nanosecond());
    digits.truncate(layout.len() - 1);
    let is_trimmed = layout.ends_with('9');
    let digits = if is_trimmed { digits.trim_end_matches('0') } else { &digits };
    if digits.is_empty() && is_trimmed {
        return Ok(());
    }
    write!(out, "{}{digits}", &layout[..1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(layout: &str) -> String {
        // Tue 2015-06-23 13:19:44.128 UTC
        format(Timestamp::from_millisecond(1_435_065_584_128).expect("time"), layout)
    }

    #[test]
    fn layouts_are_filled() {
        for (layout, text) in [
            ("Mon Jan 2 15:04:05 MST 2006", "Tue Jun 23 13:19:44 UTC 2015"),
            ("Monday, 02-January-06 03:04 PM", "Tuesday, 23-June-15 01:19 PM"),
            ("2006-01-02T15:04:05.000Z07:00", "2015-06-23T13:19:44.128Z"),
            ("15:04:05.999999 -0700 -07:00 -07", "13:19:44.128 +0000 +00:00 +00"),
            ("3:4:5pm 1/_2 __2 002 _2006", "1:19:44pm 6/23 174 174 _2015"),
            ("Janet Months .00a .0001 ,000000000000", "Janet Months .12a .0006 ,128000000"),
            ("at \u{e9} z", "at \u{e9} z"),
        ] {
            assert_eq!(formatted(layout), text, "{layout}");
        }
    }

    #[test]
    fn durations_have_texts() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (999, "999ns"),
            (1_500, "1.5\u{b5}s"),
            (-2_000_000, "-2ms"),
            (1_000_000_001, "1.000000001s"),
            (5_400_000_000_000, "1h30m0s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(duration_text(nanoseconds), text);
        }
    }
}
