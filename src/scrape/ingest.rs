//! A body to samples in the database: one commit per scrape. Runs on blocking threads, knows nothing of tokio.
//!
//! **Invariants**: a scrape is visible whole or not at all; a scrape that fails leaves stale markers and the report
//! series only. What is live is what the last scrape that was stored brought.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashSet;

use super::cache::{Cache, Key};
use super::explosion;
use super::families::Families;
use super::histograms::BucketLimits;
use super::metrics::ScrapeMetrics;
use super::quotas::{JobQuota, QuotaReached, RefusedSeries, TargetQuota};
use super::report::Report;
use super::series_labels::{merge, set_type_and_unit};
use super::shared::ScrapeOptions;
use super::status::{FamilyMetadata, Refused};
use super::summary::{Failure, Summary};
use super::target::Target;
use crate::config::ScrapeConfig;
use crate::expfmt::{Encoding, Read, ReadError, ReadOptions, Reader, SeriesError};
use crate::model::bounds::{self, OverBound};
use crate::model::histogram::ResetHint;
use crate::model::{
    Exemplar, Histogram, Labels, LabelsBuf, METRIC_NAME, Metadata, sort_exemplars, stale_nan,
};
use crate::relabel;
use crate::tsdb::chunk::open::TimelineId;
use crate::tsdb::{CommitMode, CommitStats, DbAppender, SeriesRef, Tsdb};
use crate::util::{brief, message};

/// Exemplars that are taken of one native histogram at most.
const MAX_EXEMPLARS: usize = 1000;
/// Samples of its own that a scrape has at most.
const REPORTS: usize = 16;
/// How often it is looked what a target has so many series of that some are refused.
const LOOK_AGAIN_MS: i64 = 60_000;

/// A series that gets a stale marker when it vanishes.
pub(super) type Live = SeriesRef;

/// What a loop leaves to the one that takes its place.
#[derive(Debug, Default)]
pub(super) struct Legacy {
    /// Series that go stale unless the next scrape brings them.
    pub(super) live: Vec<Live>,
    /// Whether report series were written, which go stale when nobody scrapes any more.
    pub(super) reported: bool,
    /// Whether the number of refused series was among them.
    pub(super) told_refused: bool,
}

impl Legacy {
    /// Adds what another loop leaves.
    pub(super) fn add(&mut self, other: Self) {
        self.live.extend(other.live);
        self.reported |= other.reported;
        self.told_refused |= other.told_refused;
    }
}

/// What becomes of a series that is not in the cache.
enum Resolved {
    /// It is at this place of the cache now.
    At(usize),
    /// A limit that makes the scrape fail leaves it out.
    Limited,
    /// A quota leaves it out.
    Refused(QuotaReached),
}

