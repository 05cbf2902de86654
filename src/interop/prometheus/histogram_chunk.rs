//! Chunks of native histograms, with integer and with float counts.
//!
//! All samples of a chunk have one layout (schema, zero threshold, spans, bounds), and inside a chunk of counters
//! nothing goes down: whoever reads it takes the first sample for unknown and the others for no reset.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::sync::Arc;

use super::bits::{XorFloat, get_signed, get_unsigned, put_signed, put_unsigned};
use super::{BigEndian as _, Encoding};
use crate::codec::bits::{BitReader, BitWriter};
use crate::codec::{ByteReader, CodecError};
use crate::model::Histogram;
use crate::model::bounds::{MAX_HISTOGRAM_CELLS, check_histogram};
use crate::model::histogram::{Buckets, CUSTOM_SCHEMA, ResetHint, Span};

type Result<T> = std::result::Result<T, CodecError>;

/// Custom bounds that the samples of a chunk may repeat in memory for each byte of it. A bound takes five bits or more, so
/// that a chunk of [`super::float_chunk::MAX_SAMPLES`] has no more, and neither do larger ones that hold something.
const BOUNDS_FOR_BYTE: usize = 256;
/// Powers of two that a zero threshold has a short form for: 2^-243 to 2^10.
const SHORT_THRESHOLDS: std::ops::RangeInclusive<i32> = -243..=10;

fn invalid(what: &'static str) -> CodecError {
    CodecError::Invalid { what, at: 0 }
}

/// Encodes histograms in order of time.
#[derive(Debug)]
pub struct HistogramChunk {
    bits: BitWriter,
    count: u16,
    encoding: Encoding,
    header: u8,
    last: Arc<Histogram>,
    time: i64,
    state: State,
}

/// What the next sample is stored as the difference to.
#[derive(Debug, Default, Clone)]
struct State {
    delta: i64,
    counts: Vec<Counter>,
    floats: Vec<XorFloat>,
    sum: XorFloat,
}

/// An integer stored as its second difference.
#[derive(Debug, Default, Clone, Copy)]
struct Counter {
    last: i64,
    delta: i64,
}

impl Counter {
    fn put(&mut self, out: &mut BitWriter, value: i64) {
        let delta = value.wrapping_sub(self.last);
        put_signed(out, delta.wrapping_sub(self.delta));
        *self = Self { last: value, delta };
    }

    fn get(&mut self, bits: &mut BitReader<'_>) -> Result<i64> {
        self.delta = self.delta.wrapping_add(get_signed(bits)?);
        self.last = self.last.wrapping_add(self.delta);
        Ok(self.last)
    }
}

/// `value` as an unsigned integer, if it is one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be whole and in range"
)]
fn whole(value: f64) -> Option<u64> {
    (value.fract() == 0.0 && (0.0..9.2e18).contains(&value)).then_some(value as u64)
}

/// How a histogram has to be encoded.
pub fn encoding_of(histogram: &Histogram) -> Encoding {
    let counts = histogram.positive.counts.iter().chain(&histogram.negative.counts);
    let all = counts.chain([&histogram.count, &histogram.zero_count]);
    if histogram.integer && all.into_iter().all(|count| whole(*count).is_some()) {
        Encoding::Histogram
    } else {
        Encoding::FloatHistogram
    }
}

/// Counts of all buckets as integers, each as the difference to the one before of its sign.
fn bucket_deltas(histogram: &Histogram) -> impl Iterator<Item = i64> + '_ {
    let deltas = |counts: &[f64]| {
        let mut last = 0i64;
        let each = counts.iter().map(move |count| {
            let count = whole(*count).unwrap_or(0).cast_signed();
            let delta = count - last;
            last = count;
            delta
        });
        each.collect::<Vec<_>>()
    };
    deltas(&histogram.positive.counts).into_iter().chain(deltas(&histogram.negative.counts))
}

fn bucket_counts(histogram: &Histogram) -> impl Iterator<Item = f64> + '_ {
    histogram.positive.counts.iter().chain(&histogram.negative.counts).copied()
}

impl HistogramChunk {
    /// A chunk that begins with `histogram`; `hint` is what it says of itself.
    pub fn new(timestamp: i64, histogram: &Arc<Histogram>) -> Self {
        let header = match histogram.reset_hint {
            ResetHint::Unknown => 0,
            ResetHint::NotReset => 0b0100_0000,
            ResetHint::Reset => 0b1000_0000,
            ResetHint::Gauge => 0b1100_0000,
        };
        let mut chunk = Self {
            bits: BitWriter::new(),
            count: 0,
            encoding: encoding_of(histogram),
            header,
            last: Arc::clone(histogram),
            time: timestamp,
            state: State::default(),
        };
        let stale = Arc::new(Histogram { integer: histogram.integer, ..Histogram::stale() });
        let histogram = if histogram.is_stale() { &stale } else { histogram };
        chunk.put_layout(histogram);
        chunk.put_first(timestamp, histogram);
        chunk
    }

