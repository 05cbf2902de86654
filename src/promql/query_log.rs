//! The log of queries: who asked what, and what it took. Off unless there is a file for it.
//!
//! Whoever asks the engine logs the query too, because it alone knows on whose behalf it asks.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde_json::{Map, Value, json};

use super::value::StepStats;
use super::{Error, ErrorClass, QueryResult, Stats};
use crate::telemetry::metrics::{Counter, Gauge};
use crate::telemetry::{JsonLog, Registry};

/// On whose behalf a query runs.
#[derive(Debug, Clone, Copy)]
pub enum QueryOrigin<'a> {
    /// Of a request.
    Request {
        /// The other end of the connection, if that is known.
        client_ip: Option<IpAddr>,
        /// The method.
        method: &'a str,
        /// The route.
        path: &'a str,
    },
    /// Of a rule.
    RuleGroup {
        /// The file of the group.
        file: &'a str,
        /// The name of the group.
        name: &'a str,
    },
}

/// A query as it is logged.
#[derive(Debug, Clone, Copy)]
pub struct LoggedQuery<'a> {
    /// The query.
    pub text: &'a str,
    /// First and last time it was evaluated at, and the step, in milliseconds. A step of 0 is one time.
    pub times: (i64, i64, i64),
    /// On whose behalf.
    pub origin: QueryOrigin<'a>,
    /// How long it waited.
    pub queued: Duration,
    /// How long it ran.
    pub took: Duration,
    /// The time by the clock, in milliseconds.
    pub now_ms: i64,
}

/// Where queries are logged. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct QueryLog {
    log: Arc<ArcSwapOption<JsonLog>>,
    enabled: Gauge,
    failures: Counter,
}

impl QueryLog {
    /// Registers whether it is on, and how many queries could not be logged.
    pub fn register(&self, registry: &mut Registry) {
        let r = registry.sub_registry_with_prefix("prometheus_engine");
        r.register("query_log_enabled", "Whether queries are logged", self.enabled.clone());
        let help = "Queries that could not be logged";
        r.register("query_log_failures", help, self.failures.clone());
    }

    /// Counts queries that could not be logged.
    pub fn failures(&self) -> Counter {
        self.failures.clone()
    }

    /// Logs to `log` from now on, or not at all.
    pub fn set(&self, log: Option<Arc<JsonLog>>) {
        self.enabled.set(i64::from(log.is_some()));
        self.log.store(log);
    }

    /// Whether queries are logged.
    pub fn is_on(&self) -> bool {
        self.log.load().is_some()
    }

    /// Logs a query. One that was wrong in itself, and so never ran, is left out.
    pub fn log(&self, query: &LoggedQuery<'_>, outcome: Result<&QueryResult, &Error>) {
        let log = self.log.load();
        let Some(log) = &*log else { return };
        if outcome.is_err_and(|error| error.class() == ErrorClass::BadData) {
            return;
        }
        log.log(&line(query, outcome));
    }
}

fn line(query: &LoggedQuery<'_>, outcome: Result<&QueryResult, &Error>) -> Value {
    let (start, end, step) = query.times;
    let mut line = Map::new();
    let mut put = |key: &str, value: Value| line.insert(key.to_owned(), value);
    put("time", date(query.now_ms).into());
    put("level", "INFO".into());
    put("msg", "promql query logged".into());
    // Whole seconds, as in Prometheus.
    let params = json!({"query": query.text, "start": date(start), "end": date(end), "step": step / 1000});
    put("params", params);
    if let Err(error) = outcome {
        put("error", error.to_string().into());
    }
    put("stats", stats(query, outcome.ok()));
    match query.origin {
        QueryOrigin::Request { client_ip, method, path } => {
            let ip = client_ip.map(|ip| ip.to_canonical().to_string()).unwrap_or_default();
            put("httpRequest", json!({"clientIP": ip, "method": method, "path": path}));
        }
        QueryOrigin::RuleGroup { file, name } => {
            put("ruleGroup", json!({"file": file, "name": name}));
        }
    }
    Value::Object(line)
}

