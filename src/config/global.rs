//! The `global` section: defaults for all jobs.

use std::path::PathBuf;
use std::time::Duration;

use super::{FormatConfig, ScrapeProtocol};
use crate::model::Labels;

/// Upper bounds on what a job may bring in; 0 means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Bytes of a body after decompression.
    pub body_size_limit: u64,
    /// Samples of a scrape after relabelling.
    pub sample_limit: u64,
    /// Labels of a series, the name included.
    pub label_limit: u64,
    /// Bytes of a label name.
    pub label_name_length_limit: u64,
    /// Bytes of a label value.
    pub label_value_length_limit: u64,
    /// Targets of a job.
    pub target_limit: u64,
    /// Series of a job, over all its targets, from which on new ones are refused.
    pub job_series_quota: u64,
    /// Series of a target from which on new ones are refused.
    pub target_series_quota: u64,
    /// Dropped targets of a job that are kept for display.
    pub keep_dropped_targets: u64,
}

/// The `global` section.
#[derive(Debug, Clone, PartialEq)]
pub struct GlobalConfig {
    /// How often targets are scraped. Default 1m.
    pub scrape_interval: Duration,
    /// Time a scrape may take, at most the interval. Default 10s.
    pub scrape_timeout: Duration,
    /// How often rules are evaluated. Default 1m.
    pub evaluation_interval: Duration,
    /// How far back rules look whose group does not say. Default 0.
    pub rule_query_offset: Duration,
    /// Formats asked for, most wanted first; `None` leaves it to the jobs.
    pub scrape_protocols: Option<Vec<ScrapeProtocol>>,
    /// How jobs read what targets expose that do not say.
    pub formats: FormatConfig,
    /// Where queries are logged.
    pub query_log_file: Option<PathBuf>,
    /// Where jobs that do not say log scrapes that failed.
    pub scrape_failure_log_file: Option<PathBuf>,
    /// Labels that name this server to others.
    pub external_labels: Labels,
    /// Limits of jobs that set none.
    pub limits: Limits,
    /// Series in memory, over all jobs, from which on new ones are refused; 0 for no quota.
    pub series_quota: u64,
}

impl Default for GlobalConfig {
    fn default() -> Self {
        Self {
            scrape_interval: Duration::from_secs(60),
            scrape_timeout: Duration::from_secs(10),
            evaluation_interval: Duration::from_secs(60),
            rule_query_offset: Duration::ZERO,
            scrape_protocols: None,
            formats: FormatConfig::default(),
            query_log_file: None,
            scrape_failure_log_file: None,
            external_labels: Labels::empty(),
            limits: Limits::default(),
            series_quota: 0,
        }
    }
}

impl GlobalConfig {
    /// The protocols of a job that names none.
    pub(super) fn protocols(&self, formats: FormatConfig) -> Vec<ScrapeProtocol> {
        match &self.scrape_protocols {
            Some(protocols) => protocols.clone(),
            None if formats.scrape_native_histograms => ScrapeProtocol::PROTOBUF_FIRST.to_vec(),
            None => ScrapeProtocol::DEFAULT_ORDER.to_vec(),
        }
    }

    pub(super) fn with_timeout_within_interval(mut self) -> Self {
        self.scrape_timeout = self.scrape_timeout.min(self.scrape_interval);
        self
    }
}
