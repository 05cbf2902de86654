//! Instant selectors: at each step the newest sample within the lookback.

use std::sync::Arc;

use super::batch::{Batch, Element, Row};
use super::histogram::keep_totals;
use super::operator::drop_name;
use super::parallel::gather;
use super::rollup::{Notes, between, line};
use super::{Context, Operator};
use crate::model::histogram::ResetHint;
use crate::model::{Histogram, Labels, Samples, is_stale};
use crate::promql::annotations::Annotation;
use crate::promql::error::Error;
use crate::promql::plan::{Reader, SampleField};
use crate::promql::syntax::ast::Span;

/// Reads one selector, series by series.
pub(crate) struct Scan {
    reader: Reader,
    lookback: i64,
    shows: SampleField,
    /// Where the selector stands, if values are drawn as straight lines between samples.
    smoothed: Option<Span>,
    next: usize,
}

impl Scan {
    pub(crate) fn new(reader: Reader, lookback: i64, shows: SampleField, smoothed: Option<Span>) -> Self {
        Self { reader, lookback, shows, smoothed, next: 0 }
    }

    /// Where each step sees the sample behind the one that the step before it saw: the number of the first of them.
    fn in_step(&self, timestamps: &[i64]) -> Option<usize> {
        let times = &self.reader.eval_times;
        let (count, step, first) = (times.grid.count, times.step(), times.get(0));
        let last = times.get(count.checked_sub(1)?);
        // Times at the end of all times are cut off, and samples may be older than a step where the lookback is shorter.
        let is_even = i64::try_from(count - 1).ok().and_then(|steps| step.checked_mul(steps))
            == last.checked_sub(first);
        if times.at.is_some() || count < 2 || !is_even || step > self.lookback {
            return None;
        }
        let from = timestamps.partition_point(|time| *time <= first).checked_sub(1)?;
        let own = timestamps.get(from..from + count)?;
        if own[0] <= first.saturating_sub(self.lookback)
            || timestamps.get(from + count).is_some_and(|next| *next <= last)
        {
            return None;
        }
        let (mut moment, mut all) = (first, true);
        for time in &own[1..] {
            all &= *time > moment;
            moment += step;
            all &= *time <= moment;
        }
        all.then_some(from)
    }

    /// The values of series without histograms.
    fn fill_floats(&self, samples: &Samples, row: &mut Row) {
        let Samples { timestamps, values, .. } = samples;
        let mut end = 0;
        for (at, shown) in row.values.iter_mut().enumerate() {
            let moment = self.reader.eval_times.get(at);
            while timestamps.get(end).is_some_and(|time| *time <= moment) {
                end += 1;
            }
            let newest = end.checked_sub(1).and_then(|newest| timestamps.get(newest).zip(values.get(newest)));
            let Some((time, value)) = newest else { continue };
            if *time > moment.saturating_sub(self.lookback) && !is_stale(*value) {
                *shown = *value;
                row.present.set(at);
            }
        }
    }

    fn fill(&self, samples: &Samples, row: &mut Row, cx: &Context<'_>) -> Result<(), Error> {
        if samples.histograms.is_empty() && self.shows == SampleField::Value {
            self.fill_floats(samples, row);
            return Ok(());
        }
        let Samples { timestamps, values, histograms, .. } = samples;
        let any_histograms = !histograms.is_empty();
        let mut end = 0;
        for at in 0..row.values.len() {
            let moment = self.reader.eval_times.get(at);
            while end < timestamps.len() && timestamps[end] <= moment {
                end += 1;
            }
            let Some(newest) = end.checked_sub(1) else { continue };
            let (time, value) = (timestamps[newest], values[newest]);
            if time <= moment.saturating_sub(self.lookback) || is_stale(value) {
                continue;
            }
            if any_histograms && let Ok(index) = histograms.binary_search_by_key(&newest, |(at, _)| *at) {
                let histogram = &histograms[index].1;
                if histogram.is_stale() {
                    continue;
                }
                if matches!(self.shows, SampleField::Value | SampleField::Milliseconds) {
                    row.put_histogram(at, Arc::clone(histogram), cx)?;
                    continue;
                }
            }
            row.put(
                at,
                match self.shows {
                    SampleField::Value => value,
                    SampleField::Seconds => time as f64 / 1000.0,
                    SampleField::StartSeconds => samples.start(newest) as f64 / 1000.0,
                    SampleField::Milliseconds => time as f64,
                },
            );
        }
        Ok(())
    }
}

