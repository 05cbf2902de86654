//! The outside world: HTTP and DNS. The only user of hyper as a client, of reqwest and hickory-resolver.
//!
//! Read `resolver` (names to records), `system` with `files` (as the system does it), `dial` (names to connections),
//! `http_url`, `signature` (of tokens), then `http` (the client of scrapes and of what is sent) and `post` (one body that is sent); `api` asks other servers for the command line.

pub mod api;
pub mod dial;
pub mod files;
pub mod http;
pub mod http_url;
pub mod post;
pub mod resolver;
pub mod signature;
pub mod system;

pub use api::{ApiClient, is_url, shown as shown_url};
pub use dial::{DialError, Dialer};
pub use files::ResolverFiles;
pub use http::{
    HttpClient, HttpError, HttpMethod, HttpRequest, HttpResponse, PreparedRequest, check_server_tls,
    read_file, read_source,
};
pub use http_url::{HttpUrl, UrlError};
pub use post::{JSON, PostError, post_json, post_json_with};
pub use resolver::{DnsAnswer, DnsError, DnsRecord, RecordKind, Resolver};
pub use system::SystemResolver;

/// Settings of the network that are fixed for the life of the process.
#[derive(Debug, Clone, Copy, Default)]
pub struct NetOptions {
    /// Name server to ask instead of those of the system.
    pub dns_server: Option<std::net::SocketAddr>,
}
