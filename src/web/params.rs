//! Parameters of requests: from the URL, and from the body of a form. Times, durations, selectors, limits.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use futures_util::stream::once;

use super::bodies::{self, BodyError, Counted, Room};
use super::reply::ApiError;
use super::request_line::LongQuery;
use super::state::ApiState;
use crate::lanes::Turn;
use crate::model::{Matcher, TimeRange, parse_duration};
use crate::promql;

/// Largest body of a form.
pub(super) const MAX_FORM_BYTES: usize = 10 << 20;

/// Bytes of forms, and of other bodies that wait with their requests, that are in memory at once; further requests are
/// refused.
const MAX_FORMS_BYTES: usize = 128 << 20;

/// The room for forms.
pub fn room() -> Room {
    Room::new(MAX_FORMS_BYTES)
}

type Pair = (String, String);

/// The parameters of one request. Unknown ones are ignored, as Prometheus does.
#[derive(Debug, Default)]
pub struct Params {
    pairs: Vec<Pair>,
    /// The form, as long as its parameters are in memory.
    _counted: Counted,
}

impl FromRequest<Arc<ApiState>> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &Arc<ApiState>) -> Result<Self, ApiError> {
        Ok(Self::read(request, &state.forms).await?)
    }
}

impl Params {
    /// The parameters of `request`, the body of which counts in `room`.
    ///
    /// # Errors
    /// When the body is too large, does not come, or there is no room for it and its parameters.
    async fn read(request: Request, room: &Room) -> Result<Self, BodyError> {
        let (parts, body) = request.into_parts();
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        // The body of a GET has no meaning.
        let has_body = parts.method == Method::POST || parts.method == Method::PUT;
        let is_form = has_body && media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded");
        let is_multipart = has_body && media_type.eq_ignore_ascii_case("multipart/form-data");
        let (bytes, mut counted) = if is_form || is_multipart {
            bodies::read(body, MAX_FORM_BYTES, room).await?
        } else {
            Default::default()
        };
        // As in Go: what a form says goes before what the URL says, and that before a form in parts.
        let mut pairs = Vec::new();
        if is_form {
            // Of many short ones it is not their text that takes memory.
            counted.grow(count_pairs(&bytes) * size_of::<Pair>(), room)?;
            read_pairs(&bytes, &mut pairs);
        }
        if let Some(long) = parts.extensions.get::<LongQuery>() {
            counted.grow(long.text.len() + count_pairs(&long.text) * size_of::<Pair>(), room)?;
            read_pairs(&long.text, &mut pairs);
        }
        read_pairs(parts.uri.query().unwrap_or_default().as_bytes(), &mut pairs);
        if is_multipart {
            let boundary = multer::parse_boundary(content_type).map_err(BodyError::Multipart)?;
            let mut form = multer::Multipart::new(once(ready(Ok::<_, Infallible>(bytes))), boundary);
            while let Some(field) = form.next_field().await.map_err(BodyError::Multipart)? {
                // Files are left out.
                let Some(name) = field.name().filter(|_| field.file_name().is_none()) else { continue };
                let name = name.to_owned();
                counted.grow(size_of::<Pair>(), room)?;
                let value = field.bytes().await.map_err(BodyError::Multipart)?;
                pairs.extend(String::from_utf8(value.into()).ok().map(|value| (name, value)));
            }
        }
        Ok(Self { pairs, _counted: counted })
    }

    /// Parameters given as pairs.
    #[cfg(test)]
    fn of(pairs: &[(&str, &str)]) -> Self {
        let pairs = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Self { pairs, _counted: Counted::default() }
    }

    /// The first value of `name`, unless it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// All values of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A point in time in milliseconds, if given.
    ///
    /// # Errors
    /// When it is neither seconds nor RFC 3339.
    pub fn time(&self, name: &'static str) -> Result<Option<i64>, ApiError> {
        self.get(name)
            .map(|text| {
                let cause = |cause| format!("invalid time value for '{name}': {cause}");
                parse_time(text).map_err(|error| ApiError::parameter(name, cause(error)))
            })
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

    /// The range from `start` to `end`; everything where they are absent, empty when the end is before the start.
    ///
    /// # Errors
    /// When one of them is no time.
    pub fn range(&self) -> Result<TimeRange, ApiError> {
        let start = self.time("start")?.unwrap_or(i64::MIN);
        let end = self.time("end")?.unwrap_or(i64::MAX);
        Ok(TimeRange { start, end })
    }

    /// A parameter that is on or off; off when it is absent.
    ///
    /// # Errors
    /// When it is neither `true` nor `false` nor a form of these.
    pub fn flag(&self, name: &'static str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
            Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
            Some(other) => Err(ApiError::parameter(name, format!("unable to parse boolean {other:?}"))),
        }
    }

