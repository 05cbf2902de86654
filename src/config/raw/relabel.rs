//! A relabelling rule as printed.

use serde::{Serialize, Serializer};

use crate::relabel::{Rule, RuleSpec};

/// See [`RuleSpec`].
#[derive(Debug, Default, Serialize)]
pub(in crate::config) struct Relabel {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) source_labels: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) separator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) regex: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) modulus: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) target_label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) replacement: Option<String>,
    pub(in crate::config) action: Option<String>,
}

/// Prints rules.
pub(in crate::config) fn rules<S: Serializer>(rules: &[Rule], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(rules.iter().map(Relabel::from))
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
