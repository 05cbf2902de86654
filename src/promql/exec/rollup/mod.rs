//! Functions over windows, one series at a time: the samples are decoded once and the windows slide over them.
//!
//! Read `window`, then the functions: `rate`, `extended`, `over_time`, `regression`; `sliding` for what windows have in
//! common, `lanes` for what has to be added anew; then `histogram` and `mixed` for series with native histograms, and `starts`.

mod extended;
mod histogram;
mod lanes;
mod mixed;
mod over_time;
mod rate;
mod regression;
mod sliding;
mod starts;
mod window;

use std::sync::Arc;

use super::batch::{Batch, Row};
use super::histogram::keep_totals;
use super::operator::{Opened, Operator, drop_name};
use super::parallel::gather;
use super::{Column, Context};
use crate::model::histogram::ResetHint;
use crate::model::{Histogram, Labels, METRIC_NAME, Samples};
use crate::promql::annotations::Annotation;
use crate::promql::error::Error;
use crate::promql::plan::{EvalTimes, Extension, Node, NodeKind, RangeFunc, RangeSource};
use crate::promql::short_float;
use crate::promql::syntax::ast::Span;
pub(super) use extended::line;
use histogram::HistogramWindow;
pub(super) use histogram::{Notes, between};
use mixed::{Apart, Mixed, Outcome};
use sliding::Sliding;
use window::Window;

/// Samples of windows that are added side by side.
const SIDE_BY_SIDE: usize = 1 << 16;

/// What a sample takes while its series is looked at; a native histogram weighs as many as it is larger.
pub(super) const BYTES_PER_SAMPLE: usize = 16;

/// A window function over a selector or subquery.
pub(crate) struct Rollup<'p> {
    windows: Windows,
    input: Input<'p>,
    scratch: Scratch,
}

/// A window function and where its windows are.
struct Windows {
    func: RangeFunc,
    range: i64,
    eval_times: EvalTimes,
    extension: Extension,
    params: Vec<Column>,
    span: Span,
    first_span: Span,
}

/// Working memory of one thread.
#[derive(Default)]
struct Scratch {
    /// The samples of the series that is looked at.
    samples: Samples,
    values: Vec<f64>,
}

enum Input<'p> {
    Select { reader: crate::promql::plan::Reader, next: usize },
    Rows { node: &'p Node, operator: Opened<'p> },
    Nothing,
}

impl<'p> Rollup<'p> {
    /// The window function of `node`, over `rows` if its source is a subquery that yields any.
    pub(crate) fn new(node: &'p Node, rows: Option<Opened<'p>>, params: Vec<Column>) -> Result<Self, Error> {
        let NodeKind::Rollup { func, source, range, span, first_span, .. } = &node.kind else {
            return Err(Error::Unsupported("this node as a window function".to_owned()));
        };
        let mut extension = Extension::None;
        let (input, eval_times) = match source {
            RangeSource::Select(reader, extended) => {
                extension = *extended;
                (Input::Select { reader: *reader, next: 0 }, reader.eval_times)
            }
            RangeSource::Subquery { inner, eval_times } => {
                let input = match inner.as_ref().zip(rows) {
                    Some((node, operator)) => Input::Rows { node, operator },
                    None => Input::Nothing,
                };
                (input, *eval_times)
            }
        };
        let windows = Windows {
            func: *func,
            range: *range,
            eval_times,
            extension,
            params,
            span: *span,
            first_span: *first_span,
        };
        Ok(Self { windows, input, scratch: Scratch::default() })
    }

    /// Whether rows keep the names they come with.
    pub(crate) fn keeps_names(&self) -> bool {
        self.windows.func.keeps_name()
    }
}

