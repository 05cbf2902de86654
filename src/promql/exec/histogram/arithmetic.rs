//! Histograms times and over numbers.

use crate::model::Histogram;
use crate::model::histogram::{Buckets, ResetHint};

fn each(histogram: &mut Histogram, change: impl Fn(f64) -> f64) {
    let Histogram { zero_count, count, sum, positive, negative, .. } = histogram;
    let buckets = positive.counts.iter_mut().chain(&mut negative.counts);
    buckets.chain([zero_count, count, sum]).for_each(|value| *value = change(*value));
    histogram.integer = false;
}

/// Multiplies everything. What a negative factor leaves is no counter.
pub(crate) fn scale(histogram: &mut Histogram, factor: f64) {
    each(histogram, |value| value * factor);
    if factor < 0.0 {
        histogram.reset_hint = ResetHint::Gauge;
    }
}

/// Divides everything. Nothing is left of the buckets when divided by zero.
pub(crate) fn divide(histogram: &mut Histogram, divisor: f64) {
    each(histogram, |value| value / divisor);
    if divisor == 0.0 {
        (histogram.positive, histogram.negative) = (Buckets::default(), Buckets::default());
    } else if divisor < 0.0 {
        histogram.reset_hint = ResetHint::Gauge;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_every_part() {
        let whole = Histogram {
            count: 4.0,
            sum: 6.0,
            zero_count: 2.0,
            positive: Buckets::from_numbered([(0, 2.0)]),
            integer: true,
            ..Histogram::default()
        };
        let mut half = whole.clone();
        divide(&mut half, 2.0);
        assert_eq!((half.count, half.sum, half.zero_count), (2.0, 3.0, 1.0));
        assert_eq!((half.positive.counts.as_slice(), half.integer), ([1.0].as_slice(), false));
        scale(&mut half, -2.0);
        assert_eq!((half.count, half.reset_hint), (-4.0, ResetHint::Gauge));
        let mut nothing = whole;
        divide(&mut nothing, 0.0);
        assert_eq!((nothing.count, nothing.positive), (f64::INFINITY, Buckets::default()));
    }
}
