//! Samples of other servers into the database.
//!
//! **Cost**: labels of the series of the blocks that share a day, and what is not yet in blocks; samples one series
//! at a time.

use std::path::Path;

use super::error::{Error, Result};
use super::gathered::{Gathered, GatheredSet, WINDOW_MS};
use super::merged::Merged;
use super::prometheus::block_reader::{self, Block, FoundBlock, Refused};
use super::prometheus::wal::{LogReader, LogReport};
use crate::model::TimeRange;
use crate::storage::SeriesSet;
use crate::tsdb::Tsdb;
use crate::tsdb::block::exemplars::ExemplarSource;
use crate::tsdb::import::BlockImport;

/// A block of Prometheus covers a month at most, unless a retention of many years allows for more.
const MAX_WINDOWS: i64 = 4000;

/// What an import did.
#[derive(Debug, Default)]
pub struct ImportReport {
    /// Blocks read.
    pub source_blocks: usize,
    /// What was read of the log, if there was one.
    pub log: Option<LogReport>,
    /// Blocks written.
    pub blocks: usize,
    /// Samples written.
    pub samples: u64,
    /// Series that were left out wholly or in part, by what they are encoded in.
    pub refused: Refused,
}

/// Imports Prometheus data directory, or snapshot, `source`: all of it, or nothing in the case of an error.
/// `note` is told how it gets on.
///
/// # Errors
/// When the disk refuses, or naming the file that is damaged and where.
pub fn prometheus(source: &Path, db: &Tsdb, mut note: impl FnMut(&str)) -> Result<ImportReport> {
    let found = block_reader::find(source)?;
    let mut report = ImportReport { source_blocks: found.len(), ..ImportReport::default() };
    let mut head = read_head(source, &found, &mut report)?;
    if found.is_empty() && report.log.is_none() {
        let reason = "there are neither blocks nor a log of Prometheus in it".to_owned();
        return Err(Error::Unsupported { path: source.to_owned(), reason });
    }
    let mut open: Vec<(FoundBlock, Block)> = Vec::new();
    let mut import = db.import()?;
    let head_range = head.range();
    let spans = found.iter().map(|block| (block.min_time, block.last_time()));
    let spans: Vec<(i64, i64)> = spans.chain(head_range.map(|range| (range.start, range.end))).collect();
    for window in windows(&found, &head)? {
        for (block, opened) in open.extract_if(.., |(block, _)| block.max_time <= window.start) {
            note(&format!("{} is done", block.path.display()));
            merge_refused(&mut report.refused, opened.refused());
        }
        for block in &found {
            let wanted = TimeRange::new(block.min_time, block.last_time()).overlaps(&window);
            if wanted && !open.iter().any(|(known, _)| known.path == block.path) {
                open.push((block.clone(), Block::open(&block.path)?));
            }
        }
        let mut sources: Vec<&dyn SeriesSet> =
            open.iter().map(|(_, block)| block as &dyn SeriesSet).collect();
        let in_head = head_range.is_some_and(|range| range.overlaps(&window));
        let exemplars = if in_head { head.take_exemplars(window.end.saturating_add(1)) } else { Vec::new() };
        if in_head {
            sources.push(&head);
        }
        write_window(&mut import, &Merged::new(sources), &exemplars, window, &spans, &mut report)?;
    }
    for (_, opened) in open {
        merge_refused(&mut report.refused, opened.refused());
    }
    import.publish()?;
    Ok(report)
}

/// Writes gathered samples as blocks: all of them, or none in the case of an error.
pub(super) fn gathered(set: &mut GatheredSet, db: &Tsdb) -> Result<ImportReport> {
    let mut report = ImportReport::default();
    let spans: Vec<(i64, i64)> = set.range().map(|range| (range.start, range.end)).into_iter().collect();
    let mut import = db.import()?;
    for window in windows(&[], set)? {
        let exemplars = set.take_exemplars(window.end.saturating_add(1));
        write_window(&mut import, set, &exemplars, window, &spans, &mut report)?;
    }
    import.publish()?;
    Ok(report)
}

fn write_window(
    import: &mut BlockImport<'_>,
    set: &dyn SeriesSet,
    exemplars: &dyn ExemplarSource,
    window: TimeRange,
    spans: &[(i64, i64)],
    report: &mut ImportReport,
) -> Result<()> {
    // No wider than the data, so that it does not seem to overlap with what comes later.
    let inside = spans.iter().filter(|(start, end)| *start <= window.end && *end >= window.start);
    let (start, end) = inside.fold((i64::MAX, i64::MIN), |(a, b), (start, end)| (a.min(*start), b.max(*end)));
    let (start, end) = (start.max(window.start), end.min(window.end).saturating_add(1));
    if let Some(meta) = import.write(set, exemplars, start, end)? {
        report.blocks += 1;
        report.samples += meta.samples;
    }
    Ok(())
}

/// The windows in which blocks `found` or the gathered samples may have some.
fn windows(found: &[FoundBlock], gathered: &GatheredSet) -> Result<Vec<TimeRange>> {
    let mut numbers = gathered.windows().clone();
    for block in found {
        let first = block.min_time.div_euclid(WINDOW_MS);
        let last = block.last_time().div_euclid(WINDOW_MS);
        if last - first > MAX_WINDOWS {
            return Err(Error::damaged(&block.path.join("meta.json"), 0u64, "no block covers so much time"));
        }
        numbers.extend(first..=last);
    }
    let window = |number: i64| {
        let start = number.saturating_mul(WINDOW_MS);
        TimeRange::new(start, start.saturating_add(WINDOW_MS - 1))
    };
    Ok(numbers.into_iter().map(window).collect())
}

fn merge_refused(all: &mut Refused, more: Refused) {
    for (encoding, series) in more {
        all.entry(encoding).or_default().extend(series);
    }
}

/// What is not yet in blocks.
fn read_head(source: &Path, found: &[FoundBlock], report: &mut ImportReport) -> Result<GatheredSet> {
    let mut gathered = Gathered::default();
    let wal = source.join("wal");
    if wal.is_dir() {
        // As Prometheus does at its start: what is in blocks may have been deleted from them since.
        let in_blocks = found.iter().filter(|block| !block.partial).map(|block| block.max_time).max();
        let mut log = LogReader::new(&mut gathered, in_blocks.unwrap_or(i64::MIN));
        log.read(&wal)?;
        let late = source.join("wbl");
        if late.is_dir() {
            log.take_late();
            log.read(&late)?;
        }
        report.log = Some(log.report());
    }
    Ok(gathered.finish())
}
