//! Functions over anchored and smoothed windows: differences between the very ends of the window.
//!
//! The samples given reach beyond the window, by the lookback. Anchored, the value at the start is that of the newest
//! sample at or before it. Smoothed, the values at both ends lie on the lines between samples.

use super::rate;
use super::window::Window;
use crate::model::Samples;
use crate::promql::plan::RangeFunc;

/// The value at `time` on the line between two samples. A counter that fell is taken to start from zero.
pub(in crate::promql::exec) fn line(from: (i64, f64), to: (i64, f64), time: i64, counter: bool) -> f64 {
    let start = if counter && to.1 < from.1 { 0.0 } else { from.1 };
    let part = time.saturating_sub(from.0) as f64;
    start + (to.1 - start) * part / to.0.saturating_sub(from.0) as f64
}

/// The function's value, if the window has any.
pub(super) fn apply(func: RangeFunc, window: &Window<'_>, smoothed: bool) -> Option<f64> {
    match func {
        RangeFunc::Rate => {
            let seconds = Window::seconds(window.start, window.end);
            growth(window, smoothed, true).map(|growth| growth / seconds)
        }
        RangeFunc::Increase => growth(window, smoothed, true),
        RangeFunc::Delta => growth(window, smoothed, false),
        RangeFunc::Changes => anchored(window).map(|window| rate::changes(&window)),
        RangeFunc::Resets => anchored(window).map(|window| rate::resets(&window)),
        _ => None,
    }
}

/// The samples inside the window and the one before it.
pub(super) fn anchored<'a>(window: &Window<'a>) -> Option<Window<'a>> {
    let inside = window.timestamps.partition_point(|t| *t <= window.start);
    let first = inside.saturating_sub(1);
    (inside < window.len()).then(|| Window {
        timestamps: &window.timestamps[first..],
        values: &window.values[first..],
        starts: window.starts.get(first..).unwrap_or_default(),
        ..*window
    })
}

/// The ends of a window and the samples strictly inside it.
struct Ends {
    left: f64,
    right: f64,
    first: usize,
    behind: usize,
}

fn ends(window: &Window<'_>, smoothed: bool, counter: bool) -> Option<Ends> {
    let Window { timestamps, values, start, end, .. } = *window;
    let newest = timestamps.len() - 1;
    let first = timestamps[..newest].partition_point(|t| *t <= start).saturating_sub(1);
    let mut last = newest;
    if smoothed {
        last = timestamps[..newest].partition_point(|t| *t < end);
    }
    if timestamps[last] <= start {
        return None;
    }
    let sample = |at: usize| (timestamps[at], values[at]);
    let left = if smoothed && timestamps[first] < start && first < newest {
        line(sample(first), sample(first + 1), start, counter)
    } else {
        values[first]
    };
    let right = if smoothed && last > 0 && timestamps[last] > end {
        line(sample(last - 1), sample(last), end, counter)
    } else {
        values[last]
    };
    let behind = last + usize::from(timestamps[last] < end);
    Some(Ends { left, right, first: first + usize::from(timestamps[first] <= start), behind })
}

/// The samples strictly inside the window between the values at its ends.
pub(super) fn raw(window: &Window<'_>, smoothed: bool) -> Samples {
    let mut out = Samples::new();
    if let Some(Ends { left, right, first, behind }) = ends(window, smoothed, false) {
        out.push(window.start, left);
        for at in first..behind {
            out.push(window.timestamps[at], window.values[at]);
        }
        out.push(window.end, right);
    }
    out
}

fn growth(window: &Window<'_>, smoothed: bool, counter: bool) -> Option<f64> {
    let Ends { left, right, first, behind } = ends(window, smoothed, counter)?;
    // Nothing has begun yet at the end of the window.
    if smoothed && first == 0 && window.timestamps[0] > window.end {
        return None;
    }
    let mut growth = right - left;
    if counter {
        // Falls at the ends are part of the lines; here count those strictly inside.
        let mut previous = left;
        let mut fallen = 0.0;
        for value in window.values.get(first..behind).unwrap_or(&[]).iter().chain([&right]) {
            if *value < previous {
                fallen += previous;
            }
            previous = *value;
        }
        growth += fallen;
    }
    Some(growth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_between_the_ends() {
        let window = Window {
            timestamps: &[0, 10_000, 20_000, 30_000],
            values: &[0.0, 10.0, 5.0, 15.0],
            starts: &[],
            start: 5_000,
            end: 25_000,
        };
        // From the sample at 0 up to the last one given, falling once by ten.
        let until_end = Window { timestamps: &window.timestamps[..3], values: &window.values[..3], ..window };
        assert_eq!(apply(RangeFunc::Increase, &until_end, false), Some(15.0));
        assert_eq!(apply(RangeFunc::Resets, &until_end, false), Some(1.0));
        // From 5 over 10, 0 and 5 to 10.
        assert_eq!(apply(RangeFunc::Increase, &window, true), Some(15.0));
        assert_eq!(apply(RangeFunc::Delta, &window, true), Some(5.0));
        let old = Window { timestamps: &[0], values: &[1.0], ..window };
        assert_eq!(apply(RangeFunc::Increase, &old, false), None);
    }
}
