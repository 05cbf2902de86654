//! Services, ingresses and nodes: what they say of themselves makes their targets.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::metadata::{Metadata, set};
use crate::discovery::api::{host_port, or_default, sanitized};
use crate::model::{Labels, LabelsBuf};

/// What is kept of such an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standalone {
    /// Empty where it is in none.
    pub(super) namespace: String,
    /// Labels of all its targets.
    pub(super) labels: Labels,
    pub(super) targets: Vec<Labels>,
}

/// As the API has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireService {
    pub(super) metadata: Metadata,
    #[serde(deserialize_with = "or_default")]
    spec: ServiceSpec,
    #[serde(deserialize_with = "or_default")]
    status: ServiceStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    #[serde(rename = "loadBalancerIP")]
    load_balancer_ip: String,
    external_name: String,
    ip_family_policy: Option<String>,
    #[serde(deserialize_with = "or_default")]
    ip_families: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    ports: Vec<ServicePort>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServicePort {
    name: String,
    port: i64,
    protocol: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceStatus {
    #[serde(deserialize_with = "or_default")]
    load_balancer: LoadBalancer,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    #[serde(deserialize_with = "or_default")]
    ingress: Vec<LoadBalancerIngress>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LoadBalancerIngress {
    ip: String,
}

impl WireService {
    /// What others that belong to it say of it too.
    pub(super) fn labels(&self) -> Labels {
        let mut labels = LabelsBuf::new();
        set(&mut labels, "namespace", &self.metadata.namespace);
        self.metadata.name_and_describe(&mut labels, "service");
        labels.to_labels()
    }

    /// The kind of address that counts where it has both.
    pub(super) fn primary_family(&self) -> Option<String> {
        let policy = self.spec.ip_family_policy.as_deref();
        let has_both = matches!(policy, Some("PreferDualStack" | "RequireDualStack"));
        self.spec.ip_families.first().filter(|_| has_both).cloned()
    }

    /// The addresses that its load balancer has, or else is to have.
    fn load_balancer_ips(&self) -> String {
        let ips = self.status.load_balancer.ingress.iter().map(|one| one.ip.as_str());
        let ips: Vec<&str> = ips.filter(|ip| !ip.is_empty()).collect();
        if ips.is_empty() { self.spec.load_balancer_ip.clone() } else { ips.join(",") }
    }
}

impl From<WireService> for Standalone {
    fn from(service: WireService) -> Self {
        let WireService { metadata: Metadata { name, namespace, .. }, spec, .. } = &service;
        let target = |port: &ServicePort| {
            let mut labels = LabelsBuf::new();
            labels.set("__address__", &host_port(&format!("{name}.{namespace}.svc"), port.port));
            set(&mut labels, "service_port_name", &port.name);
            set(&mut labels, "service_port_number", &port.port.to_string());
            set(&mut labels, "service_port_protocol", &port.protocol);
            set(&mut labels, "service_type", &spec.kind);
            if spec.kind == "ExternalName" {
                set(&mut labels, "service_external_name", &spec.external_name);
            } else {
                set(&mut labels, "service_cluster_ip", &spec.cluster_ip);
            }
            if spec.kind == "LoadBalancer" {
                set(&mut labels, "service_loadbalancer_ip", &service.load_balancer_ips());
            }
            labels.to_labels()
        };
        let targets = spec.ports.iter().map(target).collect();
        Self { namespace: namespace.clone(), labels: service.labels(), targets }
    }
}

/// As the API has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireIngress {
    pub(super) metadata: Metadata,
    #[serde(deserialize_with = "or_default")]
    spec: IngressSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct IngressSpec {
    ingress_class_name: Option<String>,
    #[serde(deserialize_with = "or_default")]
    rules: Vec<IngressRule>,
    #[serde(deserialize_with = "or_default")]
    tls: Vec<IngressTls>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IngressRule {
    host: String,
    http: Option<IngressHttp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IngressHttp {
    #[serde(deserialize_with = "or_default")]
    paths: Vec<IngressPath>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IngressPath {
    path: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IngressTls {
    #[serde(deserialize_with = "or_default")]
    hosts: Vec<String>,
}

impl From<WireIngress> for Standalone {
    fn from(WireIngress { metadata, spec }: WireIngress) -> Self {
        let mut labels = LabelsBuf::new();
        set(&mut labels, "namespace", &metadata.namespace);
        set(&mut labels, "ingress_class_name", spec.ingress_class_name.as_deref().unwrap_or_default());
        metadata.name_and_describe(&mut labels, "ingress");
        let mut targets = Vec::new();
        for IngressRule { host, http } in &spec.rules {
            let mut patterns = spec.tls.iter().flat_map(|tls| &tls.hosts);
            let scheme = if patterns.any(|pattern| matches_host(pattern, host)) { "https" } else { "http" };
            let everything = [IngressPath::default()];
            let paths = http.as_ref().map_or(&everything[..], |http| &http.paths);
            for IngressPath { path } in paths {
                let mut labels = LabelsBuf::new();
                labels.set("__address__", host);
                set(&mut labels, "ingress_scheme", scheme);
                set(&mut labels, "ingress_host", host);
                set(&mut labels, "ingress_path", if path.is_empty() { "/" } else { path });
                targets.push(labels.to_labels());
            }
        }
        Self { namespace: metadata.namespace, labels: labels.to_labels(), targets }
    }
}

/// Whether `host` is `pattern`, or has a word in the place of the `*` that it begins with.
fn matches_host(pattern: &str, host: &str) -> bool {
    let rest = |text: &str| text.split_once('.').map(|(_, rest)| rest.to_owned());
    match pattern.split_once('.') {
        _ if pattern == host => true,
        Some(("*", domain)) => rest(host).is_some_and(|rest| rest == domain),
        // A single word stands for a single word.
        _ => pattern == "*" && !host.contains('.'),
    }
}

/// As the API has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireNode {
    pub(super) metadata: Metadata,
    #[serde(deserialize_with = "or_default")]
    spec: NodeSpec,
    #[serde(deserialize_with = "or_default")]
    status: NodeStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    #[serde(rename = "providerID")]
    provider_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeStatus {
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<NodeCondition>,
    #[serde(deserialize_with = "or_default")]
    addresses: Vec<NodeAddress>,
    #[serde(deserialize_with = "or_default")]
    daemon_endpoints: DaemonEndpoints,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NodeCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NodeAddress {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DaemonEndpoints {
    #[serde(deserialize_with = "or_default")]
    kubelet_endpoint: KubeletEndpoint,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct KubeletEndpoint {
    #[serde(rename = "Port")]
    port: i64,
}

/// Kinds of addresses of nodes, the best first.
const NODE_ADDRESSES: [&str; 6] =
    ["InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname"];

impl From<WireNode> for Standalone {
    fn from(WireNode { metadata, spec, status }: WireNode) -> Self {
        let mut labels = LabelsBuf::new();
        set(&mut labels, "node_provider_id", &spec.provider_id);
        for NodeCondition { kind, status } in &status.conditions {
            let name = sanitized(&kind.to_lowercase());
            set(&mut labels, &format!("node_condition_{name}"), &status.to_lowercase());
        }
        metadata.name_and_describe(&mut labels, "node");
        // The first of each kind.
        let mut addresses: BTreeMap<&str, &str> = BTreeMap::new();
        for NodeAddress { kind, address } in &status.addresses {
            addresses.entry(kind).or_insert(address);
        }
        let target = |host: &&str| {
            let mut target = LabelsBuf::new();
            let port = status.daemon_endpoints.kubelet_endpoint.port;
            target.set("__address__", &host_port(host, port));
            target.set("instance", &metadata.name);
            for (kind, address) in &addresses {
                set(&mut target, &format!("node_address_{}", sanitized(kind)), address);
            }
            target.to_labels()
        };
        // Without an address there is nothing to scrape.
        let host = NODE_ADDRESSES.iter().find_map(|kind| addresses.get(kind));
        let targets = host.map(target).into_iter().collect();
        Self { namespace: String::new(), labels: labels.to_labels(), targets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_word() {
        for (pattern, host, expected) in [
            ("a.b", "a.b", true),
            ("*.b", "a.b", true),
            ("*.b", "a.c", false),
            ("*.b", "x.a.b", false),
            ("*.b", "b", false),
            ("a.*", "a.b", false),
            ("*", "a", true),
            ("*", "a.b", false),
            ("", "", true),
        ] {
            assert_eq!(matches_host(pattern, host), expected, "{pattern} {host}");
        }
    }
}