impl Windows {
    /// The row of the series whose samples are in the scratch; `reads` says whether they come from the storage.
    fn row(
        &self,
        scratch: &mut Scratch,
        labels: Labels,
        drop: bool,
        reads: bool,
        cx: &Context<'_>,
    ) -> Result<Option<Row>, Error> {
        let Scratch { samples, values } = scratch;
        samples.drop_stale();
        if samples.is_empty() {
            return Ok(None);
        }
        if cx.counts_steps() {
            self.count_steps(samples, reads, cx)?;
        }
        let mut row = cx.row(labels, self.eval_times.grid.count)?;
        row.drop_name = drop;
        if !samples.starts.is_empty() {
            // Unknown ones at the end may have been left out.
            samples.starts.resize(samples.len(), 0);
        }
        if samples.histograms.is_empty() {
            self.fill(&mut row, samples, values, cx)?;
        } else {
            self.fill_mixed(&mut row, samples, values, cx)?;
        }
        if row.is_empty() {
            return Ok(None);
        }
        cx.hold(row.count())?;
        if matches!(self.func, RangeFunc::Rate | RangeFunc::Increase) {
            self.check_counter(&row, cx);
        }
        if !self.func.keeps_name() {
            drop_name(&mut row, cx);
        }
        Ok(Some(row))
    }

    /// Counts the samples of every window, and of them those that the window before did not hold.
    fn count_steps(&self, samples: &Samples, reads: bool, cx: &Context<'_>) -> Result<(), Error> {
        let _before = cx.reserve_buffer((samples.len() + 1) * size_of::<usize>())?;
        cx.work(samples.len() + self.eval_times.grid.count)?;
        // The weight of all samples before each one.
        let mut before = Vec::with_capacity(samples.len() + 1);
        let mut sum = 0;
        before.push(sum);
        for (_, _, histogram) in samples.points() {
            sum += histogram.map_or(1, Histogram::weight);
            before.push(sum);
        }
        let mut slide = Slide::default();
        for at in 0..self.eval_times.grid.count {
            let known = slide.to;
            let Slide { from, to, .. } = slide.to(&samples.timestamps, self.ends(at).1);
            let read = if reads { before[to] - before[from.max(known)] } else { 0 };
            cx.at_step(at, before[to] - before[from], read);
        }
        Ok(())
    }

    /// Whether the function looks at start timestamps, which tell of resets.
    fn asks_for_starts(&self, cx: &Context<'_>) -> bool {
        self.func.looks_for_resets() && cx.features.start_timestamps
    }

    /// The ends of the window of step `at`, and those of the samples that matter for it.
    fn ends(&self, at: usize) -> ((i64, i64), (i64, i64)) {
        let end = self.eval_times.get(at);
        let start = end.saturating_sub(self.range);
        let last = end.saturating_add(self.extension.after());
        ((start, end), (start.saturating_sub(self.extension.before()), last))
    }

    fn fill(
        &self,
        row: &mut Row,
        samples: &Samples,
        scratch: &mut Vec<f64>,
        cx: &Context<'_>,
    ) -> Result<(), Error> {
        let Samples { timestamps, values, .. } = samples;
        let starts: &[i64] =
            if !samples.starts.is_empty() && self.asks_for_starts(cx) { &samples.starts } else { &[] };
        let mut slide = Slide::default();
        let plain = starts.is_empty() && self.extension == Extension::None;
        let overlap = self.range / self.eval_times.step().max(1);
        let mut sliding = if plain { Sliding::new(self.func, values, overlap) } else { None };
        if plain && sliding.is_none() && overlap >= 2 && lanes::takes(self.func) {
            return self.fill_side_by_side(row, samples, cx);
        }
        let mut looked_at = 0;
        cx.work(row.values.len())?;
        for at in 0..row.values.len() {
            let ((start, end), reach) = self.ends(at);
            let Slide { from, to, .. } = slide.to(timestamps, reach);
            if from == to {
                continue;
            }
            looked_at += to - from;
            // Wide windows at many steps: one row alone can take minutes.
            cx.work(to - from)?;
            let starts = starts.get(from..to).unwrap_or_default();
            let window =
                Window { timestamps: &timestamps[from..to], values: &values[from..to], starts, start, end };
            if !starts.is_empty()
                && matches!(self.func, RangeFunc::Rate | RangeFunc::Increase)
                && self.extension == Extension::None
                && starts::any_overlap(starts, window.timestamps)
            {
                let metric = row.labels.metric_name().to_owned();
                cx.annotate(Annotation::StartOverlap { metric, seen: 1 }, self.span);
            }
            let value = match &mut sliding {
                Some(sliding) => {
                    let param = if self.func == RangeFunc::Quantile { self.quantile(at, cx) } else { 0.0 };
                    sliding.value(&window, (values, from, to), param)
                }
                None => self.of_floats(&window, at, scratch, cx)?,
            };
            if let Some(value) = value {
                row.put(at, value);
            }
        }
        cx.looked_at(looked_at);
        Ok(())
    }

