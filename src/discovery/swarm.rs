//! A Docker swarm: its services, their tasks, or its nodes.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::TargetGroup;
use super::api::{ApiError, host_port, or_default, set_all};
use super::docker::{Engine, EngineSource};
use crate::config::{DockerSwarmRole, DockerSwarmSdConfig};
use crate::model::{Labels, LabelsBuf};

const PREFIX: &str = "__meta_dockerswarm_";

/// What a swarm has of one kind.
#[derive(Debug)]
pub(super) struct Swarm(pub(super) DockerSwarmSdConfig);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(default, rename = "ID")]
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    spec: ServiceSpec,
    #[serde(default, deserialize_with = "or_default")]
    endpoint: ServiceEndpoint,
    #[serde(default)]
    update_status: Option<UpdateStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceSpec {
    #[serde(default)]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    mode: BTreeMap<String, serde_json::Value>,
    #[serde(default, deserialize_with = "or_default")]
    task_template: TaskSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskSpec {
    #[serde(default)]
    container_spec: Option<ContainerSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerSpec {
    #[serde(default)]
    image: String,
    #[serde(default)]
    hostname: String,
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceEndpoint {
    #[serde(default, deserialize_with = "or_default")]
    ports: Vec<PortConfig>,
    #[serde(default, rename = "VirtualIPs", deserialize_with = "or_default")]
    virtual_ips: Vec<VirtualIp>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PortConfig {
    #[serde(default)]
    name: String,
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    published_port: u16,
    #[serde(default)]
    publish_mode: String,
}

#[derive(Debug, Deserialize)]
struct VirtualIp {
    #[serde(default, rename = "NetworkID")]
    network_id: String,
    #[serde(default, rename = "Addr")]
    addr: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateStatus {
    #[serde(default)]
    state: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Task {
    #[serde(default, rename = "ID")]
    id: String,
    #[serde(default, rename = "ServiceID")]
    service_id: String,
    #[serde(default, rename = "NodeID")]
    node_id: String,
    #[serde(default)]
    slot: i64,
    #[serde(default)]
    desired_state: String,
    #[serde(default, deserialize_with = "or_default")]
    spec: TaskSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: TaskStatus,
    #[serde(default, deserialize_with = "or_default")]
    networks_attachments: Vec<Attachment>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TaskStatus {
    #[serde(default)]
    state: String,
    #[serde(default)]
    container_status: Option<ContainerStatus>,
    #[serde(default, deserialize_with = "or_default")]
    port_status: PortStatus,
}

#[derive(Debug, Deserialize)]
struct ContainerStatus {
    #[serde(default, rename = "ContainerID")]
    container_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PortStatus {
    #[serde(default, deserialize_with = "or_default")]
    ports: Vec<PortConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attachment {
    #[serde(default, deserialize_with = "or_default")]
    network: AttachedNetwork,
    #[serde(default, deserialize_with = "or_default")]
    addresses: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
struct AttachedNetwork {
    #[serde(default, rename = "ID")]
    id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(default, rename = "ID")]
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    spec: NodeSpec,
    #[serde(default, deserialize_with = "or_default")]
    description: Description,
    #[serde(default, deserialize_with = "or_default")]
    status: NodeStatus,
    #[serde(default)]
    manager_status: Option<ManagerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeSpec {
    #[serde(default)]
    role: String,
    #[serde(default)]
    availability: String,
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    #[serde(default)]
    hostname: String,
    #[serde(default, deserialize_with = "or_default")]
    platform: Platform,
    #[serde(default, deserialize_with = "or_default")]
    engine: EngineDescription,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EngineDescription {
    #[serde(default)]
    engine_version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default, rename = "OS")]
    os: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeStatus {
    #[serde(default)]
    state: String,
    #[serde(default)]
    addr: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ManagerStatus {
    #[serde(default)]
    leader: bool,
    #[serde(default)]
    reachability: String,
    #[serde(default)]
    addr: String,
}

impl EngineSource for Swarm {
    const EVENTS: &'static str = r#"{"type":["service","node","network","container"],"event":["create","update","remove","start","die","destroy"]}"#;

    fn targets<'a>(&'a self, engine: &'a Engine) -> BoxFuture<'a, Result<TargetGroup, ApiError>> {
        Box::pin(async {
            let mut targets = match self.0.role {
                DockerSwarmRole::Services => {
                    let services: Vec<Service> = engine.list("services", true).await?;
                    services_at(&services, &engine.networks(PREFIX).await?, self.0.port)
                }
                DockerSwarmRole::Tasks => {
                    let tasks: Vec<Task> = engine.list("tasks", true).await?;
                    let services: Vec<Service> = engine.list("services", false).await?;
                    let nodes: Vec<Node> = engine.list("nodes", false).await?;
                    tasks_at(&tasks, &services, &nodes, &engine.networks(PREFIX).await?, self.0.port)
                }
                DockerSwarmRole::Nodes => {
                    let nodes: Vec<Node> = engine.list("nodes", true).await?;
                    nodes.iter().map(|node| node.target(self.0.port)).collect()
                }
            };
            // The order of lists must not look like a change.
            targets.sort_unstable();
            targets.dedup();
            Ok(TargetGroup { source: "DockerSwarm".to_owned(), targets, labels: Labels::empty() })
        })
    }
}

fn set(labels: &mut LabelsBuf, name: &str, value: &str) {
    labels.set(&format!("{PREFIX}{name}"), value);
}

/// Adds `more`.
fn add(labels: &mut LabelsBuf, more: Option<&Labels>) {
    for (name, value) in more.iter().flat_map(|more| more.iter()) {
        labels.set(name, value);
    }
}

/// An address without the size of its network.
fn ip(address: &str) -> &str {
    address.split('/').next().unwrap_or(address)
}

impl Service {
    /// The labels that its tasks have too.
    fn labels(&self) -> Labels {
        let mut labels = LabelsBuf::new();
        set(&mut labels, "service_id", &self.id);
        set(&mut labels, "service_name", &self.spec.name);
        let mode = ["Global", "Replicated"].into_iter().find(|mode| self.spec.mode.contains_key(*mode));
        set(&mut labels, "service_mode", &mode.unwrap_or_default().to_lowercase());
        set_all(&mut labels, &format!("{PREFIX}service_label_"), &self.spec.labels);
        labels.to_labels()
    }

    fn tcp_ports(&self) -> impl Iterator<Item = &PortConfig> {
        self.endpoint.ports.iter().filter(|port| port.protocol == "tcp")
    }
}

fn services_at(services: &[Service], networks: &HashMap<String, Labels>, port: u16) -> Vec<Labels> {
    let mut targets = Vec::new();
    for service in services {
        let mut common = LabelsBuf::new();
        add(&mut common, Some(&service.labels()));
        if let Some(container) = &service.spec.task_template.container_spec {
            set(&mut common, "service_task_container_hostname", &container.hostname);
            set(&mut common, "service_task_container_image", &container.image);
        }
        if let Some(update) = &service.update_status {
            set(&mut common, "service_updating_status", &update.state);
        }
        for address in &service.endpoint.virtual_ips {
            let mut of_network = common.clone();
            add(&mut of_network, networks.get(&address.network_id));
            let mut ports = service.tcp_ports().peekable();
            if ports.peek().is_none() {
                of_network.set("__address__", &host_port(ip(&address.addr), port));
                targets.push(of_network.to_labels());
                continue;
            }
            for port in ports {
                let mut labels = of_network.clone();
                set(&mut labels, "service_endpoint_port_name", &port.name);
                set(&mut labels, "service_endpoint_port_publish_mode", &port.publish_mode);
                labels.set("__address__", &host_port(ip(&address.addr), port.published_port));
                targets.push(labels.to_labels());
            }
        }
    }
    targets
}

fn tasks_at(
    tasks: &[Task],
    services: &[Service],
    nodes: &[Node],
    networks: &HashMap<String, Labels>,
    port: u16,
) -> Vec<Labels> {
    let services: HashMap<&str, (&Service, Labels)> =
        services.iter().map(|service| (service.id.as_str(), (service, service.labels()))).collect();
    let nodes: HashMap<&str, (&Node, Labels)> =
        nodes.iter().map(|node| (node.id.as_str(), (node, node.labels()))).collect();
    let mut targets = Vec::new();
    for task in tasks {
        let (service, node) = (services.get(task.service_id.as_str()), nodes.get(task.node_id.as_str()));
        let mut common = LabelsBuf::new();
        set(&mut common, "task_id", &task.id);
        set(&mut common, "task_desired_state", &task.desired_state);
        set(&mut common, "task_state", &task.status.state);
        set(&mut common, "task_slot", &task.slot.to_string());
        if let Some(container) = &task.status.container_status {
            set(&mut common, "task_container_id", &container.container_id);
        }
        if let Some(container) = &task.spec.container_spec {
            set_all(&mut common, &format!("{PREFIX}container_label_"), &container.labels);
        }
        add(&mut common, service.map(|(_, labels)| labels));
        add(&mut common, node.map(|(_, labels)| labels));
        let own = task.status.port_status.ports.iter().filter(|port| port.protocol == "tcp");
        for port in own {
            let mut labels = common.clone();
            set(&mut labels, "task_port_publish_mode", &port.publish_mode);
            let host = node.map_or("", |(node, _)| &node.status.addr);
            labels.set("__address__", &host_port(host, port.published_port));
            targets.push(labels.to_labels());
        }
        for attachment in &task.networks_attachments {
            for address in &attachment.addresses {
                let mut of_network = common.clone();
                add(&mut of_network, networks.get(&attachment.network.id));
                let mut ports = service.into_iter().flat_map(|(service, _)| service.tcp_ports()).peekable();
                if ports.peek().is_none() {
                    of_network.set("__address__", &host_port(ip(address), port));
                    targets.push(of_network.to_labels());
                    continue;
                }
                for port in ports {
                    let mut labels = of_network.clone();
                    set(&mut labels, "task_port_publish_mode", &port.publish_mode);
                    labels.set("__address__", &host_port(ip(address), port.published_port));
                    targets.push(labels.to_labels());
                }
            }
        }
    }
    targets
}

impl Node {
    /// The labels that the tasks on it have too.
    fn labels(&self) -> Labels {
        let mut labels = LabelsBuf::new();
        let mut set = |name: &str, value: &str| set(&mut labels, &format!("node_{name}"), value);
        set("id", &self.id);
        set("role", &self.spec.role);
        set("address", &self.status.addr);
        set("availability", &self.spec.availability);
        set("hostname", &self.description.hostname);
        set("platform_architecture", &self.description.platform.architecture);
        set("platform_os", &self.description.platform.os);
        set("status", &self.status.state);
        set_all(&mut labels, &format!("{PREFIX}node_label_"), &self.spec.labels);
        labels.to_labels()
    }

    fn target(&self, port: u16) -> Labels {
        let mut labels = LabelsBuf::new();
        add(&mut labels, Some(&self.labels()));
        set(&mut labels, "node_engine_version", &self.description.engine.engine_version);
        if let Some(manager) = &self.manager_status {
            set(&mut labels, "node_manager_leader", &manager.leader.to_string());
            set(&mut labels, "node_manager_reachability", &manager.reachability);
            set(&mut labels, "node_manager_address", &manager.addr);
        }
        labels.set("__address__", &host_port(&self.status.addr, port));
        labels.to_labels()
    }
}

#[cfg(test)]
#[path = "swarm_tests.rs"]
mod tests;
