//! What is sent.

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};

use super::error::HttpError;
use crate::net::http_url::HttpUrl;

/// Headers of a request, or of all requests of a client.
pub(super) type Headers = Vec<(HeaderName, HeaderValue)>;

/// What is asked for.
#[derive(Debug, Clone)]
pub enum HttpMethod {
    /// To be given something.
    Get,
    /// To take this body. It may arrive twice, when a connection breaks before anything is answered.
    Post(Bytes),
    /// To have this body there, however often it arrives.
    Put(Bytes),
}

/// A request.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// What is asked for.
    pub method: HttpMethod,
    /// Where to.
    pub url: String,
    /// Header names and values.
    pub headers: Vec<(&'static str, String)>,
}

impl HttpRequest {
    /// Makes it ready to be sent, as often as it is wanted.
    ///
    /// # Errors
    /// When URL or headers are none.
    pub fn prepare(self) -> Result<PreparedRequest, HttpError> {
        let headers = self.headers.into_iter().map(|(name, value)| {
            let value = HeaderValue::try_from(value)
                .map_err(|_| HttpError::Request(format!("invalid value of header {name}")))?;
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| HttpError::Request(format!("invalid header name {name:?}")))?;
            Ok((name, value))
        });
        let headers = headers.collect::<Result<_, HttpError>>()?;
        Ok(PreparedRequest { method: self.method, url: HttpUrl::parse(&self.url)?, headers })
    }
}

/// A request whose texts were read: sending it costs less.
#[derive(Debug, Clone)]
pub struct PreparedRequest {
    pub(super) method: HttpMethod,
    pub(super) url: HttpUrl,
    pub(super) headers: Headers,
}
