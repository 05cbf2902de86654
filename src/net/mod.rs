//! The outside world: HTTP and DNS. The only user of reqwest and hickory-resolver.
//!
//! Read `resolver` (names to records), then `http` (one client, its bodies read under a bound).

pub mod http;
pub mod resolver;

pub use http::{HttpClient, HttpError, HttpRequest, HttpResponse};
pub use resolver::{DnsError, DnsRecord, RecordKind, Resolver, SystemResolver};
