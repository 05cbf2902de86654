//! One HTTP client per user and set of client settings. Bodies are read piece by piece under a bound.
//!
//! Below it is hyper, not reqwest, because targets get the request line that Prometheus would send, and answer as they
//! like: see [0006](../../../../docs/decisions/0006-http-client.md).
//! Read `request`, `transport` (a request and its redirects), `connection` (one connection), `pool` (those that are idle),
//! `tls` (whom to trust), `proxy` (which way to go), then `identity` (who we are) with `oauth2` and `secret`.

mod connection;
mod error;
mod identity;
mod oauth2;
mod pool;
mod proxy;
mod request;
mod secret;
mod tls;
mod transport;

use std::sync::Arc;

pub use self::error::HttpError;
use self::identity::Identity;
pub use self::request::{HttpMethod, HttpRequest, PreparedRequest};
pub use self::secret::{read_file, read_source};
pub use self::transport::HttpResponse;
use self::transport::Transport;
use super::dial::Dialer;
use crate::config::HttpConfig;

pub use self::tls::check_server_tls;
pub(super) use self::tls::provider;

/// A client; clones share connections.
#[derive(Debug, Clone)]
pub struct HttpClient {
    identity: Arc<Identity>,
    transport: Transport,
    socket: Option<Arc<str>>,
}

impl HttpClient {
    /// A client with the settings of a job.
    ///
    /// # Errors
    /// When the settings cannot be used. Files that they name are read when they are needed.
    pub fn new(config: &HttpConfig, dialer: Arc<Dialer>) -> Result<Self, HttpError> {
        let identity = Arc::new(Identity::new(config, &dialer)?);
        Ok(Self { identity, transport: Transport::new(config, dialer)?, socket: None })
    }

    /// The same client with connections of its own.
    #[must_use]
    pub fn with_own_connections(self) -> Self {
        Self { transport: self.transport.with_own_connections(), ..self }
    }

    /// The same with connections that lead to the Unix socket at `path` whatever the URL says, unless a request has one of
    /// its own.
    #[must_use]
    pub fn over_socket(self, path: &str) -> Self {
        Self { socket: Some(path.into()), ..self }
    }

    /// Sends `request` and waits for the head of the answer. The caller bounds the time of the whole exchange.
    /// Redirects are followed as Go does it: 307 and 308 with the same request, all others with a GET. Who the client is,
    /// is said to the server of the URL, and to no other one.
    ///
    /// # Errors
    /// When there is no answer, or nothing to say of the client.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.send_prepared(None, &request.prepare()?).await
    }

    /// The same of a request that is ready, over the Unix socket at `socket` if there is one, whatever the URL says.
    ///
    /// # Errors
    /// As [`HttpClient::send`].
    pub async fn send_prepared(
        &self,
        socket: Option<&Arc<str>>,
        request: &PreparedRequest,
    ) -> Result<HttpResponse, HttpError> {
        let (socket, headers) = (socket.or(self.socket.as_ref()), self.identity.headers().await?);
        let response = self.transport.send(request, &headers, socket).await?;
        if response.status() == 401 {
            self.identity.refused();
        }
        Ok(response)
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
