//! What the server says of itself.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::telemetry::process::ProcessStats;
use crate::tsdb::head::HeadIndex;
use crate::tsdb::store::BlockId;
use crate::web::params::Params;
use crate::web::reply::{ApiError, Reply, Success};
use crate::web::state::ApiState;

type Shared = State<Arc<ApiState>>;

/// Rows of each table of [`tsdb`] when the request names no limit.
const DEFAULT_ROWS: usize = 10;
const MAX_ROWS: usize = 10_000;

pub(super) fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |t| t.to_string())
}

/// `GET /status/config`
pub async fn config(State(state): Shared) -> Reply<Value> {
    Ok(Success::new(json!({ "yaml": state.config.load().to_yaml() })))
}

/// `GET /status/flags`
pub async fn flags(State(state): Shared) -> Reply<BTreeMap<String, String>> {
    Ok(Success::new(state.flags.clone()))
}

/// `GET /status/runtimeinfo`
pub async fn runtime_info(State(state): Shared) -> Reply<Value> {
    let cwd = std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_default();
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let reload = **state.reload_state.load();
    let status = state.db.status();
    Ok(Success::new(json!({
        "startTime": rfc3339(state.started_ms),
        "CWD": cwd,
        "hostname": hostname.trim(),
        "serverTime": rfc3339(state.clock.now_ms()),
        "reloadConfigSuccess": reload.successful,
        "lastConfigTime": rfc3339(reload.applied_ms),
        "corruptionCount": status.corruptions,
        // Threads play the part here that Go's routines play in Prometheus.
        "goroutineCount": ProcessStats::read(None).map_or(0, |s| s.threads),
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        // What Go's runtime would say when nothing is set.
        "GOMEMLIMIT": i64::MAX,
        "GOGC": "",
        "GODEBUG": "",
        // How often work that must go on panicked and was begun again.
        "restarts": {
            "database": state.db.restarts(),
            "scraping": state.scrape.restarts(),
            "notification": state.notify.restarts(),
        },
        // Why, while they are.
        "newSeriesRefused": state.db.refuses_new_series().map(|reason| reason.to_string()),
        "storageRetention": state.db.limits().retention_text(),
    })))
}

fn build() -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": option_env!("EMBERKEEP_REVISION").unwrap_or("unknown"),
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
        "application": "emberkeep",
    })
}

/// `GET /status/buildinfo`
pub async fn build_info() -> Reply<Value> {
    Ok(Success::new(build()))
}

/// `GET /version`
pub async fn version() -> Response {
    build().to_string().into_response()
}

#[derive(Serialize)]
struct Row {
    name: String,
    value: u64,
}

/// The rows of the largest values. Names are put together only for what is among them at the time: commits wait.
struct Top {
    limit: usize,
    rows: BinaryHeap<Reverse<(u64, Reverse<String>)>>,
}

impl Top {
    fn new(limit: usize) -> Self {
        Self { limit, rows: BinaryHeap::new() }
    }

    fn add(&mut self, value: u64, name: impl FnOnce() -> String) {
        if self.rows.len() >= self.limit {
            if self.rows.peek().is_none_or(|Reverse((least, _))| *least >= value) {
                return;
            }
            self.rows.pop();
        }
        self.rows.push(Reverse((value, Reverse(name()))));
    }

    /// The largest first, those alike by name.
    fn into_rows(self) -> Vec<Row> {
        let rows = self.rows.into_sorted_vec().into_iter();
        rows.map(|Reverse((value, Reverse(name)))| Row { name, value }).collect()
    }
}

fn cardinality(index: &HeadIndex<'_>, limit: usize) -> Value {
    let count = |n: usize| n as u64;
    let [mut values, mut memory, mut pairs, mut metrics] = std::array::from_fn(|_| Top::new(limit));
    // Of the label that is gone through: its name, values, and bytes.
    let mut label: Option<(String, u64, u64)> = None;
    let mut add_label = |label: Option<(String, u64, u64)>| {
        let Some((name, count, bytes)) = label else { return };
        values.add(count, || name.clone());
        memory.add(bytes, || name);
    };
    index.each_pair(|name, value, series| {
        if label.as_ref().is_none_or(|(known, ..)| known != name) {
            add_label(label.replace((name.to_owned(), 0, 0)));
        }
        if let Some((_, values, bytes)) = &mut label {
            *values += 1;
            // In every series both texts, each with a byte for its length.
            *bytes += count(name.len() + value.len() + 2) * series;
        }
        pairs.add(series, || format!("{name}={value}"));
        if name == crate::model::METRIC_NAME {
            metrics.add(series, || value.to_owned());
        }
    });
    add_label(label);
    json!({
        "seriesCountByMetricName": metrics.into_rows(),
        "labelValueCountByLabelName": values.into_rows(),
        "memoryInBytesByLabelName": memory.into_rows(),
        "seriesCountByLabelValuePair": pairs.into_rows(),
    })
}

/// `GET /status/tsdb`
pub async fn tsdb(State(state): Shared, params: Params) -> Reply<Value> {
    let limit = match params.get("limit").map(str::parse) {
        None => DEFAULT_ROWS,
        Some(Ok(limit)) if limit > MAX_ROWS => {
            return Err(ApiError::bad_data(format!("limit must not exceed {MAX_ROWS}")));
        }
        Some(Ok(limit)) if limit > 0 => limit,
        Some(_) => return Err(ApiError::bad_data("limit must be a positive number")),
    };
    if !state.db.is_replayed() {
        return Err(ApiError::unavailable("the write-ahead log is still being replayed"));
    }
    let data = state
        .administer(move |state, _| {
            let stats = state.db.head().stats();
            let mut data = state.db.head().with_index(|index| cardinality(&index, limit));
            data["headStats"] = json!({
                "numSeries": stats.series,
                "numLabelPairs": stats.label_pairs,
                "chunkCount": stats.chunks,
                "minTime": stats.time_range.map_or(0, |r| r.start),
                "maxTime": stats.time_range.map_or(0, |r| r.end),
            });
            Ok(data)
        })
        .await?;
    Ok(Success::new(data))
}

/// `GET /status/tsdb/blocks`
pub async fn tsdb_blocks(State(state): Shared) -> Reply<Value> {
    let blocks: Vec<Value> = state
        .db
        .status()
        .blocks
        .iter()
        .map(|block| {
            json!({
                "ulid": block.id.as_str(),
                "minTime": block.start,
                "maxTime": block.end,
                "version": 1,
                "stats": {"numSamples": block.samples, "numSeries": block.series, "numChunks": block.columns},
                "compaction": {
                    "level": block.level,
                    "sources": block.sources.iter().map(BlockId::as_str).collect::<Vec<_>>(),
                },
            })
        })
        .collect();
    Ok(Success::new(json!({ "blocks": blocks })))
}

/// `GET /status/walreplay`: how far the replay of the log is, in segments; those of one go all at once.
pub async fn wal_replay(State(state): Shared) -> Reply<Value> {
    let segment = state.db.status().segment;
    let current = if state.db.is_replayed() { segment } else { 0 };
    Ok(Success::new(json!({ "min": 0, "max": segment, "current": current })))
}
