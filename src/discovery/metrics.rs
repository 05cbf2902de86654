//! The metrics of discovery, under the names Prometheus' dashboards know.

use crate::telemetry::Registry;
use crate::telemetry::metrics::{Counter, Family, Gauge};

/// Counters and gauges; clones share their values.
#[derive(Debug, Default, Clone)]
pub(super) struct DiscoveryMetrics {
    pub(super) dns_lookups: Counter,
    pub(super) dns_failures: Counter,
    pub(super) discovered: Family<Vec<(String, String)>, Gauge>,
}

impl DiscoveryMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let m = Self::default();
        let r = registry.sub_registry_with_prefix("prometheus_sd");
        r.register("dns_lookups", "DNS look-ups of discovery", m.dns_lookups.clone());
        r.register("dns_lookup_failures", "DNS look-ups without a definite answer", m.dns_failures.clone());
        r.register("discovered_targets", "Targets found, by job", m.discovered.clone());
        m
    }
}
