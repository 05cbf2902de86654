//! Rules and alerts.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::status::rfc3339;
use crate::model::{Labels, Matcher};
use crate::rules::{Alert, AlertState, AlertingView, GroupView, RuleView};
use crate::web::params::{Params, parse_integer};
use crate::web::reply::{ApiError, Success};
use crate::web::state::ApiState;

type Shared = State<Arc<ApiState>>;

/// How Go prints a time that was never set.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// What is wanted of the rules.
struct Filter {
    names: Vec<String>,
    groups: Vec<String>,
    files: Vec<String>,
    selectors: Vec<Vec<Matcher>>,
    alerting: bool,
    recording: bool,
    with_alerts: bool,
    /// Most groups, and the token of the first one.
    page: Option<(usize, Option<String>)>,
}

/// `GET /rules`
pub async fn rules(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    state
        .answer(move |state, turn| {
            let selectors = params.selectors(turn).map_err(ApiError::bare)?;
            let filter = filter(&params, selectors)?;
            page(&state.rules.groups(), &filter).map(Success::new)
        })
        .await
}

/// `GET /alerts`: those that are pending or firing.
pub async fn alerts(State(state): Shared) -> Result<Response, ApiError> {
    state
        .answer(|state, _| {
            let groups = state.rules.groups();
            let rules = groups.iter().flat_map(|group| &group.rules);
            let alerting = rules.filter_map(|rule| rule.alerting.as_ref());
            let alerts: Vec<Value> = alerting.flat_map(|rule| &rule.alerts).map(alert_json).collect();
            Ok(Success::new(json!({ "alerts": alerts })))
        })
        .await
}

fn filter(params: &Params, selectors: Vec<Vec<Matcher>>) -> Result<Filter, ApiError> {
    let kind = params.get("type").unwrap_or_default().to_lowercase();
    if !["", "alert", "record"].contains(&kind.as_str()) {
        return Err(ApiError::parameter("type", format!("not supported value {kind:?}")));
    }
    let exclude = params.get("exclude_alerts").unwrap_or_default();
    let with_alerts = match exclude.to_lowercase().as_str() {
        "" | "0" | "f" | "false" => true,
        "1" | "t" | "true" => false,
        lower => {
            let cause = format!(
                "error converting exclude_alerts: strconv.ParseBool: parsing {lower:?}: invalid syntax"
            );
            return Err(ApiError::parameter("exclude_alerts", cause));
        }
    };
    let all = |name: &str| params.all(name).map(str::to_owned).collect();
    Ok(Filter {
        names: all("rule_name[]"),
        groups: all("rule_group[]"),
        files: all("file[]"),
        selectors,
        alerting: kind != "record",
        recording: kind != "alert",
        with_alerts,
        page: paging(params)?,
    })
}

fn paging(params: &Params) -> Result<Option<(usize, Option<String>)>, ApiError> {
    let not_empty = |name: &str| params.get(name).filter(|text| !text.is_empty());
    let token = not_empty("group_next_token").map(str::to_owned);
    let Some(text) = not_empty("group_limit") else {
        let cause = "group_limit needs to be present in order to paginate over the groups";
        return token.map_or(Ok(None), |_| Err(ApiError::parameter("group_next_token", cause)));
    };
    let limit = parse_integer("ParseInt", text).map_err(|cause| {
        ApiError::parameter("group_limit", format!("group_limit needs to be a valid number: {cause}"))
    })?;
    match usize::try_from(limit) {
        Ok(limit) if limit > 0 => Ok(Some((limit, token))),
        _ => Err(ApiError::parameter("group_limit", "group_limit needs to be greater than 0")),
    }
}

