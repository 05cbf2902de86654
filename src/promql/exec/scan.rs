//! Instant selectors: at each step the newest sample within the lookback.

use std::sync::Arc;

use super::batch::{Batch, Row};
use super::build::drop_name;
use super::parallel::gather;
use super::rollup::line;
use super::{Context, Operator};
use crate::model::{Samples, is_stale};
use crate::promql::error::Error;
use crate::promql::plan::Reader;

/// What a scan yields of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    Value,
    /// Its time, which is a new quantity: the name goes.
    Seconds,
    /// Its time, for internal use.
    Milliseconds,
}

/// Reads one selector, series by series.
pub(crate) struct Scan {
    reader: Reader,
    lookback: i64,
    shows: Shows,
    smoothed: bool,
    next: usize,
}

impl Scan {
    pub(crate) fn new(reader: Reader, lookback: i64, shows: Shows, smoothed: bool) -> Self {
        Self { reader, lookback, shows, smoothed, next: 0 }
    }

    fn fill(&self, samples: &Samples, row: &mut Row) {
        let Samples { timestamps, values, histograms, .. } = samples;
        let any_histograms = !histograms.is_empty();
        let mut end = 0;
        for at in 0..row.values.len() {
            let moment = self.reader.moments.get(at);
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
                if self.shows == Shows::Value {
                    row.put_histogram(at, Arc::clone(histogram));
                    continue;
                }
            }
            row.put(
                at,
                match self.shows {
                    Shows::Value => value,
                    Shows::Seconds => time as f64 / 1000.0,
                    Shows::Milliseconds => time as f64,
                },
            );
        }
    }
}

impl Scan {
    /// The line between the neighbours within the lookback; the last value where no later sample is known.
    fn fill_smoothed(&self, samples: &Samples, row: &mut Row) {
        let Samples { timestamps, values, .. } = samples;
        for at in 0..row.values.len() {
            let moment = self.reader.moments.get(at);
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
}

impl Scan {
    /// The row of series `number`, if it has any value.
    fn row(&self, number: usize, samples: &mut Samples, cx: &Context<'_>) -> Result<Option<Row>, Error> {
        let series = &cx.selects[self.reader.select];
        series.read(number, self.reader.range, samples)?;
        if samples.is_empty() {
            return Ok(None);
        }
        let mut row = Row::empty(series.labels(number), self.reader.moments.grid.count);
        if self.smoothed {
            samples.drop_stale();
            self.fill_smoothed(samples, &mut row);
        } else {
            self.fill(samples, &mut row);
        }
        if row.is_empty() {
            return Ok(None);
        }
        cx.hold(row.count())?;
        cx.looked_at(row.count());
        if self.shows == Shows::Seconds {
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
        let steps = self.reader.moments.grid.count;
        let end = count.min(self.next + Context::batch_rows(steps));
        // Finding and labelling a series, then a few samples decoded for each step shown.
        let cost = 500 + 20 * steps;
        let rows = gather(cx, self.next..end, cost, |cx, samples, number| self.row(number, samples, cx))?;
        self.next = end;
        Ok(Some(rows))
    }
}