    /// Number of samples so far.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Never: it begins with one.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How it is encoded.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Whether `histogram` can follow in this chunk.
    pub fn takes(&self, histogram: &Histogram) -> bool {
        if histogram.is_stale() {
            return true;
        }
        let last = &*self.last;
        let gauge = self.header == 0b1100_0000;
        let same_layout = last.schema == histogram.schema
            && last.zero_threshold.to_bits() == histogram.zero_threshold.to_bits()
            && last.positive.spans == histogram.positive.spans
            && last.negative.spans == histogram.negative.spans
            && last.custom_values == histogram.custom_values;
        if last.is_stale() || encoding_of(histogram) != self.encoding || !same_layout {
            return false;
        }
        if gauge || histogram.reset_hint == ResetHint::Gauge {
            return gauge && histogram.reset_hint == ResetHint::Gauge;
        }
        let goes_down = histogram.count < last.count
            || histogram.zero_count < last.zero_count
            || bucket_counts(histogram).zip(bucket_counts(last)).any(|(now, before)| now < before);
        histogram.reset_hint != ResetHint::Reset && !goes_down
    }

    /// Adds a histogram that the chunk takes; there must be fewer than 65,535.
    pub fn push(&mut self, timestamp: i64, histogram: &Arc<Histogram>) {
        let stale = histogram.is_stale();
        let delta = timestamp.wrapping_sub(self.time);
        put_signed(&mut self.bits, delta.wrapping_sub(self.state.delta));
        let (bits, state) = (&mut self.bits, &mut self.state);
        match self.encoding {
            Encoding::Histogram if stale => {
                // Nobody looks at the counts of a stale marker.
                put_signed(bits, 0);
                put_signed(bits, 0);
                state.sum.put(bits, histogram.sum);
            }
            Encoding::Histogram => {
                let totals =
                    [histogram.count, histogram.zero_count].map(|n| whole(n).unwrap_or(0).cast_signed());
                let mut counters = state.counts.iter_mut();
                for (counter, total) in counters.by_ref().zip(totals) {
                    counter.put(bits, total);
                }
                state.sum.put(bits, histogram.sum);
                for (counter, count) in state.counts.iter_mut().skip(2).zip(bucket_deltas(histogram)) {
                    counter.put(bits, count);
                }
            }
            _ => {
                for (float, total) in state.floats.iter_mut().zip([histogram.count, histogram.zero_count]) {
                    float.put(bits, if stale { 0.0 } else { total });
                }
                state.sum.put(bits, histogram.sum);
                if !stale {
                    for (float, count) in state.floats.iter_mut().skip(2).zip(bucket_counts(histogram)) {
                        float.put(bits, count);
                    }
                }
            }
        }
        self.state.delta = delta;
        self.time = timestamp;
        self.last = Arc::clone(histogram);
        self.count = self.count.saturating_add(1);
    }

    fn put_layout(&mut self, histogram: &Histogram) {
        let out = &mut self.bits;
        put_threshold(out, histogram.zero_threshold);
        put_signed(out, i64::from(histogram.schema));
        for buckets in [&histogram.positive, &histogram.negative] {
            put_unsigned(out, buckets.spans.len() as u64);
            for span in &buckets.spans {
                put_unsigned(out, u64::from(span.length));
                put_signed(out, i64::from(span.offset));
            }
        }
        if histogram.schema == CUSTOM_SCHEMA {
            put_unsigned(out, histogram.custom_values.len() as u64);
            histogram.custom_values.iter().for_each(|bound| put_bound(out, *bound));
        }
    }

    fn put_first(&mut self, timestamp: i64, histogram: &Histogram) {
        let (bits, state) = (&mut self.bits, &mut self.state);
        put_signed(bits, timestamp);
        state.sum = XorFloat::new(histogram.sum);
        let totals = [histogram.count, histogram.zero_count];
        if self.encoding == Encoding::Histogram {
            let totals = totals.map(|n| whole(n).unwrap_or(0));
            totals.iter().for_each(|total| put_unsigned(bits, *total));
            bits.put(histogram.sum.to_bits(), 64);
            state.counts.extend(totals.map(|total| Counter { last: total.cast_signed(), delta: 0 }));
            for count in bucket_deltas(histogram) {
                put_signed(bits, count);
                state.counts.push(Counter { last: count, delta: 0 });
            }
        } else {
            totals.iter().for_each(|total| bits.put(total.to_bits(), 64));
            bits.put(histogram.sum.to_bits(), 64);
            state.floats.extend(totals.map(XorFloat::new));
            for count in bucket_counts(histogram) {
                bits.put(count.to_bits(), 64);
                state.floats.push(XorFloat::new(count));
            }
        }
        self.count = 1;
    }

