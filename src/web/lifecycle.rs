//! Health, readiness, reload, quit, and the server's own metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::reply::{ApiError, plain_error};
use super::state::ApiState;
use crate::telemetry::metrics;

type Shared = State<Arc<ApiState>>;

pub(super) async fn healthy() -> &'static str {
    "Emberkeep is Healthy.\n"
}

pub(super) async fn ready(State(state): Shared) -> Response {
    if state.ready.load(Ordering::Acquire) && state.db.is_replayed() {
        "Emberkeep is Ready.\n".into_response()
    } else {
        ApiError::not_ready(state.stopping.load(Ordering::Acquire)).into_response()
    }
}

pub(super) async fn only_post() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, "Only POST or PUT requests allowed").into_response()
}

fn forbidden() -> Response {
    plain_error(StatusCode::FORBIDDEN, "Lifecycle API is not enabled.")
}

pub(super) async fn reload(State(state): Shared) -> Response {
    if !state.lifecycle_enabled {
        return forbidden();
    }
    let (answer, answered) = oneshot::channel();
    let failed = |reason: String| {
        plain_error(StatusCode::INTERNAL_SERVER_ERROR, &format!("failed to reload config: {reason}"))
    };
    if state.reload.send(answer).await.is_err() {
        return failed("the server is stopping".to_owned());
    }
    match answered.await {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(reason)) => failed(reason),
        Err(_) => failed("the server is stopping".to_owned()),
    }
}

pub(super) async fn quit(State(state): Shared) -> Response {
    if !state.lifecycle_enabled {
        return forbidden();
    }
    state.quit.notify_one();
    "Requesting termination... Goodbye!".into_response()
}

pub(super) async fn metrics(State(state): Shared) -> Response {
    let Ok(place) = state.lanes.metrics.wait().await else {
        return ApiError::internal("the server is stopping").into_response();
    };
    let work = place.run(move || {
        state.db.refresh_metrics();
        state.http_metrics.set_kept_bytes(state.engine.load().kept_bytes());
        metrics::encode(&state.registry)
    });
    match work.await {
        Ok(text) => {
            ([(header::CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE))], text).into_response()
        }
        Err(_) => ApiError::internal("metrics could not be collected").into_response(),
    }
}
