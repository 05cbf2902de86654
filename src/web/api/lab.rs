//! The lab: what rules would have done over stored history.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};

use super::rules::object;
use crate::config::{self, Place, RuleFile, RuleGroup, RuleKind, RuleSpec};
use crate::lanes::Turn;
use crate::promql::Features;
use crate::rules::lab::compare::{Compared, Comparison, Outcome, Settings, compare};
use crate::rules::lab::error::Error;
use crate::rules::lab::graph::GraphSeries;
use crate::rules::lab::history::{AlertHistory, Span, Totals};
use crate::rules::lab::play::{History, Lab, Plan, play, weeks};
use crate::rules::lab::unit_test::unit_test as make_unit_test;
use crate::rules::{External, GroupSpec, Rule, load};
use crate::web::number::write_float;
use crate::web::params::Params;
use crate::web::reply::{ApiError, Success, json_response};
use crate::web::state::ApiState;

type Shared = State<Arc<ApiState>>;

/// Alerts that are told where the request does not say how many.
const DEFAULT_ALERTS: usize = 200;
/// Most alerts that are told.
const MAX_ALERTS: usize = 2_000;
/// Series of the graph where the request does not say how many.
const DEFAULT_SERIES: usize = 20;
/// Most series of the graph.
const MAX_SERIES: usize = 100;
/// Points of a series of the graph where the request does not say how many.
const DEFAULT_POINTS: usize = 600;
/// Most points of a series of the graph.
const MAX_POINTS: usize = 2_000;

/// What a unit test calls the file of its rule.
const RULE_FILE: &str = "lab.rules.yml";

/// Told with a unit test of a group whose rules look back as the configuration says.
const OFFSET_LEFT_OUT: &str =
    "the test is made without global.rule_query_offset, of which unit tests know nothing";

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Query(error) => error.into(),
            Error::Late(late) => late.into(),
            error => Self::bad_data(error.to_string()),
        }
    }
}

/// `GET|POST /rules/backtest`
pub async fn backtest(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let lane = state.lanes.queries.clone();
    let timeout = params.duration("timeout")?.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
    let timeout = timeout.unwrap_or(state.query_timeout).min(state.query_timeout);
    let body = state.run_in(&lane, timeout, move |state, turn| {
        if params.get("rules").is_some() {
            return compared(&params, state, turn);
        }
        let spec = single(&params, state)?;
        let range = Range::of(&params, state, spec.interval)?;
        let rule = spec.rules.first().ok_or_else(|| ApiError::bad_data("there is no rule"))?;
        let offset = offset_of(&spec, state);
        let plan = range.plan(&params, offset, spec.limit)?;
        let history = with_lab(state, turn, |lab| play(lab, rule, &plan))?;
        let warnings = warnings(&history);
        let data = HistoryReply::new(rule, &range, &history);
        Success { data, warnings }.to_body()
    });
    body.await.map(json_response)
}

/// `POST /rules/unit_test`
pub async fn unit_test(State(state): Shared, params: Params) -> Result<Response, ApiError> {
    let lane = state.lanes.queries.clone();
    let body = state.run_in(&lane, state.query_timeout, move |state, turn| {
        let spec = single(&params, state)?;
        let range = Range::of(&params, state, spec.interval)?;
        let (offset, warnings) = offset_of_test(&spec, offset_of(&spec, state));
        let plan = Plan { alerts: MAX_ALERTS, ..range.plan(&params, offset, 0)? };
        let test = with_lab(state, turn, |lab| make_unit_test(lab, &spec, &plan, RULE_FILE))?;
        Success { data: json!({ "ruleFile": RULE_FILE, "test": test }), warnings }.to_body()
    });
    body.await.map(json_response)
}

