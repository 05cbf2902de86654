//! Who is told of alerts.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};

use crate::web::reply::{Reply, Success};
use crate::web::state::ApiState;

/// `GET /alertmanagers`
pub async fn alertmanagers(State(state): State<Arc<ApiState>>) -> Reply<Value> {
    let now = state.notify.alertmanagers();
    let list = |urls: Vec<String>| urls.into_iter().map(|url| json!({ "url": url })).collect::<Vec<_>>();
    Ok(Success::new(json!({
        "activeAlertmanagers": list(now.active),
        "droppedAlertmanagers": list(now.dropped),
    })))
}
