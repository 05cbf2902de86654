//! The state of notification and how it changes: a pure function of what comes in and of the time, which is passed in.
//!
//! Alerts come in with [`Engine::take`]; [`Engine::turn`] says which receivers are to be told of what at a time, and when
//! to ask again; [`Engine::finish`] says what became of it. Groups and their times are those of Alertmanager.
//!
//! **Invariants**: a group is told of by one flight at a time; what a receiver was told is in the log before the next one;
//! alerts of groups are among those that are held, so that one limit bounds both; nobody is told of an alert before it was
//! found out which silences match it ([`Engine::survey`], [`Engine::surveyed`]).
//!
//! **Cost**: a turn is linear in groups, and, if one of them is due, in alerts. No matcher is asked of what is known.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::watch;

use super::alert::{HeldAlert, fingerprint, order};
use super::log::{LogEntry, LogKey, NotificationLog, needs_update};
use super::matched::{Matched, SURVEY_TIME, Survey, Surveyed, Unknown};
use super::muting::{Kept, Muting};
use super::places::PlaceSet;
use super::route::{Route, Routes};
use super::silence::{Silence, Silences};
use crate::config::{IntegrationConfig, NotificationsConfig, ReceiverConfig};
use crate::model::Labels;

/// Alerts that are held at most, and bytes of their texts.
pub(super) const MAX_ALERTS: usize = 20_000;
const MAX_ALERT_BYTES: usize = 128 << 20;

/// Groups at most.
pub(super) const MAX_GROUPS: usize = 20_000;

/// Bytes of the labels of an alert, and of its annotations, at most.
const MAX_TEXT_BYTES: usize = 64 << 10;

/// Bytes of the link of an alert at most.
const MAX_URL_BYTES: usize = 8 << 10;

/// How long an alert that is resolved may still be asked for, and how often such things are looked for, in milliseconds.
const RESOLVED_RETENTION_MS: i64 = 15 * 60 * 1000;
const SWEEP_MS: i64 = 60 * 1000;

/// How long nothing is looked for to make room with after nothing was found, in milliseconds.
const EVICTION_PAUSE_MS: u64 = 1000;

/// A delivery may take at least this long, in milliseconds.
const MIN_DELIVERY_MS: i64 = 10 * 1000;

/// What a receiver was told is remembered for at least this long, in milliseconds.
const MIN_REMEMBERED_MS: i64 = 3600 * 1000;

/// Route and labels.
pub(super) type GroupId = (Arc<str>, Labels);

/// Alerts of one route with equal labels.
#[derive(Debug)]
struct Group {
    route: Arc<Route>,
    /// Its name in the log and to receivers.
    key: Arc<str>,
    alerts: HashMap<Labels, Arc<HeldAlert>>,
    /// When its receiver is to be told next, in milliseconds.
    next: i64,
    has_flushed: bool,
    flight: Option<Flight>,
}

impl Group {
    /// Waits no longer than the route says, which may be another since, as may the clock.
    fn clamp(&mut self, now: i64) {
        let longest = if self.has_flushed { self.route.group_interval } else { self.route.group_wait };
        self.next = self.next.min(now.saturating_add(longest));
    }
}

/// What a group's receiver is being told. Its jobs are cancelled when it is dropped.
#[derive(Debug)]
struct Flight {
    number: u64,
    receiver: Arc<ReceiverConfig>,
    _alive: watch::Sender<()>,
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
    /// Closed once nobody waits for it any more.
    alive: watch::Receiver<()>,
}

impl Job {
    /// Waits until nobody waits for it any more.
    pub(super) async fn cancelled(&self) {
        let mut alive = self.alive.clone();
        while alive.changed().await.is_ok() {}
    }
}

/// Why an alert was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Its labels are longer than is allowed.
    TooLong,
    /// There are too many alerts or groups that still matter.
    Full,
}

/// An alert as the API shows it.
#[derive(Debug, Clone)]
pub(crate) struct AlertView {
    pub(crate) alert: Arc<HeldAlert>,
    pub(crate) receivers: Vec<Arc<str>>,
    /// Whether it was found out what silences it.
    pub(crate) is_known: bool,
    /// The first hundred.
    pub(crate) silenced_by: Vec<Arc<Silence>>,
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

/// How many alerts there are that are not resolved, by their state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AlertCounts {
    pub(super) active: u64,
    pub(super) suppressed: u64,
    pub(super) unprocessed: u64,
}

