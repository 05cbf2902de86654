//! One request to a webhook, and secrets that are sent.

use std::time::Duration;

use bytes::Bytes;

use super::error::Failure;
use crate::config::Source;
use crate::net::{HttpClient, HttpError, PostError, post_json, read_source};

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
    let posted = tokio::time::timeout(timeout, post_json(client, url, body)).await;
    posted.unwrap_or(Err(PostError::Timeout(timeout))).map_err(|error| match error {
        PostError::Http(HttpError::Url(_)) => {
            Failure::permanent("the URL, or one it redirects to, cannot be asked for")
        }
        error if error.may_pass() => Failure::passing(error),
        error => Failure::permanent(error),
    })
}

/// A secret, from its file if it is in one; without white space around it.
///
/// # Errors
/// When the file cannot be read; somebody may put it there later.
pub(super) async fn read_secret(secret: &Source) -> Result<String, Failure> {
    let secret = secret.clone();
    let read = tokio::task::spawn_blocking(move || read_source(&secret)).await.map_err(Failure::passing)?;
    read.map(|text| text.reveal().to_owned()).map_err(Failure::passing)
}
