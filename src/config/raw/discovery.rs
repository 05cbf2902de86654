//! Sections that name targets, as printed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Time;
use crate::config::{DnsSdConfig, StaticConfig};

/// See [`StaticConfig`].
#[derive(Debug, Default, Serialize)]
pub(in crate::config) struct Static {
    pub(in crate::config) targets: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) labels: Option<BTreeMap<String, String>>,
}

impl From<&StaticConfig> for Static {
    fn from(group: &StaticConfig) -> Self {
        let labels: BTreeMap<_, _> = group.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        Self { targets: Some(group.targets.clone()), labels: (!labels.is_empty()).then_some(labels) }
    }
}

/// See [`DnsSdConfig`].
#[derive(Debug, Default, Serialize)]
pub(in crate::config) struct DnsSd {
    pub(in crate::config) names: Option<Vec<String>>,
    pub(in crate::config) refresh_interval: Option<Time>,
    #[serde(rename = "type")]
    pub(in crate::config) record_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) port: Option<u16>,
}

impl From<&DnsSdConfig> for DnsSd {
    fn from(dns: &DnsSdConfig) -> Self {
        Self {
            names: Some(dns.names.clone()),
            refresh_interval: Some(Time(dns.refresh_interval)),
            record_type: Some(dns.record_type.name().to_owned()),
            port: (dns.port > 0).then_some(dns.port),
        }
    }
}
