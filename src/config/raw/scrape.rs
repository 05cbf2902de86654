//! One entry of `scrape_configs` as printed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::global::{printed, protocol_names};
use super::{Formats, Http, Relabel, Size, Time, list};
use crate::config::ScrapeConfig;

/// See [`ScrapeConfig`].
#[derive(Debug, Default, Serialize)]
#[expect(clippy::struct_field_names, reason = "the fields are the keys of the file")]
pub(in crate::config) struct Scrape {
    pub(in crate::config) job_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) honor_labels: Option<bool>,
    pub(in crate::config) honor_timestamps: Option<bool>,
    pub(in crate::config) track_timestamps_staleness: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) params: Option<BTreeMap<String, Vec<String>>>,
    pub(in crate::config) scrape_interval: Option<Time>,
    pub(in crate::config) scrape_timeout: Option<Time>,
    pub(in crate::config) scrape_protocols: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) fallback_scrape_protocol: Option<String>,
    pub(in crate::config) metrics_path: Option<String>,
    pub(in crate::config) scheme: Option<String>,
    pub(in crate::config) enable_compression: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) scrape_failure_log_file: Option<PathBuf>,
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
    pub(in crate::config) native_histogram_bucket_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) native_histogram_min_bucket_factor: Option<f64>,
    #[serde(flatten)]
    pub(in crate::config) formats: Formats,
    #[serde(flatten)]
    pub(in crate::config) http: Http,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) relabel_configs: Option<Vec<Relabel>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) metric_relabel_configs: Option<Vec<Relabel>>,
    #[serde(flatten)]
    pub(in crate::config) discovery: BTreeMap<String, Vec<serde_yaml::Value>>,
}

impl From<&ScrapeConfig> for Scrape {
    fn from(job: &ScrapeConfig) -> Self {
        Self {
            job_name: Some(job.job_name.clone()),
            honor_labels: job.honor_labels.then_some(true),
            honor_timestamps: Some(job.honor_timestamps),
            track_timestamps_staleness: Some(job.track_timestamps_staleness),
            params: (!job.params.is_empty()).then(|| job.params.clone()),
            scrape_interval: Some(Time(job.scrape_interval)),
            scrape_timeout: Some(Time(job.scrape_timeout)),
            scrape_protocols: Some(protocol_names(&job.scrape_protocols)),
            fallback_scrape_protocol: job.fallback_scrape_protocol.map(|p| p.name().to_owned()),
            metrics_path: Some(job.metrics_path.clone()),
            scheme: Some(job.scheme.name().to_owned()),
            enable_compression: Some(job.enable_compression),
            scrape_failure_log_file: job.scrape_failure_log_file.clone(),
            body_size_limit: printed(job.limits.body_size_limit).map(Size),
            sample_limit: printed(job.limits.sample_limit),
            label_limit: printed(job.limits.label_limit),
            label_name_length_limit: printed(job.limits.label_name_length_limit),
            label_value_length_limit: printed(job.limits.label_value_length_limit),
            target_limit: printed(job.limits.target_limit),
            keep_dropped_targets: printed(job.limits.keep_dropped_targets),
            job_series_quota: printed(job.limits.job_series_quota),
            target_series_quota: printed(job.limits.target_series_quota),
            native_histogram_bucket_limit: printed(job.native_histogram_bucket_limit),
            native_histogram_min_bucket_factor: Some(job.native_histogram_min_bucket_factor)
                .filter(|factor| *factor != 0.0),
            formats: Formats::of_job(job.formats),
            http: Http::from(&job.http),
            relabel_configs: list(&job.relabel_configs),
            metric_relabel_configs: list(&job.metric_relabel_configs),
            discovery: job.discovery.printed(),
        }
    }
}
