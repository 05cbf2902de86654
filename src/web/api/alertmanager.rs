//! Version 2 of Alertmanager's API, for its tools and for dashboards that know it.
//!
//! What is posted is read in [`super::posted`]. What is written goes to [`crate::receivers`].

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::posted::{self, Refusal};
use crate::model::{Anchored, MatchOp, Matcher, parse_matcher};
use crate::receivers::{
    AlertView, ChangeError, GroupView, Pairs, Silence, SilenceError, SilenceState, fingerprint_text,
};
use crate::web::bodies;
use crate::web::params::Params;
use crate::web::reply::json_response;
use crate::web::state::ApiState;

type Shared = State<Arc<ApiState>>;
type Answer = Result<Response, Refusal>;

/// Bytes of a silence, and of a batch of alerts, at most.
const MAX_SILENCE_BYTES: usize = 64 << 10;
const MAX_ALERTS_BYTES: usize = 4 << 20;

/// Filters of one request at most.
const MAX_FILTERS: usize = 64;

fn answer(value: &impl Serialize) -> Response {
    // Maps with text keys can always be written.
    json_response(serde_json::to_vec(value).unwrap_or_default())
}

/// RFC 3339 with milliseconds.
fn time(ms: i64) -> String {
    let nearest = if ms < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    format!("{:.3}", jiff::Timestamp::from_millisecond(ms).unwrap_or(nearest))
}

/// As Alertmanager reads it: whatever is none of these words says no.
fn flag(params: &Params, name: &str) -> bool {
    params.get(name).is_none_or(says_yes)
}

fn says_yes(text: &str) -> bool {
    const YES: [&str; 11] = ["", "true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"];
    YES.iter().any(|word| word.eq_ignore_ascii_case(text))
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
    /// What is left out: alerts in a state, or muted by something.
    hidden: Vec<&'static str>,
}

impl Wanted {
    fn read(params: &Params) -> Result<Self, Refusal> {
        let mut hidden = Vec::new();
        for name in ["active", "unprocessed", "silenced", "inhibited"] {
            if !flag(params, name) {
                hidden.push(name);
            }
        }
        let receiver = params.get("receiver").filter(|text| !text.is_empty());
        let receiver = receiver.map(Anchored::new).transpose();
        Ok(Self {
            matchers: filters(params)?,
            receiver: receiver
                .map_err(|error| Refusal::bad(format!("failed to parse receiver param: {error}")))?,
            hidden,
        })
    }

    fn receiver(&self, name: &str) -> bool {
        self.receiver.as_ref().is_none_or(|regex| regex.is_match(name))
    }

    fn alert(&self, view: &AlertView) -> bool {
        let is_hidden = |name| self.hidden.contains(&name);
        !(is_hidden(state(view))
            || is_hidden("silenced") && !view.silenced_by.is_empty()
            || is_hidden("inhibited") && !view.inhibited_by.is_empty())
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
    let muted = flag(&params, "muted");
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

/// `POST /alerts`
///
/// # Errors
/// When the body is not what it should be, there is no room, or receivers are off or silent. Alerts that can be taken are.
pub async fn post_alerts(State(state): Shared, headers: HeaderMap, body: Body) -> Answer {
    let (config, _) = state.receivers.config()?;
    posted::check_type(&headers)?;
    let (bytes, _counted) = bodies::read(body, MAX_ALERTS_BYTES, &state.forms).await?;
    let (taken, refused) = posted::alerts(&bytes, state.clock.now_ms(), config.resolve_timeout)?;
    let posted = state.look_up(move |state, _| Ok(state.receivers.post(taken))).await?;
    match (posted, refused.as_slice()) {
        (Ok(()), []) => Ok(StatusCode::OK.into_response()),
        (Ok(()), refused) => Err(Refusal::bad(refused.join("\n"))),
        (Err(error), refused) => Err(Refusal::posted(&error, refused)),
    }
}

/// `POST /silences`
///
/// # Errors
/// When the silence makes no sense or cannot be kept, or there is no section `notifications`.
pub async fn post_silence(State(state): Shared, headers: HeaderMap, body: Body) -> Answer {
    state.receivers.config()?;
    posted::check_type(&headers)?;
    let (bytes, _counted) = bodies::read(body, MAX_SILENCE_BYTES, &state.forms).await?;
    let request = posted::silence(&bytes)?;
    let lane = &state.lanes.silences;
    let silence = state.look_up_in(lane, move |state, _| Ok(state.receivers.set_silence(&request))).await??;
    Ok(answer(&json!({ "silenceID": silence.id })))
}

/// `GET /silences`
///
/// # Errors
/// When a parameter makes no sense, or there is no section `notifications`.
pub async fn silences(State(state): Shared, params: Params) -> Answer {
    let matchers = filters(&params)?;
    let (active, pending, expired) =
        (flag(&params, "active"), flag(&params, "pending"), flag(&params, "expired"));
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
    state.receivers.config()?;
    let found = state.receivers.silence(posted::silence_id(&id)?)?;
    let silence = found.ok_or_else(Refusal::not_found)?;
    Ok(answer(&shown_silence(&silence, state.clock.now_ms())))
}

/// `DELETE /silence/{id}`: it ends now, unless it is over already.
///
/// # Errors
/// When there is none of that name, or that cannot be kept.
pub async fn expire_silence(State(state): Shared, Path(id): Path<String>) -> Answer {
    state.receivers.config()?;
    posted::silence_id(&id)?;
    let lane = &state.lanes.silences;
    match state.look_up_in(lane, move |state, _| Ok(state.receivers.expire_silence(&id))).await? {
        Ok(_) | Err(ChangeError::Silence(SilenceError::Over)) => Ok(StatusCode::OK.into_response()),
        Err(ChangeError::Silence(SilenceError::NotFound)) => Err(Refusal::not_found()),
        Err(error) => Err(error.into()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_yes_are_of_any_case_and_all_others_say_no() {
        for text in ["", "true", "TRUE", "True", "oK", "Enabled", "1"] {
            assert!(says_yes(text), "{text}");
        }
        for text in ["false", "False", "0", "no", "2", "maybe", "tru"] {
            assert!(!says_yes(text), "{text}");
        }
    }
}
