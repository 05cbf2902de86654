//! What discoveries ask HTTP servers for: JSON, and bodies that go on for ever.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use tokio::time::timeout;

use crate::config::{HttpConfig, Secret};
use crate::model::LabelsBuf;
use crate::net::http_url::query_escaped;
use crate::net::{Dialer, HttpClient, HttpError, HttpMethod, HttpRequest, HttpResponse};
use crate::util::brief;

/// Answers that are larger are refused.
const MAX_BODY_BYTES: u64 = 256 << 20;

/// What a server says of what it refuses is read up to this size.
const MAX_REASON_BYTES: u64 = 1024;

/// A server of an API.
#[derive(Debug, Clone)]
pub(super) struct Api {
    client: HttpClient,
    /// What the URL of each request begins with.
    base: String,
    /// Headers of every request, besides those of the client.
    headers: Vec<(&'static str, Secret)>,
    /// The longest an answer may take, if there is such a bound.
    patience: Option<Duration>,
}

/// Why a request did not bring what was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("{0}")]
    Http(#[from] HttpError),
    #[error("server returned HTTP status {text}{reason}")]
    Status { code: u16, text: String, reason: String },
    #[error("cannot read the answer: {0}")]
    Json(#[from] serde_json::Error),
    #[error("no answer within {0:?}")]
    Slow(Duration),
    #[error("there are more than {0} pages")]
    Pages(u64),
}

impl Api {
    /// The API whose URLs begin with `base`.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub(super) fn new(base: String, http: &HttpConfig, dialer: &Arc<Dialer>) -> Result<Self, HttpError> {
        let client = HttpClient::new(http, Arc::clone(dialer))?;
        Ok(Self { client, base, headers: Vec::new(), patience: None })
    }

    /// The API that is spoken behind a Unix socket.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub(super) fn behind(socket: &str, dialer: &Arc<Dialer>) -> Result<Self, HttpError> {
        let client = HttpClient::new(&HttpConfig::default(), Arc::clone(dialer))?.over_socket(socket);
        Ok(Self { client, base: "http://localhost".to_owned(), headers: Vec::new(), patience: None })
    }

    /// The same where no whole answer may take longer than `patience`.
    pub(super) fn answering_within(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// What the URL of each request begins with.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The same with one more header.
    pub(super) fn with_header(mut self, name: &'static str, value: Secret) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The answer to a GET, if it is a good one; its body is still to be read.
    pub(super) async fn open(&self, path: &str) -> Result<HttpResponse, ApiError> {
        let mut headers = vec![("User-Agent", concat!("Emberkeep/", env!("CARGO_PKG_VERSION")).to_owned())];
        headers.extend(self.headers.iter().map(|(name, value)| (*name, value.reveal().to_owned())));
        let url = format!("{}{path}", self.base);
        let response = self.client.send(HttpRequest { method: HttpMethod::Get, url, headers }).await?;
        let (code, text) = (response.status(), response.status_text());
        if (200..300).contains(&code) {
            return Ok(response);
        }
        let mut reason = Vec::new();
        // What came before it broke off or grew too long says enough.
        let _ = response.read_body(MAX_REASON_BYTES, &mut reason).await;
        let reason = brief(said(&reason).trim());
        let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
        Err(ApiError::Status { code, text, reason })
    }

    /// The body of the answer to a GET.
    pub(super) async fn bytes(&self, path: &str) -> Result<Vec<u8>, ApiError> {
        let answer = async { Self::body(self.open(path).await?).await };
        match self.patience {
            None => answer.await,
            Some(patience) => timeout(patience, answer).await.map_err(|_| ApiError::Slow(patience))?,
        }
    }

    /// The body of an answer.
    pub(super) async fn body(response: HttpResponse) -> Result<Vec<u8>, ApiError> {
        let mut body = Vec::new();
        response.read_body(MAX_BODY_BYTES, &mut body).await?;
        Ok(body)
    }

    /// The answer to a GET, as JSON.
    pub(super) async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        Ok(serde_json::from_slice(&self.bytes(path).await?)?)
    }
}

/// What the body of a refusal says to people: its `message`, where it is JSON with one, or else all of it.
fn said(body: &[u8]) -> Cow<'_, str> {
    #[derive(serde::Deserialize)]
    struct Refusal {
        message: String,
    }
    match serde_json::from_slice(body) {
        Ok(Refusal { message }) => message.into(),
        Err(_) => String::from_utf8_lossy(body),
    }
}

/// Where something is wrong with JSON, but not what stands there: it may be a secret.
pub(super) fn place(error: &serde_json::Error) -> String {
    format!("line {}, column {} is not what is expected there", error.line(), error.column())
}

/// A value that may be `null`, which then is the default one.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A name as the end of the name of a label: everything but letters, digits and `_` of ASCII is `_`.
pub(super) fn sanitized(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Adds labels with free names, each behind `prefix`.
pub(super) fn set_all<'a>(
    labels: &mut LabelsBuf,
    prefix: &str,
    pairs: impl IntoIterator<Item = (&'a String, &'a String)>,
) {
    for (name, value) in pairs {
        labels.set(&format!("{prefix}{}", sanitized(name)), value);
    }
}

/// Adds `&name=value` to the query of a path.
pub(super) fn parameter(query: &mut String, name: &str, value: &str) {
    query.extend(["&", name, "=", &query_escaped(value)]);
}

/// Texts with `separator` between and around them, so that expressions need not care where one is; nothing for none.
pub(super) fn list(texts: &[String], separator: &str) -> String {
    if texts.is_empty() { String::new() } else { format!("{separator}{}{separator}", texts.join(separator)) }
}

/// `host:port`, with brackets around an address of IPv6.
pub(super) fn host_port(host: &str, port: impl std::fmt::Display) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
