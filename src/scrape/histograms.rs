//! Native histograms that are finer than the job takes them: a coarser resolution, or none at all.

use crate::config::ScrapeConfig;
use crate::model::Histogram;
use crate::model::histogram::Buckets;

const COARSEST: i32 = -4;
const FINEST: i32 = 8;

/// A native histogram has too many buckets at any resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooManyBuckets;

/// What a job takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct BucketLimits {
    finest: i32,
    /// None where there is no limit.
    most: Option<usize>,
}

impl BucketLimits {
    pub(super) fn of(job: &ScrapeConfig) -> Self {
        let most = job.native_histogram_bucket_limit;
        Self {
            finest: finest(job.native_histogram_min_bucket_factor),
            most: (most > 0).then(|| usize::try_from(most).unwrap_or(usize::MAX)),
        }
    }

    /// Brings a histogram to the finest resolution that is taken and at which it has few enough buckets.
    pub(super) fn fit(&self, histogram: &mut Histogram) -> Result<(), TooManyBuckets> {
        if histogram.has_custom_bounds() {
            return self.check(histogram);
        }
        coarsen(histogram, self.finest);
        while self.check(histogram).is_err() {
            if histogram.schema <= COARSEST {
                return Err(TooManyBuckets);
            }
            coarsen(histogram, histogram.schema - 1);
        }
        Ok(())
    }

    fn check(&self, histogram: &Histogram) -> Result<(), TooManyBuckets> {
        let count = histogram.positive.counts.len() + histogram.negative.counts.len();
        if self.most.is_some_and(|most| count > most) { Err(TooManyBuckets) } else { Ok(()) }
    }
}

fn coarsen(histogram: &mut Histogram, schema: i32) {
    if histogram.schema <= schema {
        return;
    }
    for buckets in [&mut histogram.positive, &mut histogram.negative] {
        *buckets = Buckets::from_numbered(buckets.coarser(histogram.schema, schema));
    }
    histogram.schema = schema;
}

/// The finest schema whose bounds grow by at least `factor`.
fn finest(factor: f64) -> i32 {
    if factor <= 1.0 {
        return FINEST;
    }
    let schema = (-factor.log2().log2()).floor().clamp(f64::from(COARSEST), f64::from(FINEST));
    #[expect(clippy::cast_possible_truncation, reason = "whole and small")]
    let schema = schema as i32;
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::{CUSTOM_SCHEMA, Span};

    #[test]
    fn factors_stand_for_schemas() {
        let factors = [
            (f64::INFINITY, -4),
            (65536.0, -4),
            (256.0, -3),
            (16.0, -2),
            (4.0, -1),
            (2.0, 0),
            (1.4, 1),
            (1.1, 2),
            (1.09, 3),
            (1.04, 4),
            (1.02, 5),
            (1.01, 6),
            (1.005, 7),
            (1.002, 8),
            (1.000_01, 8),
            (1.0, 8),
            (0.0, 8),
            (-3.0, 8),
        ];
        for (factor, schema) in factors {
            assert_eq!(finest(factor), schema, "{factor}");
        }
    }

    #[test]
    fn resolution_falls_until_the_buckets_are_few_enough() {
        let fit = |schema, most, finest| {
            let spans = vec![Span { offset: 1, length: 8 }];
            let mut histogram = Histogram {
                schema,
                positive: Buckets { spans, counts: vec![1.0; 8] },
                count: 8.0,
                ..Histogram::default()
            };
            let fits = BucketLimits { finest, most }.fit(&mut histogram);
            fits.map(|()| (histogram.schema, histogram.positive.counts))
        };
        assert_eq!(fit(3, None, 8), Ok((3, vec![1.0; 8])));
        assert_eq!(fit(3, None, 2), Ok((2, vec![2.0; 4])));
        assert_eq!(fit(3, Some(8), 8), Ok((3, vec![1.0; 8])));
        assert_eq!(fit(3, Some(3), 8), Ok((1, vec![4.0; 2])));
        assert_eq!(fit(3, Some(1), 8), Ok((0, vec![8.0])));
        assert_eq!(fit(-4, Some(7), 8), Err(TooManyBuckets));
        assert_eq!(fit(CUSTOM_SCHEMA, Some(7), 8), Err(TooManyBuckets));
        assert_eq!(fit(CUSTOM_SCHEMA, Some(8), -4), Ok((CUSTOM_SCHEMA, vec![1.0; 8])));
    }
}
