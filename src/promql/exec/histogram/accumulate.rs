//! Sums and means of histograms, with the rounding errors carried along bucket by bucket.
//!
//! **Cost**: adding is linear in the buckets of both sides. Buckets are held by number, so that layouts that differ
//! need no shifting of spans.

use super::arithmetic::divide;
use crate::model::Histogram;
use crate::model::histogram::{Buckets, ResetHint, coarser_number, common_bounds, exponential_bound};
use crate::promql::exec::math::Sum;

/// Exponential and custom bounds cannot be combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MixedSchemas;

/// What had to be reconciled to combine two histograms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reconciled {
    /// One says it comes after a reset, the other that it does not.
    pub(crate) hints: bool,
    /// Their custom bounds differ; the common ones are left.
    pub(crate) bounds: bool,
}

/// Whether a histogram is added or subtracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Plus,
    Minus,
}

/// A running sum.
#[derive(Debug, Clone)]
pub(crate) struct Accumulator {
    schema: i32,
    zero_threshold: f64,
    zero: Sum,
    count: Sum,
    sum: Sum,
    positive: Vec<(i32, Sum)>,
    negative: Vec<(i32, Sum)>,
    custom_values: Vec<f64>,
    reset_hint: ResetHint,
    /// Whether rounding errors are carried along.
    compensated: bool,
}

impl Accumulator {
    /// A sum of one histogram, with compensated rounding errors.
    pub(crate) fn compensated(histogram: &Histogram) -> Self {
        Self::new(histogram, true)
    }

    /// A sum of one histogram, with plain additions.
    pub(crate) fn plain(histogram: &Histogram) -> Self {
        Self::new(histogram, false)
    }

    fn new(histogram: &Histogram, compensated: bool) -> Self {
        let sums = |buckets: &Buckets| buckets.numbered().map(|(n, count)| (n, Sum::of(count))).collect();
        Self {
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            zero: Sum::of(histogram.zero_count),
            count: Sum::of(histogram.count),
            sum: Sum::of(histogram.sum),
            positive: sums(&histogram.positive),
            negative: sums(&histogram.negative),
            custom_values: histogram.custom_values.clone(),
            reset_hint: histogram.reset_hint,
            compensated,
        }
    }

    /// Bytes its buckets take.
    pub(crate) fn bytes(&self) -> usize {
        let buckets = self.positive.len() + self.negative.len();
        size_of::<Self>() + buckets * size_of::<(i32, Sum)>() + self.custom_values.len() * 8
    }

    /// The sum so far, with buckets that have become empty.
    pub(crate) fn finish(self) -> Histogram {
        self.values(Sum::total)
    }

    /// The sum so far without empty buckets.
    pub(crate) fn compact(self) -> Histogram {
        let mut out = self.finish();
        out.compact();
        out
    }

    fn values(&self, of: impl Fn(Sum) -> f64) -> Histogram {
        let buckets =
            |sums: &[(i32, Sum)]| Buckets::from_numbered(sums.iter().map(|(n, sum)| (*n, of(*sum))));
        Histogram {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: of(self.zero),
            count: of(self.count),
            sum: of(self.sum),
            positive: buckets(&self.positive),
            negative: buckets(&self.negative),
            custom_values: self.custom_values.clone(),
            reset_hint: self.reset_hint,
            integer: false,
        }
    }

    /// Adds or subtracts a histogram. Schemas, zero buckets and custom bounds are brought to what both can have.
    ///
    /// # Errors
    /// When only one of the two has custom bounds; nothing has changed then.
    pub(crate) fn add(&mut self, other: &Histogram, sign: Sign) -> Result<Reconciled, MixedSchemas> {
        let custom = self.schema == crate::model::histogram::CUSTOM_SCHEMA;
        if custom != other.has_custom_bounds() {
            return Err(MixedSchemas);
        }
        let mut reconciled = Reconciled { hints: self.join_hint(other.reset_hint), bounds: false };
        let signed = |value: f64| if sign == Sign::Minus { -value } else { value };
        if !custom {
            let zero = self.reconcile_zero(other);
            self.zero = self.step(self.zero, signed(zero));
        }
        self.count = self.step(self.count, signed(other.count));
        self.sum = self.step(self.sum, signed(other.sum));
        if custom {
            let added = other.positive.numbered().map(|(n, count)| (n, signed(count)));
            if self.custom_values == other.custom_values {
                let added: Vec<_> = added.map(|(n, count)| (n, Sum::of(count))).collect();
                self.positive = self.merged(&self.positive, &added);
            } else {
                reconciled.bounds = true;
                self.add_custom(added, &other.custom_values);
            }
            return Ok(reconciled);
        }
        self.coarsen(other.schema);
        let outside = |buckets: &Buckets| {
            let added = buckets.numbered().map(|(n, count)| (n, Sum::of(signed(count))));
            let mut reduced = self.coarser(added, other.schema, self.schema);
            let inside =
                |(number, _): &(i32, Sum)| exponential_bound(*number, self.schema) <= self.zero_threshold;
            reduced.drain(..reduced.iter().take_while(|bucket| inside(bucket)).count());
            reduced
        };
        let (positive, negative) = (outside(&other.positive), outside(&other.negative));
        self.positive = self.merged(&self.positive, &positive);
        self.negative = self.merged(&self.negative, &negative);
        Ok(reconciled)
    }

