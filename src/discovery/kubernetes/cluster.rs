//! What is known of a cluster, and which groups are to be made anew when something changes.
//!
//! **Invariants**: a group is made anew when its object changes, or one that was looked for when it was made.
//!
//! **Cost**: a change costs the groups that depend on it, not all there are.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::groups::Maker;
use super::kind::{Kind, Watched};
use super::metadata::Key;
use super::object::{MAX_OBJECTS, Object, Objects, Placed};
use crate::config::KubernetesSdConfig;
use crate::discovery::TargetGroup;
use crate::discovery::metrics::DiscoveryMetrics;
use crate::model::Labels;

/// The mirror of a cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    config: KubernetesSdConfig,
    main: Kind,
    metrics: DiscoveryMetrics,
    objects: Objects,
    /// What was looked for when the group of an object was made.
    seen: HashMap<Key, Vec<(Kind, Key)>>,
    /// The same the other way round.
    dependents: HashMap<(Kind, Key), HashSet<Key>>,
    /// Objects whose groups are to be made anew.
    dirty: BTreeSet<Key>,
}

impl Cluster {
    pub(super) fn new(config: &KubernetesSdConfig, metrics: DiscoveryMetrics) -> Self {
        Self {
            main: Kind::of_role(config.role),
            config: config.clone(),
            metrics,
            objects: Objects::default(),
            seen: HashMap::new(),
            dependents: HashMap::new(),
            dirty: BTreeSet::new(),
        }
    }

    /// Takes `all` for everything that `watched` is about. Says false where there are too many.
    #[must_use]
    pub(super) fn replace(&mut self, watched: &Watched, all: Vec<Placed>) -> bool {
        let kind = watched.kind;
        let names: HashSet<Key> = all.iter().map(|one| Key::clone(&one.key)).collect();
        let prefix = watched.namespace.as_ref().map(|name| format!("{name}/"));
        let is_in = |key: &Key| prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix));
        let gone: Vec<Key> =
            self.objects.of(kind).keys().filter(|key| is_in(key) && !names.contains(*key)).cloned().collect();
        gone.iter().for_each(|key| self.remove(kind, key));
        let mut has_room = true;
        for Placed { key, object, .. } in all {
            let is_new = self.objects.get(kind, &key).is_none();
            has_room &= self.put(kind, &key, object, is_new);
        }
        has_room
    }

    /// Takes a new object, or a change of one. Says false where there are too many.
    #[must_use]
    pub(super) fn put(&mut self, kind: Kind, key: &Key, object: Object, is_new: bool) -> bool {
        self.count(kind, if is_new { "add" } else { "update" });
        let known = self.objects.of(kind);
        if known.get(key) == Some(&object) {
            return true;
        }
        if known.len() >= MAX_OBJECTS && !known.contains_key(key) {
            return false;
        }
        known.insert(Key::clone(key), object);
        self.touch(kind, key);
        true
    }

    /// Takes an object away.
    pub(super) fn remove(&mut self, kind: Kind, key: &Key) {
        self.count(kind, "delete");
        if self.objects.of(kind).remove(key).is_some() {
            self.touch(kind, key);
        }
    }

    fn count(&self, kind: Kind, event: &str) {
        if kind != Kind::NodesOfOthers
            && let Some(role) = kind.role()
        {
            self.metrics.kubernetes_event(role.name(), event);
        }
    }

    /// Notes which groups a change is about.
    fn touch(&mut self, kind: Kind, key: &Key) {
        if kind == self.main {
            self.dirty.insert(Key::clone(key));
            return;
        }
        let about = self.dependents.get(&(kind, Key::clone(key)));
        self.dirty.extend(about.into_iter().flatten().cloned());
    }

    /// Whether there are groups to be made anew.
    pub(super) fn has_changed(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// The groups that changed since they were asked for last; those that are no more have no targets.
    pub(super) fn changed(&mut self) -> Vec<TargetGroup> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().map(|key| self.make(key)).collect()
    }

    fn make(&mut self, key: Key) -> TargetGroup {
        let source = self.main.source(&key);
        let mut maker = Maker::new(&self.objects, &self.config);
        let object = self.objects.get(self.main, &key);
        let (labels, targets) = object.map_or_else(|| (Labels::empty(), Vec::new()), |one| maker.make(one));
        let seen = maker.seen();
        self.refer(key, seen);
        TargetGroup { source, targets, labels }
    }

    /// Notes that the group of `key` depends on `seen`, and on nothing else.
    fn refer(&mut self, key: Key, seen: Vec<(Kind, Key)>) {
        let before = self.seen.get(&key).map_or(&[][..], Vec::as_slice);
        if *before == seen {
            return;
        }
        for other in before {
            if let Some(dependents) = self.dependents.get_mut(other) {
                dependents.remove(&key);
                if dependents.is_empty() {
                    self.dependents.remove(other);
                }
            }
        }
        for other in &seen {
            self.dependents.entry(other.clone()).or_default().insert(Key::clone(&key));
        }
        if seen.is_empty() {
            self.seen.remove(&key);
        } else {
            self.seen.insert(key, seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, MechanismConfig, parse};
    use crate::telemetry::Registry;
    use crate::telemetry::metrics::encode;

    #[test]
    fn changes_are_counted_by_role_and_one_that_changes_nothing_makes_no_group() {
        let text = "scrape_configs: [{job_name: j, kubernetes_sd_configs: [{role: service}]}]";
        let config = parse(text, "f", &LoadOptions::default()).expect("valid");
        let [MechanismConfig::Kubernetes(config)] = &config.scrape_configs[0].discovery.mechanisms[..] else {
            panic!("one mechanism: {config:?}")
        };
        let mut registry = Registry::default();
        let mut cluster = Cluster::new(config, DiscoveryMetrics::new(&mut registry));
        let (kind, key): (Kind, Key) = (Kind::Services, "a/s".into());
        let object = || Object::Labels(Labels::empty());
        assert!(cluster.put(kind, &key, object(), true));
        assert_eq!(cluster.changed().len(), 1);
        assert!(cluster.put(kind, &key, object(), false) && cluster.put(kind, &key, object(), false));
        assert!(!cluster.has_changed());
        cluster.remove(kind, &key);
        let gone = cluster.changed();
        assert_eq!((gone.len(), gone[0].source.as_str(), gone[0].targets.len()), (1, "svc/a/s", 0));
        let text = encode(&registry);
        for (role, event, count) in
            [("service", "add", 1), ("service", "update", 2), ("service", "delete", 1), ("pod", "add", 0)]
        {
            let line = format!("sd_kubernetes_events_total{{role=\"{role}\",event=\"{event}\"}} {count}\n");
            assert!(text.contains(&line), "{line} is not in {text}");
        }
        assert!(text.contains("sd_kubernetes_failures_total 0\n"), "{text}");
    }
}
