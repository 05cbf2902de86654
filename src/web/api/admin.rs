//! What changes or copies the data: off unless the command line allows it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::storage::StorageError;
use crate::tsdb;
use crate::web::params::Params;
use crate::web::reply::{ApiError, Success};
use crate::web::state::ApiState;

type Shared = State<Arc<ApiState>>;

fn failed(error: tsdb::Error) -> ApiError {
    match error {
        tsdb::Error::Replaying => StorageError::from(error).into(),
        error => ApiError::internal(error.to_string()),
    }
}

fn allowed(state: &ApiState) -> Result<(), ApiError> {
    if state.admin_enabled { Ok(()) } else { Err(ApiError::unavailable("admin APIs disabled")) }
}

/// `POST|PUT /admin/tsdb/delete_series`. With `dry_run=true` nothing is deleted, and the reply counts what would be.
pub async fn delete_series(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    allowed(&state)?;
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let range = params.range()?;
    let dry_run = params.flag("dry_run")?;
    let counted = state
        .administer(move |state, turn| {
            let selectors = params.selectors(turn)?;
            if dry_run {
                return Ok(Some(state.db.count_deletion(&selectors, range)?));
            }
            state.db.delete(&selectors, range).map_err(failed)?;
            Ok(None)
        })
        .await?;
    Ok(match counted {
        Some(counted) => {
            Success::new(json!({ "series": counted.series, "samples": counted.samples })).into_response()
        }
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// `POST|PUT /admin/tsdb/clean_tombstones`
pub async fn clean_tombstones(State(state): Shared) -> Result<Response, ApiError> {
    allowed(&state)?;
    let clean = |state: &ApiState| state.db.clean_tombstones().map_err(failed);
    state.administer(move |state, _| clean(state)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST|PUT /admin/tsdb/snapshot`
pub async fn snapshot(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    allowed(&state)?;
    let skip_head = params.flag("skip_head")?;
    let make = move |state: &ApiState| state.db.snapshot(skip_head).map_err(failed);
    let name = state.administer(move |state, _| make(state)).await?;
    Ok(Success::new(json!({ "name": name })).into_response())
}
