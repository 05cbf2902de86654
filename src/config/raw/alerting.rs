//! `alerting` as printed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Http, Relabel, Time, list};
use crate::config::{AlertingConfig, AlertmanagerConfig, SigV4Config};

/// See [`AlertingConfig`].
#[derive(Debug, Default, Serialize)]
pub(in crate::config) struct Alerting {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) alert_relabel_configs: Option<Vec<Relabel>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) alertmanagers: Option<Vec<Alertmanager>>,
}

/// See [`AlertmanagerConfig`].
#[derive(Debug, Default, Serialize)]
pub(in crate::config) struct Alertmanager {
    #[serde(flatten)]
    pub(in crate::config) http: Http,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) sigv4: Option<SigV4Config>,
    pub(in crate::config) scheme: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::config) path_prefix: String,
    pub(in crate::config) timeout: Option<Time>,
    pub(in crate::config) api_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) relabel_configs: Option<Vec<Relabel>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) alert_relabel_configs: Option<Vec<Relabel>>,
    #[serde(flatten)]
    pub(in crate::config) discovery: BTreeMap<String, Vec<serde_yaml::Value>>,
}

impl Alerting {
    /// The section as printed; none when it says nothing.
    pub(in crate::config) fn printed(config: &AlertingConfig) -> Option<Self> {
        let managers: Vec<_> =
            config.alertmanagers.iter().map(|manager| Alertmanager::from(&**manager)).collect();
        let new = Self {
            alert_relabel_configs: list(&config.alert_relabel_configs),
            alertmanagers: (!managers.is_empty()).then_some(managers),
        };
        (new.alert_relabel_configs.is_some() || new.alertmanagers.is_some()).then_some(new)
    }
}

impl From<&AlertmanagerConfig> for Alertmanager {
    fn from(manager: &AlertmanagerConfig) -> Self {
        Self {
            http: Http::from(&manager.http),
            sigv4: manager.sigv4.clone(),
            scheme: manager.scheme.name().to_owned(),
            path_prefix: manager.path_prefix.clone(),
            timeout: Some(Time(manager.timeout)),
            api_version: "v2",
            relabel_configs: list(&manager.relabel_configs),
            alert_relabel_configs: list(&manager.alert_relabel_configs),
            discovery: manager.discovery.printed(),
        }
    }
}
