//! Instant selectors: at each step the newest sample within the lookback.

use super::batch::{Batch, Row};
use super::build::drop_name;
use super::{Context, Operator};
use crate::model::{Samples, is_stale};
use crate::promql::error::Error;
use crate::promql::plan::Reader;

/// Reads one selector, series by series.
pub(crate) struct Scan {
    reader: Reader,
    lookback: i64,
    /// Yields the time of each sample, in seconds, instead of its value.
    timestamps: bool,
    next: usize,
    samples: Samples,
}

impl Scan {
    pub(crate) fn new(reader: Reader, lookback: i64, timestamps: bool) -> Self {
        Self { reader, lookback, timestamps, next: 0, samples: Samples::new() }
    }

    fn fill(&self, row: &mut Row) {
        let Samples { timestamps, values } = &self.samples;
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
            row.put(at, if self.timestamps { time as f64 / 1000.0 } else { value });
        }
    }
}

impl Operator for Scan {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, Error> {
        let series = &cx.selects[self.reader.select];
        if self.next >= series.len() {
            return Ok(None);
        }
        let steps = self.reader.moments.grid.count;
        let mut batch = Vec::new();
        while self.next < series.len() && batch.len() < Context::batch_rows(steps) {
            cx.check()?;
            series.read(self.next, self.reader.range, &mut self.samples)?;
            if !self.samples.is_empty() {
                let mut row = Row::empty(series.labels(self.next), steps);
                self.fill(&mut row);
                if !row.is_empty() {
                    cx.hold(row.count())?;
                    cx.looked_at(row.count());
                    if self.timestamps {
                        drop_name(&mut row, cx);
                    }
                    batch.push(row);
                }
            }
            self.next += 1;
        }
        Ok(Some(batch))
    }
}
