//! Functions over windows, one series at a time: the samples are decoded once and the windows slide over them.
//!
//! Read `window`, then the functions: `rate`, `extended`, `over_time`, `regression`.

mod extended;
mod over_time;
mod rate;
mod regression;
mod window;

use super::batch::{Batch, Row};
use super::build::{columns, drop_name, open};
use super::{Context, Operator};
use crate::model::{Labels, METRIC_NAME, Samples, is_stale};
use crate::promql::annotations::Remark;
use crate::promql::error::Error;
use crate::promql::plan::{Extension, Moments, Node, NodeKind, RangeFunc, RangeSource};
use crate::promql::syntax::ast::Span;
use crate::promql::{MatrixSeries, short_float};
pub(super) use extended::line;
use window::Window;

/// Samples that are looked at between two looks at deadline and cancellation.
const CHECK_SAMPLES: usize = 1 << 17;

/// A window function over a selector or subquery.
pub(crate) struct Rollup<'p> {
    func: RangeFunc,
    range: i64,
    moments: Moments,
    extension: Extension,
    params: Vec<Vec<f64>>,
    span: Span,
    first_span: Span,
    input: Input<'p>,
    samples: Samples,
    scratch: Vec<f64>,
}

enum Input<'p> {
    Select { reader: crate::promql::plan::Reader, next: usize },
    Rows { node: &'p Node, operator: Box<dyn Operator + 'p> },
    Nothing,
}

impl<'p> Rollup<'p> {
    pub(crate) fn open(node: &'p Node, cx: &Context<'_>) -> Result<Self, Error> {
        let NodeKind::Rollup { func, source, range, params, span, first_span } = &node.kind else {
            return Err(Error::Unsupported("this node as a window function".to_owned()));
        };
        let mut extension = Extension::None;
        let (input, moments) = match source {
            RangeSource::Select(reader, extended) => {
                extension = *extended;
                (Input::Select { reader: *reader, next: 0 }, reader.moments)
            }
            RangeSource::Subquery { inner, moments } => {
                let input = match inner {
                    Some(node) => Input::Rows { node, operator: cx.counting(0, || open(node, cx))? },
                    None => Input::Nothing,
                };
                (input, *moments)
            }
        };
        Ok(Self {
            func: *func,
            range: *range,
            moments,
            extension,
            params: columns(params, cx)?,
            span: *span,
            first_span: *first_span,
            input,
            samples: Samples::new(),
            scratch: Vec::new(),
        })
    }

    /// Whether rows keep the names they come with.
    pub(crate) fn keeps_names(&self) -> bool {
        self.func.keeps_name()
    }

