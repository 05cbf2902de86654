//! Quantiles and fractions estimated from buckets: those of classic histograms, and native ones beside them.

use hashbrown::HashMap;

use crate::model::{Labels, LabelsBuf};
use crate::promql::annotations::{Annotation, MonotonicityFix};
use crate::promql::error::Error;
use crate::promql::exec::batch::{Batch, Presence, ROW_WORK, Row};
use crate::promql::exec::histogram::{self as native, Doubt};
use crate::promql::exec::operator::drop_name;
use crate::promql::exec::{Column, Context};
use crate::promql::memory::Ticket;
use crate::promql::plan::{Grid, HistogramFunc};
use crate::promql::syntax::ast::Span;
use crate::promql::syntax::quote::plain_float;

const BUCKET_LABEL: &str = "le";

/// Counts that differ by less than this, relative to their sum, are taken as equal.
const TOLERANCE: f64 = 1e-12;

/// Everything at or below `bound`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bucket {
    bound: f64,
    count: f64,
}

/// A function over buckets.
pub(crate) struct HistogramOp<'p> {
    pub(crate) func: &'p HistogramFunc,
    pub(crate) params: Vec<(Column, Span)>,
    pub(crate) span: Span,
    pub(crate) grid: Grid,
}

/// Rows that are buckets of one histogram.
struct Series {
    labels: Labels,
    drop_name: bool,
    members: Vec<(f64, usize)>,
    /// Steps, rising, at which nothing is evaluated.
    without: Vec<usize>,
}