/// The state.
#[derive(Debug)]
pub(super) struct Engine {
    config: Arc<NotificationsConfig>,
    routes: Arc<Routes>,
    alerts: HashMap<Labels, Kept>,
    /// Those of them of which it is not known what silences them.
    unknown: Unknown,
    /// Bytes of all alerts.
    bytes: usize,
    groups: BTreeMap<GroupId, Group>,
    pub(super) log: NotificationLog,
    pub(super) silences: Silences,
    /// The groups of what is on its way, by number, and the last number.
    flights: HashMap<u64, GroupId>,
    last_flight: u64,
    next_sweep: i64,
    /// When nothing was found to make room with.
    evicted_in_vain: Option<i64>,
    /// Nobody is told before this, in milliseconds; and how long that was at first.
    hold_until: i64,
    hold_ms: i64,
    /// Whether a sweep left less than what is on the disk.
    pub(super) has_swept: bool,
}

impl Engine {
    pub(super) fn new(config: Arc<NotificationsConfig>, log: NotificationLog, silences: Silences) -> Self {
        Self {
            routes: Arc::new(Routes::new(&config.route)),
            config,
            alerts: HashMap::new(),
            unknown: Unknown::default(),
            bytes: 0,
            groups: BTreeMap::new(),
            log,
            silences,
            flights: HashMap::new(),
            last_flight: 0,
            next_sweep: 0,
            evicted_in_vain: None,
            hold_until: 0,
            hold_ms: 0,
            has_swept: false,
        }
    }

    pub(super) fn config(&self) -> &Arc<NotificationsConfig> {
        &self.config
    }

    /// Tells nobody for so many milliseconds from `now` on. Whoever begins without the alerts of before waits until they
    /// have come in again: of a part of them, a receiver would hear that the others are resolved, or what is inhibited.
    pub(super) fn hold(&mut self, now: i64, time_ms: i64) {
        (self.hold_until, self.hold_ms) = (now.saturating_add(time_ms), time_ms);
    }

    /// Switches to another configuration. Groups go on under a route with the same key, labels and name of its receiver.
    /// So does what is on its way, unless the receiver is told in another way now: then it is told anew at once.
    ///
    /// # Errors
    /// When there are too many groups now; the others are as they should be.
    pub(super) fn reconfigure(&mut self, config: Arc<NotificationsConfig>, now: i64) -> Result<(), Refused> {
        let routes = Arc::new(Routes::new(&config.route));
        (self.config, self.routes) = (config, Arc::clone(&routes));
        self.alerts.values_mut().for_each(|kept| kept.reconfigure(&self.config, &routes));
        self.flights.clear();
        // Resolved alerts whose group is gone, of which somebody may have to be told still.
        let mut displaced: HashSet<Labels> = HashSet::new();
        for ((old_id, labels), mut group) in std::mem::take(&mut self.groups) {
            let same = || routes.iter().filter(|route| route.continues_groups_of(&group.route));
            let route = same().find(|route| route.id == old_id).or_else(|| same().next()).cloned();
            let id = route.as_ref().map(|route| (Arc::clone(&route.id), labels));
            let (Some(route), Some(id)) = (route, id.filter(|id| !self.groups.contains_key(id))) else {
                displaced.extend(group.alerts.into_keys());
                continue;
            };
            // An alert may have another route now, above the one it had.
            group.alerts.retain(|labels, _| {
                let stays = routes.of(labels).iter().any(|of| of.id == route.id);
                if !stays {
                    displaced.insert(labels.clone());
                }
                stays
            });
            group.route = route;
            group.clamp(now);
            let receiver = self.config.receiver(&group.route.receiver);
            if group.flight.take_if(|flight| receiver != Some(&flight.receiver)).is_some() {
                group.next = now;
            }
            if let Some(flight) = &group.flight {
                self.flights.insert(flight.number, id.clone());
            }
            if !group.alerts.is_empty() || group.flight.is_some() {
                self.groups.insert(id, group);
            }
        }
        let kept: HashSet<GroupId> = self.groups.keys().cloned().collect();
        let alerts: Vec<_> = self.alerts.values().map(|kept| Arc::clone(&kept.alert)).collect();
        let mut outcome = Ok(());
        for alert in alerts {
            if !alert.resolved_at(now) {
                outcome = self.group(&alert, now, |_| true).and(outcome);
            } else if displaced.contains(&alert.labels) {
                outcome = self.group(&alert, now, |id| !kept.contains(id)).and(outcome);
            }
        }
        outcome
    }

