//! Queries: instant, range, and what only looks at the text of a query.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tokio::sync::SemaphorePermit;

use crate::promql;
use crate::promql::{Engine, Features, QueryOptions, QueryResult, StepStats, Value};
use crate::tsdb::Tsdb;
use crate::util::StopToken;
use crate::web::json;
use crate::web::params::Params;
use crate::web::reply::{ApiError, Reply, Success, json_response};
use crate::web::state::ApiState;

/// Steps a range query may have at most.
const MAX_STEPS: i64 = 11_000;
/// Remarks of each kind in a reply at most.
const MAX_ANNOTATIONS: usize = 10;

type Shared = State<Arc<ApiState>>;

/// `GET|POST /query`
pub async fn instant(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let time = params.time("time")?.unwrap_or_else(|| state.clock.now_ms());
    run(state, params, limit, move |engine, db, query, options| engine.instant(db, query, time, options))
        .await
}

/// `GET|POST /query_range`
pub async fn range(State(state): Shared, params: Params) -> Result<Response, ApiError> {
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
    run(state, params, limit, move |engine, db, query, options| {
        engine.range(db, query, start, end, step, options)
    })
    .await
}

async fn run<F>(
    state: Arc<ApiState>,
    params: Params,
    limit: Option<usize>,
    evaluate: F,
) -> Result<Response, ApiError>
where
    F: FnOnce(&Engine, &Tsdb, &str, &QueryOptions) -> Result<QueryResult, promql::Error> + Send + 'static,
{
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
    let query = params.get("query").unwrap_or_default().to_owned();

    // Waiting for a slot counts against the timeout.
    let queued = Instant::now();
    let counted = state.http_metrics.query_began();
    let waiting = tokio::time::timeout(timeout, state.query_slots.acquire());
    let Ok(Ok(slot)) = waiting.await else {
        return Err(ApiError::timeout("query timed out in query queue"));
    };
    let slot = SlotHeld::new(&state, slot);
    let queue_time = queued.elapsed();
    let left = timeout.saturating_sub(queue_time);
    let body = state
        .blocking(move |state, stop: &StopToken| {
            // Held until the work ends, not only until the client loses interest.
            let (_slot, _counted) = (slot, counted);
            let options = QueryOptions {
                lookback_ms,
                timeout: Some(left),
                stop: stop.clone(),
                limit,
                step_stats: stats.is_some(),
            };
            let mut result = evaluate(&state.engine.load(), &state.db, &query, &options)?;
            let took = &result.stats;
            state.http_metrics.query_took(queue_time, took.prepare, took.evaluate, took.sort);
            let truncated = truncate(&mut result.value, limit);
            let mut warnings = result.annotations.warnings(&query, MAX_ANNOTATIONS);
            warnings.extend(truncated.then(|| "results truncated due to limit".to_owned()));
            warnings.extend(stats.as_ref().and_then(|(_, warning)| warning.clone()));
            let infos = result.annotations.infos(&query, MAX_ANNOTATIONS);
            let stats = stats.map(|(all, _)| StatsReply::new(&result, queue_time, all));
            write(&result.value, stats.as_ref(), &warnings, &infos)
        })
        .await?;
    Ok(json_response(body))
}

/// A place among the queries that run. Dropping it lets the next one in.
struct SlotHeld(Arc<ApiState>);

impl SlotHeld {
    fn new(state: &Arc<ApiState>, permit: SemaphorePermit<'_>) -> Self {
        // The permit borrows the state, which cannot follow the work to another thread; it is given back below.
        permit.forget();
        Self(Arc::clone(state))
    }
}

impl Drop for SlotHeld {
    fn drop(&mut self) {
        self.0.query_slots.add_permits(1);
    }
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

fn write(
    value: &Value,
    stats: Option<&StatsReply>,
    warnings: &[String],
    infos: &[String],
) -> Result<Vec<u8>, ApiError> {
    let mut out = Vec::with_capacity(4096);
    out.extend_from_slice(b"{\"status\":\"success\",\"data\":{");
    json::write_value(value, &mut out);
    let fault = |error: serde_json::Error| ApiError::internal(error.to_string());
    if let Some(stats) = stats {
        out.extend_from_slice(b",\"stats\":");
        serde_json::to_writer(&mut out, stats).map_err(fault)?;
    }
    out.push(b'}');
    for (name, remarks) in [("warnings", warnings), ("infos", infos)] {
        if !remarks.is_empty() {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            serde_json::to_writer(&mut out, remarks).map_err(fault)?;
        }
    }
    out.push(b'}');
    Ok(out)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names of the API")]
struct Timings {
    eval_total_time: f64,
    result_sort_time: f64,
    query_preparation_time: f64,
    inner_eval_time: f64,
    exec_queue_time: f64,
    exec_total_time: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SampleCounts {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    total_queryable_samples_per_step: Vec<(Seconds, u64)>,
    total_queryable_samples: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    samples_read_per_step: Vec<(Seconds, u64)>,
    samples_read: u64,
    peak_samples: u64,
    peak_bytes: u64,
}

/// A time in milliseconds, written in seconds.
struct Seconds(i64);

impl Serialize for Seconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 1000 == 0 {
            serializer.serialize_i64(self.0 / 1000)
        } else {
            serializer.serialize_f64(self.0 as f64 / 1000.0)
        }
    }
}

/// The `stats` part of a reply, in seconds.
#[derive(Serialize)]
struct StatsReply {
    timings: Timings,
    samples: SampleCounts,
}

impl StatsReply {
    /// What the query took; with `per_step` the samples of each step besides.
    fn new(result: &QueryResult, queue_time: Duration, per_step: bool) -> Self {
        let stats = &result.stats;
        let steps = || result.steps.iter().filter(|_| per_step).flat_map(StepStats::iter);
        let total = stats.prepare + stats.evaluate + stats.sort;
        Self {
            timings: Timings {
                eval_total_time: total.as_secs_f64(),
                result_sort_time: stats.sort.as_secs_f64(),
                query_preparation_time: stats.prepare.as_secs_f64(),
                inner_eval_time: stats.evaluate.as_secs_f64(),
                exec_queue_time: queue_time.as_secs_f64(),
                exec_total_time: (queue_time + total).as_secs_f64(),
            },
            samples: SampleCounts {
                total_queryable_samples_per_step: steps().map(|(t, all, _)| (Seconds(t), all)).collect(),
                total_queryable_samples: stats.total_samples,
                samples_read_per_step: steps().map(|(t, _, read)| (Seconds(t), read)).collect(),
                samples_read: result.steps.as_ref().map_or(0, StepStats::total_read),
                peak_samples: stats.peak_samples,
                peak_bytes: stats.peak_bytes,
            },
        }
    }
}

/// The parts of the language that are on.
pub(super) fn features(state: &ApiState) -> Features {
    state.engine.load().options().features.clone()
}

/// `GET|POST /format_query`
pub async fn format(State(state): Shared, params: Params) -> Reply<String> {
    let query = params.get("query").unwrap_or_default();
    promql::parse(query, &features(&state))?;
    Ok(Success::new(promql::format(query)?))
}

/// `GET|POST /parse_query`
pub async fn parse(State(state): Shared, params: Params) -> Reply<serde_json::Value> {
    let query = params.get("query").unwrap_or_default();
    Ok(Success::new(promql::parse_to_json(query, &features(&state))?))
}
