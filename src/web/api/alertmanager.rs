//! Version 2 of Alertmanager's API, for its tools and for dashboards that know it.
//!
//! Errors are JSON texts, as there. What is written goes to [`crate::receivers`].

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::{Anchored, Labels, MatchOp, Matcher, RegexBudget, parse_matcher};
use crate::receivers::{
    AlertView, ChangeError, GroupView, Off, Pairs, PostError, PostedAlert, Silence, SilenceError,
    SilenceRequest, SilenceState, fingerprint_text,
};
use crate::web::bodies::{self, BodyError};
use crate::web::params::Params;
use crate::web::reply::{ApiError, json_response};
use crate::web::state::ApiState;

type Shared = State<Arc<ApiState>>;
type Answer = Result<Response, Refusal>;

/// Bytes of a silence, and of a batch of alerts, at most.
const MAX_SILENCE_BYTES: usize = 64 << 10;
const MAX_ALERTS_BYTES: usize = 4 << 20;

/// Filters of one request at most.
const MAX_FILTERS: usize = 64;

/// Why a request is not answered.
#[derive(Debug)]
pub struct Refusal(StatusCode, String);

impl Refusal {
    fn bad(reason: impl std::fmt::Display) -> Self {
        Self(StatusCode::BAD_REQUEST, reason.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let text = crate::util::message(&self.1).into_owned();
        (self.0, json_response(Value::from(text).to_string())).into_response()
    }
}

impl From<Off> for Refusal {
    fn from(off: Off) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, off.to_string())
    }
}

