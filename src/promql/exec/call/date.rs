//! Parts of a date, UTC.

use crate::promql::plan::MapFunc;

const DAY: i128 = 86_400;

/// Seconds from the first one that has a date (in the year -292277022399) to 1970-01-01. Before it dates go on at
/// the other end of 64 bits, as those of Prometheus do.
const BEFORE_EPOCH: i128 = 9_223_372_028_715_321_600;

/// Year, month (from 1) and day (from 1) of a day counted from 1970-01-01.
fn civil(days: i128) -> (i64, i64, i64) {
    // Days are counted from 0000-03-01, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i128::from(month <= 2);
    (small(year), small(month), small(day))
}

fn small(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(0)
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The part of the date at `seconds` that `func` asks for.
#[expect(clippy::cast_possible_truncation, reason = "the seconds are cut to whole ones, whatever their size")]
pub(super) fn part(func: MapFunc, seconds: f64) -> f64 {
    // What does not fit becomes the least number, as the usual processors make it.
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&seconds);
    let seconds = if fits { seconds as i64 } else { i64::MIN };
    let seconds = (i128::from(seconds) + BEFORE_EPOCH).rem_euclid(1 << 64) - BEFORE_EPOCH;
    let days = seconds.div_euclid(DAY);
    let of_day = small(seconds.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let value = match func {
        MapFunc::Minute => of_day / 60 % 60,
        MapFunc::Hour => of_day / 3600,
        MapFunc::DayOfWeek => small((days.rem_euclid(7) + 4) % 7),
        MapFunc::DayOfMonth => day,
        MapFunc::DayOfYear => (1..month).map(|m| days_in_month(year, m)).sum::<i64>() + day,
        MapFunc::DaysInMonth => days_in_month(year, month),
        MapFunc::Month => month,
        _ => year,
    };
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_calendar() {
        let check = |func, seconds: f64, expected: f64| {
            assert_eq!(part(func, seconds), expected, "{func:?} {seconds}");
        };
        check(MapFunc::Year, 0.0, 1970.0);
        check(MapFunc::DayOfWeek, 0.0, 4.0);
        check(MapFunc::Year, -1.0, 1969.0);
        check(MapFunc::DayOfYear, -1.0, 365.0);
        // 2016-02-29 12:34:56
        let leap = 1_456_749_296.0;
        check(MapFunc::DayOfMonth, leap, 29.0);
        check(MapFunc::DaysInMonth, leap, 29.0);
        check(MapFunc::DayOfYear, leap, 60.0);
        check(MapFunc::DayOfWeek, leap, 1.0);
        check(MapFunc::Hour, leap, 12.0);
        check(MapFunc::Minute, leap, 34.0);
        check(MapFunc::Month, leap, 2.0);
        // As Prometheus answers on x86.
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e19, -9_223_372_036_854_775_808.0] {
            check(MapFunc::Year, odd, 292_277_026_596.0);
            check(MapFunc::DayOfMonth, odd, 4.0);
            check(MapFunc::DayOfWeek, odd, 0.0);
        }
    }
}
