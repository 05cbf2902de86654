//! Whether a counter began anew between two histograms.

use super::{Buckets, Histogram, ResetHint, bounds};

impl Histogram {
    /// Whether this counter histogram cannot be `previous` grown further: a count fell, a populated bucket went
    /// away, or the layout became finer. A hint that says so, or says the opposite, is believed.
    pub fn is_reset_after(&self, previous: &Self) -> bool {
        match self.reset_hint {
            ResetHint::Reset => return true,
            ResetHint::NotReset => return false,
            // Functions for counters treat gauges as counters too.
            ResetHint::Unknown | ResetHint::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        if self.has_custom_bounds() {
            if !previous.has_custom_bounds() {
                return true;
            }
            if self.custom_values != previous.custom_values {
                return self.fell_between_common_bounds(previous);
            }
            return falls(self.positive.numbered(), previous.positive.numbered());
        }
        if self.schema > previous.schema
            || previous.has_custom_bounds()
            || self.zero_threshold < previous.zero_threshold
        {
            return true;
        }
        let (zero_count, threshold) = previous.zero_count_up_to(self.zero_threshold);
        // A threshold inside a populated bucket can only come with a reset.
        if threshold != self.zero_threshold || self.zero_count < zero_count {
            return true;
        }
        let outside = |buckets: &[(i32, f64)]| {
            buckets
                .iter()
                .position(|(n, _)| bounds::exponential(*n, self.schema) > self.zero_threshold)
                .unwrap_or(buckets.len())
        };
        let fell = |now: &Buckets, before: &Buckets| {
            if self.zero_threshold == 0.0 && self.schema == previous.schema {
                return falls(now.numbered(), before.numbered());
            }
            let now: Vec<(i32, f64)> = now.numbered().collect();
            let before = before.coarser(previous.schema, self.schema);
            let (now, before) = (&now[outside(&now)..], &before[outside(&before)..]);
            falls(now.iter().copied(), before.iter().copied())
        };
        fell(&self.positive, &previous.positive) || fell(&self.negative, &previous.negative)
    }

    /// The observations of a zero bucket up to `threshold`, which is not below the present one. Where that ends
    /// inside a populated bucket, the zero bucket reaches to the end of it; the second number says how far.
    pub fn zero_count_up_to(&self, mut threshold: f64) -> (f64, f64) {
        if threshold <= self.zero_threshold {
            return (self.zero_count, self.zero_threshold);
        }
        'again: loop {
            let mut count = self.zero_count;
            for bucket in self.positive_buckets() {
                if bucket.lower >= threshold {
                    break;
                }
                count += bucket.count;
                if bucket.upper > threshold {
                    if bucket.count != 0.0 {
                        threshold = bucket.upper;
                    }
                    break;
                }
            }
            for bucket in self.negative_buckets() {
                if bucket.upper <= -threshold {
                    break;
                }
                count += bucket.count;
                if bucket.lower < -threshold {
                    if bucket.count != 0.0 {
                        // What was taken of the positive side is too little now.
                        threshold = -bucket.lower;
                        continue 'again;
                    }
                    break;
                }
            }
            return (count, threshold);
        }
    }

    fn fell_between_common_bounds(&self, previous: &Self) -> bool {
        let common = common_bounds(&self.custom_values, &previous.custom_values);
        let sums = |histogram: &Self| {
            let mut sums = vec![0.0; common.len() + 1];
            for bucket in histogram.positive_buckets() {
                sums[common.partition_point(|bound| *bound < bucket.upper)] += bucket.count;
            }
            sums
        };
        sums(self).iter().zip(sums(previous)).any(|(now, before)| *now < before)
    }
}

/// The bounds that are in both lists, which rise.
pub fn common_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let (mut left, mut right) = (0, 0);
    let mut out = Vec::new();
    while let (Some(x), Some(y)) = (a.get(left), b.get(right)) {
        if x == y {
            out.push(*x);
            left += 1;
            right += 1;
        } else if x < y {
            left += 1;
        } else {
            right += 1;
        }
    }
    out
}

/// Whether a bucket holds less than before.
fn falls(mut now: impl Iterator<Item = (i32, f64)>, before: impl Iterator<Item = (i32, f64)>) -> bool {
    let mut current = now.next();
    for (number, count) in before {
        while let Some((at, _)) = current
            && at < number
        {
            current = now.next();
        }
        let fell = match current {
            Some((at, there)) if at == number => there < count,
            _ => count != 0.0,
        };
        if fell {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::{CUSTOM_SCHEMA, Span};

    fn histogram(count: f64, offset: i32, counts: &[f64]) -> Histogram {
        let length = u32::try_from(counts.len()).expect("few");
        let positive = Buckets { spans: vec![Span { offset, length }], counts: counts.to_vec() };
        Histogram { count, positive, ..Histogram::default() }
    }

    #[test]
    fn sees_what_cannot_be_growth() {
        let before = histogram(6.0, 0, &[1.0, 2.0, 3.0]);
        let check = |now: Histogram, expected: bool| {
            assert_eq!(now.is_reset_after(&before), expected, "{now:?}");
        };
        check(before.clone(), false);
        check(histogram(7.0, 0, &[1.0, 3.0, 3.0]), false);
        check(histogram(7.0, -1, &[1.0, 1.0, 2.0, 3.0]), false);
        check(histogram(5.0, 0, &[1.0, 2.0, 3.0]), true);
        check(histogram(7.0, 0, &[0.0, 4.0, 3.0]), true);
        check(histogram(7.0, 1, &[4.0, 3.0]), true);
        check(histogram(7.0, 0, &[4.0, 3.0]), true);
        check(Histogram { reset_hint: ResetHint::Reset, ..before.clone() }, true);
        check(Histogram { reset_hint: ResetHint::NotReset, ..histogram(1.0, 0, &[]) }, false);
        check(Histogram { schema: 1, ..before.clone() }, true);
        // Coarser: (0), (1, 2) of the old one.
        check(Histogram { schema: -1, ..histogram(6.0, 0, &[1.0, 5.0]) }, false);
        check(Histogram { schema: -1, ..histogram(6.0, 0, &[1.0, 4.0]) }, true);
        // The zero bucket swallows the first bucket, (0.5, 1].
        let swallowed = Histogram { zero_threshold: 1.0, ..histogram(6.0, 1, &[2.0, 3.0]) };
        check(Histogram { zero_count: 1.0, ..swallowed.clone() }, false);
        check(Histogram { zero_count: 0.5, ..swallowed.clone() }, true);
        check(Histogram { zero_count: 3.0, zero_threshold: 1.5, ..swallowed }, true);
    }

    #[test]
    fn custom_bounds_are_compared_where_both_have_them() {
        let with = |bounds: &[f64], counts: &[f64]| Histogram {
            schema: CUSTOM_SCHEMA,
            custom_values: bounds.to_vec(),
            ..histogram(10.0, 0, counts)
        };
        let before = with(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]);
        assert!(!with(&[1.0, 3.0], &[1.0, 5.0, 4.0]).is_reset_after(&before));
        assert!(with(&[1.0, 3.0], &[2.0, 4.0, 4.0]).is_reset_after(&before));
        assert!(with(&[], &[10.0]).is_reset_after(&histogram(10.0, 0, &[])));
    }
}
