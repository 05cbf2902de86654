//! What can go wrong with a request.

use crate::net::dial::DialError;
use crate::net::http_url::UrlError;

/// More redirects than this are a circle.
pub(super) const MAX_REDIRECTS: usize = 10;

/// What can go wrong with a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The client cannot be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Setup(String),
    /// The URL cannot be asked for.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// There is no connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// There is no connection to a socket of this machine.
    #[error("cannot connect to {path}: {source}")]
    Socket {
        /// The socket.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// TLS could not be agreed on.
    #[error("TLS handshake with {host} failed: {source}")]
    Tls {
        /// With whom.
        host: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file that the client needs.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no token.
    #[error("no OAuth 2 token from {url}: {reason}")]
    Token {
        /// Who was asked.
        url: String,
        /// What came of it.
        reason: String,
    },
    /// The proxy does not do what it is for.
    #[error("proxy {proxy}: {reason}")]
    Proxy {
        /// Which one.
        proxy: String,
        /// Why.
        reason: String,
    },
    /// Sending or receiving failed; the causes are in the text.
    #[error("{0}")]
    Request(String),
    /// The server sends from one place to the next.
    #[error("stopped after {MAX_REDIRECTS} redirects")]
    TooManyRedirects,
    /// The body is larger than allowed.
    #[error("body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The bound.
        limit_bytes: u64,
    },
}

/// The innermost cause says most ("connection refused"); the outer ones say where.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
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
