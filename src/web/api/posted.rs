//! What is posted to version 2 of Alertmanager's API, and how it is refused.
//!
//! As there: what does not have the shape of the API is refused with an object of a code and a message, what has the shape
//! and makes no sense with a JSON text.

use std::collections::BTreeMap;

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

impl From<PostError> for Refusal {
    fn from(error: PostError) -> Self {
        let status = match &error {
            PostError::TooLong(_) => StatusCode::BAD_REQUEST,
            PostError::Off(_) | PostError::Silent | PostError::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error)
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

/// The alerts of a body, and why some of them are not taken.
///
/// # Errors
/// When it does not have the shape of the API.
pub(super) fn alerts(body: &[u8]) -> Result<(Vec<PostedAlert>, Vec<String>), Refusal> {
    let posted: Option<Vec<Alert>> = parse(body, "alerts")?;
    let posted = posted.ok_or_else(|| Refusal::required("alerts"))?;
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for (place, alert) in posted.into_iter().enumerate() {
        match posted_alert(place, alert)? {
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

fn posted_alert(place: usize, alert: Alert) -> Result<Result<PostedAlert, String>, Refusal> {
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
    Ok(sensible_alert(labels, annotations.unwrap_or_default()).and_then(|(labels, annotations)| {
        if starts_at_ms.zip(ends_at_ms).is_some_and(|(starts, ends)| ends < starts) {
            return Err("start time must be before end time".to_owned());
        }
        // It becomes a link.
        let is_link = generator_url.starts_with("http://") || generator_url.starts_with("https://");
        let generator_url = if is_link { generator_url } else { String::new() };
        Ok(PostedAlert { labels, annotations, starts_at_ms, ends_at_ms, generator_url })
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

fn parse_time(text: &str, what: &str) -> Result<i64, Refusal> {
    let parsed = text.parse::<jiff::Timestamp>();
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
