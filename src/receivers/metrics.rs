//! The metrics of receivers, under Alertmanager's names where it has them.

use crate::telemetry::metrics::{Counter, Family, Histogram};
use crate::telemetry::{Registry, Restarts};

type ByLabel<M> = Family<Vec<(String, String)>, M>;

/// Counters and histograms; clones share their values.
#[derive(Debug, Clone)]
pub(super) struct ReceiverMetrics {
    sent: ByLabel<Counter>,
    failed: ByLabel<Counter>,
    requests: ByLabel<Counter>,
    latency: ByLabel<Histogram>,
    received: ByLabel<Counter>,
    pub(super) refused: Counter,
    pub(super) store_errors: Counter,
    pub(super) panics: Restarts,
}

fn labels(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

impl ReceiverMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let m = Self {
            sent: Family::default(),
            failed: Family::default(),
            requests: Family::default(),
            latency: Family::new_with_constructor(|| Histogram::new([1.0, 5.0, 10.0, 15.0, 20.0])),
            received: Family::default(),
            refused: Counter::default(),
            store_errors: Counter::default(),
            panics: Restarts::default(),
        };
        let r = registry.sub_registry_with_prefix("alertmanager");
        r.register("notifications", "Notifications that were attempted", m.sent.clone());
        r.register("notifications_failed", "Notifications that were given up", m.failed.clone());
        r.register("notification_requests", "Attempts to deliver a notification", m.requests.clone());
        r.register(
            "notification_latency_seconds",
            "Time a notification took, all attempts",
            m.latency.clone(),
        );
        r.register("alerts_received", "Alerts that came in, by their status", m.received.clone());
        let r = registry.sub_registry_with_prefix("emberkeep_receivers");
        r.register(
            "alerts_refused",
            "Alerts that were not taken because they were too long or too many",
            m.refused.clone(),
        );
        let help = "Times silences or the log of notifications could not be written";
        r.register("store_errors", help, m.store_errors.clone());
        let help = "Times notification panicked and was begun again";
        r.register("panics", help, m.panics.counter());
        m
    }

    /// A notification ended, after so many attempts and seconds.
    pub(super) fn delivered(&self, integration: &str, failed: bool, attempts: u32, seconds: f64) {
        let labels = labels("integration", integration);
        self.sent.get_or_create(&labels).inc();
        let failures = self.failed.get_or_create(&labels);
        if failed {
            failures.inc();
        }
        self.requests.get_or_create(&labels).inc_by(u64::from(attempts));
        self.latency.get_or_create(&labels).observe(seconds);
    }

    /// An alert came in.
    pub(super) fn received(&self, resolved: bool) {
        self.received.get_or_create(&labels("status", if resolved { "resolved" } else { "firing" })).inc();
    }
}
