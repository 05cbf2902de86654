//! The states of the alerts of one rule: a pure function of what the rule found, and when.
//!
//! **Invariants**: an alert is identified by its final labels. All times are evaluation times in milliseconds since the
//! epoch; no clock is looked at, so that history can be played through it.

use std::collections::{HashMap, HashSet};

use crate::model::Labels;

/// How long an alert that is resolved is remembered, and its end sent again.
pub const RESOLVED_RETENTION_MS: i64 = 15 * 60_000;

/// State of an alert, and of a rule: the highest of its alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertState {
    /// It fired, and is resolved.
    Inactive,
    /// Its series is there, but not for long enough.
    Pending,
    /// It fires.
    Firing,
}

impl AlertState {
    /// The name it has in the API and in the label `alertstate`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// An alert.
#[derive(Debug, Clone)]
pub struct Alert {
    /// Final labels, `alertname` among them.
    pub labels: Labels,
    /// Texts for people, as of the last evaluation that found it.
    pub annotations: Labels,
    /// The value its series had then; 0 of a native histogram.
    pub value: f64,
    /// Its state.
    pub state: AlertState,
    /// When it was found first.
    pub active_at: i64,
    /// When it began to fire.
    pub fired_at: Option<i64>,
    /// When it ceased to.
    pub resolved_at: Option<i64>,
    /// Since when it fires only because it is to go on for a while.
    pub keep_firing_since: Option<i64>,
    /// When it was last handed to those who notify.
    pub last_sent: Option<i64>,
}

impl Alert {
    /// Whether it is to be sent at `at`: at the end once at once, else after `resend_delay` milliseconds.
    fn is_due(&self, at: i64, resend_delay: i64) -> bool {
        if self.state == AlertState::Pending {
            return false;
        }
        // A time to come is of a clock that was ahead.
        let Some(sent) = self.last_sent.filter(|sent| *sent <= at) else { return true };
        self.resolved_at.is_some_and(|resolved| resolved > sent) || sent.saturating_add(resend_delay) < at
    }
}

/// What a rule found: a series that is to be an alert.
#[derive(Debug, Clone)]
pub struct Found {
    /// Final labels.
    pub labels: Labels,
    /// Expanded annotations.
    pub annotations: Labels,
    /// Value of the series.
    pub value: f64,
}

/// How long states last, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// From pending to firing.
    pub hold: i64,
    /// From the end of the series to the end of firing.
    pub keep_firing: i64,
}

/// What an evaluation changed, for whoever stores it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Alerts that are new or in another state.
    pub changed: Vec<Labels>,
    /// Alerts that are forgotten.
    pub forgotten: Vec<Labels>,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.forgotten.is_empty()
    }
}

/// The alerts of one rule.
#[derive(Debug, Clone, Default)]
pub struct Alerts {
    by_labels: HashMap<Labels, Alert>,
}

impl Alerts {
    /// All alerts, resolved ones included, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Alert> {
        self.by_labels.values()
    }

    /// The alerts that are pending or firing, in label order.
    pub fn active(&self) -> Vec<&Alert> {
        let active = self.by_labels.values().filter(|alert| alert.state != AlertState::Inactive);
        let mut active: Vec<_> = active.collect();
        active.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        active
    }

    /// The alert with these labels.
    pub fn get(&self, labels: &Labels) -> Option<&Alert> {
        self.by_labels.get(labels)
    }

    /// Puts an alert in place of one with the same labels.
    pub fn put(&mut self, alert: Alert) {
        self.by_labels.insert(alert.labels.clone(), alert);
    }

    /// Changes every alert.
    pub fn each_mut(&mut self, change: impl FnMut(&mut Alert)) {
        self.by_labels.values_mut().for_each(change);
    }

    /// The highest state.
    pub fn state(&self) -> AlertState {
        self.by_labels.values().map(|alert| alert.state).max().unwrap_or(AlertState::Inactive)
    }

    /// Takes what was found at `at` (milliseconds) into account. With a `limit` above 0, more alerts that are pending or
    /// firing than that are an error and all are forgotten. With `keep_absent`, alerts that were not found stay as they are.
    ///
    /// # Errors
    /// The number of alerts, if that is over the limit.
    pub fn update(
        &mut self,
        found: Vec<Found>,
        at: i64,
        timing: Timing,
        limit: usize,
        keep_absent: bool,
    ) -> Result<Changes, usize> {
        let mut changes = Changes::default();
        let mut present: HashSet<Labels> = HashSet::with_capacity(found.len());
        for Found { labels, annotations, value } in found {
            present.insert(labels.clone());
            if let Some(alert) = self.by_labels.get_mut(&labels)
                && alert.state != AlertState::Inactive
            {
                (alert.value, alert.annotations) = (value, annotations);
                continue;
            }
            changes.changed.push(labels.clone());
            self.by_labels.insert(labels.clone(), Alert::begin(labels, annotations, value, at));
        }
        let mut active = 0;
        self.by_labels.retain(|labels, alert| {
            let before = (alert.state, alert.keep_firing_since);
            let is_present = present.contains(labels);
            let stays = (keep_absent && !is_present) || alert.step(at, timing, is_present);
            active += usize::from(stays && alert.state != AlertState::Inactive);
            if !stays {
                changes.forgotten.push(labels.clone());
            } else if before != (alert.state, alert.keep_firing_since)
                && !(alert.active_at == at && before.0 == AlertState::Pending)
            {
                changes.changed.push(labels.clone());
            }
            stays
        });
        if limit > 0 && active > limit {
            self.by_labels.clear();
            return Err(active);
        }
        Ok(changes)
    }

    /// Marks those that are to be sent at `at` as sent, and returns them in label order.
    pub fn take_due(&mut self, at: i64, resend_delay: i64) -> Vec<Alert> {
        let due = self.by_labels.values_mut().filter(|alert| alert.is_due(at, resend_delay));
        let sent = due.map(|alert| {
            alert.last_sent = Some(at);
            alert.clone()
        });
        let mut sent: Vec<_> = sent.collect();
        sent.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        sent
    }
}

