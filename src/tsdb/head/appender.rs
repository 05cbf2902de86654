//! The one way in: stage samples, then commit them to the log and to the series.
//!
//! **Invariants**: nothing staged is visible before the commit; a commit whose log append fails leaves no trace.
//! Dropping an appender forgets what was staged.

use std::sync::Arc;

use super::Head;
use super::series::MemSeries;
use crate::codec::frame;
use crate::model::Labels;
use crate::tsdb::chunk::open::TimelineId;
use crate::tsdb::error::Result;
use crate::tsdb::record::{self, RefSample};
use crate::tsdb::wal::Wal;
use crate::tsdb::{AppendOutcome, SeriesRef};
use crate::util::lock::read;

/// A log record holds at most this many samples, so that no record comes near the bounds of its length field.
const MAX_RECORD_SAMPLES: usize = 100_000;

/// What a commit did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommitStats {
    /// Samples that are now visible.
    pub committed: usize,
    /// Samples that a concurrent commit of the same series overtook; they are counted and dropped.
    pub overtaken: usize,
}

/// Limits on the timestamps an appender accepts, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// Older samples are too old.
    pub min: i64,
    /// Newer samples are too far ahead of the clock.
    pub max: i64,
}

/// Stages the samples of one scrape or one request.
pub struct Appender<'a> {
    head: &'a Head,
    wal: &'a Wal,
    limits: TimeLimits,
    timeline: Option<TimelineId>,
    // Holding the series keeps it from being removed before the commit.
    staged: Vec<(Arc<MemSeries>, RefSample)>,
    buffer: Vec<u8>,
}

impl<'a> Appender<'a> {
    pub(crate) fn new(
        head: &'a Head,
        wal: &'a Wal,
        limits: TimeLimits,
        timeline: Option<TimelineId>,
    ) -> Self {
        Self { head, wal, limits, timeline, staged: Vec::new(), buffer: Vec::new() }
    }

    /// The series with `labels`, made if absent.
    pub fn series(&mut self, labels: &Labels) -> SeriesRef {
        self.head.get_or_create(labels).reference()
    }

    /// Stages one sample (timestamp in milliseconds).
    ///
    /// Order is checked against what is committed: a second sample of a series in the same commit that goes back
    /// in time is dropped, and counted, by [`Appender::commit`].
    pub fn append(&mut self, series: SeriesRef, timestamp: i64, value: f64) -> AppendOutcome {
        let Some(target) = self.head.get(series) else { return AppendOutcome::UnknownSeries };
        if timestamp > self.limits.max {
            return AppendOutcome::TooFarAhead;
        }
        match target.last() {
            Some((last, old)) if timestamp == last => {
                if old.to_bits() == value.to_bits() {
                    return AppendOutcome::Repeated;
                }
                return AppendOutcome::DuplicateTimestamp;
            }
            Some((last, _)) if timestamp < last => {
                return if timestamp < self.limits.min {
                    AppendOutcome::TooOld
                } else {
                    AppendOutcome::OutOfOrder
                };
            }
            _ if timestamp < self.limits.min => return AppendOutcome::TooOld,
            _ => {}
        }
        self.staged.push((target, RefSample { series, timestamp, value }));
        AppendOutcome::Accepted
    }

    /// Number of staged samples.
    pub fn staged(&self) -> usize {
        self.staged.len()
    }

    /// Logs what was staged, then makes it visible, all at once.
    ///
    /// # Errors
    /// When the log cannot take it; nothing is visible then.
    pub fn commit(mut self) -> Result<CommitStats> {
        if self.staged.is_empty() {
            return Ok(CommitStats::default());
        }
        self.log()?;
        let mut stats = CommitStats::default();
        let _shared = read(&self.head.gate);
        let first = self.staged[0].1.timestamp;
        let place = self.timeline.and_then(|id| self.head.timelines.push(id, first));
        for (series, sample) in &self.staged {
            series.mark_logged();
            // A block may have been cut since the sample was staged.
            let late = sample.timestamp < self.head.min_valid();
            if !late && self.head.apply(series, sample, place.filter(|_| sample.timestamp == first)) {
                stats.committed += 1;
            } else {
                stats.overtaken += 1;
            }
        }
        Ok(stats)
    }

    fn log(&mut self) -> Result<()> {
        let out = &mut self.buffer;
        let mut fresh: Vec<&MemSeries> =
            self.staged.iter().map(|(series, _)| &**series).filter(|s| !s.is_logged()).collect();
        fresh.sort_unstable_by_key(|s| s.reference());
        fresh.dedup_by_key(|s| s.reference());
        for part in fresh.chunks(MAX_RECORD_SAMPLES) {
            frame::put_record(out, |o| {
                record::put_series(o, part.iter().map(|s| (s.reference(), s.labels())));
            });
        }
        for part in self.staged.chunks(MAX_RECORD_SAMPLES) {
            frame::put_record(out, |o| record::put_samples(o, self.timeline, part.iter().map(|(_, s)| *s)));
        }
        self.wal.append(out, self.staged.iter().map(|(_, s)| s.timestamp).max())
    }
}
