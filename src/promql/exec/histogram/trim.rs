//! Cutting a histogram at a value.

use super::estimate::fraction_below;
use crate::model::Histogram;
use crate::model::histogram::Bucket;

/// Keeps the observations below `at` (`upper`), or those above. Buckets around it are interpolated; count and sum are
/// estimated anew if anything went.
pub(crate) fn trim(histogram: &mut Histogram, at: f64, upper: bool) {
    let custom = histogram.has_custom_bounds();
    let (mut count, mut sum) = (0.0, 0.0);
    let mut trimmed = false;
    let mut populated = [false; 2];
    for (side, positive) in [true, false].into_iter().enumerate() {
        let buckets: Vec<Bucket> = if positive {
            histogram.positive_buckets().collect()
        } else {
            histogram.negative_buckets().collect()
        };
        let counts = if positive { &mut histogram.positive.counts } else { &mut histogram.negative.counts };
        for (bucket, slot) in buckets.iter().zip(counts) {
            if bucket.count == 0.0 {
                continue;
            }
            populated[side] = true;
            let (whole, part) = if upper {
                (bucket.upper <= at, bucket.lower < at)
            } else {
                (bucket.lower >= at, bucket.upper > at)
            };
            let (kept, middle) = if whole {
                (bucket.count, midpoint(bucket.lower, bucket.upper, positive, custom))
            } else if part {
                cut(bucket, at, upper, positive, custom)
            } else {
                trimmed = true;
                *slot = 0.0;
                continue;
            };
            count += kept;
            sum += middle * kept;
            if *slot != kept {
                *slot = kept;
                trimmed = true;
            }
        }
    }
    if histogram.zero_count > 0.0 {
        let [positive, negative] = populated;
        let (kept, middle) = cut_zero(&histogram.zero_bucket(), at, (positive, negative), upper);
        if histogram.zero_count != kept {
            histogram.zero_count = kept;
            trimmed = true;
        }
        count += kept;
        sum += middle * kept;
    }
    if trimmed {
        histogram.count = count;
        histogram.sum = sum;
        histogram.integer = false;
        histogram.compact();
    }
}

/// What is kept of a bucket, and where its middle is.
fn cut(bucket: &Bucket, at: f64, upper: bool, positive: bool, custom: bool) -> (f64, f64) {
    if bucket.lower == f64::NEG_INFINITY || bucket.upper == f64::INFINITY {
        return cut_endless(bucket, at, upper);
    }
    let below = if at <= bucket.lower {
        0.0
    } else if at >= bucket.upper {
        bucket.count
    } else {
        bucket.count * fraction_below(bucket, at, custom)
    };
    if upper {
        (below, midpoint(bucket.lower, at, positive, custom))
    } else {
        (bucket.count - below, midpoint(at, bucket.upper, positive, custom))
    }
}

/// A bucket without an end on one side stays whole or goes whole, except the lowest custom one, which counts from
/// zero if its bound is positive.
fn cut_endless(bucket: &Bucket, at: f64, upper: bool) -> (f64, f64) {
    let finite = |value: f64| if value.is_infinite() { 0.0 } else { value };
    let Bucket { lower, upper: end, count, .. } = *bucket;
    if lower == f64::NEG_INFINITY {
        if upper {
            return if at >= end {
                (count, 0.0)
            } else if at > 0.0 && end > 0.0 && end != f64::INFINITY {
                (count * at / end, at / 2.0)
            } else if end <= 0.0 {
                (count, at)
            } else {
                (0.0, finite(end))
            };
        }
        return if at <= lower {
            (count, 0.0)
        } else if at >= 0.0 && end > at && end != f64::INFINITY {
            (count * (1.0 - at / end), f64::midpoint(at, end))
        } else {
            (0.0, finite(end))
        };
    }
    if !upper && at >= lower { (count, at) } else { (0.0, finite(lower)) }
}

/// What is kept of the zero bucket, which ends at zero where only one side has buckets.
fn cut_zero(bucket: &Bucket, at: f64, (positive, negative): (bool, bool), upper: bool) -> (f64, f64) {
    let low = if positive && !negative { 0.0 } else { bucket.lower };
    let high = if negative && !positive { 0.0 } else { bucket.upper };
    let whole = (bucket.count, f64::midpoint(low, high));
    match (upper, at <= low, at >= high) {
        (true, true, _) | (false, false, true) => (0.0, 0.0),
        (true, _, true) | (false, true, _) => whole,
        (true, ..) => (bucket.count * ((at - low) / (high - low)), f64::midpoint(low, at)),
        (false, ..) => (bucket.count * ((high - at) / (high - low)), f64::midpoint(at, high)),
    }
}

/// Where observations between two bounds are taken to be.
fn midpoint(lower: f64, upper: f64, positive: bool, linear: bool) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) if upper > 0.0 => upper / 2.0,
        (true, false) => upper,
        (false, true) => lower,
        (false, false) if linear => f64::midpoint(lower, upper),
        (false, false) => {
            let mean = (lower * upper).abs().sqrt();
            if positive { mean } else { -mean }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::{Buckets, CUSTOM_SCHEMA};

    #[test]
    fn cuts_inside_and_between_buckets() {
        let whole = Histogram {
            count: 9.0,
            sum: 20.0,
            zero_threshold: 0.5,
            zero_count: 1.0,
            positive: Buckets::from_numbered([(1, 4.0), (2, 4.0)]),
            ..Histogram::default()
        };
        let mut lower = whole.clone();
        trim(&mut lower, 2.0, true);
        assert_eq!((lower.count, lower.positive.counts.as_slice()), (5.0, [4.0].as_slice()));
        let mut upper = whole.clone();
        trim(&mut upper, 8f64.sqrt(), false);
        assert_eq!(upper.zero_count, 0.0);
        assert!((upper.count - 2.0).abs() < 1e-12);
        let mut untouched = whole.clone();
        trim(&mut untouched, 100.0, true);
        assert_eq!(untouched, whole);
    }

    #[test]
    fn the_lowest_custom_bucket_counts_from_zero() {
        let mut custom = Histogram {
            schema: CUSTOM_SCHEMA,
            custom_values: vec![10.0],
            count: 8.0,
            positive: Buckets::from_numbered([(0, 4.0), (1, 4.0)]),
            ..Histogram::default()
        };
        trim(&mut custom, 5.0, true);
        assert_eq!((custom.count, custom.sum), (2.0, 5.0));
    }
}
