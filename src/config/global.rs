//! The `global` section: defaults for all jobs.

use std::time::Duration;

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
    /// Dropped targets of a job that are kept for display.
    pub keep_dropped_targets: u64,
}

/// A format a target can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScrapeProtocol {
    /// OpenMetrics text 1.0.0.
    OpenMetrics1_0_0,
    /// OpenMetrics text 0.0.1.
    OpenMetrics0_0_1,
    /// Classic text 1.0.0.
    Text1_0_0,
    /// Classic text 0.0.4.
    Text0_0_4,
}

const PROTOCOLS: [(&str, ScrapeProtocol); 4] = [
    ("OpenMetricsText1.0.0", ScrapeProtocol::OpenMetrics1_0_0),
    ("OpenMetricsText0.0.1", ScrapeProtocol::OpenMetrics0_0_1),
    ("PrometheusText1.0.0", ScrapeProtocol::Text1_0_0),
    ("PrometheusText0.0.4", ScrapeProtocol::Text0_0_4),
];

impl ScrapeProtocol {
    /// The order of preference where nothing is configured.
    pub const DEFAULT_ORDER: [Self; 4] =
        [Self::OpenMetrics1_0_0, Self::OpenMetrics0_0_1, Self::Text1_0_0, Self::Text0_0_4];

    /// The protocol called `text`; the case of letters counts.
    pub fn from_name(text: &str) -> Option<Self> {
        PROTOCOLS.iter().find(|(name, _)| *name == text).map(|(_, protocol)| *protocol)
    }

    /// The name it has in a configuration file.
    pub fn name(self) -> &'static str {
        PROTOCOLS.iter().find(|(_, protocol)| *protocol == self).map_or("", |(name, _)| name)
    }
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
    /// Labels that name this server to others.
    pub external_labels: Labels,
    /// Limits of jobs that set none.
    pub limits: Limits,
}

impl Default for GlobalConfig {
    fn default() -> Self {
        Self {
            scrape_interval: Duration::from_secs(60),
            scrape_timeout: Duration::from_secs(10),
            evaluation_interval: Duration::from_secs(60),
            rule_query_offset: Duration::ZERO,
            scrape_protocols: None,
            external_labels: Labels::empty(),
            limits: Limits::default(),
        }
    }
}

impl GlobalConfig {
    pub(super) fn with_timeout_within_interval(mut self) -> Self {
        self.scrape_timeout = self.scrape_timeout.min(self.scrape_interval);
        self
    }
}
