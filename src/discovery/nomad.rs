//! Nomad: the services that jobs register with it.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::api::{Api, ApiError, host_port, list, or_default, parameter};
use super::{Refresh, TargetGroup};
use crate::config::NomadSdConfig;
use crate::config::http::shown_url;
use crate::model::{Labels, LabelsBuf};
use crate::net::http_url::query_escaped;

/// Asks one server.
#[derive(Debug)]
pub(super) struct Nomad {
    pub(super) api: Api,
    pub(super) config: Box<NomadSdConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Namespace {
    #[serde(default, deserialize_with = "or_default")]
    services: Vec<Service>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    service_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Instance {
    #[serde(default, rename = "ID")]
    id: String,
    #[serde(default)]
    service_name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default, rename = "NodeID")]
    node_id: String,
    #[serde(default)]
    datacenter: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    port: i64,
    #[serde(default, deserialize_with = "or_default")]
    tags: Vec<String>,
}

impl Refresh for Nomad {
    fn what(&self) -> String {
        shown_url(&self.config.server)
    }

    fn refresh(&self) -> BoxFuture<'_, Result<Vec<TargetGroup>, String>> {
        Box::pin(async {
            let targets = self.ask().await.map_err(|error| error.to_string())?;
            Ok(vec![TargetGroup { source: "Nomad".to_owned(), targets, labels: Labels::default() }])
        })
    }
}

impl Nomad {
    async fn ask(&self) -> Result<Vec<Labels>, ApiError> {
        let mut query = String::new();
        for (name, value) in [("region", &self.config.region), ("namespace", &self.config.namespace)] {
            if !value.is_empty() {
                parameter(&mut query, name, value);
            }
        }
        if self.config.allow_stale {
            parameter(&mut query, "stale", "");
        }
        let query = query.strip_prefix('&').unwrap_or_default();
        let namespaces: Vec<Namespace> = self.api.json(&format!("/v1/services?{query}")).await?;
        let services = namespaces.into_iter().flat_map(|namespace| namespace.services);
        let names: BTreeSet<String> = services.map(|service| service.service_name).collect();
        let mut targets = Vec::new();
        for name in names {
            let name = query_escaped(&name).replace('+', "%20");
            let instances: Vec<Instance> = self.api.json(&format!("/v1/service/{name}?{query}")).await?;
            targets.extend(instances.iter().map(|instance| self.target(instance)));
        }
        Ok(targets)
    }

    fn target(&self, instance: &Instance) -> Labels {
        let mut labels = LabelsBuf::new();
        labels.set("__address__", &host_port(&instance.address, instance.port));
        let mut set = |name: &str, value: &str| labels.set(&format!("__meta_nomad_{name}"), value);
        set("address", &instance.address);
        set("dc", &instance.datacenter);
        set("namespace", &instance.namespace);
        set("node_id", &instance.node_id);
        set("service", &instance.service_name);
        set("service_address", &instance.address);
        set("service_id", &instance.id);
        set("service_port", &instance.port.to_string());
        set("tags", &list(&instance.tags, &self.config.tag_separator));
        labels.to_labels()
    }
}

#[cfg(test)]
#[path = "nomad_tests.rs"]
mod tests;
