//! Remote write, receiving side.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::web::state::ApiState;

/// `POST /write`
pub async fn write(State(state): State<Arc<ApiState>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(receiver) = state.receiver.clone() else {
        let text = "remote write receiver needs to be enabled with --web.enable-remote-write-receiver";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let header = |name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let encoding = header(header::CONTENT_ENCODING);
    if !matches!(encoding, "" | "snappy") {
        let text = format!(
            "{encoding} encoding (compression) is not accepted by this server; only snappy is acceptable"
        );
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
    }
    let content_type = header(header::CONTENT_TYPE);
    let mut parts = content_type.split(';').map(str::trim);
    let is_protobuf = matches!(parts.next(), Some("" | "application/x-protobuf"));
    let message = parts.find_map(|p| p.strip_prefix("proto=")).unwrap_or("prometheus.WriteRequest");
    if !is_protobuf || message != "prometheus.WriteRequest" {
        let text = format!(
            "{content_type} content type is not accepted by this server; only prometheus.WriteRequest is supported yet"
        );
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
    }
    match tokio::task::spawn_blocking(move || receiver.write(&body)).await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(error)) if error.is_bad_request() => {
            (StatusCode::BAD_REQUEST, error.to_string()).into_response()
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "remote write request could not be stored");
            (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the request failed inside the server").into_response(),
    }
}
