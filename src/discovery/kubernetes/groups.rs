//! How the group of targets of an object is made, of itself and of those that it refers to.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::backends::{Backend, Backends};
use super::budget::Budget;
use super::kind::Kind;
use super::metadata::{Key, PREFIX, key, set};
use super::object::{Object, Objects};
use super::pod::{Container, ContainerPort, Controller, Pod};
use crate::config::{KubernetesMetadata, KubernetesSdConfig};
use crate::discovery::api::host_port;
use crate::model::{Labels, LabelsBuf};

/// Labels of all targets, and the targets.
pub(super) type Made = (Labels, Vec<Labels>);

/// Looks at other objects, and remembers at which.
pub(super) struct Maker<'a> {
    objects: &'a Objects,
    attach: KubernetesMetadata,
    /// Whether backends know only pods of their own namespace, as they do where namespaces are named.
    is_confined: bool,
    seen: Vec<(Kind, Key)>,
}

/// Adds `more`.
fn add(labels: &mut LabelsBuf, more: &Labels) {
    for (name, value) in more {
        labels.set(name, value);
    }
}

/// Labels and more of them.
fn with(labels: &Labels, more: &Labels) -> Labels {
    let mut labels = buffer(labels);
    add(&mut labels, more);
    labels.to_labels()
}

fn buffer(labels: &Labels) -> LabelsBuf {
    let mut buffer = LabelsBuf::new();
    buffer.reset_to(labels);
    buffer
}

impl<'a> Maker<'a> {
    pub(super) fn new(objects: &'a Objects, config: &KubernetesSdConfig) -> Self {
        let namespaces = &config.namespaces;
        let is_confined = namespaces.own_namespace || !namespaces.names.is_empty();
        Self { objects, attach: config.attach_metadata, is_confined, seen: Vec::new() }
    }

    /// What `object` makes; nothing if it makes no targets.
    pub(super) fn make(&mut self, object: &Object) -> Made {
        match object {
            Object::Standalone(object) => {
                (self.with_namespace(&object.labels, &object.namespace), object.targets.clone())
            }
            Object::Pod(pod) => self.pod(pod),
            Object::Backends(backends) => self.backends(backends),
            Object::Service { .. } | Object::Labels(_) | Object::Owned(_) => (Labels::empty(), Vec::new()),
        }
    }

    /// The objects that were looked for, whether they are there or not.
    pub(super) fn seen(mut self) -> Vec<(Kind, Key)> {
        self.seen.sort_unstable();
        self.seen.dedup();
        self.seen
    }

    fn find(&mut self, kind: Kind, key: Key) -> Option<&'a Object> {
        let found = self.objects.get(kind, &key);
        self.seen.push((kind, key));
        found
    }

    /// The labels of a node or a namespace.
    fn labels_of(&mut self, kind: Kind, name: &str) -> Option<&'a Labels> {
        match self.find(kind, name.into()) {
            Some(Object::Labels(labels)) => Some(labels),
            _ => None,
        }
    }

    /// The name of what manages an object that manages others.
    fn owner(&mut self, kind: Kind, namespace: &str, name: &str) -> Option<&'a String> {
        match self.find(kind, key(namespace, name)) {
            Some(Object::Owned(owner)) => owner.as_ref(),
            _ => None,
        }
    }

    fn with_namespace(&mut self, labels: &Labels, namespace: &str) -> Labels {
        let of_namespace = (self.attach.namespace && !namespace.is_empty())
            .then(|| self.labels_of(Kind::NamespacesOfOthers, namespace));
        of_namespace.flatten().map_or_else(|| labels.clone(), |more| with(labels, more))
    }

    /// What a pod is, and what manages it.
    fn pod_labels(&mut self, pod: &Pod) -> Labels {
        let attach = self.attach;
        let namespace = &pod.namespace;
        let mut more: Vec<(&str, &str)> = Vec::new();
        match &pod.controller {
            Some(Controller::ReplicaSet(name)) if attach.deployment => {
                let deployment = self.owner(Kind::ReplicaSets, namespace, name);
                more.extend(deployment.map(|name| ("pod_deployment_name", name.as_str())));
            }
            Some(Controller::Job(name)) => {
                more.extend(attach.job.then_some(("pod_job_name", name.as_str())));
                let cron_job = attach.cronjob.then(|| self.owner(Kind::Jobs, namespace, name)).flatten();
                more.extend(cron_job.map(|name| ("pod_cronjob_name", name.as_str())));
            }
            _ => {}
        }
        if more.is_empty() {
            return pod.labels.clone();
        }
        let mut labels = buffer(&pod.labels);
        more.into_iter().for_each(|(name, value)| set(&mut labels, name, value));
        labels.to_labels()
    }

    fn pod(&mut self, pod: &Pod) -> Made {
        let nothing = (Labels::empty(), Vec::new());
        // A pod that begins or was evicted has no address.
        if pod.ip.is_empty() {
            return nothing;
        }
        let mut labels = self.pod_labels(pod);
        if self.attach.node {
            // Pods on nodes that were not chosen are not either.
            let Some(node) = self.labels_of(Kind::NodesOfOthers, &pod.node) else { return nothing };
            labels = with(&labels, node);
        }
        let labels = self.with_namespace(&labels, &pod.namespace);
        let mut budget = Budget::new();
        let targets = pod.containers.iter().flat_map(|container| container_targets(pod, container));
        let targets = targets.take_while(|target| budget.take(target)).collect();
        budget.finish("pod", &pod.namespace, &pod.name);
        (labels, targets)
    }

    fn backends(&mut self, all: &Backends) -> Made {
        let mut labels = all.labels.clone();
        let service = all.service.as_ref().and_then(|key| self.find(Kind::ServicesOfOthers, Key::clone(key)));
        if let Some(Object::Service { labels: of_service, primary_family }) = service {
            // The addresses of the other kind lead to the same pods.
            if let Some(family) = &all.family
                && primary_family.as_ref().is_some_and(|primary| primary != family)
            {
                return (Labels::empty(), Vec::new());
            }
            labels = with(&labels, of_service);
        }
        let labels = self.with_namespace(&labels, &all.namespace);
        let mut budget = Budget::new();
        let mut targets = Vec::new();
        let mut pods: BTreeMap<&Key, SeenPod<'_>> = BTreeMap::new();
        for backend in &all.each {
            let node = backend.node.as_deref().filter(|_| self.attach.node);
            let node = node.and_then(|name| self.labels_of(Kind::NodesOfOthers, name));
            let mut target = node.map_or_else(|| backend.labels.clone(), |node| with(&backend.labels, node));
            if let Some(name) = &backend.pod
                && let Some(Object::Pod(pod)) = self.find(Kind::Pods, Key::clone(name))
                && (!self.is_confined || pod.namespace == all.namespace)
            {
                let seen = pods.entry(name).or_insert_with(|| SeenPod::new(pod, &self.pod_labels(pod)));
                target = seen.target(&target, backend);
            }
            if !budget.take(&target) {
                break;
            }
            targets.push(target);
        }
        // Ports of the pods that the service does not have are targets too.
        let others = pods.values().flat_map(SeenPod::other_targets);
        targets.extend(others.take_while(|target| budget.take(target)));
        budget.finish(
            if all.family.is_some() { "endpointslice" } else { "endpoints" },
            &all.namespace,
            &all.name,
        );
        (labels, targets)
    }
}

