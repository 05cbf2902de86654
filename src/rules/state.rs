//! What is known of a rule and of a group between two evaluations.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::alert::Alerts;
use super::batches::batches;
use super::load::GroupSpec;
use super::rule::Rule;
use crate::model::Labels;
use crate::util::lock::lock;

/// What identifies a rule in its group: name and labels, and how many before it have the same.
pub(super) type RuleKey = (String, u32);

/// File and name of a group.
pub(super) type GroupKey = (String, String);

/// Whether the last evaluation of a rule went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// There was none.
    #[default]
    Unknown,
    /// It did.
    Ok,
    /// It did not.
    Err,
}

impl Health {
    /// The name it has in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Err => "err",
        }
    }
}

/// A rule and its state.
#[derive(Debug)]
pub(super) struct RuleState {
    pub(super) rule: Rule,
    /// Held for moments: not while the query runs, or anything is written.
    pub(super) now: Mutex<Now>,
}

/// The state of a rule.
#[derive(Debug, Default)]
pub(super) struct Now {
    pub(super) health: Health,
    pub(super) last_error: String,
    /// When the last evaluation began, by the clock.
    pub(super) evaluated_ms: Option<i64>,
    /// How long it took.
    pub(super) took: Duration,
    /// The series it gave the last time that it went well.
    pub(super) previous: HashSet<Labels>,
    pub(super) alerts: Alerts,
    /// Whether it still waits for alerts to be restored from their series; until then it writes none of these.
    pub(super) unrestored: bool,
    /// For how many evaluations alerts that are not found stay as they are: after an outage the series they come from may
    /// not be there yet.
    pub(super) settling: u8,
}

/// A group and its state.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) spec: GroupSpec,
    pub(super) rules: Vec<Arc<RuleState>>,
    /// What identifies each rule: its name and labels, and how many before it have the same.
    pub(super) keys: Vec<RuleKey>,
    /// Numbers of the rules in the order of evaluation; those of a batch side by side.
    pub(super) batches: Vec<Vec<usize>>,
    pub(super) last: Mutex<LastRun>,
    /// Series of rules that are no longer there, to be marked stale.
    pub(super) orphans: Mutex<Vec<Labels>>,
    /// The group whose state it takes over once that has ended; it is shown until then.
    pub(super) before: Mutex<Option<Arc<Group>>>,
}

/// The last evaluation of a group.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct LastRun {
    /// When it began, by the clock, in milliseconds.
    pub(super) began_ms: Option<i64>,
    /// How long it took.
    pub(super) took: Duration,
}

/// What identifies each rule of a group.
pub(super) fn rule_keys(spec: &GroupSpec) -> Vec<RuleKey> {
    let mut seen: HashMap<String, u32> = HashMap::new();
    let key = |rule: &Rule| {
        let identity = rule.identity();
        let number = seen.entry(identity.clone()).or_default();
        *number += 1;
        (identity, *number - 1)
    };
    spec.rules.iter().map(key).collect()
}

impl Group {
    pub(super) fn new(spec: GroupSpec, unrestored: bool) -> Self {
        let state = |rule: &Rule| {
            let now = Now { unrestored: unrestored && rule.alerting.is_some(), ..Now::default() };
            Arc::new(RuleState { rule: rule.clone(), now: Mutex::new(now) })
        };
        Self {
            keys: rule_keys(&spec),
            rules: spec.rules.iter().map(state).collect(),
            batches: batches(&spec),
            spec,
            last: Mutex::default(),
            orphans: Mutex::default(),
            before: Mutex::default(),
        }
    }

    /// Whether alerts still wait to be restored from their series.
    pub(super) fn is_unrestored(&self) -> bool {
        self.rules.iter().any(|state| lock(&state.now).unrestored)
    }

    pub(super) fn key(&self) -> GroupKey {
        (self.spec.file.clone(), self.spec.name.clone())
    }

    /// The rules with what identifies each.
    pub(super) fn identified(&self) -> impl Iterator<Item = (&RuleKey, &Arc<RuleState>)> {
        self.keys.iter().zip(&self.rules)
    }

    /// Takes over the state of `old`, which has ended: each rule from the one with its name and labels. Series of rules
    /// that are gone are to be marked stale.
    pub(super) fn take_over(&self, old: &Self) {
        *lock(&self.last) = *lock(&old.last);
        let mut left: HashMap<&RuleKey, &Arc<RuleState>> = old.identified().collect();
        for (identity, state) in self.identified() {
            let Some(before) = left.remove(identity) else { continue };
            let (mut now, mut before) = (lock(&state.now), lock(&before.now));
            now.previous = std::mem::take(&mut before.previous);
            (now.unrestored, now.settling) = (before.unrestored, before.settling);
            if state.rule.alerting.is_some() {
                now.alerts = std::mem::take(&mut before.alerts);
            }
        }
        let mut orphans = std::mem::take(&mut *lock(&old.orphans));
        for state in left.into_values() {
            orphans.extend(lock(&state.now).previous.drain());
        }
        *lock(&self.orphans) = orphans;
    }

    /// Every series that its rules gave, for a group that ends.
    pub(super) fn take_series(&self) -> Vec<Labels> {
        let mut all = std::mem::take(&mut *lock(&self.orphans));
        for state in &self.rules {
            all.extend(lock(&state.now).previous.drain());
        }
        all
    }
}
