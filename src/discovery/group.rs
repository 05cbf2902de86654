//! The values discovery hands on.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::StaticConfig;
use crate::model::Labels;

/// Targets that came from one source at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetGroup {
    /// Where it came from; unique within a set.
    pub source: String,
    /// Labels of each target, `__address__` among them.
    pub targets: Vec<Labels>,
    /// Labels of all of them.
    pub labels: Labels,
}

impl TargetGroup {
    /// The group written down as entry `index` of a set.
    pub(super) fn fixed(index: usize, config: &StaticConfig) -> Self {
        Self::of_addresses(format!("static/{index}"), &config.targets, config.labels.clone())
    }

    /// A group of targets that have nothing of their own but their addresses.
    pub(super) fn of_addresses(source: String, addresses: &[String], labels: Labels) -> Self {
        let targets = addresses.iter().map(|address| Labels::from_pairs([("__address__", address)]));
        Self { source, targets: targets.collect(), labels }
    }
}

/// All groups of all sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetSets {
    /// The groups of each set by its name, in a fixed order of sources.
    pub(super) by_name: BTreeMap<String, Vec<Arc<TargetGroup>>>,
}

impl TargetSets {
    /// The groups of the set called `name`, in a fixed order of sources.
    pub fn groups(&self, name: &str) -> &[Arc<TargetGroup>] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }
}
