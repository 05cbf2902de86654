//! One POST of a JSON body, and which failures may pass.

use std::time::Duration;

use bytes::Bytes;

use super::http::{HttpClient, HttpError, HttpMethod, HttpRequest};
use crate::util::brief::brief;

/// The type of the bodies that are posted.
pub const JSON: &str = "application/json";

/// What a server says of what it refuses is read up to this size.
const MAX_REASON_BYTES: u64 = 1024;

/// Time to wait for the body of an answer, which decides nothing.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a body was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostError {
    /// There was no answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// There was none in time.
    #[error("no response within {0:?}")]
    Timeout(Duration),
    /// It was refused.
    #[error("bad response status {text}{reason}")]
    Status {
        /// Status code.
        code: u16,
        /// The code with its words.
        text: String,
        /// What was said besides, as the end of the sentence.
        reason: String,
    },
    /// It could not be signed.
    #[error("cannot sign the request: {0}")]
    Signature(String),
    /// A redirect asked for something else.
    #[error("redirected with a status that turns the request into a GET, so nothing arrived")]
    BecameGet,
}

impl PostError {
    /// Whether the same request may succeed later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Timeout(_) | Self::Signature(_) => true,
            Self::Status { code, .. } => *code == 429 || *code >= 500,
            Self::BecameGet => false,
            Self::Http(error) => matches!(
                error,
                HttpError::Dial(_)
                    | HttpError::Socket { .. }
                    | HttpError::Tls { .. }
                    | HttpError::Request(_)
                    | HttpError::File { .. }
                    | HttpError::Token { .. }
                    | HttpError::Proxy { .. }
            ),
        }
    }

    /// Whether the body was more than the server, or what is before it, takes.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Status { code: 413, .. })
    }
}

/// Posts `body` to `url`. The caller bounds the time.
///
/// # Errors
/// When it did not arrive.
pub async fn post_json(client: &HttpClient, url: String, body: Bytes) -> Result<(), PostError> {
    post_json_with(client, url, body, Vec::new()).await
}

/// The same with further headers.
///
/// # Errors
/// When it did not arrive.
pub async fn post_json_with(
    client: &HttpClient,
    url: String,
    body: Bytes,
    mut headers: Vec<(&'static str, String)>,
) -> Result<(), PostError> {
    headers.push(("User-Agent", concat!("Emberkeep/", env!("CARGO_PKG_VERSION")).to_owned()));
    headers.push(("Content-Type", JSON.to_owned()));
    let response = client.send(HttpRequest { method: HttpMethod::Post(body), url, headers }).await?;
    let (code, text) = (response.status(), response.status_text());
    if (200..300).contains(&code) {
        let posted = response.answers_post();
        // The head says that it was taken, whatever becomes of the body.
        let _ = tokio::time::timeout(BODY_TIMEOUT, response.discard()).await;
        return if posted { Ok(()) } else { Err(PostError::BecameGet) };
    }
    let mut reason = Vec::new();
    // What came before it broke off or grew too long says enough.
    let read = response.read_body(MAX_REASON_BYTES, &mut reason);
    let _ = tokio::time::timeout(BODY_TIMEOUT, read).await;
    let reason = brief(String::from_utf8_lossy(&reason).trim());
    let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
    Err(PostError::Status { code, text, reason })
}