/// The rules of a file that is part of the request beside those that are loaded.
fn compared(params: &Params, state: &ApiState, turn: &Turn) -> Result<Vec<u8>, ApiError> {
    if params.get("interval").is_some() {
        return Err(ApiError::parameter("interval", "each group of \"rules\" has its own"));
    }
    let interval = state.config.load().global.evaluation_interval;
    let range = Range::of(params, state, interval)?;
    let file = config::parse_rule_file(params.get("rules").unwrap_or_default(), "rules")
        .map_err(|error| ApiError::parameter("rules", error))?;
    let proposed = compiled(&file, interval, &state.engine.options().features)?;
    let current = state.rules.specs();
    let plan = Plan { alerts: MAX_ALERTS, points: 0, ..range.plan(params, 0, 0)? };
    let settings = Settings {
        plan,
        offset: ms(state.config.load().global.rule_query_offset),
        current: &current,
        proposed: &proposed,
        file: params.get("file"),
    };
    let comparison = with_lab(state, turn, |lab| compare(lab, &settings))?;
    let warnings = comparison_warnings(&comparison);
    let rules: Vec<Value> = comparison.rules.iter().map(|rule| compared_json(rule, &range)).collect();
    let data = json!({
        "start": Seconds::of(range.start),
        "end": Seconds::of(range.end),
        "rules": rules,
        "recorded": comparison.recorded,
        "missing": comparison.missing.iter().map(|(name, why)| json!({ "name": name, "error": why })).collect::<Vec<_>>(),
    });
    Success { data, warnings }.to_body()
}

fn comparison_warnings(comparison: &Comparison) -> Vec<String> {
    let missing = comparison.missing.iter();
    let missing = missing.map(|(name, why)| format!("the new series {name:?} could not be evaluated: {why}"));
    let mut warnings: Vec<String> = comparison.warnings.iter().cloned().chain(missing).collect();
    let outcomes = comparison.rules.iter().flat_map(|rule| rule.current.iter().chain(&rule.proposed));
    let summaries = outcomes.filter_map(|outcome| outcome.summary.as_ref().ok());
    if summaries.clone().any(|summary| summary.is_cut) {
        warnings.push("there are more alerts than are compared: figures are of the first ones".to_owned());
    }
    let spans: u64 = summaries.clone().map(|summary| summary.spans_cut).sum();
    if spans > 0 {
        warnings.push(format!(
            "{spans} spans are in the totals and not compared: too few firings are counted for both and for one alone"
        ));
    }
    if summaries.clone().any(|summary| summary.failed > 0) {
        warnings.push("some evaluations failed; see failedEvaluations".to_owned());
    }
    let texts: u64 = summaries.map(|summary| summary.texts_failed).sum();
    if texts > 0 {
        warnings.push(format!("{texts} labels could not be expanded"));
    }
    warnings
}

fn compared_json(rule: &Compared, range: &Range) -> Value {
    json!({
        "group": rule.group,
        "alert": rule.alert,
        "isSame": rule.is_same,
        "both": rule.both,
        "onlyCurrent": rule.only_current,
        "onlyProposed": rule.only_proposed,
        "current": rule.current.as_ref().map(|outcome| outcome_json(outcome, range)),
        "proposed": rule.proposed.as_ref().map(|outcome| outcome_json(outcome, range)),
    })
}

fn outcome_json(outcome: &Outcome, range: &Range) -> Value {
    let rule = rule_json(&outcome.rule);
    match &outcome.summary {
        Err(error) => json!({ "rule": rule, "error": error }),
        Ok(summary) => json!({
            "rule": rule,
            "evaluations": summary.evaluations,
            "failedEvaluations": summary.failed,
            "alertCount": summary.alert_count,
            "totals": TotalsReply::new(&summary.totals, summary.last.saturating_sub(range.start)),
        }),
    }
}

