//! Instances of Compute Engine in one zone of one project.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::token::Tokens;
use crate::config::{GceSdConfig, HttpConfig, ProxyConfig, Secret};
use crate::discovery::api::{Api, list, or_default, parameter, sanitized, set_all};
use crate::discovery::surroundings::Surroundings;
use crate::discovery::{Refresh, TargetGroup};
use crate::model::{Labels, LabelsBuf};
use crate::net::http_url::query_escaped;
use crate::net::{Dialer, HttpClient, HttpError};

/// Where the API is.
const URL: &str = "https://compute.googleapis.com/compute/v1";
/// Pages of one answer at most.
const MAX_PAGES: usize = 1000;

/// Asks for one zone.
#[derive(Debug)]
pub(in crate::discovery) struct GceSource {
    config: Box<GceSdConfig>,
    api: Api,
    tokens: Tokens,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default, deserialize_with = "or_default")]
    items: Vec<Instance>,
    #[serde(default, deserialize_with = "or_default")]
    next_page_token: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Instance {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    zone: String,
    #[serde(default)]
    machine_type: String,
    #[serde(default, deserialize_with = "or_default")]
    network_interfaces: Vec<Interface>,
    #[serde(default, deserialize_with = "or_default")]
    tags: Items<String>,
    #[serde(default, deserialize_with = "or_default")]
    metadata: Items<Metadata>,
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Interface {
    #[serde(default)]
    name: String,
    #[serde(default)]
    network: String,
    #[serde(default)]
    subnetwork: String,
    #[serde(default, rename = "networkIP")]
    network_ip: String,
    #[serde(default, deserialize_with = "or_default")]
    access_configs: Vec<Access>,
}

#[derive(Debug, Deserialize)]
struct Access {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default, rename = "natIP")]
    nat_ip: String,
}

#[derive(Debug, Deserialize)]
struct Items<T> {
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    key: String,
    value: Option<String>,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

impl GceSource {
    /// What `config` describes.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub(in crate::discovery) fn new(
        config: Box<GceSdConfig>,
        dialer: &Arc<Dialer>,
    ) -> Result<Self, HttpError> {
        Self::with(config, dialer, Surroundings::of_process(dialer)?, URL)
    }

    fn with(
        config: Box<GceSdConfig>,
        dialer: &Arc<Dialer>,
        around: Surroundings,
        url: &str,
    ) -> Result<Self, HttpError> {
        // The section has no settings of a client. Tokens go nowhere else.
        let proxy = ProxyConfig { from_environment: true, ..ProxyConfig::default() };
        let http = HttpConfig { follow_redirects: false, proxy, ..HttpConfig::default() };
        let client = HttpClient::new(&http, Arc::clone(dialer))?;
        let tokens = Tokens::new(around, client);
        let api = Api::new(url.to_owned(), &http, dialer)?.answering_within(config.refresh_interval);
        Ok(Self { config, api, tokens })
    }

    async fn ask(&self) -> Result<Vec<TargetGroup>, String> {
        let GceSdConfig { project, zone, filter, .. } = &*self.config;
        let token = self.tokens.token().await?;
        let api = self.api.clone();
        let api = api.with_header("Authorization", Secret::new(format!("Bearer {}", token.reveal())));
        let escaped = |text: &str| query_escaped(text).replace('+', "%20");
        let path = format!("/projects/{}/zones/{}/instances", escaped(project), escaped(zone));
        let failed = |reason: String| format!("error retrieving instances from GCE: {reason}");
        let (mut targets, mut next) = (Vec::new(), String::new());
        for _ in 0..MAX_PAGES {
            let mut query = String::new();
            for (name, value) in [("filter", filter), ("pageToken", &next)] {
                if !value.is_empty() {
                    parameter(&mut query, name, value);
                }
            }
            let page = api.json::<Page>(&format!("{path}?alt=json{query}")).await;
            let page = page.map_err(|error| failed(error.to_string()))?;
            targets.extend(page.items.iter().filter_map(|instance| self.target(instance)));
            if page.next_page_token.is_empty() {
                let source = format!("GCE_{project}_{zone}");
                return Ok(vec![TargetGroup { source, targets, labels: Labels::default() }]);
            }
            next = page.next_page_token;
        }
        Err(failed(format!("there are more than {MAX_PAGES} pages")))
    }

    /// None for an instance without a network.
    fn target(&self, instance: &Instance) -> Option<Labels> {
        let first = instance.network_interfaces.first()?;
        let mut labels = LabelsBuf::new();
        labels.set("__address__", &format!("{}:{}", first.network_ip, self.config.port));
        set_all(&mut labels, "__meta_gce_label_", &instance.labels);
        let mut set = |name: &str, value: &str| labels.set(&format!("__meta_gce_{name}"), value);
        set("instance_id", &instance.id);
        set("instance_name", &instance.name);
        set("instance_status", &instance.status);
        set("machine_type", &instance.machine_type);
        set("network", &first.network);
        set("private_ip", &first.network_ip);
        set("project", &self.config.project);
        set("subnetwork", &first.subnetwork);
        set("tags", &list(&instance.tags.items, &self.config.tag_separator));
        set("zone", &instance.zone);
        if let Some(access) = first.access_configs.first().filter(|access| access.kind == "ONE_TO_ONE_NAT") {
            set("public_ip", &access.nat_ip);
        }
        for interface in &instance.network_interfaces {
            set(&format!("interface_ipv4_{}", sanitized(&interface.name)), &interface.network_ip);
        }
        for one in &instance.metadata.items {
            if let Some(value) = &one.value {
                set(&format!("metadata_{}", sanitized(&one.key)), value);
            }
        }
        Some(labels.to_labels())
    }
}

impl Refresh for GceSource {
    fn what(&self) -> String {
        format!("GCE {} {}", self.config.project, self.config.zone)
    }

    fn refresh(&self) -> BoxFuture<'_, Result<Vec<TargetGroup>, String>> {
        Box::pin(self.ask())
    }
}

#[cfg(test)]
#[path = "gce_tests.rs"]
mod tests;
