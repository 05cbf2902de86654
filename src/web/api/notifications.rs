//! What Alertmanager's API does not tell: how receivers are told, what became of deliveries, and a test.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Map, Value, json};

use crate::config::IntegrationConfig;
use crate::model::Labels;
use crate::receivers::{Delivered, OFF, Off, TestError, rfc3339};
use crate::web::params::Params;
use crate::web::reply::{ApiError, Reply, Success};
use crate::web::state::ApiState;

type Shared = State<Arc<ApiState>>;

impl From<Off> for ApiError {
    fn from(off: Off) -> Self {
        Self::unavailable(off.to_string())
    }
}

fn object(labels: &Labels) -> Value {
    Value::Object(labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect::<Map<_, _>>())
}

fn shown(delivered: &Delivered) -> Value {
    json!({
        "time": rfc3339(delivered.at_ms),
        "receiver": delivered.receiver,
        "integration": delivered.integration,
        "index": delivered.place,
        "groupLabels": object(&delivered.group_labels),
        "firing": delivered.firing,
        "resolved": delivered.resolved,
        "alerts": delivered.alerts.iter().map(object).collect::<Vec<_>>(),
        "outcome": if delivered.error.is_none() { "delivered" } else { "failed" },
        "error": delivered.error,
        "attempts": delivered.attempts,
        "durationSeconds": delivered.took.as_secs_f64(),
        "test": delivered.is_test,
    })
}

/// `GET /notifications/receivers`: whether notifications are on, who is told how, and what became of that last.
pub async fn receivers(State(state): Shared) -> Reply<Value> {
    let Ok((config, is_silent)) = state.receivers.config() else {
        return Ok(Success::new(
            json!({ "enabled": false, "silent": false, "receivers": [], "reason": OFF }),
        ));
    };
    let integration = |receiver: &str, index: usize, one: &IntegrationConfig| {
        let last = state.receivers.last_delivery(receiver, index, one.kind());
        json!({
            "integration": one.kind(),
            "index": index,
            "sendResolved": one.send_resolved(),
            "lastDelivery": last.as_deref().map(shown),
        })
    };
    let receivers = config.receivers.iter().map(|receiver| {
        let all = receiver.integrations.iter().enumerate();
        let integrations: Vec<Value> =
            all.map(|(index, one)| integration(&receiver.name, index, one)).collect();
        json!({ "name": receiver.name, "integrations": integrations })
    });
    Ok(Success::new(json!({
        "enabled": true,
        "silent": is_silent,
        "receivers": receivers.collect::<Vec<_>>(),
    })))
}

/// `GET /notifications/log`: the last deliveries, the newest first.
pub async fn log(State(state): Shared) -> Reply<Value> {
    state.receivers.config()?;
    let deliveries: Vec<Value> = state.receivers.deliveries().iter().map(|one| shown(one)).collect();
    Ok(Success::new(json!({ "deliveries": deliveries })))
}

/// `POST|PUT /notifications/test?receiver=`: tells the receiver of a made-up alert and answers with what became of it.
pub async fn test(State(state): Shared, params: Params) -> Reply<Value> {
    let name = params.get("receiver").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| ApiError::bad_data("no receiver parameter provided"))?.to_owned();
    let tested = Box::pin(state.receivers.test(&name)).await;
    let deliveries = tested.map_err(|error| match error {
        TestError::NoReceiver(_) => ApiError::parameter("receiver", error),
        TestError::Off(_) | TestError::TooMany => ApiError::unavailable(error.to_string()),
    })?;
    Ok(Success::new(json!({ "deliveries": deliveries.iter().map(|one| shown(one)).collect::<Vec<_>>() })))
}
