//! Columns of native histograms: runs of equal layout, each field and each bucket a column of its own.
//!
//! Counts are kept as they are, absolute; the columns find the differences. Everything is bit-exact.
//!
//! **Format**: `docs/format/chunks.md`, "Histograms".
//! **Cost**: decoding allocates each histogram and its buckets; the total of buckets is bounded.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::sync::Arc;

use super::column;
use super::ints;
use crate::codec::{ByteReader, ByteWriter, CodecError};
use crate::model::bounds::MAX_HISTOGRAM_CELLS;
use crate::model::histogram::{Buckets, Histogram, ResetHint, Span};

/// Cells (see [`Histogram::cells`]) in one encoded column at most, however many histograms that are; one histogram may
/// have more, up to [`MAX_HISTOGRAM_CELLS`].
pub const MAX_CELLS: usize = 1 << 13;
/// Cells that are decoded from one column at most: bounds what damaged bytes can make us allocate.
const MAX_DECODED_CELLS: usize = 1 << 22;
const _: () = assert!(MAX_CELLS + MAX_HISTOGRAM_CELLS <= MAX_DECODED_CELLS);

/// What a histogram is apart from its layout: the hint, or a plain stale marker.
const STALE: i64 = 4;

/// How many of `histograms`, from the first on, make one column: as many as have [`MAX_CELLS`] cells together, at least
/// one, at most `most`.
pub fn column_len<'a>(histograms: impl IntoIterator<Item = &'a Histogram>, most: usize) -> usize {
    let mut cells = 0;
    let fits = |histogram: &&Histogram| {
        let first = cells == 0;
        cells += histogram.cells();
        first || cells <= MAX_CELLS
    };
    histograms.into_iter().take(most).take_while(fits).count()
}

fn hint_number(hint: ResetHint) -> i64 {
    match hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    }
}

fn hint_of(number: i64) -> Option<ResetHint> {
    [ResetHint::Unknown, ResetHint::Reset, ResetHint::NotReset, ResetHint::Gauge]
        .into_iter()
        .find(|hint| hint_number(*hint) == number)
}

/// Whether it is what [`Histogram::stale`] makes, bit for bit: such need no layout.
fn is_plain_stale(h: &Histogram) -> bool {
    let stale = Histogram::stale();
    h.is_stale()
        && same_layout(h, &stale)
        && h.count.to_bits() == stale.count.to_bits()
        && h.zero_count.to_bits() == stale.zero_count.to_bits()
        && h.reset_hint == stale.reset_hint
}

