//! Histograms of any content: what is read from disk may be odd, but must not end in a panic or an endless loop.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::histogram::{Buckets, CUSTOM_SCHEMA, ResetHint, Span, exponential_bound};
use crate::model::{Histogram, Samples};

/// Numbers of all kinds, the ordinary ones often.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (0u32..50).prop_map(f64::from),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e308, 5e-324]),
    ]
}

/// Spans and counts that may disagree.
fn buckets() -> impl Strategy<Value = Buckets> {
    let offset = prop_oneof![4 => -5i32..6, 1 => any::<i32>()];
    let length = prop_oneof![6 => 0u32..4, 1 => any::<u32>()];
    let span = (offset, length).prop_map(|(offset, length)| Span { offset, length });
    (prop::collection::vec(span, 0..4), prop::collection::vec(number(), 0..8))
        .prop_map(|(spans, counts)| Buckets { spans, counts })
}

fn any_histogram() -> impl Strategy<Value = Histogram> {
    let schema = prop_oneof![4 => -4i32..9, 2 => Just(CUSTOM_SCHEMA), 1 => any::<i32>()];
    let hint = prop::sample::select(vec![
        ResetHint::Unknown,
        ResetHint::Reset,
        ResetHint::NotReset,
        ResetHint::Gauge,
    ]);
    let custom = prop::collection::vec(number(), 0..4);
    (schema, prop::array::uniform4(number()), buckets(), buckets(), custom, hint).prop_map(
        |(
            schema,
            [zero_threshold, zero_count, count, sum],
            positive,
            negative,
            custom_values,
            reset_hint,
        )| {
            Histogram {
                schema,
                zero_threshold,
                zero_count,
                count,
                sum,
                positive,
                negative,
                custom_values,
                reset_hint,
                integer: false,
            }
        },
    )
}

/// Well-formed exponential histograms of whole numbers, small enough to be added exactly. Their zero buckets end where
/// buckets of all their schemas do; elsewhere a sum in a coarser schema counts some observations twice, as in
/// Prometheus.
fn counted() -> impl Strategy<Value = Histogram> {
    let side = || prop::collection::btree_map(-6i32..7, (0u32..100).prop_map(f64::from), 0..6);
    let threshold = prop::sample::select(vec![0.0, 0.25, 1.0, 4.0]);
    (-1i32..3, threshold, 0u32..9, side(), side()).prop_map(
        |(schema, threshold, zero, positive, negative)| {
            // What the zero bucket holds is in no other bucket.
            let outside = |number: &i32, _: &mut f64| exponential_bound(number - 1, schema) >= threshold;
            let (mut positive, mut negative) = (positive, negative);
            positive.retain(outside);
            negative.retain(outside);
            let whole = positive.values().chain(negative.values()).sum::<f64>() + 0.0;
            Histogram {
                schema,
                zero_threshold: threshold,
                zero_count: f64::from(zero),
                count: whole + f64::from(zero),
                sum: whole,
                positive: Buckets::from_numbered(positive),
                negative: Buckets::from_numbered(negative),
                ..Histogram::default()
            }
        },
    )
}

fn sum(a: &Histogram, b: &Histogram, sign: Sign) -> Histogram {
    let mut sum = Accumulator::compensated(a);
    sum.add(b, sign).expect("both exponential");
    sum.compact()
}

/// Observations in all buckets together.
fn observations(histogram: &Histogram) -> f64 {
    let buckets = histogram.positive.counts.iter().chain(&histogram.negative.counts);
    buckets.sum::<f64>() + histogram.zero_count
}