/// Calls `work` with what rules are played on.
fn with_lab<T>(
    state: &ApiState,
    turn: &Turn,
    work: impl FnOnce(&Lab<'_>) -> Result<T, Error>,
) -> Result<T, ApiError> {
    let config = state.config.load();
    let external = External {
        labels: config.global.external_labels.clone(),
        url: state.site.external_url.text(),
        path_prefix: state.site.external_url.path().to_owned(),
    };
    let lab = Lab { engine: &state.engine, source: &*state.db, external: &external, turn };
    Ok(work(&lab)?)
}

/// The range of a request, in milliseconds.
struct Range {
    start: i64,
    end: i64,
    interval_ms: i64,
}

impl Range {
    /// The range of the parameters; `interval` is that of a request which does not say.
    fn of(params: &Params, state: &ApiState, interval: Duration) -> Result<Self, ApiError> {
        let end = params.time("end")?.unwrap_or_else(|| state.clock.now_ms());
        let start = params.required_time("start")?;
        let interval_ms = params.duration("interval")?.unwrap_or_else(|| ms(interval));
        if end < start {
            return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
        }
        if interval_ms <= 0 {
            return Err(ApiError::parameter("interval", "must be longer than nothing"));
        }
        Ok(Self { start, end, interval_ms })
    }

    fn plan(&self, params: &Params, offset: i64, limit: usize) -> Result<Plan, ApiError> {
        Ok(Plan {
            start: self.start,
            end: self.end,
            interval: self.interval_ms,
            offset,
            limit,
            alerts: count(params, "alerts", DEFAULT_ALERTS, MAX_ALERTS)?,
            series: count(params, "series", DEFAULT_SERIES, MAX_SERIES)?,
            points: count(params, "points", DEFAULT_POINTS, MAX_POINTS)?,
        })
    }
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn count(params: &Params, name: &'static str, default: usize, most: usize) -> Result<usize, ApiError> {
    let Some(text) = params.get(name) else { return Ok(default) };
    let count = text.parse::<usize>().ok().filter(|count| *count <= most);
    count.ok_or_else(|| ApiError::parameter(name, format!("must be a whole number up to {most}")))
}

fn offset_of(spec: &GroupSpec, state: &ApiState) -> i64 {
    ms(spec.query_offset.unwrap_or(state.config.load().global.rule_query_offset))
}

/// The offset with which a unit test is made, in milliseconds, and what there is to say about it: unit tests know the
/// group, and not the configuration.
fn offset_of_test(spec: &GroupSpec, of_server: i64) -> (i64, Vec<String>) {
    let offset = ms(spec.query_offset.unwrap_or_default());
    (offset, if offset == of_server { Vec::new() } else { vec![OFFSET_LEFT_OUT.to_owned()] })
}

/// The rule of the parameters: one that is written there, or one that is loaded.
fn single(params: &Params, state: &ApiState) -> Result<GroupSpec, ApiError> {
    let Some(expr) = params.get("expr") else { return loaded(params, state) };
    let duration = |name: &'static str| -> Result<Duration, ApiError> {
        let ms = params.duration(name)?.unwrap_or(0);
        u64::try_from(ms)
            .map(Duration::from_millis)
            .map_err(|_| ApiError::parameter(name, "must not be negative"))
    };
    let rule = RuleSpec {
        kind: RuleKind::Alerting {
            hold: duration("for")?,
            keep_firing: duration("keep_firing_for")?,
            annotations: pairs(params, "annotations")?,
        },
        name: params.get("alert").unwrap_or("Lab").to_owned(),
        expr: expr.to_owned(),
        labels: pairs(params, "labels")?,
        place: Place { line: 1, column: 1 },
    };
    let offset = params.duration("query_offset")?.and_then(|ms| u64::try_from(ms).ok());
    let group = RuleGroup {
        name: "lab".to_owned(),
        interval: None,
        query_offset: offset.map(Duration::from_millis),
        limit: count(params, "limit", 0, usize::MAX)?,
        labels: BTreeMap::new(),
        rules: vec![rule],
    };
    let file = RuleFile { name: "lab".to_owned(), groups: vec![group] };
    let interval = state.config.load().global.evaluation_interval;
    let mut specs = compiled(&file, interval, &state.engine.options().features)?;
    specs.pop().ok_or_else(|| ApiError::bad_data("there is no rule"))
}

fn compiled(file: &RuleFile, interval: Duration, features: &Features) -> Result<Vec<GroupSpec>, ApiError> {
    let mut errors = Vec::new();
    let specs = load::compile(file, interval, features, &mut errors);
    config::Error::all(errors).map_err(|error| ApiError::bad_data(error.to_string()))?;
    Ok(specs)
}

/// The loaded alerting rule that the parameters name, with the settings of its group.
fn loaded(params: &Params, state: &ApiState) -> Result<GroupSpec, ApiError> {
    let Some(name) = params.get("rule") else {
        let cause =
            "an expression, \"rule\" with the name of a loaded rule, or \"rules\" with rule files is needed";
        return Err(ApiError::parameter("expr", cause));
    };
    let (file, group) = (params.get("file"), params.get("group"));
    let is_meant = |spec: &GroupSpec| {
        file.is_none_or(|file| spec.file == file) && group.is_none_or(|group| spec.name == group)
    };
    let of_group = |mut spec: GroupSpec| {
        let at = spec.rules.iter().position(|rule| rule.name == name && rule.alerting.is_some())?;
        spec.rules = vec![spec.rules.swap_remove(at)];
        Some(spec)
    };
    let found = state.rules.specs().into_iter().filter(is_meant).find_map(of_group);
    found.ok_or_else(|| ApiError::parameter("rule", format!("there is no alerting rule {name:?} loaded")))
}

/// A JSON object of texts.
fn pairs(params: &Params, name: &'static str) -> Result<BTreeMap<String, String>, ApiError> {
    let Some(text) = params.get(name) else { return Ok(BTreeMap::new()) };
    serde_json::from_str(text)
        .map_err(|error| ApiError::parameter(name, format!("must be a JSON object of texts: {error}")))
}

fn warnings(history: &History) -> Vec<String> {
    let mut warnings = Vec::new();
    if history.is_cut {
        warnings.push("there are more alerts than can be followed: figures are of the first ones".to_owned());
    }
    if history.alerts.len() < history.alert_count {
        warnings.push(format!("{} of {} alerts are shown", history.alerts.len(), history.alert_count));
    }
    if history.spans_cut > 0 {
        warnings.push(format!("{} spans are counted and not shown", history.spans_cut));
    }
    if history.failed > 0 {
        let why = history.failure.as_deref().unwrap_or_default();
        warnings.push(format!("{} evaluations failed, the last one for this reason: {why}", history.failed));
    }
    if history.texts_failed > 0 {
        let (count, why) = (history.texts_failed, &history.text_failure);
        warnings.push(format!(
            "{count} labels or annotations could not be expanded, the last one for this reason: {why}"
        ));
    }
    warnings
}

/// Seconds since the epoch, or of a length of time.
#[derive(Clone, Copy, Serialize)]
#[serde(transparent)]
struct Seconds(f64);

impl Seconds {
    fn of(ms: i64) -> Self {
        Self(ms as f64 / 1000.0)
    }
}

/// A number as text, which may be infinite or none.
fn number_text(value: f64) -> String {
    let mut text = Vec::new();
    write_float(value, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HistoryReply<'a> {
    rule: Value,
    start: Seconds,
    end: Seconds,
    interval: Seconds,
    evaluations: usize,
    failed_evaluations: u64,
    first_evaluation: Seconds,
    last_evaluation: Seconds,
    threshold: Option<Value>,
    totals: TotalsReply,
    alert_count: usize,
    alerts: Vec<AlertReply<'a>>,
    spans_left_out: u64,
    series: Vec<SeriesReply>,
    series_left_out: bool,
}

impl<'a> HistoryReply<'a> {
    fn new(rule: &Rule, range: &Range, history: &'a History) -> Self {
        let threshold = history.threshold.as_ref().map(|threshold| {
            json!({
                "operator": threshold.operator.as_str(),
                "value": number_text(threshold.value),
                "left": threshold.left.to_string(),
            })
        });
        let length = history.last.saturating_sub(range.start);
        Self {
            rule: rule_json(rule),
            start: Seconds::of(range.start),
            end: Seconds::of(range.end),
            interval: Seconds::of(range.interval_ms),
            evaluations: history.evaluations,
            failed_evaluations: history.failed,
            first_evaluation: Seconds::of(history.first),
            last_evaluation: Seconds::of(history.last),
            threshold,
            totals: TotalsReply::new(&history.totals, length),
            alert_count: history.alert_count,
            alerts: history.alerts.iter().map(|alert| AlertReply::new(alert, length)).collect(),
            spans_left_out: history.spans_cut,
            series: history.graph.iter().map(SeriesReply::new).collect(),
            series_left_out: history.graph_cut,
        }
    }
}

fn rule_json(rule: &Rule) -> Value {
    let timing = rule.alerting.as_ref().map(|alerting| alerting.timing).unwrap_or_default();
    let annotations = rule.alerting.as_ref().map(|alerting| alerting.annotation_texts.as_slice());
    let texts = |pairs: &[(String, String)]| object(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    json!({
        "name": rule.name,
        "query": rule.query,
        "duration": Seconds::of(timing.hold),
        "keepFiringFor": Seconds::of(timing.keep_firing),
        "labels": texts(&rule.labels),
        "annotations": texts(annotations.unwrap_or_default()),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TotalsReply {
    firings: u64,
    firings_per_week: f64,
    pending: u64,
    pending_passed: u64,
    firing_seconds: Seconds,
    longest_firing_seconds: Seconds,
}

impl TotalsReply {
    fn new(totals: &Totals, length_ms: i64) -> Self {
        let length = weeks(Duration::from_millis(u64::try_from(length_ms).unwrap_or(0)));
        let per_week = if length > 0.0 { totals.firings as f64 / length } else { 0.0 };
        Self {
            firings: totals.firings,
            firings_per_week: per_week,
            pending: totals.pendings,
            pending_passed: totals.passed,
            firing_seconds: Seconds::of(totals.firing_ms),
            longest_firing_seconds: Seconds::of(totals.longest_ms),
        }
    }
}

#[derive(Serialize)]
struct AlertReply<'a> {
    labels: Value,
    annotations: Value,
    #[serde(flatten)]
    totals: TotalsReply,
    spans: Vec<SpanReply<'a>>,
}

impl<'a> AlertReply<'a> {
    fn new(alert: &'a AlertHistory, length_ms: i64) -> Self {
        Self {
            labels: object(&alert.labels),
            annotations: object(&alert.annotations),
            totals: TotalsReply::new(&alert.totals, length_ms),
            spans: alert.spans.iter().map(SpanReply).collect(),
        }
    }
}

struct SpanReply<'a>(&'a Span);

impl Serialize for SpanReply<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let Span { state, from, to, since_before, peak } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("state", state.name())?;
        map.serialize_entry("from", &Seconds::of(*from))?;
        map.serialize_entry("to", &to.map(Seconds::of))?;
        if *since_before {
            map.serialize_entry("sinceBefore", &true)?;
        }
        map.serialize_entry("peak", &number_text(*peak))?;
        map.end()
    }
}

#[derive(Serialize)]
struct SeriesReply {
    metric: Value,
    values: Vec<(Seconds, String)>,
}

impl SeriesReply {
    fn new(series: &GraphSeries) -> Self {
        let points = series.points.iter();
        let values = points.map(|(time, value)| (Seconds::of(*time), number_text(*value))).collect();
        Self { metric: object(&series.labels), values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::lab::compare::Summary;

    fn group(settings: &str) -> GroupSpec {
        let text = format!("groups: [{{name: g, {settings}rules: [{{alert: A, expr: x}}]}}]");
        let file = config::parse_rule_file(&text, "f").expect("a rule file");
        compiled(&file, Duration::from_secs(15), &Features::default()).expect("valid").remove(0)
    }

    #[test]
    fn unit_tests_have_the_offset_of_the_group_alone() {
        let told = |settings: &str, of_server| {
            let (offset, warnings) = offset_of_test(&group(settings), of_server);
            (offset, warnings.len())
        };
        assert_eq!(told("", 0), (0, 0));
        assert_eq!(told("", 60_000), (0, 1));
        assert_eq!(told("query_offset: 30s, ", 30_000), (30_000, 0));
    }

    #[test]
    fn what_is_not_compared_is_told() {
        let summary = Summary {
            totals: Totals::default(),
            alert_count: 1,
            evaluations: 1,
            last: 0,
            failed: 0,
            is_cut: false,
            spans_cut: 3,
            texts_failed: 0,
        };
        let comparison = |summary: Summary| Comparison {
            rules: vec![Compared {
                group: "g".to_owned(),
                alert: "A".to_owned(),
                current: None,
                proposed: Some(Outcome { rule: group("").rules.remove(0), summary: Ok(summary) }),
                is_same: false,
                both: 0,
                only_current: 0,
                only_proposed: 0,
            }],
            recorded: Vec::new(),
            missing: Vec::new(),
            warnings: vec!["first".to_owned()],
        };
        let warnings = comparison_warnings(&comparison(summary.clone()));
        assert!(warnings.len() == 2 && warnings[1].starts_with("3 spans"), "{warnings:?}");
        assert_eq!(comparison_warnings(&comparison(Summary { spans_cut: 0, ..summary })), ["first"]);
    }
}
