//! `rate`, `increase`, `delta` and their kin: differences between samples of a window.

use super::starts;
use super::window::Window;

/// How far a window reaches, and how its samples lie in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Ends of the window.
    pub(super) start: i64,
    pub(super) end: i64,
    /// Times of the first and last sample.
    pub(super) first: i64,
    pub(super) last: i64,
    /// Number of samples less one.
    pub(super) gaps: usize,
    /// When the counting began, if that lies inside the window before the first sample: it stood at zero then.
    pub(super) zero_at: Option<i64>,
}

impl Extent {
    /// What a growth between the samples is to be multiplied with to be one over the window; per second if
    /// `per_second`. For counters `first` and `growth` say how far below the first sample zero is.
    pub(super) fn factor(&self, counter: Option<(f64, f64)>, per_second: bool) -> f64 {
        let mut sampled = Window::seconds(self.first, self.last);
        let average = if self.gaps > 0 { sampled / self.gaps as f64 } else { 0.0 };
        // A gap up to a tenth longer than usual still counts as "the series goes on".
        let threshold = average * 1.1;
        let mut to_start = Window::seconds(self.start, self.first);
        let mut to_end = Window::seconds(self.last, self.end);
        if let Some(zero_at) = self.zero_at {
            to_start = 0.0;
            sampled = Window::seconds(zero_at, self.last);
        } else {
            if to_start >= threshold {
                to_start = average / 2.0;
            }
            if let Some((first, growth)) = counter {
                let mut to_zero = to_start;
                if growth > 0.0 && first >= 0.0 {
                    to_zero = sampled * (first / growth);
                }
                if to_zero < to_start {
                    to_start = to_zero;
                }
            }
        }
        if to_end >= threshold {
            to_end = average / 2.0;
        }
        let mut factor = 1.0;
        if sampled != 0.0 {
            factor = (sampled + to_start + to_end) / sampled;
        }
        if per_second {
            factor /= Window::seconds(self.start, self.end);
        }
        factor
    }
}

/// Growth over the window, extrapolated towards its ends; per second if `per_second`.
pub(super) fn extrapolated(window: &Window<'_>, counter: bool, per_second: bool) -> Option<f64> {
    let Window { timestamps, values, starts, .. } = *window;
    let anew =
        |(at, pair): &(usize, &[f64])| pair[1] < pair[0] || starts::began_between(starts, timestamps, at + 1);
    let fallen = values.windows(2).enumerate().filter(anew).map(|(_, pair)| pair[0]);
    stretched(window, counter, per_second, fallen)
}

/// As [`extrapolated`], where the values before each reset of a counter are known.
pub(super) fn stretched(
    window: &Window<'_>,
    counter: bool,
    per_second: bool,
    fallen: impl Iterator<Item = f64>,
) -> Option<f64> {
    let Window { timestamps, values, starts, start, end } = *window;
    let last = values.len() - 1;
    let zero_at = if counter { starts::zero_inside(starts, start, timestamps[0]) } else { None };
    if last == 0 && zero_at.is_none() {
        return None;
    }
    let mut growth = values[last] - values[0];
    if counter {
        // One by one, in their order: the sum of them alone would round otherwise.
        fallen.for_each(|value| growth += value);
    }
    let extent = Extent { start, end, first: timestamps[0], last: timestamps[last], gaps: last, zero_at };
    let factor = extent.factor(counter.then_some((values[0], growth)), per_second);
    if zero_at.is_some() {
        growth += values[0];
    }
    Some(growth * factor)
}

/// Difference of the last two samples; per second and aware of resets if `counter`.
pub(super) fn instant(window: &Window<'_>, counter: bool) -> Option<f64> {
    let Window { timestamps, values, starts, .. } = *window;
    let last = values.len() - 1;
    let previous = last.checked_sub(1)?;
    let mut growth = values[last];
    let anew = || values[last] < values[previous] || starts::began_between(starts, timestamps, last);
    if !(counter && anew()) {
        growth -= values[previous];
    }
    Some(if counter { growth / Window::seconds(timestamps[previous], timestamps[last]) } else { growth })
}

/// Whether a value differs from the one before. NaN does not differ from NaN.
#[inline]
pub(super) fn differs(before: f64, value: f64) -> bool {
    before != value && !(before.is_nan() && value.is_nan())
}

/// How often the value differs from the one before.
pub(super) fn changes(window: &Window<'_>) -> f64 {
    window.values.windows(2).filter(|pair| differs(pair[0], pair[1])).count() as f64
}

/// How often the value is lower than the one before, or counts what began after it.
pub(super) fn resets(window: &Window<'_>) -> f64 {
    let Window { timestamps, values, starts, .. } = *window;
    let anew =
        |(at, pair): &(usize, &[f64])| pair[1] < pair[0] || starts::began_between(starts, timestamps, at + 1);
    values.windows(2).enumerate().filter(anew).count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window<'a>(timestamps: &'a [i64], values: &'a [f64], start: i64, end: i64) -> Window<'a> {
        Window { timestamps, values, starts: &[], start, end }
    }

    #[test]
    fn extrapolates_to_the_ends_of_the_window() {
        let times = [10_000, 20_000, 30_000];
        // Five seconds to either end: inside the threshold of eleven.
        let full = window(&times, &[100.0, 110.0, 120.0], 5_000, 35_000);
        assert_eq!(extrapolated(&full, true, false), Some(30.0));
        assert_eq!(extrapolated(&full, true, true), Some(1.0));
        // Far from both ends: half an interval is added on each side.
        let far = window(&times, &[100.0, 110.0, 120.0], -60_000, 100_000);
        assert_eq!(extrapolated(&far, true, false), Some(30.0));
        // A counter that starts near zero is not extrapolated below it.
        let zero = window(&times, &[2.0, 12.0, 22.0], 5_000, 35_000);
        assert_eq!(extrapolated(&zero, true, false), Some(20.0 * (20.0 + 2.0 + 5.0) / 20.0));
        assert_eq!(extrapolated(&zero, false, false), Some(30.0));
    }

    #[test]
    fn counts_resets_and_changes() {
        let values = [1.0, 2.0, 0.0, f64::NAN, f64::NAN, 3.0];
        let times = [0, 1, 2, 3, 4, 5];
        let w = window(&times, &values, -1, 5);
        assert_eq!(resets(&w), 1.0);
        assert_eq!(changes(&w), 4.0);
        assert_eq!(instant(&window(&[0, 1000], &[5.0, 3.0], -1, 1000), true), Some(3.0));
        assert_eq!(instant(&window(&[0, 1000], &[5.0, 3.0], -1, 1000), false), Some(-2.0));
        assert_eq!(instant(&window(&[0], &[5.0], -1, 1000), false), None);
    }
}
