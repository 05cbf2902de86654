//! Remote write, receiving side.
//!
//! **Cost**: the bytes of all bodies that have arrived and wait, or arrive, are bounded by `MAX_WAITING_BYTES`; as
//! many are inflated and stored at once as their lane has places. Both are given back when the work is done, not when
//! the client goes away.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::remote::{ReceiveError, Written};
use crate::web::bodies::{self, BodyError, MAX_BODY_BYTES, Room};
use crate::web::replay::replayed;
use crate::web::reply::plain_error;
use crate::web::state::ApiState;

/// The message of version 1.0 of the protocol.
const FIRST: &str = "prometheus.WriteRequest";
/// The message of version 2.0.
const SECOND: &str = "io.prometheus.write.v2.Request";

/// Which of them a request holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    First,
    Second,
}

/// Bytes of bodies, as they come, that are in memory at once; further requests are refused, and come again.
const MAX_WAITING_BYTES: usize = 4 * MAX_BODY_BYTES;

/// The room for bodies.
pub fn room() -> Room {
    Room::new(MAX_WAITING_BYTES)
}

/// The reply to a request whose body was not read.
fn not_read(error: &BodyError) -> Response {
    let status = match error {
        BodyError::Broken(_) => StatusCode::REQUEST_TIMEOUT,
        BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::Multipart(_) => StatusCode::BAD_REQUEST,
        BodyError::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
    };
    plain_error(status, &error.to_string())
}

/// `POST /write`
pub async fn write(
    State(state): State<Arc<ApiState>>,
    Extension(room): Extension<Room>,
    headers: HeaderMap,
    body: Body,
) -> Response {
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
    let (received, counted) = match bodies::read(body, MAX_BODY_BYTES, &room).await {
        Ok(read) => read,
        Err(error) => return not_read(&error),
    };
    if let Err(error) = replayed(&state).await {
        return refuse(&error.into());
    }
    let Ok(place) = state.lanes.writes.wait().await else {
        return plain_error(StatusCode::INTERNAL_SERVER_ERROR, "the server is stopping");
    };
    let work = place.run(move || {
        // A body that is not compressed is refused as such whatever its type.
        let message = receiver.inflate(&received)?;
        drop((received, counted));
        Ok(match version_of(&content_type) {
            Err(reason) => Outcome::NotTaken(reason),
            Ok(Version::First) => Outcome::First(receiver.commit(&message)),
            Ok(Version::Second) => Outcome::Second(receiver.commit_v2(&message)),
        })
    });
    match work.await {
        Ok(Ok(Outcome::NotTaken(reason))) => plain_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, &reason),
        Ok(Ok(Outcome::First(Ok(())))) => StatusCode::NO_CONTENT.into_response(),
        Ok(Ok(Outcome::First(Err(error))) | Err(error)) => refuse(&error),
        Ok(Ok(Outcome::Second(Ok(written)))) => with_counts(StatusCode::NO_CONTENT.into_response(), written),
        Ok(Ok(Outcome::Second(Err(error)))) => {
            let written =
                if let ReceiveError::Parts { written, .. } = error { written } else { Written::default() };
            with_counts(refuse(&error), written)
        }
        Err(_) => plain_error(StatusCode::INTERNAL_SERVER_ERROR, "the request failed inside the server"),
    }
}

/// What became of a body that could be inflated.
enum Outcome {
    NotTaken(String),
    First(Result<(), ReceiveError>),
    Second(Result<Written, ReceiveError>),
}

fn refuse(error: &ReceiveError) -> Response {
    if error.is_bad_request() {
        return plain_error(StatusCode::BAD_REQUEST, &error.to_string());
    }
    tracing::error!(%error, "failed to store a remote write request");
    plain_error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
}

/// Says how much was kept, as version 2.0 wants it.
fn with_counts(mut response: Response, written: Written) -> Response {
    let counts = [
        ("x-prometheus-remote-write-samples-written", written.samples),
        ("x-prometheus-remote-write-histograms-written", written.histograms),
        ("x-prometheus-remote-write-exemplars-written", written.exemplars),
    ];
    for (name, count) in counts {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from(count as u64));
    }
    response
}

/// Which message a body of this type holds, or why it is not taken.
fn version_of(content_type: &str) -> Result<Version, String> {
    // Nothing said means the first version, as old senders do.
    if content_type.is_empty() {
        return Ok(Version::First);
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
            FIRST => return Ok(Version::First),
            SECOND => return Ok(Version::Second),
            _ => {
                return Err(format!(
                    "got {content_type} content type; unknown type for remote write protobuf message {value}, \
                     supported: {FIRST}, {SECOND}"
                ));
            }
        }
    }
    Ok(Version::First)
}
