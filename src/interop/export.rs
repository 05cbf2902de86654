//! The database, or a part of it, as blocks of Prometheus.

use std::path::Path;

use super::error::Result;
use super::prometheus::block_writer::{BlockWriter, Written, prepare};
use crate::model::{Matcher, Samples, TimeRange};
use crate::storage::{Queryable, SelectRequest, SeriesSet as _};

/// What to export.
#[derive(Debug, Clone)]
pub struct ExportPlan {
    /// Times to export, both ends inside, in milliseconds.
    pub range: TimeRange,
    /// Only series that match one of these; empty for all.
    pub selectors: Vec<Vec<Matcher>>,
    /// Time a block covers, in milliseconds, at least one. Blocks begin at multiples of it.
    pub window_ms: i64,
}

/// Writes the samples of `source` as blocks below folder `target`. `done` is told of each block.
///
/// # Errors
/// When data cannot be read, or the disk refuses. Blocks finished before stay.
pub fn export(
    source: &dyn Queryable,
    plan: &ExportPlan,
    target: &Path,
    mut done: impl FnMut(&Written),
) -> Result<Vec<Written>> {
    prepare(target)?;
    let mut blocks = Vec::new();
    let window = |time: i64| time.div_euclid(plan.window_ms);
    let every = vec![Vec::new()];
    let selectors = if plan.selectors.is_empty() { &every } else { &plan.selectors };
    let mut samples = Samples::new();
    for number in window(plan.range.start)..=window(plan.range.end) {
        let start = number.saturating_mul(plan.window_ms);
        let range = TimeRange::new(
            start.max(plan.range.start),
            start.saturating_add(plan.window_ms - 1).min(plan.range.end),
        );
        let querier = source.querier(range)?;
        let mut sets = Vec::new();
        for matchers in selectors {
            sets.push(querier.select(&SelectRequest::new(matchers, range))?);
        }
        // Of equal series of two selectors the samples are the same.
        let set = super::merged::Merged::new(sets.iter().map(|set| &**set).collect());
        let mut writer = None;
        for index in 0..set.len() {
            set.read(index, range, &mut samples)?;
            if samples.is_empty() {
                continue;
            }
            let writer = match &mut writer {
                Some(writer) => writer,
                none => none.insert(BlockWriter::new(target)?),
            };
            writer.push(set.labels(index), &samples)?;
        }
        if let Some(written) = writer.map(BlockWriter::finish).transpose()?.flatten() {
            done(&written);
            blocks.push(written);
        }
    }
    Ok(blocks)
}
