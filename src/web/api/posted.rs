//! What is posted to version 2 of Alertmanager's API, and how it is refused.
//!
//! As there: what does not have the shape of the API is refused with an object of a code and a message, what has the shape
//! and makes no sense with a JSON text.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::{Labels, MatchOp, Matcher, RegexBudget};
use crate::net::is_url;
use crate::receivers::{ChangeError, Off, PostError, PostedAlert, SilenceError, SilenceRequest};
use crate::util::brief;
use crate::web::bodies::BodyError;
use crate::web::reply::{ApiError, json_response};

/// Codes of what does not have the shape of the API.
const WRONG_FORMAT: u16 = 601;
const REQUIRED: u16 = 602;
const TOO_FEW: u16 = 612;

/// The first moment of the year one, in milliseconds, is how Go says that there is none.
const NO_TIME_MS: i64 = -62_135_596_800_000;

/// Why a request is not answered.
#[derive(Debug, PartialEq)]
pub struct Refusal(StatusCode, Option<Value>);

impl Refusal {
    fn new(status: StatusCode, reason: impl std::fmt::Display) -> Self {
        let reason = reason.to_string();
        Self(status, Some(crate::util::message(&reason).into()))
    }

    /// What has the shape of the API and makes no sense.
    pub(super) fn bad(reason: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// Alerts that have the shape of the API were not taken, and what was `refused` of the same batch before.
    pub(super) fn posted(error: &PostError, refused: &[String]) -> Self {
        let status = match error {
            PostError::TooLong(_) => StatusCode::BAD_REQUEST,
            PostError::Off(_) | PostError::Silent | PostError::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let reasons: Vec<String> = refused.iter().cloned().chain([error.to_string()]).collect();
        Self::new(status, reasons.join("\n"))
    }

    /// There is no silence of that name.
    pub(super) fn not_found() -> Self {
        Self(StatusCode::NOT_FOUND, None)
    }

    fn coded(status: StatusCode, code: u16, message: &str) -> Self {
        Self(status, Some(json!({ "code": code, "message": crate::util::message(message) })))
    }

    fn shape(code: u16, message: &str) -> Self {
        Self::coded(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    fn required(name: &str) -> Self {
        Self::shape(REQUIRED, &format!("{name} in body is required"))
    }

    fn unparsed(what: &str, error: impl std::fmt::Display) -> Self {
        let status = StatusCode::BAD_REQUEST;
        let message = format!("parsing {what} body from \"\" failed, because {error}");
        Self::coded(status, status.as_u16(), &message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self.1 {
            Some(body) => (self.0, json_response(body.to_string())).into_response(),
            None => self.0.into_response(),
        }
    }
}

impl From<Off> for Refusal {
    fn from(off: Off) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, off)
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.message())
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let status = match error {
            BodyError::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error)
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
        Self::new(status, error)
    }
}

/// Checks that a body says that it is JSON.
pub(super) fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let said =
        headers.get(CONTENT_TYPE).map_or("application/octet-stream", |value| value.to_str().unwrap_or(""));
    let kind = said.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let message = format!("unsupported media type {:?}, only [application/json] are allowed", brief(kind));
    Err(Refusal::coded(status, status.as_u16(), &message))
}

/// Checks the name of a silence in a path.
pub(super) fn silence_id(id: &str) -> Result<&str, Refusal> {
    let is_part =
        |(part, len): (&str, usize)| part.len() == len && part.bytes().all(|b| b.is_ascii_hexdigit());
    if id.split('-').count() == 5 && id.split('-').zip([8, 4, 4, 4, 12]).all(is_part) {
        return Ok(id);
    }
    let message = format!("silenceID in path must be of type uuid: {:?}", brief(id));
    Err(Refusal::shape(WRONG_FORMAT, &message))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    #[serde(rename = "generatorURL")]
    generator_url: Option<String>,
}

/// The alerts of a body, and why some of them are not taken. Those without an end last for `resolve_timeout` from `now`
/// (milliseconds) on.
///
/// # Errors
/// When it does not have the shape of the API.
pub(super) fn alerts(
    body: &[u8],
    now: i64,
    resolve_timeout: Duration,
) -> Result<(Vec<PostedAlert>, Vec<String>), Refusal> {
    let timeout_ms = i64::try_from(resolve_timeout.as_millis()).unwrap_or(i64::MAX);
    let posted: Option<Vec<Alert>> = parse(body, "alerts")?;
    let posted = posted.ok_or_else(|| Refusal::required("alerts"))?;
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for (place, alert) in posted.into_iter().enumerate() {
        match posted_alert(place, alert, now.saturating_add(timeout_ms))? {
            Ok(alert) => taken.push(alert),
            Err(reason) => refused.push(reason),
        }
    }
    Ok((taken, refused))
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], what: &str) -> Result<Option<T>, Refusal> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(body).map_err(|error| Refusal::unparsed(what, error))
}

