//! Hetzner: virtual machines of its cloud, and machines of metal by the API called Robot.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::api::{Api, ApiError, host_port, or_default, parameter, sanitized};
use super::{Refresh, TargetGroup};
use crate::config::{HetznerRole, HetznerSdConfig};
use crate::model::{Labels, LabelsBuf};

/// Pages of one list at most.
const MAX_PAGES: u64 = 1000;
/// What Prometheus says of an address that is not there; configurations look for it.
const NO_ADDRESS: &str = "<nil>";

/// Asks the API of the role.
#[derive(Debug)]
pub(super) struct Hetzner {
    pub(super) api: Api,
    pub(super) config: Box<HetznerSdConfig>,
}

/// Where the API of a role is.
pub(super) fn url(role: HetznerRole) -> &'static str {
    match role {
        HetznerRole::Hcloud => "https://api.hetzner.cloud/v1",
        HetznerRole::Robot => "https://robot-ws.your-server.de",
    }
}

#[derive(Debug, Deserialize)]
struct Machine {
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    status: String,
    #[serde(default, deserialize_with = "or_default")]
    public_net: PublicNet,
    #[serde(default, deserialize_with = "or_default")]
    private_net: Vec<PrivateNet>,
    #[serde(default, deserialize_with = "or_default")]
    server_type: ServerType,
    #[serde(default, deserialize_with = "or_default")]
    location: Location,
    image: Option<Image>,
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
struct PublicNet {
    ipv4: Option<Address>,
    ipv6: Option<Address>,
}

#[derive(Debug, Deserialize)]
struct Address {
    #[serde(default)]
    ip: String,
}

#[derive(Debug, Deserialize)]
struct PrivateNet {
    network: u64,
    #[serde(default)]
    ip: String,
}

#[derive(Debug, Default, Deserialize)]
struct ServerType {
    #[serde(default)]
    name: String,
    #[serde(default)]
    cores: u64,
    #[serde(default)]
    cpu_type: String,
    /// In GB, which may have a fraction.
    #[serde(default)]
    memory: f64,
    #[serde(default)]
    disk: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Location {
    #[serde(default)]
    name: String,
    #[serde(default)]
    network_zone: String,
}

#[derive(Debug, Deserialize)]
struct Image {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    description: String,
    #[serde(default, deserialize_with = "or_default")]
    os_version: String,
    #[serde(default, deserialize_with = "or_default")]
    os_flavor: String,
}

#[derive(Debug, Deserialize)]
struct Network {
    id: u64,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Page<T> {
    /// Called as what is listed.
    #[serde(alias = "servers", alias = "networks")]
    items: Vec<T>,
    #[serde(default, deserialize_with = "or_default")]
    meta: Meta,
}

#[derive(Debug, Default, Deserialize)]
struct Meta {
    #[serde(default, deserialize_with = "or_default")]
    pagination: Pagination,
}

#[derive(Debug, Default, Deserialize)]
struct Pagination {
    #[serde(default)]
    next_page: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct RobotEntry {
    server: RobotServer,
}

#[derive(Debug, Deserialize)]
struct RobotServer {
    #[serde(default, deserialize_with = "or_default")]
    server_ip: String,
    server_number: u64,
    #[serde(default, deserialize_with = "or_default")]
    server_name: String,
    #[serde(default, deserialize_with = "or_default")]
    dc: String,
    #[serde(default, deserialize_with = "or_default")]
    status: String,
    #[serde(default, deserialize_with = "or_default")]
    product: String,
    #[serde(default, deserialize_with = "or_default")]
    cancelled: bool,
    #[serde(default, deserialize_with = "or_default")]
    subnet: Vec<Subnet>,
}

#[derive(Debug, Deserialize)]
struct Subnet {
    ip: String,
    mask: String,
}

impl Refresh for Hetzner {
    fn what(&self) -> String {
        self.api.base().to_owned()
    }

    fn refresh(&self) -> BoxFuture<'_, Result<Vec<TargetGroup>, String>> {
        Box::pin(async {
            let found = match self.config.role {
                HetznerRole::Hcloud => self.hcloud().await,
                HetznerRole::Robot => self.robot().await,
            };
            let targets = found.map_err(|error| error.to_string())?;
            Ok(vec![TargetGroup { source: "hetzner".to_owned(), targets, labels: Labels::default() }])
        })
    }
}

impl Hetzner {
    async fn all<T: DeserializeOwned>(&self, path: &str, more: &str) -> Result<Vec<T>, ApiError> {
        let (mut out, mut number) = (Vec::new(), 1);
        loop {
            let page: Page<T> = self.api.json(&format!("{path}?page={number}&per_page=50{more}")).await?;
            out.extend(page.items);
            match page.meta.pagination.next_page {
                Some(next) if next > MAX_PAGES => return Err(ApiError::Pages(MAX_PAGES)),
                Some(next) if next > number => number = next,
                _ => return Ok(out),
            }
        }
    }

