//! Vultr: its instances.

use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::api::{Api, ApiError, host_port, list, or_default, parameter};
use super::{Refresh, TargetGroup};
use crate::config::VultrSdConfig;
use crate::model::{Labels, LabelsBuf};

/// Where the API is.
pub(super) const URL: &str = "https://api.vultr.com";
/// Pages of one list at most.
const MAX_PAGES: u64 = 1000;

/// Asks the API.
#[derive(Debug)]
pub(super) struct Vultr {
    pub(super) api: Api,
    pub(super) config: Box<VultrSdConfig>,
}

#[derive(Debug, Deserialize)]
struct Page {
    #[serde(default, deserialize_with = "or_default")]
    instances: Vec<Instance>,
    #[serde(default, deserialize_with = "or_default")]
    meta: Meta,
}

#[derive(Debug, Default, Deserialize)]
struct Meta {
    #[serde(default, deserialize_with = "or_default")]
    links: Links,
}

#[derive(Debug, Default, Deserialize)]
struct Links {
    #[serde(default, deserialize_with = "or_default")]
    next: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Instance {
    id: String,
    label: String,
    hostname: String,
    os: String,
    os_id: i64,
    region: String,
    plan: String,
    main_ip: String,
    v6_main_ip: String,
    internal_ip: String,
    server_status: String,
    vcpu_count: i64,
    /// In MB.
    ram: i64,
    /// In GB.
    disk: i64,
    /// In GB.
    allowed_bandwidth: i64,
    #[serde(deserialize_with = "or_default")]
    features: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    tags: Vec<String>,
}

impl Refresh for Vultr {
    fn what(&self) -> String {
        self.api.base().to_owned()
    }

    fn refresh(&self) -> BoxFuture<'_, Result<Vec<TargetGroup>, String>> {
        Box::pin(async {
            let targets = self.ask().await.map_err(|error| error.to_string())?;
            Ok(vec![TargetGroup { source: "Vultr".to_owned(), targets, labels: Labels::default() }])
        })
    }
}

impl Vultr {
    async fn ask(&self) -> Result<Vec<Labels>, ApiError> {
        let (mut targets, mut path) = (Vec::new(), "/v2/instances?per_page=100".to_owned());
        for _ in 0..MAX_PAGES {
            let page: Page = self.api.json(&path).await?;
            targets.extend(page.instances.iter().map(|instance| self.target(instance)));
            if page.meta.links.next.is_empty() {
                return Ok(targets);
            }
            "/v2/instances?per_page=100".clone_into(&mut path);
            parameter(&mut path, "cursor", &page.meta.links.next);
        }
        Err(ApiError::Pages(MAX_PAGES))
    }

    fn target(&self, instance: &Instance) -> Labels {
        let mut labels = LabelsBuf::new();
        labels.set("__address__", &host_port(&instance.main_ip, self.config.port));
        let mut set = |name: &str, value: &str| labels.set(&format!("__meta_vultr_instance_{name}"), value);
        set("allowed_bandwidth_gb", &instance.allowed_bandwidth.to_string());
        set("disk_gb", &instance.disk.to_string());
        set("features", &list(&instance.features, ","));
        set("hostname", &instance.hostname);
        set("id", &instance.id);
        set("internal_ip", &instance.internal_ip);
        set("label", &instance.label);
        set("main_ip", &instance.main_ip);
        set("main_ipv6", &instance.v6_main_ip);
        set("os", &instance.os);
        set("os_id", &instance.os_id.to_string());
        set("plan", &instance.plan);
        set("ram_mb", &instance.ram.to_string());
        set("region", &instance.region);
        set("server_status", &instance.server_status);
        set("tags", &list(&instance.tags, ","));
        set("vcpu_count", &instance.vcpu_count.to_string());
        labels.to_labels()
    }
}

#[cfg(test)]
#[path = "vultr_tests.rs"]
mod tests;
