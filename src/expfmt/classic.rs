//! Classic histograms - cumulative buckets, count and sum - to native ones with the same bounds.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use crate::model::Histogram;
use crate::model::bounds::{self, MAX_HISTOGRAM_CELLS, OverBound};
use crate::model::histogram::{Buckets, CUSTOM_SCHEMA, ResetHint};

/// Why a classic histogram is not converted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClassicFault {
    /// A bound is no number.
    #[error("bucket boundary must not be NaN")]
    Bound,
    /// A bucket counts less than nothing.
    #[error("bucket count must be non-negative: le={bound}, count={count}")]
    BucketCount {
        /// Of the bucket.
        bound: f64,
        /// As exposed.
        count: f64,
    },
    /// The histogram counts less than nothing.
    #[error("count must be non-negative: count={0}")]
    Count(f64),
    /// A bucket counts less than the one before it.
    #[error("count is not cumulative: {count} < {before}")]
    NotCumulative {
        /// Of the bucket.
        count: f64,
        /// Of the one before it.
        before: f64,
    },
    /// The last bucket does not hold all observations.
    #[error("count mismatch: count={count} != le={bound} count={last}")]
    Mismatch {
        /// All observations.
        count: f64,
        /// Of the last bucket.
        bound: f64,
        /// Of the last bucket.
        last: f64,
    },
    /// It is larger than what is taken.
    #[error(transparent)]
    TooLarge(#[from] OverBound),
}

/// A classic histogram being put together, in whatever order its parts come.
#[derive(Debug, Default)]
pub(super) struct Classic {
    /// Bounds and cumulative counts, as they came.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    fault: Option<ClassicFault>,
}

impl Classic {
    /// Begins another one.
    pub(super) fn clear(&mut self) {
        self.buckets.clear();
        (self.count, self.sum, self.fault) = (None, 0.0, None);
    }

    /// Adds a bucket; of two with the same bound the first one counts.
    pub(super) fn bucket(&mut self, bound: f64, count: f64) {
        if bound.is_nan() {
            self.fault.get_or_insert(ClassicFault::Bound);
        } else if count < 0.0 {
            self.fault.get_or_insert(ClassicFault::BucketCount { bound, count });
        } else if self.buckets.len() >= MAX_HISTOGRAM_CELLS {
            let cells = self.buckets.len() + 1;
            self.fault.get_or_insert(OverBound::Histogram { cells }.into());
        } else {
            self.buckets.push((bound, count));
        }
    }

    /// Sets the number of all observations.
    pub(super) fn count(&mut self, count: f64) {
        if count < 0.0 {
            self.fault.get_or_insert(ClassicFault::Count(count));
        } else {
            self.count = Some(count);
        }
    }

    /// Sets the sum of all observations.
    pub(super) fn sum(&mut self, sum: f64) {
        self.sum = sum;
    }

    /// The native histogram with these buckets; one of whole numbers where all counts are.
    ///
    /// # Errors
    /// When the parts do not make a histogram.
    pub(super) fn convert(&mut self) -> Result<Histogram, ClassicFault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let buckets = &mut self.buckets;
        if !buckets.is_sorted_by(|a, b| a.0 < b.0) {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            buckets.dedup_by(|later, first| later.0 == first.0);
        }
        let highest = buckets.last().map_or(0.0, |(_, count)| *count);
        let count = self.count.unwrap_or(highest);
        if buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            buckets.push((f64::INFINITY, count));
        }
        let falls = |pair: &[(f64, f64)]| match pair {
            [(_, before), (_, count)] if count < before => {
                Some(ClassicFault::NotCumulative { count: *count, before: *before })
            }
            _ => None,
        };
        if let Some(fault) = buckets.windows(2).find_map(falls) {
            return Err(fault);
        }
        if let Some((bound, last)) = buckets.last()
            && *last != count
        {
            return Err(ClassicFault::Mismatch { count, bound: *bound, last: *last });
        }
        let mut before = 0.0;
        let own = (0i32..).zip(buckets.iter()).map(|(number, (_, count))| {
            let own = count - before;
            before = *count;
            (number, own)
        });
        let histogram = Histogram {
            schema: CUSTOM_SCHEMA,
            count,
            sum: self.sum,
            positive: Buckets::from_numbered(own.filter(|(_, own)| *own != 0.0)),
            custom_values: buckets.iter().map(|(bound, _)| *bound).filter(|b| *b != f64::INFINITY).collect(),
            reset_hint: ResetHint::Unknown,
            integer: is_whole(count) && buckets.iter().all(|(_, count)| is_whole(*count)),
            ..Histogram::default()
        };
        bounds::check_histogram(&histogram)?;
        Ok(histogram)
    }
}

