//! The metrics of the database, under the names Prometheus' dashboards know.

use super::head::exemplars::ExemplarStats;
use crate::telemetry::metrics::{Counter, FloatGauge, Gauge};
use crate::telemetry::{Registry, Restarts};

/// What became of exemplars.
#[derive(Debug, Default, Clone)]
pub struct ExemplarMetrics {
    appended: Counter,
    out_of_order: Counter,
    repeated: Counter,
    refused: Counter,
    pub(super) in_memory: Gauge,
    pub(super) series: Gauge,
    pub(super) limit: Gauge,
}

impl ExemplarMetrics {
    pub(super) fn count(&self, stats: &ExemplarStats) {
        self.appended.inc_by(stats.committed as u64);
        self.out_of_order.inc_by(stats.out_of_order as u64);
        self.repeated.inc_by(stats.repeated as u64);
        self.refused.inc_by((stats.too_long + stats.too_far_ahead + stats.unknown) as u64);
    }

    fn register(&self, registry: &mut Registry) {
        let r = registry.sub_registry_with_prefix("exemplar");
        r.register("exemplars_appended", "Exemplars added to the head", self.appended.clone());
        let help = "Exemplars refused because the series has a newer one";
        r.register("out_of_order_exemplars", help, self.out_of_order.clone());
        r.register("exemplars_repeated", "Exemplars that were there already", self.repeated.clone());
        let help = "Exemplars refused: labels too long, too far ahead of the clock, or of an unknown series";
        r.register("exemplars_refused", help, self.refused.clone());
        r.register("exemplars_in_storage", "Exemplars in the head", self.in_memory.clone());
        let help = "Series with exemplars in the head";
        r.register("series_with_exemplars_in_storage", help, self.series.clone());
        r.register("max_exemplars", "Exemplars the head keeps at most", self.limit.clone());
    }
}

/// Counters and gauges; clones share their values.
#[derive(Debug, Default, Clone)]
pub struct TsdbMetrics {
    pub(super) samples_appended: Counter,
    pub(super) out_of_order: Counter,
    pub(super) out_of_bounds: Counter,
    pub(super) too_old: Counter,
    pub(super) too_large: Counter,
    pub(super) samples_lost: Counter,
    pub(super) series: Gauge,
    pub(super) chunks: Gauge,
    pub(super) series_created: Counter,
    pub(super) series_removed: Counter,
    pub(super) series_refused: Counter,
    pub(super) series_limit: Gauge,
    pub(super) refusing_series: Gauge,
    pub(super) memory_held: Gauge,
    pub(super) memory_budget: Gauge,
    pub(super) deaths: Gauge,
    pub(super) min_time: Gauge,
    pub(super) max_time: Gauge,
    pub(super) blocks: Gauge,
    pub(super) block_bytes: Gauge,
    pub(super) blocks_quarantined: Counter,
    pub(super) cache_bytes: Gauge,
    pub(super) compactions: Counter,
    pub(super) compactions_failed: Counter,
    pub(super) wal_corruptions: Counter,
    pub(super) wal_appends_failed: Counter,
    pub(super) wal_segment: Gauge,
    pub(super) checkpoints: Counter,
    pub(super) replay_seconds: FloatGauge,
    pub(super) retention_seconds: Gauge,
    pub(super) retention_bytes: Gauge,
    pub(super) size_retentions: Counter,
    pub(super) disk_full: Gauge,
    pub(super) disk_available: Gauge,
    pub(super) wal_bytes: Gauge,
    pub(super) wal_appended_bytes: Counter,
    pub(super) exemplars: ExemplarMetrics,
    pub(super) families_refused: Counter,
    pub(super) restarts: Restarts,
}

