//! `Tsdb`: opens a data directory, hands out appenders and snapshots, keeps the maintenance thread.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::SeriesRef;
use super::admission::NoNewSeries;
use super::block::BlockMeta;
use super::chunk::open::TimelineId;
use super::error::Result;
use super::head::appender::{Appender, CommitMode, CommitStats, TimeLimits};
use super::head::{Head, fingerprint_packed};
use super::inner::Inner;
use super::options::Limits;
use super::store::BlockId;
use crate::model::{Exemplar, Histogram, Labels, Metadata, TimeRange};
use crate::util::lock::lock;

/// The database. Dropping it without [`Tsdb::close`] loses nothing, but leaves its threads to end by themselves.
///
/// ```
/// use std::sync::Arc;
///
/// use emberkeep::model::{Labels, Matcher, Samples, TimeRange};
/// use emberkeep::storage::{Queryable, SelectRequest};
/// use emberkeep::telemetry::Registry;
/// use emberkeep::tsdb::{CommitMode, Tsdb, TsdbOptions};
/// use emberkeep::util::{Clock, SystemClock};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// let clock = Arc::new(SystemClock);
/// let db = Tsdb::open(TsdbOptions::new(dir.path()), clock.clone(), &mut Registry::default())?;
///
/// let now = clock.now_ms();
/// let mut appender = db.appender(None);
/// let series = appender.series(&Labels::from_pairs([("__name__", "temperature"), ("room", "kitchen")]));
/// appender.append(series, now, 21.5);
/// appender.commit(CommitMode::Each)?;
///
/// let range = TimeRange::new(now - 60_000, now);
/// let matchers = [Matcher::equal("room", "kitchen")];
/// let found = db.querier(range)?.select(&SelectRequest::new(&matchers, range))?;
/// let mut samples = Samples::new();
/// found.read(0, range, &mut samples)?;
/// assert_eq!((found.len(), samples.values), (1, vec![21.5]));
/// db.close()?;
/// # Ok(())
/// # }
/// ```
pub struct Tsdb {
    pub(super) inner: Arc<Inner>,
    pub(super) threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Read-only view for the API and the command line.
#[derive(Debug, Clone)]
pub struct TsdbStatus {
    /// Live blocks.
    pub blocks: Vec<Arc<BlockMeta>>,
    /// Blocks that the catalog named when it was opened and the disk did not have.
    pub missing: Vec<Arc<BlockMeta>>,
    /// Damaged places of the log that were cut off at start.
    pub corruptions: usize,
    /// Blocks set aside as damaged since it was opened.
    pub set_aside: u64,
    /// Whether both copies of the tombstones were damaged when it was opened.
    pub tombstones_lost: bool,
    /// Samples of the log that could not be brought back, because their series or they themselves could not be read.
    pub lost_samples: u64,
    /// Segment of the log being written.
    pub segment: u64,
}

impl Tsdb {
    /// Starts a batch of samples. `timeline` is the target's, for samples that share their timestamp.
    pub fn appender(&self, timeline: Option<TimelineId>) -> DbAppender<'_> {
        let inner = &*self.inner;
        let half_block = inner.options.block_range_ms / 2;
        let newest = inner.head.time_range().map_or(i64::MIN, |range| range.end);
        let limits = TimeLimits {
            min: inner.head.min_valid().max(newest.saturating_sub(half_block)),
            max: inner.clock.now_ms().saturating_add(inner.options.max_ahead_ms),
            out_of_order: inner.limits.load().out_of_order_ms,
        };
        DbAppender { db: inner, inner: Appender::new(&inner.head, &inner.wal, limits, timeline) }
    }

    /// A timeline for one scraped target; see [`super::chunk::timeline`].
    pub fn create_timeline(&self) -> TimelineId {
        self.inner.head.create_timeline()
    }

    /// The head, for statistics.
    pub fn head(&self) -> &Head {
        &self.inner.head
    }

    /// Oldest and newest sample there is, in milliseconds.
    pub fn time_range(&self) -> Option<TimeRange> {
        let head = self.inner.head.time_range();
        let catalog = self.inner.catalog.load();
        let start = catalog.blocks.iter().map(|b| b.start).chain(head.map(|h| h.start)).min()?;
        let end = catalog.blocks.iter().map(|b| b.end - 1).chain(head.map(|h| h.end)).max()?;
        Some(TimeRange { start, end })
    }