    /// As [`Self::fill`], for windows that are added anew one by one.
    fn fill_side_by_side(&self, row: &mut Row, samples: &Samples, cx: &Context<'_>) -> Result<(), Error> {
        let mut slide = Slide::default();
        let (mut windows, mut steps) = (Vec::new(), Vec::new());
        let (mut at, mut looked_at) = (0, 0);
        while at < row.values.len() {
            windows.clear();
            steps.clear();
            let mut unchecked = 0;
            while at < row.values.len() && unchecked <= SIDE_BY_SIDE {
                let Slide { from, to, .. } = slide.to(&samples.timestamps, self.ends(at).1);
                if from < to {
                    windows.push((from, to));
                    steps.push(at);
                    unchecked += to - from;
                }
                at += 1;
            }
            looked_at += unchecked;
            cx.work(unchecked + steps.len())?;
            lanes::fold_each(self.func, &samples.values, &windows, |number, value| {
                row.put(steps[number], value);
            });
        }
        cx.looked_at(looked_at);
        Ok(())
    }

    fn fill_mixed(
        &self,
        row: &mut Row,
        samples: &Samples,
        scratch: &mut Vec<f64>,
        cx: &Context<'_>,
    ) -> Result<(), Error> {
        let _apart = cx.reserve_buffer(samples.len() * Apart::BYTES_PER_SAMPLE)?;
        cx.work(samples.weight() + row.values.len())?;
        let apart = Apart::new(samples, self.func.looks_for_resets(), self.asks_for_starts(cx));
        let name = row.labels.metric_name().to_owned();
        let notes = Notes { cx, span: self.span, name: &name };
        // As in Prometheus this one annotation points elsewhere.
        let quantile_notes = Notes { span: self.first_span, ..notes };
        let (mut floats, mut histograms) = (Slide::default(), Slide::default());
        for at in 0..row.values.len() {
            let ((start, end), reach) = self.ends(at);
            let Slide { from, to, .. } = floats.to(&apart.float_times, reach);
            let window = (from < to).then(|| Window {
                timestamps: &apart.float_times[from..to],
                values: &apart.floats[from..to],
                starts: apart.float_starts.get(from..to).unwrap_or_default(),
                start,
                end,
            });
            let float_count = to - from;
            let Slide { from, to, .. } = histograms.to(&apart.times, reach);
            cx.work(float_count)?;
            cx.looked_at(float_count + apart.weights[to] - apart.weights[from]);
            if from == to {
                if let Some(window) = window
                    && let Some(value) = self.of_floats(&window, at, scratch, cx)?
                {
                    row.put(at, value);
                }
                continue;
            }
            cx.work(apart.weights[to] - apart.weights[from])?;
            let mixed = Mixed {
                floats: window,
                histograms: HistogramWindow {
                    timestamps: &apart.times[from..to],
                    histograms: &apart.histograms[from..to],
                    resets: &apart.resets[from..to],
                    starts: apart.starts.get(from..to).unwrap_or_default(),
                    start,
                    end,
                },
            };
            let outcome = match self.extension {
                Extension::None if self.func == RangeFunc::Quantile => mixed.apply(self.func, quantile_notes),
                Extension::None => mixed.apply(self.func, notes),
                Extension::Anchored { .. } => mixed.apply_extended(self.func, false, notes),
                Extension::Smoothed { .. } => mixed.apply_extended(self.func, true, notes),
            };
            match outcome {
                Outcome::Nothing => {}
                Outcome::Float(value) => row.put(at, value),
                Outcome::Histogram(histogram) => row.put_histogram(at, histogram, cx)?,
                Outcome::OfFloats => {
                    if let Some(window) = window
                        && let Some(value) = self.of_floats(&window, at, scratch, cx)?
                    {
                        row.put(at, value);
                    }
                }
            }
        }
        Ok(())
    }