fn posted_alert(
    place: usize,
    alert: Alert,
    last_end_ms: i64,
) -> Result<Result<PostedAlert, String>, Refusal> {
    let Alert { labels, annotations, starts_at, ends_at, generator_url } = alert;
    let labels = labels.ok_or_else(|| Refusal::required(&format!("{place}.labels")))?;
    let generator_url = generator_url.unwrap_or_default();
    let is_uri = generator_url.starts_with('/') || is_url(&generator_url);
    if !is_uri && !generator_url.is_empty() {
        let shown = brief(&generator_url);
        let message = format!("{place}.generatorURL in body must be of type uri: {shown:?}");
        return Err(Refusal::shape(WRONG_FORMAT, &message));
    }
    let time = |text: Option<String>| match text {
        None => Ok(None),
        Some(text) => parse_time(&text, "alerts").map(|ms| Some(ms).filter(|ms| *ms > NO_TIME_MS)),
    };
    let (starts_at_ms, ends_at_ms) = (time(starts_at)?, time(ends_at)?);
    if starts_at_ms.is_some_and(|starts| ends_at_ms.unwrap_or(last_end_ms) < starts) {
        return Ok(Err("start time must be before end time".to_owned()));
    }
    Ok(sensible_alert(labels, annotations.unwrap_or_default()).map(|(labels, annotations)| {
        // It becomes a link.
        let is_link = generator_url.starts_with("http://") || generator_url.starts_with("https://");
        let generator_url = if is_link { generator_url } else { String::new() };
        PostedAlert { labels, annotations, starts_at_ms, ends_at_ms, generator_url }
    }))
}

fn sensible_alert(
    mut labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
) -> Result<(Labels, Labels), String> {
    labels.retain(|_, value| !value.is_empty());
    if labels.is_empty() {
        return Err("at least one label pair required".to_owned());
    }
    // All other names are valid since labels may have any.
    if labels.contains_key("") {
        return Err("invalid label set: invalid name \"\"".to_owned());
    }
    if annotations.contains_key("") {
        return Err("invalid annotations: invalid name \"\"".to_owned());
    }
    Ok((Labels::from_pairs(labels), Labels::from_pairs(annotations)))
}

