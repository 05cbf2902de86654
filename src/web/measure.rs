//! Counts requests by handler and status code, and what they took: time and bytes of the reply.
//!
//! A reply that is written while it is sent is measured when its body ends, or is dropped because the client went away.

use std::time::Duration;

use crate::promql::Stats;
use crate::telemetry::Registry;
use crate::telemetry::metrics::{Counter, Family, Gauge, Histogram};

type Requests = Family<Vec<(String, String)>, Counter>;
type Histograms = Family<Vec<(String, String)>, Histogram, fn() -> Histogram>;

/// Metrics of all requests.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    pub(super) requests: Requests,
    pub(super) durations: Histograms,
    pub(super) sizes: Histograms,
    queries: Gauge,
    query_slots: Gauge,
    query_parts: Histograms,
    known_steps: Counter,
    evaluated_steps: Counter,
    kept_bytes: Gauge,
}

/// Counts one query as long as it lives.
#[derive(Debug)]
pub(super) struct QueryCounted(Gauge);

impl Drop for QueryCounted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl HttpMetrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let buckets: fn() -> Histogram = || Histogram::new([0.1, 0.2, 0.4, 1.0, 3.0, 8.0, 20.0, 60.0, 120.0]);
        let sizes: fn() -> Histogram = || Histogram::new((2..10).map(|power| 10.0_f64.powi(power)));
        let parts: fn() -> Histogram = || Histogram::new([0.01, 0.1, 1.0, 10.0]);
        let metrics = Self {
            requests: Requests::default(),
            durations: Histograms::new_with_constructor(buckets),
            sizes: Histograms::new_with_constructor(sizes),
            queries: Gauge::default(),
            query_slots: Gauge::default(),
            query_parts: Histograms::new_with_constructor(parts),
            known_steps: Counter::default(),
            evaluated_steps: Counter::default(),
            kept_bytes: Gauge::default(),
        };
        let r = registry.sub_registry_with_prefix("prometheus_engine");
        r.register("queries", "Queries being executed or waiting", metrics.queries.clone());
        r.register("queries_concurrent_max", "Most queries executed at once", metrics.query_slots.clone());
        r.register(
            "query_duration_histogram_seconds",
            "Duration of the parts of query execution",
            metrics.query_parts.clone(),
        );
        let r = registry.sub_registry_with_prefix("emberkeep_query");
        r.register("known_steps", "Steps taken from kept results", metrics.known_steps.clone());
        r.register("evaluated_steps", "Steps that were evaluated", metrics.evaluated_steps.clone());
        r.register("cache_bytes", "Bytes of kept results", metrics.kept_bytes.clone());
        let r = registry.sub_registry_with_prefix("prometheus_http");
        r.register("requests", "Requests by handler and status code", metrics.requests.clone());
        r.register("request_duration_seconds", "Duration of requests", metrics.durations.clone());
        r.register("response_size_bytes", "Size of replies", metrics.sizes.clone());
        metrics
    }

    /// Sets how many queries run at once.
    pub(super) fn set_query_slots(&self, slots: usize) {
        self.query_slots.set(i64::try_from(slots).unwrap_or(i64::MAX));
    }

    /// Sets the bytes of results that are kept for later queries.
    pub(super) fn set_kept_bytes(&self, bytes: usize) {
        self.kept_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Counts a query from now until the guard is dropped.
    pub(super) fn query_began(&self) -> QueryCounted {
        self.queries.inc();
        QueryCounted(self.queries.clone())
    }

    /// Observes what a query took, which waited for `queue`.
    pub(super) fn query_took(&self, queue: Duration, stats: &Stats) {
        self.known_steps.inc_by(stats.known_steps);
        self.evaluated_steps.inc_by(stats.evaluated_steps);
        let parts = [
            ("queue_time", queue),
            ("prepare_time", stats.prepare),
            ("inner_eval", stats.evaluate),
            ("result_sort", stats.sort),
        ];
        for (slice, took) in parts {
            let labels = vec![("slice".to_owned(), slice.to_owned())];
            self.query_parts.get_or_create(&labels).observe(took.as_secs_f64());
        }
    }
}
