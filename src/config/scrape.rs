//! One entry of `scrape_configs`: a job.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{DiscoveryConfig, FormatConfig, GlobalConfig, HttpConfig, Limits, Scheme, ScrapeProtocol};
use crate::relabel::Rule;

/// A job: where its targets come from, and how they are scraped.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "the switches are independent keys of the file")]
pub struct ScrapeConfig {
    /// Unique, not empty.
    pub job_name: String,
    /// How often; never zero.
    pub scrape_interval: Duration,
    /// At most the interval.
    pub scrape_timeout: Duration,
    /// Formats asked for, most wanted first.
    pub scrape_protocols: Vec<ScrapeProtocol>,
    /// Format assumed where a target names none or an unknown one.
    pub fallback_scrape_protocol: Option<ScrapeProtocol>,
    /// Default `/metrics`.
    pub metrics_path: String,
    /// Default http.
    pub scheme: Scheme,
    /// URL parameters.
    pub params: BTreeMap<String, Vec<String>>,
    /// Exposed labels win over those of the target. Default false.
    pub honor_labels: bool,
    /// Exposed timestamps are used. Default true.
    pub honor_timestamps: bool,
    /// Series with exposed timestamps are marked stale too. Default false.
    pub track_timestamps_staleness: bool,
    /// Ask for gzip. Default true.
    pub enable_compression: bool,
    /// Where scrapes that failed are logged.
    pub scrape_failure_log_file: Option<PathBuf>,
    /// Limits, those of `global` filled in.
    pub limits: Limits,
    /// How what targets expose is read, what `global` says filled in.
    pub formats: FormatConfig,
    /// Buckets of a native histogram at most; 0 is no limit.
    pub native_histogram_bucket_limit: u64,
    /// The least factor between the bounds of two buckets; 0 is none.
    pub native_histogram_min_bucket_factor: f64,
    /// The client.
    pub http: HttpConfig,
    /// Where its targets come from.
    pub discovery: DiscoveryConfig,
    /// Rules for targets.
    pub relabel_configs: Vec<Rule>,
    /// Rules for series.
    pub metric_relabel_configs: Vec<Rule>,
}

impl ScrapeConfig {
    /// A job with the defaults and no targets.
    pub fn new(job_name: &str, global: &GlobalConfig) -> Self {
        Self {
            job_name: job_name.to_owned(),
            scrape_interval: global.scrape_interval,
            scrape_timeout: global.scrape_timeout.min(global.scrape_interval),
            scrape_protocols: global.protocols(global.formats),
            fallback_scrape_protocol: None,
            metrics_path: "/metrics".to_owned(),
            scheme: Scheme::Http,
            params: BTreeMap::new(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            enable_compression: true,
            scrape_failure_log_file: global.scrape_failure_log_file.clone(),
            limits: global.limits,
            formats: global.formats,
            native_histogram_bucket_limit: 0,
            native_histogram_min_bucket_factor: 0.0,
            http: HttpConfig::default(),
            discovery: DiscoveryConfig::default(),
            relabel_configs: Vec::new(),
            metric_relabel_configs: Vec::new(),
        }
    }
}

#[cfg(test)]
#[path = "scrape_tests.rs"]
mod tests;
