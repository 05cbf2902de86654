//! The metrics of discovery, under the names Prometheus' dashboards know.

use crate::telemetry::metrics::{Counter, Family, Gauge};
use crate::telemetry::{Registry, Restarts};

/// Counters and gauges of all managers; clones share their values.
#[derive(Debug, Default, Clone)]
pub struct DiscoveryMetrics {
    pub(super) dns_lookups: Counter,
    pub(super) dns_failures: Counter,
    pub(super) discovered: Family<Vec<(String, String)>, Gauge>,
    pub(super) panics: Restarts,
}

impl DiscoveryMetrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let m = Self::default();
        let r = registry.sub_registry_with_prefix("prometheus_sd");
        r.register("dns_lookups", "DNS look-ups of discovery", m.dns_lookups.clone());
        r.register("dns_lookup_failures", "DNS look-ups without a definite answer", m.dns_failures.clone());
        r.register("discovered_targets", "Targets found, by set and who wants them", m.discovered.clone());
        r.register(
            "refresh_panics",
            "Times looking up a name panicked and was begun again",
            m.panics.counter(),
        );
        m
    }
}