    /// Brings the sum to a coarser schema; a finer one changes nothing.
    pub(crate) fn coarsen(&mut self, schema: i32) {
        if schema < self.schema {
            self.reduce(schema);
        }
    }

    fn step(&self, sum: Sum, add: f64) -> Sum {
        if self.compensated { sum.plus(add) } else { Sum { value: sum.value + add, error: 0.0 } }
    }

    fn join(&self, sum: Sum, add: Sum) -> Sum {
        let joined = self.step(sum, add.value);
        if add.error == 0.0 { joined } else { self.step(joined, add.error) }
    }

    fn merged(&self, into: &[(i32, Sum)], added: &[(i32, Sum)]) -> Vec<(i32, Sum)> {
        let mut out = Vec::with_capacity(into.len().max(added.len()));
        let mut added = added.iter().peekable();
        for (number, sum) in into {
            while let Some((other, count)) = added.next_if(|(other, _)| other < number) {
                out.push((*other, *count));
            }
            let mut sum = *sum;
            if let Some((_, count)) = added.next_if(|(other, _)| other == number) {
                sum = self.join(sum, *count);
            }
            out.push((*number, sum));
        }
        out.extend(added);
        out
    }

    fn reduce(&mut self, schema: i32) {
        let from = std::mem::replace(&mut self.schema, schema);
        self.positive = self.coarser(self.positive.iter().copied(), from, schema);
        self.negative = self.coarser(self.negative.iter().copied(), from, schema);
    }

    /// Buckets in a coarser schema; those that fall together are added.
    fn coarser(&self, buckets: impl Iterator<Item = (i32, Sum)>, from: i32, to: i32) -> Vec<(i32, Sum)> {
        let mut out: Vec<(i32, Sum)> = Vec::with_capacity(buckets.size_hint().1.unwrap_or(0));
        for (number, sum) in buckets {
            let number = coarser_number(number, from, to);
            match out.last_mut() {
                Some((last, into)) if *last == number => *into = self.join(*into, sum),
                _ => out.push((number, sum)),
            }
        }
        out
    }

    /// Widens the zero bucket until it ends inside no populated bucket of either; the other's zero count then.
    fn reconcile_zero(&mut self, other: &Histogram) -> f64 {
        let (mut zero, mut threshold) = (other.zero_count, other.zero_threshold);
        while threshold != self.zero_threshold {
            if self.zero_threshold > threshold {
                (zero, threshold) = other.zero_count_up_to(self.zero_threshold);
            }
            if threshold > self.zero_threshold {
                self.widen_zero(threshold);
            } else if threshold.is_nan() || self.zero_threshold.is_nan() {
                break;
            }
        }
        zero
    }

    fn widen_zero(&mut self, threshold: f64) {
        let (_, threshold) = self.values(|sum| sum.value).zero_count_up_to(threshold);
        let mut zero = self.zero;
        let schema = self.schema;
        for buckets in [&self.positive, &self.negative] {
            for (_, sum) in buckets.iter().take_while(|(n, _)| begin(*n, schema) < threshold) {
                zero = self.join(zero, *sum);
            }
        }
        self.zero = zero;
        self.positive.retain(|(n, _)| begin(*n, schema) >= threshold);
        self.negative.retain(|(n, _)| begin(*n, schema) >= threshold);
        self.zero_threshold = threshold;
    }

    fn add_custom(&mut self, added: impl Iterator<Item = (i32, f64)>, bounds: &[f64]) {
        let common = common_bounds(&self.custom_values, bounds);
        let mut sums = vec![Sum::default(); common.len() + 1];
        let place = |number: i32, bounds: &[f64]| {
            let bound = usize::try_from(number).ok().and_then(|at| bounds.get(at));
            bound.map_or(common.len(), |bound| common.partition_point(|other| other < bound))
        };
        for (number, sum) in &self.positive {
            let at = place(*number, &self.custom_values);
            sums[at] = self.join(sums[at], *sum);
        }
        for (number, count) in added {
            let at = place(number, bounds);
            sums[at] = self.step(sums[at], count);
        }
        let numbered = sums.into_iter().zip(0..).map(|(sum, number)| (number, sum));
        self.positive = numbered.filter(|(_, sum)| sum.value != 0.0 || sum.error != 0.0).collect();
        self.custom_values = common;
    }

