//! `global` as printed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::{Formats, Size, Time};
use crate::config::{GlobalConfig, ScrapeProtocol};

/// See [`GlobalConfig`].
#[derive(Debug, Default, Serialize)]
pub(in crate::config) struct Global {
    pub(in crate::config) scrape_interval: Option<Time>,
    pub(in crate::config) scrape_timeout: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) scrape_protocols: Option<Vec<String>>,
    pub(in crate::config) evaluation_interval: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) rule_query_offset: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) query_log_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) scrape_failure_log_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) external_labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) body_size_limit: Option<Size>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) sample_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) label_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) label_name_length_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) label_value_length_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) target_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) keep_dropped_targets: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) job_series_quota: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) target_series_quota: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) series_quota: Option<u64>,
    #[serde(flatten)]
    pub(in crate::config) formats: Formats,
}

/// A limit as printed: one that is off is left out.
pub(super) fn printed(limit: u64) -> Option<u64> {
    (limit > 0).then_some(limit)
}

/// Protocol names as printed.
pub(super) fn protocol_names(protocols: &[ScrapeProtocol]) -> Vec<String> {
    protocols.iter().map(|protocol| protocol.name().to_owned()).collect()
}

impl From<&GlobalConfig> for Global {
    fn from(global: &GlobalConfig) -> Self {
        let labels: BTreeMap<_, _> =
            global.external_labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        Self {
            query_log_file: global.query_log_file.clone(),
            scrape_failure_log_file: global.scrape_failure_log_file.clone(),
            scrape_interval: Some(Time(global.scrape_interval)),
            scrape_timeout: Some(Time(global.scrape_timeout)),
            scrape_protocols: global.scrape_protocols.as_deref().map(protocol_names),
            evaluation_interval: Some(Time(global.evaluation_interval)),
            rule_query_offset: (!global.rule_query_offset.is_zero())
                .then_some(Time(global.rule_query_offset)),
            external_labels: (!labels.is_empty()).then_some(labels),
            body_size_limit: printed(global.limits.body_size_limit).map(Size),
            sample_limit: printed(global.limits.sample_limit),
            label_limit: printed(global.limits.label_limit),
            label_name_length_limit: printed(global.limits.label_name_length_limit),
            label_value_length_limit: printed(global.limits.label_value_length_limit),
            target_limit: printed(global.limits.target_limit),
            keep_dropped_targets: printed(global.limits.keep_dropped_targets),
            job_series_quota: printed(global.limits.job_series_quota),
            target_series_quota: printed(global.limits.target_series_quota),
            series_quota: printed(global.series_quota),
            formats: Formats::of_global(global.formats),
        }
    }
}
