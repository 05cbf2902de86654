//! The state of notification and how it changes: a pure function of what comes in and of the time, which is passed in.
//!
//! Alerts come in with [`Engine::take`]; [`Engine::turn`] says which receivers are to be told of what at a time, and when
//! to ask again; [`Engine::finish`] says what became of it. Groups and their times are those of Alertmanager.
//!
//! **Invariants**: a group is told of by one flight at a time; what a receiver was told is in the log before the next one.
//!
//! **Cost**: a turn is linear in groups, and, if one of them is due, in alerts times rules of inhibition.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::alert::{HeldAlert, fingerprint, order};
use super::inhibit::Inhibitor;
use super::log::{LogEntry, LogKey, NotificationLog, needs_update};
use super::route::{Route, Routes};
use super::silence::{ActiveSilences, Silences};
use crate::config::{InhibitRuleConfig, NotificationsConfig, ReceiverConfig};
use crate::model::Labels;

/// Alerts that are held at most.
pub(super) const MAX_ALERTS: usize = 20_000;

/// Groups at most.
pub(super) const MAX_GROUPS: usize = 20_000;

/// Bytes of the labels of an alert, and of its annotations, at most.
const MAX_TEXT_BYTES: usize = 64 << 10;

/// How long an alert that is resolved may still be asked for, and how often such things are looked for, in milliseconds.
const RESOLVED_RETENTION_MS: i64 = 15 * 60 * 1000;
const SWEEP_MS: i64 = 60 * 1000;

/// A delivery may take at least this long, in milliseconds.
const MIN_DELIVERY_MS: i64 = 10 * 1000;

/// Route and labels.
pub(super) type GroupId = (Arc<str>, Labels);

/// Alerts of one route with equal labels.
#[derive(Debug)]
struct Group {
    route: Arc<Route>,
    alerts: HashMap<Labels, Arc<HeldAlert>>,
    /// When its receiver is to be told next, in milliseconds.
    next: i64,
    has_flushed: bool,
    flight: Option<Flight>,
}

/// What a group's receiver is being told.
#[derive(Debug)]
struct Flight {
    number: u64,
    /// Integrations that are not done.
    pending: usize,
    failed: bool,
    /// Alerts that need not be told of again once all integrations know.
    resolved: Vec<Arc<HeldAlert>>,
}

/// An alert of a notification.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ToldAlert {
    pub(super) alert: Arc<HeldAlert>,
    /// As it was when the notification was put together.
    pub(super) resolved: bool,
}

/// Something that one integration of a receiver is to be told.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) group: GroupId,
    flight: u64,
    pub(super) receiver: Arc<ReceiverConfig>,
    /// Place among the integrations of the receiver.
    pub(super) integration: usize,
    /// In the order they are told of; never empty.
    pub(super) alerts: Arc<[ToldAlert]>,
    pub(super) key: LogKey,
    /// What is in the log afterwards.
    pub(super) entry: Arc<LogEntry>,
    /// Time until it is given up, in milliseconds.
    pub(super) time_ms: i64,
}

/// Why an alert was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Its labels are longer than is allowed.
    TooLong,
    /// There are too many alerts or groups.
    Full,
}

/// An alert as the API shows it.
#[derive(Debug, Clone)]
pub(crate) struct AlertView {
    pub(crate) alert: Arc<HeldAlert>,
    pub(crate) receivers: Vec<Arc<str>>,
    pub(crate) silenced_by: Vec<String>,
    pub(crate) inhibited_by: Vec<String>,
}

impl AlertView {
    /// Whether nobody is told of it for now.
    pub(crate) fn is_suppressed(&self) -> bool {
        !self.silenced_by.is_empty() || !self.inhibited_by.is_empty()
    }
}

/// A group as the API shows it.
#[derive(Debug, Clone)]
pub(crate) struct GroupView {
    pub(crate) labels: Labels,
    pub(crate) receiver: Arc<str>,
    pub(crate) alerts: Vec<AlertView>,
}