impl From<PostError> for Refusal {
    fn from(error: PostError) -> Self {
        let status = match &error {
            PostError::TooLong(_) => StatusCode::BAD_REQUEST,
            PostError::Off(_) | PostError::Silent | PostError::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, error.to_string())
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, error.message().to_owned())
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let status = match error {
            BodyError::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self(status, error.to_string())
    }
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        let status = match &error {
            ChangeError::Off => StatusCode::SERVICE_UNAVAILABLE,
            ChangeError::Silence(SilenceError::NotFound) => StatusCode::NOT_FOUND,
            ChangeError::Silence(_) => StatusCode::BAD_REQUEST,
            ChangeError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

fn answer(value: &impl Serialize) -> Response {
    // Maps with text keys can always be written.
    json_response(serde_json::to_vec(value).unwrap_or_default())
}

/// RFC 3339 with milliseconds.
fn time(ms: i64) -> String {
    let nearest = if ms < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    format!("{:.3}", jiff::Timestamp::from_millisecond(ms).unwrap_or(nearest))
}

fn flag(params: &Params, name: &str) -> Result<bool, Refusal> {
    match params.get(name) {
        None | Some("" | "true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(Refusal::bad(format!("{name} in query must be of type boolean: {other:?}"))),
    }
}

fn filters(params: &Params) -> Result<Vec<Matcher>, Refusal> {
    if params.all("filter").count() > MAX_FILTERS {
        return Err(Refusal::bad(format!("more than {MAX_FILTERS} filters")));
    }
    params.all("filter").map(|text| parse_matcher(text).map_err(Refusal::bad)).collect()
}

/// Which alerts are wanted.
struct Wanted {
    matchers: Vec<Matcher>,
    receiver: Option<Anchored>,
    active: bool,
    silenced: bool,
    inhibited: bool,
    unprocessed: bool,
}

impl Wanted {
    fn read(params: &Params) -> Result<Self, Refusal> {
        let receiver = params.get("receiver").filter(|text| !text.is_empty());
        let receiver = receiver.map(Anchored::new).transpose();
        Ok(Self {
            matchers: filters(params)?,
            receiver: receiver
                .map_err(|error| Refusal::bad(format!("failed to parse receiver param: {error}")))?,
            active: flag(params, "active")?,
            silenced: flag(params, "silenced")?,
            inhibited: flag(params, "inhibited")?,
            unprocessed: flag(params, "unprocessed")?,
        })
    }

    fn receiver(&self, name: &str) -> bool {
        self.receiver.as_ref().is_none_or(|regex| regex.is_match(name))
    }

    fn alert(&self, view: &AlertView) -> bool {
        (self.silenced || view.silenced_by.is_empty())
            && (self.inhibited || view.inhibited_by.is_empty())
            && (self.active || state(view) != "active")
            && (self.unprocessed || state(view) != "unprocessed")
            && self.matchers.iter().all(|matcher| matcher.matches_labels(&view.alert.labels))
    }
}

/// The state of an alert, as it is called.
fn state(view: &AlertView) -> &'static str {
    match (view.is_suppressed(), view.is_known) {
        (true, _) => "suppressed",
        (false, true) => "active",
        (false, false) => "unprocessed",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownAlert<'a> {
    annotations: Pairs<'a>,
    ends_at: String,
    fingerprint: String,
    receivers: Vec<Name<'a>>,
    starts_at: String,
    status: ShownStatus<'a>,
    updated_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "str::is_empty")]
    generator_url: &'a str,
    labels: Pairs<'a>,
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownStatus<'a> {
    inhibited_by: &'a [String],
    muted_by: [String; 0],
    silenced_by: Vec<&'a str>,
    state: &'static str,
}

impl<'a> ShownAlert<'a> {
    fn of(view: &'a AlertView) -> Self {
        Self {
            annotations: Pairs(&view.alert.annotations),
            ends_at: time(view.alert.ends_at),
            fingerprint: fingerprint_text(&view.alert.labels),
            receivers: view.receivers.iter().map(|name| Name { name }).collect(),
            starts_at: time(view.alert.starts_at),
            status: ShownStatus {
                inhibited_by: &view.inhibited_by,
                muted_by: [],
                silenced_by: view.silenced_by.iter().map(|silence| silence.id.as_str()).collect(),
                state: state(view),
            },
            updated_at: time(view.alert.updated_at),
            generator_url: &view.alert.generator_url,
            labels: Pairs(&view.alert.labels),
        }
    }
}

/// `GET /alerts`
///
/// # Errors
/// When a parameter makes no sense, or there is no section `notifications`.
pub async fn alerts(State(state): Shared, params: Params) -> Answer {
    let wanted = Wanted::read(&params)?;
    let found = state.look_up(move |state, _| {
        Ok(state.receivers.alerts().map(|alerts| {
            let fits = |view: &&AlertView| {
                view.receivers.iter().any(|name| wanted.receiver(name)) && wanted.alert(view)
            };
            let shown: Vec<ShownAlert<'_>> = alerts.iter().filter(fits).map(ShownAlert::of).collect();
            answer(&shown)
        }))
    });
    Ok(found.await??)
}

/// `GET /alerts/groups`
///
/// # Errors
/// As [`alerts`].
pub async fn groups(State(state): Shared, params: Params) -> Answer {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Shown<'a> {
        alerts: Vec<ShownAlert<'a>>,
        labels: Pairs<'a>,
        receiver: Name<'a>,
        route_labels: BTreeMap<&'a str, &'a str>,
    }
    let wanted = Wanted::read(&params)?;
    let muted = flag(&params, "muted")?;
    let found = state.look_up(move |state, _| {
        Ok(state.receivers.groups().map(|groups| {
            let show = |group: &'_ GroupView| {
                (muted || !group.alerts.iter().all(AlertView::is_suppressed))
                    && wanted.receiver(&group.receiver)
            };
            let shown = groups.iter().filter(|group| show(group)).map(|group| Shown {
                alerts: group.alerts.iter().filter(|view| wanted.alert(view)).map(ShownAlert::of).collect(),
                labels: Pairs(&group.labels),
                receiver: Name { name: &group.receiver },
                route_labels: BTreeMap::new(),
            });
            let shown: Vec<Shown<'_>> = shown.filter(|group| !group.alerts.is_empty()).collect();
            answer(&shown)
        }))
    });
    Ok(found.await??)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    #[serde(rename = "generatorURL", default)]
    generator_url: String,
}