fn stats(query: &LoggedQuery<'_>, result: Option<&QueryResult>) -> Value {
    let stats = result.map_or_else(Stats::default, |result| result.stats);
    let mut samples = json!({
        "totalQueryableSamples": stats.total_samples,
        "peakSamples": stats.peak_samples,
    });
    // Windows overlap, so that of a range it is known only where steps were counted.
    let counted = result.and_then(|result| result.steps.as_ref()).map(StepStats::total_read);
    let read = counted.or_else(|| (query.times.2 == 0).then_some(stats.total_samples));
    if let (Some(read), Some(samples)) = (read, samples.as_object_mut()) {
        samples.insert("samplesRead".to_owned(), read.into());
    }
    json!({
        "timings": {
            "evalTotalTime": query.took.as_secs_f64(),
            "resultSortTime": stats.sort.as_secs_f64(),
            "queryPreparationTime": stats.prepare.as_secs_f64(),
            "innerEvalTime": stats.evaluate.as_secs_f64(),
            "execQueueTime": query.queued.as_secs_f64(),
            "execTotalTime": (query.queued + query.took).as_secs_f64(),
        },
        "samples": samples,
    })
}

/// A time in milliseconds as in RFC 3339; seconds where the calendar ends.
fn date(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| (ms / 1000).to_string(), |time| time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(origin: QueryOrigin<'_>) -> LoggedQuery<'_> {
        LoggedQuery {
            text: "up",
            times: (1_500, 61_500, 15_000),
            origin,
            queued: Duration::from_millis(250),
            took: Duration::from_secs(1),
            now_ms: 1_700_000_000_007,
        }
    }

    #[test]
    fn a_line_says_what_was_asked_by_whom_and_what_it_took() {
        let ip = Some("::ffff:10.0.0.1".parse().expect("an address"));
        let request = QueryOrigin::Request { client_ip: ip, method: "GET", path: "/api/v1/query_range" };
        let stats = Stats {
            total_samples: 7,
            peak_samples: 3,
            prepare: Duration::from_millis(100),
            evaluate: Duration::from_millis(800),
            sort: Duration::from_millis(100),
            ..Stats::default()
        };
        let result = QueryResult { stats, ..QueryResult::empty(Duration::ZERO) };
        let timings = json!({
            "evalTotalTime": 1.0, "resultSortTime": 0.1, "queryPreparationTime": 0.1, "innerEvalTime": 0.8,
            "execQueueTime": 0.25, "execTotalTime": 1.25,
        });
        let expected = json!({
            "time": "2023-11-14T22:13:20.007Z", "level": "INFO", "msg": "promql query logged",
            "params": {
                "query": "up", "start": "1970-01-01T00:00:01.500Z", "end": "1970-01-01T00:01:01.500Z", "step": 15,
            },
            "stats": {"timings": timings, "samples": {"totalQueryableSamples": 7, "peakSamples": 3}},
            "httpRequest": {"clientIP": "10.0.0.1", "method": "GET", "path": "/api/v1/query_range"},
        });
        assert_eq!(line(&query(request), Ok(&result)), expected);

        let group = QueryOrigin::RuleGroup { file: "a.yml", name: "b" };
        let instant = LoggedQuery { times: (0, 0, 0), ..query(group) };
        let told = line(&instant, Ok(&result));
        assert_eq!(told["ruleGroup"], json!({"file": "a.yml", "name": "b"}));
        assert_eq!(
            (&told["stats"]["samples"]["samplesRead"], &told["params"]["step"]),
            (&json!(7), &json!(0))
        );
        assert_eq!((told.get("error"), told.get("httpRequest")), (None, None));
        let failed = line(&instant, Err(&Error::Timeout("query execution")));
        assert_eq!(failed["error"], "query timed out in query execution");
        assert_eq!(failed["stats"]["timings"]["evalTotalTime"], 1.0);
    }

    #[test]
    fn queries_that_never_ran_are_left_out() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("q.log");
        let group = QueryOrigin::RuleGroup { file: "a.yml", name: "b" };
        let log = QueryLog::default();
        let result = QueryResult::empty(Duration::ZERO);
        log.log(&query(group), Ok(&result));
        let files = crate::telemetry::JsonLogs::default().prepare([&path]).expect("writable").keep();
        log.set(files.get(&path).cloned());
        assert!(log.is_on());
        log.log(&query(group), Err(&Error::InvalidStep));
        log.log(&query(group), Err(&Error::DuplicateLabels));
        log.log(&query(group), Ok(&result));
        log.set(None);
        log.log(&query(group), Ok(&result));
        files.close();
        let text = std::fs::read_to_string(&path).expect("written");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0]["error"].is_string() && lines[1].get("error").is_none());
    }
}
