//! Quantiles, fractions and variances estimated from buckets.

use crate::model::Histogram;
use crate::model::histogram::Bucket;
use crate::promql::exec::math::{Sum, exp2, log2};

/// Observations that were no numbers make a result doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// The quantile lies among them.
    NoResult,
    /// They count as larger than everything.
    SkewedHigher,
    /// They are in no bucket.
    Excluded,
}

/// Where only one side of zero has buckets, the zero bucket ends at zero on the other.
fn one_sided(histogram: &Histogram, bucket: &mut Bucket) {
    let (positive, negative) = (!histogram.positive.counts.is_empty(), !histogram.negative.counts.is_empty());
    if positive && !negative {
        bucket.lower = 0.0;
    } else if negative && !positive {
        bucket.upper = 0.0;
    }
}

/// The quantile `q`.
pub(crate) fn quantile(q: f64, histogram: &Histogram) -> (f64, Option<Doubt>) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return (f64::NAN, None);
    }
    // Observations that are no numbers are in no bucket: then only the way from below is right.
    if histogram.sum.is_nan() || q < 0.5 {
        walk(q * histogram.count, histogram, histogram.all_buckets(), true)
    } else {
        walk((1.0 - q) * histogram.count, histogram, histogram.all_buckets().rev(), false)
    }
}

fn walk(
    mut rank: f64,
    histogram: &Histogram,
    mut buckets: impl Iterator<Item = Bucket>,
    upwards: bool,
) -> (f64, Option<Doubt>) {
    let custom = histogram.has_custom_bounds();
    let mut bucket =
        Bucket { lower: 0.0, upper: 0.0, lower_inclusive: false, upper_inclusive: false, count: 0.0 };
    let mut count = 0.0;
    for next in buckets.by_ref() {
        bucket = next;
        if bucket.count == 0.0 {
            continue;
        }
        count += bucket.count;
        if count >= rank {
            break;
        }
    }
    if custom && bucket.lower == f64::NEG_INFINITY {
        if bucket.upper <= 0.0 {
            return (bucket.upper, None);
        }
        bucket.lower = 0.0;
    } else if custom && bucket.upper == f64::INFINITY {
        return (bucket.lower, None);
    } else if !custom && bucket.lower < 0.0 && bucket.upper > 0.0 {
        one_sided(histogram, &mut bucket);
    }
    // Rounding must not make more observations than there are.
    if count > histogram.count {
        count = histogram.count;
    }
    if count < rank {
        return if histogram.sum.is_nan() { (f64::NAN, Some(Doubt::NoResult)) } else { (bucket.upper, None) };
    }
    rank = if upwards { rank - (count - bucket.count) } else { count - rank };
    let mut doubt = None;
    let hit = bucket;
    if histogram.sum.is_nan() {
        count += buckets.map(|rest| rest.count).fold(0.0, |sum, rest| sum + rest);
        doubt = (count < histogram.count).then_some(Doubt::SkewedHigher);
    }
    (inside(&hit, rank / hit.count, custom), doubt)
}

/// The value that has `fraction` of the bucket's observations below it.
fn inside(bucket: &Bucket, fraction: f64, custom: bool) -> f64 {
    if custom || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let (lower, upper) = (log2(bucket.lower.abs()), log2(bucket.upper.abs()));
    if bucket.lower > 0.0 {
        return exp2(lower + (upper - lower) * fraction);
    }
    -exp2(upper + (lower - upper) * (1.0 - fraction))
}

/// Which share of a bucket with finite bounds lies below `value`, which is inside: on a straight line, or on a
/// logarithmic one.
pub(super) fn fraction_below(bucket: &Bucket, value: f64, linear: bool) -> f64 {
    if linear {
        return (value - bucket.lower) / (bucket.upper - bucket.lower);
    }
    let (lower, upper) = (log2(bucket.lower.abs()), log2(bucket.upper.abs()));
    let at = log2(value.abs());
    if value > 0.0 { (at - lower) / (upper - lower) } else { 1.0 - (at - upper) / (lower - upper) }
}

