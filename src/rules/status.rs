//! What the API shows of rules.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::alert::{Alert, AlertState};
use super::load::GroupSpec;
use super::state::{Group, Health, RuleState};
use crate::util::lock::lock;

/// A group as it is now.
#[derive(Debug, Clone)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// The file it is from.
    pub file: String,
    /// How often it is evaluated.
    pub interval: Duration,
    /// Most series or alerts of a rule; 0 is no limit.
    pub limit: usize,
    /// How far back its queries look, where it says so itself.
    pub query_offset: Option<Duration>,
    /// How long the last evaluation took.
    pub took: Duration,
    /// When it began, in milliseconds.
    pub evaluated_ms: Option<i64>,
    /// Its rules, in the order of the file.
    pub rules: Vec<RuleView>,
}

/// A rule as it is now.
#[derive(Debug, Clone)]
pub struct RuleView {
    /// The name of the series or of the alert.
    pub name: String,
    /// The query.
    pub query: String,
    /// Labels that it adds, by name.
    pub labels: Vec<(String, String)>,
    /// Whether its last evaluation went well.
    pub health: Health,
    /// Why it did not.
    pub last_error: String,
    /// How long the last evaluation took.
    pub took: Duration,
    /// When it began, in milliseconds.
    pub evaluated_ms: Option<i64>,
    /// Set for an alerting rule.
    pub alerting: Option<AlertingView>,
}

/// What an alerting rule shows beside.
#[derive(Debug, Clone)]
pub struct AlertingView {
    /// How long a series must be there before its alert fires.
    pub hold: Duration,
    /// How long an alert goes on firing after its series is gone.
    pub keep_firing: Duration,
    /// Annotations as they are written, by name.
    pub annotations: Vec<(String, String)>,
    /// The highest state of its alerts; none before the first evaluation.
    pub state: Option<AlertState>,
    /// Alerts that are pending or firing, in label order.
    pub alerts: Vec<Alert>,
}

/// Reads the state of rules. Clones are cheap and show the same.
#[derive(Debug, Clone, Default)]
pub struct RulesHandle {
    pub(super) groups: Arc<ArcSwap<Vec<Arc<Group>>>>,
}

impl RulesHandle {
    /// All groups, by file and name.
    pub fn groups(&self) -> Vec<GroupView> {
        let shown = |group: &Arc<Group>| {
            let before = lock(&group.before).clone();
            view(before.as_ref().unwrap_or(group))
        };
        self.groups.load().iter().map(shown).collect()
    }

    /// The groups as they are loaded, by file and name.
    pub fn specs(&self) -> Vec<GroupSpec> {
        self.groups.load().iter().map(|group| group.spec.clone()).collect()
    }
}

fn view(group: &Group) -> GroupView {
    let last = *lock(&group.last);
    GroupView {
        name: group.spec.name.clone(),
        file: group.spec.file.clone(),
        interval: group.spec.interval,
        limit: group.spec.limit,
        query_offset: group.spec.query_offset,
        took: last.took,
        evaluated_ms: last.began_ms,
        rules: group.rules.iter().map(|state| rule_view(state)).collect(),
    }
}

fn rule_view(state: &RuleState) -> RuleView {
    let rule = &state.rule;
    let now = lock(&state.now);
    let ms = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let alerting = rule.alerting.as_ref().map(|alerting| AlertingView {
        hold: ms(alerting.timing.hold),
        keep_firing: ms(alerting.timing.keep_firing),
        annotations: alerting.annotation_texts.clone(),
        state: now.evaluated_ms.map(|_| now.alerts.state()),
        alerts: now.alerts.active().into_iter().cloned().collect(),
    });
    RuleView {
        name: rule.name.clone(),
        query: rule.query.clone(),
        labels: rule.labels.clone(),
        health: now.health,
        last_error: now.last_error.clone(),
        took: now.took,
        evaluated_ms: now.evaluated_ms,
        alerting,
    }
}
