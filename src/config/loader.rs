//! What several sections are made of: labels, patterns of file names, rules.

use std::path::Path as FilePath;
use std::time::Duration;

use super::Scheme;
use super::files::glob_of;
use super::key;
use super::section::{Item, Notes, Section};
use crate::model::Labels;
use crate::model::name::NameScheme;
use crate::relabel::{Action, Rule, RuleSpec};

/// Turns sections into values. What is wrong is noted, and the default stands for it.
pub(super) struct Loader<'a> {
    pub(super) notes: &'a Notes<'a>,
}

impl<'a> Loader<'a> {
    /// A pattern of file names, which begins at the folder of the file unless it is absolute.
    pub(super) fn pattern(&self, pattern: String, item: &Item<'a>) -> String {
        if pattern.rsplit_once('/').is_some_and(|(folder, _)| folder.contains('*')) {
            self.notes.value(item.line, &item.path, "* may stand only in the last part of a path");
        }
        if let Err(error) = glob::Pattern::new(&glob_of(&pattern)) {
            self.notes.value(item.line, &item.path, format!("not a pattern of file names: {error}"));
        }
        match FilePath::new(self.notes.file()).parent() {
            Some(folder) if !pattern.is_empty() && FilePath::new(&pattern).is_relative() => {
                folder.join(&pattern).to_string_lossy().into_owned()
            }
            _ => pattern,
        }
    }

    /// Notes what is wrong with `key`, or, where it is not there, with the section.
    pub(super) fn complain(&self, raw: &Section<'a>, key: &str, reason: impl Into<String>) {
        match raw.get(key) {
            Some(item) => self.notes.value(item.line, &item.path, reason),
            None => self.missing(raw, key, reason),
        }
    }

    /// Notes that a section lacks `key`.
    pub(super) fn missing(&self, raw: &Section<'a>, key: &str, reason: impl Into<String>) {
        self.notes.value(raw.line, &key::with_key(&raw.path, key), reason);
    }

    pub(super) fn scheme(&self, raw: &Section<'a>) -> Scheme {
        let text = raw.text("scheme").unwrap_or_default();
        match text.to_ascii_lowercase().as_str() {
            "" | "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => {
                let reason = format!("scheme must be http or https, not {text:?}");
                raw.get("scheme").inspect(|item| self.notes.value(item.line, &item.path, reason));
                Scheme::Http
            }
        }
    }

    /// Labels; one without a value is none.
    pub(super) fn labels(&self, raw: &Section<'a>, key: &str) -> Labels {
        let mut out = Vec::new();
        for (name, item) in raw.entries(key) {
            if name.is_empty() {
                self.notes.value(item.line, &item.path, "a label name is empty");
            }
            if let Some(value) = raw.text_of(&item).filter(|value| !value.is_empty()) {
                out.push((name.to_owned(), value));
            }
        }
        Labels::from_pairs(out)
    }

    pub(super) fn rules(&self, raw: &Section<'a>, key: &str, names: NameScheme) -> Vec<Rule> {
        raw.sections(key).iter().filter_map(|raw| self.rule(raw, names)).collect()
    }

    fn rule(&self, raw: &Section<'a>, names: NameScheme) -> Option<Rule> {
        let default = RuleSpec::default();
        let action = match raw.text("action") {
            None => Some(Action::Replace),
            Some(name) => {
                let action = Action::from_name(&name);
                let reason = if name.is_empty() {
                    "relabel action cannot be empty".to_owned()
                } else {
                    format!("unknown relabel action {name:?}")
                };
                if let Some(item) = raw.get("action").filter(|_| action.is_none()) {
                    self.notes.value(item.line, &item.path, reason);
                }
                action
            }
        };
        let spec = RuleSpec {
            source_labels: raw
                .texts("source_labels")
                .unwrap_or_default()
                .into_iter()
                .map(|(name, _)| name)
                .collect(),
            separator: raw.text("separator").unwrap_or(default.separator),
            regex: raw.text("regex").unwrap_or(default.regex),
            modulus: raw.whole("modulus"),
            target_label: raw.text("target_label").unwrap_or_default(),
            replacement: raw.text("replacement").unwrap_or(default.replacement),
            action: action?,
            names,
        };
        Rule::new(spec)
            .map_err(|error| {
                let line = raw.get(error.key()).map_or(raw.line, |item| item.line);
                let path = key::with_key(&raw.path, error.key());
                self.notes.value(line, &path, error.to_string());
            })
            .ok()
    }
}

/// A duration that is not zero.
pub(super) fn non_zero(time: Option<Duration>) -> Option<Duration> {
    time.filter(|time| !time.is_zero())
}