    /// The chunk: number of samples, what is known of a reset before the first, then the bits.
    pub fn finish(self) -> Vec<u8> {
        let mut out = self.count.to_be_bytes().to_vec();
        out.push(self.header);
        out.extend_from_slice(self.bits.as_bytes());
        out
    }
}

fn put_threshold(out: &mut BitWriter, threshold: f64) {
    if threshold == 0.0 {
        return out.put(0, 8);
    }
    let short = SHORT_THRESHOLDS.zip(1u64..).find(|(exponent, _)| threshold == 2f64.powi(*exponent));
    if let Some((_, number)) = short {
        out.put(number, 8);
    } else {
        out.put(255, 8);
        out.put(threshold.to_bits(), 64);
    }
}

fn get_threshold(bits: &mut BitReader<'_>) -> Result<f64> {
    Ok(match bits.get(8)? {
        0 => 0.0,
        255 => f64::from_bits(bits.get(64)?),
        number => 2f64.powi(SHORT_THRESHOLDS.start() + i32::try_from(number).unwrap_or(0) - 1),
    })
}

/// Bounds of at most three decimals have a short form.
fn put_bound(out: &mut BitWriter, bound: f64) {
    let thousandths = (bound * 1000.0).round();
    let short = whole(thousandths).filter(|n| *n <= 33_554_430 && thousandths / 1000.0 == bound);
    if let Some(number) = short {
        put_unsigned(out, number + 1);
    } else {
        out.put(0, 1);
        out.put(bound.to_bits(), 64);
    }
}

fn get_bound(bits: &mut BitReader<'_>) -> Result<f64> {
    Ok(match get_unsigned(bits)? {
        0 => f64::from_bits(bits.get(64)?),
        number => (number - 1) as f64 / 1000.0,
    })
}

/// Spans that have buckets, and the number of those. An empty span says no more than that the next one is further away;
/// it takes no bits in the samples, each of which repeats it in memory.
fn get_spans(bits: &mut BitReader<'_>) -> Result<(Vec<Span>, usize)> {
    let (mut spans, mut buckets, mut gap) = (Vec::new(), 0usize, 0i32);
    for _ in 0..get_unsigned(bits)? {
        let length = u32::try_from(get_unsigned(bits)?).map_err(|_| invalid("length of a span"))?;
        let offset = i32::try_from(get_signed(bits)?).ok().and_then(|offset| gap.checked_add(offset));
        gap = offset.ok_or_else(|| invalid("offset of a span"))?;
        buckets = buckets.saturating_add(length as usize);
        if buckets > MAX_HISTOGRAM_CELLS {
            return Err(invalid("number of buckets"));
        }
        if length > 0 {
            spans.push(Span { offset: std::mem::take(&mut gap), length });
        }
    }
    Ok((spans, buckets))
}

/// Reads the next value of `float`; says whether it is another one.
fn next_float(float: &mut XorFloat, bits: &mut BitReader<'_>) -> Result<bool> {
    let before = float.value().to_bits();
    Ok(float.get(bits)?.to_bits() != before)
}

