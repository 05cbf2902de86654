//! Walking over buckets: by number, or with their bounds.

use super::{Buckets, CUSTOM_SCHEMA, Histogram, Span, bounds};

/// One bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Where it begins.
    pub lower: f64,
    /// Where it ends.
    pub upper: f64,
    /// Whether an observation of exactly `lower` is in it.
    pub lower_inclusive: bool,
    /// Whether an observation of exactly `upper` is in it.
    pub upper_inclusive: bool,
    /// Observations.
    pub count: f64,
}

/// Numbers and counts of the buckets of one sign, from either end.
#[derive(Debug, Clone)]
pub struct Numbered<'a> {
    spans: &'a [Span],
    counts: &'a [f64],
    /// Number of the first bucket that is left, and how many of its span are.
    front: i32,
    front_left: u32,
    /// Number behind the last bucket that is left, and how many of its span are.
    back: i32,
    back_left: u32,
}

impl<'a> Numbered<'a> {
    fn new(buckets: &'a Buckets) -> Self {
        let spans = buckets.spans.as_slice();
        let length = |span: &Span| usize::try_from(span.length).unwrap_or(usize::MAX);
        // Where spans and counts disagree the shorter of them counts.
        let there = spans.iter().fold(0usize, |sum, span| sum.saturating_add(length(span)));
        let mut counts = buckets.counts.as_slice();
        counts = &counts[..counts.len().min(there)];
        let mut this = Self { spans, counts, front: 0, front_left: 0, back: 0, back_left: 0 };
        let mut rest = counts.len();
        for (at, span) in spans.iter().enumerate() {
            this.back = this.back.wrapping_add(span.offset);
            if rest <= length(span) {
                this.back_left = u32::try_from(rest).unwrap_or(0);
                this.back = this.back.wrapping_add_unsigned(this.back_left);
                this.spans = &spans[..=at];
                break;
            }
            rest -= length(span);
            this.back = this.back.wrapping_add_unsigned(span.length);
        }
        if let Some(first) = spans.first() {
            (this.front, this.front_left) = (first.offset, first.length);
        }
        this
    }
}

impl Iterator for Numbered<'_> {
    type Item = (i32, f64);

    fn next(&mut self) -> Option<Self::Item> {
        let (count, rest) = self.counts.split_first()?;
        while self.front_left == 0 {
            let (_, spans) = self.spans.split_first()?;
            let span = spans.first()?;
            self.spans = spans;
            self.front = self.front.wrapping_add(span.offset);
            self.front_left = span.length;
        }
        let number = self.front;
        self.counts = rest;
        self.front = self.front.wrapping_add(1);
        self.front_left -= 1;
        Some((number, *count))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.counts.len()))
    }
}

impl DoubleEndedIterator for Numbered<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let (count, rest) = self.counts.split_last()?;
        while self.back_left == 0 {
            let (last, spans) = self.spans.split_last()?;
            self.back = self.back.wrapping_sub(last.offset);
            self.back_left = spans.last()?.length;
            self.spans = spans;
        }
        self.counts = rest;
        self.back = self.back.wrapping_sub(1);
        self.back_left -= 1;
        Some((self.back, *count))
    }
}

impl Buckets {
    /// Numbers and counts in rising order of numbers.
    pub fn numbered(&self) -> Numbered<'_> {
        Numbered::new(self)
    }
}

impl Histogram {
    /// Whether its bounds are given one by one.
    pub fn has_custom_bounds(&self) -> bool {
        self.schema == CUSTOM_SCHEMA
    }

    fn positive_bucket(&self, number: i32, count: f64) -> Bucket {
        let bound = |number| bounds::upper(number, self.schema, &self.custom_values);
        let (lower, upper) = (bound(number.saturating_sub(1)), bound(number));
        if self.has_custom_bounds() {
            return Bucket { lower, upper, lower_inclusive: number == 0, upper_inclusive: true, count };
        }
        Bucket { lower, upper, lower_inclusive: lower < 0.0, upper_inclusive: upper > 0.0, count }
    }