fn token(group: &GroupView) -> String {
    let hash = Sha256::digest(format!("{};{}", group.file, group.name));
    hash.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn page(groups: &[GroupView], filter: &Filter) -> Result<Value, ApiError> {
    let first = match &filter.page {
        Some((_, Some(wanted))) => {
            groups.iter().position(|group| token(group) == *wanted).ok_or_else(|| {
                let cause = format!("invalid group_next_token '{wanted}'. were rule groups changed?");
                ApiError::parameter("group_next_token", cause)
            })?
        }
        _ => 0,
    };
    let is_among = |wanted: &[String], name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let mut found = Vec::new();
    let mut next = None;
    for group in groups.iter().skip(first) {
        if !is_among(&filter.groups, &group.name) || !is_among(&filter.files, &group.file) {
            continue;
        }
        let wanted = group.rules.iter().filter(|rule| is_among(&filter.names, &rule.name));
        let rules: Vec<Value> = wanted.filter_map(|rule| rule_json(rule, filter)).collect();
        if rules.is_empty() {
            continue;
        }
        if filter.page.as_ref().is_some_and(|(limit, _)| found.len() >= *limit) {
            next = Some(token(group));
            break;
        }
        let mut shown = json!({
            "name": group.name,
            "file": group.file,
            "interval": group.interval.as_secs_f64(),
            "limit": group.limit,
            "rules": rules,
            "evaluationTime": group.took.as_secs_f64(),
            "lastEvaluation": when(group.evaluated_ms),
        });
        // Prometheus does not tell this one.
        if let Some(offset) = group.query_offset {
            shown["queryOffset"] = offset.as_secs_f64().into();
        }
        found.push(shown);
    }
    let mut reply = json!({ "groups": found });
    if let Some(next) = next {
        reply["groupNextToken"] = next.into();
    }
    Ok(reply)
}

fn when(ms: Option<i64>) -> String {
    ms.map_or_else(|| NEVER.to_owned(), rfc3339)
}

pub(super) fn object<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    Value::Object(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
}

fn texts(pairs: &[(String, String)]) -> Value {
    object(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

fn rule_json(rule: &RuleView, filter: &Filter) -> Option<Value> {
    let labels = Labels::from_pairs(rule.labels.iter().map(|(name, value)| (name, value)));
    let matches = |matchers: &Vec<Matcher>| matchers.iter().all(|one| one.matches_labels(&labels));
    if !filter.selectors.is_empty() && !filter.selectors.iter().any(matches) {
        return None;
    }
    let wanted = if rule.alerting.is_some() { filter.alerting } else { filter.recording };
    if !wanted {
        return None;
    }
    let mut json = json!({
        "name": rule.name,
        "query": rule.query,
        "labels": texts(&rule.labels),
        "health": rule.health.name(),
        "evaluationTime": rule.took.as_secs_f64(),
        "lastEvaluation": when(rule.evaluated_ms),
        "type": if rule.alerting.is_some() { "alerting" } else { "recording" },
    });
    if !rule.last_error.is_empty() {
        json["lastError"] = rule.last_error.as_str().into();
    }
    if let Some(AlertingView { hold, keep_firing, annotations, state, alerts }) = &rule.alerting {
        json["state"] = state.map_or("unknown", |state| state.name()).into();
        json["duration"] = hold.as_secs_f64().into();
        json["keepFiringFor"] = keep_firing.as_secs_f64().into();
        json["annotations"] = texts(annotations);
        if filter.with_alerts {
            json["alerts"] = alerts.iter().map(alert_json).collect();
        } else {
            let count = |state| alerts.iter().filter(|alert| alert.state == state).count();
            json["alerts"] = Value::Null;
            json["alertCounts"] =
                json!({ "pending": count(AlertState::Pending), "firing": count(AlertState::Firing) });
        }
    }
    Some(json)
}

fn alert_json(alert: &Alert) -> Value {
    let mut json = json!({
        "labels": object(&alert.labels),
        "annotations": object(&alert.annotations),
        "state": alert.state.name(),
        "activeAt": rfc3339(alert.active_at),
        "value": exponent(alert.value),
    });
    if let Some(since) = alert.keep_firing_since {
        json["keepFiringSince"] = rfc3339(since).into();
    }
    json
}

/// A number with an exponent of two digits at least, as Go prints it.
fn exponent(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        }
        .to_owned();
    }
    let text = format!("{value:e}");
    let Some((digits, power)) = text.split_once('e') else { return text };
    let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
    format!("{digits}e{sign}{power:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_exponents_as_in_go() {
        for (value, text) in [
            (0.0, "0e+00"),
            (1.0, "1e+00"),
            (-1234.5, "-1.2345e+03"),
            (1.5e-7, "1.5e-07"),
            (1e300, "1e+300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(exponent(value), text);
        }
    }
}