/// Calls `each` with the histograms of a chunk in their order.
///
/// # Errors
/// When the chunk ends before its samples do, its layout is none, or a histogram is larger than one may be.
pub fn decode(chunk: &[u8], encoding: Encoding, mut each: impl FnMut(i64, Arc<Histogram>)) -> Result<()> {
    let mut head = ByteReader::new(chunk);
    let (count, header) = (head.be16()?, head.u8()? & 0b1100_0000);
    if count == 0 {
        return Ok(());
    }
    let mut bits = BitReader::new(head.bytes(head.remaining())?);
    let zero_threshold = get_threshold(&mut bits)?;
    let schema = i32::try_from(get_signed(&mut bits)?).map_err(|_| invalid("schema"))?;
    if !(-4..=8).contains(&schema) && schema != CUSTOM_SCHEMA {
        return Err(invalid("schema"));
    }
    let (positive_spans, positive) = get_spans(&mut bits)?;
    let (negative_spans, negative) = get_spans(&mut bits)?;
    let mut custom_values = Vec::new();
    if schema == CUSTOM_SCHEMA {
        for _ in 0..get_unsigned(&mut bits)? {
            custom_values.push(get_bound(&mut bits)?);
        }
    }
    let mut last: Option<Arc<Histogram>> = None;
    let mut repeated = 0usize;
    let mut time = get_signed(&mut bits)?;
    let mut state = State::default();
    let values = 2 + positive + negative;
    for number in 0..count {
        let (mut stale, mut changed) = (false, false);
        if number == 0 {
            for index in 0..values {
                if index == 2 {
                    state.sum = XorFloat::new(f64::from_bits(bits.get(64)?));
                }
                match encoding {
                    Encoding::Histogram if index < 2 => {
                        let last = get_unsigned(&mut bits)?.cast_signed();
                        state.counts.push(Counter { last, delta: 0 });
                    }
                    Encoding::Histogram => {
                        state.counts.push(Counter { last: get_signed(&mut bits)?, delta: 0 });
                    }
                    _ => state.floats.push(XorFloat::new(f64::from_bits(bits.get(64)?))),
                }
            }
            if values == 2 {
                state.sum = XorFloat::new(f64::from_bits(bits.get(64)?));
            }
        } else {
            state.delta = state.delta.wrapping_add(get_signed(&mut bits)?);
            time = time.wrapping_add(state.delta);
            for index in 0..values {
                if index == 2 {
                    changed |= next_float(&mut state.sum, &mut bits)?;
                    stale = crate::model::is_stale(state.sum.value());
                    if stale {
                        break;
                    }
                }
                if let Some(counter) = state.counts.get_mut(index) {
                    let before = counter.last;
                    changed |= counter.get(&mut bits)? != before;
                }
                if let Some(float) = state.floats.get_mut(index) {
                    changed |= next_float(float, &mut bits)?;
                }
            }
            if values == 2 {
                changed |= next_float(&mut state.sum, &mut bits)?;
            }
        }
        let integer = encoding == Encoding::Histogram;
        if stale || crate::model::is_stale(state.sum.value()) {
            last = None;
            each(time, Arc::new(Histogram { integer, ..Histogram::stale() }));
            continue;
        }
        // Of a target that rests there are many, each of a few bits.
        if let Some(last) = last.as_ref().filter(|_| !changed) {
            each(time, Arc::clone(last));
            continue;
        }
        let (totals, mut counts) = absolute(&state, positive);
        let negative_counts = counts.split_off(positive.min(counts.len()));
        let reset_hint = match (header, number) {
            (0b1100_0000, _) => ResetHint::Gauge,
            // What was before the first is not known here, whatever the chunk says.
            (_, 0) => ResetHint::Unknown,
            _ => ResetHint::NotReset,
        };
        repeated += custom_values.len();
        if repeated > chunk.len().saturating_mul(BOUNDS_FOR_BYTE) {
            return Err(invalid("number of bounds"));
        }
        let histogram = Histogram {
            schema,
            zero_threshold,
            zero_count: totals.1,
            count: totals.0,
            sum: state.sum.value(),
            positive: Buckets { spans: positive_spans.clone(), counts },
            negative: Buckets { spans: negative_spans.clone(), counts: negative_counts },
            custom_values: custom_values.clone(),
            reset_hint,
            integer,
        };
        check_histogram(&histogram).map_err(|_| invalid("size of a histogram"))?;
        let histogram = Arc::new(histogram);
        // What the first says of a reset no other does.
        last = (number > 0).then(|| Arc::clone(&histogram));
        each(time, histogram);
    }
    Ok(())
}

/// Count and zero count, then the counts of all buckets; the first `positive` are of one sign.
fn absolute(state: &State, positive: usize) -> ((f64, f64), Vec<f64>) {
    let all: Vec<f64> = if state.floats.is_empty() {
        let mut running = 0i64;
        let numbers = state.counts.iter().enumerate().map(|(index, counter)| {
            if index < 2 {
                return counter.last.cast_unsigned() as f64;
            }
            if index == 2 || index == 2 + positive {
                running = 0;
            }
            running = running.wrapping_add(counter.last);
            running as f64
        });
        numbers.collect()
    } else {
        state.floats.iter().map(|float| float.value()).collect()
    };
    let mut numbers = all.into_iter();
    let totals = (numbers.next().unwrap_or(0.0), numbers.next().unwrap_or(0.0));
    (totals, numbers.collect())
}

#[cfg(test)]
#[path = "histogram_chunk_tests.rs"]
mod tests;