    /// Takes over what is known of resets; says whether the two contradict each other.
    fn join_hint(&mut self, other: ResetHint) -> bool {
        use ResetHint::{Gauge, Unknown};
        let (joined, conflict) = match (self.reset_hint, other) {
            (a, b) if a == b => (a, false),
            (Gauge, _) | (_, Gauge) => (Gauge, false),
            (Unknown, _) | (_, Unknown) => (Unknown, false),
            _ => (Unknown, true),
        };
        self.reset_hint = joined;
        conflict
    }

    fn each(&mut self, change: impl Fn(f64) -> f64) {
        let buckets = self.positive.iter_mut().chain(&mut self.negative).map(|(_, sum)| sum);
        for sum in buckets.chain([&mut self.zero, &mut self.count, &mut self.sum]) {
            *sum = Sum { value: change(sum.value), error: change(sum.error) };
        }
    }

    fn overflowed(&self) -> bool {
        let buckets = self.positive.iter().chain(&self.negative).map(|(_, sum)| sum);
        buckets.chain([&self.zero, &self.count, &self.sum]).any(|sum| sum.value.is_infinite())
            || self.custom_values.iter().any(|bound| bound.is_infinite())
    }
}

/// Where bucket `number` begins, seen from zero.
fn begin(number: i32, schema: i32) -> f64 {
    exponential_bound(number.saturating_sub(1), schema)
}

/// A mean that is a sum until some part of the sum would overflow, and incremental from then on.
#[derive(Debug, Clone)]
pub(crate) struct MeanAccumulator {
    sum: Accumulator,
    /// No part of the sum is larger than this.
    mass: f64,
    members: f64,
    incremental: bool,
}

impl MeanAccumulator {
    /// The mean of one histogram.
    pub(crate) fn new(histogram: &Histogram) -> Self {
        let sum = Accumulator::compensated(histogram);
        Self { sum, mass: mass(histogram), members: 1.0, incremental: false }
    }

    /// Bytes its buckets take.
    pub(crate) fn bytes(&self) -> usize {
        self.sum.bytes()
    }

    /// Adds a histogram.
    ///
    /// # Errors
    /// When only one of the two has custom bounds.
    pub(crate) fn add(&mut self, histogram: &Histogram) -> Result<Reconciled, MixedSchemas> {
        self.members += 1.0;
        let members = self.members;
        let mut first = Reconciled::default();
        if !self.incremental {
            self.mass += mass(histogram);
            if self.mass.is_finite() {
                return self.sum.add(histogram, Sign::Plus);
            }
            let mut sum = self.sum.clone();
            first = sum.add(histogram, Sign::Plus)?;
            if !sum.overflowed() {
                self.sum = sum;
                return Ok(first);
            }
            self.incremental = true;
            self.sum.each(|value| value / (members - 1.0));
        }
        let weight = (members - 1.0) / members;
        self.sum.each(|value| value * weight);
        let mut share = histogram.clone();
        divide(&mut share, members);
        let second = self.sum.add(&share, Sign::Plus)?;
        Ok(Reconciled { hints: first.hints || second.hints, bounds: first.bounds || second.bounds })
    }

    /// The mean so far, with buckets that have become empty.
    pub(crate) fn finish(mut self) -> Histogram {
        if !self.incremental {
            let members = self.members;
            self.sum.each(|value| value / members);
        }
        self.sum.finish()
    }
}

