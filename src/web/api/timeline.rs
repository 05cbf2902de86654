//! When alerts were pending and firing.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::rules::object;
use crate::model::TimeRange;
use crate::rules::AlertState;
use crate::rules::timeline::{AlertTimeline, Timeline, Wanted, read};
use crate::storage::Watch;
use crate::web::params::Params;
use crate::web::reply::{ApiError, Success, json_response};
use crate::web::state::ApiState;

/// How far back the range goes where the request does not say: a day.
const DEFAULT_RANGE_MS: i64 = 24 * 3_600_000;

/// `GET|POST /alerts/timeline`
pub async fn timeline(State(state): State<Arc<ApiState>>, params: Params) -> Result<Response, ApiError> {
    let range = range(params.time("start")?, params.time("end")?, state.clock.now_ms())?;
    let (start, end) = (range.start, range.end);
    let states = states(&params)?;
    let lane = state.lanes.queries.clone();
    let body = state.run_in(&lane, state.query_timeout, move |state, turn| {
        let names: Vec<String> = params.all("alertname").map(str::to_owned).collect();
        let wanted = Wanted {
            range,
            lookback: state.engine.options().lookback_ms,
            names: &names,
            states: &states,
            selectors: &params.selectors(turn)?,
        };
        let timeline = read(&*state.db, &wanted, Watch(&|_| !turn.is_over()))?;
        Success { warnings: warnings(&timeline), data: reply(&timeline, start, end) }.to_body()
    });
    body.await.map(json_response)
}

/// The range of a request at `now`, all in milliseconds. Nothing is known of what is to come.
fn range(start: Option<i64>, end: Option<i64>, now: i64) -> Result<TimeRange, ApiError> {
    let end = end.map_or(now, |end| end.min(now));
    let start = start.unwrap_or_else(|| end.saturating_sub(DEFAULT_RANGE_MS));
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp and now must not be before start time"));
    }
    Ok(TimeRange::new(start, end))
}

fn states(params: &Params) -> Result<Vec<AlertState>, ApiError> {
    let read = |name: &str| match name {
        "pending" => Ok(AlertState::Pending),
        "firing" => Ok(AlertState::Firing),
        other => Err(ApiError::parameter("state", format!("not supported value {other:?}"))),
    };
    params.all("state").filter(|name| !name.is_empty()).map(read).collect()
}

fn warnings(timeline: &Timeline) -> Vec<String> {
    let told = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what} were left out"));
    let all = [told(timeline.alerts_left_out, "alerts"), told(timeline.spans_left_out, "spans")];
    all.into_iter().flatten().collect()
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn reply(timeline: &Timeline, start: i64, end: i64) -> Value {
    let by_name = timeline.alerts.chunk_by(|a, b| a.labels.get("alertname") == b.labels.get("alertname"));
    let groups: Vec<Value> = by_name.map(|alerts| group(alerts, end)).collect();
    json!({
        "start": seconds(start),
        "end": seconds(end),
        "groups": groups,
        "alertCount": timeline.alerts.len() + timeline.alerts_left_out,
    })
}

fn group(alerts: &[AlertTimeline], end: i64) -> Value {
    let spans = || alerts.iter().flat_map(|alert| &alert.spans);
    let firing = || spans().filter(|span| span.state == AlertState::Firing);
    let firing_ms: i64 = firing().map(|span| span.length(end)).fold(0, i64::saturating_add);
    json!({
        "alertname": alerts.first().and_then(|alert| alert.labels.get("alertname")).unwrap_or_default(),
        "firings": firing().count(),
        "firingSeconds": seconds(firing_ms),
        "alerts": alerts.iter().map(alert_json).collect::<Vec<_>>(),
    })
}

fn alert_json(alert: &AlertTimeline) -> Value {
    let spans = alert.spans.iter().map(|span| {
        let mut json = json!({
            "state": span.state.name(),
            "from": seconds(span.from),
            "to": span.to.map(seconds),
        });
        if span.since_before {
            json["sinceBefore"] = true.into();
        }
        json
    });
    json!({ "labels": object(&alert.labels), "spans": spans.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_now_at_the_latest() {
        const NOW: i64 = 10 * DEFAULT_RANGE_MS;
        let of = |start, end| range(start, end, NOW).ok().map(|range| (range.start, range.end));
        assert_eq!(of(None, None), Some((NOW - DEFAULT_RANGE_MS, NOW)));
        assert_eq!(of(Some(5), Some(NOW + 1)), Some((5, NOW)));
        assert_eq!(of(Some(5), Some(7)), Some((5, 7)));
        assert_eq!(of(Some(NOW + 1), Some(NOW + 2)), None);
    }
}
