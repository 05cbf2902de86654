//! Values of the server's types, made of the bytes of an input.

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use emberkeep::model::histogram::{Buckets, CUSTOM_SCHEMA, ResetHint, Span};
use emberkeep::model::{Exemplar, Histogram, Labels, STALE_NAN_BITS, Samples};

/// A short text; often one that others have too.
pub fn text(u: &mut Unstructured<'_>) -> Result<String> {
    const USUAL: [&str; 8] = ["__name__", "job", "up", "le", "a", "b", "\u{e9}\u{e8}", ""];
    Ok(match u.arbitrary::<u8>()? {
        n @ 0..200 => USUAL[usize::from(n % 8)].to_owned(),
        _ => u.arbitrary::<&str>()?.chars().take(40).collect(),
    })
}

/// Up to five labels.
pub fn labels(u: &mut Unstructured<'_>) -> Result<Labels> {
    let mut pairs = Vec::new();
    for _ in 0..u.int_in_range(0..=5)? {
        pairs.push((text(u)?, text(u)?));
    }
    Ok(Labels::from_pairs(pairs))
}

/// A number: whole, decimal, special, or any bits at all.
pub fn float(u: &mut Unstructured<'_>) -> Result<f64> {
    Ok(match u.int_in_range(0..=7)? {
        0..=2 => f64::from(u.arbitrary::<i16>()?),
        3 => f64::from(u.arbitrary::<i32>()?) / 100.0,
        4 => f64::from_bits(STALE_NAN_BITS),
        5 => *u.choose(&[0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324, 1e-7])?,
        6 => u.arbitrary::<i64>()? as f64,
        _ => f64::from_bits(u.arbitrary()?),
    })
}

/// A time in milliseconds, mostly of today.
pub fn time(u: &mut Unstructured<'_>) -> Result<i64> {
    Ok(match u.int_in_range(0..=9)? {
        0 => u.arbitrary()?,
        1 => *u.choose(&[i64::MIN, i64::MAX, 0, -1])?,
        _ => 1_700_000_000_000 + i64::from(u.arbitrary::<u16>()?) * 15,
    })
}

fn buckets(u: &mut Unstructured<'_>, integer: bool) -> Result<Buckets> {
    let mut out = Buckets::default();
    for _ in 0..u.int_in_range(0..=4)? {
        let length = u.int_in_range(0..=5)?;
        out.spans.push(Span { offset: i32::from(u.arbitrary::<i8>()?), length });
        for _ in 0..length {
            out.counts.push(if integer { f64::from(u.arbitrary::<u16>()?) } else { float(u)? });
        }
    }
    Ok(out)
}

/// A native histogram, not always a sensible one.
pub fn histogram(u: &mut Unstructured<'_>) -> Result<Histogram> {
    if u.ratio(1, 12)? {
        return Ok(Histogram::stale());
    }
    let integer = u.arbitrary()?;
    let custom = u.ratio(1, 4)?;
    let count = |u: &mut Unstructured<'_>| {
        if integer { Ok(f64::from(u.arbitrary::<u16>()?)) } else { float(u) }
    };
    Ok(Histogram {
        schema: if custom { CUSTOM_SCHEMA } else { u.int_in_range(-4..=8)? },
        zero_threshold: if custom { 0.0 } else { float(u)? },
        zero_count: count(u)?,
        count: count(u)?,
        sum: float(u)?,
        positive: buckets(u, integer)?,
        negative: if custom { Buckets::default() } else { buckets(u, integer)? },
        custom_values: if custom { floats(u, 6)? } else { Vec::new() },
        reset_hint: *u.choose(&[
            ResetHint::Unknown,
            ResetHint::Reset,
            ResetHint::NotReset,
            ResetHint::Gauge,
        ])?,
        integer,
    })
}

/// Up to `most` numbers.
pub fn floats(u: &mut Unstructured<'_>, most: usize) -> Result<Vec<f64>> {
    let len = u.int_in_range(0..=most)?;
    (0..len).map(|_| float(u)).collect()
}

/// Up to `most` samples at rising times, floats and native histograms mixed; runs of like numbers are common.
pub fn samples(u: &mut Unstructured<'_>, most: usize) -> Result<Samples> {
    let mut out = Samples::new();
    let mut now = time(u)?;
    let mut value = float(u)?;
    let mut last = Arc::new(histogram(u)?);
    while !u.is_empty() && out.len() < most {
        let kind = u.arbitrary::<u8>()?;
        for _ in 0..1 + usize::from(kind >> 4) {
            let step = if kind & 8 == 0 { 15_000 } else { i64::from(u.arbitrary::<u8>()?) + 1 };
            let Some(next) = now.checked_add(step) else { return Ok(out) };
            now = next;
            match kind & 7 {
                0..=2 => value += 1.0,
                3 => value = float(u)?,
                4 => last = Arc::new(histogram(u)?),
                5 => {
                    let mut changed = Histogram::clone(&last);
                    changed.count += 1.0;
                    changed.positive.counts.iter_mut().for_each(|count| *count += 1.0);
                    last = Arc::new(changed);
                }
                _ => {}
            }
            if kind & 7 >= 4 && kind & 7 != 7 {
                out.push_histogram(now, Arc::clone(&last));
            } else {
                out.push(now, value);
            }
        }
    }
    Ok(out)
}

/// An exemplar.
pub fn exemplar(u: &mut Unstructured<'_>) -> Result<Exemplar> {
    Ok(Exemplar { labels: labels(u)?, value: float(u)?, timestamp: time(u)? })
}

/// Every bit of some numbers: not a number is not equal to itself.
pub fn bits(floats: &[f64]) -> Vec<u64> {
    floats.iter().map(|float| float.to_bits()).collect()
}

/// Every bit of a native histogram.
pub fn histogram_bits(h: &Histogram) -> impl PartialEq + std::fmt::Debug + use<> {
    let Histogram { positive, negative, .. } = h;
    (
        (h.schema, h.reset_hint, h.integer),
        bits(&[h.zero_threshold, h.zero_count, h.count, h.sum]),
        (positive.spans.clone(), bits(&positive.counts)),
        (negative.spans.clone(), bits(&negative.counts)),
        bits(&h.custom_values),
    )
}

/// Panics unless both hold the same, bit for bit; the number that stands for a native histogram means nothing.
pub fn assert_same(a: &Samples, b: &Samples) {
    assert_eq!(a.timestamps, b.timestamps);
    assert_same_values(a, b);
}

/// As [`assert_same`], times aside.
pub fn assert_same_values(a: &Samples, b: &Samples) {
    assert_eq!(a.values.len(), b.values.len());
    assert_eq!(a.histograms.len(), b.histograms.len());
    for ((at, a), (other_at, b)) in a.histograms.iter().zip(&b.histograms) {
        assert_eq!(at, other_at);
        assert_eq!(histogram_bits(a), histogram_bits(b), "number {at}");
    }
    let mut taken = a.histograms.iter().map(|(at, _)| *at).peekable();
    for (at, (a, b)) in a.values.iter().zip(&b.values).enumerate() {
        if taken.next_if_eq(&at).is_none() {
            assert_eq!(a.to_bits(), b.to_bits(), "number {at}: {a} and {b}");
        }
    }
}
