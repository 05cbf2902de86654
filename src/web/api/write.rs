//! Remote write, receiving side.
//!
//! **Cost**: the bytes of all bodies that have arrived and wait, or arrive, are bounded by `MAX_WAITING_BYTES`; as
//! many are inflated and stored at once as their lane has places. Both are given back when the work is done, not when
//! the client goes away.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::remote::{ReceiveError, Written};
use crate::web::MAX_BODY_BYTES;
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

/// The memory for bodies. Clones share it.
#[derive(Debug, Clone)]
pub struct Waiting(Arc<Semaphore>);

impl Default for Waiting {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_WAITING_BYTES)))
    }
}

/// A body, which counts as long as it lives.
struct Received {
    bytes: Vec<u8>,
    counted: Option<OwnedSemaphorePermit>,
}

impl Received {
    /// Reads a body as it comes.
    ///
    /// # Errors
    /// The reply, when it is too large, does not come, or there is no memory for it.
    async fn read(mut body: BodyDataStream, waiting: &Waiting) -> Result<Self, Box<Response>> {
        let refuse = |status, text: &str| Box::new(plain_error(status, text));
        let mut received = Self { bytes: Vec::new(), counted: None };
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| {
                refuse(StatusCode::REQUEST_TIMEOUT, &format!("the request cannot be read: {error}"))
            })?;
            if received.bytes.len() + piece.len() > MAX_BODY_BYTES {
                let text = format!("the request has more than {MAX_BODY_BYTES} bytes");
                return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, &text));
            }
            let count = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            let Ok(counted) = Arc::clone(&waiting.0).try_acquire_many_owned(count) else {
                let text = "too many bytes of remote write requests are waiting, try again later";
                return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, text));
            };
            match &mut received.counted {
                Some(before) => before.merge(counted),
                none => *none = Some(counted),
            }
            received.bytes.extend_from_slice(&piece);
        }
        Ok(received)
    }
}

/// `POST /write`
pub async fn write(
    State(state): State<Arc<ApiState>>,
    Extension(waiting): Extension<Waiting>,
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
    let received = match Received::read(body.into_data_stream(), &waiting).await {
        Ok(received) => received,
        Err(refused) => return *refused,
    };
    if let Err(error) = replayed(&state.db).await {
        return refuse(&error.into());
    }
    let Ok(place) = state.lanes.writes.wait().await else {
        return plain_error(StatusCode::INTERNAL_SERVER_ERROR, "the server is stopping");
    };
    let work = place.run(move || {
        // A body that is not compressed is refused as such whatever its type.
        let message = receiver.inflate(&received.bytes)?;
        drop(received);
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
    tracing::error!(%error, "remote write request could not be stored");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_count_while_they_are_in_memory() {
        let waiting = Waiting(Arc::new(Semaphore::new(10)));
        let read = async |text: &'static str| {
            Received::read(Body::from(text).into_data_stream(), &waiting)
                .await
                .map_err(|refused| refused.status())
        };
        let first = read("123456").await.expect("there is room");
        assert_eq!((first.bytes.as_slice(), waiting.0.available_permits()), (b"123456".as_slice(), 4));
        assert_eq!(read("12345").await.err(), Some(StatusCode::SERVICE_UNAVAILABLE));
        let second = read("1234").await.expect("just fits");
        drop((first, second));
        assert_eq!(waiting.0.available_permits(), 10);
    }
}
