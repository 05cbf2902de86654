//! A relabelling rule as written.

use serde::{Deserialize, Deserializer, Serialize};

use crate::relabel::{Action, Rule, RuleSpec};

/// See [`RuleSpec`].
#[derive(Debug, Default, Deserialize, Serialize)]
pub(in crate::config) struct Relabel {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) source_labels: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) separator: Option<String>,
    /// Present without a value means the empty expression.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(in crate::config) regex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) modulus: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) target_label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) replacement: Option<String>,
    pub(in crate::config) action: Option<String>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Some(Option::<String>::deserialize(deserializer)?.unwrap_or_default()))
}

impl Relabel {
    /// The rule with defaults filled in; `action` is looked up by the caller.
    pub(in crate::config) fn spec(self, action: Action) -> RuleSpec {
        let default = RuleSpec::default();
        RuleSpec {
            source_labels: self.source_labels.unwrap_or_default(),
            separator: self.separator.unwrap_or(default.separator),
            regex: self.regex.unwrap_or(default.regex),
            modulus: self.modulus.unwrap_or(0),
            target_label: self.target_label.unwrap_or_default(),
            replacement: self.replacement.unwrap_or(default.replacement),
            action,
        }
    }
}

impl From<&Rule> for Relabel {
    fn from(rule: &Rule) -> Self {
        let spec = rule.spec();
        let default = RuleSpec::default();
        let unless = |value: &String, default: &String| (value != default).then(|| value.clone());
        Self {
            source_labels: (!spec.source_labels.is_empty()).then(|| spec.source_labels.clone()),
            separator: unless(&spec.separator, &default.separator),
            regex: unless(&spec.regex, &default.regex),
            modulus: (spec.modulus > 0).then_some(spec.modulus),
            target_label: unless(&spec.target_label, &default.target_label),
            replacement: unless(&spec.replacement, &default.replacement),
            action: Some(spec.action.name().to_owned()),
        }
    }
}
