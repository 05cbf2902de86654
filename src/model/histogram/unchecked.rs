//! A native histogram as it was sent, and what makes one invalid.
//!
//! **Cost**: a histogram has as many buckets as were sent; lengths of spans allocate nothing.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::{Buckets, CUSTOM_SCHEMA, Histogram, ResetHint, Span};
use crate::model::bounds::{self, OverBound};

/// Schemas with exponential buckets. Finer ones are brought to the last.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;
/// The finest schema that is told of and brought to a coarser one.
const FINEST_SCHEMA: i32 = 52;

/// What is wrong with a histogram.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HistogramFault {
    /// The schema is none there is.
    #[error(
        "histogram has an invalid schema {0}, which must be between -4 and 8 for exponential buckets, or -53 for custom buckets"
    )]
    Schema(i32),
    /// A span begins before the one before it ends.
    #[error(
        "{side}: span number {number} with offset {offset}: histogram has a span whose offset is negative"
    )]
    NegativeOffset {
        /// Of which observations.
        side: &'static str,
        /// From 1.
        number: usize,
        /// Its offset.
        offset: i32,
    },
    /// Spans and buckets do not agree.
    #[error(
        "{side}: spans need {needed} buckets, have {have} buckets: histogram spans specify different number of buckets than provided"
    )]
    BucketCount {
        /// Of which observations.
        side: &'static str,
        /// By the spans.
        needed: u64,
        /// Given.
        have: usize,
    },
    /// A bucket number does not fit 32 bits.
    #[error("{side}: histogram has a bucket whose number is out of range")]
    BucketNumber {
        /// Of which observations.
        side: &'static str,
    },
    /// A count below zero.
    #[error(
        "{side}: bucket number {number} has observation count of {count}: histogram has a bucket whose observation count is negative"
    )]
    NegativeCount {
        /// Of which observations.
        side: &'static str,
        /// From 1.
        number: usize,
        /// The count.
        count: f64,
    },
    /// A total below zero.
    #[error("{what} a negative observation count of {count}")]
    Negative {
        /// Which total.
        what: &'static str,
        /// It.
        count: f64,
    },
    /// The counts of buckets and the count of all observations do not agree.
    #[error("{found} observations found in buckets, but the Count field is {count}: {reason}")]
    Count {
        /// In buckets.
        found: u128,
        /// As it says.
        count: u64,
        /// Which rule is broken.
        reason: &'static str,
    },
    /// Custom bounds that are none.
    #[error("custom buckets: {0}")]
    Custom(&'static str),
    /// Exponential buckets have no custom bounds.
    #[error("histogram with exponential schema must not have custom bounds")]
    CustomBounds,
    /// It is larger than what is taken.
    #[error(transparent)]
    TooLarge(#[from] OverBound),
}

/// A histogram as it was sent: nothing of it was checked.
#[derive(Debug, Clone, Default)]
pub struct Unchecked {
    /// Its counts are floats; else they are whole numbers, and its buckets differences.
    pub float: bool,
    /// All observations.
    pub count: u64,
    /// All observations, of floats.
    pub count_float: f64,
    /// Observations in the zero bucket.
    pub zero_count: u64,
    /// Observations in the zero bucket, of floats.
    pub zero_count_float: f64,
    /// Sum of all observations.
    pub sum: f64,
    /// Resolution. Finer ones than there are become the finest there is.
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Buckets of positive observations.
    pub positive: UncheckedBuckets,
    /// Buckets of negative observations.
    pub negative: UncheckedBuckets,
    /// Upper bounds of custom buckets.
    pub custom_values: Vec<f64>,
    /// What is known of a counter reset.
    pub reset_hint: ResetHint,
}

/// Buckets of one sign.
#[derive(Debug, Clone, Default)]
pub struct UncheckedBuckets {
    /// Which buckets are present.
    pub spans: Vec<Span>,
    /// Of each bucket the difference to the one before, where counts are whole numbers.
    pub deltas: Vec<i64>,
    /// Observations in each bucket, where counts are floats.
    pub counts: Vec<f64>,
}

impl Unchecked {
    /// The histogram, if it is one.
    ///
    /// # Errors
    /// Saying what is wrong with it.
    pub fn check(self) -> Result<Histogram, HistogramFault> {
        // Before anything is done for each of its parts.
        let side = |side: &UncheckedBuckets| side.deltas.len().max(side.counts.len()) + 2 * side.spans.len();
        bounds::check_cells(3 + side(&self.positive) + side(&self.negative) + self.custom_values.len())?;
        let histogram = self.into_histogram()?;
        bounds::check_histogram(&histogram)?;
        Ok(histogram)
    }

    fn into_histogram(self) -> Result<Histogram, HistogramFault> {
        let custom = self.schema == CUSTOM_SCHEMA;
        let (mut sum, float) = (0, self.float);
        let zero_used = if float { self.zero_count_float != 0.0 } else { self.zero_count != 0 };
        if custom {
            self.check_custom(zero_used)?;
        } else if !(*SCHEMAS.start()..=FINEST_SCHEMA).contains(&self.schema) {
            return Err(HistogramFault::Schema(self.schema));
        } else if !self.custom_values.is_empty() {
            return Err(HistogramFault::CustomBounds);
        }
        let mut positive = self.positive.check("positive side", float, &mut sum)?;
        let mut negative = self.negative.check("negative side", float, &mut sum)?;
        let mut schema = self.schema;
        if !custom && schema > *SCHEMAS.end() {
            let by = schema.abs_diff(*SCHEMAS.end());
            positive = coarser(&positive, by);
            negative = coarser(&negative, by);
            schema = *SCHEMAS.end();
        }
        if float {
            for (what, count) in
                [("zero bucket has", self.zero_count_float), ("histogram has", self.count_float)]
            {
                if count < 0.0 {
                    return Err(HistogramFault::Negative { what, count });
                }
            }
        } else {
            sum += u128::from(self.zero_count);
            let count = u128::from(self.count);
            let fault = |reason| HistogramFault::Count { found: sum, count: self.count, reason };
            if self.sum.is_nan() && sum > count {
                let reason = "histogram's observation count should be at least the number of observations found in the buckets";
                return Err(fault(reason));
            }
            if !self.sum.is_nan() && sum != count {
                let reason = "histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)";
                return Err(fault(reason));
            }
        }
        let whole = |integer: u64, number: f64| if float { number } else { integer as f64 };
        Ok(Histogram {
            schema,
            zero_threshold: self.zero_threshold,
            zero_count: whole(self.zero_count, self.zero_count_float),
            count: whole(self.count, self.count_float),
            sum: self.sum,
            positive,
            negative,
            custom_values: self.custom_values,
            reset_hint: self.reset_hint,
            integer: !float,
        })
    }

    fn check_custom(&self, zero_used: bool) -> Result<(), HistogramFault> {
        let rises = self.custom_values.is_sorted_by(|a, b| a < b);
        let spans = &self.positive.spans;
        let reach: i64 = spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum();
        let negative = &self.negative;
        let broken = [
            (
                self.custom_values.iter().any(|bound| bound.is_nan()),
                "histogram custom bounds must not be NaN",
            ),
            (!rises, "histogram custom bounds must be in strictly increasing order"),
            (self.custom_values.last() == Some(&f64::INFINITY), "histogram custom bounds must be finite"),
            (
                spans.first().is_some_and(|span| span.offset < 0),
                "histogram has a span whose offset is negative",
            ),
            (
                usize::try_from(reach).is_ok_and(|reach| reach > self.custom_values.len() + 1),
                "histogram custom bounds are too few",
            ),
            (zero_used, "must have zero count of 0"),
            (self.zero_threshold != 0.0, "must have zero threshold of 0"),
            (!negative.spans.is_empty(), "must not have negative spans"),
            (!negative.deltas.is_empty() || !negative.counts.is_empty(), "must not have negative buckets"),
        ];
        match broken.iter().find(|(is_broken, _)| *is_broken) {
            Some((_, reason)) => Err(HistogramFault::Custom(reason)),
            None => Ok(()),
        }
    }
}

impl UncheckedBuckets {
    /// The buckets; their counts are added to `sum` where they are whole numbers.
    fn check(self, side: &'static str, float: bool, sum: &mut u128) -> Result<Buckets, HistogramFault> {
        let (mut needed, mut number) = (0u64, 0i64);
        for (at, span) in self.spans.iter().enumerate() {
            if at > 0 && span.offset < 0 {
                return Err(HistogramFault::NegativeOffset { side, number: at + 1, offset: span.offset });
            }
            needed = needed.saturating_add(u64::from(span.length));
            number = number.saturating_add(i64::from(span.offset)).saturating_add(i64::from(span.length));
        }
        let have = if float { self.counts.len() } else { self.deltas.len() };
        if needed != have as u64 {
            return Err(HistogramFault::BucketCount { side, needed, have });
        }
        if i32::try_from(number).is_err() {
            return Err(HistogramFault::BucketNumber { side });
        }
        let negative = |at: usize, count| HistogramFault::NegativeCount { side, number: at + 1, count };
        if float {
            return match self.counts.iter().position(|count| *count < 0.0) {
                Some(at) => Err(negative(at, self.counts.get(at).copied().unwrap_or(0.0))),
                None => Ok(Buckets { spans: self.spans, counts: self.counts }),
            };
        }
        let mut counts = Vec::with_capacity(have);
        let mut last = 0i64;
        for (at, delta) in self.deltas.iter().enumerate() {
            last = last.wrapping_add(*delta);
            let count = u64::try_from(last).map_err(|_| negative(at, last as f64))?;
            *sum += u128::from(count);
            counts.push(count as f64);
        }
        Ok(Buckets { spans: self.spans, counts })
    }
}

/// The buckets in a resolution that is `by` steps coarser, those that fall together joined.
fn coarser(buckets: &Buckets, by: u32) -> Buckets {
    let mut out = Buckets::default();
    let (mut number, mut last) = (0i64, None::<i64>);
    let mut counts = buckets.counts.iter();
    for span in &buckets.spans {
        number += i64::from(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            // Bucket n ends at the bound n: the coarser one that ends at or after it.
            let target = ((number - 1) >> by) + 1;
            match (last, out.counts.last_mut(), out.spans.last_mut()) {
                (Some(last), Some(sum), _) if last == target => *sum += count,
                (Some(last), _, Some(open)) if last + 1 == target => {
                    open.length += 1;
                    out.counts.push(*count);
                }
                _ => {
                    let offset = target - last.map_or(0, |last| last + 1);
                    // Closer to zero than the numbers of before, which fit.
                    let offset = i32::try_from(offset).unwrap_or(i32::MAX);
                    out.spans.push(Span { offset, length: 1 });
                    out.counts.push(*count);
                }
            }
            last = Some(target);
            number += 1;
        }
    }
    out
}
