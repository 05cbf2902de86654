//! The record of native histograms of one commit.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::sync::Arc;

use super::kind;
use crate::codec::{ByteReader, ByteWriter, CodecError};
use crate::model::Histogram;
use crate::tsdb::SeriesRef;
use crate::tsdb::chunk::{column, histogram};

/// A histogram as it is put into the log: series, timestamp in milliseconds, content.
pub type LoggedHistogram = (SeriesRef, i64, Arc<Histogram>);

/// Appends the payload.
pub fn put(out: &mut Vec<u8>, histograms: &[LoggedHistogram]) {
    out.put_u8(kind::HISTOGRAMS);
    out.put_len(histograms.len());
    let (mut next, mut time) = (0u64, 0i64);
    let mut scratch = column::Scratch::default();
    let mut coded = Vec::new();
    for (series, timestamp, content) in histograms {
        out.put_zigzag(series.0.wrapping_sub(next).cast_signed());
        out.put_zigzag(timestamp.wrapping_sub(time));
        (next, time) = (series.0.wrapping_add(1), *timestamp);
        coded.clear();
        histogram::encode(std::slice::from_ref(content), &mut scratch, &mut coded);
        out.put_len(coded.len());
        out.put_bytes(&coded);
    }
}

/// A histogram of a record, not decoded yet.
#[derive(Debug, Clone, Copy)]
pub struct Coded<'a>(&'a [u8]);

impl Coded<'_> {
    /// The histogram.
    ///
    /// # Errors
    /// When its bytes are damaged.
    pub fn decode(self) -> Result<Arc<Histogram>, CodecError> {
        let missing = CodecError::Invalid { what: "histogram", at: 0 };
        histogram::decode(self.0, 1)?.pop().ok_or(missing)
    }
}

/// Calls `visit` with each histogram of what [`put`] wrote, in order.
///
/// # Errors
/// When it is cut or damaged; those before the damage have been visited.
pub fn each<'a>(
    payload: &'a [u8],
    mut visit: impl FnMut(SeriesRef, i64, Coded<'a>),
) -> Result<(), CodecError> {
    let mut reader = ByteReader::new(payload);
    reader.u8()?;
    let count = reader.len("histogram count", reader.remaining())?;
    let (mut next, mut time) = (0u64, 0i64);
    for _ in 0..count {
        let series = next.wrapping_add(reader.zigzag()?.cast_unsigned());
        time = time.wrapping_add(reader.zigzag()?);
        next = series.wrapping_add(1);
        let len = reader.len("histogram length", reader.remaining())?;
        visit(SeriesRef(series), time, Coded(reader.bytes(len)?));
    }
    if reader.is_empty() { Ok(()) } else { Err(reader.invalid("record length")) }
}

/// First and newest timestamp of a payload, in milliseconds, if it holds any histogram.
///
/// # Errors
/// When it is cut or damaged.
pub fn times(payload: &[u8]) -> Result<Option<(i64, i64)>, CodecError> {
    let mut found: Option<(i64, i64)> = None;
    each(payload, |_, time, _| {
        let (first, newest) = found.unwrap_or((time, time));
        found = Some((first, newest.max(time)));
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::{Buckets, Span};
    use proptest::prelude::*;

    fn example(n: u32) -> Arc<Histogram> {
        let positive = Buckets {
            spans: vec![Span { offset: 2, length: 2 }],
            counts: vec![f64::from(n), f64::from(n) / 3.0],
        };
        Arc::new(Histogram {
            schema: 3,
            count: f64::from(n),
            sum: 0.1 * f64::from(n),
            positive,
            ..Histogram::default()
        })
    }

    #[test]
    fn histograms_come_back() {
        let all: Vec<LoggedHistogram> =
            (0..5).map(|n| (SeriesRef(u64::from(n * 7 % 5)), i64::from(n) - 2, example(n))).collect();
        let (mut out, mut found) = (Vec::new(), Vec::new());
        put(&mut out, &all);
        each(&out, |series, time, coded| found.push((series, time, coded.decode().expect("own output"))))
            .expect("own output");
        assert_eq!(found, all);
        assert_eq!(times(&out), Ok(Some((-2, 2))));
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 0usize..200, with: u8) {
            let mut out = Vec::new();
            put(&mut out, &[(SeriesRef(1), 5, example(3)), (SeriesRef(2), 5, example(4))]);
            let at = at % out.len();
            out[at] ^= with;
            let _ = each(&out, |_, _, coded| drop(coded.decode()));
        }
    }
}
