//! What every object of the API has, and how it becomes labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::discovery::api::{or_default, sanitized};
use crate::model::LabelsBuf;

/// What all labels begin with.
pub(super) const PREFIX: &str = "__meta_kubernetes_";

/// `namespace/name`, or `name` of what is in no namespace.
pub(super) type Key = Arc<str>;

/// The key of `name` in `namespace`.
pub(super) fn key(namespace: &str, name: &str) -> Key {
    if namespace.is_empty() { name.into() } else { format!("{namespace}/{name}").into() }
}

/// As the API has it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) resource_version: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    owner_references: Vec<OwnerReference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OwnerReference {
    pub(super) kind: String,
    pub(super) name: String,
    controller: Option<bool>,
}

impl Metadata {
    pub(super) fn key(&self) -> Key {
        key(&self.namespace, &self.name)
    }

    /// What manages the object.
    pub(super) fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller == Some(true))
    }

    /// The name of what manages the object, if it is a `kind`.
    pub(super) fn controlled_by(&self, kind: &str) -> Option<String> {
        self.controller().filter(|owner| owner.kind == kind).map(|owner| owner.name.clone())
    }

    /// Adds the labels and annotations of the object, which is a `resource`.
    pub(super) fn describe(&self, labels: &mut LabelsBuf, resource: &str) {
        let mut add = |what: &str, pairs: &BTreeMap<String, String>| {
            for (name, value) in pairs {
                let name = sanitized(name);
                labels.set(&format!("{PREFIX}{resource}_{what}_{name}"), value);
                labels.set(&format!("{PREFIX}{resource}_{what}present_{name}"), "true");
            }
        };
        add("label", &self.labels);
        add("annotation", &self.annotations);
    }

    /// The same and its name.
    pub(super) fn name_and_describe(&self, labels: &mut LabelsBuf, resource: &str) {
        labels.set(&format!("{PREFIX}{resource}_name"), &self.name);
        self.describe(labels, resource);
    }
}

/// Sets the label `name`, which gets the prefix of all.
pub(super) fn set(labels: &mut LabelsBuf, name: &str, value: &str) {
    labels.set(&format!("{PREFIX}{name}"), value);
}

/// Sets the label `name` where there is a value.
pub(super) fn set_some<T: ToString>(labels: &mut LabelsBuf, name: &str, value: Option<&T>) {
    if let Some(value) = value {
        set(labels, name, &value.to_string());
    }
}
