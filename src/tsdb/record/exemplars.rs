//! The record of exemplars of one commit.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::kind;
use crate::codec::{ByteReader, ByteWriter, CodecError};
use crate::model::bounds::MAX_LABELS;
use crate::model::{Exemplar, LabelsBuf};
use crate::tsdb::SeriesRef;

/// An exemplar as it is put into the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedExemplar {
    /// Of which series.
    pub series: SeriesRef,
    /// The exemplar.
    pub exemplar: Exemplar,
    /// Whether it came with a timestamp of its own; else it has that of its sample.
    pub timed: bool,
}

/// Appends the payload.
pub fn put(out: &mut Vec<u8>, exemplars: &[LoggedExemplar]) {
    out.put_u8(kind::EXEMPLARS);
    out.put_len(exemplars.len());
    let (mut next, mut time) = (0u64, 0i64);
    for LoggedExemplar { series, exemplar, timed } in exemplars {
        out.put_zigzag(series.0.wrapping_sub(next).cast_signed());
        out.put_zigzag(exemplar.timestamp.wrapping_sub(time));
        (next, time) = (series.0.wrapping_add(1), exemplar.timestamp);
        out.put_len(exemplar.labels.len() << 1 | usize::from(*timed));
        out.put_f64(exemplar.value);
        for (name, value) in &exemplar.labels {
            out.put_text(name);
            out.put_text(value);
        }
    }
}

/// Calls `visit` with each exemplar of what [`put`] wrote, in order.
///
/// # Errors
/// When it is cut or damaged; those before the damage have been visited.
pub fn each(payload: &[u8], mut visit: impl FnMut(LoggedExemplar)) -> Result<(), CodecError> {
    let mut reader = ByteReader::new(payload);
    reader.u8()?;
    let (mut next, mut time) = (0u64, 0i64);
    let mut buf = LabelsBuf::new();
    for _ in 0..reader.len("exemplar count", reader.remaining())? {
        let series = next.wrapping_add(reader.zigzag()?.cast_unsigned());
        time = time.wrapping_add(reader.zigzag()?);
        next = series.wrapping_add(1);
        let shape = reader.len("label count", MAX_LABELS << 1 | 1)?;
        let value = reader.f64()?;
        buf.clear();
        for _ in 0..shape >> 1 {
            let (name, value) = (reader.text()?, reader.text()?);
            buf.set(name, value);
        }
        let exemplar = Exemplar { labels: buf.to_labels(), value, timestamp: time };
        visit(LoggedExemplar { series: SeriesRef(series), exemplar, timed: shape & 1 == 1 });
    }
    if reader.is_empty() { Ok(()) } else { Err(reader.invalid("record length")) }
}

/// First and newest timestamp of a payload, in milliseconds, if it holds any exemplar.
///
/// # Errors
/// When it is cut or damaged.
pub fn times(payload: &[u8]) -> Result<Option<(i64, i64)>, CodecError> {
    let mut found: Option<(i64, i64)> = None;
    each(payload, |one| {
        let time = one.exemplar.timestamp;
        let (first, newest) = found.unwrap_or((time, time));
        found = Some((first, newest.max(time)));
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;
    use proptest::prelude::*;

    fn example(series: u64, timestamp: i64, timed: bool) -> LoggedExemplar {
        let labels = Labels::from_pairs([("trace_id", format!("{series:08x}").as_str()), ("b", "\u{e9}")]);
        let exemplar = Exemplar { labels, value: 0.5, timestamp };
        LoggedExemplar { series: SeriesRef(series), exemplar, timed }
    }

    #[test]
    fn exemplars_come_back() {
        let mut all = vec![example(7, -3, true), example(8, 5, false), example(2, 1 << 40, true)];
        all[1].exemplar.labels = Labels::empty();
        let (mut out, mut found) = (Vec::new(), Vec::new());
        put(&mut out, &all);
        each(&out, |one| found.push(one)).expect("own output");
        assert_eq!(found, all);
        assert_eq!(times(&out), Ok(Some((-3, 1 << 40))));
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 0usize..200, with: u8) {
            let mut out = Vec::new();
            put(&mut out, &[example(1, 5, true), example(2, 5, false)]);
            let at = at % out.len();
            out[at] ^= with;
            let _ = each(&out, |_| {});
        }
    }
}
