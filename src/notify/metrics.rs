//! The metrics of notification, under the names Prometheus' dashboards know.

use crate::telemetry::metrics::{Counter, Family, Gauge, Histogram};
use crate::telemetry::{Registry, Restarts};

type ByUrl<M> = Family<Vec<(String, String)>, M>;

/// Counters, gauges and histograms; clones share their values.
#[derive(Debug, Clone)]
pub(super) struct NotifyMetrics {
    sent: ByUrl<Counter>,
    errors: ByUrl<Counter>,
    dropped: ByUrl<Counter>,
    replaced: ByUrl<Counter>,
    queue_length: ByUrl<Gauge>,
    latency: ByUrl<Histogram>,
    pub(super) discovered: Gauge,
    pub(super) panics: Restarts,
}

/// Those of one Alertmanager.
#[derive(Debug, Clone)]
pub(super) struct LoopMetrics {
    pub(super) sent: Counter,
    pub(super) errors: Counter,
    pub(super) dropped: Counter,
    pub(super) replaced: Counter,
    pub(super) queue_length: Gauge,
    pub(super) latency: Histogram,
}

fn labels(url: &str) -> Vec<(String, String)> {
    vec![("alertmanager".to_owned(), url.to_owned())]
}

impl NotifyMetrics {
    /// Registers them. `queue_capacity` does not change.
    pub(super) fn new(queue_capacity: usize, registry: &mut Registry) -> Self {
        let m = Self {
            sent: Family::default(),
            errors: Family::default(),
            dropped: Family::default(),
            replaced: Family::default(),
            queue_length: Family::default(),
            latency: Family::new_with_constructor(|| Histogram::new([0.01, 0.1, 1.0, 10.0])),
            discovered: Gauge::default(),
            panics: Restarts::default(),
        };
        let capacity = Gauge::<i64>::default();
        capacity.set(i64::try_from(queue_capacity).unwrap_or(i64::MAX));
        let r = registry.sub_registry_with_prefix("prometheus_notifications");
        r.register("sent", "Alerts sent", m.sent.clone());
        r.register("errors", "Alerts of requests that failed, once for each attempt", m.errors.clone());
        r.register(
            "dropped",
            "Alerts given up: refused, not sent after many attempts, or without room in the queue",
            m.dropped.clone(),
        );
        r.register("queue_length", "Alerts that wait to be sent", m.queue_length.clone());
        r.register("queue_capacity", "Alerts that may wait for one Alertmanager", capacity);
        r.register("alertmanagers_discovered", "Alertmanagers that are told", m.discovered.clone());
        let help = "Time a request that succeeded took";
        r.register("latency_seconds", help, m.latency.clone());
        r.register("latency_histogram_seconds", help, m.latency.clone());
        let r = registry.sub_registry_with_prefix("emberkeep_notifications");
        r.register(
            "superseded",
            "Alerts that waited and whose place a newer state of them took",
            m.replaced.clone(),
        );
        r.register(
            "panics",
            "Times sending alerts, or looking after the Alertmanagers, panicked and was begun again",
            m.panics.counter(),
        );
        m
    }

    /// Those of the Alertmanager at `url`.
    pub(super) fn of(&self, url: &str) -> LoopMetrics {
        let labels = labels(url);
        LoopMetrics {
            sent: self.sent.get_or_create(&labels).clone(),
            errors: self.errors.get_or_create(&labels).clone(),
            dropped: self.dropped.get_or_create(&labels).clone(),
            replaced: self.replaced.get_or_create(&labels).clone(),
            queue_length: self.queue_length.get_or_create(&labels).clone(),
            latency: self.latency.get_or_create(&labels).clone(),
        }
    }

    /// The Alertmanager at `url` is no longer told of anything.
    pub(super) fn forget(&self, url: &str) {
        let labels = labels(url);
        for family in [&self.sent, &self.errors, &self.dropped, &self.replaced] {
            family.remove(&labels);
        }
        self.queue_length.remove(&labels);
        self.latency.remove(&labels);
    }
}
