//! Histograms as texts.

use std::fmt::Write as _;

use crate::model::Histogram;
use crate::model::histogram::Bucket;
use crate::promql::short_float;

/// Count, sum and populated buckets in rising order of bounds.
pub(crate) fn plain_text(histogram: &Histogram) -> String {
    let mut out = format!("{{count:{}, sum:{}", short_float(histogram.count), short_float(histogram.sum));
    // Here buckets keep their bounds also where they overlap with the zero bucket.
    let zero = (!histogram.has_custom_bounds()).then(|| histogram.zero_bucket());
    let buckets = histogram.negative_buckets().rev().chain(zero).chain(histogram.positive_buckets());
    for Bucket { lower, upper, lower_inclusive, upper_inclusive, count } in buckets {
        if count != 0.0 {
            let (open, close) =
                (if lower_inclusive { '[' } else { '(' }, if upper_inclusive { ']' } else { ')' });
            let (lower, upper, count) = (short_float(lower), short_float(upper), short_float(count));
            // Writing to a string cannot fail.
            let _ = write!(out, ", {open}{lower},{upper}{close}:{count}");
        }
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::Buckets;

    #[test]
    fn lists_populated_buckets() {
        let histogram = Histogram {
            count: 5.0,
            sum: 2.5,
            zero_threshold: 0.001,
            zero_count: 1.0,
            positive: Buckets::from_numbered([(0, 1.0), (1, 0.0), (2, 2.0)]),
            negative: Buckets::from_numbered([(1, 1.0)]),
            ..Histogram::default()
        };
        assert_eq!(
            plain_text(&histogram),
            "{count:5, sum:2.5, [-2,-1):1, [-0.001,0.001]:1, (0.5,1]:1, (2,4]:2}"
        );
        assert_eq!(plain_text(&Histogram::default()), "{count:0, sum:0}");
    }
}