impl Scan {
    /// The line between the neighbours within the lookback; the last value where no later sample is known.
    fn fill_smoothed(&self, samples: &Samples, row: &mut Row) {
        let Samples { timestamps, values, .. } = samples;
        for at in 0..row.values.len() {
            let moment = self.reader.eval_times.get(at);
            let next = timestamps.partition_point(|t| *t < moment);
            let later = timestamps.get(next).filter(|t| **t <= moment.saturating_add(self.lookback));
            if later == Some(&moment) {
                row.put(at, values[next]);
                continue;
            }
            let earlier =
                next.checked_sub(1).filter(|i| timestamps[*i] > moment.saturating_sub(self.lookback));
            let Some(before) = earlier else { continue };
            let value = match later {
                None => values[before],
                Some(_) => line(
                    (timestamps[before], values[before]),
                    (timestamps[next], values[next]),
                    moment,
                    false,
                ),
            };
            row.put(at, value);
        }
    }

    /// The same for series with native histograms. Steps that look at both kinds have no value.
    fn fill_smoothed_histograms(
        &self,
        samples: &Samples,
        row: &mut Row,
        notes: Notes<'_>,
    ) -> Result<(), Error> {
        let Samples { timestamps, values, histograms, .. } = samples;
        for at in 0..row.values.len() {
            let moment = self.reader.eval_times.get(at);
            let (first, last) = (moment.saturating_sub(self.lookback), moment.saturating_add(self.lookback));
            let from = timestamps.partition_point(|t| *t <= first);
            let to = timestamps.partition_point(|t| *t <= last);
            // The lookback is as long as the client likes.
            notes.cx.work(to - from)?;
            let mut kinds = [0, 0];
            let of = |index: usize| {
                let found = histograms.binary_search_by_key(&index, |(at, _)| *at);
                found.ok().map(|found| &histograms[found].1)
            };
            (from..to).for_each(|index| kinds[usize::from(of(index).is_some())] += 1);
            if kinds[0] > 0 && kinds[1] > 0 {
                notes.add(Annotation::MixedSamples);
                continue;
            }
            let next = timestamps.partition_point(|t| *t < moment);
            let later = (next < to).then_some(next);
            let earlier = next.checked_sub(1).filter(|index| *index >= from);
            let exact = later.filter(|index| timestamps[*index] == moment);
            match (exact, earlier, later) {
                (Some(index), ..) => row.put_element(at, element(samples, index), notes.cx)?,
                (None, Some(before), Some(after)) => {
                    let (times, after_time) = (timestamps[before], timestamps[after]);
                    let (Some(a), Some(b)) = (of(before), of(after)) else {
                        let ends = ((times, values[before]), (after_time, values[after]));
                        row.put(at, line(ends.0, ends.1, moment, false));
                        continue;
                    };
                    if a.has_custom_bounds() != b.has_custom_bounds() {
                        notes.add(Annotation::MixedSchemas);
                        continue;
                    }
                    let gauge = [a, b].iter().all(|h| h.reset_hint == ResetHint::Gauge);
                    if let Some(histogram) = between((times, a), (after_time, b), moment, !gauge, notes) {
                        row.put_histogram(at, Arc::new(histogram), notes.cx)?;
                    }
                }
                (None, Some(before), None) => match of(before) {
                    None => row.put(at, values[before]),
                    Some(histogram) => {
                        // The hint is about the sample before, not about the value.
                        let unhinted = Histogram { reset_hint: ResetHint::Unknown, ..(**histogram).clone() };
                        row.put_histogram(at, Arc::new(unhinted), notes.cx)?;
                    }
                },
                (None, None, _) => {}
            }
        }
        Ok(())
    }
}