proptest! {
    #[test]
    fn odd_histograms_are_survived(a in any_histogram(), b in any_histogram(), x in number()) {
        for mut sum in [Accumulator::plain(&a), Accumulator::compensated(&a)] {
            if sum.add(&b, Sign::Minus).is_ok() {
                let _ = sum.add(&a, Sign::Plus);
            }
            sum.coarsen(-4);
            let out = sum.compact();
            let _ = (quantile(x, &out), plain_text(&out), out.weight());
        }
        let mut mean = MeanAccumulator::new(&a);
        let _ = mean.add(&b);
        let _ = mean.add(&a);
        let _ = mean.finish();
        let _ = (a.is_reset_after(&b), a.same_data(&b), a.zero_count_up_to(x));
        let _ = (quantile(x, &a), fraction(x, 1.0, &a), fraction(0.0, x, &a), variance(&a), plain_text(&a));
        for upper in [true, false] {
            let mut trimmed = a.clone();
            trim(&mut trimmed, x, upper);
        }
        let mut scaled = a.clone();
        scale(&mut scaled, x);
        divide(&mut scaled, x);
        let forwards = a.all_buckets().count();
        prop_assert_eq!(forwards, a.all_buckets().rev().count());
        let mut samples = Samples::new();
        samples.push_histogram(1, Arc::new(a));
        samples.push_histogram(2, Arc::new(b));
        keep_totals(&mut samples);
        samples.drop_stale();
    }

    #[test]
    fn sums_do_not_depend_on_the_order(a in counted(), b in counted()) {
        let (left, right) = (sum(&a, &b, Sign::Plus), sum(&b, &a, Sign::Plus));
        prop_assert!(left.same_data(&right), "{left:?} {right:?}");
    }

    #[test]
    fn nothing_is_left_of_what_is_taken_from_itself(a in counted()) {
        let rest = sum(&a, &a, Sign::Minus);
        prop_assert_eq!((rest.count, rest.sum, observations(&rest)), (0.0, 0.0, 0.0));
        prop_assert!(rest.positive.counts.is_empty() && rest.negative.counts.is_empty());
    }

    #[test]
    fn sums_lose_no_observations(a in counted(), b in counted()) {
        prop_assert_eq!(observations(&sum(&a, &b, Sign::Plus)), observations(&a) + observations(&b));
    }

    #[test]
    fn what_grew_is_no_reset(a in counted(), b in counted()) {
        // In the layout of what grows.
        let outside = |n: &(i32, f64)| exponential_bound(n.0 - 1, a.schema) >= a.zero_threshold;
        let positive = Buckets::from_numbered(b.positive.numbered().filter(outside));
        let populated = positive.counts.iter().sum::<f64>();
        let more = Histogram { count: populated, positive, ..a.clone() };
        let more = Histogram { zero_count: 0.0, negative: Buckets::default(), ..more };
        let grown = sum(&a, &more, Sign::Plus);
        prop_assert!(!grown.is_reset_after(&a), "{a:?} {grown:?}");
        prop_assert_eq!(a.is_reset_after(&grown), populated > 0.0, "{:?} {:?}", a, grown);
    }

    #[test]
    fn quantiles_rise_and_fractions_undo_them(a in counted(), q in 0.0..1.0f64, p in 0.0..1.0f64) {
        prop_assume!(a.count > 0.0 && observations(&a) == a.count);
        let (low, high) = (quantile(q.min(p), &a).0, quantile(q.max(p), &a).0);
        prop_assert!(low <= high * (1.0 + 1e-9 * high.signum()) + 1e-12, "{low} {high}");
        let back = fraction(f64::NEG_INFINITY, quantile(q, &a).0, &a).0;
        prop_assert!((0.0..=1.0).contains(&back), "{back}");
    }

    #[test]
    fn trimming_keeps_no_more_than_there_was(a in counted(), x in -10.0..10.0f64) {
        prop_assume!(observations(&a) == a.count);
        let cut = |upper| {
            let mut out = a.clone();
            trim(&mut out, x, upper);
            out.count
        };
        let (below, above) = (cut(true), cut(false));
        prop_assert!(below <= a.count + 1e-9 && above <= a.count + 1e-9);
        prop_assert!((below + above - a.count).abs() <= 1e-9 * (1.0 + a.count), "{below} {above} {}", a.count);
    }
}