    /// Forgets all alerts, of which nobody is told any more. What was told and silences stay.
    pub(super) fn forget_alerts(&mut self) {
        self.alerts.clear();
        self.unknown.clear();
        self.bytes = 0;
        self.groups.clear();
        self.flights.clear();
    }

    /// Takes the state of an alert.
    ///
    /// # Errors
    /// When it is too long, or there is no room for it.
    pub(super) fn take(&mut self, mut alert: HeldAlert, now: i64) -> Result<(), Refused> {
        if alert.labels.packed_len() > MAX_TEXT_BYTES {
            return Err(Refused::TooLong);
        }
        if alert.annotations.packed_len() > MAX_TEXT_BYTES {
            let longest = MAX_TEXT_BYTES / alert.annotations.len().max(1);
            let short = alert.annotations.iter().filter(|(name, value)| name.len() + value.len() < longest);
            alert.annotations = Labels::from_pairs(short);
        }
        if alert.generator_url.len() > MAX_URL_BYTES {
            alert.generator_url = String::new();
        }
        if let Some(old) = self.alerts.get(&alert.labels) {
            alert = alert.after(&old.alert);
        } else if alert.resolved_at(now) && !self.fired_for_somebody(&alert.labels) {
            return Ok(());
        }
        if !self.has_room(&alert) {
            self.evict_resolved(now);
            if !self.has_room(&alert) {
                return Err(Refused::Full);
            }
        }
        let alert = Arc::new(alert);
        self.bytes += alert.bytes();
        if let Some(kept) = self.alerts.get_mut(&alert.labels) {
            self.bytes -= kept.alert.bytes();
            kept.alert = Arc::clone(&alert);
        } else {
            let silences = (self.silences.len() == 0).then(PlaceSet::default);
            if silences.is_none() {
                self.unknown.insert(&alert.labels);
            }
            let kept = Kept::new(Arc::clone(&alert), &self.config, &self.routes, silences);
            self.alerts.insert(alert.labels.clone(), kept);
        }
        self.group(&alert, now, |_| true)
    }

    fn has_room(&self, alert: &HeldAlert) -> bool {
        let old = self.alerts.get(&alert.labels).map(|kept| &kept.alert);
        self.alerts.len() + usize::from(old.is_none()) <= MAX_ALERTS
            && self.bytes - old.map_or(0, |old| old.bytes()) + alert.bytes() <= MAX_ALERT_BYTES
    }

    /// Whether the last thing that a receiver was told of the alert with `labels` is that it fires.
    fn fired_for_somebody(&self, labels: &Labels) -> bool {
        let number = fingerprint(labels);
        self.routes.of(labels).iter().any(|route| {
            let group: Arc<str> = route.group_key(&route.group_labels(labels)).into();
            let keys =
                self.config.receiver(&route.receiver).map(|receiver| log_keys(receiver, route, &group));
            let mut told = keys.into_iter().flatten().filter_map(|key| self.log.get(&key));
            told.any(|entry| entry.firing.binary_search(&number).is_ok())
        })
    }

    /// Makes room: drops some of the alerts that are resolved, first those of which nobody has to be told any more, then
    /// those that ended longest ago.
    fn evict_resolved(&mut self, now: i64) {
        if self.evicted_in_vain.is_some_and(|before| now.abs_diff(before) < EVICTION_PAUSE_MS) {
            return;
        }
        let needed = self.grouped();
        let alerts = self.alerts.values().map(|kept| &kept.alert);
        let resolved = alerts.filter(|alert| alert.resolved_at(now));
        let mut resolved: Vec<(bool, i64, Labels)> = resolved
            .map(|alert| (needed.contains(&alert.labels), alert.ends_at, alert.labels.clone()))
            .collect();
        resolved.sort_unstable();
        self.evicted_in_vain = resolved.is_empty().then_some(now);
        let dropped: HashSet<Labels> =
            resolved.into_iter().take(MAX_ALERTS / 10).map(|(_, _, labels)| labels).collect();
        self.drop_alerts(|alert| dropped.contains(&alert.labels));
        for group in self.groups.values_mut() {
            group.alerts.retain(|labels, _| !dropped.contains(labels));
        }
        self.groups.retain(|_, group| !group.alerts.is_empty() || group.flight.is_some());
    }

