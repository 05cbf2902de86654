//! The metrics of discovery, under the names Prometheus' dashboards know.

use std::time::Duration;

use crate::config::KubernetesRole;
use crate::telemetry::metrics::{Counter, Family, FloatGauge, Gauge, Histogram};
use crate::telemetry::{Registry, Restarts};

/// Names and values of labels.
pub(super) type SetLabels = Vec<(String, String)>;

/// Bounds of the time a refresh takes, in seconds.
const TOOK_SECONDS: [f64; 8] = [0.01, 0.1, 1.0, 5.0, 10.0, 20.0, 30.0, 60.0];

fn took() -> Histogram {
    Histogram::new(TOOK_SECONDS)
}

/// Counters and gauges of all managers; clones share their values.
#[derive(Debug, Clone)]
pub struct DiscoveryMetrics {
    pub(super) dns_lookups: Counter,
    pub(super) dns_failures: Counter,
    pub(super) file_read_errors: Counter,
    pub(super) file_mtime: Family<SetLabels, FloatGauge>,
    pub(super) http_failures: Counter,
    pub(super) kubernetes_failures: Counter,
    kubernetes_events: Family<SetLabels, Counter>,
    pub(super) discovered: Family<SetLabels, Gauge>,
    failures: Family<SetLabels, Counter>,
    took: Family<SetLabels, Histogram>,
    updated: Family<SetLabels, FloatGauge>,
    pub(super) panics: Restarts,
}

impl Default for DiscoveryMetrics {
    fn default() -> Self {
        Self {
            dns_lookups: Counter::default(),
            dns_failures: Counter::default(),
            file_read_errors: Counter::default(),
            file_mtime: Family::default(),
            http_failures: Counter::default(),
            kubernetes_failures: Counter::default(),
            kubernetes_events: Family::default(),
            discovered: Family::default(),
            failures: Family::default(),
            took: Family::new_with_constructor(took),
            updated: Family::default(),
            panics: Restarts::default(),
        }
    }
}

fn of(mechanism: &str, set: &str) -> SetLabels {
    vec![("mechanism".to_owned(), mechanism.to_owned()), ("config".to_owned(), set.to_owned())]
}

fn of_event(role: &str, event: &str) -> SetLabels {
    vec![("role".to_owned(), role.to_owned()), ("event".to_owned(), event.to_owned())]
}

impl DiscoveryMetrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let m = Self::default();
        let r = registry.sub_registry_with_prefix("prometheus_sd");
        r.register("dns_lookups", "DNS look-ups of discovery", m.dns_lookups.clone());
        r.register("dns_lookup_failures", "DNS look-ups without a definite answer", m.dns_failures.clone());
        r.register("file_read_errors", "Files of targets that could not be read", m.file_read_errors.clone());
        let help = "When a file of targets that is in use was changed, seconds since the epoch";
        r.register("file_mtime_seconds", help, m.file_mtime.clone());
        r.register("http_failures", "Requests of HTTP discovery that failed", m.http_failures.clone());
        r.register(
            "kubernetes_failures",
            "Requests of Kubernetes discovery that failed",
            m.kubernetes_failures.clone(),
        );
        for role in KubernetesRole::ALL {
            for event in ["add", "update", "delete"] {
                drop(m.kubernetes_events.get_or_create(&of_event(role.name(), event)));
            }
        }
        let help = "Changes that Kubernetes told, by the role of what changed";
        r.register("kubernetes_events", help, m.kubernetes_events.clone());
        r.register("discovered_targets", "Targets found, by set and who wants them", m.discovered.clone());
        r.register("refresh_failures", "Times it was not found out what there is", m.failures.clone());
        let help = "How long it took to find out what there is, in seconds";
        r.register("refresh_duration_histogram_seconds", help, m.took.clone());
        let help = "When it was last found out what there is, seconds since the epoch";
        r.register("last_update_timestamp_seconds", help, m.updated.clone());
        r.register(
            "refresh_panics",
            "Times looking for targets panicked and was begun again",
            m.panics.counter(),
        );
        m
    }

    /// A change of an object of `role` was told.
    pub(super) fn kubernetes_event(&self, role: &str, event: &str) {
        self.kubernetes_events.get_or_create(&of_event(role, event)).inc();
    }

    #[cfg(test)]
    pub(super) fn failures(&self) -> Family<SetLabels, Counter> {
        self.failures.clone()
    }

    pub(super) fn failed(&self, mechanism: &str, set: &str) {
        self.failures.get_or_create(&of(mechanism, set)).inc();
    }

    pub(super) fn took(&self, mechanism: &str, set: &str, took: Duration) {
        self.took.get_or_create(&of(mechanism, set)).observe(took.as_secs_f64());
    }

    /// Nobody is called so any more.
    pub(super) fn forget(&self, mechanism: &str, set: &str) {
        let labels = of(mechanism, set);
        self.failures.remove(&labels);
        self.took.remove(&labels);
        self.updated.remove(&labels);
    }

    pub(super) fn updated(&self, mechanism: &str, set: &str, now_ms: i64) {
        self.updated.get_or_create(&of(mechanism, set)).set(now_ms as f64 / 1000.0);
    }
}
