//! The metrics of scraping, under the names Prometheus' dashboards know.

use crate::telemetry::metrics::{Counter, Family, Gauge, Histogram, exponential_buckets};
use crate::telemetry::{Registry, Restarts};

type ByName<M> = Family<Vec<(String, String)>, M>;

/// Counters, gauges and histograms; clones share their values.
#[derive(Debug, Clone)]
pub(super) struct ScrapeMetrics {
    pub(super) over_sample_limit: Counter,
    pub(super) over_body_limit: Counter,
    pub(super) over_bucket_limit: Counter,
    pub(super) out_of_order: Counter,
    pub(super) duplicates: Counter,
    pub(super) out_of_bounds: Counter,
    pub(super) series_refused: Counter,
    pub(super) sync_failed: Counter,
    pub(super) over_target_limit: Counter,
    pub(super) commits_failed: Counter,
    pub(super) panics: Restarts,
    pub(super) targets: ByName<Gauge>,
    pub(super) interval_length: ByName<Histogram>,
}

impl ScrapeMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let m = Self {
            over_sample_limit: Counter::default(),
            over_body_limit: Counter::default(),
            over_bucket_limit: Counter::default(),
            out_of_order: Counter::default(),
            duplicates: Counter::default(),
            out_of_bounds: Counter::default(),
            series_refused: Counter::default(),
            sync_failed: Counter::default(),
            over_target_limit: Counter::default(),
            commits_failed: Counter::default(),
            panics: Restarts::default(),
            targets: Family::default(),
            // From 10 ms to about an hour.
            interval_length: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.01, 2.0, 19))
            }),
        };
        let r = registry.sub_registry_with_prefix("prometheus_target");
        r.register(
            "scrapes_exceeded_sample_limit",
            "Scrapes that failed for having too many samples",
            m.over_sample_limit.clone(),
        );
        r.register(
            "scrapes_exceeded_body_size_limit",
            "Scrapes that failed for the size of their body",
            m.over_body_limit.clone(),
        );
        r.register(
            "scrapes_exceeded_native_histogram_bucket_limit",
            "Scrapes that failed for native histograms with too many buckets",
            m.over_bucket_limit.clone(),
        );
        r.register(
            "scrapes_sample_out_of_order",
            "Scraped samples older than what is stored",
            m.out_of_order.clone(),
        );
        r.register(
            "scrapes_sample_duplicate_timestamp",
            "Scraped samples with a timestamp that has another value",
            m.duplicates.clone(),
        );
        r.register(
            "scrapes_sample_out_of_bounds",
            "Scraped samples too old, or too far ahead of the clock",
            m.out_of_bounds.clone(),
        );
        let help = "New series left out because of a quota or of memory";
        r.register("scrapes_series_refused", help, m.series_refused.clone());
        r.register("sync_failed", "Targets that could not be built", m.sync_failed.clone());
        r.register(
            "scrape_pool_exceeded_target_limit",
            "Times a job had more targets than allowed",
            m.over_target_limit.clone(),
        );
        r.register("scrape_commits_failed", "Scrapes the database could not take", m.commits_failed.clone());
        r.register(
            "scrape_loop_panics",
            "Times scraping a target, or looking after the targets, panicked and was begun again",
            m.panics.counter(),
        );
        r.register("scrape_pool_targets", "Targets of a job", m.targets.clone());
        r.register(
            "interval_length_seconds",
            "Real time between two scrapes of a target",
            m.interval_length.clone(),
        );
        m
    }
}
