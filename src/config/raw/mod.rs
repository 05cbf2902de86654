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
pub(super) use http::{Http, client, url};
pub(super) use relabel::Relabel;
pub(super) use scalar::{Size, Time, is_zero, list, time};
pub(super) use scrape::Scrape;
pub(super) use storage::Storage;

use super::Config;

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
        }
    }
}
