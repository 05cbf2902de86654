//! What keeps receivers from being told of alerts: what is known of each alert by itself, and what that means at one moment.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::alert::HeldAlert;
use super::inhibit::{Inhibitor, Roles};
use super::places::PlaceSet;
use super::route::Routes;
use super::silence::{Silence, Silences};
use crate::config::{InhibitRuleConfig, NotificationsConfig};
use crate::model::Labels;

/// Silences that the view of an alert names at most: the product of alerts and silences is no answer.
const MAX_NAMED: usize = 100;

/// An alert with what depends on its labels alone.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) alert: Arc<HeldAlert>,
    /// Names of those that are told of it, in order.
    pub(super) receivers: Vec<Arc<str>>,
    roles: Roles,
    /// The silences that match it, whenever they silence; none while that was not found out.
    pub(super) silences: Option<PlaceSet>,
}

impl Kept {
    pub(super) fn new(
        alert: Arc<HeldAlert>,
        config: &NotificationsConfig,
        routes: &Routes,
        silences: Option<PlaceSet>,
    ) -> Self {
        let mut kept = Self { alert, receivers: Vec::new(), roles: Roles::default(), silences };
        kept.reconfigure(config, routes);
        kept
    }

    pub(super) fn reconfigure(&mut self, config: &NotificationsConfig, routes: &Routes) {
        let labels = &self.alert.labels;
        let receivers: BTreeSet<Arc<str>> =
            routes.of(labels).iter().map(|route| Arc::clone(&route.receiver)).collect();
        self.receivers = receivers.into_iter().collect();
        self.roles = Roles::new(&config.inhibit_rules, labels);
    }
}

/// What keeps receivers from being told of alerts, at one moment.
pub(super) struct Muting<'a> {
    alerts: &'a HashMap<Labels, Kept>,
    silences: &'a Silences,
    active: PlaceSet,
    inhibitor: Inhibitor<'a>,
}

impl<'a> Muting<'a> {
    /// At `now` (milliseconds).
    pub(super) fn new(
        rules: &'a [InhibitRuleConfig],
        alerts: &'a HashMap<Labels, Kept>,
        silences: &'a Silences,
        now: i64,
    ) -> Self {
        let firing = alerts.iter().filter(|(_, kept)| !kept.alert.resolved_at(now));
        let inhibitor = Inhibitor::new(rules, firing.map(|(labels, kept)| (labels, &kept.roles)));
        Self { alerts, silences, active: silences.active(now), inhibitor }
    }

    /// What is known of the alert with `labels`.
    pub(super) fn kept(&self, labels: &Labels) -> Option<&'a Kept> {
        self.alerts.get(labels)
    }

    /// The first of those that silence it, in the order of their names.
    pub(super) fn silenced_by(&self, kept: &Kept) -> Vec<Arc<Silence>> {
        let places = kept.silences.iter().flat_map(|matching| matching.both(&self.active));
        let mut by: Vec<_> = places.filter_map(|place| self.silences.at(place)).cloned().collect();
        by.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        by.truncate(MAX_NAMED);
        by
    }

    /// The fingerprints of alerts that inhibit it, one for each rule that does.
    pub(super) fn inhibited_by(&self, kept: &Kept) -> Vec<String> {
        self.inhibitor.inhibited_by(&kept.alert.labels, &kept.roles)
    }

    /// Whether nobody is told of it.
    pub(super) fn mutes(&self, kept: &Kept) -> bool {
        kept.silences.as_ref().is_some_and(|matching| matching.meets(&self.active))
            || self.inhibitor.inhibits(&kept.alert.labels, &kept.roles)
    }
}
