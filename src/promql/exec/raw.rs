//! A range vector that is the answer itself.

use super::build::rows;
use super::context::Context;
use super::rollup::{BYTES_PER_SAMPLE, extended_samples};
use crate::model::Samples;
use crate::promql::error::Error;
use crate::promql::memory::Ticket;
use crate::promql::plan::{Extension, RangeSource};
use crate::promql::{MatrixSeries, Value};

/// The samples inside the only window of a range vector, with their own times, and what they are counted by.
pub(crate) fn raw_series(
    source: &RangeSource,
    range: i64,
    cx: &Context<'_>,
) -> Result<(Vec<(MatrixSeries, bool)>, Ticket), Error> {
    let mut out = Vec::new();
    let mut memory = cx.reserve(0)?;
    let mut samples = Samples::new();
    match source {
        RangeSource::Select(reader, extension) => {
            let series = &cx.selects[reader.select];
            let end = reader.eval_times.get(0);
            let start = end.saturating_sub(range);
            for at in 0..series.len() {
                cx.check()?;
                series.read(at, reader.range, &mut samples)?;
                cx.has_read(samples.len());
                samples.drop_stale();
                if *extension != Extension::None && !samples.is_empty() {
                    let smoothed = matches!(extension, Extension::Smoothed { .. });
                    if !samples.histograms.is_empty() {
                        let word = if smoothed { "smoothed" } else { "anchored" };
                        let message = format!("{word} modifier is not supported with histograms");
                        return Err(Error::Execution(message));
                    }
                    samples = extended_samples(&samples, start, end, smoothed);
                }
                if !samples.is_empty() {
                    let weight = samples.weight();
                    cx.hold(weight)?;
                    cx.looked_at(weight);
                    cx.at_step(0, weight, weight);
                    let labels = series.labels(at);
                    cx.grow(&mut memory, Value::bytes_of_one(&labels, &samples))?;
                    out.push((MatrixSeries { labels, samples: samples.clone() }, false));
                }
            }
        }
        RangeSource::Subquery { inner, .. } => {
            let Some(node) = inner else { return Ok((out, memory)) };
            for row in cx.answering(node.grid.count, || rows(node, cx))? {
                cx.work(row.values.len())?;
                let _samples = cx.reserve_buffer(row.count() * BYTES_PER_SAMPLE)?;
                samples.clear();
                row.write_samples(|at| node.grid.time(at), &mut samples);
                cx.grow(&mut memory, Value::bytes_of_one(&row.labels, &samples))?;
                let series = MatrixSeries { labels: row.labels.clone(), samples: samples.clone() };
                out.push((series, row.drop_name));
            }
        }
    }
    Ok((out, memory))
}