    fn drop_alerts(&mut self, is_dropped: impl Fn(&HeldAlert) -> bool) {
        let bytes = &mut self.bytes;
        self.alerts.retain(|_, kept| {
            let is_dropped = is_dropped(&kept.alert);
            *bytes -= if is_dropped { kept.alert.bytes() } else { 0 };
            !is_dropped
        });
        self.unknown.retain(|labels| self.alerts.contains_key(labels));
    }

    /// The alerts that are in a group.
    fn grouped(&self) -> HashSet<Labels> {
        self.groups.values().flat_map(|group| group.alerts.keys().cloned()).collect()
    }

    /// Puts an alert into its groups, as far as they are `wanted`.
    fn group(
        &mut self,
        alert: &Arc<HeldAlert>,
        now: i64,
        wanted: impl Fn(&GroupId) -> bool,
    ) -> Result<(), Refused> {
        let mut outcome = Ok(());
        for route in self.routes.of(&alert.labels) {
            let id = (Arc::clone(&route.id), route.group_labels(&alert.labels));
            if !wanted(&id) {
                continue;
            }
            if !self.groups.contains_key(&id) && self.groups.len() >= MAX_GROUPS {
                outcome = Err(Refused::Full);
                continue;
            }
            let key = || route.group_key(&id.1).into();
            let new = |key| Group {
                next: now.saturating_add(route.group_wait),
                route: Arc::clone(&route),
                key,
                alerts: HashMap::new(),
                has_flushed: false,
                flight: None,
            };
            let group = match self.groups.entry(id.clone()) {
                Entry::Occupied(group) => group.into_mut(),
                Entry::Vacant(place) => place.insert(new(key())),
            };
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
        // The clock may have been set back.
        self.hold_until = self.hold_until.min(now.saturating_add(self.hold_ms));
        self.next_sweep = self.next_sweep.min(now.saturating_add(SWEEP_MS));
        self.groups.values_mut().for_each(|group| group.clamp(now));
        // Which groups exist is not known either before that.
        if now < self.hold_until {
            return (Vec::new(), self.hold_until);
        }
        if now >= self.next_sweep {
            self.next_sweep = now.saturating_add(SWEEP_MS);
            let needed = self.grouped();
            let bound = now.saturating_sub(RESOLVED_RETENTION_MS);
            self.drop_alerts(|alert| alert.resolved_at(bound) && !needed.contains(&alert.labels));
            let swept = self.log.sweep(now, &self.group_keys());
            self.silences.drop_expressions(now);
            self.has_swept |= self.silences.sweep(now) || swept;
        }
        let mut jobs = Vec::new();
        let unknown = &self.unknown;
        let is_known =
            |group: &Group| unknown.is_empty() || group.alerts.keys().all(|labels| !unknown.contains(labels));
        let is_due = |group: &Group| group.flight.is_none() && group.next <= now && is_known(group);
        if self.groups.values().any(is_due) {
            let config = Arc::clone(&self.config);
            let muting = Muting::new(&config.inhibit_rules, &self.alerts, &self.silences, now);
            for (id, group) in &mut self.groups {
                if is_due(group) {
                    self.last_flight += 1;
                    flush(id, group, (self.last_flight, now), (&config, &self.log, &muting), &mut jobs);
                    if group.flight.is_some() {
                        self.flights.insert(self.last_flight, id.clone());
                    }
                }
            }
            self.groups.retain(|_, group| !group.alerts.is_empty() || group.flight.is_some());
        }
        // One that waits for what silences its alerts is looked at again when that is known.
        let is_waiting = |group: &&Group| group.flight.is_none() && (group.next > now || is_known(group));
        let waiting = self.groups.values().filter(is_waiting).map(|group| group.next);
        let next = waiting.min().unwrap_or(i64::MAX).min(self.next_sweep);
        (jobs, next)
    }

    /// What became of a job. What was told is in the log from here on.
    pub(super) fn finish(&mut self, job: &Job, delivered: bool) {
        if delivered {
            self.log.put(job.key.clone(), Arc::clone(&job.entry));
        }
        let Some(id) = self.flights.get(&job.flight) else { return };
        let Some(group) = self.groups.get_mut(id) else { return };
        // Numbers begin anew with another engine, which has other receivers.
        let is_its = |flight: &&mut Flight| Arc::ptr_eq(&flight.receiver, &job.receiver);
        let Some(flight) = group.flight.as_mut().filter(is_its) else { return };
        flight.pending = flight.pending.saturating_sub(1);
        flight.failed |= !delivered;
        if flight.pending > 0 {
            return;
        }
        if let Some(flight) = group.flight.take().filter(|flight| !flight.failed) {
            forget_resolved(group, &flight.resolved);
        }
        if group.alerts.is_empty() {
            self.groups.remove(id);
        }
        self.flights.remove(&job.flight);
    }

    /// The keys of all groups.
    pub(super) fn group_keys(&self) -> HashSet<Arc<str>> {
        self.groups.values().map(|group| Arc::clone(&group.key)).collect()
    }

    /// Whether there are alerts of which it is not known what silences them.
    pub(super) fn has_unknown(&self) -> bool {
        !self.unknown.is_empty()
    }

    /// Finds out what silences alerts of which that is not known: what to run, for some of them. Give what comes of it to
    /// [`Engine::surveyed`].
    pub(super) fn survey(&self, now: i64) -> Option<Survey> {
        if self.unknown.is_empty() {
            return None;
        }
        Survey::new(self.unknown.iter(), self.silences.placed(now))
    }

    /// Notes what was found.
    pub(super) fn surveyed(&mut self, mut found: Surveyed, now: i64) {
        found.catch_up(&self.silences.placed(now), SURVEY_TIME);
        for (labels, places) in found.alerts {
            self.unknown.remove(&labels);
            if let Some(kept) = self.alerts.get_mut(&labels) {
                kept.silences = Some(places);
            }
        }
    }

    /// The labels of alerts that `silence` must be asked about before [`Engine::put_silence`]; none if it has the matchers it
    /// had.
    pub(super) fn to_match(&self, silence: &Silence) -> Vec<Labels> {
        match self.silences.get(&silence.id) {
            Some(old) if old.matchers == silence.matchers => Vec::new(),
            _ => self.alerts.keys().cloned().collect(),
        }
    }

    /// Puts a silence in the place of that of the same name, with the alerts it matches. Alerts about which it was not asked
    /// are surveyed anew.
    pub(super) fn put_silence(&mut self, silence: Silence, matched: &Matched) {
        let old = self.silences.get(&silence.id);
        let place = self.silences.put(silence);
        let Some(silence) = self.silences.at(place) else { return };
        if old.is_some_and(|old| old.matchers == silence.matchers) {
            return;
        }
        for (labels, kept) in &mut self.alerts {
            match (&mut kept.silences, matched.of(labels)) {
                (Some(places), Some(is_matched)) => places.set(place, is_matched),
                (Some(_), None) => {
                    kept.silences = None;
                    self.unknown.insert(labels);
                }
                (None, _) => {}
            }
        }
    }

    fn muting(&self, now: i64) -> Muting<'_> {
        Muting::new(&self.config.inhibit_rules, &self.alerts, &self.silences, now)
    }