/// Why a scrape that got a body fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum IngestError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("series line: {0}")]
    Series(#[from] SeriesError),
    #[error("metric name missing after relabelling")]
    NoName,
    #[error("invalid metric name or label names: {0}")]
    Names(String),
    #[error("sample limit of {0} exceeded")]
    SampleLimit(u64),
    #[error("native histogram bucket limit of {0} exceeded")]
    BucketLimit(u64),
    #[error("label limit exceeded: series {series} has {count} labels, the limit is {limit}")]
    Labels { series: String, count: usize, limit: u64 },
    #[error("length limit exceeded: {what} of label {label:?} has {length} bytes, the limit is {limit}")]
    Length { what: &'static str, label: String, length: usize, limit: u64 },
    #[error("{fault}: {series}")]
    Bounds { series: String, fault: OverBound },
}

/// Everything kept from one scrape of a target to the next.
pub(super) struct Ingest {
    job: Arc<ScrapeConfig>,
    labels: Labels,
    options: ScrapeOptions,
    read: ReadOptions,
    buckets: BucketLimits,
    /// Made with the first scrape: making one may have to wait for the database.
    timeline: Option<TimelineId>,
    cache: Cache,
    /// Size of the cache after the last scrape that worked.
    last_good: usize,
    report: Report,
    families: Families,
    quota: TargetQuota,
    /// When it was last looked what the target has so many series of, in milliseconds.
    looked_ms: Option<i64>,
    buffer: LabelsBuf,
    /// What loops left that this one replaces; the series go stale unless the first scrape brings them.
    inherited: Legacy,
    last_ms: Option<i64>,
    /// How many series the database had removed when the cache was last held against it.
    removals: u64,
}

impl Ingest {
    pub(super) fn new(
        job: Arc<ScrapeConfig>,
        target: &Target,
        options: ScrapeOptions,
        families: Families,
        quota: &Arc<JobQuota>,
        db: &Tsdb,
    ) -> Self {
        let quota = TargetQuota::new(job.limits.target_series_quota, quota);
        let report = Report::new(&job, target);
        let created = options.created_zeros || options.starts;
        let read = ReadOptions { created, ..target.histograms };
        Self::fresh(job, target.labels.clone(), options, read, (report, families, quota), db)
    }

    fn fresh(
        job: Arc<ScrapeConfig>,
        labels: Labels,
        options: ScrapeOptions,
        read: ReadOptions,
        (report, families, quota): (Report, Families, TargetQuota),
        db: &Tsdb,
    ) -> Self {
        Self {
            report,
            buckets: BucketLimits::of(&job),
            job,
            labels,
            options,
            read,
            timeline: None,
            cache: Cache::default(),
            last_good: 0,
            families,
            quota,
            looked_ms: None,
            buffer: LabelsBuf::new(),
            inherited: Legacy::default(),
            last_ms: None,
            removals: db.head().churn().1,
        }
    }

    /// Takes over what others leave.
    pub(super) fn inherit(&mut self, legacy: Legacy) {
        // Whoever reads it goes on to be told.
        self.report.tells_refused |= legacy.told_refused;
        self.inherited.add(legacy);
    }

    /// The series that are live.
    pub(super) fn live(&self) -> impl Iterator<Item = Live> {
        self.cache.live().chain(self.inherited.live.iter().copied())
    }

    /// Gives away what it leaves.
    pub(super) fn take_legacy(&mut self) -> Legacy {
        let reported = self.inherited.reported || self.last_ms.is_some();
        let live = self.live().collect();
        self.cache = Cache::default();
        self.inherited = Legacy::default();
        Legacy { live, reported, told_refused: self.report.tells_refused }
    }

    /// Forgets everything but what is live, after a panic that may have left it half done.
    pub(super) fn begin_again(&mut self, db: &Tsdb) {
        let (legacy, last_ms) = (self.take_legacy(), self.last_ms);
        let (job, labels, report) = (Arc::clone(&self.job), self.labels.clone(), self.report.clone());
        let beside = (report, self.families.begun_again(), self.quota.take());
        *self = Self::fresh(job, labels, self.options, self.read, beside, db);
        (self.inherited, self.last_ms) = (legacy, last_ms);
    }

    /// Writes what a scrape at `at_ms` gave: the body with its format, or why there is none.
    pub(super) fn scrape(
        &mut self,
        db: &Tsdb,
        metrics: &ScrapeMetrics,
        at_ms: i64,
        body: Result<(&[u8], Encoding), Failure>,
        elapsed: impl Fn() -> Duration,
    ) -> Summary {
        let mut summary = Summary::default();
        if db.head().churn().1 != self.removals {
            self.forget_removed(db);
        }
        let timeline = *self.timeline.get_or_insert_with(|| db.create_timeline());
        self.cache.begin();
        self.quota.begin(db.head(), &self.labels, at_ms);
        let mut appender = db.appender(Some(timeline));
        if body.is_ok() {
            appender.reserve(self.last_good + REPORTS);
        }
        summary.body_bytes = match &body {
            Ok((bytes, _)) => bytes.len() as f64,
            Err(failure) if failure.too_large => -1.0,
            Err(_) => 0.0,
        };
        let body = body.map_err(|failure| failure.reason).and_then(|body| {
            let staged = self.body(&mut appender, at_ms, body, &mut summary);
            staged.map(|()| body).map_err(|error| {
                match error {
                    IngestError::SampleLimit(_) => drop(metrics.over_sample_limit.inc()),
                    IngestError::BucketLimit(_) => drop(metrics.over_bucket_limit.inc()),
                    _ => {}
                }
                error.to_string()
            })
        });
        metrics.duplicates.inc_by(summary.refused.duplicate);
        self.tell_refused(body.as_ref().ok().copied(), at_ms, metrics, &mut summary);
        self.families.end();
        let body = body.map_err(|reason| message(&reason).into_owned());
        let mut families = None;
        if let Err(reason) = &body {
            // Nothing of a failed scrape becomes visible but the markers.
            appender = db.appender(Some(timeline));
            self.cache.begin();
            summary.refused_series = None;
            summary.error = Some(reason.clone());
        } else {
            families = self.families.changed();
            for family in families.iter().flat_map(|families| families.iter()) {
                let FamilyMetadata { name, kind, help, unit } = FamilyMetadata::clone(family);
                appender.set_metadata(&name, Metadata { kind, unit, help });
            }
        }
        self.mark_vanished(&mut appender, at_ms);
        summary.duration = elapsed();
        self.report.write(&mut appender, at_ms, &summary);
        self.last_ms = Some(at_ms);
        match self.commit(appender, metrics) {
            Ok(stats) => {
                count(&stats, metrics, &mut summary.refused);
                if stats.unknown > 0 {
                    self.make_again(db, metrics, at_ms, body.as_ref().ok().copied(), &mut summary);
                }
                self.stored(body.is_ok());
                summary.families = families;
            }
            // Nothing is visible, so that what was live before is what has to be marked the next time.
            Err(reason) => {
                self.cache.keep(self.last_good);
                self.quota.end(None);
                summary.error.get_or_insert(reason);
            }
        }
        summary
    }

    /// Notes that what a scrape staged is stored.
    fn stored(&mut self, succeeded: bool) {
        self.inherited = Legacy::default();
        if succeeded {
            self.cache.succeed();
            self.last_good = self.cache.len();
            self.quota.end(self.quota.is_on().then(|| self.cache.stored()));
            self.families.published();
        } else {
            self.cache.fail(self.last_good);
            self.quota.end(None);
        }
    }

    /// Series were removed between being looked up and the commit: stores their samples under new ones with the same
    /// labels. What the first commit stored is there already.
    fn make_again(
        &mut self,
        db: &Tsdb,
        metrics: &ScrapeMetrics,
        at_ms: i64,
        body: Option<(&[u8], Encoding)>,
        summary: &mut Summary,
    ) {
        self.forget_removed(db);
        self.cache.begin();
        self.quota.end(None);
        let mut appender = db.appender(self.timeline);
        if let Some(body) = body {
            // It was read before, and counted.
            let _ = self.body(&mut appender, at_ms, body, &mut Summary::default());
        }
        self.report.write(&mut appender, at_ms, summary);
        if let Err(reason) = self.commit(appender, metrics) {
            summary.error.get_or_insert(reason);
        }
    }

    fn forget_removed(&mut self, db: &Tsdb) {
        self.removals = db.head().churn().1;
        self.cache.forget_unknown(|series| db.head().is_known(series));
        if self.quota.is_on() {
            // The cache may have been cleared, or never filled.
            let there = db.head().series_with(self.labels.iter());
            self.quota.keep_at_most(there.max(self.cache.stored()));
        }
    }

    fn commit(&self, appender: DbAppender<'_>, metrics: &ScrapeMetrics) -> Result<CommitStats, String> {
        appender.commit(CommitMode::Each).map_err(|error| {
            metrics.commits_failed.inc();
            tracing::error!(%error, job = self.job.job_name, "failed to store a scrape");
            error.to_string()
        })
    }

    /// Marks everything stale, with `reports` the report series too, at `at_ms` or just after the last scrape.
    pub(super) fn end(&mut self, db: &Tsdb, metrics: &ScrapeMetrics, at_ms: i64, reports: bool) {
        // One that never scraped wrote no report; whoever it inherited from may have.
        let reports = reports && (self.last_ms.is_some() || self.inherited.reported);
        let at_ms = self.last_ms.map_or(at_ms, |last_ms| at_ms.max(last_ms + 1));
        let mut appender = db.appender(self.timeline);
        self.cache.begin();
        self.mark_vanished(&mut appender, at_ms);
        if reports {
            self.report.end(&mut appender, at_ms);
        }
        // A failure was told; there is no next time.
        if let Ok(stats) = self.commit(appender, metrics) {
            count(&stats, metrics, &mut Refused::default());
        }
    }

    fn mark_vanished(&self, appender: &mut DbAppender<'_>, at_ms: i64) {
        let mut gone = self.inherited.live.clone();
        if self.cache.any_vanished() {
            self.cache.vanished(|series| gone.push(series));
        }
        if gone.is_empty() {
            return;
        }
        // Two texts can stand for one series; it is gone only when both are.
        let tracked = self.cache.tracked();
        for series in gone.into_iter().filter(|series| !tracked.contains(series)) {
            appender.append(series, at_ms, stale_nan());
        }
    }

    fn body(
        &mut self,
        appender: &mut DbAppender<'_>,
        at_ms: i64,
        (body, encoding): (&[u8], Encoding),
        Summary { counts, refused, refused_series, .. }: &mut Summary,
    ) -> Result<(), IngestError> {
        self.families.begin(encoding);
        if body.is_empty() {
            // In whatever format: there is nothing to be read, nor an end to be marked.
            return Ok(());
        }
        let mut reader = Reader::new(body, encoding, self.read);
        let limit = self.job.limits.sample_limit;
        let (mut limited, mut over_buckets) = (0u64, false);
        let mut left_out = HashSet::new();
        let mut type_key = 0;
        loop {
            if reader.pass(|| self.families.expected()) {
                self.families.passed();
                if self.options.type_and_unit_labels {
                    type_key = Cache::type_key(reader.kind(), reader.unit());
                }
            }
            let expected = self.cache.expected(type_key);
            let Some(read) = reader.next_expecting(expected.as_ref())? else { break };
            let (value, timestamp) = match read {
                Read::Sample { value, timestamp } => (Some(value), timestamp),
                Read::Histogram { timestamp } => (None, timestamp),
                Read::Metadata => {
                    self.families.note(&reader.metadata());
                    if self.options.type_and_unit_labels {
                        type_key = Cache::type_key(reader.kind(), reader.unit());
                    }
                    continue;
                }
            };
            counts.scraped += 1;
            let within_limit = limit == 0 || limited < limit;
            let found = self.cache.find(reader.series(), type_key, expected.as_ref());
            let new = found.is_none();
            // A native histogram, if it is one; it must fit before its series is made.
            let mut histogram = None;
            let mut fits = true;
            if value.is_none() && found.is_none_or(|at| self.cache.series(at).is_some()) {
                let mut read = reader.histogram()?;
                fits = self.buckets.fit(&mut read).is_ok();
                over_buckets |= !fits;
                histogram = Some(read);
            }
            let resolved = match found {
                Some(at) => Some(at),
                None => match self.resolve(appender, &reader, type_key, within_limit && fits, at_ms)? {
                    Resolved::At(at) => Some(at),
                    Resolved::Limited => None,
                    Resolved::Refused(reason) => {
                        let first = || RefusedSeries { count: 0, reason, explosion: None };
                        let refused = refused_series.get_or_insert_with(first);
                        refused.count += u64::from(left_out.insert(Key::new(reader.series(), type_key)));
                        None
                    }
                },
            };
            let Some(at) = resolved else {
                counts.kept += 1;
                limited += 1;
                continue;
            };
            let timestamp = timestamp.filter(|_| self.job.honor_timestamps);
            let tracked = timestamp.is_none() || self.job.track_timestamps_staleness;
            let first = self.cache.see(at, tracked);
            let Some(series) = self.cache.series(at) else { continue };
            counts.kept += 1;
            limited += 1;
            // Past the limit the rest is counted, not stored.
            if !within_limit || !fits {
                continue;
            }
            if !first && timestamp.is_none() {
                refused.duplicate += 1;
                continue;
            }
            let time = timestamp.unwrap_or(at_ms);
            let created = if self.read.created { reader.created() } else { None };
            if let Some(created) = created.filter(|_| self.options.created_zeros) {
                append_zero(appender, series, created, time, histogram.as_ref());
            }
            let start = created.filter(|_| self.options.starts).unwrap_or(0);
            match (value, histogram) {
                (Some(value), _) => {
                    appender.append_since(series, time, value, start);
                    if let Some(exemplar) = reader.next_exemplar(&mut self.buffer) {
                        self.exemplar(appender, series, exemplar, time);
                    }
                }
                (None, Some(histogram)) => {
                    appender.append_histogram_since(series, time, Arc::new(histogram), start);
                    self.timed_exemplars(appender, series, &mut reader);
                }
                // Not even read, as relabelling drops it.
                (None, None) => {}
            }
            counts.added += u64::from(new);
        }
        if limit > 0 && limited > limit {
            return Err(IngestError::SampleLimit(limit));
        }
        if over_buckets {
            return Err(IngestError::BucketLimit(self.job.native_histogram_bucket_limit));
        }
        Ok(())
    }

    /// Counts the series that were refused, and looks now and then what the target has so many of.
    fn tell_refused(
        &mut self,
        body: Option<(&[u8], Encoding)>,
        at_ms: i64,
        metrics: &ScrapeMetrics,
        summary: &mut Summary,
    ) {
        let (Some(body), Some(refused)) = (body, &mut summary.refused_series) else { return };
        metrics.series_refused.inc_by(refused.count);
        if self.looked_ms.is_some_and(|last| at_ms < last.saturating_add(LOOK_AGAIN_MS)) {
            return;
        }
        self.looked_ms = Some(at_ms);
        let (bytes, encoding) = body;
        refused.explosion = explosion::find(|look| {
            let mut reader = Reader::new(bytes, encoding, self.read);
            // It was read before, to its end.
            while let Ok(Some(read)) = reader.next(None) {
                if !matches!(read, Read::Metadata) && matches!(self.read_labels(&reader), Ok(true)) {
                    look(&self.buffer);
                }
            }
        });
    }

    /// Stages the exemplar of a sample at `at_ms`, whose labels are in the buffer.
    fn exemplar(
        &self,
        appender: &mut DbAppender<'_>,
        series: Live,
        (value, timestamp): (f64, Option<i64>),
        at_ms: i64,
    ) {
        let labels = self.buffer.to_labels();
        let exemplar = Exemplar { labels, value, timestamp: timestamp.unwrap_or(at_ms) };
        appender.append_exemplar(series, exemplar, timestamp.is_some());
    }

    /// Stages the exemplars of a native histogram that have a time of their own. Others are left out: nobody could tell
    /// the same one from the next.
    fn timed_exemplars(&mut self, appender: &mut DbAppender<'_>, series: Live, reader: &mut Reader<'_>) {
        let mut exemplars = Vec::new();
        while let Some((value, timestamp)) = reader.next_exemplar(&mut self.buffer) {
            if let Some(timestamp) = timestamp
                && exemplars.len() < MAX_EXEMPLARS
            {
                exemplars.push(Exemplar { labels: self.buffer.to_labels(), value, timestamp });
            }
        }
        sort_exemplars(&mut exemplars);
        for exemplar in exemplars {
            appender.append_exemplar(series, exemplar, true);
        }
    }

    /// Reads the labels of the series into the buffer, as relabelling leaves them; false if it drops the series.
    fn read_labels(&mut self, reader: &Reader<'_>) -> Result<bool, SeriesError> {
        let buffer = &mut self.buffer;
        reader.labels(buffer)?;
        if self.options.type_and_unit_labels {
            set_type_and_unit(buffer, reader.kind(), reader.unit())?;
        }
        merge(buffer, &self.labels, self.job.honor_labels);
        Ok(relabel::apply(&self.job.metric_relabel_configs, buffer) && !buffer.is_empty())
    }

    /// A series that is not in the cache: labels, relabelling, limits, quotas, and a place in the database. Without
    /// `store` a series that would be kept gets no place, so that a limit bounds the database too.
    fn resolve(
        &mut self,
        appender: &mut DbAppender<'_>,
        reader: &Reader<'_>,
        type_key: u32,
        store: bool,
        at_ms: i64,
    ) -> Result<Resolved, IngestError> {
        if !self.read_labels(reader)? {
            return Ok(Resolved::At(self.cache.insert(reader.series(), type_key, None)));
        }
        if self.buffer.metric_name().is_empty() {
            return Err(IngestError::NoName);
        }
        self.check_names()?;
        self.check_limits()?;
        if !store {
            return Ok(Resolved::Limited);
        }
        let labels = self.buffer.to_labels();
        bounds::check_labels(&labels)
            .map_err(|fault| IngestError::Bounds { series: brief(&labels), fault })?;
        let admitted = match appender.known(&labels) {
            Some(known) => Ok(known),
            None => self.quota.take_one(at_ms).and_then(|()| {
                appender.admit(&labels).map_err(|reason| {
                    self.quota.give_back_one();
                    QuotaReached::Server(reason)
                })
            }),
        };
        Ok(match admitted {
            Ok(series) => Resolved::At(self.cache.insert(reader.series(), type_key, Some(series))),
            Err(reason) => Resolved::Refused(reason),
        })
    }

    fn check_names(&self) -> Result<(), IngestError> {
        let names = self.job.formats.names;
        let valid = names.is_metric_name(self.buffer.metric_name())
            && self.buffer.iter().all(|(name, _)| name == METRIC_NAME || names.is_label_name(name));
        if valid { Ok(()) } else { Err(IngestError::Names(brief(self.buffer.to_labels()))) }
    }

    fn check_limits(&self) -> Result<(), IngestError> {
        let limits = &self.job.limits;
        let over = |length: usize, limit: u64| limit > 0 && length as u64 > limit;
        if over(self.buffer.len(), limits.label_limit) {
            let series = brief(self.buffer.to_labels());
            return Err(IngestError::Labels { series, count: self.buffer.len(), limit: limits.label_limit });
        }
        if limits.label_name_length_limit == 0 && limits.label_value_length_limit == 0 {
            return Ok(());
        }
        for (name, value) in self.buffer.iter() {
            let parts = [
                ("name", name.len(), limits.label_name_length_limit),
                ("value", value.len(), limits.label_value_length_limit),
            ];
            for (what, length, limit) in parts {
                if over(length, limit) {
                    return Err(IngestError::Length { what, label: brief(name), length, limit });
                }
            }
        }
        Ok(())
    }
}

/// Stages a zero at the time when counting began, unless the series has newer samples, as it has but for the first one
/// after that.
fn append_zero(
    appender: &mut DbAppender<'_>,
    series: Live,
    created: i64,
    time: i64,
    histogram: Option<&Histogram>,
) {
    if created >= time || !appender.is_next(series, created) {
        return;
    }
    match histogram {
        None => appender.append(series, created, 0.0),
        Some(Histogram { schema, zero_threshold, custom_values, integer, .. }) => {
            let zero = Histogram {
                schema: *schema,
                zero_threshold: *zero_threshold,
                custom_values: custom_values.clone(),
                integer: *integer,
                reset_hint: ResetHint::Reset,
                ..Histogram::default()
            };
            appender.append_histogram(series, created, Arc::new(zero));
        }
    }
}

/// Counts what the database did not take.
fn count(stats: &CommitStats, metrics: &ScrapeMetrics, refused: &mut Refused) {
    metrics.out_of_order.inc_by(stats.out_of_order as u64);
    metrics.duplicates.inc_by(stats.duplicate as u64);
    metrics.out_of_bounds.inc_by((stats.too_old + stats.too_far_ahead) as u64);
    refused.out_of_order += stats.out_of_order as u64;
    refused.duplicate += stats.duplicate as u64;
    refused.too_old += stats.too_old as u64;
    refused.too_far_ahead += stats.too_far_ahead as u64;
}

#[cfg(test)]
#[path = "ingest_tests.rs"]
pub(super) mod tests;

#[cfg(test)]
#[path = "format_tests.rs"]
mod format_tests;

#[cfg(test)]
#[path = "quota_tests.rs"]
mod quota_tests;
