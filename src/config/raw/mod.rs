//! The file as it is printed: serde structs that leave out what says nothing, one file per section.

mod alerting;
mod formats;
mod global;
mod http;
mod notifications;
mod relabel;
mod scalar;
mod scrape;
mod storage;

use serde::Serialize;

pub(super) use alerting::Alerting;
pub(super) use formats::Formats;
pub(super) use global::Global;
pub(super) use http::{Http, client, tls, url};
pub(super) use relabel::{Relabel, rules};
pub(super) use scalar::{Size, Time, is_zero, list, time};
pub(super) use scrape::Scrape;
pub(super) use storage::Storage;

use super::{Config, OtlpConfig, RemoteReadConfig, RemoteWriteConfig, TracingConfig};

/// The whole file.
#[derive(Debug, Default, Serialize)]
pub(super) struct File {
    pub(super) global: Option<Global>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule_files: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scrape_config_files: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) alerting: Option<Alerting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notifications: Option<serde_yaml::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) storage: Option<Storage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scrape_configs: Option<Vec<Scrape>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tracing: Option<TracingConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) remote_write: Vec<RemoteWriteConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) remote_read: Vec<RemoteReadConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp: Option<OtlpConfig>,
}

impl From<&Config> for File {
    fn from(config: &Config) -> Self {
        let here = config.scrape_configs.len() - config.jobs_of_files;
        let scrapes: Vec<_> = config.scrape_configs[..here].iter().map(|job| Scrape::from(&**job)).collect();
        Self {
            global: Some(Global::from(&config.global)),
            rule_files: (!config.rule_files.is_empty()).then(|| config.rule_files.clone()),
            scrape_config_files: (!config.scrape_config_files.is_empty())
                .then(|| config.scrape_config_files.clone()),
            alerting: Alerting::printed(&config.alerting),
            notifications: config.notifications.as_deref().map(notifications::printed),
            storage: Storage::printed(&config.storage),
            scrape_configs: (!scrapes.is_empty()).then_some(scrapes),
            tracing: config.tracing.clone(),
            remote_write: config.remote_write.clone(),
            remote_read: config.remote_read.clone(),
            otlp: config.otlp.clone(),
        }
    }
}