    /// What the status pages show, at no cost; totals of the head are [`Head::stats`].
    pub fn status(&self) -> TsdbStatus {
        TsdbStatus {
            blocks: self.inner.catalog.load().blocks.clone(),
            missing: self.inner.missing.clone(),
            corruptions: self.inner.replay.report().map_or(0, |report| report.damage.len()),
            lost_samples: self.inner.replay.report().map_or(0, |report| report.orphans + report.undecodable),
            set_aside: self.inner.metrics.blocks_quarantined.get(),
            tombstones_lost: self.inner.tombstones_lost,
            segment: self.inner.wal.current_segment(),
        }
    }

    /// How often work of the database's threads panicked and was begun again.
    pub fn restarts(&self) -> u64 {
        self.inner.metrics.restarts.count()
    }

    /// What is known about metric families from scrapes and remote write, by name; of family `only` if it is given.
    ///
    /// # Errors
    /// When the log is still being replayed, or that failed.
    pub fn metadata(&self, only: Option<&str>) -> Result<Vec<(String, Metadata)>> {
        self.inner.replay.check()?;
        Ok(self.inner.head.families(only))
    }

    /// Bytes block `id` takes on disk.
    pub fn block_size_bytes(&self, id: &BlockId) -> u64 {
        self.inner.block_bytes(id)
    }

    /// What is kept, and what is taken.
    pub fn limits(&self) -> Limits {
        **self.inner.limits.load()
    }

    /// Changes what is kept, and what is taken, from now on.
    ///
    /// # Errors
    /// When a limit is outside its bounds.
    pub fn set_limits(&self, limits: Limits) -> Result<()> {
        limits.validate()?;
        self.inner.limits.store(Arc::new(limits));
        // The replay, which has the head, does it at its end.
        if self.inner.replay.is_done() {
            self.inner.adopt_limits();
        }
        Ok(())
    }

    /// Checks every byte of block `meta`; returns its number of samples.
    ///
    /// # Errors
    /// Naming what is damaged.
    pub fn verify_block(&self, meta: &Arc<BlockMeta>) -> Result<u64> {
        self.inner.block(meta).verify()
    }

    /// Sets the gauges to what is true now; those of the head once the log is replayed.
    pub fn refresh_metrics(&self) {
        let Inner { metrics, head, catalog, cache, wal, .. } = &*self.inner;
        let catalog = catalog.load();
        let as_gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        if self.inner.replay.is_done() {
            self.refresh_head_metrics();
        }
        let (created, removed) = head.churn();
        // The head counts; the counters catch up.
        metrics.series_created.inc_by(created.saturating_sub(metrics.series_created.get()));
        metrics.series_removed.inc_by(removed.saturating_sub(metrics.series_removed.get()));
        let range = head.time_range().unwrap_or(TimeRange { start: 0, end: 0 });
        metrics.min_time.set(range.start);
        metrics.max_time.set(range.end);
        metrics.exemplars.limit.set(as_gauge(self.limits().max_exemplars as u64));
        metrics.blocks.set(as_gauge(catalog.blocks.len() as u64));
        metrics.block_bytes.set(as_gauge(catalog.blocks.iter().map(|b| self.inner.block_bytes(&b.id)).sum()));
        let limits = self.limits();
        metrics.retention_seconds.set(limits.retention_ms / 1000);
        metrics.retention_bytes.set(as_gauge(self.inner.max_bytes()));
        metrics.series_limit.set(as_gauge(limits.max_series));
        metrics.refusing_series.set(i64::from(self.inner.refuses_new_series().is_some()));
        metrics.disk_full.set(i64::from(self.inner.space.is_full()));
        metrics.disk_available.set(as_gauge(self.inner.space.seen().map_or(0, |space| space.available)));
        metrics.wal_bytes.set(as_gauge(self.inner.wal_bytes()));
        metrics
            .wal_appended_bytes
            .inc_by(wal.appended_bytes().saturating_sub(metrics.wal_appended_bytes.get()));
        metrics.cache_bytes.set(as_gauge(cache.bytes() as u64));
        metrics.wal_segment.set(as_gauge(wal.current_segment()));
    }

    fn refresh_head_metrics(&self) {
        let Inner { metrics, head, .. } = &*self.inner;
        let as_gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let stats = head.stats();
        metrics.series.set(as_gauge(stats.series));
        metrics.chunks.set(as_gauge(stats.chunks));
        let (exemplars, with_exemplars) = head.exemplar_counts();
        metrics.exemplars.in_memory.set(as_gauge(exemplars));
        metrics.exemplars.series.set(as_gauge(with_exemplars));
    }

    /// Ends the threads and syncs the log.
    ///
    /// # Errors
    /// When the last sync fails.
    pub fn close(&self) -> Result<()> {
        self.give_up_replay();
        let _ = self.wait();
        self.inner.stop.stop();
        for thread in lock(&self.threads).drain(..) {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("a database maintenance thread panicked");
            }
        }
        self.inner.wal.close()
    }
}