/// `POST /alerts`
///
/// # Errors
/// When the body is not what it should be, there is no room, or receivers are off or silent. Alerts that can be taken are.
pub async fn post_alerts(State(state): Shared, body: Body) -> Answer {
    state.receivers.config()?;
    let (bytes, _counted) = bodies::read(body, MAX_ALERTS_BYTES, &state.forms).await?;
    let posted: Vec<Posted> =
        serde_json::from_slice(&bytes).map_err(|error| Refusal::bad(format!("bad alerts: {error}")))?;
    let mut taken = Vec::new();
    let mut refused = Vec::new();
    for alert in posted {
        match posted_alert(alert) {
            Ok(alert) => taken.push(alert),
            Err(reason) => refused.push(reason),
        }
    }
    state.look_up(move |state, _| Ok(state.receivers.post(taken))).await??;
    match refused.as_slice() {
        [] => Ok(StatusCode::OK.into_response()),
        all => Err(Refusal::bad(all.join("; "))),
    }
}

fn posted_alert(alert: Posted) -> Result<PostedAlert, String> {
    let Posted { labels, annotations, starts_at, ends_at, generator_url } = alert;
    let labels = Labels::from_pairs(labels);
    if labels.is_empty() {
        return Err("at least one label pair required".to_owned());
    }
    if labels.iter().any(|(name, _)| name.is_empty()) {
        return Err("a label name is empty".to_owned());
    }
    // The first moment of the year one is how Go says that there is none.
    let parse = |text: Option<String>| match text {
        None => Ok(None),
        Some(text) => parse_time(&text).map(|ms| Some(ms).filter(|ms| *ms > -62_135_596_800_000)),
    };
    let (starts_at_ms, ends_at_ms) = (parse(starts_at)?, parse(ends_at)?);
    if starts_at_ms.zip(ends_at_ms).is_some_and(|(starts, ends)| ends < starts) {
        return Err("start time must be before end time".to_owned());
    }
    // It becomes a link.
    let is_link = generator_url.starts_with("http://") || generator_url.starts_with("https://");
    let generator_url = if is_link { generator_url } else { String::new() };
    let annotations = Labels::from_pairs(annotations);
    Ok(PostedAlert { labels, annotations, starts_at_ms, ends_at_ms, generator_url })
}

