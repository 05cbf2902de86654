//! Where targets come from, and what relabelling makes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use crate::discovery::{Change, MechanismStatus};
use crate::model::LabelsBuf;
use crate::relabel::{Rule, apply_steps};
use crate::web::json::labels_json;
use crate::web::params::Params;
use crate::web::reply::{ApiError, Reply, Success};
use crate::web::state::ApiState;

type Shared = State<Arc<ApiState>>;

/// Labels that a set for the trace may have at most; targets have some dozens.
const MAX_LABELS: usize = 1000;

fn time_json(ms: Option<i64>) -> Value {
    ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).map_or(Value::Null, |t| t.to_string().into())
}

fn mechanism_json(status: &MechanismStatus) -> Value {
    let health = &status.health;
    let change = |change: &Change| json!({ "at": time_json(Some(change.at_ms)), "added": change.added, "removed": change.removed });
    json!({
        "mechanism": status.mechanism,
        "what": status.what,
        "targets": status.targets,
        "lastRefresh": time_json(health.last_refresh_ms),
        "lastDuration": health.last_duration_ms.map(|ms| ms as f64 / 1000.0),
        "nextRefresh": time_json(health.next_refresh_ms),
        "lastError": health.last_error,
        "lastErrorTime": time_json(health.last_error_ms),
        // The latest first.
        "changes": health.changes.iter().rev().map(change).collect::<Vec<_>>(),
    })
}

fn sets_json(sets: &BTreeMap<String, Vec<MechanismStatus>>) -> Value {
    let set = |(name, mechanisms): (&String, &Vec<MechanismStatus>)| json!({ "name": name, "mechanisms": mechanisms.iter().map(mechanism_json).collect::<Vec<_>>() });
    sets.iter().map(set).collect()
}

/// `GET /discovery`: how the mechanisms of each job, and of each group of Alertmanagers, fare.
pub async fn discovery(State(state): Shared) -> Reply<Value> {
    Ok(Success::new(json!({
        "jobs": sets_json(&state.discovery.status()),
        "alertmanagers": sets_json(&state.alertmanager_discovery.status()),
    })))
}

fn rule_json(rule: &Rule) -> Value {
    let spec = rule.spec();
    let mut shown = json!({
        "separator": spec.separator,
        "regex": spec.regex,
        "replacement": spec.replacement,
        "action": spec.action.name(),
    });
    // As in Prometheus, what says nothing is left out.
    if !spec.source_labels.is_empty() {
        shown["source_labels"] = json!(spec.source_labels);
    }
    if spec.modulus > 0 {
        shown["modulus"] = spec.modulus.into();
    }
    if !spec.target_label.is_empty() {
        shown["target_label"] = spec.target_label.as_str().into();
    }
    shown
}

/// `GET /targets/relabel_steps`: what each rule of a job makes of labels.
pub async fn relabel_steps(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let needed = |name: &'static str| {
        let given = params.get(name).filter(|text| !text.is_empty());
        given.map(str::to_owned).ok_or_else(|| ApiError::bad_data(format!("no {name} parameter provided")))
    };
    let (pool, labels) = (needed("scrapePool")?, needed("labels")?);
    state.answer(move |state, _| trace(state, &pool, &labels).map(Success::new)).await
}

fn trace(state: &ApiState, pool: &str, labels: &str) -> Result<Value, ApiError> {
    let labels: BTreeMap<String, String> = serde_json::from_str(labels)
        .map_err(|error| ApiError::bad_data(format!("error parsing labels: {error}")))?;
    if labels.len() > MAX_LABELS {
        return Err(ApiError::bad_data(format!("more than {MAX_LABELS} labels")));
    }
    let config = state.config.load();
    let job = config.job(pool);
    let job = job.ok_or_else(|| ApiError::bad_data(format!("unknown scrape pool {pool:?}")))?;
    let mut buffer = LabelsBuf::new();
    labels.iter().for_each(|(name, value)| buffer.set(name, value));
    let mut outputs = apply_steps(&job.relabel_configs, &mut buffer).into_iter();
    let steps: Vec<Value> = job
        .relabel_configs
        .iter()
        .map(|rule| {
            // What comes after the one that drops them is not run.
            let output = outputs.next().flatten();
            json!({
                "rule": rule_json(rule),
                "output": output.as_ref().map_or_else(|| json!({}), labels_json),
                "keep": output.is_some(),
            })
        })
        .collect();
    Ok(json!({ "steps": steps }))
}
