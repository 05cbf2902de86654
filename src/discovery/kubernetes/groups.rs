//! How the group of targets of an object is made, of itself and of those that it refers to.

use std::collections::BTreeMap;

use super::backends::Backends;
use super::kind::Kind;
use super::metadata::{Key, key, set};
use super::object::{Object, Objects};
use super::pod::{Controller, Pod};
use crate::config::KubernetesMetadata;
use crate::discovery::api::host_port;
use crate::model::{Labels, LabelsBuf};

/// Labels of all targets, and the targets.
pub(super) type Made = (Labels, Vec<Labels>);

/// Looks at other objects, and remembers at which.
pub(super) struct Maker<'a> {
    objects: &'a Objects,
    attach: KubernetesMetadata,
    seen: Vec<(Kind, Key)>,
}

/// Adds `more`.
fn add(labels: &mut LabelsBuf, more: &Labels) {
    for (name, value) in more {
        labels.set(name, value);
    }
}

fn buffer(labels: &Labels) -> LabelsBuf {
    let mut buffer = LabelsBuf::new();
    buffer.reset_to(labels);
    buffer
}

impl<'a> Maker<'a> {
    pub(super) fn new(objects: &'a Objects, attach: KubernetesMetadata) -> Self {
        Self { objects, attach, seen: Vec::new() }
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
        let Some(more) = of_namespace.flatten() else { return labels.clone() };
        let mut labels = buffer(labels);
        add(&mut labels, more);
        labels.to_labels()
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
        let mut labels = buffer(&self.pod_labels(pod));
        set(&mut labels, "namespace", &pod.namespace);
        if self.attach.node {
            // Pods on nodes that were not chosen are not either.
            let Some(node) = self.labels_of(Kind::NodesOfOthers, &pod.node) else { return nothing };
            add(&mut labels, node);
        }
        let labels = self.with_namespace(&labels.to_labels(), &pod.namespace);
        let mut targets = Vec::new();
        for container in &pod.containers {
            let mut common = LabelsBuf::new();
            container.describe(&mut common);
            set(&mut common, "pod_container_id", &container.id);
            if container.ports.is_empty() {
                // The port is left to relabelling.
                common.set("__address__", &pod.ip);
                targets.push(common.to_labels());
                continue;
            }
            for port in &container.ports {
                let mut target = common.clone();
                target.set("__address__", &host_port(&pod.ip, port.number));
                port.describe(&mut target, &port.protocol);
                targets.push(target.to_labels());
            }
        }
        (labels, targets)
    }

    fn backends(&mut self, all: &Backends) -> Made {
        let mut labels = buffer(&all.labels);
        let service = all.service.as_ref().and_then(|key| self.find(Kind::ServicesOfOthers, Key::clone(key)));
        if let Some(Object::Service { labels: of_service, primary_family }) = service {
            add(&mut labels, of_service);
            // The addresses of the other kind lead to the same pods.
            if let Some(family) = &all.family
                && primary_family.as_ref().is_some_and(|primary| primary != family)
            {
                return (Labels::empty(), Vec::new());
            }
        }
        let labels = self.with_namespace(&labels.to_labels(), &all.namespace);
        let mut targets = Vec::new();
        // The pods that have an address here, with the ports that they have it for.
        let mut pods: BTreeMap<&Key, (&Pod, Labels, Vec<Option<i64>>)> = BTreeMap::new();
        for backend in &all.each {
            let node = backend.node.as_deref().filter(|_| self.attach.node);
            let node = node.and_then(|name| self.labels_of(Kind::NodesOfOthers, name));
            let pod = match &backend.pod {
                Some(name) => match self.find(Kind::Pods, Key::clone(name)) {
                    Some(Object::Pod(pod)) => Some((name, pod)),
                    _ => None,
                },
                None => None,
            };
            if node.is_none() && pod.is_none() {
                targets.push(backend.labels.clone());
                continue;
            }
            let mut target = buffer(&backend.labels);
            node.into_iter().for_each(|node| add(&mut target, node));
            if let Some((name, pod)) = pod {
                let known = pods.entry(name);
                let (_, of_pod, ports) = known.or_insert_with(|| (pod, self.pod_labels(pod), Vec::new()));
                add(&mut target, of_pod);
                ports.push(backend.port);
                for container in &pod.containers {
                    let mut ports = container.ports.iter();
                    if let Some(port) = ports.find(|port| backend.port == Some(port.number)) {
                        container.describe(&mut target);
                        port.describe(&mut target, backend.protocol.as_ref().unwrap_or(&port.protocol));
                    }
                }
            }
            targets.push(target.to_labels());
        }
        // Ports of the pods that the service does not have are targets too.
        for (pod, of_pod, ports) in pods.values().filter(|(pod, ..)| !pod.ip.is_empty()) {
            for container in &pod.containers {
                for port in container.ports.iter().filter(|port| !ports.contains(&Some(port.number))) {
                    let mut target = buffer(of_pod);
                    target.set("__address__", &host_port(&pod.ip, port.number));
                    container.describe(&mut target);
                    port.describe(&mut target, &port.protocol);
                    targets.push(target.to_labels());
                }
            }
        }
        (labels, targets)
    }
}
