//! A small client of Prometheus' HTTP API: what the command line asks with.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use rustls::crypto::CryptoProvider;

/// Requests that take longer are given up, and connections that take longer to make.
const TIMEOUT: Duration = Duration::from_secs(150);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A request that failed.
#[derive(Debug, thiserror::Error)]
#[error("request to {url} failed: {source}")]
pub struct ApiError {
    url: String,
    source: reqwest::Error,
}

impl ApiError {
    /// Whether the server was not reached at all: nobody is there, or no connection can be made.
    pub fn is_unreached(&self) -> bool {
        self.source.is_connect() || self.source.is_builder()
    }

    /// Whether the same request may succeed later: not where the URL is none, or TLS refuses the server.
    pub fn may_pass(&self) -> bool {
        !self.source.is_builder() && !is_of_tls(&self.source)
    }
}

/// Whether an error or one of its causes is one of TLS.
fn is_of_tls(error: &(dyn Error + 'static)) -> bool {
    let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>()
        || inside.is_some_and(|inside| is_of_tls(inside))
        || error.source().is_some_and(is_of_tls)
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
        let client = reqwest::Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).build();
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn errors_say_whether_it_may_help_to_ask_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let client = ApiClient::new().expect("a client");
        let error = async |url: &str| client.ask_form(url, String::new()).await.expect_err(url);
        // One that does not speak TLS.
        let plain = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        });
        let refused = error(&format!("https://{address}/")).await;
        assert!(refused.is_unreached() && !refused.may_pass(), "{refused:?}");
        plain.await.expect("ended");
        // By now nobody listens there.
        let nobody = error(&format!("http://{address}/")).await;
        assert!(nobody.is_unreached() && nobody.may_pass(), "{nobody:?}");
        let malformed = error("http://[").await;
        assert!(malformed.is_unreached() && !malformed.may_pass(), "{malformed:?}");
    }
}
