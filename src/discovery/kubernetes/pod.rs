//! Pods.

use serde::Deserialize;

use super::metadata::{Metadata, set};
use crate::discovery::api::or_default;
use crate::model::{Labels, LabelsBuf};

/// What is kept of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    /// What it says of itself. Groups share them where they add nothing.
    pub(super) labels: Labels,
    /// Empty until it has one.
    pub(super) ip: String,
    /// Empty until it has one.
    pub(super) node: String,
    /// What manages it, where that is of a kind that others manage: replica sets and jobs.
    pub(super) controller: Option<Controller>,
    /// Those that run on, then those that run first.
    pub(super) containers: Vec<Container>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Controller {
    ReplicaSet(String),
    Job(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    /// Empty until it runs.
    pub(super) id: String,
    pub(super) is_init: bool,
    pub(super) ports: Vec<ContainerPort>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerPort {
    pub(super) name: String,
    #[serde(rename = "containerPort")]
    pub(super) number: i64,
    pub(super) protocol: String,
}

impl Container {
    /// Adds what all targets in it say.
    pub(super) fn describe(&self, labels: &mut LabelsBuf) {
        set(labels, "pod_container_name", &self.name);
        set(labels, "pod_container_image", &self.image);
        set(labels, "pod_container_init", if self.is_init { "true" } else { "false" });
    }
}

impl ContainerPort {
    /// Adds what a target at the port says.
    pub(super) fn describe(&self, labels: &mut LabelsBuf, protocol: &str) {
        set(labels, "pod_container_port_name", &self.name);
        set(labels, "pod_container_port_number", &self.number.to_string());
        set(labels, "pod_container_port_protocol", protocol);
    }
}

/// As the API has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WirePod {
    pub(super) metadata: Metadata,
    #[serde(deserialize_with = "or_default")]
    spec: Spec,
    #[serde(deserialize_with = "or_default")]
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: String,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<WireContainer>,
    #[serde(deserialize_with = "or_default")]
    init_containers: Vec<WireContainer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireContainer {
    name: String,
    image: String,
    #[serde(deserialize_with = "or_default")]
    ports: Vec<ContainerPort>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: String,
    #[serde(rename = "hostIP")]
    host_ip: String,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<Condition>,
    #[serde(deserialize_with = "or_default")]
    container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "or_default")]
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    name: String,
    #[serde(rename = "containerID")]
    container_id: String,
}

impl From<WirePod> for Pod {
    fn from(wire: WirePod) -> Self {
        let WirePod { metadata, spec, status } = wire;
        let ready = status.conditions.iter().find(|condition| condition.kind == "Ready");
        let ready = ready.map_or_else(|| "unknown".to_owned(), |ready| ready.status.to_lowercase());
        let mut labels = LabelsBuf::new();
        set(&mut labels, "namespace", &metadata.namespace);
        metadata.name_and_describe(&mut labels, "pod");
        for (name, value) in [
            ("pod_ip", &status.pod_ip),
            ("pod_ready", &ready),
            ("pod_phase", &status.phase),
            ("pod_node_name", &spec.node_name),
            ("pod_host_ip", &status.host_ip),
            ("pod_uid", &metadata.uid),
        ] {
            set(&mut labels, name, value);
        }
        if let Some(owner) = metadata.controller() {
            set(&mut labels, "pod_controller_kind", &owner.kind);
            set(&mut labels, "pod_controller_name", &owner.name);
        }
        let replica_set = metadata.controlled_by("ReplicaSet").map(Controller::ReplicaSet);
        let controller = replica_set.or_else(|| metadata.controlled_by("Job").map(Controller::Job));
        let container = |wire: WireContainer, statuses: &[ContainerStatus], is_init: bool| {
            let id = statuses.iter().find(|status| status.name == wire.name);
            let id = id.map(|status| status.container_id.clone()).unwrap_or_default();
            Container { name: wire.name, image: wire.image, id, is_init, ports: wire.ports }
        };
        let running = spec.containers.into_iter();
        let running = running.map(|wire| container(wire, &status.container_statuses, false));
        let first = spec.init_containers.into_iter();
        let first = first.map(|wire| container(wire, &status.init_container_statuses, true));
        Self {
            namespace: metadata.namespace,
            name: metadata.name,
            labels: labels.to_labels(),
            containers: running.chain(first).collect(),
            ip: status.pod_ip,
            node: spec.node_name,
            controller,
        }
    }
}
