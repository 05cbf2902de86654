//! Where rules read and write: a database, or series in memory when rules are tested.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batches::{ALERTS, ALERTS_FOR_STATE};
use crate::model::{Histogram, Labels, stale_nan};
use crate::promql::{
    Engine, Error, Expr, LoggedQuery, QueryOptions, QueryOrigin, QueryResult, Value, VectorSample,
};
use crate::tsdb::{AppendOutcome, CommitMode, Tsdb};
use crate::util::{Clock, StopToken};

/// A sample that a rule gives.
#[derive(Debug, Clone)]
pub struct Output {
    /// The series.
    pub labels: Labels,
    /// Its value, unless there is a histogram.
    pub value: f64,
    /// The native histogram.
    pub histogram: Option<Arc<Histogram>>,
}

/// Reads and writes for rules.
pub trait Backend: Send + Sync {
    /// What `query` gives at `time` (milliseconds): a vector or a scalar. It ends early once `stop` is stopped.
    ///
    /// # Errors
    /// A reason for people.
    fn query(&self, query: &Expr, time: i64, stop: &StopToken) -> Result<Vec<VectorSample>, String>;

    /// The same of a query as text.
    ///
    /// # Errors
    /// A reason for people.
    fn query_text(&self, query: &str, time: i64, stop: &StopToken) -> Result<Vec<VectorSample>, String>;

    /// Stores samples with the timestamp `time` (milliseconds), all at once. What is refused for its time or its labels is
    /// left out, and told as text; a sample older than the newest of its series always is.
    ///
    /// # Errors
    /// A reason for people: nothing is stored.
    fn write(&self, samples: &[Output], time: i64) -> Result<Option<String>, String>;

    /// Marks series as stale at `time`. Where somebody else has written such a series at that time, it is left alone.
    ///
    /// # Errors
    /// A reason for people.
    fn write_stale(&self, series: &[Labels], time: i64) -> Result<(), String>;
}

/// The database of a server.
#[derive(Clone)]
pub struct DbBackend {
    /// Evaluates queries.
    pub engine: Arc<Engine>,
    /// Has the series.
    pub db: Arc<Tsdb>,
}

/// The series of a result that a rule can use.
///
/// # Errors
/// When it is neither a vector nor a scalar.
pub(super) fn vector(result: QueryResult) -> Result<Vec<VectorSample>, String> {
    match result.value {
        Value::Vector(samples) => Ok(samples),
        Value::Scalar { timestamp, value } => {
            Ok(vec![VectorSample { labels: Labels::empty(), timestamp, value, histogram: None }])
        }
        Value::String { .. } | Value::Matrix(_) => Err("rule result is not a vector or scalar".to_owned()),
    }
}

fn words(reason: AppendOutcome) -> &'static str {
    match reason {
        AppendOutcome::Accepted | AppendOutcome::Repeated => "stored",
        AppendOutcome::DuplicateTimestamp => "duplicate sample for timestamp",
        AppendOutcome::OutOfOrder => "out of order sample",
        AppendOutcome::TooOld => "too old sample",
        AppendOutcome::TooFarAhead => "too far in the future",
        AppendOutcome::TooLarge => "labels or histogram exceed their bounds",
        AppendOutcome::UnknownSeries => "series was removed meanwhile",
    }
}

impl DbBackend {
    pub(super) fn write(&self, samples: &[Output], time: i64) -> Result<Option<String>, String> {
        let mut appender = self.db.appender(None).in_order();
        let mut not_admitted = None;
        for sample in samples {
            let series = match appender.admit(&sample.labels) {
                Ok(series) => series,
                // What tells of alerts must not be missing because others write too much.
                Err(_) if matches!(sample.labels.metric_name(), ALERTS | ALERTS_FOR_STATE) => {
                    appender.series(&sample.labels)
                }
                Err(reason) => {
                    not_admitted.get_or_insert(reason);
                    continue;
                }
            };
            match &sample.histogram {
                Some(histogram) => appender.append_histogram(series, time, Arc::clone(histogram)),
                None => appender.append(series, time, sample.value),
            }
        }
        let stats = appender.commit(CommitMode::Each).map_err(|error| error.to_string())?;
        let refused = samples.len().saturating_sub(stats.committed + stats.repeated);
        let reason = stats.first_refused.map(|(_, reason)| words(reason).to_owned());
        let reason = reason.or_else(|| not_admitted.map(|reason| reason.to_string()));
        let told = |reason| format!("{refused} of {} samples were not stored: {reason}", samples.len());
        Ok(reason.map(told))
    }

    pub(super) fn write_stale(&self, series: &[Labels], time: i64) -> Result<(), String> {
        let mut appender = self.db.appender(None).in_order();
        // One that was refused has nothing to be marked.
        for series in series.iter().filter_map(|labels| appender.known(labels)).collect::<Vec<_>>() {
            appender.append(series, time, stale_nan());
        }
        appender.commit(CommitMode::Each).map(|_| ()).map_err(|error| error.to_string())
    }
}