    /// How many alerts are not resolved at `now` (milliseconds).
    pub(super) fn count(&self, now: i64) -> AlertCounts {
        let muting = self.muting(now);
        let mut counts = AlertCounts::default();
        for kept in self.alerts.values().filter(|kept| !kept.alert.resolved_at(now)) {
            if muting.mutes(kept) {
                counts.suppressed += 1;
            } else if kept.silences.is_none() {
                counts.unprocessed += 1;
            } else {
                counts.active += 1;
            }
        }
        counts
    }

    /// What receivers would be told of now. `now` is in milliseconds.
    pub(super) fn alerts(&self, now: i64) -> Vec<AlertView> {
        let muting = self.muting(now);
        let firing = self.alerts.values().filter(|kept| !kept.alert.resolved_at(now));
        let mut views: Vec<AlertView> = firing.map(|kept| view(kept, &muting)).collect();
        views.sort_by_cached_key(|view| fingerprint(&view.alert.labels));
        views
    }

    /// The groups, in the order of their labels.
    pub(super) fn groups(&self, now: i64) -> Vec<GroupView> {
        let muting = self.muting(now);
        let of_group = |((_, labels), group): (&GroupId, &Group)| {
            let firing = group.alerts.iter().filter(|(_, alert)| !alert.resolved_at(now));
            let kept = firing.filter_map(|(labels, _)| muting.kept(labels));
            let mut alerts: Vec<AlertView> = kept.map(|kept| view(kept, &muting)).collect();
            alerts.sort_by(|a, b| order(&a.alert.labels, &b.alert.labels));
            GroupView { labels: labels.clone(), receiver: Arc::clone(&group.route.receiver), alerts }
        };
        let mut groups: Vec<GroupView> = self.groups.iter().map(of_group).collect();
        groups.retain(|group| !group.alerts.is_empty());
        groups.sort_by(|a, b| (&a.labels, &a.receiver).cmp(&(&b.labels, &b.receiver)));
        groups
    }

