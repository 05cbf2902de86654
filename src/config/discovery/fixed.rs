//! Targets written down in the file.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::config::loader::Loader;
use crate::config::section::Section;
use crate::model::Labels;

/// Targets written down in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StaticConfig {
    /// Addresses as `host` or `host:port`.
    pub targets: Vec<String>,
    /// Labels of all of them.
    #[serde(skip_serializing_if = "Labels::is_empty", serialize_with = "labels")]
    pub labels: Labels,
}

fn labels<S: Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
    labels.iter().collect::<BTreeMap<_, _>>().serialize(serializer)
}

impl<'a> Loader<'a> {
    /// What is no host is refused only where it is `hosts_only`: else relabelling may still mend it.
    pub(in crate::config) fn fixed_targets(&self, raw: &Section<'a>, hosts_only: bool) -> StaticConfig {
        let mut targets = Vec::new();
        for (target, item) in raw.texts("targets").unwrap_or_default() {
            if target.is_empty() && hosts_only {
                self.notes.value(item.line, &item.path, "the address is empty; write host or host:port");
            } else if hosts_only && target.contains('/') {
                let reason = format!("{target:?} is not a valid hostname; write host or host:port");
                self.notes.value(item.line, &item.path, reason);
            }
            targets.push(target);
        }
        StaticConfig { targets, labels: self.labels(raw, "labels") }
    }
}
