//! One rule, evaluated once. Runs where it may block.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::alert::{Alert, AlertState, Found};
use super::backend::{Backend, Output};
use super::batches::{ALERT_NAME, ALERTS, ALERTS_FOR_STATE};
use super::rule::{Alerting, Rule};
use super::state::{Health, RuleState};
use crate::model::{Labels, LabelsBuf, METRIC_NAME};
use crate::promql::VectorSample;
use crate::template::{self, Data, Limits, SampleValue};
use crate::util::lock::lock;
use crate::util::{StopToken, brief};

/// The label that tells the state of an alert.
const ALERT_STATE: &str = "alertstate";

/// Time that the texts of all alerts of a rule may take in one evaluation; the rule fails then, and its alerts stay.
const TEXTS_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of labels and annotations of all alerts of a rule; it fails beyond that, and its alerts stay.
pub(super) const MAX_TEXT_BYTES: usize = 64 << 20;

/// What the texts of alerts can say of this server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct External {
    /// The external labels of the configuration.
    pub labels: Labels,
    /// Where this server is reached from outside.
    pub url: String,
    /// The path of that.
    pub path_prefix: String,
}

/// Who is told of changes of alerts.
pub(super) trait Listener: Send + Sync {
    /// The alerts of rule `number` changed, or were sent: `changed` are those that are new or different, as they are now.
    /// When it returns, they are stored, if `durably` for certain.
    fn changed(&self, number: usize, changed: &[Alert], forgotten: &[Labels], durably: bool);

    /// These alerts of a rule with this query are to be told to the world.
    fn send(&self, query: &str, alerts: Vec<Alert>);

    /// A label or an annotation of `rule` could not be expanded for the series `labels`; the alert says so itself.
    fn text_failed(&self, rule: &Rule, labels: &Labels, error: &template::Error) {
        tracing::warn!(alert = rule.name, labels = brief(labels), %error, "failed to expand an alert template");
    }
}

/// What an evaluation of a group needs.
pub(super) struct Scene<'a> {
    /// Where to read and write.
    pub backend: &'a dyn Backend,
    /// Who is told of changes.
    pub listener: &'a dyn Listener,
    /// What texts can say of this server.
    pub external: &'a External,
    /// Evaluation time in milliseconds.
    pub at: i64,
    /// How far back the rules look, in milliseconds.
    pub offset: i64,
    /// Most series or alerts of a rule; 0 is no limit.
    pub limit: usize,
    /// How often an alert is sent again, in milliseconds.
    pub resend_delay: i64,
    /// The time by the clock, in milliseconds.
    pub now_ms: i64,
    /// Ends queries when it is stopped.
    pub stop: &'a StopToken,
}

/// Evaluates rule `number` of a group. Returns how many samples it gave, or why it failed; the rule knows too.
pub(super) fn evaluate(state: &RuleState, number: usize, scene: &Scene<'_>) -> Result<usize, String> {
    let began = Instant::now();
    let result = evaluate_inside(state, number, scene);
    let mut now = lock(&state.now);
    (now.evaluated_ms, now.took) = (Some(scene.now_ms), began.elapsed());
    match &result {
        Ok(_) => (now.health, now.last_error) = (Health::Ok, String::new()),
        Err(error) => (now.health, now.last_error) = (Health::Err, brief(error)),
    }
    result
}

fn evaluate_inside(state: &RuleState, number: usize, scene: &Scene<'_>) -> Result<usize, String> {
    let rule = &state.rule;
    let time = scene.at.saturating_sub(scene.offset);
    let found = scene.backend.query(&rule.expr, time, scene.stop)?;
    let outputs = match &rule.alerting {
        None => recorded(rule, found, scene.limit)?,
        Some(alerting) => alerts(state, alerting, number, &found, scene)?,
    };
    store(state, &outputs, time, scene.backend)?;
    Ok(outputs.len())
}