    fn negative_bucket(&self, number: i32, count: f64) -> Bucket {
        let mirrored = self.positive_bucket(number, count);
        let (lower, upper) = (-mirrored.upper, -mirrored.lower);
        Bucket { lower, upper, lower_inclusive: lower < 0.0, upper_inclusive: upper > 0.0, count }
    }

    /// The buckets of positive observations, away from zero.
    pub fn positive_buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        self.positive.numbered().map(|(number, count)| self.positive_bucket(number, count))
    }

    /// The buckets of negative observations, away from zero.
    pub fn negative_buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        self.negative.numbered().map(|(number, count)| self.negative_bucket(number, count))
    }

    /// The zero bucket.
    pub fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
        }
    }

    /// All buckets in rising order of bounds, the zero bucket among them if it has observations. Those beside the
    /// zero bucket begin where it ends.
    pub fn all_buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        let threshold = self.zero_threshold;
        let outside = move |mut bucket: Bucket| {
            if bucket.upper < 0.0 && bucket.upper > -threshold {
                bucket.upper = -threshold;
            } else if bucket.lower > 0.0 && bucket.lower < threshold {
                bucket.lower = threshold;
            }
            bucket
        };
        let zero = (self.zero_count > 0.0).then(|| self.zero_bucket());
        self.negative_buckets().rev().map(outside).chain(zero).chain(self.positive_buckets().map(outside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(offset: i32, length: u32) -> Span {
        Span { offset, length }
    }

    #[test]
    fn walks_from_both_ends() {
        let check = |spans: &[Span], counts: &[f64], expected: &[i32]| {
            let buckets = Buckets { spans: spans.to_vec(), counts: counts.to_vec() };
            let forward: Vec<i32> = buckets.numbered().map(|(n, _)| n).collect();
            let mut backward: Vec<i32> = buckets.numbered().rev().map(|(n, _)| n).collect();
            backward.reverse();
            assert_eq!((forward.as_slice(), backward.as_slice()), (expected, expected), "{spans:?}");
            let mut both = buckets.numbered();
            let mut met = Vec::new();
            while let Some((number, _)) = both.next() {
                met.push(number);
                met.extend(both.next_back().map(|(n, _)| n));
            }
            met.sort_unstable();
            assert_eq!(met, expected);
        };
        check(&[], &[], &[]);
        check(&[span(-2, 2), span(3, 1)], &[1.0, 2.0, 3.0], &[-2, -1, 3]);
        check(&[span(1, 0), span(2, 1), span(0, 0), span(0, 2), span(4, 0)], &[1.0, 2.0, 3.0], &[3, 4, 5]);
        // Spans and counts that disagree.
        check(&[span(0, u32::MAX)], &[1.0, 2.0], &[0, 1]);
        check(&[span(5, 1)], &[1.0, 2.0], &[5]);
        check(&[span(5, 1), span(1, 3)], &[1.0, 2.0], &[5, 7]);
    }

    #[test]
    fn orders_all_buckets_by_their_bounds() {
        let histogram = Histogram {
            zero_threshold: 0.75,
            zero_count: 5.0,
            positive: Buckets { spans: vec![span(0, 2)], counts: vec![1.0, 2.0] },
            negative: Buckets { spans: vec![span(1, 1)], counts: vec![3.0] },
            ..Histogram::default()
        };
        let all: Vec<_> = histogram.all_buckets().map(|b| (b.lower, b.upper, b.count)).collect();
        assert_eq!(all, [(-2.0, -1.0, 3.0), (-0.75, 0.75, 5.0), (0.75, 1.0, 1.0), (1.0, 2.0, 2.0)]);
        let mut reversed: Vec<_> =
            histogram.all_buckets().rev().map(|b| (b.lower, b.upper, b.count)).collect();
        reversed.reverse();
        assert_eq!(all, reversed);
    }
}
