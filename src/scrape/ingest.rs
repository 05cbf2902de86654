//! A body to samples in the database: one commit per scrape. Runs on blocking threads, knows nothing of tokio.
//!
//! **Invariants**: a scrape is visible whole or not at all; a scrape that fails leaves stale markers and the report
//! series only. What is live is what the last scrape that was stored brought.

use std::sync::Arc;
use std::time::Duration;

use super::cache::{Cache, Known};
use super::families::Families;
use super::metrics::ScrapeMetrics;
use super::report::Report;
use super::shared::ScrapeOptions;
use super::status::{FamilyMetadata, Refused};
use super::summary::Summary;
use crate::config::ScrapeConfig;
use crate::expfmt::{
    Entry, ExemplarText, Format, ParseError, Parser, Sample, SeriesError, parse_exposed, parse_labels,
};
use crate::model::bounds::{self, OverBound};
use crate::model::{Exemplar, Labels, LabelsBuf, Metadata, MetricType, TYPE_LABEL, UNIT_LABEL, stale_nan};
use crate::relabel;
use crate::tsdb::chunk::open::TimelineId;
use crate::tsdb::{CommitMode, CommitStats, DbAppender, SeriesRef, Tsdb};
use crate::util::{brief, message};

/// A series that gets a stale marker when it vanishes.
pub(super) type Live = SeriesRef;

/// What a loop leaves to the one that takes its place.
#[derive(Debug, Default)]
pub(super) struct Legacy {
    /// Series that go stale unless the next scrape brings them.
    pub(super) live: Vec<Live>,
    /// Whether report series were written, which go stale when nobody scrapes any more.
    pub(super) reported: bool,
}

impl Legacy {
    /// Adds what another loop leaves.
    pub(super) fn add(&mut self, other: Self) {
        self.live.extend(other.live);
        self.reported |= other.reported;
    }
}

/// Why a scrape that got a body fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum IngestError {
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error("series line: {0}")]
    Series(#[from] SeriesError),
    #[error("metric name missing after relabelling")]
    NoName,
    #[error("sample limit of {0} exceeded")]
    SampleLimit(u64),
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
    /// Made with the first scrape: making one may have to wait for the database.
    timeline: Option<TimelineId>,
    cache: Cache,
    /// Size of the cache after the last scrape that worked.
    last_good: usize,
    report: Report,
    families: Families,
    buffer: LabelsBuf,
    /// What loops left that this one replaces; the series go stale unless the first scrape brings them.
    inherited: Legacy,
    last_ms: Option<i64>,
    /// How many series the database had removed when the cache was last held against it.
    removals: u64,
}

impl Ingest {
    pub(super) fn new(job: Arc<ScrapeConfig>, labels: Labels, options: ScrapeOptions, db: &Tsdb) -> Self {
        Self {
            report: Report::new(&labels),
            job,
            labels,
            options,
            timeline: None,
            cache: Cache::default(),
            last_good: 0,
            families: Families::default(),
            buffer: LabelsBuf::new(),
            inherited: Legacy::default(),
            last_ms: None,
            removals: db.head().churn().1,
        }
    }

    /// Takes over what others leave.
    pub(super) fn inherit(&mut self, legacy: Legacy) {
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
        Legacy { live, reported }
    }

    /// Forgets everything but what is live, after a panic that may have left it half done.
    pub(super) fn begin_again(&mut self, db: &Tsdb) {
        let (legacy, last_ms) = (self.take_legacy(), self.last_ms);
        *self = Self::new(Arc::clone(&self.job), self.labels.clone(), self.options, db);
        (self.inherited, self.last_ms) = (legacy, last_ms);
    }