    /// What the function makes of a window of floats.
    fn of_floats(
        &self,
        window: &Window<'_>,
        at: usize,
        scratch: &mut Vec<f64>,
        cx: &Context<'_>,
    ) -> Result<Option<f64>, Error> {
        let param = |index: usize| self.params.get(index).map_or(f64::NAN, |column| column[at]);
        Ok(match self.func {
            func if self.extension != Extension::None => {
                let smoothed = matches!(self.extension, Extension::Smoothed { .. });
                extended::apply(func, window, smoothed)
            }
            RangeFunc::Rate => rate::extrapolated(window, true, true),
            RangeFunc::Increase => rate::extrapolated(window, true, false),
            RangeFunc::Delta => rate::extrapolated(window, false, false),
            RangeFunc::Irate => rate::instant(window, true),
            RangeFunc::Idelta => rate::instant(window, false),
            RangeFunc::Changes => Some(rate::changes(window)),
            RangeFunc::Resets => Some(rate::resets(window)),
            RangeFunc::Deriv => regression::deriv(window),
            RangeFunc::PredictLinear => regression::predict(window, self.eval_times.grid.time(at), param(0)),
            RangeFunc::DoubleExponentialSmoothing => {
                check_factor("smoothing", "sf", param(0))?;
                check_factor("trend", "tf", param(1))?;
                regression::double_exponential(window, param(0), param(1))
            }
            RangeFunc::Quantile => Some(over_time::quantile(window, self.quantile(at, cx), scratch)),
            RangeFunc::Mad => Some(over_time::mad(window, scratch)),
            other => Some(over_time::fold(other, window)),
        })
    }

    /// The quantile that is asked for at step `at`.
    fn quantile(&self, at: usize, cx: &Context<'_>) -> f64 {
        let q = self.params.first().map_or(f64::NAN, |column| column[at]);
        if !(0.0..=1.0).contains(&q) {
            cx.annotate(Annotation::InvalidQuantile(q), self.first_span);
        }
        q
    }

    fn check_counter(&self, row: &Row, cx: &Context<'_>) {
        const SUFFIXES: [&str; 4] = ["_total", "_sum", "_count", "_bucket"];
        let Some(name) = row.labels.get(METRIC_NAME) else { return };
        if row.may_have_histograms() && !row.present.iter().any(|at| row.get(at).is_some()) {
            return;
        }
        if cx.features.type_and_unit_labels {
            let kind = row.labels.get("__type__").unwrap_or("");
            if kind != "counter" && kind != "histogram" {
                let (metric, kind) = (name.to_owned(), kind.to_owned());
                cx.annotate(Annotation::PossibleNonCounterType { metric, kind }, self.span);
            }
        } else if !SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
            cx.annotate(Annotation::PossibleNonCounter(name.to_owned()), self.span);
        }
    }
}

