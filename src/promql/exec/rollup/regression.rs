//! Straight lines and smoothed curves through a window.

use super::window::Window;
use crate::promql::exec::math::Sum;

/// Slope and the value at `origin` of the least squares line.
fn line(window: &Window<'_>, origin: i64) -> (f64, f64) {
    let Window { timestamps, values, .. } = *window;
    let first = values[0];
    if values[1..].iter().all(|v| *v == first) {
        let constant = if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
        return constant;
    }
    let (mut sx, mut sy, mut sxy, mut sxx) = (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    let mut n = 0.0;
    for (timestamp, y) in timestamps.iter().zip(values) {
        n += 1.0;
        let x = Window::seconds(origin, *timestamp);
        sx = sx.plus(x);
        sy = sy.plus(*y);
        sxy = sxy.plus(x * y);
        sxx = sxx.plus(x * x);
    }
    let (sx, sy, sxy, sxx) = (sx.total(), sy.total(), sxy.total(), sxx.total());
    let covariance = sxy - sx * sy / n;
    let variance = sxx - sx * sx / n;
    let slope = covariance / variance;
    (slope, sy / n - slope * sx / n)
}

/// Slope per second.
pub(super) fn deriv(window: &Window<'_>) -> Option<f64> {
    // Times relative to the first sample keep the sums small.
    (window.len() >= 2).then(|| line(window, window.timestamps[0]).0)
}

/// Value of the line `seconds` after `time`.
pub(super) fn predict(window: &Window<'_>, time: i64, seconds: f64) -> Option<f64> {
    (window.len() >= 2).then(|| {
        let (slope, now) = line(window, time);
        slope * seconds + now
    })
}

/// Holt's linear smoothing.
pub(super) fn double_exponential(window: &Window<'_>, smoothing: f64, trend: f64) -> Option<f64> {
    let values = window.values;
    if values.len() < 2 {
        return None;
    }
    let (mut before, mut level) = (0.0, values[0]);
    let mut slope = values[1] - values[0];
    for (at, value) in values.iter().enumerate().skip(1) {
        if at > 1 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + slope);
        before = level;
        level = next;
    }
    Some(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_a_straight_line() {
        let timestamps = [0, 1000, 2000, 3000];
        let values = [1.0, 3.0, 5.0, 7.0];
        let window = Window { timestamps: &timestamps, values: &values, starts: &[], start: -1, end: 3000 };
        assert_eq!(deriv(&window), Some(2.0));
        assert_eq!(predict(&window, 3000, 10.0), Some(27.0));
        let level = double_exponential(&window, 0.5, 0.5).expect("enough samples");
        assert!((level - 7.0).abs() < 1e-9);
    }
}
