//! Endpoints and slices of endpoints: the addresses behind services. Both are kept in the same form.

use serde::Deserialize;

use super::budget::Budget;
use super::metadata::{Key, Metadata, key, set, set_some};
use crate::discovery::api::{host_port, or_default, set_all};
use crate::model::{Labels, LabelsBuf};

/// What is kept of either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backends {
    pub(super) namespace: String,
    pub(super) name: String,
    /// The service whose addresses these are.
    pub(super) service: Option<Key>,
    /// Such as `IPv4`; none of endpoints, which do not say.
    pub(super) family: Option<String>,
    /// Labels of all of them.
    pub(super) labels: Labels,
    pub(super) each: Vec<Backend>,
}

/// One address and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backend {
    /// What is said of it here.
    pub(super) labels: Labels,
    pub(super) port: Option<i64>,
    /// The protocol that the port of a container has then; its own where there is none.
    pub(super) protocol: Option<String>,
    /// The pod that has the address.
    pub(super) pod: Option<Key>,
    /// The node that has the pod or the address.
    pub(super) node: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TargetRef {
    kind: String,
    name: String,
    namespace: String,
}

impl TargetRef {
    fn pod(&self) -> Option<Key> {
        (self.kind == "Pod").then(|| key(&self.namespace, &self.name))
    }

    fn node(&self) -> Option<String> {
        (self.kind == "Node").then(|| self.name.clone())
    }
}