/// The targets in a container: its ports, or the pod where it has none.
fn container_targets<'a>(pod: &'a Pod, container: &'a Container) -> impl Iterator<Item = Labels> + 'a {
    let mut common = LabelsBuf::new();
    container.describe(&mut common);
    set(&mut common, "pod_container_id", &container.id);
    // Without one, the port is left to relabelling.
    common.set("__address__", &pod.ip);
    let alone = container.ports.is_empty().then(|| common.to_labels());
    let at_port = move |port: &ContainerPort| {
        let mut target = common.clone();
        target.set("__address__", &host_port(&pod.ip, port.number));
        port.describe(&mut target, &port.protocol);
        target.to_labels()
    };
    alone.into_iter().chain(container.ports.iter().map(at_port))
}

/// A pod that has an address among others.
struct SeenPod<'a> {
    pod: &'a Pod,
    labels: Labels,
    /// Whose each port is.
    ports: HashMap<i64, (&'a Container, &'a ContainerPort)>,
    /// Ports that it has the address for.
    served: HashSet<i64>,
}

impl<'a> SeenPod<'a> {
    fn new(pod: &'a Pod, labels: &Labels) -> Self {
        let mut ports = HashMap::new();
        for container in &pod.containers {
            // The first port of the last container.
            ports.extend(container.ports.iter().rev().map(|port| (port.number, (container, port))));
        }
        // Targets have the namespace of their group.
        let labels = labels.without(|name| name.strip_prefix(PREFIX) == Some("namespace"));
        Self { pod, labels, ports, served: HashSet::new() }
    }

    /// What `target` is with what the pod says.
    fn target(&mut self, target: &Labels, backend: &Backend) -> Labels {
        let mut labels = buffer(target);
        add(&mut labels, &self.labels);
        self.served.extend(backend.port);
        if let Some((container, port)) = backend.port.and_then(|number| self.ports.get(&number)) {
            container.describe(&mut labels);
            port.describe(&mut labels, backend.protocol.as_ref().unwrap_or(&port.protocol));
        }
        labels.to_labels()
    }

    /// Targets at the ports that were not served.
    fn other_targets(&self) -> impl Iterator<Item = Labels> + '_ {
        // A pod that begins or was evicted has no address.
        let containers = self.pod.containers.iter().filter(|_| !self.pod.ip.is_empty());
        let ports =
            containers.flat_map(|container| container.ports.iter().map(move |port| (container, port)));
        let others = ports.filter(|(_, port)| !self.served.contains(&port.number));
        others.map(|(container, port)| {
            let mut target = buffer(&self.labels);
            target.set("__address__", &host_port(&self.pod.ip, port.number));
            container.describe(&mut target);
            port.describe(&mut target, &port.protocol);
            target.to_labels()
        })
    }
}