    async fn hcloud(&self) -> Result<Vec<Labels>, ApiError> {
        let mut selector = String::new();
        if !self.config.label_selector.is_empty() {
            parameter(&mut selector, "label_selector", &self.config.label_selector);
        }
        let servers: Vec<Machine> = self.all("/servers", &selector).await?;
        let networks: Vec<Network> = self.all("/networks", "").await?;
        let names: HashMap<u64, String> = networks.into_iter().map(|one| (one.id, one.name)).collect();
        Ok(servers.iter().map(|server| self.virtual_machine(server, &names)).collect())
    }

    fn virtual_machine(&self, server: &Machine, networks: &HashMap<u64, String>) -> Labels {
        let shown = |address: &Option<Address>| match address {
            Some(address) if !address.ip.is_empty() => address.ip.clone(),
            _ => NO_ADDRESS.to_owned(),
        };
        let ipv4 = shown(&server.public_net.ipv4);
        let mut labels = LabelsBuf::new();
        labels.set("__address__", &host_port(&ipv4, self.config.port));
        let mut set = |name: &str, value: &str| labels.set(&format!("__meta_hetzner_{name}"), value);
        set("role", "hcloud");
        set("server_id", &server.id.to_string());
        set("server_name", &server.name);
        set("server_status", &server.status);
        set("public_ipv4", &ipv4);
        set("public_ipv6_network", &shown(&server.public_net.ipv6));
        // Older names of the same.
        for place in ["location", "datacenter_location"] {
            set(&format!("hcloud_{place}"), &server.location.name);
            set(&format!("hcloud_{place}_network_zone"), &server.location.network_zone);
        }
        let kind = &server.server_type;
        set("hcloud_server_type", &kind.name);
        set("hcloud_cpu_cores", &kind.cores.to_string());
        set("hcloud_cpu_type", &kind.cpu_type);
        set("hcloud_memory_size_gb", &format!("{:.0}", kind.memory.trunc()));
        set("hcloud_disk_size_gb", &kind.disk.to_string());
        if let Some(image) = &server.image {
            set("hcloud_image_name", &image.name);
            set("hcloud_image_description", &image.description);
            set("hcloud_image_os_version", &image.os_version);
            set("hcloud_image_os_flavor", &image.os_flavor);
        }
        for net in &server.private_net {
            if let Some(name) = networks.get(&net.network) {
                set(&format!("hcloud_private_ipv4_{}", sanitized(name)), &net.ip);
            }
        }
        for (name, value) in &server.labels {
            set(&format!("hcloud_labelpresent_{}", sanitized(name)), "true");
            set(&format!("hcloud_label_{}", sanitized(name)), value);
        }
        labels.to_labels()
    }

    async fn robot(&self) -> Result<Vec<Labels>, ApiError> {
        let servers: Vec<RobotEntry> = self.api.json("/server").await?;
        Ok(servers.iter().map(|entry| self.metal(&entry.server)).collect())
    }

    fn metal(&self, server: &RobotServer) -> Labels {
        let datacenter = server.dc.to_lowercase();
        let mut labels = LabelsBuf::new();
        labels.set("__address__", &host_port(&server.server_ip, self.config.port));
        let mut set = |name: &str, value: &str| labels.set(&format!("__meta_hetzner_{name}"), value);
        set("role", "robot");
        set("server_id", &server.server_number.to_string());
        set("server_name", &server.server_name);
        set("server_status", &server.status);
        set("datacenter", &datacenter);
        set("public_ipv4", &server.server_ip);
        set("robot_datacenter", &datacenter);
        set("robot_product", &server.product);
        set("robot_cancelled", &server.cancelled.to_string());
        let is_ipv4 = |subnet: &Subnet| matches!(subnet.ip.parse(), Ok(IpAddr::V4(_)));
        if let Some(subnet) = server.subnet.iter().find(|subnet| !is_ipv4(subnet)) {
            set("public_ipv6_network", &format!("{}/{}", subnet.ip, subnet.mask));
        }
        labels.to_labels()
    }
}

#[cfg(test)]
#[path = "hetzner_tests.rs"]
mod tests;