impl TsdbMetrics {
    /// Registers everything.
    pub fn new(registry: &mut Registry) -> Self {
        let m = Self::default();
        let r = registry.sub_registry_with_prefix("prometheus_tsdb");
        r.register("head_samples_appended", "Samples added to the head", m.samples_appended.clone());
        r.register(
            "out_of_order_samples",
            "Samples refused because the series has a newer one",
            m.out_of_order.clone(),
        );
        r.register(
            "out_of_bound_samples",
            "Samples refused for being too far ahead of the clock",
            m.out_of_bounds.clone(),
        );
        r.register("too_old_samples", "Samples refused for being older than the head", m.too_old.clone());
        let help = "Samples refused because their labels or buckets are over the bounds";
        r.register("too_large_samples", help, m.too_large.clone());
        let help = "Samples lost because no block could hold them; the log names their series";
        r.register("samples_lost", help, m.samples_lost.clone());
        r.register("head_series", "Series in the head", m.series.clone());
        r.register("head_chunks", "Chunks in the head", m.chunks.clone());
        r.register("head_series_created", "Series made in the head", m.series_created.clone());
        r.register("head_series_removed", "Series removed from the head", m.series_removed.clone());
        let help = "New series refused because of the server's quota or memory";
        r.register("head_series_refused", help, m.series_refused.clone());
        let help = "Series in the head from which on new ones are refused; 0 for no quota";
        r.register("head_series_quota", help, m.series_limit.clone());
        let help = "Whether new series are refused because of the server's quota or memory";
        r.register("refusing_new_series", help, m.refusing_series.clone());
        let help = "Bytes of memory the process holds, those of files and queries aside";
        r.register("memory_held_bytes", help, m.memory_held.clone());
        let help = "Bytes of memory the process may hold before new series are refused; 0 for no bound";
        r.register("memory_budget_bytes", help, m.memory_budget.clone());
        let help = "How often in a row the server had died while memory was short when it started";
        r.register("deaths_by_memory", help, m.deaths.clone());
        r.register("head_min_time", "Oldest timestamp of the head in milliseconds", m.min_time.clone());
        r.register("head_max_time", "Newest timestamp of the head in milliseconds", m.max_time.clone());
        r.register("blocks_loaded", "Live blocks", m.blocks.clone());
        r.register("storage_blocks_bytes", "Bytes of live blocks on disk", m.block_bytes.clone());
        r.register("blocks_quarantined", "Damaged blocks set aside", m.blocks_quarantined.clone());
        r.register("block_cache_bytes", "Bytes of decoded parts of blocks in memory", m.cache_bytes.clone());
        r.register("compactions", "Blocks written: cut from the head or merged", m.compactions.clone());
        r.register("compactions_failed", "Blocks that could not be written", m.compactions_failed.clone());
        r.register(
            "wal_corruptions",
            "Damaged places of the log cut off at start",
            m.wal_corruptions.clone(),
        );
        r.register("wal_writes_failed", "Commits the log could not take", m.wal_appends_failed.clone());
        r.register("wal_segment_current", "Segment of the log being written", m.wal_segment.clone());
        r.register("checkpoint_creations", "Checkpoints of the log written", m.checkpoints.clone());
        r.register(
            "data_replay_duration_seconds",
            "Time the replay of the log took at start",
            m.replay_seconds.clone(),
        );
        r.register(
            "retention_limit_seconds",
            "How long samples are kept; 0 for ever",
            m.retention_seconds.clone(),
        );
        r.register(
            "retention_limit_bytes",
            "Bytes of blocks and log kept; 0 for no limit",
            m.retention_bytes.clone(),
        );
        r.register("size_retentions", "Blocks dropped because of their size", m.size_retentions.clone());
        r.register(
            "disk_full",
            "Whether samples are refused because the disk is nearly full",
            m.disk_full.clone(),
        );
        r.register("disk_available_bytes", "Free bytes of the disk", m.disk_available.clone());
        r.register("wal_storage_size_bytes", "Bytes of the log on disk", m.wal_bytes.clone());
        r.register("wal_appended_bytes", "Bytes written to the log", m.wal_appended_bytes.clone());
        let help = "Metric families whose metadata was refused because there are too many";
        r.register("metadata_refused", help, m.families_refused.clone());
        let help = "Times work of a thread panicked and was begun again";
        r.register("thread_restarts", help, m.restarts.counter());
        m.exemplars.register(r);
        m
    }
}