/// Share of observations between two bounds.
pub(crate) fn fraction(lower: f64, upper: f64, histogram: &Histogram) -> (f64, Option<Doubt>) {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, None);
    }
    if lower >= upper {
        return (0.0, None);
    }
    let (mut count, mut rank) = (0.0, 0.0);
    let (mut lower_rank, mut upper_rank) = (None, None);
    let mut buckets = histogram.all_buckets();
    for mut bucket in buckets.by_ref() {
        count += bucket.count;
        let around_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if around_zero {
            one_sided(histogram, &mut bucket);
        }
        let linear = histogram.has_custom_bounds() || around_zero;
        for (value, found) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if found.is_some() {
                continue;
            }
            if bucket.lower >= value {
                *found = Some(rank);
            } else if bucket.upper > value {
                *found = Some(if linear && bucket.lower == f64::NEG_INFINITY {
                    // Nothing can be said inside a bucket without end.
                    bucket.count
                } else {
                    rank + bucket.count * fraction_below(&bucket, value, linear)
                });
            }
        }
        if lower_rank.is_some() && upper_rank.is_some() {
            break;
        }
        rank += bucket.count;
    }
    let mut doubt = None;
    if histogram.sum.is_nan() {
        count += buckets.map(|rest| rest.count).fold(0.0, |sum, rest| sum + rest);
        doubt = (count < histogram.count).then_some(Doubt::Excluded);
    } else {
        count = histogram.count;
    }
    let capped = |rank: Option<f64>| match rank {
        Some(rank) if rank > count => count,
        Some(rank) => rank,
        None => count,
    };
    ((capped(upper_rank) - capped(lower_rank)) / histogram.count, doubt)
}

/// Variance of the observations, each taken to be in the middle of its bucket.
pub(crate) fn variance(histogram: &Histogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let mut variance = Sum::default();
    for bucket in histogram.all_buckets().filter(|bucket| bucket.count != 0.0) {
        let middle = if histogram.has_custom_bounds() {
            f64::midpoint(bucket.lower, bucket.upper)
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            let middle = (bucket.upper * bucket.lower).sqrt();
            if bucket.upper < 0.0 { -middle } else { middle }
        };
        let delta = middle - mean;
        variance = variance.plus(bucket.count * delta * delta);
    }
    variance.total() / histogram.count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::{Buckets, CUSTOM_SCHEMA};

    fn example() -> Histogram {
        Histogram {
            count: 8.0,
            sum: 10.0,
            positive: Buckets::from_numbered([(1, 4.0), (2, 4.0)]),
            ..Histogram::default()
        }
    }

    #[test]
    fn interpolates_on_a_logarithmic_scale() {
        let check = |q: f64, expected: f64| {
            let (got, _) = quantile(q, &example());
            assert!((got - expected).abs() < 1e-12, "{q}: {got}");
        };
        check(0.0, 1.0);
        check(0.25, 2f64.sqrt());
        check(0.5, 2.0);
        check(0.75, 8f64.sqrt());
        check(1.0, 4.0);
        assert_eq!(quantile(-1.0, &example()).0, f64::NEG_INFINITY);
        assert_eq!(quantile(2.0, &example()).0, f64::INFINITY);
        assert!(quantile(0.5, &Histogram::default()).0.is_nan());
        let negative = Histogram { positive: Buckets::default(), negative: example().positive, ..example() };
        assert!((quantile(0.25, &negative).0 + 8f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn interpolates_linearly_between_custom_bounds() {
        let custom = Histogram {
            schema: CUSTOM_SCHEMA,
            custom_values: vec![5.0, 10.0],
            positive: Buckets::from_numbered([(0, 2.0), (1, 2.0), (2, 4.0)]),
            ..example()
        };
        assert_eq!(quantile(0.125, &custom).0, 2.5);
        assert_eq!(quantile(0.375, &custom).0, 7.5);
        assert_eq!(quantile(0.9, &custom).0, 10.0);
        assert_eq!(fraction(2.5, 7.5, &custom).0, 0.25);
    }

    #[test]
    fn observations_that_are_no_numbers_raise_doubts() {
        let odd = Histogram { sum: f64::NAN, count: 10.0, ..example() };
        assert_eq!(quantile(0.1, &odd).1, Some(Doubt::SkewedHigher));
        let (value, doubt) = quantile(0.9, &odd);
        assert!(value.is_nan() && doubt == Some(Doubt::NoResult));
        assert_eq!(fraction(0.0, f64::INFINITY, &odd), (0.8, Some(Doubt::Excluded)));
    }

    #[test]
    fn fractions_and_quantiles_are_inverse() {
        let below = fraction(f64::NEG_INFINITY, 2f64.sqrt(), &example()).0;
        assert!((below - 0.25).abs() < 1e-12, "{below}");
        assert_eq!(fraction(2.0, 1.0, &example()).0, 0.0);
        assert_eq!(fraction(0.0, f64::INFINITY, &example()).0, 1.0);
    }
}