impl HistogramOp<'_> {
    /// The rows of the result.
    pub(crate) fn run(&self, input: &[Row], cx: &Context<'_>) -> Result<Batch, Error> {
        if !matches!(self.func, HistogramFunc::Fraction) {
            for (column, span) in &self.params {
                for q in column.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
                    cx.annotate(Annotation::InvalidQuantile(*q), *span);
                }
            }
        }
        let mut series = self.group(input, cx)?;
        let native = self.native(input, &mut series, cx)?;
        let (series, native) = (series.as_slice(), native.as_slice());
        let mut out = Vec::new();
        let column = |at: usize| self.params.get(at).map_or(&[] as &[f64], |(column, _)| column);
        match self.func {
            HistogramFunc::Quantile => {
                let all = Presence::all(self.grid.count);
                self.quantiles((native, series), (column(0), &all), input, &mut Labels::clone, &mut out, cx)?;
            }
            HistogramFunc::Quantiles { label } => {
                let mut buf = LabelsBuf::new();
                for (column, _) in &self.params {
                    for (q, steps) in distinct(column, cx)?.quantiles {
                        let text = open_metrics_float(q);
                        let mut labelled = |labels: &Labels| {
                            buf.reset_to(labels);
                            buf.set(label, &text);
                            buf.to_labels()
                        };
                        self.quantiles(
                            (native, series),
                            (column, &steps),
                            input,
                            &mut labelled,
                            &mut out,
                            cx,
                        )?;
                    }
                }
            }
            HistogramFunc::Fraction => {
                for (row, steps) in native {
                    let mut result = cx.row(row.labels.clone(), self.grid.count)?;
                    result.drop_name = row.drop_name;
                    for at in steps.iter() {
                        let Some(histogram) = row.histogram(at) else { continue };
                        cx.work(histogram.weight())?;
                        let (value, doubt) = native::fraction(column(0)[at], column(1)[at], histogram);
                        result.put(at, value);
                        self.remark_doubt(doubt, row, cx);
                    }
                    out.push(result);
                }
                for series in series {
                    let mut row = self.empty(series, series.labels.clone(), cx)?;
                    let mut buckets = Vec::new();
                    for (at, (lower, upper)) in column(0).iter().zip(column(1)).enumerate() {
                        cx.work(series.members.len())?;
                        collect(series, input, at, &mut buckets);
                        if !buckets.is_empty() {
                            row.put(at, fraction(*lower, *upper, &mut buckets));
                        }
                    }
                    out.push(row);
                }
            }
        }
        cx.release(input.iter().map(Row::count).sum());
        for row in &mut out {
            cx.hold(row.count())?;
            drop_name(row, cx);
        }
        out.retain(|row| !row.is_empty());
        Ok(out)
    }

    /// Adds a row for each histogram: its quantiles at `steps`, under the labels that `labelled` makes of its own.
    fn quantiles(
        &self,
        (native, series): (&[(&Row, Presence)], &[Series]),
        (column, steps): (&[f64], &Presence),
        input: &[Row],
        labelled: &mut dyn FnMut(&Labels) -> Labels,
        out: &mut Batch,
        cx: &Context<'_>,
    ) -> Result<(), Error> {
        for (row, own) in native {
            let mut steps = steps.clone();
            steps.intersect(own);
            out.push(self.native_quantiles(row, &steps, column, labelled(&row.labels), cx)?);
        }
        for series in series {
            out.push(self.classic_quantiles(series, (column, steps), input, labelled(&series.labels), cx)?);
        }
        Ok(())
    }

    /// Rows with native histograms and the steps of those. Where classic buckets have the same labels neither
    /// counts.
    fn native<'r>(
        &self,
        input: &'r [Row],
        series: &mut [Series],
        cx: &Context<'_>,
    ) -> Result<Vec<(&'r Row, Presence)>, Error> {
        let mut out = Vec::new();
        if !input.iter().any(Row::may_have_histograms) {
            return Ok(out);
        }
        let classic: HashMap<Labels, usize> =
            series.iter().enumerate().map(|(at, series)| (series.labels.clone(), at)).collect();
        for row in input.iter().filter(|row| row.may_have_histograms()) {
            cx.work(self.grid.count)?;
            let mut steps = row.histogram_steps();
            if let Some(classic) = classic.get(&row.labels).map(|at| &mut series[*at]) {
                for at in 0..self.grid.count {
                    cx.work(classic.members.len())?;
                    let buckets = classic.members.iter().any(|(_, index)| input[*index].get(at).is_some());
                    if steps.get(at) && buckets {
                        let metric = metric_of(&row.labels, cx);
                        cx.annotate(Annotation::MixedClassicNative { metric }, self.span);
                        steps.clear(at);
                        classic.without.push(at);
                    }
                }
            }
            out.push((row, steps));
        }
        Ok(out)
    }

    fn native_quantiles(
        &self,
        row: &Row,
        steps: &Presence,
        column: &[f64],
        labels: Labels,
        cx: &Context<'_>,
    ) -> Result<Row, Error> {
        let mut out = cx.row(labels, self.grid.count)?;
        out.drop_name = row.drop_name;
        for at in steps.iter() {
            let Some(histogram) = row.histogram(at) else { continue };
            cx.work(histogram.weight())?;
            let (value, doubt) = native::quantile(column[at], histogram);
            out.put(at, value);
            self.remark_doubt(doubt, row, cx);
        }
        Ok(out)
    }

    fn remark_doubt(&self, doubt: Option<Doubt>, row: &Row, cx: &Context<'_>) {
        let Some(doubt) = doubt else { return };
        let metric = metric_of(&row.labels, cx);
        let annotation = match doubt {
            Doubt::NoResult => Annotation::NaNQuantile { metric },
            Doubt::SkewedHigher => Annotation::SkewedQuantile { metric },
            Doubt::Excluded => Annotation::NaNsOutsideFractions { metric },
        };
        cx.annotate(annotation, self.span);
    }

    fn empty(&self, series: &Series, labels: Labels, cx: &Context<'_>) -> Result<Row, Error> {
        let mut row = cx.row(labels, self.grid.count)?;
        row.drop_name = series.drop_name;
        Ok(row)
    }

    fn classic_quantiles(
        &self,
        series: &Series,
        (column, steps): (&[f64], &Presence),
        input: &[Row],
        labels: Labels,
        cx: &Context<'_>,
    ) -> Result<Row, Error> {
        let mut row = self.empty(series, labels, cx)?;
        let mut buckets = Vec::new();
        for at in steps.iter() {
            cx.work(series.members.len())?;
            let q = column[at];
            collect(series, input, at, &mut buckets);
            if buckets.is_empty() {
                continue;
            }
            let (value, fix) = quantile(q, &mut buckets);
            row.put(at, value);
            if let Some(mut fix) = fix {
                let time = self.grid.time(at);
                (fix.first_ms, fix.last_ms) = (time, time);
                let metric = metric_of(&series.labels, cx);
                cx.annotate(Annotation::ForcedMonotonicity { metric, fix }, self.span);
            }
        }
        Ok(row)
    }

    fn group(&self, input: &[Row], cx: &Context<'_>) -> Result<Vec<Series>, Error> {
        let mut known: HashMap<Labels, usize> = HashMap::new();
        let mut out: Vec<Series> = Vec::new();
        for (index, row) in input.iter().enumerate() {
            cx.work(ROW_WORK)?;
            if row.may_have_histograms() && !row.present.iter().any(|at| row.get(at).is_some()) {
                continue;
            }
            let text = row.labels.get(BUCKET_LABEL).unwrap_or("");
            let Some(bound) = parse_bound(text) else {
                let metric = metric_of(&row.labels, cx);
                cx.annotate(Annotation::BadBucketLabel { value: text.to_owned(), metric }, self.span);
                continue;
            };
            let labels = row.labels.without(|name| name == BUCKET_LABEL);
            let at = *known.entry(labels).or_insert_with_key(|labels| {
                out.push(Series {
                    labels: labels.clone(),
                    drop_name: false,
                    members: Vec::new(),
                    without: Vec::new(),
                });
                out.len() - 1
            });
            out[at].drop_name |= row.drop_name;
            out[at].members.push((bound, index));
        }
        for series in &mut out {
            series.members.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
        }
        Ok(out)
    }
}