/// The state.
#[derive(Debug)]
pub(super) struct Engine {
    config: Arc<NotificationsConfig>,
    routes: Arc<Routes>,
    alerts: HashMap<Labels, Arc<HeldAlert>>,
    groups: BTreeMap<GroupId, Group>,
    pub(super) log: NotificationLog,
    pub(super) silences: Silences,
    flights: u64,
    next_sweep: i64,
    /// Whether a sweep left less than what is on the disk.
    pub(super) has_swept: bool,
}

impl Engine {
    pub(super) fn new(config: Arc<NotificationsConfig>, log: NotificationLog, silences: Silences) -> Self {
        Self {
            routes: Arc::new(Routes::new(&config.route)),
            config,
            alerts: HashMap::new(),
            groups: BTreeMap::new(),
            log,
            silences,
            flights: 0,
            next_sweep: 0,
            has_swept: false,
        }
    }

    pub(super) fn config(&self) -> &Arc<NotificationsConfig> {
        &self.config
    }

    /// Switches to another configuration. Groups whose route is the same keep their times and what is on its way.
    pub(super) fn reconfigure(&mut self, config: Arc<NotificationsConfig>, now: i64) {
        let routes = Routes::new(&config.route);
        self.groups.retain(|(id, _), group| {
            let same = routes.iter().find(|route| route.id == *id && route.groups_as(&group.route));
            if let Some(route) = same {
                group.route = Arc::clone(route);
            }
            same.is_some()
        });
        (self.config, self.routes) = (config, Arc::new(routes));
        // An alert may have another route now, above the one it had.
        let routes = Arc::clone(&self.routes);
        self.groups.retain(|(id, _), group| {
            group.alerts.retain(|labels, _| routes.of(labels).iter().any(|route| route.id == *id));
            !group.alerts.is_empty() || group.flight.is_some()
        });
        let alerts: Vec<_> = self.alerts.values().filter(|alert| !alert.resolved_at(now)).cloned().collect();
        for alert in alerts {
            // There was room for each of them.
            let _ = self.group(&alert, now);
        }
    }

    /// Forgets all alerts, of which nobody is told any more. What was told and silences stay.
    pub(super) fn forget_alerts(&mut self) {
        self.alerts.clear();
        self.groups.clear();
    }

    /// Takes the state of an alert.
    pub(super) fn take(&mut self, mut alert: HeldAlert, now: i64) -> Result<(), Refused> {
        if alert.labels.packed_len() > MAX_TEXT_BYTES {
            return Err(Refused::TooLong);
        }
        if alert.annotations.packed_len() > MAX_TEXT_BYTES {
            let longest = MAX_TEXT_BYTES / alert.annotations.len().max(1);
            let short = alert.annotations.iter().filter(|(name, value)| name.len() + value.len() < longest);
            alert.annotations = Labels::from_pairs(short);
        }
        if let Some(old) = self.alerts.get(&alert.labels) {
            alert = alert.after(old);
        } else if self.alerts.len() >= MAX_ALERTS {
            return Err(Refused::Full);
        }
        let alert = Arc::new(alert);
        self.alerts.insert(alert.labels.clone(), Arc::clone(&alert));
        self.group(&alert, now)
    }

    fn group(&mut self, alert: &Arc<HeldAlert>, now: i64) -> Result<(), Refused> {
        let mut outcome = Ok(());
        for route in self.routes.of(&alert.labels) {
            let id = (Arc::clone(&route.id), route.group_labels(&alert.labels));
            if !self.groups.contains_key(&id) && self.groups.len() >= MAX_GROUPS {
                outcome = Err(Refused::Full);
                continue;
            }
            let group = self.groups.entry(id).or_insert_with(|| Group {
                next: now.saturating_add(route.group_wait),
                route,
                alerts: HashMap::new(),
                has_flushed: false,
                flight: None,
            });
            group.alerts.insert(alert.labels.clone(), Arc::clone(alert));
            // Others may have been told of it before a restart: there is no reason to wait again.
            if !group.has_flushed && alert.starts_at.saturating_add(group.route.group_wait) < now {
                group.next = now;
            }
        }
        outcome
    }