fn same_layout(a: &Histogram, b: &Histogram) -> bool {
    a.schema == b.schema
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.integer == b.integer
        && a.positive.spans == b.positive.spans
        && a.negative.spans == b.negative.spans
        && a.positive.counts.len() == b.positive.counts.len()
        && a.negative.counts.len() == b.negative.counts.len()
        && a.custom_values.len() == b.custom_values.len()
        && a.custom_values.iter().zip(&b.custom_values).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// Appends the column of `histograms` to `out`.
pub fn encode(histograms: &[Arc<Histogram>], scratch: &mut column::Scratch, out: &mut Vec<u8>) {
    let kinds: Vec<i64> = histograms
        .iter()
        .map(|h| if is_plain_stale(h) { STALE } else { hint_number(h.reset_hint) })
        .collect();
    ints::pack(&kinds, &mut ints::Scratch::default(), out);
    let full: Vec<&Histogram> =
        histograms.iter().zip(&kinds).filter(|(_, k)| **k != STALE).map(|(h, _)| &**h).collect();
    let mut values = Vec::with_capacity(full.len());
    let mut packed = Vec::new();
    for run in full.chunk_by(|a, b| same_layout(a, b)) {
        let Some(layout) = run.first() else { continue };
        out.put_len(run.len());
        put_layout(layout, out);
        let mut put = |field: &dyn Fn(&Histogram) -> f64| {
            values.clear();
            values.extend(run.iter().map(|h| field(h)));
            packed.clear();
            column::encode(&values, scratch, &mut packed);
            out.put_len(packed.len());
            out.put_bytes(&packed);
        };
        put(&|h| h.count);
        put(&|h| h.zero_count);
        put(&|h| h.sum);
        for at in 0..layout.positive.counts.len() {
            put(&|h| h.positive.counts.get(at).copied().unwrap_or(0.0));
        }
        for at in 0..layout.negative.counts.len() {
            put(&|h| h.negative.counts.get(at).copied().unwrap_or(0.0));
        }
    }
}

fn put_layout(h: &Histogram, out: &mut Vec<u8>) {
    out.put_u8(u8::from(h.integer));
    out.put_zigzag(i64::from(h.schema));
    out.put_f64(h.zero_threshold);
    for buckets in [&h.positive, &h.negative] {
        out.put_len(buckets.counts.len());
        out.put_len(buckets.spans.len());
        for span in &buckets.spans {
            out.put_zigzag(i64::from(span.offset));
            out.put_varint(u64::from(span.length));
        }
    }
    out.put_len(h.custom_values.len());
    h.custom_values.iter().for_each(|value| out.put_f64(*value));
}

fn read_layout(reader: &mut ByteReader<'_>) -> Result<Histogram, CodecError> {
    let integer = reader.u8()? != 0;
    let schema = i32::try_from(reader.zigzag()?).map_err(|_| reader.invalid("schema"))?;
    let zero_threshold = reader.f64()?;
    let (positive, negative) = (read_buckets(reader)?, read_buckets(reader)?);
    let customs = reader.len("custom value count", reader.remaining() / 8)?;
    let mut custom_values = Vec::with_capacity(customs);
    for _ in 0..customs {
        custom_values.push(reader.f64()?);
    }
    Ok(Histogram {
        schema,
        zero_threshold,
        positive,
        negative,
        custom_values,
        integer,
        ..Histogram::default()
    })
}

fn read_buckets(reader: &mut ByteReader<'_>) -> Result<Buckets, CodecError> {
    // Each bucket has a column of some bytes behind the layout.
    let counts = vec![0.0; reader.len("bucket count", reader.remaining())?];
    let count = reader.len("span count", reader.remaining())?;
    let mut spans = Vec::new();
    for _ in 0..count {
        let offset = i32::try_from(reader.zigzag()?).map_err(|_| reader.invalid("span offset"))?;
        spans.push(Span { offset, length: reader.varint32("span length")? });
    }
    Ok(Buckets { spans, counts })
}

/// Reads the `count` histograms of column `bytes`.
///
/// # Errors
/// When the bytes are cut or damaged.
pub fn decode(bytes: &[u8], count: usize) -> Result<Vec<Arc<Histogram>>, CodecError> {
    let mut reader = ByteReader::new(bytes);
    if count > super::MAX_COLUMN_SAMPLES {
        return Err(reader.invalid("histogram count"));
    }
    let mut kinds = Vec::new();
    ints::unpack(&mut reader, count, &mut kinds)?;
    let wanted = kinds.iter().filter(|kind| **kind != STALE).count();
    let mut full: Vec<Histogram> = Vec::new();
    let mut cells_left = MAX_DECODED_CELLS;
    let mut values = Vec::new();
    while full.len() < wanted {
        let run = reader.len("histogram run", wanted - full.len())?;
        let layout = read_layout(&mut reader)?;
        let needed = layout.cells().saturating_mul(run);
        // A run of none would come back here for ever.
        cells_left =
            cells_left.checked_sub(needed).filter(|_| run > 0).ok_or_else(|| reader.invalid("run"))?;
        let (positive, negative) = (layout.positive.counts.len(), layout.negative.counts.len());
        let start = full.len();
        full.resize(start + run, layout);
        let mut read = |field: &dyn Fn(&mut Histogram) -> Option<&mut f64>| -> Result<(), CodecError> {
            let len = reader.len("histogram field", reader.remaining())?;
            values.clear();
            column::decode(reader.bytes(len)?, run, &mut values)?;
            for (histogram, value) in full.iter_mut().skip(start).zip(&values) {
                if let Some(slot) = field(histogram) {
                    *slot = *value;
                }
            }
            Ok(())
        };
        read(&|h| Some(&mut h.count))?;
        read(&|h| Some(&mut h.zero_count))?;
        read(&|h| Some(&mut h.sum))?;
        for at in 0..positive {
            read(&|h| h.positive.counts.get_mut(at))?;
        }
        for at in 0..negative {
            read(&|h| h.negative.counts.get_mut(at))?;
        }
    }
    let mut full = full.into_iter();
    let assemble = |kind: &i64| {
        if *kind == STALE {
            return Ok(Arc::new(Histogram::stale()));
        }
        let reset_hint = hint_of(*kind).ok_or_else(|| reader.invalid("reset hint"))?;
        let histogram = full.next().ok_or_else(|| reader.invalid("histogram count"))?;
        Ok(Arc::new(Histogram { reset_hint, ..histogram }))
    };
    kinds.iter().map(assemble).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::stale_nan;
    use proptest::prelude::*;

    /// All bits of a histogram.
    fn bits(h: &Histogram) -> String {
        let floats = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let all = [h.zero_threshold, h.zero_count, h.count, h.sum];
        format!(
            "{} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {}",
            h.schema,
            floats(&all),
            h.positive.spans,
            floats(&h.positive.counts),
            h.negative.spans,
            floats(&h.negative.counts),
            floats(&h.custom_values),
            h.reset_hint,
            h.integer
        )
    }

    fn round_trip(histograms: &[Arc<Histogram>]) -> usize {
        let mut out = Vec::new();
        encode(histograms, &mut column::Scratch::default(), &mut out);
        let back = decode(&out, histograms.len()).expect("own output");
        assert_eq!(back.len(), histograms.len());
        for (a, b) in back.iter().zip(histograms) {
            assert_eq!(bits(a), bits(b));
        }
        out.len()
    }

    /// A histogram that has seen `n` rounds of observations, with `buckets` buckets.
    pub(in crate::tsdb) fn growing(n: u32, buckets: u32) -> Histogram {
        let counts: Vec<f64> = (0..buckets).map(|b| f64::from(n * (b + 1))).collect();
        Histogram {
            schema: 3,
            zero_threshold: 1e-128,
            zero_count: f64::from(n / 7),
            count: counts.iter().sum::<f64>() + f64::from(n / 7),
            sum: f64::from(n) * 1.25,
            positive: Buckets { spans: vec![Span { offset: -3, length: buckets }], counts },
            integer: true,
            ..Histogram::default()
        }
    }

    #[test]
    fn regular_histograms_take_a_few_bytes_each() {
        let histograms: Vec<_> = (0..120).map(|n| Arc::new(growing(n, 20))).collect();
        assert!(round_trip(&histograms) < 120 * 3);
    }

    #[test]
    fn changes_of_layout_and_specials_come_back() {
        let mut all: Vec<Arc<Histogram>> = (0..30).map(|n| Arc::new(growing(n, 5 + n / 10))).collect();
        all.insert(3, Arc::new(Histogram::stale()));
        all.insert(9, Arc::new(Histogram { sum: stale_nan(), ..growing(4, 2) }));
        all.push(Arc::new(Histogram {
            schema: crate::model::histogram::CUSTOM_SCHEMA,
            custom_values: vec![0.1, 1.0, f64::INFINITY],
            sum: f64::from_bits(0x7ff8_0000_dead_beef),
            zero_count: -0.0,
            reset_hint: ResetHint::Gauge,
            negative: Buckets { spans: vec![Span { offset: i32::MIN, length: 1 }], counts: vec![0.5] },
            ..Histogram::default()
        }));
        all.push(Arc::new(Histogram { reset_hint: ResetHint::Reset, ..growing(1, 3) }));
        round_trip(&all);
        round_trip(&[]);
    }

    proptest! {
        #[test]
        fn any_histograms_come_back(parts in prop::collection::vec(
            (any::<[u64; 4]>(), -4i32..9, prop::collection::vec(any::<u64>(), 0..4), 0i64..4, any::<bool>()), 0..12
        )) {
            let float = f64::from_bits;
            let histograms: Vec<_> = parts.into_iter().map(|(four, schema, counts, hint, integer)| {
                let counts: Vec<f64> = counts.into_iter().map(float).collect();
                let length = u32::try_from(counts.len()).expect("few");
                Arc::new(Histogram {
                    schema, integer,
                    zero_threshold: float(four[0]), zero_count: float(four[1]),
                    count: float(four[2]), sum: float(four[3]),
                    negative: Buckets { spans: vec![Span { offset: schema, length }], counts },
                    reset_hint: hint_of(hint).expect("hint"),
                    ..Histogram::default()
                })
            }).collect();
            round_trip(&histograms);
        }

        #[test]
        fn damaged_bytes_never_panic(at in 0usize..2000, byte: u8, count in 0usize..40) {
            let histograms: Vec<_> = (0..30).map(|n| Arc::new(growing(n, 3 + n / 10))).collect();
            let mut bytes = Vec::new();
            encode(&histograms, &mut column::Scratch::default(), &mut bytes);
            let at = at % bytes.len();
            bytes[at] ^= byte;
            let _ = (decode(&bytes, 30), decode(&bytes, count));
            bytes.truncate(at);
            prop_assert!(decode(&bytes, 30).is_err());
        }
    }
}
