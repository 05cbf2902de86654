//! `otlp`: what is made of metrics that come by OTLP.
//!
//! There is no receiver for them. The section is checked and has no effect, as in Prometheus while its receiver is off.

use std::collections::HashSet;

use serde::{Serialize, Serializer};

use super::loader::Loader;
use super::section::Section;
use crate::model::name::NameScheme;

/// How names of metrics and attributes become names of metrics and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameTranslation {
    /// What old names do not have becomes `_`, and unit and type are added.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// What old names do not have becomes `_`.
    UnderscoreEscapingWithoutSuffixes,
    /// Unit and type are added.
    NoUtf8EscapingWithSuffixes,
    /// They are the same.
    NoTranslation,
}

impl NameTranslation {
    const ALL: [Self; 4] = [
        Self::UnderscoreEscapingWithSuffixes,
        Self::UnderscoreEscapingWithoutSuffixes,
        Self::NoUtf8EscapingWithSuffixes,
        Self::NoTranslation,
    ];

    /// The name it has in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnderscoreEscapingWithSuffixes => "UnderscoreEscapingWithSuffixes",
            Self::UnderscoreEscapingWithoutSuffixes => "UnderscoreEscapingWithoutSuffixes",
            Self::NoUtf8EscapingWithSuffixes => "NoUTF8EscapingWithSuffixes",
            Self::NoTranslation => "NoTranslation",
        }
    }

    fn gives_old_names(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes)
    }
}

impl Serialize for NameTranslation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Which attributes of resources become labels of each series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceAttributes {
    /// These; by default none.
    Only(Vec<String>),
    /// All but these.
    AllBut(Vec<String>),
}

/// What is made of metrics that come by OTLP.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct OtlpConfig {
    /// Which attributes of resources become labels of each series.
    pub resource_attributes: ResourceAttributes,
    /// How names are translated.
    pub translation_strategy: NameTranslation,
    /// Keep the attributes in `target_info` that `job` and `instance` are made of. Default false.
    pub keep_identifying_resource_attributes: bool,
    /// Make native histograms with custom bounds of classic ones. Default false.
    pub convert_histograms_to_nhcb: bool,
    /// Make labels of name, version and attributes of scopes. Default false.
    pub promote_scope_metadata: bool,
    /// Where names are escaped, put `key_` before labels that begin with one `_`. Default true.
    pub label_name_underscore_sanitization: bool,
    /// Where names are escaped, keep several `_` in a row. Default true.
    pub label_name_preserve_multiple_underscores: bool,
}

impl Serialize for OtlpConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(None)?;
        match &self.resource_attributes {
            ResourceAttributes::Only(names) if names.is_empty() => {}
            ResourceAttributes::Only(names) => map.serialize_entry("promote_resource_attributes", names)?,
            ResourceAttributes::AllBut(names) => {
                map.serialize_entry("promote_all_resource_attributes", &true)?;
                if !names.is_empty() {
                    map.serialize_entry("ignore_resource_attributes", names)?;
                }
            }
        }
        map.serialize_entry("translation_strategy", &self.translation_strategy)?;
        for (key, on) in [
            ("keep_identifying_resource_attributes", self.keep_identifying_resource_attributes),
            ("convert_histograms_to_nhcb", self.convert_histograms_to_nhcb),
            ("promote_scope_metadata", self.promote_scope_metadata),
        ] {
            if on {
                map.serialize_entry(key, &true)?;
            }
        }
        for (key, on) in [
            ("label_name_underscore_sanitization", self.label_name_underscore_sanitization),
            ("label_name_preserve_multiple_underscores", self.label_name_preserve_multiple_underscores),
        ] {
            map.serialize_entry(key, &on)?;
        }
        map.end()
    }
}

impl<'a> Loader<'a> {
    pub(super) fn otlp(&self, file: &Section<'a>, names: NameScheme) -> Option<OtlpConfig> {
        let raw = file.given("otlp")?;
        tracing::info!("otlp has no effect: there is no OTLP receiver");
        Some(OtlpConfig {
            resource_attributes: self.resource_attributes(&raw),
            translation_strategy: self.name_translation(&raw, names),
            keep_identifying_resource_attributes: raw.boolean("keep_identifying_resource_attributes", false),
            convert_histograms_to_nhcb: raw.boolean("convert_histograms_to_nhcb", false),
            promote_scope_metadata: raw.boolean("promote_scope_metadata", false),
            label_name_underscore_sanitization: raw.boolean("label_name_underscore_sanitization", true),
            label_name_preserve_multiple_underscores: raw
                .boolean("label_name_preserve_multiple_underscores", true),
        })
    }

    fn resource_attributes(&self, raw: &Section<'a>) -> ResourceAttributes {
        let promoted = self.attributes(raw, "promote_resource_attributes");
        let ignored = self.attributes(raw, "ignore_resource_attributes");
        if raw.boolean("promote_all_resource_attributes", false) {
            if !promoted.is_empty() {
                let reason = "must not be configured together with promote_all_resource_attributes";
                self.complain(raw, "promote_resource_attributes", reason);
            }
            return ResourceAttributes::AllBut(ignored);
        }
        if !ignored.is_empty() {
            let reason = "needs promote_all_resource_attributes";
            self.complain(raw, "ignore_resource_attributes", reason);
        }
        ResourceAttributes::Only(promoted)
    }

    /// Names of attributes without the white space around them.
    fn attributes(&self, raw: &Section<'a>, key: &str) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut names = Vec::new();
        for (name, item) in raw.texts(key).unwrap_or_default() {
            let name = name.trim().to_owned();
            if name.is_empty() {
                self.notes.value(item.line, &item.path, "the name of an attribute is empty");
            } else if !seen.insert(name.clone()) {
                self.notes.value(item.line, &item.path, format!("attribute {name:?} is there twice"));
            }
            names.push(name);
        }
        names
    }

    fn name_translation(&self, raw: &Section<'a>, names: NameScheme) -> NameTranslation {
        let text = raw.text("translation_strategy").unwrap_or_default();
        if text.is_empty() {
            return NameTranslation::default();
        }
        let found = NameTranslation::ALL.into_iter().find(|one| one.name() == text);
        let reason = match found {
            None => {
                let known = NameTranslation::ALL.map(NameTranslation::name).join(", ");
                Some(format!("must be one of {known}, not {text:?}"))
            }
            Some(one) if names == NameScheme::Legacy && !one.gives_old_names() => {
                Some(format!("{text} is not allowed with metric_name_validation_scheme: legacy"))
            }
            Some(_) => None,
        };
        reason.into_iter().for_each(|reason| self.complain(raw, "translation_strategy", reason));
        found.unwrap_or_default()
    }
}