    /// Writes what a scrape at `at_ms` gave: the body with its format, or why there is none.
    pub(super) fn scrape(
        &mut self,
        db: &Tsdb,
        metrics: &ScrapeMetrics,
        at_ms: i64,
        body: Result<(&[u8], Format), String>,
        elapsed: impl Fn() -> Duration,
    ) -> Summary {
        let mut summary = Summary::default();
        if db.head().churn().1 != self.removals {
            self.forget_removed(db);
        }
        let timeline = *self.timeline.get_or_insert_with(|| db.create_timeline());
        self.cache.begin();
        let mut appender = db.appender(Some(timeline));
        let body = body.and_then(|body| {
            let staged = self.body(&mut appender, at_ms, body, &mut summary);
            staged.map(|()| body).map_err(|error| {
                if matches!(error, IngestError::SampleLimit(_)) {
                    metrics.over_sample_limit.inc();
                }
                error.to_string()
            })
        });
        metrics.duplicates.inc_by(summary.refused.duplicate);
        self.families.end();
        let body = body.map_err(|reason| message(&reason).into_owned());
        let mut families = None;
        if let Err(reason) = &body {
            // Nothing of a failed scrape becomes visible but the markers.
            appender = db.appender(Some(timeline));
            self.cache.begin();
            summary.error = Some(reason.clone());
        } else {
            families = self.families.changed();
            for family in families.iter().flat_map(|families| families.iter()) {
                let FamilyMetadata { name, kind, help, unit } = family.clone();
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
            self.families.published();
        } else {
            self.cache.fail(self.last_good);
        }
    }

    /// Series were removed between being looked up and the commit: stores their samples under new ones with the same
    /// labels. What the first commit stored is there already.
    fn make_again(
        &mut self,
        db: &Tsdb,
        metrics: &ScrapeMetrics,
        at_ms: i64,
        body: Option<(&[u8], Format)>,
        summary: &mut Summary,
    ) {
        self.forget_removed(db);
        self.cache.begin();
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
        (body, format): (&[u8], Format),
        Summary { counts, refused, .. }: &mut Summary,
    ) -> Result<(), IngestError> {
        self.families.begin(format);
        if body.is_empty() {
            // In whatever format: there is nothing to be read, nor an end to be marked.
            return Ok(());
        }
        let mut parser = Parser::new(body, format);
        let limit = self.job.limits.sample_limit;
        let mut limited = 0u64;
        let mut type_key = 0;
        while let Some(entry) = parser.next_entry(self.cache.expected())? {
            let Entry::Sample(sample) = entry else {
                self.families.note(&entry);
                if self.options.type_and_unit_labels {
                    type_key = self.cache.type_key(parser.kind(), parser.unit());
                }
                continue;
            };
            counts.scraped += 1;
            let within_limit = limit == 0 || limited < limit;
            let found = self.cache.find(sample.series, type_key);
            let new = found.is_none();
            let resolved = match found {
                Some(at) => Some(at),
                None => self.resolve(appender, &parser, &sample, type_key, within_limit)?,
            };
            let Some(at) = resolved else {
                counts.kept += 1;
                limited += 1;
                continue;
            };
            let timestamp = sample.timestamp.filter(|_| self.job.honor_timestamps);
            let tracked = timestamp.is_none() || self.job.track_timestamps_staleness;
            let first = self.cache.see(at, tracked);
            let Known::Series(series) = self.cache.entry(at).known else { continue };
            counts.kept += 1;
            limited += 1;
            // Past the limit the rest is counted, not stored.
            if !within_limit {
                continue;
            }
            if !first && timestamp.is_none() {
                refused.duplicate += 1;
                continue;
            }
            appender.append(series, timestamp.unwrap_or(at_ms), sample.value);
            if let Some(text) = parser.exemplar() {
                self.exemplar(appender, series, &text, timestamp.unwrap_or(at_ms));
            }
            counts.added += u64::from(new);
        }
        if limit > 0 && limited > limit { Err(IngestError::SampleLimit(limit)) } else { Ok(()) }
    }

    /// Stages the exemplar of a sample at `at_ms`. One whose labels make no sense is left out, as what is wrong with
    /// exemplars never fails a scrape.
    fn exemplar(&mut self, appender: &mut DbAppender<'_>, series: Live, text: &ExemplarText<'_>, at_ms: i64) {
        if parse_labels(text.labels, &mut self.buffer).is_ok() {
            let labels = self.buffer.to_labels();
            let timestamp = text.timestamp.unwrap_or(at_ms);
            let exemplar = Exemplar { labels, value: text.value, timestamp };
            appender.append_exemplar(series, exemplar, text.timestamp.is_some());
        }
    }

    /// A series text that is not in the cache: labels, relabelling, limits, and a place in the database. Without
    /// `store` a series that would be kept gets no place, so that a limit bounds the database too.
    fn resolve(
        &mut self,
        appender: &mut DbAppender<'_>,
        parser: &Parser<'_>,
        sample: &Sample<'_>,
        type_key: u32,
        store: bool,
    ) -> Result<Option<usize>, IngestError> {
        let buffer = &mut self.buffer;
        parse_exposed(sample.series, parser.kind(), buffer)?;
        if self.options.type_and_unit_labels {
            set_type_and_unit(buffer, parser.kind(), parser.unit())?;
        }
        merge(buffer, &self.labels, self.job.honor_labels);
        if !relabel::apply(&self.job.metric_relabel_configs, buffer) || buffer.is_empty() {
            return Ok(Some(self.cache.insert(sample.series, type_key, Known::Dropped)));
        }
        if buffer.metric_name().is_empty() {
            return Err(IngestError::NoName);
        }
        self.check_limits()?;
        if !store {
            return Ok(None);
        }
        let labels = self.buffer.to_labels();
        bounds::check_labels(&labels)
            .map_err(|fault| IngestError::Bounds { series: brief(&labels), fault })?;
        let series = appender.series(&labels);
        Ok(Some(self.cache.insert(sample.series, type_key, Known::Series(series))))
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

/// Makes labels of what a family says of itself; they replace those of the target. What it does not say leaves them.
fn set_type_and_unit(buffer: &mut LabelsBuf, kind: MetricType, unit: &[u8]) -> Result<(), SeriesError> {
    if kind != MetricType::Unknown {
        buffer.set(TYPE_LABEL, kind.name());
    }
    if !unit.is_empty() {
        buffer.set(UNIT_LABEL, std::str::from_utf8(unit).map_err(|_| SeriesError::Utf8)?);
    }
    Ok(())
}

/// Adds the labels of the target; where both have one, `honor` says who wins. An exposed label that is empty wins as any
/// other, so that a gateway can say that a series has none.
fn merge(buffer: &mut LabelsBuf, target: &Labels, honor: bool) {
    if !honor {
        buffer.drop_empty();
    }
    let mut conflicts: Vec<(String, String)> = Vec::new();
    for (name, value) in target {
        match buffer.get(name) {
            Some(_) if honor => {}
            Some(exposed) => {
                conflicts.push((name.to_owned(), exposed.to_owned()));
                buffer.set(name, value);
            }
            None => buffer.set(name, value),
        }
    }
    // Shortest first, so that `a` cannot take the name that `exported_a` must move to.
    conflicts.sort_by_key(|(name, _)| name.len());
    for (name, value) in conflicts {
        let mut moved = format!("exported_{name}");
        while buffer.get(&moved).is_some() {
            moved.insert_str(0, "exported_");
        }
        buffer.set(&moved, &value);
    }
    buffer.drop_empty();
}

#[cfg(test)]
#[path = "ingest_tests.rs"]
pub(super) mod tests;