/// Stores what a rule gave, and marks the series stale that it gave the last time and not this time.
fn store(state: &RuleState, outputs: &[Output], time: i64, backend: &dyn Backend) -> Result<(), String> {
    let refused = backend.write(outputs, time)?;
    let given: HashSet<Labels> = outputs.iter().map(|output| output.labels.clone()).collect();
    let before = std::mem::replace(&mut lock(&state.now).previous, given);
    let ended: Vec<Labels> = {
        let now = lock(&state.now);
        before.into_iter().filter(|labels| !now.previous.contains(labels)).collect()
    };
    if !ended.is_empty()
        && let Err(error) = backend.write_stale(&ended, time)
    {
        tracing::warn!(rule = state.rule.name, error, "failed to mark series as stale");
    }
    refused.map_or(Ok(()), Err)
}

fn recorded(rule: &Rule, found: Vec<VectorSample>, limit: usize) -> Result<Vec<Output>, String> {
    let mut seen = HashSet::with_capacity(found.len());
    let mut outputs = Vec::with_capacity(found.len());
    for VectorSample { labels, value, histogram, .. } in found {
        let labels = rule.recorded(&labels);
        if !seen.insert(labels.clone()) {
            return Err(
                "vector contains metrics with the same labelset after applying rule labels".to_owned()
            );
        }
        outputs.push(Output { labels, value, histogram });
    }
    if limit > 0 && outputs.len() > limit {
        return Err(format!("exceeded limit of {limit} with {} series", outputs.len()));
    }
    Ok(outputs)
}

/// Takes what was found into account, tells who has to know, and returns the series that show the alerts.
fn alerts(
    state: &RuleState,
    alerting: &Alerting,
    number: usize,
    found: &[VectorSample],
    scene: &Scene<'_>,
) -> Result<Vec<Output>, String> {
    let found = expanded(&state.rule, alerting, found, scene)?;
    if scene.stop.is_stopped() {
        // Queries of templates may have been cut short, and labels with them.
        return Err("the server is shutting down".to_owned());
    }
    let (outputs, changed, forgotten, due) = {
        let mut now = lock(&state.now);
        let before: Vec<Labels> = if scene.limit > 0 {
            now.alerts.iter().map(|alert| alert.labels.clone()).collect()
        } else {
            Vec::new()
        };
        let keep_absent = now.settling > 0;
        now.settling = now.settling.saturating_sub(1);
        let changes = match now.alerts.update(found, scene.at, alerting.timing, scene.limit, keep_absent) {
            Ok(changes) => changes,
            Err(count) => {
                // Its series live on until they are too old, as those of any rule that fails.
                drop(now);
                scene.listener.changed(number, &[], &before, true);
                return Err(format!("exceeded limit of {} with {count} alerts", scene.limit));
            }
        };
        let changed: Vec<Alert> =
            changes.changed.iter().filter_map(|labels| now.alerts.get(labels)).cloned().collect();
        let outputs = if now.unrestored { Vec::new() } else { shown(&state.rule, now.alerts.active()) };
        (outputs, changed, changes.forgotten, now.alerts.take_due(scene.at, scene.resend_delay))
    };
    if !changed.is_empty() || !forgotten.is_empty() {
        scene.listener.changed(number, &changed, &forgotten, true);
    }
    if !due.is_empty() {
        scene.listener.send(&state.rule.query, due.clone());
        scene.listener.changed(number, &due, &[], false);
    }
    Ok(outputs)
}

/// The two series of each alert.
pub(super) fn shown(rule: &Rule, alerts: Vec<&Alert>) -> Vec<Output> {
    let mut buffer = LabelsBuf::new();
    let mut outputs = Vec::with_capacity(alerts.len() * 2);
    for alert in alerts {
        debug_assert!(alert.state != AlertState::Inactive);
        buffer.clear();
        rule.labels.iter().for_each(|(name, text)| buffer.set(name, text));
        for (name, value) in &alert.labels {
            buffer.set(name, value);
        }
        buffer.set(METRIC_NAME, ALERTS_FOR_STATE);
        buffer.set(ALERT_NAME, &rule.name);
        let since = alert.active_at.div_euclid(1000) as f64;
        outputs.push(Output { labels: buffer.to_labels(), value: since, histogram: None });
        buffer.set(METRIC_NAME, ALERTS);
        buffer.set(ALERT_STATE, alert.state.name());
        outputs.push(Output { labels: buffer.to_labels(), value: 1.0, histogram: None });
    }
    outputs
}

