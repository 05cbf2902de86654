//! Tests of the chunks of native histograms.

use super::*;

fn histogram(n: u32, integer: bool) -> Histogram {
    let n = f64::from(n);
    let scale = if integer { 1.0 } else { 0.25 };
    Histogram {
        schema: 3,
        zero_threshold: 2f64.powi(-128),
        zero_count: n * scale,
        count: 9.0 * n * scale,
        sum: n * 1.5,
        positive: Buckets {
            spans: vec![Span { offset: -3, length: 2 }, Span { offset: 4, length: 1 }],
            counts: vec![n * scale, 3.0 * n * scale, 2.0 * n * scale],
        },
        negative: Buckets {
            spans: vec![Span { offset: 7, length: 2 }],
            counts: vec![n * scale, 2.0 * n * scale],
        },
        custom_values: vec![],
        reset_hint: ResetHint::Unknown,
        integer,
    }
}

fn check(mut histograms: Vec<Histogram>) {
    let first = Arc::new(histograms[0].clone());
    let mut chunk = HistogramChunk::new(-7, &first);
    for (n, next) in (1i64..).zip(&histograms[1..]) {
        assert!(chunk.takes(next), "{n}");
        chunk.push(n * 15_000 + n % 2, &Arc::new(next.clone()));
    }
    let encoding = chunk.encoding();
    let mut back = Vec::new();
    decode(&chunk.finish(), encoding, |_, h| back.push(Histogram::clone(&h))).expect("decodes");
    for h in histograms.iter_mut().skip(1).filter(|h| !h.is_stale() && h.reset_hint == ResetHint::Unknown) {
        h.reset_hint = ResetHint::NotReset;
    }
    assert_eq!(format!("{back:?}"), format!("{histograms:?}"));
}

#[test]
fn histograms_come_back() {
    check((0..9).map(|n| histogram(n, true)).collect());
    check((1..9).map(|n| histogram(n, false)).collect());
    let stale = |integer| Histogram { integer, ..Histogram::stale() };
    check(vec![histogram(1, true), histogram(4, true), stale(true), stale(true)]);
    check(vec![histogram(1, false), stale(false)]);
    check(vec![stale(false)]);
    let gauge = |n| Histogram { reset_hint: ResetHint::Gauge, ..histogram(n, true) };
    check(vec![gauge(8), gauge(2), gauge(5)]);
    let bounds = |n: u32| Histogram {
        schema: CUSTOM_SCHEMA,
        custom_values: vec![0.005, 0.1, 1.0 / 3.0, 1e9],
        zero_threshold: 0.0,
        zero_count: 0.0,
        negative: Buckets::default(),
        ..histogram(n, true)
    };
    check(vec![bounds(1), bounds(2)]);
    check(vec![Histogram { zero_threshold: 0.3, ..histogram(3, true) }]);
}

#[test]
fn resets_and_other_layouts_need_a_chunk_of_their_own() {
    let chunk = HistogramChunk::new(0, &Arc::new(histogram(5, true)));
    assert!(chunk.takes(&histogram(5, true)));
    assert!(!chunk.takes(&histogram(4, true)));
    assert!(!chunk.takes(&histogram(6, false)));
    assert!(!chunk.takes(&Histogram { schema: 2, ..histogram(6, true) }));
    assert!(!chunk.takes(&Histogram { reset_hint: ResetHint::Gauge, ..histogram(6, true) }));
    assert!(!chunk.takes(&Histogram { reset_hint: ResetHint::Reset, ..histogram(6, true) }));
}

/// A chunk of `count` samples without buckets, each of some bits, after `layout`; and the bytes of what it decodes to.
fn decoded_bytes(layout: impl FnOnce(&mut BitWriter), count: u16, rests: bool) -> (usize, Result<usize>) {
    let mut bits = BitWriter::new();
    layout(&mut bits);
    put_signed(&mut bits, 0);
    (0..2).for_each(|_| put_unsigned(&mut bits, 1));
    bits.put(0, 64);
    let mut sum = XorFloat::new(0.0);
    for number in 1..count {
        (0..3).for_each(|_| put_signed(&mut bits, 0));
        sum.put(&mut bits, if rests { 0.0 } else { f64::from(number % 2) });
    }
    let mut chunk = count.to_be_bytes().to_vec();
    chunk.push(0);
    chunk.extend_from_slice(bits.as_bytes());
    let (mut found, mut bytes) = (Vec::new(), 0);
    let done = decode(&chunk, Encoding::Histogram, |_, histogram| {
        if found.last().is_none_or(|last| !Arc::ptr_eq(last, &histogram)) {
            bytes += size_of::<Histogram>() + 8 * histogram.cells();
            found.push(histogram);
        }
    });
    (chunk.len(), done.map(|()| bytes))
}

#[test]
fn a_small_chunk_does_not_take_much_memory() {
    let spans = |out: &mut BitWriter| {
        put_threshold(out, 0.0);
        put_signed(out, 0);
        for _ in 0..2 {
            put_unsigned(out, 2000);
            (0..2000).for_each(|_| {
                put_unsigned(out, 0);
                put_signed(out, 1);
            });
        }
    };
    let (length, bytes) = decoded_bytes(spans, 2000, false);
    let bytes = bytes.expect("spans without buckets are no damage");
    assert!(bytes < 1000 * length, "{bytes} bytes from {length}");
    let bounds = |count: u64| {
        move |out: &mut BitWriter| {
            put_threshold(out, 0.0);
            put_signed(out, i64::from(CUSTOM_SCHEMA));
            (0..2).for_each(|_| put_unsigned(out, 0));
            put_unsigned(out, count);
            (1..=count).for_each(|bound| put_bound(out, bound as f64 / 1000.0));
        }
    };
    let (length, bytes) = decoded_bytes(bounds(4000), 2000, false);
    assert_eq!(bytes, Err(invalid("number of bounds")), "of {length}");
    // One that has a full chunk's samples, and one that rests for long.
    let (length, bytes) = decoded_bytes(bounds(4000), 120, false);
    assert!(bytes.expect("it may have them") > 100 * length);
    let (length, bytes) = decoded_bytes(bounds(4000), 2000, true);
    assert!(bytes.expect("nothing is repeated") < 100 * length);
}

#[test]
fn empty_spans_only_move_the_next_one() {
    let span = |offset, length| Span { offset, length };
    let mut with_empty = histogram(1, true);
    with_empty.positive.spans = vec![span(-5, 0), span(2, 2), span(1, 0), span(3, 1), span(9, 0)];
    let chunk = HistogramChunk::new(0, &Arc::new(with_empty));
    let mut back = Vec::new();
    decode(&chunk.finish(), Encoding::Histogram, |_, h| back.push(Histogram::clone(&h))).expect("decodes");
    assert_eq!(back, [histogram(1, true)]);
}

#[test]
fn a_histogram_over_the_bounds_is_refused() {
    let of = |buckets: u32| {
        let positive =
            Buckets { spans: vec![Span { offset: 0, length: buckets }], counts: vec![1.0; buckets as usize] };
        let histogram = Histogram { positive, integer: true, ..Histogram::default() };
        let chunk = HistogramChunk::new(0, &Arc::new(histogram)).finish();
        decode(&chunk, Encoding::Histogram, |_, _| {})
    };
    let most = u32::try_from(MAX_HISTOGRAM_CELLS).expect("small") - 5;
    assert_eq!(of(most), Ok(()));
    assert_eq!(of(most + 1), Err(invalid("size of a histogram")));
    assert_eq!(of(most + 6), Err(invalid("number of buckets")));
}