impl Operator for Rollup<'_> {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, Error> {
        let Self { windows, input, scratch } = self;
        let steps = windows.eval_times.grid.count;
        match input {
            Input::Nothing => Ok(None),
            Input::Select { reader, next } => {
                let series = &cx.selects[reader.select];
                if *next >= series.len() {
                    return Ok(None);
                }
                let end = series.len().min(*next + Context::batch_rows(steps));
                // As long as nothing is known of the series: a sample a minute.
                let length = reader.range.end.saturating_sub(reader.range.start);
                let samples = usize::try_from(length / 60_000).unwrap_or(0);
                let cost = 500 + 20 * steps + 5 * samples;
                let rows = gather(cx, *next..end, cost, |cx, scratch: &mut Scratch, number| {
                    series.read(number, reader.range, &mut scratch.samples)?;
                    cx.has_read(scratch.samples.len());
                    if reader.totals_only {
                        keep_totals(&mut scratch.samples);
                    }
                    let held = scratch.samples.weight();
                    cx.hold(held)?;
                    let _read = cx.reserve_buffer(held * BYTES_PER_SAMPLE)?;
                    let row = windows.row(scratch, series.labels(number), false, true, cx);
                    cx.release(held);
                    row
                })?;
                *next = end;
                Ok(Some(rows))
            }
            Input::Rows { node, operator } => {
                let grid = node.grid;
                let (eval_times, range) = (windows.eval_times, windows.range);
                let next = cx.windowing(grid, eval_times, range, || operator.next(cx))?;
                let Some(rows) = next else { return Ok(None) };
                let mut batch = Vec::with_capacity(rows.len());
                for row in rows {
                    let held = row.count();
                    cx.work(held)?;
                    let _samples = cx.reserve_buffer(held * BYTES_PER_SAMPLE)?;
                    scratch.samples.clear();
                    row.write_samples(|at| grid.time(at), &mut scratch.samples);
                    forget_resets(&mut scratch.samples);
                    batch.extend(windows.row(scratch, row.labels.clone(), row.drop_name, false, cx)?);
                    cx.release(held);
                }
                Ok(Some(batch))
            }
        }
    }
}

fn check_factor(what: &str, short: &str, value: f64) -> Result<(), Error> {
    // NaN passes both comparisons, as it always has.
    if value <= 0.0 || value >= 1.0 {
        let got = if value.is_finite() { format!("{value:.6}") } else { short_float(value) };
        return Err(Error::Execution(format!(
            "invalid {what} factor. Expected: 0 < {short} < 1, got: {got}"
        )));
    }
    Ok(())
}

/// What was known of resets between two histograms is not known of those that a subquery happened to pick.
fn forget_resets(samples: &mut Samples) {
    for (_, histogram) in &mut samples.histograms {
        if matches!(histogram.reset_hint, ResetHint::Reset | ResetHint::NotReset) {
            Arc::make_mut(histogram).reset_hint = ResetHint::Unknown;
        }
    }
}

/// A run of samples that moves on with the steps.
#[derive(Debug, Clone, Copy, Default)]
struct Slide {
    from: usize,
    to: usize,
    /// How far both moved the last time.
    from_stride: usize,
    to_stride: usize,
}

impl Slide {
    /// Moves on to the samples after `first` up to `last`, neither of which is ever less than before.
    #[inline]
    fn to(&mut self, timestamps: &[i64], (first, last): (i64, i64)) -> Self {
        let (from, to) = (self.from, self.to);
        self.to = behind(timestamps, to, self.to_stride, last);
        self.from = behind(&timestamps[..self.to], from, self.from_stride, first);
        (self.from_stride, self.to_stride) = (self.from - from, self.to - to);
        *self
    }
}

/// Number of the first sample after `time`, which is `at` or behind it; as far on as the time before is tried first.
#[inline]
fn behind(timestamps: &[i64], mut at: usize, stride: usize, time: i64) -> usize {
    let guess = at + stride;
    if stride > 0 && timestamps.get(guess - 1).is_some_and(|before| *before <= time) {
        at = guess;
    }
    while timestamps.get(at).is_some_and(|next| *next <= time) {
        at += 1;
    }
    at
}

/// The samples inside a window that is extended to its ends.
pub(super) fn extended_samples(samples: &Samples, start: i64, end: i64, smoothed: bool) -> Samples {
    let Samples { timestamps, values, .. } = samples;
    extended::raw(&Window { timestamps, values, starts: &[], start, end }, smoothed)
}