/// The sizes of all parts together: while the sum of these is finite no part can overflow.
fn mass(histogram: &Histogram) -> f64 {
    let buckets = histogram.positive.counts.iter().chain(&histogram.negative.counts);
    let own = [&histogram.count, &histogram.sum, &histogram.zero_count];
    buckets.chain(own).map(|value| value.abs()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::{CUSTOM_SCHEMA, Span};

    fn combined(a: &Histogram, b: &Histogram, sign: Sign) -> Histogram {
        let mut sum = Accumulator::plain(a);
        sum.add(b, sign).expect("compatible");
        sum.compact()
    }

    fn buckets(offset: i32, counts: &[f64]) -> Buckets {
        Buckets::from_numbered((offset..).zip(counts.iter().copied()))
    }

    #[test]
    fn adds_different_layouts() {
        let a =
            Histogram { count: 3.0, positive: buckets(0, &[1.0, 2.0]), schema: 1, ..Histogram::default() };
        let b = Histogram { count: 9.0, positive: buckets(-1, &[4.0, 5.0]), ..Histogram::default() };
        // In schema 0: bucket 0 holds the 1, bucket 1 the 2.
        let sum = combined(&a, &b, Sign::Plus);
        assert_eq!((sum.schema, sum.count), (0, 12.0));
        assert_eq!(sum.positive, buckets(-1, &[4.0, 6.0, 2.0]));
        let difference = combined(&b, &a, Sign::Minus);
        assert_eq!(difference.positive, buckets(-1, &[4.0, 4.0, -2.0]));
        assert_eq!(combined(&a, &a, Sign::Minus).positive, Buckets::default());
    }

    #[test]
    fn widens_the_zero_bucket_past_populated_buckets() {
        // Buckets (0.5, 1], (1, 2]; the other's zero bucket ends inside the second.
        let a = Histogram { positive: buckets(0, &[1.0, 2.0]), ..Histogram::default() };
        let b = Histogram { zero_threshold: 1.5, zero_count: 4.0, ..Histogram::default() };
        for sum in [combined(&a, &b, Sign::Plus), combined(&b, &a, Sign::Plus)] {
            assert_eq!((sum.zero_threshold, sum.zero_count), (2.0, 7.0));
            assert_eq!(sum.positive, Buckets::default());
        }
    }

    #[test]
    fn custom_bounds_meet_where_both_have_them() {
        let with = |bounds: &[f64], counts: &[f64]| Histogram {
            schema: CUSTOM_SCHEMA,
            custom_values: bounds.to_vec(),
            positive: buckets(0, counts),
            ..Histogram::default()
        };
        let mut sum = Accumulator::compensated(&with(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]));
        let reconciled = sum.add(&with(&[2.0, 4.0], &[10.0, 20.0, 30.0]), Sign::Plus);
        assert_eq!(reconciled, Ok(Reconciled { hints: false, bounds: true }));
        let sum = sum.finish();
        assert_eq!(sum.custom_values, [2.0]);
        assert_eq!(sum.positive, buckets(0, &[13.0, 57.0]));
        let exponential = Histogram::default();
        assert_eq!(Accumulator::plain(&sum).add(&exponential, Sign::Plus), Err(MixedSchemas));
    }

    #[test]
    fn knows_what_becomes_of_hints() {
        use ResetHint::{Gauge, NotReset, Reset, Unknown};
        let check = |a, b, expected, conflict| {
            let hint = |reset_hint| Histogram { reset_hint, ..Histogram::default() };
            let mut sum = Accumulator::plain(&hint(a));
            let reconciled = sum.add(&hint(b), Sign::Plus).expect("compatible");
            assert_eq!((sum.finish().reset_hint, reconciled.hints), (expected, conflict));
        };
        check(Reset, Reset, Reset, false);
        check(Reset, NotReset, Unknown, true);
        check(Unknown, Reset, Unknown, false);
        check(Unknown, Gauge, Gauge, false);
    }

    #[test]
    fn means_do_not_overflow_where_sums_do() {
        let large =
            |value: f64| Histogram { count: value, positive: buckets(0, &[value]), ..Histogram::default() };
        let mut mean = MeanAccumulator::new(&large(1.5e308));
        for value in [1.5e308, 0.9e308] {
            mean.add(&large(value)).expect("compatible");
        }
        let mean = mean.finish();
        assert!((mean.count / 1.3e308 - 1.0).abs() < 1e-9, "{mean:?}");
        assert!((mean.positive.counts[0] / 1.3e308 - 1.0).abs() < 1e-9);
        let mut small = MeanAccumulator::new(&large(1.0));
        small.add(&large(2.0)).expect("compatible");
        assert_eq!(small.finish().count, 1.5);
    }

    #[test]
    fn odd_thresholds_and_spans_end() {
        let odd = |zero_threshold: f64, offset: i32| Histogram {
            zero_threshold,
            positive: Buckets { spans: vec![Span { offset, length: 3 }], counts: vec![1.0, 1.0, 1.0] },
            ..Histogram::default()
        };
        for a in [0.0, -1.0, 1e300, f64::INFINITY, f64::NAN, f64::NEG_INFINITY] {
            for b in [0.0, -1.0, 1e300, f64::INFINITY, f64::NAN, f64::NEG_INFINITY] {
                for offset in [i32::MIN, -5, i32::MAX] {
                    combined(&odd(a, offset), &odd(b, 0), Sign::Plus);
                    let _ = odd(a, offset).is_reset_after(&odd(b, offset));
                }
            }
        }
    }
}