fn parse_time(text: &str) -> Result<i64, String> {
    let parsed = text.parse::<jiff::Timestamp>();
    parsed
        .map(jiff::Timestamp::as_millisecond)
        .map_err(|_| format!("{:?} is not a date and time", crate::util::brief(text)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedSilence {
    #[serde(default)]
    id: Option<String>,
    matchers: Vec<PostedMatcher>,
    starts_at: String,
    ends_at: String,
    created_by: String,
    comment: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedMatcher {
    name: String,
    value: String,
    is_regex: bool,
    #[serde(default)]
    is_equal: Option<bool>,
}

/// `POST /silences`
///
/// # Errors
/// When the silence makes no sense or cannot be kept, or there is no section `notifications`.
pub async fn post_silence(State(state): Shared, body: Body) -> Answer {
    state.receivers.config()?;
    let (bytes, _counted) = bodies::read(body, MAX_SILENCE_BYTES, &state.forms).await?;
    let posted: PostedSilence =
        serde_json::from_slice(&bytes).map_err(|error| Refusal::bad(format!("bad silence: {error}")))?;
    let mut budget = RegexBudget::default();
    let matchers = posted.matchers.into_iter().map(|matcher| {
        let op = match (matcher.is_regex, matcher.is_equal.unwrap_or(true)) {
            (false, true) => MatchOp::Equal,
            (false, false) => MatchOp::NotEqual,
            (true, true) => MatchOp::Regex,
            (true, false) => MatchOp::NotRegex,
        };
        Matcher::within(matcher.name, op, matcher.value, &mut budget).map_err(Refusal::bad)
    });
    let request = SilenceRequest {
        id: posted.id.filter(|id| !id.is_empty()),
        matchers: matchers.collect::<Result<_, _>>()?,
        starts_at_ms: parse_time(&posted.starts_at).map_err(Refusal::bad)?,
        ends_at_ms: parse_time(&posted.ends_at).map_err(Refusal::bad)?,
        created_by: posted.created_by,
        comment: posted.comment,
    };
    let silence = state.look_up(move |state, _| Ok(state.receivers.set_silence(request))).await??;
    Ok(answer(&json!({ "silenceID": silence.id })))
}

/// `GET /silences`
///
/// # Errors
/// When a parameter makes no sense, or there is no section `notifications`.
pub async fn silences(State(state): Shared, params: Params) -> Answer {
    let matchers = filters(&params)?;
    let (active, pending, expired) =
        (flag(&params, "active")?, flag(&params, "pending")?, flag(&params, "expired")?);
    let found = state.look_up(move |state, _| {
        let now = state.clock.now_ms();
        Ok(state.receivers.silences().map(|silences| {
            let is_wanted = |silence: &Arc<Silence>| match silence.state(now) {
                SilenceState::Active => active,
                SilenceState::Pending => pending,
                SilenceState::Expired => expired,
            };
            // A filter looks at what the silence itself says of a label.
            let said = |silence: &Silence, name: &str| {
                silence.matchers.iter().find(|matcher| matcher.name() == name).map(|m| m.value().to_owned())
            };
            let fits = |silence: &Arc<Silence>| {
                matchers.iter().all(|m| m.matches(&said(silence, m.name()).unwrap_or_default()))
            };
            let mut found: Vec<_> = silences.into_iter().filter(is_wanted).filter(fits).collect();
            found.sort_by_key(|silence| match silence.state(now) {
                SilenceState::Active => (0, silence.ends_at_ms),
                SilenceState::Pending => (1, silence.starts_at_ms),
                SilenceState::Expired => (2, silence.ends_at_ms.saturating_neg()),
            });
            answer(&found.iter().map(|silence| shown_silence(silence, now)).collect::<Vec<_>>())
        }))
    });
    Ok(found.await??)
}

/// `GET /silence/{id}`
///
/// # Errors
/// When there is none of that name.
pub async fn silence(State(state): Shared, Path(id): Path<String>) -> Answer {
    let found = state.receivers.silence(&id)?;
    let silence = found.ok_or_else(|| Refusal(StatusCode::NOT_FOUND, SilenceError::NotFound.to_string()))?;
    Ok(answer(&shown_silence(&silence, state.clock.now_ms())))
}

/// `DELETE /silence/{id}`: it ends now.
///
/// # Errors
/// When there is none of that name, it is over, or that cannot be kept.
pub async fn expire_silence(State(state): Shared, Path(id): Path<String>) -> Answer {
    state.look_up(move |state, _| Ok(state.receivers.expire_silence(&id))).await??;
    Ok(StatusCode::OK.into_response())
}

fn shown_silence(silence: &Silence, now: i64) -> Value {
    let matchers = silence.matchers.iter().map(|matcher| {
        json!({
            "isEqual": matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex),
            "isRegex": matches!(matcher.op(), MatchOp::Regex | MatchOp::NotRegex),
            "name": matcher.name(),
            "value": matcher.value(),
        })
    });
    json!({
        "id": silence.id,
        "status": { "state": silence.state(now).name() },
        "updatedAt": time(silence.updated_at_ms),
        "annotations": {},
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "endsAt": time(silence.ends_at_ms),
        "matchers": matchers.collect::<Vec<_>>(),
        "startsAt": time(silence.starts_at_ms),
    })
}

/// `GET /receivers`
///
/// # Errors
/// When there is no section `notifications`.
pub async fn receivers(State(state): Shared) -> Answer {
    let (config, _) = state.receivers.config()?;
    let names: Vec<Value> =
        config.receivers.iter().map(|receiver| json!({ "name": receiver.name })).collect();
    Ok(answer(&names))
}

/// `GET /status`
///
/// # Errors
/// When there is no section `notifications`.
pub async fn status(State(state): Shared) -> Answer {
    state.receivers.config()?;
    Ok(answer(&json!({
        "cluster": { "name": "", "peers": [], "status": "disabled" },
        "config": { "original": state.config.load().notifications_yaml().unwrap_or_default() },
        "uptime": time(state.started_ms),
        "versionInfo": {
            "version": env!("CARGO_PKG_VERSION"),
            "revision": option_env!("EMBERKEEP_REVISION").unwrap_or("unknown"),
            "branch": "",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
        },
    })))
}
