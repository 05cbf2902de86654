//! Parameters of requests: from the URL, and from the body of a form. Times, durations, selectors, limits.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;

use super::reply::ApiError;
use super::state::ApiState;
use crate::model::{Matcher, TimeRange, parse_duration};
use crate::promql;

/// Largest body of a form.
const MAX_FORM_BYTES: usize = 10 << 20;

/// The parameters of one request. Unknown ones are ignored, as Prometheus does.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl FromRequest<Arc<ApiState>> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<ApiState>) -> Result<Self, ApiError> {
        let mut pairs = Vec::new();
        let is_form = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|v| v.starts_with("application/x-www-form-urlencoded"));
        let (parts, body) = request.into_parts();
        if is_form {
            let bytes = axum::body::to_bytes(body, MAX_FORM_BYTES)
                .await
                .map_err(|error| ApiError::bad_data(format!("error parsing form values: {error}")))?;
            pairs.extend(form_urlencoded::parse(&bytes).into_owned());
        }
        if let Some(query) = parts.uri.query() {
            pairs.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
        }
        Ok(Self(pairs))
    }
}

impl Params {
    /// Parameters given as pairs.
    #[cfg(test)]
    fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    /// The first value of `name`, unless it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// All values of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A point in time in milliseconds, if given.
    ///
    /// # Errors
    /// When it is neither seconds nor RFC 3339.
    pub fn time(&self, name: &'static str) -> Result<Option<i64>, ApiError> {
        self.get(name)
            .map(|text| parse_time(text).map_err(|cause| ApiError::parameter(name, cause)))
            .transpose()
    }

    /// A point in time in milliseconds.
    ///
    /// # Errors
    /// When it is absent, or neither seconds nor RFC 3339.
    pub fn required_time(&self, name: &'static str) -> Result<i64, ApiError> {
        parse_time(self.get(name).unwrap_or_default()).map_err(|cause| ApiError::parameter(name, cause))
    }

    /// A duration in milliseconds, if given.
    ///
    /// # Errors
    /// When it is neither seconds nor of the form `1h30m`.
    pub fn duration(&self, name: &'static str) -> Result<Option<i64>, ApiError> {
        self.get(name)
            .map(|text| parse_step(text).map_err(|cause| ApiError::parameter(name, cause)))
            .transpose()
    }

    /// A duration in milliseconds.
    ///
    /// # Errors
    /// When it is absent, or neither seconds nor of the form `1h30m`.
    pub fn required_duration(&self, name: &'static str) -> Result<i64, ApiError> {
        parse_step(self.get(name).unwrap_or_default()).map_err(|cause| ApiError::parameter(name, cause))
    }

    /// The range from `start` to `end`; everything where they are absent.
    ///
    /// # Errors
    /// When one of them is no time, or the end is before the start.
    pub fn range(&self) -> Result<TimeRange, ApiError> {
        let start = self.time("start")?.unwrap_or(i64::MIN);
        let end = self.time("end")?.unwrap_or(i64::MAX);
        if end < start {
            return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
        }
        Ok(TimeRange { start, end })
    }

    /// The parameter `limit`; none for "no limit".
    ///
    /// # Errors
    /// When it is no number, or negative.
    pub fn limit(&self) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get("limit") else { return Ok(None) };
        match text.parse::<i64>() {
            Ok(0) => Ok(None),
            Ok(limit) if limit > 0 => Ok(usize::try_from(limit).ok()),
            Ok(_) => Err(ApiError::parameter("limit", "limit must be non-negative")),
            Err(_) => Err(ApiError::parameter("limit", format!("cannot parse {text:?} to a number"))),
        }
    }

    /// The selectors of all `match[]` parameters.
    ///
    /// # Errors
    /// When one of them is no selector, or would match every series.
    pub fn selectors(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        let mut out = Vec::new();
        for text in self.all("match[]") {
            let matchers = promql::parse_selector(text)
                .map_err(|error| ApiError::parameter("match[]", error.to_string()))?;
            if matchers.iter().all(Matcher::matches_empty) {
                let cause = "match[] must contain at least one non-empty matcher";
                return Err(ApiError::parameter("match[]", cause));
            }
            out.push(matchers);
        }
        Ok(out)
    }
}

/// The extreme times that clients print for "since ever" and "for ever".
const MIN_TIME: &str = "-292273086-05-16T16:47:06Z";
const MAX_TIME: &str = "292277025-08-18T07:12:54.999999999Z";

#[expect(clippy::cast_possible_truncation, reason = "checked to lie within 64 bits of milliseconds")]
fn seconds_to_ms(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1000.0).round();
    (ms.abs() < 9.2e18).then_some(ms as i64)
}

/// Reads seconds or RFC 3339.
fn parse_time(text: &str) -> Result<i64, String> {
    if let Some(ms) = text.parse::<f64>().ok().and_then(seconds_to_ms) {
        return Ok(ms);
    }
    match text {
        MIN_TIME => return Ok(i64::MIN),
        MAX_TIME => return Ok(i64::MAX),
        _ => {}
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(timestamp) if text.contains(['T', 't']) => Ok(timestamp.as_millisecond()),
        _ => Err(format!("cannot parse {text:?} to a valid timestamp")),
    }
}

/// Reads seconds or a duration.
fn parse_step(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds_to_ms(seconds)
            .ok_or_else(|| format!("cannot parse {text:?} to a valid duration. It overflows int64"));
    }
    parse_duration(text)
        .ok()
        .and_then(|d| i64::try_from(d.as_millis()).ok())
        .ok_or_else(|| format!("cannot parse {text:?} to a valid duration"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_and_durations() {
        assert_eq!(parse_time("1.5"), Ok(1500));
        assert_eq!(parse_time("1700000000.123"), Ok(1_700_000_000_123));
        assert_eq!(parse_time("2015-06-03T13:21:58.555Z"), Ok(1_433_337_718_555));
        assert_eq!(parse_time("2015-06-03T14:21:58.555+01:00"), Ok(1_433_337_718_555));
        assert_eq!(parse_time(MIN_TIME), Ok(i64::MIN));
        for text in ["", "foo", "NaN", "Inf", "1e300", "30s"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
        assert_eq!(parse_step("1m"), Ok(60_000));
        assert_eq!(parse_step("0.5"), Ok(500));
        assert!(parse_step("1e300").is_err() && parse_step("x").is_err());
    }

    #[test]
    fn reads_selectors_and_limits() {
        let selectors =
            Params::of(&[("match[]", "up"), ("match[]", "{job=\"x\"}")]).selectors().expect("selectors");
        assert_eq!(selectors.len(), 2);
        assert!(Params::of(&[("match[]", "{job=~\".*\"}")]).selectors().is_err());
        assert!(Params::of(&[("match[]", "rate(up[5m])")]).selectors().is_err());
        assert_eq!(Params::of(&[("limit", "7")]).limit().ok(), Some(Some(7)));
        assert_eq!(Params::of(&[("limit", "0")]).limit().ok(), Some(None));
        assert!(Params::of(&[("limit", "-1")]).limit().is_err());
        assert!(Params::of(&[("start", "2"), ("end", "1")]).range().is_err());
    }
}
