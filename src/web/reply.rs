//! The envelope of every API reply, and how errors become status codes.

use std::any::Any;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::bodies::BodyError;
use crate::lanes::Late;
use crate::promql;
use crate::storage::StorageError;
use crate::util::message;

/// A refused or failed request.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    /// None for replies that are plain text.
    kind: Option<&'static str>,
    message: String,
    stopping: bool,
    /// The answer needs what the log has not given back yet.
    replaying: bool,
}

/// Marks replies to requests that are worth another try once the log is replayed.
#[derive(Debug, Clone, Copy)]
pub(super) struct NeedsReplay;

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind: Some(kind), message: message.into(), stopping: false, replaying: false }
    }

    /// The request itself is wrong.
    pub fn bad_data(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_data", message)
    }

    /// One parameter is wrong.
    pub fn parameter(name: &str, cause: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter {name:?}: {cause}"))
    }

    /// The same without the name of the parameter in front: some endpoints do not say it.
    #[must_use]
    pub fn bare(mut self) -> Self {
        if let Some((_, cause)) =
            self.message.strip_prefix("invalid parameter ").and_then(|m| m.split_once(": "))
        {
            self.message = cause.to_owned();
        }
        self
    }

    /// What is wrong, in words.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The server is at fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// The endpoint is switched off.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// A query waited or ran too long.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message)
    }

    /// The server does not answer yet, or no longer.
    pub fn not_ready(stopping: bool) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: None,
            message: "Service Unavailable".to_owned(),
            stopping,
            replaying: false,
        }
    }

    fn replaying(message: impl Into<String>) -> Self {
        Self { replaying: true, ..Self::unavailable(message) }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::NoRoom => Self::unavailable(error.to_string()),
            error => Self::bad_data(format!("error parsing form values: {error}")),
        }
    }
}

impl From<Late> for ApiError {
    fn from(late: Late) -> Self {
        Self::timeout(late.to_string())
    }
}

impl From<promql::Error> for ApiError {
    fn from(error: promql::Error) -> Self {
        use promql::ErrorClass as Class;
        let message = error.to_string();
        if matches!(error, promql::Error::Storage(StorageError::NotReady(_))) {
            return Self::replaying(message);
        }
        let class = error.class();
        match class {
            Class::BadData => Self::parameter("query", message),
            Class::Execution => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "execution", message),
            Class::Timeout => Self::timeout(message),
            Class::Canceled => {
                let status = StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST);
                Self::new(status, "canceled", message)
            }
            Class::Internal => Self::internal(message),
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::NotReady(_) => Self::replaying(error.to_string()),
            StorageError::GivenUp => Self::timeout("request timed out"),
            error => Self::internal(error.to_string()),
        }
    }
}

#[derive(Serialize)]
struct ErrorEnvelope<'a> {
    status: &'static str,
    #[serde(rename = "errorType")]
    kind: &'a str,
    error: &'a str,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Some(kind) = self.kind else {
            let stopping = HeaderValue::from_static(if self.stopping { "true" } else { "false" });
            let name = HeaderName::from_static("x-prometheus-stopping");
            return (self.status, [(name, stopping)], message(&self.message).into_owned()).into_response();
        };
        let envelope = ErrorEnvelope { status: "error", kind, error: &message(&self.message) };
        let body = json_response(serde_json::to_vec(&envelope).unwrap_or_default());
        let mut response = (self.status, body).into_response();
        if self.replaying {
            response.extensions_mut().insert(NeedsReplay);
        }
        response
    }
}

/// A body of JSON.
pub fn json_response(body: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.into()).into_response()
}

/// A successful reply.
pub struct Success<T> {
    /// The content.
    pub data: T,
    /// Annotations, left out when there are none.
    pub warnings: Vec<String>,
}

impl<T> Success<T> {
    /// A reply without annotations.
    pub fn new(data: T) -> Self {
        Self { data, warnings: Vec::new() }
    }
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    status: &'static str,
    data: &'a T,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

impl<T: Serialize> Success<T> {
    /// The body of the reply.
    ///
    /// # Errors
    /// When the content is no JSON, which is a bug.
    pub fn to_body(&self) -> Result<Vec<u8>, ApiError> {
        let envelope = Envelope { status: "success", data: &self.data, warnings: &self.warnings };
        serde_json::to_vec(&envelope).map_err(|error| ApiError::internal(error.to_string()))
    }
}

impl<T: Serialize> IntoResponse for Success<T> {
    /// For what is small; see [`ApiState::answer`](super::state::ApiState::answer) for what may be large.
    fn into_response(self) -> Response {
        self.to_body().map_or_else(IntoResponse::into_response, json_response)
    }
}

/// What handlers answer with.
pub type Reply<T> = Result<Success<T>, ApiError>;

/// Cuts `items` to `limit`; the warning says that it did.
pub fn truncate<T>(mut items: Vec<T>, limit: Option<usize>) -> Success<Vec<T>> {
    match limit {
        Some(limit) if items.len() > limit => {
            items.truncate(limit);
            Success { data: items, warnings: vec!["results truncated due to limit".to_owned()] }
        }
        _ => Success::new(items),
    }
}

/// A refusal in plain text, as the parts outside the envelope answer.
pub fn plain_error(status: StatusCode, text: &str) -> Response {
    let no_guessing = (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    (status, [no_guessing], format!("{text}\n")).into_response()
}

/// Sends a browser to `target`, a path with or without a query.
pub fn redirect(target: &str) -> Response {
    // What is no header was no path either.
    let Ok(target) = HeaderValue::from_str(target) else { return not_found() };
    (StatusCode::FOUND, [(header::LOCATION, target)]).into_response()
}

/// Answers unknown paths.
pub fn not_found() -> Response {
    plain_error(StatusCode::NOT_FOUND, "404 page not found")
}

/// Answers unknown paths below the API; browsers may ask about any of them.
pub async fn no_such_endpoint(method: Method) -> Response {
    if method == Method::OPTIONS { no_content().await } else { not_found() }
}

/// Answers without a body.
pub async fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Names the methods of a path.
pub fn allowed(methods: &'static str) -> Response {
    [(header::ALLOW, HeaderValue::from_static(methods))].into_response()
}

/// Refuses a method, naming those that are allowed.
pub fn method_not_allowed(methods: &'static str) -> Response {
    let mut response = plain_error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}

/// Answers a request whose handler panicked. The panic itself is in the log.
pub fn from_panic(_: Box<dyn Any + Send + 'static>) -> Response {
    ApiError::internal("the request failed inside the server").into_response()
}
