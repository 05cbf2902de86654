//! Which objects are watched, and by which paths.

use std::collections::BTreeSet;

use crate::config::{KubernetesRole, KubernetesSdConfig};
use crate::discovery::api::parameter;
use crate::net::http_url::query_escaped;

/// Kinds of objects, by what is kept of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Pods,
    Services,
    Endpoints,
    EndpointSlices,
    Nodes,
    Ingresses,
    /// Services that backends tell of.
    ServicesOfOthers,
    /// Nodes that targets on them tell of.
    NodesOfOthers,
    /// Namespaces that targets in them tell of.
    NamespacesOfOthers,
    /// They lead from pods to deployments.
    ReplicaSets,
    /// They lead from pods to cron jobs.
    Jobs,
}

impl Kind {
    /// What the targets of `role` are made of.
    pub(super) fn of_role(role: KubernetesRole) -> Self {
        match role {
            KubernetesRole::Pod => Self::Pods,
            KubernetesRole::Service => Self::Services,
            KubernetesRole::Endpoints => Self::Endpoints,
            KubernetesRole::EndpointSlice => Self::EndpointSlices,
            KubernetesRole::Node => Self::Nodes,
            KubernetesRole::Ingress => Self::Ingresses,
        }
    }

    /// The role whose selector chooses among them, by whose name metrics count their events.
    pub(super) fn role(self) -> Option<KubernetesRole> {
        match self {
            Self::Pods => Some(KubernetesRole::Pod),
            Self::Services | Self::ServicesOfOthers => Some(KubernetesRole::Service),
            Self::Endpoints => Some(KubernetesRole::Endpoints),
            Self::EndpointSlices => Some(KubernetesRole::EndpointSlice),
            Self::Nodes | Self::NodesOfOthers => Some(KubernetesRole::Node),
            Self::Ingresses => Some(KubernetesRole::Ingress),
            Self::NamespacesOfOthers | Self::ReplicaSets | Self::Jobs => None,
        }
    }

    /// What the source of a group of theirs begins with.
    pub(super) fn source(self, key: &str) -> String {
        let prefix = match self {
            Self::Pods => "pod",
            Self::Services | Self::ServicesOfOthers => "svc",
            Self::Endpoints => "endpoints",
            Self::EndpointSlices => "endpointslice",
            Self::Nodes | Self::NodesOfOthers => "node",
            Self::Ingresses => "ingress",
            Self::NamespacesOfOthers => "namespace",
            Self::ReplicaSets => "replicaset",
            Self::Jobs => "job",
        };
        format!("{prefix}/{key}")
    }

    /// The group of the API they belong to, and what they are called there.
    fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Pods => ("/api/v1", "pods"),
            Self::Services | Self::ServicesOfOthers => ("/api/v1", "services"),
            Self::Endpoints => ("/api/v1", "endpoints"),
            Self::EndpointSlices => ("/apis/discovery.k8s.io/v1", "endpointslices"),
            Self::Nodes | Self::NodesOfOthers => ("/api/v1", "nodes"),
            Self::Ingresses => ("/apis/networking.k8s.io/v1", "ingresses"),
            Self::NamespacesOfOthers => ("/api/v1", "namespaces"),
            Self::ReplicaSets => ("/apis/apps/v1", "replicasets"),
            Self::Jobs => ("/apis/batch/v1", "jobs"),
        }
    }

    fn is_in_namespaces(self) -> bool {
        !matches!(self, Self::Nodes | Self::NodesOfOthers | Self::NamespacesOfOthers)
    }
}

/// Objects of one kind, in one namespace or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) kind: Kind,
    /// Where they are; none is everywhere.
    pub(super) namespace: Option<String>,
    /// Without a query.
    pub(super) path: String,
    /// Parameters that choose among them, to be put behind others.
    pub(super) selector: String,
    /// What they are called, for people.
    pub(super) name: String,
}

