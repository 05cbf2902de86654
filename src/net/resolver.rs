//! Names to records: the seam. `system` is the implementation that asks as the system does.
//!
//! A definite "there is none" is an empty answer; an error means that nobody could say.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;

/// The kinds of record that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Service.
    Srv,
    /// Mail exchanger.
    Mx,
    /// Name server.
    Ns,
}

/// One record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsRecord {
    /// Of A and AAAA.
    Address(IpAddr),
    /// A host and its port.
    Service {
        /// Host name, with its final dot.
        target: String,
        /// Port.
        port: u16,
    },
    /// Host name of MX and NS, with its final dot.
    Host(String),
}

impl DnsRecord {
    /// The address, of A and AAAA.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Address(ip) => Some(ip),
            Self::Service { .. } | Self::Host(_) => None,
        }
    }
}

/// A definite answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsAnswer<T = DnsRecord> {
    /// What was found; empty when there definitely is nothing.
    pub found: Vec<T>,
    /// How long that is good for: the smallest TTL of the records that led here. None where no server said.
    pub ttl: Option<Duration>,
}

impl DnsAnswer {
    /// The addresses among the records.
    pub fn into_addresses(self) -> DnsAnswer<IpAddr> {
        let found = self.found.into_iter().filter_map(DnsRecord::address).collect();
        DnsAnswer { found, ttl: self.ttl }
    }
}

impl<T> DnsAnswer<T> {
    /// An answer of which nobody says how long it is good for.
    pub fn without_ttl(found: Vec<T>) -> Self {
        Self { found, ttl: None }
    }
}

/// A look-up nobody gave a definite answer to.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// Every server failed, refused or kept silent.
    #[error("cannot look up {name:?}: {reason}")]
    Lookup {
        /// The name.
        name: String,
        /// What the last server or the network said.
        reason: String,
    },
}

/// Answers questions about names.
pub trait Resolver: Send + Sync {
    /// Records of `kind` for `name`.
    fn lookup<'a>(&'a self, name: &'a str, kind: RecordKind) -> BoxFuture<'a, Result<DnsAnswer, DnsError>>;

    /// Addresses of one family of host `name`.
    ///
    /// Differs from [`Resolver::lookup`] where a name is a host before it is a name of DNS: in the hosts file.
    fn host<'a>(
        &'a self,
        name: &'a str,
        family: RecordKind,
    ) -> BoxFuture<'a, Result<DnsAnswer<IpAddr>, DnsError>> {
        Box::pin(async move { Ok(self.lookup(name, family).await?.into_addresses()) })
    }
}
