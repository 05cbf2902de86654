//! Exemplars of the series that a query reads.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::model::{Exemplar, Labels, MatchOp, Matcher};
use crate::promql;
use crate::storage::StorageError;
use crate::tsdb::exemplars::MAX_ANSWER;
use crate::web::number::write_float;
use crate::web::params::Params;
use crate::web::reply::{ApiError, Success, no_content};
use crate::web::state::ApiState;

use super::query::features;

/// `GET|POST /query_exemplars`
pub async fn exemplars(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let range = params.range()?;
    if range.end < range.start {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let query = params.get("query").unwrap_or_default();
    let tree =
        promql::parse_to_json(query, &features(&state)).map_err(|error| ApiError::from(error).bare())?;
    let mut selectors = Vec::new();
    each_selector(&tree, &mut selectors)?;
    if selectors.is_empty() {
        return Ok(no_content().await);
    }
    let found = state
        .blocking(move |state, _| Ok(state.db.exemplars(&selectors, range).map_err(StorageError::from)?))
        .await?;
    if found.cut {
        return Err(ApiError::bad_data(format!(
            "the query selects more than {MAX_ANSWER} exemplars, narrow it down"
        )));
    }
    let series: Vec<Value> = found
        .series
        .iter()
        .map(|(labels, exemplars)| {
            let exemplars: Vec<Value> = exemplars.iter().map(exemplar_json).collect();
            json!({ "seriesLabels": labels_json(labels), "exemplars": exemplars })
        })
        .collect();
    Ok(Success::new(series).into_response())
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

fn labels_json(labels: &Labels) -> Value {
    labels.iter().map(|(n, v)| (n.to_owned(), Value::from(v))).collect::<serde_json::Map<_, _>>().into()
}

/// Collects the selectors of a syntax tree. As deep as the tree, whose depth the parser bounds.
fn each_selector(tree: &Value, out: &mut Vec<Vec<Matcher>>) -> Result<(), ApiError> {
    match tree {
        Value::Object(node) => {
            let kind = node.get("type").and_then(Value::as_str).unwrap_or_default();
            if matches!(kind, "vectorSelector" | "matrixSelector") {
                let matchers = node.get("matchers").and_then(Value::as_array).into_iter().flatten();
                out.push(matchers.map(matcher).collect::<Result<_, _>>()?);
                return Ok(());
            }
            node.values().try_for_each(|value| each_selector(value, out))
        }
        Value::Array(nodes) => nodes.iter().try_for_each(|node| each_selector(node, out)),
        _ => Ok(()),
    }
}

fn matcher(node: &Value) -> Result<Matcher, ApiError> {
    let text = |key: &str| node.get(key).and_then(Value::as_str).unwrap_or_default();
    let op = match text("type") {
        "!=" => MatchOp::NotEqual,
        "=~" => MatchOp::Regex,
        "!~" => MatchOp::NotRegex,
        _ => MatchOp::Equal,
    };
    // The query was read before, so its expressions compile.
    Matcher::new(text("name"), op, text("value")).map_err(|error| ApiError::internal(error.to_string()))
}
