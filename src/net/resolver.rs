//! Names to records: the seam. `system` is the implementation that asks as the system does.
//!
//! A definite "there is none" is an empty answer; an error means that nobody could say.

use std::net::IpAddr;

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
    /// Records of `kind` for `name`; an empty list when there are definitely none.
    fn lookup<'a>(
        &'a self,
        name: &'a str,
        kind: RecordKind,
    ) -> BoxFuture<'a, Result<Vec<DnsRecord>, DnsError>>;

    /// Addresses of one family of host `name`; an empty list when there are definitely none.
    ///
    /// Differs from [`Resolver::lookup`] where a name is a host before it is a name of DNS: in the hosts file.
    fn host<'a>(&'a self, name: &'a str, family: RecordKind) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        Box::pin(async move {
            let records = self.lookup(name, family).await?;
            Ok(records.into_iter().filter_map(DnsRecord::address).collect())
        })
    }
}