impl Alert {
    /// An alert that is found for the first time, or again after it was resolved, at `at` (milliseconds). The evaluation
    /// that found it is yet to be taken into account.
    pub(super) fn begin(labels: Labels, annotations: Labels, value: f64, at: i64) -> Self {
        Self {
            labels,
            annotations,
            value,
            state: AlertState::Pending,
            active_at: at,
            fired_at: None,
            resolved_at: None,
            keep_firing_since: None,
            last_sent: None,
        }
    }

    /// Makes no time later than `now` (milliseconds): later ones are of a clock that was ahead.
    pub(super) fn clamp(&mut self, now: i64) {
        self.active_at = self.active_at.min(now);
        for time in
            [&mut self.fired_at, &mut self.resolved_at, &mut self.keep_firing_since, &mut self.last_sent]
        {
            *time = time.map(|time| time.min(now));
        }
    }

    /// Goes to the state it has after an evaluation at `at`; says whether it is still to be remembered.
    pub(super) fn step(&mut self, at: i64, timing: Timing, is_present: bool) -> bool {
        // A beginning to come is of a clock that was ahead.
        self.active_at = self.active_at.min(at);
        if is_present {
            self.keep_firing_since = None;
        } else {
            let goes_on = self.state == AlertState::Firing
                && timing.keep_firing > 0
                && at.saturating_sub(*self.keep_firing_since.get_or_insert(at)) < timing.keep_firing;
            let is_over = self.resolved_at.is_some_and(|end| at.saturating_sub(end) > RESOLVED_RETENTION_MS);
            if self.state == AlertState::Pending || is_over {
                return false;
            }
            if !goes_on {
                if self.state == AlertState::Firing {
                    (self.state, self.resolved_at) = (AlertState::Inactive, Some(at));
                }
                return true;
            }
        }
        let held = at.saturating_sub(self.active_at) >= timing.hold;
        match self.state {
            AlertState::Pending if held => {
                (self.state, self.fired_at) = (AlertState::Firing, Some(at));
            }
            // The time it has to wait was made longer.
            AlertState::Firing if !held => {
                self.state = AlertState::Pending;
                (self.fired_at, self.last_sent, self.keep_firing_since) = (None, None, None);
            }
            _ => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn labels(name: &str) -> Labels {
        Labels::from_pairs([("alertname", "A"), ("host", name)])
    }

    fn found(names: &str) -> Vec<Found> {
        let one = |name: &str| Found { labels: labels(name), annotations: Labels::empty(), value: 1.0 };
        names.split_whitespace().map(one).collect()
    }

    /// The states of the alerts as `name:state`.
    fn states(alerts: &Alerts) -> String {
        let mut all: Vec<_> = alerts.iter().collect();
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        let one =
            |alert: &&Alert| format!("{}:{}", alert.labels.get("host").unwrap_or(""), alert.state.name());
        all.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn play(timing: Timing, script: &[(&str, &str)]) -> Alerts {
        let mut alerts = Alerts::default();
        for (minute, (present, expected)) in (0..).zip(script) {
            alerts.update(found(present), minute * MINUTE, timing, 0, false).expect("no limit");
            assert_eq!(states(&alerts), *expected, "minute {minute}");
        }
        alerts
    }

    #[test]
    fn states_follow_each_other() {
        let timing = Timing { hold: 2 * MINUTE, keep_firing: 0 };
        play(
            timing,
            &[
                ("a b", "a:pending b:pending"),
                ("a", "a:pending"),
                ("a b", "a:firing b:pending"),
                ("b", "a:inactive b:pending"),
                ("a b", "a:pending b:firing"),
            ],
        );
        play(Timing::default(), &[("a", "a:firing"), ("", "a:inactive"), ("a", "a:firing")]);
    }

    #[test]
    fn firing_goes_on_for_a_while() {
        let timing = Timing { hold: 0, keep_firing: 2 * MINUTE };
        let alerts = play(
            timing,
            &[
                ("a", "a:firing"),
                ("", "a:firing"),
                ("a", "a:firing"),
                ("", "a:firing"),
                ("", "a:firing"),
                ("", "a:inactive"),
            ],
        );
        assert_eq!(alerts.get(&labels("a")).and_then(|alert| alert.resolved_at), Some(5 * MINUTE));
    }

    #[test]
    fn the_end_is_remembered_for_a_quarter_of_an_hour() {
        let mut alerts = play(Timing::default(), &[("a", "a:firing"), ("", "a:inactive")]);
        alerts
            .update(Vec::new(), MINUTE + RESOLVED_RETENTION_MS, Timing::default(), 0, false)
            .expect("no limit");
        assert_eq!(states(&alerts), "a:inactive");
        let changes =
            alerts.update(Vec::new(), MINUTE + RESOLVED_RETENTION_MS + 1, Timing::default(), 0, false);
        assert_eq!(changes.expect("no limit").forgotten, [labels("a")]);
        assert_eq!(states(&alerts), "");
    }

    #[test]
    fn a_longer_wait_makes_a_firing_alert_pending_again() {
        let mut alerts = play(Timing::default(), &[("a", "a:firing")]);
        alerts.take_due(0, MINUTE);
        let longer = Timing { hold: 5 * MINUTE, keep_firing: 0 };
        alerts.update(found("a"), MINUTE, longer, 0, false).expect("no limit");
        let alert = alerts.get(&labels("a")).expect("it is there");
        assert_eq!((alert.state, alert.fired_at, alert.last_sent), (AlertState::Pending, None, None));
    }

    #[test]
    fn more_alerts_than_the_limit_are_all_forgotten() {
        let mut alerts = Alerts::default();
        assert_eq!(alerts.update(found("a b"), 0, Timing::default(), 1, false), Err(2));
        assert_eq!(states(&alerts), "");
        assert!(alerts.update(found("a"), 0, Timing::default(), 1, false).is_ok());
        // One that is resolved does not count.
        assert!(alerts.update(found("b"), MINUTE, Timing::default(), 1, false).is_ok());
        assert_eq!(states(&alerts), "a:inactive b:firing");
    }

    #[test]
    fn alerts_are_sent_when_they_begin_when_they_end_and_in_between() {
        let mut alerts = Alerts::default();
        let timing = Timing { hold: MINUTE, keep_firing: 0 };
        let mut sent = Vec::new();
        for (at, present) in [(0, "a"), (1, "a"), (2, "a"), (3, "a"), (4, ""), (5, ""), (6, "")] {
            alerts.update(found(present), at * MINUTE, timing, 0, false).expect("no limit");
            sent.extend(alerts.take_due(at * MINUTE, MINUTE).iter().map(|alert| (at, alert.state.name())));
        }
        assert_eq!(sent, [(1, "firing"), (3, "firing"), (4, "inactive"), (6, "inactive")]);
    }

    #[test]
    fn only_what_changed_is_told() {
        let mut alerts = Alerts::default();
        let timing = Timing { hold: MINUTE, keep_firing: MINUTE };
        let mut update = |at: i64, present: &str| {
            let changes = alerts.update(found(present), at * MINUTE, timing, 0, false).expect("no limit");
            (changes.changed.len(), changes.forgotten.len())
        };
        assert_eq!(update(0, "a b"), (2, 0));
        assert_eq!(update(1, "a"), (1, 1));
        assert_eq!(update(2, "a"), (0, 0));
        assert_eq!(update(3, ""), (1, 0));
        assert_eq!(update(4, ""), (1, 0));
        assert_eq!(update(5, ""), (0, 0));
    }
}