/// Whether a count is a whole number of 63 bits.
fn is_whole(count: f64) -> bool {
    count.trunc() == count && count < 9.2e18
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::Span;

    fn convert(buckets: &[(f64, f64)], count: Option<f64>) -> Result<Histogram, ClassicFault> {
        let mut classic = Classic::default();
        buckets.iter().for_each(|(bound, own)| classic.bucket(*bound, *own));
        count.into_iter().for_each(|count| classic.count(count));
        classic.sum(7.5);
        classic.convert()
    }

    #[test]
    fn buckets_become_counts_of_their_own() {
        let inf = f64::INFINITY;
        let found = convert(&[(1.0, 1.0), (2.0, 1.0), (4.0, 3.0), (inf, 6.0)], Some(6.0)).expect("valid");
        assert_eq!((found.schema, found.count, found.sum, found.integer), (CUSTOM_SCHEMA, 6.0, 7.5, true));
        assert_eq!(found.custom_values, [1.0, 2.0, 4.0]);
        assert_eq!(
            found.positive.spans,
            [Span { offset: 0, length: 1 }, Span { offset: 1, length: 2 }],
            "the empty bucket is left out"
        );
        assert_eq!(found.positive.counts, [1.0, 2.0, 3.0]);
        // In whatever order, with one twice, and without the last bucket.
        let again = convert(&[(4.0, 3.0), (1.0, 1.0), (4.0, 9.0), (2.0, 1.0)], Some(6.0));
        assert_eq!(again.as_ref(), Ok(&found));
        let float = convert(&[(1.0, 0.5), (inf, 2.0)], None).expect("valid");
        assert_eq!((float.count, float.integer, float.positive.counts), (2.0, false, vec![0.5, 1.5]));
        let empty = convert(&[], None).expect("valid");
        assert_eq!((empty.count, empty.custom_values.len(), empty.positive.counts.len()), (0.0, 0, 0));
    }

    #[test]
    fn what_makes_no_histogram_is_refused() {
        let check = |buckets: &[(f64, f64)], count, expected: &str| {
            let fault = convert(buckets, count).expect_err(expected).to_string();
            assert!(fault.contains(expected), "{fault}");
        };
        check(&[(f64::NAN, 1.0)], None, "must not be NaN");
        check(&[(1.0, -1.0)], None, "non-negative: le=1");
        check(&[(1.0, 1.0)], Some(-2.0), "non-negative: count=-2");
        check(&[(1.0, 2.0), (2.0, 1.0)], None, "1 < 2");
        check(&[(2.0, 1.0), (1.0, 2.0)], None, "1 < 2");
        check(&[(1.0, 2.0)], Some(1.0), "1 < 2");
        check(&[(f64::INFINITY, 2.0)], Some(3.0), "count=3 != le=inf count=2");
        check(&[(1.0, f64::NAN)], None, "mismatch");
        let many: Vec<_> = (0..70_000).rev().map(|n| (f64::from(n), f64::from(n))).collect();
        check(&many, None, "the limit is 65536");
    }
}