/// The quantiles that a column asks for, each with the steps at which it does.
struct Distinct {
    quantiles: Vec<(f64, Presence)>,
    _memory: Ticket,
}

fn distinct(column: &[f64], cx: &Context<'_>) -> Result<Distinct, Error> {
    let mut memory = cx.reserve(0)?;
    let mut known: HashMap<u64, usize> = HashMap::new();
    let mut quantiles: Vec<(f64, Presence)> = Vec::new();
    let mut last = (u64::MAX, 0);
    for (at, q) in column.iter().enumerate() {
        cx.work(1)?;
        // All that is not a number reads alike, and so do both zeros.
        let key = if q.is_nan() { f64::NAN.to_bits() } else { (*q + 0.0).to_bits() };
        if quantiles.is_empty() || last.0 != key {
            let index = *known.entry(key).or_insert(quantiles.len());
            if index == quantiles.len() {
                cx.grow(&mut memory, column.len() / 8 + 128)?;
                quantiles.push((*q, Presence::none(column.len())));
            }
            last = (key, index);
        }
        quantiles[last.1].1.set(at);
    }
    Ok(Distinct { quantiles, _memory: memory })
}

/// The name that annotations call a metric by: known only if names are dropped at the end.
fn metric_of(labels: &Labels, cx: &Context<'_>) -> String {
    if cx.delayed_names { labels.metric_name().to_owned() } else { String::new() }
}

/// The bound a label value spells.
fn parse_bound(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    // A finite text too large for a float is not a bound.
    let spelled_infinite = text.trim_start_matches(['+', '-']).to_ascii_lowercase().starts_with("inf");
    (!value.is_infinite() || spelled_infinite).then_some(value)
}

/// The buckets present at one step, bounds rising, equal bounds merged.
fn collect(series: &Series, input: &[Row], at: usize, out: &mut Vec<Bucket>) {
    out.clear();
    if series.without.binary_search(&at).is_ok() {
        return;
    }
    for (bound, index) in &series.members {
        let Some(count) = input[*index].get(at) else { continue };
        match out.last_mut() {
            Some(last) if last.bound == *bound => last.count += count,
            _ => out.push(Bucket { bound: *bound, count }),
        }
    }
}

/// The quantile, and what had to be fixed to get it.
fn quantile(q: f64, buckets: &mut [Bucket]) -> (f64, Option<MonotonicityFix>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    let last = buckets.len() - 1;
    if buckets[last].bound != f64::INFINITY {
        return (f64::NAN, None);
    }
    let fix = make_monotonic(buckets);
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return (f64::NAN, fix);
    }
    let mut rank = q * observations;
    // Halving, not scanning: with NaN counts the two differ.
    let at = buckets[..last].partition_point(|bucket| {
        let reached = bucket.count >= rank;
        !reached
    });
    if at == last {
        return (buckets[last - 1].bound, fix);
    }
    if at == 0 && buckets[0].bound <= 0.0 {
        return (buckets[0].bound, fix);
    }
    let Bucket { bound: end, mut count } = buckets[at];
    let mut start = 0.0;
    if at > 0 {
        start = buckets[at - 1].bound;
        count -= buckets[at - 1].count;
        rank -= buckets[at - 1].count;
    }
    (start + (end - start) * (rank / count), fix)
}

fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