    /// What is to be told at `now` (milliseconds), and when to ask again.
    pub(super) fn turn(&mut self, now: i64) -> (Vec<Job>, i64) {
        if now >= self.next_sweep {
            self.next_sweep = now.saturating_add(SWEEP_MS);
            self.alerts.retain(|_, alert| !alert.resolved_at(now.saturating_sub(RESOLVED_RETENTION_MS)));
            let swept = self.log.sweep(now);
            self.has_swept |= self.silences.sweep(now) || swept;
        }
        let mut jobs = Vec::new();
        let is_due = |group: &Group| group.flight.is_none() && group.next <= now;
        if self.groups.values().any(is_due) {
            let config = Arc::clone(&self.config);
            let muting = Muting::new(&config.inhibit_rules, &self.alerts, &self.silences, now);
            for (id, group) in &mut self.groups {
                if is_due(group) {
                    self.flights += 1;
                    flush(id, group, (self.flights, now), (&config, &self.log, &muting), &mut jobs);
                }
            }
            self.groups.retain(|_, group| !group.alerts.is_empty() || group.flight.is_some());
        }
        let waiting = self.groups.values().filter(|group| group.flight.is_none()).map(|group| group.next);
        let next = waiting.min().unwrap_or(i64::MAX).min(self.next_sweep);
        (jobs, next)
    }

    /// What became of a job. What was told is in the log from here on.
    pub(super) fn finish(&mut self, job: &Job, delivered: bool) {
        if delivered {
            self.log.put(job.key.clone(), Arc::clone(&job.entry));
        }
        let Some(group) = self.groups.get_mut(&job.group) else { return };
        let Some(flight) = group.flight.as_mut().filter(|flight| flight.number == job.flight) else { return };
        flight.pending = flight.pending.saturating_sub(1);
        flight.failed |= !delivered;
        if flight.pending > 0 {
            return;
        }
        if let Some(flight) = group.flight.take().filter(|flight| !flight.failed) {
            forget_resolved(group, &flight.resolved);
        }
        if group.alerts.is_empty() {
            self.groups.remove(&job.group);
        }
    }

    /// What receivers would be told of now. `now` is in milliseconds.
    pub(super) fn alerts(&self, now: i64) -> Vec<AlertView> {
        let muting = Muting::new(&self.config.inhibit_rules, &self.alerts, &self.silences, now);
        let firing = self.alerts.values().filter(|alert| !alert.resolved_at(now));
        let mut views: Vec<AlertView> = firing.map(|alert| self.view(alert, &muting)).collect();
        views.sort_by_cached_key(|view| fingerprint(&view.alert.labels));
        views
    }

    /// The groups, in the order of their labels.
    pub(super) fn groups(&self, now: i64) -> Vec<GroupView> {
        let muting = Muting::new(&self.config.inhibit_rules, &self.alerts, &self.silences, now);
        let view = |((_, labels), group): (&GroupId, &Group)| {
            let firing = group.alerts.values().filter(|alert| !alert.resolved_at(now));
            let mut alerts: Vec<AlertView> = firing.map(|alert| self.view(alert, &muting)).collect();
            alerts.sort_by(|a, b| order(&a.alert.labels, &b.alert.labels));
            GroupView { labels: labels.clone(), receiver: Arc::clone(&group.route.receiver), alerts }
        };
        let mut groups: Vec<GroupView> = self.groups.iter().map(view).collect();
        groups.retain(|group| !group.alerts.is_empty());
        groups.sort_by(|a, b| (&a.labels, &a.receiver).cmp(&(&b.labels, &b.receiver)));
        groups
    }

    fn view(&self, alert: &Arc<HeldAlert>, muting: &Muting<'_>) -> AlertView {
        let receivers: BTreeSet<Arc<str>> =
            self.routes.of(&alert.labels).iter().map(|route| Arc::clone(&route.receiver)).collect();
        AlertView {
            alert: Arc::clone(alert),
            receivers: receivers.into_iter().collect(),
            silenced_by: muting.silenced_by(&alert.labels),
            inhibited_by: muting.inhibitor.inhibited_by(&alert.labels),
        }
    }

    /// Groups there are.
    pub(super) fn group_count(&self) -> usize {
        self.groups.len()
    }
}

/// What keeps receivers from being told of alerts, at one moment.
struct Muting<'a> {
    silences: ActiveSilences<'a>,
    inhibitor: Inhibitor<'a>,
}

