//! Functions of each value by itself.

use std::sync::Arc;

use super::date;
use crate::model::Histogram;
use crate::promql::error::Error;
use crate::promql::exec::batch::{Batch, Row};
use crate::promql::exec::histogram::{scale, variance};
use crate::promql::exec::operator::{Opened, drop_name};
use crate::promql::exec::record::Record;
use crate::promql::exec::{Column, Context, Operator, math};
use crate::promql::plan::{Grid, MapFunc};

/// Applies a function to every value.
pub(crate) struct MapOp<'p> {
    func: MapFunc,
    input: Opened<'p>,
    params: Vec<Column>,
    /// What was noted about the parameters, which stand behind the input.
    after: Option<Record>,
}

impl<'p> MapOp<'p> {
    pub(in crate::promql::exec) fn new(
        func: MapFunc,
        input: Opened<'p>,
        params: Vec<Column>,
        after: Record,
    ) -> Self {
        Self { func, input, params, after: Some(after) }
    }

    fn param(&self, index: usize, at: usize, default: f64) -> f64 {
        self.params.get(index).map_or(default, |column| column[at])
    }

    /// Replaces every histogram by a number it holds. Numbers go.
    fn of_histograms(&self, row: &mut Row, cx: &Context<'_>) -> Result<(), Error> {
        row.drop_floats();
        let histograms = std::mem::take(&mut row.histograms);
        for at in row.present.iter().collect::<Vec<_>>() {
            let Some(Some(histogram)) = histograms.get(at) else { continue };
            // Each bucket takes powers and logarithms.
            cx.work(histogram.weight() * 16)?;
            row.put(
                at,
                match self.func {
                    MapFunc::HistogramCount => histogram.count,
                    MapFunc::HistogramSum => histogram.sum,
                    MapFunc::HistogramAvg => histogram.sum / histogram.count,
                    MapFunc::HistogramStddev => variance(histogram).sqrt(),
                    _ => variance(histogram),
                },
            );
        }
        Ok(())
    }

    /// The result for one value; nothing when the element goes.
    fn apply(&self, value: f64, at: usize) -> Option<f64> {
        let clamp = |min: f64, max: f64| math::max_of(min, math::min_of(max, value));
        Some(match self.func {
            MapFunc::Round => {
                let inverse = 1.0 / self.param(0, at, 1.0);
                (value * inverse + 0.5).floor() / inverse
            }
            MapFunc::Clamp => {
                let (min, max) = (self.param(0, at, f64::NAN), self.param(1, at, f64::NAN));
                if max < min {
                    return None;
                }
                clamp(min, max)
            }
            MapFunc::ClampMin => clamp(self.param(0, at, f64::NAN), f64::INFINITY),
            MapFunc::ClampMax => clamp(f64::NEG_INFINITY, self.param(0, at, f64::NAN)),
            func => simple(func, value),
        })
    }
}

/// The histograms of a row, multiplied by minus one.
fn negated(row: &mut Row) -> Vec<Option<Arc<Histogram>>> {
    let mut histograms = std::mem::take(&mut row.histograms);
    for histogram in histograms.iter_mut().flatten() {
        scale(Arc::make_mut(histogram), -1.0);
    }
    histograms
}

fn simple(func: MapFunc, value: f64) -> f64 {
    match func {
        MapFunc::Negate => -value,
        MapFunc::Abs => value.abs(),
        MapFunc::Ceil => value.ceil(),
        MapFunc::Exp => value.exp(),
        MapFunc::Floor => value.floor(),
        MapFunc::Ln => value.ln(),
        MapFunc::Log2 => math::log2(value),
        MapFunc::Log10 => value.log10(),
        MapFunc::Sqrt => value.sqrt(),
        MapFunc::Sgn => {
            if value < 0.0 {
                -1.0
            } else if value > 0.0 {
                1.0
            } else {
                value
            }
        }
        MapFunc::Sin => value.sin(),
        MapFunc::Cos => value.cos(),
        MapFunc::Tan => value.tan(),
        MapFunc::Asin => value.asin(),
        MapFunc::Acos => value.acos(),
        MapFunc::Atan => value.atan(),
        MapFunc::Sinh => value.sinh(),
        MapFunc::Cosh => value.cosh(),
        MapFunc::Tanh => value.tanh(),
        MapFunc::Asinh => math::asinh(value),
        MapFunc::Acosh => math::acosh(value),
        MapFunc::Atanh => value.atanh(),
        MapFunc::Deg => value * 180.0 / std::f64::consts::PI,
        MapFunc::Rad => value * std::f64::consts::PI / 180.0,
        func => date::part(func, value),
    }
}

impl Operator for MapOp<'_> {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, Error> {
        let Some(mut batch) = self.input.next(cx)? else {
            if let Some(record) = self.after.take() {
                cx.note(&record, |span| span);
            }
            return Ok(None);
        };
        for row in &mut batch {
            cx.work(row.count().max(row.values.len()))?;
            let before = row.count();
            if self.func.is_of_histograms() {
                self.of_histograms(row, cx)?;
                cx.release(before - row.count());
                drop_name(row, cx);
                continue;
            }
            let mut histograms = Vec::new();
            if row.may_have_histograms() {
                if self.func == MapFunc::Negate {
                    histograms = negated(row);
                } else {
                    row.drop_histograms();
                }
            }
            for at in 0..row.values.len() {
                if !row.present.get(at) {
                    continue;
                }
                match self.apply(row.values[at], at) {
                    Some(value) => row.values[at] = value,
                    None => row.present.clear(at),
                }
            }
            row.histograms = histograms;
            cx.release(before - row.count());
            drop_name(row, cx);
        }
        batch.retain(|row| !row.is_empty());
        Ok(Some(batch))
    }
}

/// Replaces every value by the time of its step in seconds.
pub(crate) struct TimeOp<'p> {
    input: Opened<'p>,
    grid: Grid,
}

impl<'p> TimeOp<'p> {
    pub(crate) fn new(input: Opened<'p>, grid: Grid) -> Self {
        Self { input, grid }
    }
}

impl Operator for TimeOp<'_> {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, Error> {
        let Some(mut batch) = self.input.next(cx)? else { return Ok(None) };
        for row in &mut batch {
            cx.work(row.values.len())?;
            for (at, value) in row.values.iter_mut().enumerate() {
                *value = self.grid.time(at) as f64 / 1000.0;
            }
            let before = row.count();
            row.histograms = Vec::new();
            cx.release(before - row.count());
            drop_name(row, cx);
        }
        Ok(Some(batch))
    }
}
