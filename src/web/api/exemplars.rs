//! Exemplars of the series that a query reads.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use crate::model::Exemplar;
use crate::promql;
use crate::storage::Watch;
use crate::tsdb::exemplars::MAX_ANSWER;
use crate::web::json::labels_json;
use crate::web::number::write_float;
use crate::web::params::Params;
use crate::web::reply::{ApiError, Success, json_response, no_content};
use crate::web::state::ApiState;

use super::query::read;

/// `GET|POST /query_exemplars`
pub async fn exemplars(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let range = params.range()?;
    if range.end < range.start {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let body = state.look_up(move |state, turn| {
        let selectors = promql::selectors(&read(state, &params, turn).map_err(ApiError::bare)?)?;
        if selectors.is_empty() {
            return Ok(None);
        }
        turn.check()?;
        let found = state.db.exemplars(&selectors, range, Watch(&|_| !turn.is_over()))?;
        if found.cut {
            return Err(ApiError::bad_data(format!(
                "the query selects more than {MAX_ANSWER} exemplars, narrow it down"
            )));
        }
        let series = found.series.iter().map(|(labels, exemplars)| {
            let exemplars: Vec<Value> = exemplars.iter().map(exemplar_json).collect();
            json!({ "seriesLabels": labels_json(labels), "exemplars": exemplars })
        });
        Success::new(series.collect::<Vec<_>>()).to_body().map(Some)
    });
    match body.await? {
        Some(body) => Ok(json_response(body)),
        None => Ok(no_content().await),
    }
}

fn exemplar_json(exemplar: &Exemplar) -> Value {
    let mut value = Vec::new();
    write_float(exemplar.value, &mut value);
    let ms = exemplar.timestamp;
    let seconds = if ms % 1000 == 0 { json!(ms / 1000) } else { json!(ms as f64 / 1000.0) };
    json!({
        "labels": labels_json(&exemplar.labels),
        "value": String::from_utf8_lossy(&value).trim_matches('"'),
        "timestamp": seconds,
    })
}
