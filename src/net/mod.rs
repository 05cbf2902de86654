//! The outside world: HTTP and DNS. The only user of reqwest and hickory-resolver.
//!
//! Read `resolver` (names to records), then `http` (one client, its bodies read under a bound); `api` asks other servers.

pub mod api;
pub mod http;
pub mod resolver;

pub use api::ApiClient;
pub use http::{HttpClient, HttpError, HttpRequest, HttpResponse};
pub use resolver::{DnsError, DnsRecord, RecordKind, Resolver, SystemResolver};

/// Settings of the network that are fixed for the life of the process.
#[derive(Debug, Clone, Copy, Default)]
pub struct NetOptions {
    /// Name server to ask instead of those of the system.
    pub dns_server: Option<std::net::SocketAddr>,
}
