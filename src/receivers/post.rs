//! One request to a webhook, and which failures may pass.

use std::io::Read as _;
use std::time::Duration;

use bytes::Bytes;

use super::error::Failure;
use crate::config::Source;
use crate::net::{HttpClient, HttpError, HttpMethod, HttpRequest};
use crate::util::brief::brief;

/// What a receiver says of what it refuses is read up to this size.
const MAX_REASON_BYTES: u64 = 1024;

/// Time to wait for the body of an answer.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes of a secret in a file at most.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// Posts JSON to `url`.
///
/// # Errors
/// When it did not arrive within `timeout`. The text does not name the URL, which may be a secret.
pub(super) async fn post(
    client: &HttpClient,
    url: &Source,
    body: Bytes,
    timeout: Duration,
) -> Result<(), Failure> {
    let url = read_secret(url).await?;
    match tokio::time::timeout(timeout, exchange(client, url, body)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::passing(format!("no response within {timeout:?}"))),
    }
}

async fn exchange(client: &HttpClient, url: String, body: Bytes) -> Result<(), Failure> {
    let headers = vec![
        ("User-Agent", concat!("Emberkeep/", env!("CARGO_PKG_VERSION")).to_owned()),
        ("Content-Type", "application/json".to_owned()),
    ];
    let request = HttpRequest { method: HttpMethod::Post(body), url, headers };
    let response = client.send(request).await.map_err(|error| match error {
        HttpError::Url(_) => Failure::permanent("the URL, or one it redirects to, cannot be asked for"),
        HttpError::Dial(_)
        | HttpError::Tls { .. }
        | HttpError::Request(_)
        | HttpError::File { .. }
        | HttpError::Token { .. }
        | HttpError::Proxy { .. } => Failure::passing(error),
        error => Failure::permanent(error),
    })?;
    let (code, text) = (response.status(), response.status_text());
    if (200..300).contains(&code) {
        let posted = response.answers_post();
        // The head says that it was taken, whatever becomes of the body.
        let _ = tokio::time::timeout(BODY_TIMEOUT, response.discard()).await;
        let became_get = "redirected with a status that turns the request into a GET, so nothing arrived";
        return if posted { Ok(()) } else { Err(Failure::permanent(became_get)) };
    }
    let mut reason = Vec::new();
    let read = response.read_body(MAX_REASON_BYTES, &mut reason);
    let _ = tokio::time::timeout(BODY_TIMEOUT, read).await;
    let reason = brief(String::from_utf8_lossy(&reason).trim());
    let text = if reason.is_empty() { text } else { format!("{text}: {reason}") };
    let text = format!("bad response status {text}");
    Err(if code == 429 || code >= 500 { Failure::passing(text) } else { Failure::permanent(text) })
}

/// A secret, from its file if it is in one; without white space around it.
///
/// # Errors
/// When the file cannot be read; somebody may put it there later.
pub(super) async fn read_secret(secret: &Source) -> Result<String, Failure> {
    let path = match secret {
        Source::Text(text) => return Ok(text.reveal().to_owned()),
        Source::File(path) => path.clone(),
    };
    let shown = path.display().to_string();
    let read = move || {
        let mut text = String::new();
        std::fs::File::open(path)?.take(MAX_SECRET_BYTES).read_to_string(&mut text).map(|_| text)
    };
    let text = tokio::task::spawn_blocking(read).await.map_err(Failure::passing)?;
    let text = text.map_err(|error| Failure::passing(format!("cannot read {shown}: {error}")))?;
    Ok(text.trim().to_owned())
}
