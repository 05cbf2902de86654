//! Series, label names, label values.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;

use crate::lanes::Turn;
use crate::model::{Labels, Matcher, Samples};
use crate::storage::{Bounds, Fields, Need, Querier, Queryable as _, SelectRequest, StorageError, Watch};
use crate::web::json;
use crate::web::params::Params;
use crate::web::reply::{ApiError, Success, json_response, truncate};
use crate::web::state::ApiState;

type Shared = State<Arc<ApiState>>;

/// `GET|POST /series`
pub async fn series(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let (limit, range) = (params.limit()?, params.range()?);
    let body = state
        .look_up(move |state, turn| {
            let selectors = params.selectors(turn)?;
            if range.end < range.start {
                return Ok(b"{\"status\":\"success\",\"data\":[]}".to_vec());
            }
            let querier = state.db.querier(range)?;
            let mut found: BTreeSet<Labels> = BTreeSet::new();
            // Without bounds every series has samples; within bounds it takes a look.
            let bounded = range.start != i64::MIN || range.end != i64::MAX;
            let need = if bounded { Need::Newest } else { Need::Labels };
            let go_on = |_: usize| !turn.is_over();
            for matchers in &selectors {
                turn.check()?;
                let set = querier.select(&SelectRequest {
                    matchers,
                    range,
                    need,
                    fields: Fields::TIMES,
                    watch: Watch(&go_on),
                })?;
                let mut samples = Samples::new();
                // Series come in label order: beyond the limit of each selector is beyond the limit of all.
                let mut left = limit.map_or(usize::MAX, |limit| limit.saturating_add(1));
                for index in 0..set.len() {
                    turn.check()?;
                    if left == 0 {
                        break;
                    }
                    if bounded {
                        set.read(index, range, &mut samples)?;
                        if samples.is_empty() {
                            continue;
                        }
                    }
                    found.insert(set.labels(index));
                    left -= 1;
                }
            }
            let cut = limit.filter(|limit| found.len() > *limit);
            let mut out = b"{\"status\":\"success\",\"data\":[".to_vec();
            for (number, labels) in found.iter().take(cut.unwrap_or(usize::MAX)).enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                json::write_labels(labels, &mut out);
            }
            out.push(b']');
            if cut.is_some() {
                out.extend_from_slice(b",\"warnings\":[\"results truncated due to limit\"]");
            }
            out.push(b'}');
            Ok(out)
        })
        .await?;
    Ok(json_response(body))
}

/// `GET|POST /labels`
pub async fn label_names(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let list = |querier: &dyn Querier, selectors: &[Vec<Matcher>], bounds: Bounds<'_>| {
        querier.label_names(selectors, bounds)
    };
    names(&state, params, list).await
}

/// What `list` finds for the selectors of a request, in order, up to its limit.
async fn names(
    state: &Arc<ApiState>,
    params: Params,
    list: impl FnOnce(&dyn Querier, &[Vec<Matcher>], Bounds<'_>) -> Result<Vec<String>, StorageError>
    + Send
    + 'static,
) -> Result<Response, ApiError> {
    let (limit, range) = (params.limit()?, params.range()?);
    let find = move |state: &ApiState, turn: &Turn| {
        let selectors = params.selectors(turn).map_err(ApiError::bare)?;
        if range.end < range.start {
            return Ok(Success::new(Vec::new()));
        }
        let querier = state.db.querier(range)?;
        // One more than is shown tells that there are more.
        let most = limit.map_or(usize::MAX, |limit| limit.saturating_add(1));
        let found = list(&*querier, &selectors, Bounds { most, watch: Watch(&|_| !turn.is_over()) });
        turn.check()?;
        Ok(truncate(found?, limit))
    };
    state.answer(find).await
}

/// `GET /label/{name}/values`
pub async fn label_values(
    State(state): Shared,
    name: Result<Path<String>, PathRejection>,
    params: Params,
) -> Result<Response, ApiError> {
    // The path is refused when the name is not UTF-8.
    let Path(name) = name.map_err(|_| ApiError::bad_data("invalid label name: it is not UTF-8"))?;
    // What is no escaped name stays as it is.
    let name = name.strip_prefix("U__").and_then(unescape).unwrap_or(name);
    if name.is_empty() {
        return Err(ApiError::bad_data("invalid label name: \"\""));
    }
    let list = move |querier: &dyn Querier, selectors: &[Vec<Matcher>], bounds: Bounds<'_>| {
        querier.label_values(&name, selectors, bounds)
    };
    names(&state, params, list).await
}

/// Undoes the `values` escaping of names: `__` is `_`, `_<hex>_` a character.
fn unescape(escaped: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = escaped;
    while let Some((plain, tail)) = rest.split_once('_') {
        out.push_str(plain);
        if let Some(after) = tail.strip_prefix('_') {
            out.push('_');
            rest = after;
        } else {
            let (hex, after) = tail.split_once('_')?;
            out.push(u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)?);
            rest = after;
        }
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn unescapes_names() {
        assert_eq!(unescape("my_2e_label").as_deref(), Some("my.label"));
        assert_eq!(unescape("a__b").as_deref(), Some("a_b"));
        assert_eq!(unescape("plain").as_deref(), Some("plain"));
        assert_eq!(unescape("a_zz_"), None);
        assert_eq!(unescape("a_2e"), None);
    }
}