    /// The parameter `limit`; none for "no limit".
    ///
    /// # Errors
    /// When it is no number, or negative.
    pub fn limit(&self) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get("limit") else { return Ok(None) };
        match parse_integer("Atoi", text) {
            Ok(0) => Ok(None),
            Ok(limit) if limit > 0 => Ok(usize::try_from(limit).ok()),
            Ok(_) => Err(ApiError::parameter("limit", "limit must be non-negative")),
            Err(cause) => Err(ApiError::parameter("limit", cause)),
        }
    }

    /// A switch: 1 is on; 0 is off, and so is a parameter that is not there.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn switch(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(other) => {
                let cause = format!("invalid value {other:?}, use \"1\" or leave it out");
                Err(ApiError::parameter(name, cause))
            }
        }
    }

    /// The selectors of all `match[]` parameters. Reading them takes a while where there are many regular expressions.
    ///
    /// # Errors
    /// When one of them is no selector, or would match every series.
    pub fn selectors(&self, turn: &Turn) -> Result<Vec<Vec<Matcher>>, ApiError> {
        let (mut out, mut patterns) = (Vec::new(), turn.patterns());
        for text in self.all("match[]") {
            let read = promql::parse_selector_within(text, &mut patterns);
            turn.check()?;
            match read {
                Ok(matchers) if !matchers.iter().all(Matcher::matches_empty) => out.push(matchers),
                Err(error) => return Err(ApiError::parameter("match[]", error)),
                Ok(_) => {
                    let cause = "match[] must contain at least one non-empty matcher";
                    return Err(ApiError::parameter("match[]", cause));
                }
            }
        }
        Ok(out)
    }
}

/// The extreme times that clients print for "since ever" and "for ever".
const MIN_TIME: &str = "-292273086-05-16T16:47:06Z";
const MAX_TIME: &str = "292277025-08-18T07:12:54.999999999Z";

/// How many pairs a form has at most.
fn count_pairs(form: &[u8]) -> usize {
    form.split(|b| *b == b'&').count()
}

/// Appends the pairs of a form. As in Go, a pair that holds `;` or a broken escape is left out.
fn read_pairs(form: &[u8], out: &mut Vec<Pair>) {
    let is_escape = |rest: &[u8]| rest.get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    for pair in form.split(|b| *b == b'&') {
        let escapes = pair.iter().enumerate().filter(|(_, b)| **b == b'%');
        if pair.contains(&b';') || escapes.into_iter().any(|(at, _)| !is_escape(&pair[at + 1..])) {
            continue;
        }
        out.extend(form_urlencoded::parse(pair).into_owned());
    }
}

/// Reads a whole number; the cause of a failure is worded as the function `name` of Go does.
pub(super) fn parse_integer(name: &str, text: &str) -> Result<i64, String> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    text.parse().map_err(|error: std::num::ParseIntError| {
        let too_large = matches!(error.kind(), PosOverflow | NegOverflow);
        let cause = if too_large { "value out of range" } else { "invalid syntax" };
        format!("strconv.{name}: parsing {text:?}: {cause}")
    })
}

/// Milliseconds of finite seconds, rounded; times beyond 64 bits become the last one there is.
#[expect(clippy::cast_possible_truncation, reason = "a cast from float saturates, which is what is wanted")]
fn seconds_to_ms(seconds: f64) -> i64 {
    let fraction = (seconds.fract() * 1000.0).round() as i64;
    ((seconds.trunc() * 1000.0) as i64).saturating_add(fraction)
}

/// Reads finite seconds or RFC 3339.
fn parse_time(text: &str) -> Result<i64, String> {
    if let Some(seconds) = text.parse::<f64>().ok().filter(|s| s.is_finite()) {
        return Ok(seconds_to_ms(seconds));
    }
    match text {
        MIN_TIME => return Ok(i64::MIN),
        MAX_TIME => return Ok(i64::MAX),
        _ => {}
    }
    parse_rfc3339(text).ok_or_else(|| format!("cannot parse {text:?} to a valid timestamp"))
}

