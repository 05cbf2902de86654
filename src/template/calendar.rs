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

/// Writes the element that a layout begins with; gives its length, 0 if there is none.
fn element(layout: &str, time: DateTime, out: &mut String) -> usize {
    let hour12 = if time.hour() % 12 == 0 { 12 } else { time.hour() % 12 };
    let month = month_name(time.month());
    let weekday = weekday_name(weekday(time));
    let is_morning = time.hour() < 12;
    // The longer ones first, where one begins like another.
    let elements: [(&str, &dyn Fn(&mut String) -> std::fmt::Result); 38] = [
        ("January", &|out| write!(out, "{month}")),
        ("Jan", &|out| write!(out, "{}", &month[..3])),
        ("Monday", &|out| write!(out, "{weekday}")),
        ("Mon", &|out| write!(out, "{}", &weekday[..3])),
        ("MST", &|out| write!(out, "UTC")),
        ("002", &|out| write!(out, "{:03}", time.day_of_year())),
        ("01", &|out| write!(out, "{:02}", time.month())),
        ("02", &|out| write!(out, "{:02}", time.day())),
        ("03", &|out| write!(out, "{hour12:02}")),
        ("04", &|out| write!(out, "{:02}", time.minute())),
        ("05", &|out| write!(out, "{:02}", time.second())),
        ("06", &|out| write!(out, "{:02}", time.year().rem_euclid(100))),
        ("15", &|out| write!(out, "{:02}", time.hour())),
        ("1", &|out| write!(out, "{}", time.month())),
        ("2006", &|out| write_year(time.year(), out)),
        ("2", &|out| write!(out, "{}", time.day())),
        ("__2", &|out| write!(out, "{:3}", time.day_of_year())),
        ("_2006", &|out| {
            out.push('_');
            write_year(time.year(), out)
        }),
        ("_2", &|out| write!(out, "{:2}", time.day())),
        ("3", &|out| write!(out, "{hour12}")),
        ("4", &|out| write!(out, "{}", time.minute())),
        ("5", &|out| write!(out, "{}", time.second())),
        ("PM", &|out| write!(out, "{}", if is_morning { "AM" } else { "PM" })),
        ("pm", &|out| write!(out, "{}", if is_morning { "am" } else { "pm" })),
        ("-070000", &|out| write!(out, "+000000")),
        ("-07:00:00", &|out| write!(out, "+00:00:00")),
        ("-0700", &|out| write!(out, "+0000")),
        ("-07:00", &|out| write!(out, "+00:00")),
        ("-07", &|out| write!(out, "+00")),
        ("Z070000", &|out| write!(out, "Z")),
        ("Z07:00:00", &|out| write!(out, "Z")),
        ("Z0700", &|out| write!(out, "Z")),
        ("Z07:00", &|out| write!(out, "Z")),
        ("Z07", &|out| write!(out, "Z")),
        (".0", &|out| write_fraction(layout, time, out)),
        (",0", &|out| write_fraction(layout, time, out)),
        (".9", &|out| write_fraction(layout, time, out)),
        (",9", &|out| write_fraction(layout, time, out)),
    ];
    let Some((name, write)) = elements.iter().find(|(name, _)| layout.starts_with(name)) else { return 0 };
    let behind = &layout[name.len()..];
    // A short name of a longer word is no name.
    if matches!(*name, "Jan" | "Mon") && behind.starts_with(|c: char| c.is_ascii_lowercase()) {
        return 0;
    }
    let mut length = name.len();
    if let Some(digit @ ('0' | '9')) = name.chars().nth(1)
        && name.starts_with(['.', ','])
    {
        length += behind.len() - behind.trim_start_matches(digit).len();
        if layout[length..].starts_with(|c: char| c.is_ascii_digit()) {
            return 0;
        }
    }
    let _ = write(out);
    length
}

fn write_year(year: i16, out: &mut String) -> std::fmt::Result {
    let sign = if year < 0 { "-" } else { "" };
    write!(out, "{sign}{:04}", year.unsigned_abs())
}

/// `.000` with as many digits, `.999` without zeros at the end, nine at most; a comma instead of the point is kept.
fn write_fraction(layout: &str, time: DateTime, out: &mut String) -> std::fmt::Result {
    let digit = layout.chars().nth(1).unwrap_or('0');
    let count = layout[1..].len() - layout[1..].trim_start_matches(digit).len();
    let mut digits = format!("{:09}", time.subsec_nanosecond());
    digits.truncate(count);
    let digits = if digit == '9' { digits.trim_end_matches('0') } else { &digits };
    if digits.is_empty() && digit == '9' {
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