/// The row of a series with a sample for each step.
fn row_in_step(values: &[f64], labels: Labels, cx: &Context<'_>) -> Result<Row, Error> {
    let memory = cx.reserve(Row::bytes_of(&labels, values.len()))?;
    let mut row = Row { memory, ..Row::full(labels, values.to_vec()) };
    if values.iter().any(|value| is_stale(*value)) {
        for (at, _) in values.iter().enumerate().filter(|(_, value)| is_stale(**value)) {
            row.present.clear(at);
        }
    }
    Ok(row)
}

fn element(samples: &Samples, index: usize) -> Element<'_> {
    match samples.histograms.binary_search_by_key(&index, |(at, _)| *at) {
        Ok(found) => Element::Histogram(&samples.histograms[found].1),
        Err(_) => Element::Float(samples.values[index]),
    }
}

impl Scan {
    /// The values of a series, whatever they are.
    fn fill_any(&self, samples: &mut Samples, row: &mut Row, cx: &Context<'_>) -> Result<(), Error> {
        let Some(span) = self.smoothed else { return self.fill(samples, row, cx) };
        samples.drop_stale();
        if samples.histograms.is_empty() {
            self.fill_smoothed(samples, row);
            return Ok(());
        }
        let name = row.labels.metric_name().to_owned();
        self.fill_smoothed_histograms(samples, row, Notes { cx, span, name: &name })
    }

    /// The row of series `number`, if it has any value.
    fn row(&self, number: usize, samples: &mut Samples, cx: &Context<'_>) -> Result<Option<Row>, Error> {
        let series = &cx.selects[self.reader.select];
        series.read(number, self.reader.range, samples)?;
        cx.has_read(samples.len());
        if self.reader.totals_only {
            keep_totals(samples);
        }
        if samples.is_empty() {
            return Ok(None);
        }
        let steps = self.reader.eval_times.grid.count;
        cx.work(samples.len() + steps)?;
        let is_plain =
            self.smoothed.is_none() && samples.histograms.is_empty() && self.shows == SampleField::Value;
        let in_step = if is_plain { self.in_step(&samples.timestamps) } else { None };
        let mut row = if let Some(from) = in_step {
            row_in_step(&samples.values[from..from + steps], series.labels(number), cx)?
        } else {
            let mut row = cx.row(series.labels(number), steps)?;
            self.fill_any(samples, &mut row, cx)?;
            row
        };
        if row.is_empty() {
            return Ok(None);
        }
        cx.hold(row.count())?;
        cx.looked_at(row.count());
        if cx.counts_steps() {
            for at in row.present.iter() {
                let count = row.histogram(at).map_or(1, |histogram| histogram.weight());
                cx.at_step(at, count, count);
            }
        }
        if matches!(self.shows, SampleField::Seconds | SampleField::StartSeconds) {
            drop_name(&mut row, cx);
        }
        Ok(Some(row))
    }
}

impl Operator for Scan {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, Error> {
        let count = cx.selects[self.reader.select].len();
        if self.next >= count {
            return Ok(None);
        }
        let steps = self.reader.eval_times.grid.count;
        let end = count.min(self.next + Context::batch_rows(steps));
        // Finding and labelling a series, then a few samples decoded for each step shown.
        let cost = 500 + 20 * steps;
        let rows = gather(cx, self.next..end, cost, |cx, samples, number| self.row(number, samples, cx))?;
        self.next = end;
        Ok(Some(rows))
    }
}