/// Reads exactly RFC 3339 with capital letters; the library reads more forms, but not the last hours of year 9999.
fn parse_rfc3339(text: &str) -> Option<i64> {
    let (civil, offset_ms) = if let Some(civil) = text.strip_suffix('Z') {
        (civil, 0)
    } else {
        let (civil, zone) = text.split_at_checked(text.len().checked_sub(6)?)?;
        let zone = zone.as_bytes();
        let digits = |at: usize| match (zone[at], zone[at + 1]) {
            (a @ b'0'..=b'9', b @ b'0'..=b'9') => Some(i64::from(a - b'0') * 10 + i64::from(b - b'0')),
            _ => None,
        };
        let (hours, minutes) = (digits(1)?, digits(4)?);
        if !matches!(zone[0], b'+' | b'-') || zone[3] != b':' || hours > 24 || minutes > 59 {
            return None;
        }
        let size = (hours * 60 + minutes) * 60_000;
        (civil, if zone[0] == b'-' { -size } else { size })
    };
    let (whole, _) = civil.split_at_checked(19)?;
    let has_shape = whole.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    if !has_shape || whole.ends_with("60") {
        return None;
    }
    let since = civil.parse::<jiff::civil::DateTime>().ok()?;
    let since = since.duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0));
    let ms = since.as_nanos().div_euclid(1_000_000);
    i64::try_from(ms).ok()?.checked_sub(offset_ms)
}

/// Reads seconds or a duration. As in Go, a duration is at most 64 bits of nanoseconds.
fn parse_step(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        // Not a number is no length of time.
        return if (seconds * 1e9).abs() <= i64::MAX as f64 || seconds.is_nan() {
            Ok(seconds_to_ms(seconds))
        } else {
            Err(format!("cannot parse {text:?} to a valid duration. It overflows int64"))
        };
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
        assert_eq!(parse_time("1.0005"), Ok(1000));
        assert_eq!(parse_time("-1.5"), Ok(-1500));
        assert_eq!(parse_time("9223372036854775.807"), Ok(i64::MAX));
        assert_eq!(parse_time("-1e300"), Ok(i64::MIN));
        assert_eq!(parse_time("0001-01-01T00:00:00Z"), Ok(-62_135_596_800_000));
        assert_eq!(parse_time("9999-12-31T23:59:59Z"), Ok(253_402_300_799_000));
        assert_eq!(parse_time("1969-12-31T23:59:59.9-00:30"), Ok(1_799_900));
        for text in
            ["", "foo", "NaN", "Inf", "30s", "2015-06-03T13:21Z", "2015-06-03t13:21:58z", "20150603T132158Z"]
                .into_iter()
                .chain([
                    "2015-06-03 13:21:58Z",
                    "2015-06-03T13:21:60Z",
                    "2015-06-03T13:21:58",
                    "2015-06-03T13:21:58+1:00",
                ])
                .chain(["2015-06-03T13:21:58\u{e9}:00Z", "\u{e9}\u{e9}\u{e9}"])
        {
            assert!(parse_time(text).is_err(), "{text}");
        }
        assert_eq!(parse_step("1m"), Ok(60_000));
        assert_eq!(parse_step("0.5"), Ok(500));
        assert_eq!(parse_step("NaN"), Ok(0));
        assert!(parse_step("1e300").is_err() && parse_step("x").is_err() && parse_step("1e10").is_err());
    }

    #[test]
    fn reads_selectors_and_limits() {
        let turn = Turn::default();
        let selectors =
            Params::of(&[("match[]", "up"), ("match[]", "{job=\"x\"}")]).selectors(&turn).expect("selectors");
        assert_eq!(selectors.len(), 2);
        assert!(Params::of(&[("match[]", "{job=~\".*\"}")]).selectors(&turn).is_err());
        assert!(Params::of(&[("match[]", "rate(up[5m])")]).selectors(&turn).is_err());
        assert_eq!(Params::of(&[("limit", "7")]).limit().ok(), Some(Some(7)));
        assert_eq!(Params::of(&[("limit", "0")]).limit().ok(), Some(None));
        assert!(Params::of(&[("limit", "-1")]).limit().is_err());
        assert!(Params::of(&[("start", "x")]).range().is_err());
    }

    #[tokio::test]
    async fn forms_count_as_long_as_their_parameters() {
        let room = Room::new(100);
        let read = async |form: &'static str| {
            let request = Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            Params::read(request.body(form.into()).expect("request"), &room).await
        };
        let params = read("a=1234567").await.expect("there is room");
        assert_eq!((params.get("a"), room.free()), (Some("1234567"), 100 - 9 - size_of::<Pair>()));
        assert!(matches!(read("b=1").await, Err(BodyError::NoRoom)), "its text has room, its pair has not");
        drop(params);
        assert!(read("b=1").await.is_ok());
        assert!(matches!(read("a&b&c").await, Err(BodyError::NoRoom)));
        assert_eq!(room.free(), 100);
    }

    #[test]
    fn leaves_out_broken_pairs() {
        let mut pairs = Vec::new();
        read_pairs(b"a=1&b=%zz&c=%2&d=1;e=2&f=%31+2&g", &mut pairs);
        let expected = [("a", "1"), ("f", "1 2"), ("g", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(pairs, expected);
    }
}
