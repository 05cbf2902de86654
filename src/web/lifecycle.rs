//! Health, readiness, reload, quit, and the server's own metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::reply::{ApiError, plain_error};
use super::state::ApiState;
use crate::telemetry::{classic, metrics};

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

/// `GET /metrics`, as OpenMetrics for those who ask for it, else in the classic text format.
pub(super) async fn metrics(State(state): Shared, headers: HeaderMap) -> Response {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let openmetrics = wants_openmetrics(&accept.collect::<Vec<_>>().join(","));
    let Ok(place) = state.lanes.metrics.wait().await else {
        return ApiError::internal("the server is stopping").into_response();
    };
    let work = place.run(move || {
        state.db.refresh_metrics();
        state.http_metrics.set_kept_bytes(state.engine.kept_bytes());
        let text = metrics::encode(&state.registry);
        if openmetrics { text } else { classic::from_openmetrics(&text) }
    });
    let media_type = if openmetrics { metrics::CONTENT_TYPE } else { classic::CONTENT_TYPE };
    let named = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::VARY, HeaderValue::from_static("Accept, Accept-Encoding")),
    ];
    match work.await {
        Ok(text) => (named, text).into_response(),
        Err(_) => ApiError::internal("metrics could not be collected").into_response(),
    }
}

/// Whether an `Accept` header likes OpenMetrics no less than the classic text format.
fn wants_openmetrics(accept: &str) -> bool {
    let (mut openmetrics, mut text) = (0.0_f64, 0.0_f64);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut quality, mut version) = (1.0, None);
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => quality = value.trim().parse().unwrap_or(0.0),
                "version" => version = Some(value.trim().trim_matches('"')),
                _ => {}
            }
        }
        match (media_type.as_str(), version) {
            ("application/openmetrics-text", None | Some("1.0.0" | "0.0.1")) => {
                openmetrics = openmetrics.max(quality);
            }
            ("text/plain", None | Some("0.0.4")) | ("text/*" | "*/*", _) => text = text.max(quality),
            _ => {}
        }
    }
    openmetrics > 0.0 && openmetrics >= text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_ask_for_it() {
        let check =
            |accept: &str, expected: bool| assert_eq!(wants_openmetrics(accept), expected, "{accept}");
        check("", false);
        check("*/*", false);
        check("text/html,application/xhtml+xml,*/*;q=0.8", false);
        check("text/plain;version=0.0.4", false);
        check("application/openmetrics-text", true);
        check("application/openmetrics-text;version=2.0.0", false);
        check("application/openmetrics-text; version=1.0.0; charset=utf-8", true);
        check("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.9", false);
        check("application/openmetrics-text;q=0", false);
        // What Prometheus asks for.
        check(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            true,
        );
    }
}
