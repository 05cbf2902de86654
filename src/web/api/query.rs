//! Queries: instant, range, and what only looks at the text of a query.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;

use super::cost::{ExplainReply, StatsReply};
use crate::lanes::Turn;
use crate::promql;
use crate::promql::{Expr, Features, LoggedQuery, QueryOptions, Value};
use crate::web::asker::Asker;
use crate::web::params::Params;
use crate::web::pieces::{PIECE_BYTES, Pieces};
use crate::web::reply::{ApiError, Success, json_response};
use crate::web::state::ApiState;

/// Steps a range query may have at most.
const MAX_STEPS: i64 = 11_000;
/// Annotations of each kind in a reply at most.
const MAX_ANNOTATIONS: usize = 10;

type Shared = State<Arc<ApiState>>;

/// `GET|POST /query`
pub async fn instant(State(state): Shared, asker: Asker, params: Params) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let time = params.time("time")?.unwrap_or_else(|| state.clock.now_ms());
    run(state, (asker, params), limit, (time, time, 0)).await
}

/// `GET|POST /query_range`
pub async fn range(State(state): Shared, asker: Asker, params: Params) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let start = params.required_time("start")?;
    let end = params.required_time("end")?;
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step = params.required_duration("step")?;
    if step <= 0 {
        let cause = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::parameter("step", cause));
    }
    if end.saturating_sub(start) / step > MAX_STEPS {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    run(state, (asker, params), limit, (start, end, step)).await
}

/// Evaluates the query of a request at `times`, in milliseconds: from, to and the step, which is 0 for one time.
async fn run(
    state: Arc<ApiState>,
    (asker, params): (Asker, Params),
    limit: Option<usize>,
    times: (i64, i64, i64),
) -> Result<Response, ApiError> {
    // A negative time is over at once.
    let timeout = params.duration("timeout")?;
    let timeout = timeout.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or_default()));
    let timeout = timeout.unwrap_or(state.query_timeout).min(state.query_timeout);
    let lookback_ms = params.duration("lookback_delta").map_err(|error| {
        let cause = error.bare();
        ApiError::bad_data(format!("error parsing lookback delta duration: {}", cause.message()))
    })?;
    let lookback_ms = lookback_ms.filter(|ms| *ms > 0);
    let stats = match params.get("stats") {
        None => None,
        Some("true") => Some((false, None)),
        Some("all") => Some((true, None)),
        Some(other) => Some((
            false,
            Some(format!(
                "value {other:?} for parameter \"stats\" is deprecated and will be rejected in the next major release, \
             use \"true\" or \"all\""
            )),
        )),
    };
    let explain = params.switch("explain")?;
    let fresh = params.switch("nocache")?;
    let query = params.get("query").unwrap_or_default().to_owned();

    // Waiting for a place counts against the timeout.
    let counted = state.http_metrics.query_began();
    let lane = state.lanes.queries.clone();
    let (first, pieces) = state
        .run_in(&lane, timeout, move |state, turn| {
            // Nor is the place held until the client has read all of a long reply: one that reads slowly holds memory, which
            // the engine counts, and no place.
            let (_counted, queue_time) = (counted, turn.queued);
            let options = QueryOptions {
                lookback_ms,
                timeout: Some(turn.left()),
                stop: turn.stop.clone(),
                fresh,
                step_stats: stats.is_some(),
                explain,
            };
            let began = Instant::now();
            let outcome = match times {
                (time, _, 0) => state.engine.instant(&*state.db, &query, time, &options),
                (start, end, step) => state.engine.range(&*state.db, &query, start, end, step, &options),
            };
            let logged = LoggedQuery {
                text: &query,
                times,
                origin: asker.origin(),
                queued: queue_time,
                took: began.elapsed(),
                now_ms: state.clock.now_ms(),
            };
            state.engine.query_log().log(&logged, outcome.as_ref());
            let mut result = outcome?;
            state.http_metrics.query_took(queue_time, &result.stats);
            let truncated = truncate(&mut result.value, limit);
            let mut warnings = result.annotations.warnings(&query, MAX_ANNOTATIONS);
            warnings.extend(truncated.then(|| "results truncated due to limit".to_owned()));
            warnings.extend(stats.as_ref().and_then(|(_, warning)| warning.clone()));
            let infos = result.annotations.infos(&query, MAX_ANNOTATIONS);
            let stats = stats.map(|(all, _)| StatsReply::new(&result, queue_time, all));
            let cost = (stats.as_ref(), result.explain.as_ref().map(ExplainReply::new));
            let tail = after_value(cost, &warnings, &infos)?;
            let mut pieces = Pieces::new(result.value, result.memory, tail, PIECE_BYTES);
            // Most replies are over with this.
            let first = pieces.next().unwrap_or_default();
            Ok((first, pieces))
        })
        .await?;
    Ok(json_response(pieces.into_body(first)))
}

fn truncate(value: &mut Value, limit: Option<usize>) -> bool {
    let Some(limit) = limit else { return false };
    match value {
        Value::Vector(samples) if samples.len() > limit => samples.truncate(limit),
        Value::Matrix(series) if series.len() > limit => series.truncate(limit),
        _ => return false,
    }
    true
}

/// What follows the value in a reply, from inside `data` to the end.
fn after_value(
    (stats, explain): (Option<&StatsReply>, Option<ExplainReply<'_>>),
    warnings: &[String],
    infos: &[String],
) -> Result<Vec<u8>, ApiError> {
    let mut out = Vec::new();
    let fault = |error: serde_json::Error| ApiError::internal(error.to_string());
    if let Some(stats) = stats {
        out.extend_from_slice(b",\"stats\":");
        serde_json::to_writer(&mut out, stats).map_err(fault)?;
    }
    if let Some(explain) = explain {
        out.extend_from_slice(b",\"explain\":");
        serde_json::to_writer(&mut out, &explain).map_err(fault)?;
    }
    out.push(b'}');
    for (name, annotations) in [("warnings", warnings), ("infos", infos)] {
        if !annotations.is_empty() {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            serde_json::to_writer(&mut out, annotations).map_err(fault)?;
        }
    }
    out.push(b'}');
    Ok(out)
}

/// The parts of the language that are on.
pub(super) fn features(state: &ApiState) -> Features {
    state.engine.options().features.clone()
}

/// Bytes of a query that is only read: as a tree or with a line for each part it may take hundreds of times as much,
/// which nothing counts.
const MAX_READ_BYTES: usize = 256 << 10;

/// Reads the query of a request within its turn.
pub(super) fn read(state: &ApiState, params: &Params, turn: &Turn) -> Result<Expr, ApiError> {
    let query = params.get("query").unwrap_or_default();
    if query.len() > MAX_READ_BYTES {
        return Err(ApiError::parameter(
            "query",
            format!("query has {} bytes, at most {MAX_READ_BYTES} are read here", query.len()),
        ));
    }
    let read = promql::parse_within(query, &features(state), &mut turn.patterns());
    turn.check()?;
    Ok(read?)
}

/// `GET|POST /format_query`
pub async fn format(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let format =
        |state: &ApiState, params: &Params, turn: &Turn| Ok(promql::format(&read(state, params, turn)?)?);
    state.answer(move |state, turn| format(state, &params, turn).map(Success::new)).await
}

/// `GET|POST /parse_query`
pub async fn parse(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let tree =
        |state: &ApiState, params: &Params, turn: &Turn| Ok(promql::to_json(&read(state, params, turn)?)?);
    state.answer(move |state, turn| tree(state, &params, turn).map(Success::new)).await
}
