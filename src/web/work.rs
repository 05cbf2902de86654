//! Requests in their lanes: each waits for a place, then works on a thread that may block.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::Response;
use serde::Serialize;

use super::reply::{ApiError, Success, json_response};
use super::state::ApiState;
use crate::lanes::{Lane, Turn};
use crate::util::StopToken;

/// Stops the work behind a request when the request is dropped: the client went away.
pub(super) struct StopOnDrop(StopToken);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl ApiState {
    /// Runs `work` in `lane`, on a thread that may block. The place is held until the work ends, also when the client loses
    /// interest before; it is told by its turn then.
    ///
    /// # Errors
    /// Those of `work`; when the server answers no queries; when no place was free for `timeout`; a panic in `work` is an
    /// internal error.
    pub async fn run_in<T: Send + 'static>(
        self: &Arc<Self>,
        lane: &Lane,
        timeout: Duration,
        work: impl FnOnce(&Self, &Turn) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.check_ready()?;
        let began = Instant::now();
        let place = lane.enter(timeout).await?;
        let stop = StopToken::new();
        let _guard = StopOnDrop(stop.clone());
        let turn = Turn { stop, deadline: began.checked_add(timeout), queued: began.elapsed() };
        let state = Arc::clone(self);
        place
            .run(move || work(&state, &turn))
            .await
            .unwrap_or_else(|_| Err(ApiError::internal("the request failed inside the server")))
    }

    /// As [`ApiState::run_in`] in the lane of metadata, within the time of a query. The reply does not wait for work that
    /// is late.
    ///
    /// # Errors
    /// Those of [`ApiState::run_in`]; when the time is over.
    pub async fn look_up<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self, &Turn) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.look_up_in(&self.lanes.metadata, work).await
    }

    /// The same in another lane.
    ///
    /// # Errors
    /// Those of [`ApiState::look_up`].
    pub async fn look_up_in<T: Send + 'static>(
        self: &Arc<Self>,
        lane: &Lane,
        work: impl FnOnce(&Self, &Turn) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let running = self.run_in(lane, self.query_timeout, work);
        let late = ApiError::timeout("request timed out");
        tokio::time::timeout(self.query_timeout, running).await.unwrap_or(Err(late))
    }

    /// As [`ApiState::look_up`], with the body of the reply written there too: it may be megabytes.
    ///
    /// # Errors
    /// Those of [`ApiState::look_up`].
    pub async fn answer<T: Serialize>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self, &Turn) -> Result<Success<T>, ApiError> + Send + 'static,
    ) -> Result<Response, ApiError> {
        self.look_up(move |state, turn| work(state, turn)?.to_body()).await.map(json_response)
    }

    /// As [`ApiState::run_in`] in the lane of administration, however long it takes.
    ///
    /// # Errors
    /// Those of [`ApiState::run_in`].
    pub async fn administer<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self, &Turn) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let waits = self.query_timeout;
        let endless = move |state: &Self, turn: &Turn| work(state, &Turn { deadline: None, ..turn.clone() });
        self.run_in(&self.lanes.administration, waits, endless).await
    }
}
