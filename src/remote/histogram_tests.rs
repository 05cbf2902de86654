//! Tests of the `Histogram` message.

use proptest::prelude::*;

use super::*;
use crate::codec::protobuf::{put_bytes, put_float, put_varint};
use crate::codec::reader::zigzag;

fn span(offset: i32, length: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, 1, zigzag(i64::from(offset)));
    put_varint(&mut out, 2, length);
    out
}

/// An integer histogram: schema, spans and deltas of the positive side, and how many observations it says to have.
fn integer(schema: i32, spans: &[(i32, u64)], deltas: &[i64], count: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, 1, count);
    put_float(&mut out, 3, 1.5);
    put_varint(&mut out, 4, zigzag(i64::from(schema)));
    spans.iter().for_each(|(offset, length)| put_bytes(&mut out, 11, &span(*offset, *length)));
    deltas.iter().for_each(|delta| put_varint(&mut out, 12, zigzag(*delta)));
    put_varint(&mut out, 14, 3);
    put_varint(&mut out, 15, 1234);
    out
}

fn check(message: &[u8], expected: &str) {
    let (_, found) = read(message).expect("a message");
    let text = match found {
        Ok(h) => {
            let spans: Vec<_> = h.positive.spans.iter().map(|s| (s.offset, s.length)).collect();
            format!("{} {:?} {:?}", h.schema, spans, h.positive.counts)
        }
        Err(fault) => fault.to_string(),
    };
    assert!(text.contains(expected), "{text}");
}

#[test]
fn reads_integer_and_float_histograms() {
    let (time, found) = read(&integer(2, &[(-1, 2), (3, 1)], &[1, 1, -2], 3)).expect("a message");
    let found = found.expect("valid");
    assert_eq!((time, found.integer, found.count, found.reset_hint), (1234, true, 3.0, ResetHint::Gauge));
    assert_eq!(found.positive.counts, [1.0, 2.0, 0.0]);
    let mut float = Vec::new();
    put_float(&mut float, 2, 2.5);
    put_float(&mut float, 3, f64::NAN);
    put_float(&mut float, 5, 0.001);
    put_float(&mut float, 7, 1.25);
    put_bytes(&mut float, 8, &span(4, 1));
    put_bytes(&mut float, 10, &1.25f64.to_le_bytes());
    let found = read(&float).expect("a message").1.expect("valid");
    assert_eq!((found.integer, found.zero_count, found.zero_threshold), (false, 1.25, 0.001));
    assert_eq!(found.negative.counts, [1.25]);
    let mut stale = Vec::new();
    put_float(&mut stale, 3, f64::from_bits(crate::model::STALE_NAN_BITS));
    assert!(read(&stale).expect("a message").1.expect("valid").is_stale());
}

#[test]
fn finer_resolutions_are_brought_to_the_finest_there_is() {
    // Buckets 1 to 4 of schema 9 are buckets 1, 1, 2, 2 of schema 8; bucket -1 and 0 are 0.
    check(&integer(9, &[(1, 4)], &[1, 0, 0, 0], 4), "8 [(1, 2)] [2.0, 2.0]");
    check(&integer(10, &[(-3, 4), (8, 1)], &[1, 0, 0, 0, 0], 5), "8 [(0, 1), (2, 1)] [4.0, 1.0]");
}

#[test]
fn names_what_is_wrong() {
    let check_custom = |bounds: &[f64], spans: &[(i32, u64)], deltas: &[i64], expected| {
        let count = deltas
            .iter()
            .scan(0, |sum, d| {
                *sum += d;
                Some(*sum)
            })
            .sum::<i64>();
        let mut message = integer(-53, spans, deltas, u64::try_from(count).expect("small"));
        bounds.iter().for_each(|bound| put_float(&mut message, 16, *bound));
        check(&message, expected);
        message
    };
    check(&integer(53, &[], &[], 0), "invalid schema 53");
    check(&integer(-5, &[], &[], 0), "invalid schema -5");
    check(&integer(0, &[(0, 2)], &[1], 1), "spans need 2 buckets, have 1 buckets");
    check(&integer(0, &[(0, 4_294_967_295), (0, 4_294_967_295)], &[1], 1), "spans need 8589934590 buckets");
    check(&integer(0, &[(0, 1), (-1, 1)], &[1, 1], 3), "span number 2 with offset -1");
    check(&integer(0, &[(i32::MAX, 1)], &[1], 1), "number is out of range");
    check(&integer(0, &[(0, 2)], &[1, -2], 1), "bucket number 2 has observation count of -1");
    check(&integer(0, &[(0, 1)], &[1], 2), "1 observations found in buckets, but the Count field is 2");
    let bounds = check_custom(&[1.0, 2.0], &[(0, 3)], &[1, 0, 0], "-53 [(0, 3)] [1.0, 1.0, 1.0]");
    check_custom(&[1.0, 1.0], &[(0, 1)], &[1], "strictly increasing");
    check_custom(&[f64::NAN], &[(0, 1)], &[1], "must not be NaN");
    check_custom(&[1.0, f64::INFINITY], &[(0, 1)], &[1], "must be finite");
    check_custom(&[1.0], &[(1, 2)], &[1, 0], "too few");
    check_custom(&[1.0], &[(-1, 1)], &[1], "offset is negative");
    let with = |message: &[u8], add: &dyn Fn(&mut Vec<u8>)| {
        let mut message = message.to_vec();
        add(&mut message);
        message
    };
    check(&with(&bounds, &|m| put_varint(m, 6, 1)), "zero count of 0");
    check(&with(&bounds, &|m| put_float(m, 5, 0.5)), "zero threshold of 0");
    check(&with(&bounds, &|m| put_bytes(m, 8, &span(0, 0))), "negative spans");
    check(&with(&bounds, &|m| put_varint(m, 9, 0)), "negative buckets");
    let exponential = integer(0, &[(0, 1)], &[1], 1);
    check(&with(&exponential, &|m| put_float(m, 16, 1.0)), "must not have custom bounds");
    let float = with(&[], &|m| {
        put_float(m, 2, 1.0);
        put_bytes(m, 11, &span(0, 2));
        put_float(m, 13, 2.0);
        put_float(m, 13, -1.0);
    });
    check(&float, "bucket number 2 has observation count of -1");
}

proptest! {
    #[test]
    fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), at in 0usize..100, with: u8) {
        let _ = read(&bytes);
        let mut message = integer(12, &[(-1, 2), (3, 1)], &[1, 1, -2], 3);
        let at = at % message.len();
        message[at] ^= with;
        let _ = read(&message);
    }

    #[test]
    fn a_coarser_resolution_loses_no_observation(
        spans in prop::collection::vec((0i32..50, 1u64..6), 1..6), first in -500i32..500, by in 9i32..=52,
    ) {
        let mut spans = spans;
        spans[0].0 = first;
        let buckets: u64 = spans.iter().map(|(_, length)| length).sum();
        let deltas: Vec<i64> = (0..buckets).map(|_| 1).collect();
        let count = buckets * (buckets + 1) / 2;
        let found = read(&integer(by, &spans, &deltas, count)).expect("a message").1.expect("valid");
        prop_assert_eq!(found.positive.counts.iter().sum::<f64>(), count as f64);
        let lengths: u32 = found.positive.spans.iter().map(|span| span.length).sum();
        prop_assert_eq!(lengths as usize, found.positive.counts.len());
        prop_assert!(found.positive.spans.iter().skip(1).all(|span| span.offset > 0));
    }
}
