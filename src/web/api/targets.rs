//! Targets and the metadata they expose.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use crate::lanes::Turn;
use crate::promql;
use crate::scrape::status::{ActiveTarget, Health, Refused};
use crate::storage::StorageError;
use crate::web::json::labels_json;
use crate::web::params::Params;
use crate::web::reply::{ApiError, Reply, Success};
use crate::web::site::Site;
use crate::web::state::ApiState;

type Shared = State<Arc<ApiState>>;

fn duration(ms: u64) -> String {
    crate::model::format_duration(std::time::Duration::from_millis(ms))
}

fn active_json(target: &ActiveTarget, site: &Site) -> Value {
    // A target that was never scraped has Go's zero time, which clients know.
    let last =
        jiff::Timestamp::from_millisecond(target.last_scrape_ms).ok().filter(|_| target.last_scrape_ms > 0);
    let mut shown = json!({
        "discoveredLabels": labels_json(&target.discovered_labels),
        "labels": labels_json(&target.labels),
        "scrapePool": target.pool,
        "scrapeUrl": target.url,
        "globalUrl": site.external_url.globalize(&target.url, site.own_port),
        "lastError": target.last_error,
        "lastScrape": last.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |t| t.to_string()),
        "lastScrapeDuration": target.last_duration_s,
        "health": match target.health {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Down => "down",
        },
        "scrapeInterval": duration(target.interval_ms),
        "scrapeTimeout": duration(target.timeout_ms),
    });
    if target.refused != Refused::default() {
        let Refused { out_of_order, duplicate, too_old, too_far_ahead } = target.refused;
        shown["refusedSamples"] = json!({
            "outOfOrder": out_of_order, "duplicate": duplicate, "tooOld": too_old, "tooFarAhead": too_far_ahead,
        });
    }
    if let Some(refused) = &target.refused_series {
        let explosion = refused.explosion.as_ref();
        shown["refusedSeries"] = json!({
            "count": refused.count,
            "reason": refused.reason.to_string(),
            "metric": explosion.map(|explosion| &explosion.metric),
            "metricSeries": explosion.map(|explosion| explosion.series),
            "label": explosion.and_then(|explosion| explosion.label.as_ref()),
            "labelValues": explosion.map(|explosion| explosion.values),
        });
    }
    shown
}

/// `GET /targets`
pub async fn targets(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    state.answer(move |state, _| Ok(Success::new(all_targets(state, &params)))).await
}

fn all_targets(state: &ApiState, params: &Params) -> Value {
    let wanted = params.get("state").unwrap_or("any").to_ascii_lowercase();
    let in_pool = |pool: &str| params.get("scrapePool").is_none_or(|wanted| wanted == pool);
    let status = state.scrape.status();
    let active = matches!(wanted.as_str(), "any" | "active");
    let dropped = matches!(wanted.as_str(), "any" | "dropped");
    let active_targets: Vec<Value> = if active {
        status.active.iter().filter(|t| in_pool(&t.pool)).map(|t| active_json(t, &state.site)).collect()
    } else {
        Vec::new()
    };
    let mut counts = BTreeMap::new();
    let mut dropped_targets = Vec::new();
    if dropped {
        counts = status.dropped_counts;
        for target in status.dropped.iter().filter(|t| in_pool(&t.pool)) {
            dropped_targets.push(json!({
                "discoveredLabels": labels_json(&target.discovered_labels),
                "scrapePool": target.pool,
            }));
        }
    }
    json!({
        "activeTargets": active_targets,
        "droppedTargets": dropped_targets,
        "droppedTargetCounts": if dropped { json!(counts) } else { Value::Null },
    })
}

/// `GET /scrape_pools`
pub async fn scrape_pools(State(state): Shared) -> Reply<Value> {
    let mut pools = state.scrape.pools();
    pools.sort();
    Ok(Success::new(json!({ "scrapePools": pools })))
}

fn number(params: &Params, name: &'static str) -> Result<Option<usize>, ApiError> {
    let Some(text) = params.get(name) else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(limit) => Ok(usize::try_from(limit).ok().filter(|limit| *limit > 0)),
        Err(_) => Err(ApiError::bad_data(format!("{name} must be a number"))),
    }
}

/// `GET /metadata`: what active targets say of their metric families, and of others what the database knows.
pub async fn metadata(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let limit = number(&params, "limit")?;
    let per_metric = number(&params, "limit_per_metric")?;
    state
        .answer(move |state, turn| {
            let mut families = metadata_of_targets(state, &params, per_metric, turn)?;
            for (name, known) in state.db.metadata(params.get("metric")).map_err(StorageError::from)? {
                let value = || json!({ "type": known.kind.name(), "unit": known.unit, "help": known.help });
                // Targets know better: what the database has of their families may be older.
                families.entry(name).or_insert_with(|| vec![value()]);
            }
            let shown: BTreeMap<_, _> = families.into_iter().take(limit.unwrap_or(usize::MAX)).collect();
            Ok(Success::new(shown))
        })
        .await
}

/// What targets say of their families, by name, each once.
fn metadata_of_targets(
    state: &ApiState,
    params: &Params,
    per_metric: Option<usize>,
    turn: &Turn,
) -> Result<BTreeMap<String, Vec<Value>>, ApiError> {
    let mut families: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for target in state.scrape.metadata() {
        turn.check()?;
        for entry in target.families.iter() {
            if params.get("metric").is_some_and(|wanted| wanted != entry.name) {
                continue;
            }
            let value = json!({ "type": entry.kind.name(), "unit": entry.unit, "help": entry.help });
            let known = families.entry(entry.name.clone()).or_default();
            if !known.contains(&value) && per_metric.is_none_or(|limit| known.len() < limit) {
                known.push(value);
            }
        }
    }
    Ok(families)
}

/// `GET /targets/metadata`
pub async fn target_metadata(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let limit = number(&params, "limit")?.unwrap_or(usize::MAX);
    state.answer(move |state, turn| metadata_by_target(state, &params, limit, turn).map(Success::new)).await
}

fn metadata_by_target(
    state: &ApiState,
    params: &Params,
    limit: usize,
    turn: &Turn,
) -> Result<Value, ApiError> {
    let matchers = params
        .get("match_target")
        .map(|text| promql::parse_selector_within(text, &mut turn.patterns()))
        .transpose()
        .map_err(|error| ApiError::parameter("match_target", error))?
        .unwrap_or_default();
    let wanted = params.get("metric");
    let mut out = Vec::new();
    for target in state.scrape.metadata() {
        turn.check()?;
        if !matchers.iter().all(|m| m.matches_labels(&target.labels)) {
            continue;
        }
        for entry in target.families.iter().filter(|e| wanted.is_none_or(|w| w == e.name)) {
            if out.len() >= limit {
                return Ok(json!(out));
            }
            let mut row = json!({
                "target": labels_json(&target.labels),
                "type": entry.kind.name(), "unit": entry.unit, "help": entry.help,
            });
            if wanted.is_none() {
                row["metric"] = Value::from(entry.name.as_str());
            }
            out.push(row);
        }
    }
    Ok(json!(out))
}