impl Drop for Tsdb {
    fn drop(&mut self) {
        self.inner.stop.stop();
        lock(&self.threads).iter().for_each(|t| t.thread().unpark());
    }
}

/// An [`Appender`] that counts what it refuses.
pub struct DbAppender<'a> {
    inner: Appender<'a>,
    db: &'a Inner,
}

impl DbAppender<'_> {
    /// Refuses samples that are out of order, whatever the database takes otherwise.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        self.inner.in_order();
        self
    }

    /// Room for as many floats.
    pub fn reserve(&mut self, samples: usize) {
        self.inner.reserve(samples);
    }

    /// See [`Appender::series`].
    pub fn series(&mut self, labels: &Labels) -> SeriesRef {
        self.inner.series(labels)
    }

    /// The series with `labels`, if it is in memory.
    pub fn known(&self, labels: &Labels) -> Option<SeriesRef> {
        self.inner.find(fingerprint_packed(labels.packed()))
    }

    /// As [`DbAppender::series`], but a new series is made only while such are taken.
    ///
    /// # Errors
    /// Why it is not.
    pub fn admit(&mut self, labels: &Labels) -> std::result::Result<SeriesRef, NoNewSeries> {
        if let Some(known) = self.known(labels) {
            return Ok(known);
        }
        match self.db.refuses_new_series() {
            None => Ok(self.series(labels)),
            Some(reason) => {
                self.db.metrics.series_refused.inc();
                Err(reason)
            }
        }
    }

    /// See [`Appender::find`].
    pub(crate) fn find(&self, fingerprint: u128) -> Option<SeriesRef> {
        self.inner.find(fingerprint)
    }

    /// See [`Appender::append`].
    pub fn append(&mut self, series: SeriesRef, timestamp: i64, value: f64) {
        self.inner.append(series, timestamp, value);
    }

    /// See [`Appender::append_histogram`].
    pub fn append_histogram(&mut self, series: SeriesRef, timestamp: i64, histogram: Arc<Histogram>) {
        self.inner.append_histogram(series, timestamp, histogram);
    }

    /// See [`Appender::append_since`]; without [`super::TsdbOptions::start_timestamps`] the start is forgotten.
    pub fn append_since(&mut self, series: SeriesRef, timestamp: i64, value: f64, start: i64) {
        self.inner.append_since(series, timestamp, value, self.kept(start));
    }

    /// See [`Appender::append_histogram_since`] and [`DbAppender::append_since`].
    pub fn append_histogram_since(
        &mut self,
        series: SeriesRef,
        timestamp: i64,
        histogram: Arc<Histogram>,
        start: i64,
    ) {
        self.inner.append_histogram_since(series, timestamp, histogram, self.kept(start));
    }

    fn kept(&self, start: i64) -> i64 {
        if self.db.options.start_timestamps { start } else { 0 }
    }

    /// See [`Appender::is_next`].
    pub fn is_next(&self, series: SeriesRef, timestamp: i64) -> bool {
        self.inner.is_next(series, timestamp)
    }

    /// See [`Appender::append_exemplar`].
    pub fn append_exemplar(&mut self, series: SeriesRef, exemplar: Exemplar, timed: bool) {
        self.inner.append_exemplar(series, exemplar, timed);
    }

    /// See [`Appender::set_metadata`].
    pub fn set_metadata(&mut self, name: &str, metadata: Metadata) {
        self.inner.set_metadata(name, metadata);
    }

    /// Number of staged samples.
    pub fn staged(&self) -> usize {
        self.inner.staged()
    }

    /// See [`Appender::commit`].
    ///
    /// # Errors
    /// When the log cannot take it.
    pub fn commit(self, mode: CommitMode) -> Result<CommitStats> {
        let metrics = &self.db.metrics;
        if let Err(error) = self.db.replay.wait().and_then(|()| self.db.check_space()) {
            metrics.wal_appends_failed.inc();
            return Err(error);
        }
        match self.inner.commit(mode) {
            Ok(stats) => {
                metrics.samples_appended.inc_by(stats.committed as u64);
                metrics.out_of_order.inc_by((stats.out_of_order + stats.duplicate) as u64);
                metrics.too_old.inc_by(stats.too_old as u64);
                metrics.out_of_bounds.inc_by(stats.too_far_ahead as u64);
                metrics.too_large.inc_by(stats.too_large as u64);
                metrics.exemplars.count(&stats.exemplars);
                metrics.families_refused.inc_by(stats.families_refused as u64);
                Ok(stats)
            }
            Err(error) => {
                metrics.wal_appends_failed.inc();
                self.db.look_at_disk();
                Err(error)
            }
        }
    }
}