    /// The row of the series whose samples are in the buffer.
    fn row(&mut self, labels: Labels, drop: bool, cx: &Context<'_>) -> Result<Option<Row>, Error> {
        drop_stale(&mut self.samples);
        if self.samples.is_empty() {
            return Ok(None);
        }
        let steps = self.moments.grid.count;
        let mut row = Row::empty(labels, steps);
        row.drop_name = drop;
        let Samples { timestamps, values, .. } = &self.samples;
        let (mut from, mut to) = (0, 0);
        let (mut looked_at, mut unchecked) = (0, 0);
        for at in 0..steps {
            let end = self.moments.get(at);
            let start = end.saturating_sub(self.range);
            let last = end.saturating_add(self.extension.after());
            let before = start.saturating_sub(self.extension.before());
            while to < timestamps.len() && timestamps[to] <= last {
                to += 1;
            }
            while from < to && timestamps[from] <= before {
                from += 1;
            }
            if from == to {
                continue;
            }
            looked_at += to - from;
            unchecked += to - from;
            // Wide windows at many steps: one row alone can take minutes.
            if unchecked > CHECK_SAMPLES {
                unchecked = 0;
                cx.check()?;
            }
            let window = Window { timestamps: &timestamps[from..to], values: &values[from..to], start, end };
            let time = self.moments.grid.time(at);
            let param = |index: usize| self.params.get(index).map_or(f64::NAN, |column| column[at]);
            let value = match self.func {
                func if self.extension != Extension::None => {
                    let smoothed = matches!(self.extension, Extension::Smoothed { .. });
                    extended::apply(func, &window, smoothed)
                }
                RangeFunc::Rate => rate::extrapolated(&window, true, true),
                RangeFunc::Increase => rate::extrapolated(&window, true, false),
                RangeFunc::Delta => rate::extrapolated(&window, false, false),
                RangeFunc::Irate => rate::instant(&window, true),
                RangeFunc::Idelta => rate::instant(&window, false),
                RangeFunc::Changes => Some(rate::changes(&window)),
                RangeFunc::Resets => Some(rate::resets(&window)),
                RangeFunc::Deriv => regression::deriv(&window),
                RangeFunc::PredictLinear => regression::predict(&window, time, param(0)),
                RangeFunc::DoubleExponentialSmoothing => {
                    check_factor("smoothing", "sf", param(0))?;
                    check_factor("trend", "tf", param(1))?;
                    regression::double_exponential(&window, param(0), param(1))
                }
                RangeFunc::Quantile => {
                    let q = param(0);
                    if !(0.0..=1.0).contains(&q) {
                        cx.remark(Remark::InvalidQuantile(q), self.first_span);
                    }
                    Some(over_time::quantile(&window, q, &mut self.scratch))
                }
                RangeFunc::Mad => Some(over_time::mad(&window, &mut self.scratch)),
                other => Some(over_time::fold(other, &window)),
            };
            if let Some(value) = value {
                row.put(at, value);
            }
        }
        cx.looked_at(looked_at);
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

    fn check_counter(&self, row: &Row, cx: &Context<'_>) {
        const SUFFIXES: [&str; 4] = ["_total", "_sum", "_count", "_bucket"];
        if let Some(name) = row.labels.get(METRIC_NAME)
            && !SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        {
            cx.remark(Remark::PossibleNonCounter(name.to_owned()), self.span);
        }
    }
}

impl Operator for Rollup<'_> {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, Error> {
        let rows_per_batch = Context::batch_rows(self.moments.grid.count);
        let mut batch = Vec::new();
        match &mut self.input {
            Input::Nothing => return Ok(None),
            Input::Select { reader, next } => {
                let reader = *reader;
                let mut at = *next;
                let series = &cx.selects[reader.select];
                if at >= series.len() {
                    return Ok(None);
                }
                while at < series.len() && batch.len() < rows_per_batch {
                    cx.check()?;
                    series.read(at, reader.range, &mut self.samples)?;
                    let held = self.samples.len();
                    cx.hold(held)?;
                    batch.extend(self.row(series.labels(at), false, cx)?);
                    cx.release(held);
                    at += 1;
                }
                self.input = Input::Select { reader, next: at };
            }
            Input::Rows { node, operator } => {
                let grid = node.grid;
                let Some(rows) = cx.counting(0, || operator.next(cx))? else { return Ok(None) };
                for row in rows {
                    cx.check()?;
                    to_samples(&row, |at| grid.time(at), &mut self.samples);
                    batch.extend(self.row(row.labels.clone(), row.drop_name, cx)?);
                    cx.release(row.count());
                }
            }
        }
        Ok(Some(batch))
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

/// Removes stale markers.
pub(super) fn drop_stale(samples: &mut Samples) {
    if !samples.values.iter().any(|v| is_stale(*v)) {
        return;
    }
    let kept: Vec<(i64, f64)> = samples.iter().filter(|(_, v)| !is_stale(*v)).collect();
    samples.clear();
    for (timestamp, value) in kept {
        samples.push(timestamp, value);
    }
}

fn to_samples(row: &Row, time: impl Fn(usize) -> i64, out: &mut Samples) {
    out.clear();
    for at in row.present.iter() {
        out.push(time(at), row.values[at]);
    }
}

/// The samples inside the only window of a range vector, with their own times.
pub(crate) fn raw_series(
    source: &RangeSource,
    range: i64,
    cx: &Context<'_>,
) -> Result<Vec<(MatrixSeries, bool)>, Error> {
    let mut out = Vec::new();
    let mut samples = Samples::new();
    match source {
        RangeSource::Select(reader, extension) => {
            let series = &cx.selects[reader.select];
            let end = reader.moments.get(0);
            let start = end.saturating_sub(range);
            for at in 0..series.len() {
                cx.check()?;
                series.read(at, reader.range, &mut samples)?;
                drop_stale(&mut samples);
                if *extension != Extension::None && !samples.is_empty() {
                    let Samples { timestamps, values, .. } = &samples;
                    let window = Window { timestamps, values, start, end };
                    samples = extended::raw(&window, matches!(extension, Extension::Smoothed { .. }));
                }
                if !samples.is_empty() {
                    cx.hold(samples.len())?;
                    cx.looked_at(samples.len());
                    let labels = series.labels(at);
                    out.push((MatrixSeries { labels, samples: samples.clone() }, false));
                }
            }
        }
        RangeSource::Subquery { inner, .. } => {
            let Some(node) = inner else { return Ok(out) };
            for row in super::build::rows(node, cx)? {
                to_samples(&row, |at| node.grid.time(at), &mut samples);
                let series = MatrixSeries { labels: row.labels.clone(), samples: samples.clone() };
                out.push((series, row.drop_name));
            }
        }
    }
    Ok(out)
}
