//! The record of start timestamps: from which sample on a series counts since when.
//!
//! A record names only series whose start is another one than before, or is not in the file yet.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::kind;
use crate::codec::{ByteReader, ByteWriter, CodecError};
use crate::tsdb::SeriesRef;

/// What a series counts since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedStart {
    /// The series.
    pub series: SeriesRef,
    /// Timestamp of the first sample it holds for, in milliseconds. Of a late sample it holds for that one alone.
    pub from: i64,
    /// When counting began, in milliseconds; 0 where that is not known.
    pub start: i64,
}

/// Appends the payload; `late` says that these are the starts of late samples.
pub fn put(out: &mut Vec<u8>, late: bool, starts: &[LoggedStart]) {
    out.put_u8(if late { kind::LATE_STARTS } else { kind::STARTS });
    out.put_len(starts.len());
    let (mut next, mut time, mut before) = (0u64, 0i64, 0i64);
    for LoggedStart { series, from, start } in starts {
        out.put_zigzag(series.0.wrapping_sub(next).cast_signed());
        out.put_zigzag(from.wrapping_sub(time));
        out.put_zigzag(start.wrapping_sub(before));
        (next, time, before) = (series.0.wrapping_add(1), *from, *start);
    }
}

/// Calls `visit` with each start of what [`put`] wrote, in order.
///
/// # Errors
/// When it is cut or damaged; those before the damage have been visited.
pub fn each(payload: &[u8], mut visit: impl FnMut(LoggedStart)) -> Result<(), CodecError> {
    let mut reader = ByteReader::new(payload);
    reader.u8()?;
    let (mut next, mut from, mut start) = (0u64, 0i64, 0i64);
    for _ in 0..reader.len("start count", reader.remaining())? {
        let series = next.wrapping_add(reader.zigzag()?.cast_unsigned());
        from = from.wrapping_add(reader.zigzag()?);
        start = start.wrapping_add(reader.zigzag()?);
        next = series.wrapping_add(1);
        visit(LoggedStart { series: SeriesRef(series), from, start });
    }
    if reader.is_empty() { Ok(()) } else { Err(reader.invalid("record length")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(payload: &[u8]) -> Result<Vec<LoggedStart>, CodecError> {
        let mut found = Vec::new();
        each(payload, |one| found.push(one)).map(|()| found)
    }

    #[test]
    fn the_series_of_a_target_take_a_few_bytes_each() {
        let start = 1_700_000_000_000;
        let all: Vec<LoggedStart> = (0..500)
            .map(|n| LoggedStart {
                series: SeriesRef(n + 40),
                from: start + 60_000,
                start: start + 7 * (n.cast_signed() % 3),
            })
            .collect();
        let mut out = Vec::new();
        put(&mut out, false, &all);
        assert_eq!(read(&out), Ok(all));
        for cut in 1..out.len() {
            assert!(read(&out[..cut]).is_err(), "cut at {cut}");
        }
        assert!(out.len() < 500 * 3 + 20, "{} bytes", out.len());
    }

    proptest! {
        #[test]
        fn any_starts_come_back(
            raw in prop::collection::vec((any::<u64>(), any::<i64>(), any::<i64>()), 0..40),
            late: bool,
        ) {
            let all: Vec<LoggedStart> =
                raw.into_iter().map(|(series, from, start)| LoggedStart { series: SeriesRef(series), from, start }).collect();
            let mut out = Vec::new();
            put(&mut out, late, &all);
            prop_assert_eq!(super::super::kind_of(&out), Ok(if late { kind::LATE_STARTS } else { kind::STARTS }));
            prop_assert_eq!(read(&out), Ok(all));
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), at in 0usize..60, with: u8) {
            let _ = read(&bytes);
            let mut out = Vec::new();
            let one = |series| LoggedStart { series: SeriesRef(series), from: 1000, start: 5 };
            put(&mut out, false, &[one(7), one(9)]);
            let at = at % out.len();
            out[at] ^= with;
            let _ = read(&out);
        }
    }
}
