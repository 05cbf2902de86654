//! One HTTP client per set of client settings. Bodies are read piece by piece under a bound.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::{DnsError, Resolver};
use crate::config::HttpConfig;

/// What can go wrong with a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The client cannot be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Setup(String),
    /// Connecting, sending or receiving failed; the causes are in the text.
    #[error("{0}")]
    Request(String),
    /// The body is larger than allowed.
    #[error("body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The bound.
        limit_bytes: u64,
    },
}

/// A GET request.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// Where to.
    pub url: String,
    /// Header names and values.
    pub headers: Vec<(&'static str, String)>,
}

/// A client; clones share connections.
#[derive(Debug, Clone)]
pub struct HttpClient {
    inner: reqwest::Client,
}

impl HttpClient {
    /// A client with the settings of a job, that looks names up through `resolver`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(config: HttpConfig, resolver: Arc<dyn Resolver>) -> Result<Self, HttpError> {
        // The first call of the process wins; later ones find the same provider in place.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let resolver = Arc::new(Names(resolver));
        let builder = || {
            let redirects = if config.follow_redirects {
                reqwest::redirect::Policy::limited(10)
            } else {
                reqwest::redirect::Policy::none()
            };
            let builder = reqwest::Client::builder()
                .redirect(redirects)
                .referer(false)
                .no_proxy()
                .dns_resolver(Arc::clone(&resolver));
            if config.enable_http2 { builder } else { builder.http1_only() }
        };
        let inner = match builder().build() {
            Ok(client) => client,
            Err(error) => {
                // Slim images come without certificates; plain HTTP must work there all the same.
                tracing::warn!(
                    error = chain(&error),
                    "no root certificates, so no https target can be trusted"
                );
                let bare = builder().tls_certs_only([]).build();
                bare.map_err(|error| HttpError::Setup(chain(&error)))?
            }
        };
        Ok(Self { inner })
    }

    /// Sends `request` and waits for the head of the answer. The caller bounds the time of the whole exchange.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut builder = self.inner.get(&request.url);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let inner = builder.send().await.map_err(|error| HttpError::Request(chain(&error)))?;
        Ok(HttpResponse { inner })
    }
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct HttpResponse {
    inner: reqwest::Response,
}

impl HttpResponse {
    /// Status code.
    pub fn status(&self) -> u16 {
        self.inner.status().as_u16()
    }

    /// Status code with its usual words.
    pub fn status_text(&self) -> String {
        self.inner.status().to_string()
    }

    /// A header, where it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.inner.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// Reads the body to its end into `out`.
    ///
    /// # Errors
    /// When the connection breaks or the body has more than `limit_bytes`.
    pub async fn read_body(mut self, limit_bytes: u64, out: &mut Vec<u8>) -> Result<(), HttpError> {
        loop {
            let piece: Option<Bytes> =
                self.inner.chunk().await.map_err(|error| HttpError::Request(chain(&error)))?;
            let Some(piece) = piece else { return Ok(()) };
            if (out.len() + piece.len()) as u64 > limit_bytes {
                return Err(HttpError::TooLarge { limit_bytes });
            }
            out.extend_from_slice(&piece);
        }
    }
}

/// Our resolver as reqwest wants it.
struct Names(Arc<dyn Resolver>);

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let resolver = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str();
            let found = resolver.addresses(host).await?;
            if found.is_empty() {
                let reason = "no such host".to_owned();
                return Err(DnsError::Lookup { name: host.to_owned(), reason }.into());
            }
            // Port 0 stands for the port of the URL.
            let addresses = found.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(addresses) as reqwest::dns::Addrs)
        })
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

/// The innermost cause says most ("connection refused"); the outer ones say where.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut out = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !out.contains(&text) {
            out.push_str(": ");
            out.push_str(&text);
        }
        source = cause.source();
    }
    out
}
