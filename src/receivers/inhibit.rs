//! Inhibition: alerts that silence others while they fire.
//!
//! **Cost**: once for all alerts that fire, linear in alerts times rules; then a look-up for each rule and alert.

use std::collections::HashMap;

use super::alert::{HeldAlert, fingerprint_text};
use crate::config::InhibitRuleConfig;
use crate::model::{Labels, Matcher};

/// Labels of alerts that silence others, by the values that must be equal.
type Sources<'a> = HashMap<Vec<&'a str>, Vec<&'a Labels>>;

/// The alerts that silence others, by rule.
pub(super) struct Inhibitor<'a> {
    rules: Vec<(&'a InhibitRuleConfig, Sources<'a>)>,
}

fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches_labels(labels))
}

/// The values of the labels that must be equal; one that is absent is the empty one.
fn values<'l>(rule: &InhibitRuleConfig, labels: &'l Labels) -> Vec<&'l str> {
    rule.equal.iter().map(|name| labels.get(name).unwrap_or_default()).collect()
}

impl<'a> Inhibitor<'a> {
    /// Looks at all of `alerts` that fire at `now` (milliseconds).
    pub(super) fn new(
        rules: &'a [InhibitRuleConfig],
        alerts: &(impl Iterator<Item = &'a HeldAlert> + Clone),
        now: i64,
    ) -> Self {
        let index = |rule: &'a InhibitRuleConfig| {
            let mut sources = Sources::new();
            for alert in alerts.clone() {
                if !alert.resolved_at(now) && all_match(&rule.source_matchers, &alert.labels) {
                    sources.entry(values(rule, &alert.labels)).or_default().push(&alert.labels);
                }
            }
            (rule, sources)
        };
        Self { rules: rules.iter().map(index).collect() }
    }

    /// The fingerprints of alerts that silence one with `labels`, one for each rule that does.
    pub(super) fn inhibited_by(&self, labels: &Labels) -> Vec<String> {
        let by = self.rules.iter().filter_map(|(rule, sources)| {
            if !all_match(&rule.target_matchers, labels) {
                return None;
            }
            let candidates = sources.get(&values(rule, labels))?;
            // Alerts that are sources and targets alike do not silence each other, nor themselves.
            let is_source = all_match(&rule.source_matchers, labels);
            candidates.iter().find(|source| !is_source || !all_match(&rule.target_matchers, source))
        });
        by.map(|source| fingerprint_text(source)).collect()
    }

    /// Whether one with `labels` is silenced.
    pub(super) fn inhibits(&self, labels: &Labels) -> bool {
        !self.inhibited_by(labels).is_empty()
    }
}