/// As the API has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireEndpoints {
    pub(super) metadata: Metadata,
    #[serde(deserialize_with = "or_default")]
    subsets: Vec<Subset>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Subset {
    #[serde(deserialize_with = "or_default")]
    addresses: Vec<Address>,
    #[serde(deserialize_with = "or_default")]
    not_ready_addresses: Vec<Address>,
    #[serde(deserialize_with = "or_default")]
    ports: Vec<Port>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Address {
    ip: String,
    hostname: String,
    node_name: Option<String>,
    target_ref: Option<TargetRef>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Port {
    name: String,
    #[serde(rename = "port")]
    number: i64,
    protocol: String,
}

impl Address {
    fn backend(&self, port: &Port, ready: &str) -> Backend {
        let mut labels = LabelsBuf::new();
        labels.set("__address__", &host_port(&self.ip, port.number));
        set(&mut labels, "endpoint_port_name", &port.name);
        set(&mut labels, "endpoint_port_protocol", &port.protocol);
        set(&mut labels, "endpoint_ready", ready);
        set(&mut labels, "endpoint_hostname", &self.hostname);
        set_some(&mut labels, "endpoint_node_name", self.node_name.as_ref());
        let target = self.target_ref.as_ref();
        if let Some(target) = target {
            set(&mut labels, "endpoint_address_target_kind", &target.kind);
            set(&mut labels, "endpoint_address_target_name", &target.name);
        }
        Backend {
            labels: labels.to_labels(),
            port: Some(port.number),
            protocol: Some(port.protocol.clone()),
            pod: target.and_then(TargetRef::pod),
            node: self.node_name.clone().or_else(|| target.and_then(TargetRef::node)),
        }
    }
}

impl From<WireEndpoints> for Backends {
    fn from(WireEndpoints { metadata, subsets }: WireEndpoints) -> Self {
        let mut labels = LabelsBuf::new();
        set(&mut labels, "namespace", &metadata.namespace);
        metadata.name_and_describe(&mut labels, "endpoints");
        let mut budget = Budget::new();
        let all = subsets.iter().flat_map(|subset| {
            subset.ports.iter().flat_map(move |port| {
                let ready = subset.addresses.iter().map(|one| one.backend(port, "true"));
                ready.chain(subset.not_ready_addresses.iter().map(|one| one.backend(port, "false")))
            })
        });
        let each = all.take_while(|one| budget.take(&one.labels)).collect();
        budget.finish("endpoints", &metadata.namespace, &metadata.name);
        Self {
            // They have the name of their service.
            service: Some(metadata.key()),
            family: None,
            labels: labels.to_labels(),
            namespace: metadata.namespace,
            name: metadata.name,
            each,
        }
    }
}

/// As the API has it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireSlice {
    pub(super) metadata: Metadata,
    address_type: String,
    #[serde(deserialize_with = "or_default")]
    endpoints: Vec<Endpoint>,
    #[serde(deserialize_with = "or_default")]
    ports: Vec<SlicePort>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Endpoint {
    #[serde(deserialize_with = "or_default")]
    addresses: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    conditions: Conditions,
    hostname: Option<String>,
    node_name: Option<String>,
    zone: Option<String>,
    target_ref: Option<TargetRef>,
    #[serde(deserialize_with = "or_default")]
    deprecated_topology: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SlicePort {
    name: Option<String>,
    port: Option<i64>,
    protocol: Option<String>,
    app_protocol: Option<String>,
}

impl Endpoint {
    fn backend(&self, address: &str, port: &SlicePort) -> Backend {
        let mut labels = LabelsBuf::new();
        let with_port = port.port.map(|port| host_port(address, port));
        labels.set("__address__", with_port.as_deref().unwrap_or(address));
        let mut some = |name: &str, value: Option<&String>| {
            set_some(&mut labels, &format!("endpointslice_{name}"), value);
        };
        some("port_name", port.name.as_ref());
        some("port_protocol", port.protocol.as_ref());
        some("port", port.port.map(|port| port.to_string()).as_ref());
        some("port_app_protocol", port.app_protocol.as_ref());
        let condition = |value: Option<bool>| value.map(|value| value.to_string());
        some("endpoint_conditions_ready", condition(self.conditions.ready).as_ref());
        some("endpoint_conditions_serving", condition(self.conditions.serving).as_ref());
        some("endpoint_conditions_terminating", condition(self.conditions.terminating).as_ref());
        some("endpoint_hostname", self.hostname.as_ref());
        some("endpoint_node_name", self.node_name.as_ref());
        some("endpoint_zone", self.zone.as_ref());
        let target = self.target_ref.as_ref();
        some("address_target_kind", target.map(|target| &target.kind));
        some("address_target_name", target.map(|target| &target.name));
        let prefix = format!("{}endpointslice_endpoint_topology_", super::metadata::PREFIX);
        set_all(&mut labels, &prefix, &self.deprecated_topology);
        for name in self.deprecated_topology.keys() {
            labels.set(&format!("{prefix}present_{}", crate::discovery::api::sanitized(name)), "true");
        }
        Backend {
            labels: labels.to_labels(),
            port: port.port,
            protocol: None,
            pod: target.and_then(TargetRef::pod),
            node: target.and_then(TargetRef::node).or_else(|| self.node_name.clone()),
        }
    }
}

impl From<WireSlice> for Backends {
    fn from(WireSlice { metadata, address_type, endpoints, ports }: WireSlice) -> Self {
        let mut labels = LabelsBuf::new();
        set(&mut labels, "namespace", &metadata.namespace);
        set(&mut labels, "endpointslice_address_type", &address_type);
        metadata.name_and_describe(&mut labels, "endpointslice");
        let mut budget = Budget::new();
        let all = endpoints.iter().flat_map(|endpoint| {
            let of_port =
                move |port| endpoint.addresses.iter().map(move |address| endpoint.backend(address, port));
            ports.iter().flat_map(of_port)
        });
        let each = all.take_while(|one| budget.take(&one.labels)).collect();
        budget.finish("endpointslice", &metadata.namespace, &metadata.name);
        let service = metadata.labels.get("kubernetes.io/service-name");
        Self {
            service: service.map(|name| key(&metadata.namespace, name)),
            family: Some(address_type),
            labels: labels.to_labels(),
            namespace: metadata.namespace,
            name: metadata.name,
            each,
        }
    }
}
