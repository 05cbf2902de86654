//! A small client of Prometheus' HTTP API: what the command line asks with.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use rustls::crypto::CryptoProvider;

/// Requests that take longer are given up.
const TIMEOUT: Duration = Duration::from_secs(150);

/// A request that failed.
#[derive(Debug, thiserror::Error)]
#[error("request to {url} failed: {source}")]
pub struct ApiError {
    url: String,
    source: reqwest::Error,
}

/// A URL without name and password.
pub fn shown(url: &str) -> String {
    url::Url::parse(url).map_or_else(
        |_| "a URL that cannot be read".to_owned(),
        |mut url| {
            // Fails only where there is no host, and so neither name nor password.
            let _ = url.set_username("").and_then(|()| url.set_password(None));
            url.to_string()
        },
    )
}

/// Whether a text is an absolute URL.
pub fn is_url(text: &str) -> bool {
    url::Url::parse(text).is_ok()
}

/// Asks a server.
#[derive(Debug, Clone)]
pub struct ApiClient {
    client: reqwest::Client,
    remote_write_headers: HeaderMap,
}

impl ApiClient {
    /// A client.
    ///
    /// # Errors
    /// When the system gives no randomness or certificates.
    pub fn new() -> Result<Self, ApiError> {
        // The first call of the process wins; later ones find the same provider in place.
        let _ = CryptoProvider::clone(&super::http::provider()).install_default();
        let client = reqwest::Client::builder().timeout(TIMEOUT).build();
        let remote_write_headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf")),
            (CONTENT_ENCODING, HeaderValue::from_static("snappy")),
            (HeaderName::from_static("x-prometheus-remote-write-version"), HeaderValue::from_static("0.1.0")),
        ]);
        let client = client.map_err(|source| ApiError { url: String::new(), source })?;
        Ok(Self { client, remote_write_headers })
    }

    /// Posts a form (already encoded) and returns the body of the reply, whatever its status.
    ///
    /// # Errors
    /// When the server cannot be reached or does not answer in time.
    pub async fn post_form(&self, url: &str, form: String) -> Result<Vec<u8>, ApiError> {
        Ok(self.ask_form(url, form).await?.1)
    }

    /// As [`ApiClient::post_form`], with the status of the reply.
    ///
    /// # Errors
    /// Those of [`ApiClient::post_form`].
    pub async fn ask_form(&self, url: &str, form: String) -> Result<(u16, Vec<u8>), ApiError> {
        let failed = |source: reqwest::Error| ApiError { url: shown(url), source: source.without_url() };
        let request =
            self.client.post(url).header("Content-Type", "application/x-www-form-urlencoded").body(form);
        let reply = request.send().await.map_err(failed)?;
        let status = reply.status().as_u16();
        Ok((status, reply.bytes().await.map_err(failed)?.to_vec()))
    }

    /// Asks for `url` and returns the body of the reply, whatever its status.
    ///
    /// # Errors
    /// When the server cannot be reached or does not answer in time.
    pub async fn get(&self, url: &str) -> Result<Vec<u8>, ApiError> {
        let failed = |source: reqwest::Error| ApiError { url: shown(url), source: source.without_url() };
        let reply = self.client.get(url).send().await.map_err(failed)?;
        Ok(reply.bytes().await.map_err(failed)?.to_vec())
    }

    /// Posts a compressed remote write 1.0 body and returns the status and the text of the reply.
    ///
    /// # Errors
    /// When the server cannot be reached or does not answer in time.
    pub async fn post_remote_write(&self, url: &str, body: Bytes) -> Result<(u16, String), ApiError> {
        let failed = |source: reqwest::Error| ApiError { url: shown(url), source: source.without_url() };
        let request = self.client.post(url).headers(self.remote_write_headers.clone()).body(body);
        let reply = request.send().await.map_err(failed)?;
        let status = reply.status().as_u16();
        Ok((status, reply.text().await.map_err(failed)?))
    }
}