impl<'a> Muting<'a> {
    fn new(
        rules: &'a [InhibitRuleConfig],
        alerts: &'a HashMap<Labels, Arc<HeldAlert>>,
        silences: &'a Silences,
        now: i64,
    ) -> Self {
        let inhibitor = Inhibitor::new(rules, &alerts.values().map(Arc::as_ref), now);
        Self { silences: silences.active(now), inhibitor }
    }

    fn silenced_by(&self, labels: &Labels) -> Vec<String> {
        let mut by: Vec<String> = self.silences.of(labels).map(|silence| silence.id.clone()).collect();
        by.sort();
        by
    }

    fn mutes(&self, labels: &Labels) -> bool {
        self.silences.of(labels).next().is_some() || self.inhibitor.inhibits(labels)
    }
}

/// Puts together what the receiver of a group is to be told, which may be nothing.
fn flush(
    id: &GroupId,
    group: &mut Group,
    (flight, now): (u64, i64),
    (config, log, muting): (&NotificationsConfig, &NotificationLog, &Muting<'_>),
    jobs: &mut Vec<Job>,
) {
    group.has_flushed = true;
    group.next = now.saturating_add(group.route.group_interval);
    let resolved: Vec<Arc<HeldAlert>> =
        group.alerts.values().filter(|alert| alert.resolved_at(now)).cloned().collect();
    let told = group.alerts.values().filter(|alert| !muting.mutes(&alert.labels));
    let told = told.map(|alert| ToldAlert { alert: Arc::clone(alert), resolved: alert.resolved_at(now) });
    let mut told: Vec<ToldAlert> = told.collect();
    told.sort_by(|a, b| order(&a.alert.labels, &b.alert.labels));
    let alerts: Arc<[ToldAlert]> = told.into();

    let hashes = |resolved: bool| {
        let of = alerts.iter().filter(|told| told.resolved == resolved);
        let mut hashes: Vec<u64> = of.map(|told| fingerprint(&told.alert.labels)).collect();
        hashes.sort_unstable();
        hashes
    };
    let (firing, ended) = (hashes(false), hashes(true));
    let group_key: Arc<str> = group.route.group_key(&id.1).into();
    let before = jobs.len();
    let receiver = config.receiver(&group.route.receiver).filter(|_| !alerts.is_empty());
    let integrations = receiver.map(|receiver| receiver.integrations.iter()).into_iter().flatten();
    let mut number_of_kind: HashMap<&str, usize> = HashMap::new();
    for (place, integration) in integrations.enumerate() {
        let number = number_of_kind.entry(integration.kind()).or_default();
        let key = LogKey {
            group: Arc::clone(&group_key),
            receiver: Arc::clone(&group.route.receiver),
            integration: format!("{}/{number}", integration.kind()),
        };
        *number += 1;
        let last = log.get(&key).map(Arc::as_ref);
        let repeat = group.route.repeat_interval;
        let is_news = needs_update(last, (&firing, &ended), integration.send_resolved(), repeat, now);
        let Some(receiver) = receiver.filter(|_| is_news) else { continue };
        jobs.push(Job {
            group: id.clone(),
            flight,
            receiver: Arc::clone(receiver),
            integration: place,
            alerts: Arc::clone(&alerts),
            key,
            entry: Arc::new(LogEntry {
                at: now,
                expires_at: now.saturating_add(repeat.saturating_mul(2)),
                firing: firing.clone(),
                resolved: ended.clone(),
            }),
            time_ms: group.route.group_interval.max(MIN_DELIVERY_MS),
        });
    }
    let pending = jobs.len() - before;
    if pending == 0 {
        forget_resolved(group, &resolved);
    } else {
        group.flight = Some(Flight { number: flight, pending, failed: false, resolved });
    }
}

/// Drops alerts that everybody knows are resolved, unless they have changed since.
fn forget_resolved(group: &mut Group, resolved: &[Arc<HeldAlert>]) {
    for known in resolved {
        if group.alerts.get(&known.labels).is_some_and(|alert| Arc::ptr_eq(alert, known)) {
            group.alerts.remove(&known.labels);
        }
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
