//! The `*_over_time` functions.

use super::window::Window;
use crate::promql::exec::math::{self, Mean, Sum};
use crate::promql::plan::RangeFunc;

/// Functions that need nothing but the window.
pub(super) fn fold(func: RangeFunc, window: &Window<'_>) -> f64 {
    let Window { timestamps, values, .. } = *window;
    let last = values.len() - 1;
    let seconds = |at: usize| timestamps[at] as f64 / 1000.0;
    match func {
        RangeFunc::Avg => {
            let mut mean = Mean::of(values[0]);
            for value in &values[1..] {
                mean.add(*value);
            }
            mean.result()
        }
        RangeFunc::Sum => values.iter().fold(Sum::default(), |sum, v| sum.plus(*v)).total(),
        RangeFunc::Min => values[best(values, |new, old| new < old)],
        RangeFunc::Max => values[best(values, |new, old| new > old)],
        // Of equal values the last one counts.
        RangeFunc::TsOfMin => seconds(best(values, |new, old| new <= old)),
        RangeFunc::TsOfMax => seconds(best(values, |new, old| new >= old)),
        RangeFunc::TsOfFirst => seconds(0),
        RangeFunc::TsOfLast => seconds(last),
        RangeFunc::Count => window.len() as f64,
        RangeFunc::First => values[0],
        RangeFunc::Last => values[last],
        RangeFunc::Stddev => variance(values).sqrt(),
        RangeFunc::Stdvar => variance(values),
        _ => 1.0,
    }
}

/// Index of the value that beats all before it; any number beats NaN.
fn best(values: &[f64], beats: impl Fn(f64, f64) -> bool) -> usize {
    let mut best = 0;
    for (at, value) in values.iter().enumerate() {
        if beats(*value, values[best]) || values[best].is_nan() {
            best = at;
        }
    }
    best
}

fn variance(values: &[f64]) -> f64 {
    let (mut mean, mut squares) = (Sum::default(), Sum::default());
    let mut count = 0.0;
    for value in values {
        count += 1.0;
        let delta = value - mean.total();
        mean = mean.plus(delta / count);
        squares = squares.plus(delta * (value - mean.total()));
    }
    squares.total() / count
}

/// Quantile of the window.
pub(super) fn quantile(window: &Window<'_>, q: f64, scratch: &mut Vec<f64>) -> f64 {
    scratch.clear();
    scratch.extend_from_slice(window.values);
    math::quantile(q, scratch)
}

/// Median of the distances from the median. NaN in the window makes it NaN.
pub(super) fn mad(window: &Window<'_>, scratch: &mut Vec<f64>) -> f64 {
    if window.values.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let median = quantile(window, 0.5, scratch);
    for value in scratch.iter_mut() {
        *value = (*value - median).abs();
    }
    math::quantile(0.5, scratch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_naive_definitions() {
        let values = [4.0, f64::NAN, 2.0, 8.0, 2.0];
        let timestamps = [1000, 2000, 3000, 4000, 5000];
        let window = Window { timestamps: &timestamps, values: &values, starts: &[], start: 0, end: 5000 };
        let check = |func, expected: f64| assert_eq!(fold(func, &window), expected, "{func:?}");
        check(RangeFunc::Min, 2.0);
        check(RangeFunc::Max, 8.0);
        check(RangeFunc::TsOfMin, 5.0);
        check(RangeFunc::TsOfMax, 4.0);
        check(RangeFunc::TsOfFirst, 1.0);
        check(RangeFunc::Count, 5.0);
        check(RangeFunc::Present, 1.0);
        assert!(fold(RangeFunc::Sum, &window).is_nan());
        let clean = Window { values: &[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0], ..window };
        assert_eq!(fold(RangeFunc::Stddev, &clean), 2.0);
        assert_eq!(fold(RangeFunc::Avg, &clean), 5.0);
        assert_eq!(mad(&clean, &mut Vec::new()), 0.5);
    }
}