/// A time in milliseconds. Without a zone it is UTC, and without anything the epoch, as Alertmanager has it.
fn parse_time(text: &str, what: &str) -> Result<i64, Refusal> {
    if text.is_empty() {
        return Ok(0);
    }
    let has_zone =
        text.get("2006-01-02".len()..).is_some_and(|time| time.contains(['+', '-', 'Z', 'z', '[']));
    let parsed = if has_zone {
        text.parse::<jiff::Timestamp>()
    } else {
        text.parse::<jiff::civil::DateTime>().and_then(|time| jiff::tz::TimeZone::UTC.to_timestamp(time))
    };
    let wrong = |_| Refusal::unparsed(what, format!("{:?} is not a date and time", brief(text)));
    parsed.map(jiff::Timestamp::as_millisecond).map_err(wrong)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedSilence {
    id: Option<String>,
    matchers: Option<Vec<PostedMatcher>>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    created_by: Option<String>,
    comment: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedMatcher {
    name: Option<String>,
    value: Option<String>,
    is_regex: Option<bool>,
    is_equal: Option<bool>,
}

/// The silence of a body.
///
/// # Errors
/// When it does not have the shape of the API, or a regular expression is none.
pub(super) fn silence(body: &[u8]) -> Result<SilenceRequest, Refusal> {
    let posted: Option<PostedSilence> = parse(body, "silence")?;
    let posted = posted.ok_or_else(|| Refusal::required("silence"))?;
    let need = |name: &str, text: Option<String>| text.ok_or_else(|| Refusal::required(name));
    let (comment, created_by) = (need("comment", posted.comment)?, need("createdBy", posted.created_by)?);
    let ends_at = need("endsAt", posted.ends_at)?;
    let posted_matchers = posted.matchers.ok_or_else(|| Refusal::required("matchers"))?;
    if posted_matchers.is_empty() {
        return Err(Refusal::shape(TOO_FEW, "matchers in body should have at least 1 items"));
    }
    let mut budget = RegexBudget::default();
    let matcher = |(place, matcher): (usize, PostedMatcher)| {
        let required = |name: &str| Refusal::required(&format!("matchers.{place}.{name}"));
        let is_regex = matcher.is_regex.ok_or_else(|| required("isRegex"))?;
        let name = matcher.name.ok_or_else(|| required("name"))?;
        let value = matcher.value.ok_or_else(|| required("value"))?;
        let op = match (is_regex, matcher.is_equal.unwrap_or(true)) {
            (false, true) => MatchOp::Equal,
            (false, false) => MatchOp::NotEqual,
            (true, true) => MatchOp::Regex,
            (true, false) => MatchOp::NotRegex,
        };
        let wrong = |reason: String| {
            Refusal::bad(format!("invalid silence: invalid label matcher {place}: {reason}"))
        };
        if name.is_empty() {
            return Err(wrong("invalid label name \"\"".to_owned()));
        }
        Matcher::within(name, op, value, &mut budget).map_err(|error| wrong(error.to_string()))
    };
    let matchers = posted_matchers.into_iter().enumerate().map(matcher).collect::<Result<_, _>>()?;
    Ok(SilenceRequest {
        id: posted.id.filter(|id| !id.is_empty()),
        matchers,
        starts_at_ms: parse_time(&need("startsAt", posted.starts_at)?, "silence")?,
        ends_at_ms: parse_time(&ends_at, "silence")?,
        created_by,
        comment,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>) -> (u16, String) {
        let Refusal(status, body) = result.expect_err("refused");
        (status.as_u16(), body.map_or_else(String::new, |body| body.to_string()))
    }

    fn alerts(body: &[u8]) -> Result<(Vec<PostedAlert>, Vec<String>), Refusal> {
        super::alerts(body, 1_000_000, Duration::from_secs(300))
    }

    #[test]
    fn times_are_those_of_alertmanager() {
        let at = |text: &str| parse_time(text, "alerts").ok();
        let expected = Some(1_700_000_000_000);
        for text in [
            "2023-11-14T22:13:20Z",
            "2023-11-14T22:13:20.000Z",
            "2023-11-14T23:13:20.000+01:00",
            "2023-11-14T22:13:20",
            "2023-11-14 22:13:20",
        ] {
            assert_eq!(at(text), expected, "{text}");
        }
        assert_eq!(at("2023-11-14T22:13"), Some(1_699_999_980_000));
        assert_eq!(at("2023-11-14T22:13Z"), Some(1_699_999_980_000));
        assert_eq!(at("2023-11-14"), Some(1_699_920_000_000));
        assert_eq!(at(""), Some(0));
        for text in [
            "now",
            "1700000000",
            "2023-11-14T25:00:00",
            "2023-11-14T22:13:20+99:99",
            "9999-12-31T23:59:59-20:00",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
        // As there, a text that is no time makes the whole body none.
        let body = br#"[{"labels":{"a":"b"}},{"labels":{"a":"c"},"startsAt":"now"}]"#;
        assert_eq!(refused(alerts(body)).0, 400);
    }

    #[test]
    fn alerts_that_begin_after_their_end_are_refused_alone() {
        // Without an end they last for five minutes from now on.
        let body = br#"[{"labels":{"a":"1"},"startsAt":"1970-01-01T00:21:40Z"},
            {"labels":{"a":"2"},"startsAt":"1970-01-01T00:21:41Z"},
            {"labels":{"a":"3"},"startsAt":"1970-01-01T00:21:41Z","endsAt":"1970-01-01T00:21:42Z"},
            {"labels":{"a":"4"},"startsAt":"1970-01-01T00:21:43Z","endsAt":"1970-01-01T00:21:42Z"}]"#;
        let (taken, wrong) = alerts(body).expect("the shape");
        let taken: Vec<_> = taken.iter().filter_map(|alert| alert.labels.get("a")).collect();
        assert_eq!(taken, ["1", "3"]);
        assert_eq!(wrong, ["start time must be before end time"; 2]);
    }

    #[test]
    fn all_reasons_are_told_where_there_is_no_room_either() {
        let reasons = ["at least one label pair required".to_owned()];
        let (status, text) = refused::<()>(Err(Refusal::posted(&PostError::Full(3), &reasons)));
        assert_eq!(status, 503);
        assert!(text.contains("label pair required\\n3 alerts were not taken"), "{text}");
        assert_eq!(refused::<()>(Err(Refusal::posted(&PostError::TooLong(1), &[]))).0, 400);
    }

    #[test]
    fn alerts_are_read() {
        let body = r#"[{"labels":{"a b":"c","e":""},"annotations":null,"startsAt":"0001-01-01T00:00:00.000Z"},
            {"labels":{"a":"b"},"annotations":{"x":"y"},"generatorURL":"https://h/"}, {"labels":{"":"x"}},
            {"labels":{"a":"b"},"annotations":{"":"x"}}, {"labels":{"a":""}}]"#;
        let (taken, wrong) = alerts(body.as_bytes()).expect("the shape");
        assert_eq!(taken.len(), 2);
        assert_eq!((taken[0].labels.get("a b"), taken[0].labels.len()), (Some("c"), 1));
        assert!(taken[0].annotations.is_empty() && taken[0].starts_at_ms.is_none());
        assert_eq!(taken[1].generator_url, "https://h/");
        let expected = [
            "invalid label set: invalid name \"\"",
            "invalid annotations: invalid name \"\"",
            "at least one label pair required",
        ];
        assert_eq!(wrong, expected);
    }

    #[test]
    fn shapes_are_refused_as_alertmanager_does() {
        let required =
            |name: &str| (422, format!(r#"{{"code":602,"message":"{name} in body is required"}}"#));
        assert_eq!(refused(alerts(b"")), required("alerts"));
        assert_eq!(refused(alerts(b"null")), required("alerts"));
        assert_eq!(refused(alerts(br#"[{"labels":{"a":"b"}},{}]"#)), required("1.labels"));
        let uri = r#"{"code":601,"message":"0.generatorURL in body must be of type uri: \"not a url\""}"#;
        let body = br#"[{"labels":{"a":"b"},"generatorURL":"not a url"}]"#;
        assert_eq!(refused(alerts(body)), (422, uri.to_owned()));
        let (status, text) = refused(alerts(b"nope"));
        assert_eq!(status, 400);
        assert!(text.starts_with(r#"{"code":400,"message":"parsing alerts body from \"\" failed"#), "{text}");
        let whole = json!({ "comment": "", "createdBy": "", "startsAt": "2100-01-01T00:00:00Z",
            "endsAt": "2100-01-01T00:00:00Z", "matchers": [{ "name": "a b", "value": "", "isRegex": false }] });
        assert!(silence(whole.to_string().as_bytes()).is_ok());
        assert_eq!(refused(silence(b"")), required("silence"));
        for name in ["comment", "createdBy", "startsAt", "endsAt", "matchers"] {
            let mut part = whole.clone();
            part[name] = Value::Null;
            assert_eq!(refused(silence(part.to_string().as_bytes())), required(name));
        }
        for name in ["name", "value", "isRegex"] {
            let mut part = whole.clone();
            part["matchers"][0][name] = Value::Null;
            assert_eq!(
                refused(silence(part.to_string().as_bytes())),
                required(&format!("matchers.0.{name}"))
            );
        }
        let mut part = whole.clone();
        part["matchers"] = json!([]);
        assert_eq!(refused(silence(part.to_string().as_bytes())).0, 422);
    }

    #[test]
    fn bodies_and_names_say_what_they_are() {
        let typed = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, text.parse().expect("a header"));
            check_type(&headers)
        };
        assert!(typed("application/json").is_ok() && typed("Application/JSON; charset=utf-8").is_ok());
        assert_eq!(refused(typed("text/plain")).0, 415);
        assert_eq!(refused(check_type(&HeaderMap::new())).0, 415);
        assert!(silence_id("642494bb-4d32-4a69-9405-4ab7f00415c2").is_ok());
        for id in ["", "xyz", "642494bb-4d32-4a69-9405-4ab7f00415cx", "642494bb-4d32-4a69-9405-4ab7f00415c2-"]
        {
            assert_eq!(refused(silence_id(id)).0, 422, "{id}");
        }
    }
}