impl Watched {
    /// All that `config` needs; `own` is the namespace of the pod that asks, where it is wanted.
    pub(super) fn all(config: &KubernetesSdConfig, own: Option<&str>) -> Vec<Self> {
        let attach = config.attach_metadata;
        let main = Kind::of_role(config.role);
        let has_backends = matches!(main, Kind::Endpoints | Kind::EndpointSlices);
        let has_pods = has_backends || main == Kind::Pods;
        let mut kinds = vec![main];
        let mut also = |kind: Kind, is_wanted: bool| kinds.extend(is_wanted.then_some(kind));
        also(Kind::Pods, has_backends);
        also(Kind::ServicesOfOthers, has_backends);
        also(Kind::NodesOfOthers, has_pods && attach.node);
        also(Kind::NamespacesOfOthers, main != Kind::Nodes && attach.namespace);
        also(Kind::ReplicaSets, has_pods && attach.deployment);
        also(Kind::Jobs, has_pods && attach.cronjob);
        let mut namespaces: BTreeSet<&str> = config.namespaces.names.iter().map(String::as_str).collect();
        namespaces.extend(own);
        let of_kind = |kind: Kind| {
            if kind.is_in_namespaces() && !namespaces.is_empty() {
                return namespaces.iter().map(|name| Self::new(config, kind, Some(name))).collect();
            }
            vec![Self::new(config, kind, None)]
        };
        kinds.into_iter().flat_map(of_kind).collect()
    }

    fn new(config: &KubernetesSdConfig, kind: Kind, namespace: Option<&str>) -> Self {
        let (group, plural) = kind.place();
        let mut selector = String::new();
        let chosen = config.selectors.iter().find(|one| Some(one.role) == kind.role());
        if let Some(chosen) = chosen {
            for (name, value) in [("labelSelector", &chosen.label), ("fieldSelector", &chosen.field)] {
                if !value.is_empty() {
                    parameter(&mut selector, name, value);
                }
            }
        }
        let (path, name) = match namespace {
            None => (format!("{group}/{plural}"), plural.to_owned()),
            Some(namespace) => {
                let escaped = query_escaped(namespace).replace('+', "%20");
                let path = format!("{group}/namespaces/{escaped}/{plural}");
                (path, format!("{plural} in namespace {namespace:?}"))
            }
        };
        Self { kind, namespace: namespace.map(str::to_owned), path, selector, name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, MechanismConfig, parse};

    fn names(config: &str, own: Option<&str>) -> Vec<String> {
        let text = format!("scrape_configs: [{{job_name: j, kubernetes_sd_configs: [{{{config}}}]}}]");
        let config = parse(&text, "f", &LoadOptions::default()).expect("valid");
        let [MechanismConfig::Kubernetes(config)] = &config.scrape_configs[0].discovery.mechanisms[..] else {
            panic!("one mechanism: {config:?}")
        };
        Watched::all(config, own).into_iter().map(|watched| watched.path).collect()
    }

    #[test]
    fn no_more_is_watched_than_is_needed() {
        let all =
            "attach_metadata: {node: true, namespace: true, deployment: true, job: true, cronjob: true}";
        let (nodes, namespaces) = ("/api/v1/nodes", "/api/v1/namespaces");
        assert_eq!(names("role: pod", None), ["/api/v1/pods"]);
        assert_eq!(names("role: pod, attach_metadata: {job: true}", None), ["/api/v1/pods"]);
        assert_eq!(
            names(&format!("role: pod, {all}"), None),
            ["/api/v1/pods", nodes, namespaces, "/apis/apps/v1/replicasets", "/apis/batch/v1/jobs"]
        );
        let services = "/api/v1/services";
        assert_eq!(names(&format!("role: service, {all}"), None), [services, namespaces]);
        assert_eq!(names(&format!("role: node, {all}"), None), [nodes]);
        let ingresses = "/apis/networking.k8s.io/v1/ingresses";
        assert_eq!(names(&format!("role: ingress, {all}"), None), [ingresses, namespaces]);
        assert_eq!(names("role: endpoints", None), ["/api/v1/endpoints", "/api/v1/pods", services]);
        let slices = "/apis/discovery.k8s.io/v1/endpointslices";
        assert_eq!(names("role: endpointslice", None), [slices, "/api/v1/pods", services]);
    }

    #[test]
    fn the_own_namespace_is_one_of_those_that_are_named() {
        let mine = "/api/v1/namespaces/mine/pods";
        assert_eq!(names("role: pod, namespaces: {own_namespace: true}", Some("mine")), [mine]);
        assert_eq!(
            names("role: pod, namespaces: {own_namespace: true, names: [a b, mine]}", Some("mine")),
            ["/api/v1/namespaces/a%20b/pods", mine]
        );
    }
}