/// The database of a server, for a group of rules: what it asks is logged as its queries.
pub(super) struct GroupBackend<'a> {
    pub(super) inner: &'a DbBackend,
    /// File and name of the group.
    pub(super) group: (&'a str, &'a str),
    pub(super) clock: &'a dyn Clock,
}

impl GroupBackend<'_> {
    fn logged(
        &self,
        text: impl FnOnce() -> String,
        time: i64,
        run: impl FnOnce(&DbBackend) -> Result<QueryResult, Error>,
    ) -> Result<Vec<VectorSample>, String> {
        let began = Instant::now();
        let outcome = run(self.inner);
        let log = self.inner.engine.query_log();
        // The text is made for the log alone.
        if log.is_on() {
            let logged = LoggedQuery {
                text: &text(),
                times: (time, time, 0),
                origin: QueryOrigin::RuleGroup { file: self.group.0, name: self.group.1 },
                queued: Duration::ZERO,
                took: began.elapsed(),
                now_ms: self.clock.now_ms(),
            };
            log.log(&logged, outcome.as_ref());
        }
        vector(outcome.map_err(|error| error.to_string())?)
    }
}

impl Backend for GroupBackend<'_> {
    fn query(&self, query: &Expr, time: i64, stop: &StopToken) -> Result<Vec<VectorSample>, String> {
        let options = QueryOptions { stop: stop.clone(), ..QueryOptions::default() };
        let run = |of: &DbBackend| of.engine.instant_parsed(&*of.db, query, time, &options);
        self.logged(|| query.to_string(), time, run)
    }

    fn query_text(&self, query: &str, time: i64, stop: &StopToken) -> Result<Vec<VectorSample>, String> {
        let options = QueryOptions { stop: stop.clone(), ..QueryOptions::default() };
        let run = |of: &DbBackend| of.engine.instant(&*of.db, query, time, &options);
        self.logged(|| query.to_owned(), time, run)
    }

    fn write(&self, samples: &[Output], time: i64) -> Result<Option<String>, String> {
        self.inner.write(samples, time)
    }

    fn write_stale(&self, series: &[Labels], time: i64) -> Result<(), String> {
        self.inner.write_stale(series, time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::{EngineOptions, Value};
    use crate::telemetry::Registry;
    use crate::tsdb::{Limits, TsdbOptions};
    use crate::util::ManualClock;

    fn open(limits: Limits) -> (DbBackend, tempfile::TempDir) {
        let dir = tempfile::tempdir().expect("dir");
        let options = TsdbOptions { limits, ..TsdbOptions::new(dir.path()) };
        let db = Tsdb::open(options, Arc::new(ManualClock::new(1_000_000)), &mut Registry::default());
        let engine = Arc::new(Engine::new(EngineOptions::default()));
        (DbBackend { engine, db: Arc::new(db.expect("database opens")) }, dir)
    }

    #[test]
    fn new_series_of_recording_rules_are_refused_at_the_quota_and_alerts_are_written() {
        let (backend, _dir) = open(Limits { max_series: 1, ..Limits::default() });
        let write = |names: &[&str], time| {
            let outputs = names.iter().map(|name| {
                let labels = Labels::from_pairs([("__name__", *name)]);
                Output { labels, value: 1.0, histogram: None }
            });
            backend.write(&outputs.collect::<Vec<_>>(), time)
        };
        assert_eq!(write(&["a"], 900_000), Ok(None));
        let told = write(&["a", "b", "c"], 901_000).expect("nothing fails");
        let reason = "2 of 3 samples were not stored: server series quota of 1 reached";
        assert_eq!(told.as_deref(), Some(reason));
        // What was refused leaves no marker either.
        let gone = ["a", "b"].map(|name| Labels::from_pairs([("__name__", name)]));
        assert_eq!(backend.write_stale(&gone, 901_500), Ok(()));
        assert_eq!(backend.db.head().series_count(), 1);
        assert_eq!(write(&["ALERTS", "ALERTS_FOR_STATE"], 902_000), Ok(None));
        assert_eq!(backend.db.head().series_count(), 3);
    }

    #[test]
    fn samples_of_rules_come_in_order_whatever_the_window_for_others() {
        let (backend, _dir) = open(Limits { out_of_order_ms: 3_600_000, ..Limits::default() });
        let sample = |value| {
            let labels = Labels::from_pairs([("__name__", "a")]);
            [Output { labels, value, histogram: None }]
        };
        assert_eq!(backend.write(&sample(1.0), 900_000), Ok(None));
        let refused = backend.write(&sample(2.0), 800_000).expect("nothing fails");
        assert_eq!(refused.as_deref(), Some("1 of 1 samples were not stored: out of order sample"));
        let result = backend.engine.instant(&*backend.db, "a[10m]", 900_000, &QueryOptions::default());
        let Value::Matrix(series) = result.expect("a query").value else { panic!("not a matrix") };
        assert_eq!(series[0].samples.timestamps, [900_000]);
    }
}
