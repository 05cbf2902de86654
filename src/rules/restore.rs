//! States of alerts over restarts: from the store, or, where there is none yet, from the series that tell them.

use std::collections::HashMap;

use super::alert::{Alert, AlertState, RESOLVED_RETENTION_MS};
use super::batches::{ALERT_NAME, ALERTS_FOR_STATE};
use super::evaluate::shown;
use super::rule::Rule;
use super::state::{Group, RuleState};
use super::store::SavedGroup;
use crate::model::{Labels, LabelsBuf, METRIC_NAME, Matcher, Samples, TimeRange, is_stale};
use crate::storage::{Need, Queryable, SelectRequest, StorageError};
use crate::util::lock::lock;

/// As many evaluations after an outage leave alerts alone that they do not find: by then targets were scraped, and
/// recording rules evaluated.
const SETTLING: u8 = 2;

/// How long an outage may be, and what happens to alerts that were about to fire, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tolerance {
    /// After a longer outage pending alerts begin anew.
    pub(super) outage: i64,
    /// Of alerts restored from series: they fire no earlier than this after the restart. Those of rules that wait for less
    /// are not restored.
    pub(super) grace: i64,
}

/// Gives the rules of `group` the alerts that were stored. `first` is the time of the first evaluation to come.
///
/// The time for which nobody looked does not count for alerts that are pending: their beginning moves by it. Returns the
/// number of each rule with alerts, these alerts, and those that are not taken over.
pub(super) fn from_store(
    group: &Group,
    saved: &SavedGroup,
    first: i64,
    tolerance: Tolerance,
) -> Vec<(usize, Vec<Alert>, Vec<Labels>)> {
    let interval = i64::try_from(group.spec.interval.as_millis()).unwrap_or(i64::MAX);
    let blind = first.saturating_sub(saved.at).saturating_sub(interval).max(0);
    let mut restored = Vec::new();
    for (number, (key, state)) in group.identified().enumerate() {
        let Some(alerts) = saved.alerts.get(key).filter(|_| state.rule.alerting.is_some()) else { continue };
        let mut now = lock(&state.now);
        let mut left = Vec::new();
        for alert in alerts.values() {
            let mut alert = alert.clone();
            alert.clamp(first);
            let long_over =
                alert.resolved_at.is_some_and(|end| first.saturating_sub(end) > RESOLVED_RETENTION_MS);
            if long_over || alert.state == AlertState::Pending && blind > tolerance.outage {
                left.push(alert.labels);
                continue;
            }
            if alert.state == AlertState::Pending {
                alert.active_at = alert.active_at.saturating_add(blind);
            }
            now.alerts.put(alert);
        }
        // The series that show them may have to be marked stale.
        let series =
            shown(&state.rule, now.alerts.active()).into_iter().map(|output| output.labels).collect();
        now.previous = series;
        now.settling = if blind > 0 { SETTLING } else { 0 };
        restored.push((number, now.alerts.iter().cloned().collect(), left));
    }
    restored
}

/// Gives the alerts that the first evaluations found the beginnings that `ALERTS_FOR_STATE` tells, as Prometheus does.
/// `now` is in milliseconds. From now on the rules of the group write the series of their alerts. Returns the number of
/// each rule with its alerts.
pub(super) fn from_series(
    group: &Group,
    source: &dyn Queryable,
    now: i64,
    tolerance: Tolerance,
) -> Vec<(usize, Vec<Alert>)> {
    let mut restored = Vec::new();
    for (number, state) in group.rules.iter().enumerate() {
        let Some(alerting) = &state.rule.alerting else { continue };
        let hold = alerting.timing.hold;
        if hold >= tolerance.grace {
            match beginnings(&state.rule, source, TimeRange::new(now.saturating_sub(tolerance.outage), now)) {
                Ok(known) => adopt(state, &known, hold, now, tolerance.grace),
                Err(error) => {
                    tracing::error!(alert = state.rule.name, %error, "failed to restore the state of alerts from their series");
                }
            }
        }
        let mut now = lock(&state.now);
        now.unrestored = false;
        restored.push((number, now.alerts.iter().cloned().collect()));
    }
    restored
}

/// For each alert its last sample: when, and the beginning it tells in seconds.
fn beginnings(
    rule: &Rule,
    source: &dyn Queryable,
    range: TimeRange,
) -> Result<HashMap<Labels, (i64, f64)>, StorageError> {
    let mut matchers =
        vec![Matcher::equal(METRIC_NAME, ALERTS_FOR_STATE), Matcher::equal(ALERT_NAME, rule.name.as_str())];
    // What a template gives is not known.
    let plain = rule.labels.iter().filter(|(name, text)| name != ALERT_NAME && !text.contains("{{"));
    matchers.extend(plain.map(|(name, value)| Matcher::equal(name.as_str(), value.as_str())));
    let request = SelectRequest { need: Need::Newest, ..SelectRequest::new(&matchers, range) };
    let set = source.querier(range)?.select(&request)?;
    let mut known = HashMap::new();
    let mut samples = Samples::default();
    for at in 0..set.len() {
        set.read(at, range, &mut samples)?;
        if let (Some(time), Some(value)) = (samples.timestamps.last(), samples.values.last()) {
            known.insert(set.labels(at).without(|name| name == METRIC_NAME), (*time, *value));
        }
    }
    Ok(known)
}

fn adopt(state: &RuleState, known: &HashMap<Labels, (i64, f64)>, hold: i64, now: i64, grace: i64) {
    let mut buffer = LabelsBuf::new();
    lock(&state.now).alerts.each_mut(|alert| {
        buffer.clear();
        state.rule.labels.iter().for_each(|(name, text)| buffer.set(name, text));
        for (name, value) in &alert.labels {
            buffer.set(name, value);
        }
        let Some((last_seen, began)) = known.get(&buffer.to_labels()) else { return };
        if is_stale(*began) {
            return;
        }
        #[expect(clippy::cast_possible_truncation, reason = "saturates, and is a time")]
        let began = (*began * 1000.0) as i64;
        let remaining = hold.saturating_sub(last_seen.saturating_sub(began));
        alert.active_at = if remaining <= 0 {
            // It fired; the next evaluation finds that out.
            began
        } else if remaining < grace {
            now.saturating_add(grace).saturating_sub(hold)
        } else {
            began.saturating_add(now.saturating_sub(*last_seen))
        };
    });
}
