//! Remote write, receiving side.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::web::reply::plain_error;
use crate::web::state::ApiState;

/// The message that is taken, version 1.0 of the protocol.
const ACCEPTED: &str = "prometheus.WriteRequest";

/// `POST /write`
pub async fn write(State(state): State<Arc<ApiState>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(receiver) = state.receiver.clone() else {
        let text = "remote write receiver needs to be enabled with --web.enable-remote-write-receiver";
        return plain_error(StatusCode::NOT_FOUND, text);
    };
    let header = |name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let encoding = header(header::CONTENT_ENCODING);
    if !matches!(encoding.as_str(), "" | "snappy") {
        let text = format!(
            "{encoding} encoding (compression) is not accepted by this server; only snappy is acceptable"
        );
        return plain_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text);
    }
    let content_type = header(header::CONTENT_TYPE);
    // As many at once as there are cores: more would only take memory.
    let Ok(_slot) = state.write_slots.acquire().await else {
        return plain_error(StatusCode::INTERNAL_SERVER_ERROR, "the server is stopping");
    };
    let work = tokio::task::spawn_blocking(move || {
        // A body that is not compressed is refused as such whatever its type.
        let message = receiver.inflate(&body)?;
        if let Err(reason) = check_content_type(&content_type) {
            return Ok(Some(reason));
        }
        receiver.commit(&message).map(|()| None)
    });
    match work.await {
        Ok(Ok(None)) => StatusCode::NO_CONTENT.into_response(),
        Ok(Ok(Some(reason))) => plain_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, &reason),
        Ok(Err(error)) if error.is_bad_request() => plain_error(StatusCode::BAD_REQUEST, &error.to_string()),
        Ok(Err(error)) => {
            tracing::error!(%error, "remote write request could not be stored");
            plain_error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
        }
        Err(_) => plain_error(StatusCode::INTERNAL_SERVER_ERROR, "the request failed inside the server"),
    }
}

/// Says why a body of this type is not taken.
fn check_content_type(content_type: &str) -> Result<(), String> {
    // Nothing said means the first version, as old senders do.
    if content_type.is_empty() {
        return Ok(());
    }
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    if media_type != "application/x-protobuf" {
        return Err(format!(
            "expected application/x-protobuf as the first (media) part, got {content_type} content-type"
        ));
    }
    for part in parts {
        let Some((name, value)) = part.split_once('=') else {
            return Err(format!(
                "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to be key-values, \
                 got {part} in {content_type} content-type"
            ));
        };
        match value {
            _ if name != "proto" => {}
            ACCEPTED => return Ok(()),
            "io.prometheus.write.v2.Request" => {
                return Err(format!(
                    "{value} protobuf message is not accepted by this server; only accepts {ACCEPTED}"
                ));
            }
            _ => {
                return Err(format!(
                    "got {content_type} content type; unknown type for remote write protobuf message {value}, \
                     supported: {ACCEPTED}"
                ));
            }
        }
    }
    Ok(())
}