/// Makes counts rise with the bounds; says what was changed beyond rounding.
fn make_monotonic(buckets: &mut [Bucket]) -> Option<MonotonicityFix> {
    let mut fix: Option<MonotonicityFix> = None;
    let mut previous = buckets[0].count;
    for bucket in &mut buckets[1..] {
        if bucket.count == previous {
            continue;
        }
        if almost_equal(previous, bucket.count) {
            bucket.count = previous;
        } else if bucket.count < previous {
            let fix = fix.get_or_insert(MonotonicityFix {
                min_bucket: f64::INFINITY,
                max_bucket: f64::NEG_INFINITY,
                max_diff: 0.0,
                samples: 1,
                first_ms: 0,
                last_ms: 0,
            });
            fix.min_bucket = fix.min_bucket.min(bucket.bound);
            fix.max_bucket = fix.max_bucket.max(bucket.bound);
            fix.max_diff = fix.max_diff.max(previous - bucket.count);
            bucket.count = previous;
        } else {
            previous = bucket.count;
        }
    }
    fix
}

/// Share of observations between two bounds.
fn fraction(lower: f64, upper: f64, buckets: &mut [Bucket]) -> f64 {
    let last = buckets[buckets.len() - 1];
    if last.bound != f64::INFINITY || last.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let mut start = if buckets[0].bound <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    let mut below = 0.0;
    let (mut lower_rank, mut upper_rank) = (None, None);
    for bucket in buckets.iter() {
        // Buckets of infinite width contribute whole or not at all.
        let inside = |value: f64| {
            if start == f64::NEG_INFINITY {
                bucket.count
            } else {
                below + (bucket.count - below) * (value - start) / (bucket.bound - start)
            }
        };
        for (value, rank) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if rank.is_some() {
                continue;
            }
            if start >= value {
                *rank = Some(below);
            } else if bucket.bound > value {
                *rank = Some(inside(value));
            }
        }
        below = bucket.count;
        start = bucket.bound;
    }
    let capped = |rank: Option<f64>| rank.filter(|r| *r <= last.count).unwrap_or(last.count);
    (capped(upper_rank) - capped(lower_rank)) / last.count
}

/// A number as OpenMetrics prints it: whole numbers get a `.0`.
fn open_metrics_float(value: f64) -> String {
    if !value.is_finite() {
        return plain_float(value);
    }
    let text = crate::promql::short_float_wide(value);
    if text.contains(['e', '.']) { text } else { format!("{text}.0") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs.iter().map(|(bound, count)| Bucket { bound: *bound, count: *count }).collect()
    }

    #[test]
    fn interpolates_inside_the_bucket() {
        let check = |q: f64, pairs: &[(f64, f64)], expected: f64| {
            let (got, _) = quantile(q, &mut buckets(pairs));
            assert!(got == expected || (got.is_nan() && expected.is_nan()), "{q} {pairs:?}: {got}");
        };
        let inf = f64::INFINITY;
        check(0.5, &[(1.0, 5.0), (2.0, 10.0), (inf, 10.0)], 1.0);
        check(0.75, &[(1.0, 5.0), (2.0, 10.0), (inf, 10.0)], 1.5);
        check(1.0, &[(1.0, 5.0), (inf, 10.0)], 1.0);
        check(0.1, &[(-1.0, 5.0), (inf, 10.0)], -1.0);
        check(0.5, &[(1.0, 5.0)], f64::NAN);
        check(0.5, &[(inf, 5.0)], f64::NAN);
        check(2.0, &[(1.0, 5.0)], inf);
    }

    #[test]
    fn says_what_it_made_monotonic() {
        let mut falling = buckets(&[(1.0, 5.0), (2.0, 3.0), (f64::INFINITY, 6.0)]);
        let fix = make_monotonic(&mut falling).expect("a fix");
        assert_eq!((fix.min_bucket, fix.max_bucket, fix.max_diff), (2.0, 2.0, 2.0));
        let mut noise = buckets(&[(1.0, 5.0), (2.0, 5.0 - 1e-13), (f64::INFINITY, 6.0)]);
        assert!(make_monotonic(&mut noise).is_none());
        assert_eq!(noise[1].count, 5.0);
    }

    #[test]
    fn measures_fractions() {
        let check = |lower, upper, expected: f64| {
            let mut b = buckets(&[(1.0, 4.0), (2.0, 8.0), (f64::INFINITY, 10.0)]);
            assert_eq!(fraction(lower, upper, &mut b), expected);
        };
        check(0.0, 1.0, 0.4);
        check(0.5, 1.5, 0.4);
        check(2.0, 1.0, 0.0);
        check(f64::NEG_INFINITY, f64::INFINITY, 1.0);
        assert_eq!(open_metrics_float(1.0), "1.0");
        assert_eq!(open_metrics_float(0.5), "0.5");
    }
}