    /// Groups there are.
    pub(super) fn group_count(&self) -> usize {
        self.groups.len()
    }
}

fn view(kept: &Kept, muting: &Muting<'_>) -> AlertView {
    AlertView {
        alert: Arc::clone(&kept.alert),
        receivers: kept.receivers.clone(),
        is_known: kept.silences.is_some(),
        silenced_by: muting.silenced_by(kept),
        inhibited_by: muting.inhibited_by(kept),
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
    let is_muted = |alert: &HeldAlert| muting.kept(&alert.labels).is_some_and(|kept| muting.mutes(kept));
    let told = group.alerts.values().filter(|alert| !is_muted(alert));
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
    let Some(receiver) = config.receiver(&group.route.receiver).filter(|_| !alerts.is_empty()) else {
        return forget_resolved(group, &resolved);
    };
    let (before, alive) = (jobs.len(), watch::Sender::new(()));
    let Route { repeat_interval: repeat, group_interval: interval, .. } = *group.route;
    for (place, key) in log_keys(receiver, &group.route, &group.key).into_iter().enumerate() {
        let Some(integration) = receiver.integrations.get(place) else { continue };
        let last = log.get(&key).map(Arc::as_ref);
        if !needs_update(last, (&firing, &ended), integration.send_resolved(), repeat, now) {
            continue;
        }
        let remembered = repeat.saturating_mul(2).max(repeat.saturating_add(interval.saturating_mul(2)));
        jobs.push(Job {
            group: id.clone(),
            flight,
            receiver: Arc::clone(receiver),
            integration: place,
            alerts: Arc::clone(&alerts),
            key,
            entry: Arc::new(LogEntry {
                at: now,
                expires_at: now.saturating_add(remembered.max(MIN_REMEMBERED_MS)),
                firing: firing.clone(),
                resolved: ended.clone(),
            }),
            time_ms: interval.max(MIN_DELIVERY_MS),
            alive: alive.subscribe(),
        });
    }
    let pending = jobs.len() - before;
    if pending == 0 {
        forget_resolved(group, &resolved);
    } else {
        let receiver = Arc::clone(receiver);
        let flight = Flight { number: flight, receiver, _alive: alive, pending, failed: false, resolved };
        group.flight = Some(flight);
    }
}

/// The keys of what the integrations of a receiver are told of a group.
fn log_keys(receiver: &ReceiverConfig, route: &Route, group: &Arc<str>) -> Vec<LogKey> {
    let mut number_of_kind: HashMap<&str, usize> = HashMap::new();
    let key = |integration: &IntegrationConfig| {
        let number = number_of_kind.entry(integration.kind()).or_default();
        let integration = format!("{}/{number}", integration.kind());
        *number += 1;
        LogKey { group: Arc::clone(group), receiver: Arc::clone(&route.receiver), integration }
    };
    receiver.integrations.iter().map(key).collect()
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