/// The queries of templates.
struct Queries<'a>(&'a Scene<'a>);

impl template::Source for Queries<'_> {
    fn query(&self, query: &str) -> Result<Vec<template::QuerySample>, String> {
        let Scene { backend, at, stop, .. } = self.0;
        let found = backend.query_text(query, *at, stop)?;
        let sample = |one: VectorSample| template::QuerySample { value: value_of(&one), labels: one.labels };
        Ok(found.into_iter().map(sample).collect())
    }
}

fn value_of(sample: &VectorSample) -> SampleValue {
    match &sample.histogram {
        Some(histogram) => SampleValue::Histogram(Arc::clone(histogram)),
        None => SampleValue::Float(sample.value),
    }
}

/// The alerts that the series `found` stand for, with their texts.
pub(super) fn expanded(
    rule: &Rule,
    alerting: &Alerting,
    found: &[VectorSample],
    scene: &Scene<'_>,
) -> Result<Vec<Found>, String> {
    let mut seen = HashSet::with_capacity(found.len());
    let mut out = Vec::with_capacity(found.len());
    let (mut buffer, mut bytes) = (LabelsBuf::new(), 0usize);
    let limits = Limits { deadline: Instant::now().checked_add(TEXTS_TIMEOUT), ..Limits::default() };
    for sample in found {
        let data = Data {
            labels: &sample.labels,
            external_labels: &scene.external.labels,
            external_url: &scene.external.url,
            path_prefix: &scene.external.path_prefix,
            value: value_of(sample),
            timestamp_ms: scene.at,
        };
        let expand = |text: &template::Template| {
            if text.is_literal() {
                return text.text().to_owned();
            }
            text.expand(&data, &Queries(scene), &limits).unwrap_or_else(|error| {
                scene.listener.text_failed(rule, &sample.labels, &error);
                format!("<error expanding template: {error}>")
            })
        };
        buffer.reset_to(&sample.labels);
        buffer.remove(METRIC_NAME);
        for (name, text) in &alerting.labels {
            let value = expand(text);
            if limits.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                // A label that says so would be another alert.
                return Err(format!("labels and annotations took longer than {TEXTS_TIMEOUT:?}"));
            }
            buffer.set(name, &value);
        }
        buffer.set(ALERT_NAME, &rule.name);
        let labels = buffer.to_labels();
        if !seen.insert(labels.clone()) {
            return Err(
                "vector contains metrics with the same labelset after applying alert labels".to_owned()
            );
        }
        let annotations = alerting.annotations.iter().map(|(name, text)| (name.as_str(), expand(text)));
        let annotations = Labels::from_pairs(annotations);
        bytes = bytes.saturating_add(labels.packed_len()).saturating_add(annotations.packed_len());
        if bytes > MAX_TEXT_BYTES {
            return Err(too_much_text());
        }
        // A native histogram has no value that would fit.
        let value = if sample.histogram.is_some() { 0.0 } else { sample.value };
        out.push(Found { labels, annotations, value });
    }
    Ok(out)
}

/// Why a rule fails whose alerts have more than [`MAX_TEXT_BYTES`].
pub(super) fn too_much_text() -> String {
    format!("labels and annotations of the alerts exceed {} MiB", MAX_TEXT_BYTES >> 20)
}

/// Evaluates the rules `numbers` of a group one after the other.
pub(super) fn evaluate_each(
    rules: &[Arc<RuleState>],
    numbers: &[usize],
    scene: &Scene<'_>,
) -> Vec<Result<usize, String>> {
    let one = |number: &usize| rules.get(*number).map(|state| evaluate(state, *number, scene));
    numbers.iter().filter_map(one).collect()
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
