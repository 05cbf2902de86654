//! Version 1 of the stored index: one table of symbols, series as pairs of them, postings as roaring bitmaps.
//!
//! **Format**: `docs/format/index.md`, "Version 1". Read only.

use std::sync::OnceLock;

use super::rows::{Columns, Rows, Timeline, as_u32};
use crate::codec::{ByteReader, CodecError};
use crate::tsdb::chunk::{MAX_COLUMN_SAMPLES, timeline};

pub(super) const VERSION: u8 = 1;

/// Reads everything before the bundles.
pub(super) fn read_rows(reader: &mut ByteReader<'_>) -> Result<(Rows, Columns), CodecError> {
    let symbols = read_symbols(reader)?;
    let read_symbol = |reader: &mut ByteReader<'_>| -> Result<u32, CodecError> {
        let number = reader.varint32("symbol")?;
        if (number as usize) < symbols.len() { Ok(number) } else { Err(reader.invalid("symbol")) }
    };
    let mut columns = Columns::default();
    let mut labels: Vec<(u32, u32)> = Vec::new();
    let mut ends = Vec::new();
    let mut timeline = 0i64;
    for _ in 0..reader.len("series count", reader.remaining())? {
        let start = labels.len();
        for _ in 0..reader.len("label count", reader.remaining())? {
            labels.push((read_symbol(reader)?, read_symbol(reader)?));
        }
        if !labels.get(start..).unwrap_or_default().is_sorted_by(|a, b| a.0 < b.0) {
            return Err(reader.invalid("order of labels"));
        }
        ends.push(as_u32(labels.len())?);
        for _ in 0..reader.len("column count", reader.remaining())? {
            timeline = timeline.wrapping_add(reader.zigzag()?);
            columns.timelines.push(u32::try_from(timeline).map_err(|_| reader.invalid("timeline number"))?);
        }
        columns.ends.push(as_u32(columns.timelines.len())?);
    }
    // Postings are counted from the series now.
    for _ in 0..reader.len("pair count", reader.remaining())? {
        read_symbol(reader)?;
        read_symbol(reader)?;
        let len = reader.len("postings length", reader.remaining())?;
        reader.bytes(len)?;
    }

    // Symbols are sorted, so pairs of their numbers sort as the texts do.
    let mut pairs = labels.clone();
    pairs.sort_unstable();
    pairs.dedup();
    let mut rows = Rows { ends, ..Rows::default() };
    for (name, value) in &pairs {
        let text = |symbol: &u32| symbols.get(*symbol as usize).map_or("", |s| &**s);
        if rows.names.last().is_none_or(|(before, _)| **before != *text(name)) {
            rows.names.push((text(name).into(), as_u32(rows.value_ends.len())?));
        }
        rows.push_value(0, text(value))?;
    }
    for label in &labels {
        rows.pairs.push(as_u32(pairs.partition_point(|pair| pair < label))?);
    }
    Ok((rows, columns))
}

fn read_symbols(reader: &mut ByteReader<'_>) -> Result<Vec<Box<str>>, CodecError> {
    let mut symbols: Vec<Box<str>> = Vec::new();
    for _ in 0..reader.len("symbol count", reader.remaining())? {
        let shared = reader.varint()?;
        let previous = symbols.last().map_or("", |s| &**s);
        let shared = usize::try_from(shared)
            .ok()
            .and_then(|n| previous.get(..n))
            .ok_or_else(|| reader.invalid("symbol"))?;
        let text = format!("{shared}{}", reader.text()?);
        if !symbols.is_empty() && *text <= *previous {
            return Err(reader.invalid("order of symbols"));
        }
        symbols.push(text.into_boxed_str());
    }
    Ok(symbols)
}

/// Reads one timeline, which version 1 stored without its size.
pub(super) fn read_timeline(reader: &mut ByteReader<'_>) -> Result<Timeline, CodecError> {
    let all = timeline::decode(reader, MAX_COLUMN_SAMPLES)?;
    let (first, last) = (all.first().copied().unwrap_or(0), all.last().copied().unwrap_or(0));
    Ok(Timeline {
        count: all.len(),
        first,
        last,
        bytes: Box::default(),
        decoded: OnceLock::from(Ok(all.into_boxed_slice())),
    })
}
