//! Requests that need what the log has not given back yet: they wait, and hold nothing meanwhile but what was sent.
//!
//! A handler that meets the head while the log is replayed gives up at once, and with that its place among those that
//! run; here it is called again when the log is replayed, unless the time of the request is over or its client gone.
//!
//! **Cost**: what was sent counts as forms do; a request that no longer waits leaves nothing behind.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::time::{Instant, timeout_at};

use super::bodies;
use super::params::{MAX_FORM_BYTES, Params};
use super::reply::{ApiError, NeedsReplay};
use super::state::ApiState;
use crate::tsdb::{self};

/// Waits until the log is replayed.
///
/// # Errors
/// When it cannot be.
pub(super) async fn replayed(state: &ApiState) -> Result<(), tsdb::Error> {
    state.replay_end.clone().await;
    // How it ended; there is nothing left to wait for.
    state.db.wait()
}

/// Answers a request, a second time if the log had to be replayed for it.
pub(super) async fn wait(State(state): State<Arc<ApiState>>, request: Request, next: Next) -> Response {
    // Remote write takes bodies as they come and waits by itself.
    if state.db.is_replayed() || request.uri().path().ends_with(WRITE) {
        return next.run(request).await;
    }
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    // No more than forms may have.
    let (body, _counted) = match bodies::read(body, MAX_FORM_BYTES, &state.forms).await {
        Ok((body, counted)) => (Bytes::from(body), counted),
        Err(error) => return ApiError::from(error).into_response(),
    };
    let again = || Request::from_parts(parts.clone(), Body::from(body.clone()));
    let response = next.clone().run(again()).await;
    if response.extensions().get::<NeedsReplay>().is_none() {
        return response;
    }
    match timeout_at(begun + timeout(&state, again()).await, replayed(&state)).await {
        Ok(Ok(())) => next.run(again()).await,
        Ok(Err(error)) => ApiError::internal(error.to_string()).into_response(),
        Err(_) => ApiError::timeout("query timed out while the write-ahead log was replayed").into_response(),
    }
}

/// How long a request may take.
async fn timeout(state: &Arc<ApiState>, request: Request) -> Duration {
    // What is wrong with the parameters is for the handler to say.
    let params = Params::from_request(request, state).await.unwrap_or_default();
    let own = params.duration("timeout").ok().flatten();
    let own = own.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or_default()));
    own.unwrap_or(state.query_timeout).min(state.query_timeout)
}

/// Where remote write is received, below the prefix of the API.
pub(super) const WRITE: &str = "/write";
