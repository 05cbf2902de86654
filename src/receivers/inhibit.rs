//! Inhibition: alerts that silence others while they fire.
//!
//! **Cost**: matchers are asked once for each alert and rule, when the alert comes in or the rules change. At one moment:
//! linear in the parts alerts have in rules.

use std::collections::HashMap;

use super::alert::fingerprint_text;
use crate::config::InhibitRuleConfig;
use crate::model::{Labels, Matcher};

/// The rules an alert has a part in, by their places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Roles {
    source_of: Box<[u32]>,
    target_of: Box<[u32]>,
}

impl Roles {
    pub(super) fn new(rules: &[InhibitRuleConfig], labels: &Labels) -> Self {
        let of = |matchers: fn(&InhibitRuleConfig) -> &[Matcher]| {
            let places = rules.iter().zip(0_u32..);
            let matching = places.filter(|(rule, _)| matchers(rule).iter().all(|m| m.matches_labels(labels)));
            matching.map(|(_, place)| place).collect()
        };
        Self { source_of: of(|rule| &rule.source_matchers), target_of: of(|rule| &rule.target_matchers) }
    }
}

/// A rule by its place, and the values of the labels that must be equal; one that is absent is the empty one.
type Key<'a> = (u32, Vec<&'a str>);

/// An alert that silences all targets, and one that silences also those that are sources themselves: alerts that are sources
/// and targets alike do not silence each other, nor themselves.
#[derive(Debug, Default)]
struct Sources<'a> {
    any: Option<&'a Labels>,
    no_target: Option<&'a Labels>,
}

/// The alerts that silence others at one moment.
#[derive(Debug)]
pub(super) struct Inhibitor<'a> {
    rules: &'a [InhibitRuleConfig],
    sources: HashMap<Key<'a>, Sources<'a>>,
}

impl<'a> Inhibitor<'a> {
    /// `firing` are all alerts that fire.
    pub(super) fn new(
        rules: &'a [InhibitRuleConfig],
        firing: impl Iterator<Item = (&'a Labels, &'a Roles)>,
    ) -> Self {
        let mut inhibitor = Self { rules, sources: HashMap::new() };
        // Always the same one of several, so that views do not flicker.
        let first = |slot: &mut Option<&'a Labels>, labels| {
            *slot = Some(slot.map_or(labels, |other| other.min(labels)));
        };
        for (labels, roles) in firing {
            for place in &roles.source_of {
                let Some(key) = inhibitor.key(*place, labels) else { continue };
                let sources = inhibitor.sources.entry(key).or_default();
                first(&mut sources.any, labels);
                if roles.target_of.binary_search(place).is_err() {
                    first(&mut sources.no_target, labels);
                }
            }
        }
        inhibitor
    }

    fn key<'l>(&self, place: u32, labels: &'l Labels) -> Option<Key<'l>> {
        let rule = self.rules.get(usize::try_from(place).ok()?)?;
        Some((place, rule.equal.iter().map(|name| labels.get(name).unwrap_or_default()).collect()))
    }

    /// The alerts that silence one, one for each rule that does.
    fn sources_of<'l>(
        &'l self,
        labels: &'l Labels,
        roles: &'l Roles,
    ) -> impl Iterator<Item = &'a Labels> + 'l {
        roles.target_of.iter().filter_map(move |place| {
            let sources = self.sources.get(&self.key(*place, labels)?)?;
            if roles.source_of.binary_search(place).is_ok() { sources.no_target } else { sources.any }
        })
    }

    /// Their fingerprints.
    pub(super) fn inhibited_by(&self, labels: &Labels, roles: &Roles) -> Vec<String> {
        self.sources_of(labels, roles).map(fingerprint_text).collect()
    }

    /// Whether there are any.
    pub(super) fn inhibits(&self, labels: &Labels, roles: &Roles) -> bool {
        self.sources_of(labels, roles).next().is_some()
    }
}
