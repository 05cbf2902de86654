//! Names to records: the seam, and the implementation that asks the name servers of the system.
//!
//! A definite "there is none" is an empty answer; an error means that nobody could say.

use std::net::{IpAddr, SocketAddr};

use futures_util::future::BoxFuture;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as HickoryDnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{Resolver as HickoryResolver, TokioResolver};

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
    /// The resolver cannot be set up.
    #[error("cannot set up name resolution: {0}")]
    Setup(String),
}

/// Answers questions about names.
pub trait Resolver: Send + Sync {
    /// Records of `kind` for `name`; an empty list when there are definitely none.
    fn lookup<'a>(
        &'a self,
        name: &'a str,
        kind: RecordKind,
    ) -> BoxFuture<'a, Result<Vec<DnsRecord>, DnsError>>;

    /// Addresses of host `name`, IPv4 first; an empty list when there are definitely none.
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
        Box::pin(async move {
            let (v4, v6) = futures_util::future::join(
                self.lookup(name, RecordKind::A),
                self.lookup(name, RecordKind::Aaaa),
            )
            .await;
            let mut failed = None;
            let mut found = Vec::new();
            for answer in [v4, v6] {
                match answer {
                    Ok(records) => found.extend(records.iter().filter_map(|record| match record {
                        DnsRecord::Address(ip) => Some(*ip),
                        DnsRecord::Service { .. } | DnsRecord::Host(_) => None,
                    })),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            // One family without an answer does not matter as long as the other has addresses.
            match failed {
                Some(error) if found.is_empty() => Err(error),
                _ => Ok(found),
            }
        })
    }
}

/// The name servers of the system, or one that was named; hosts file, search list and ndots are honoured.
pub struct SystemResolver {
    inner: TokioResolver,
}

impl SystemResolver {
    /// Asks `server` where given, else the servers of the system. Answers are not cached.
    ///
    /// # Errors
    /// When the resolver cannot be set up.
    pub fn new(server: Option<SocketAddr>) -> Result<Self, DnsError> {
        let setup = |error: NetError| DnsError::Setup(error.to_string());
        let mut builder = match server {
            None => HickoryResolver::builder_tokio().unwrap_or_else(|error| {
                // A machine without name servers can still scrape addresses and names of its hosts file.
                tracing::warn!(%error, "no usable name servers in the system's settings");
                HickoryResolver::builder_with_config(
                    ResolverConfig::default(),
                    TokioRuntimeProvider::default(),
                )
            }),
            Some(server) => {
                let at_port = |mut connection: ConnectionConfig| {
                    connection.port = server.port();
                    connection
                };
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(at_port).to_vec();
                let mut config = ResolverConfig::default();
                // Search list and options stay those of the system where it has any.
                if let Ok((system, _)) = hickory_resolver::system_conf::read_system_conf() {
                    let (domain, search, _) = system.into_parts();
                    config = ResolverConfig::from_parts(domain, search, Vec::new());
                }
                config.add_name_server(NameServerConfig::new(server.ip(), true, connections));
                HickoryResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        // Discovery asks once per refresh and must see changes at once.
        builder.options_mut().cache_size = 0;
        Ok(Self { inner: builder.build().map_err(setup)? })
    }
}

impl Resolver for SystemResolver {
    fn lookup<'a>(
        &'a self,
        name: &'a str,
        kind: RecordKind,
    ) -> BoxFuture<'a, Result<Vec<DnsRecord>, DnsError>> {
        Box::pin(async move {
            let kind = match kind {
                RecordKind::A => RecordType::A,
                RecordKind::Aaaa => RecordType::AAAA,
                RecordKind::Srv => RecordType::SRV,
                RecordKind::Mx => RecordType::MX,
                RecordKind::Ns => RecordType::NS,
            };
            match self.inner.lookup(name, kind).await {
                // Aliases on the way to the addresses are skipped.
                Ok(answer) => Ok(answer.answers().iter().filter_map(|r| record(&r.data)).collect()),
                Err(error) if is_definite(&error) => Ok(Vec::new()),
                Err(error) => Err(DnsError::Lookup { name: name.to_owned(), reason: error.to_string() }),
            }
        })
    }
}

fn record(data: &RData) -> Option<DnsRecord> {
    Some(match data {
        RData::A(ip) => DnsRecord::Address(IpAddr::V4(ip.0)),
        RData::AAAA(ip) => DnsRecord::Address(IpAddr::V6(ip.0)),
        RData::SRV(srv) => DnsRecord::Service { target: srv.target.to_string(), port: srv.port },
        RData::MX(mx) => DnsRecord::Host(mx.exchange.to_string()),
        RData::NS(ns) => DnsRecord::Host(ns.0.to_string()),
        _ => return None,
    })
}

/// Whether the answer was "no such name" or "no such record", and not a failure.
fn is_definite(error: &NetError) -> bool {
    match error {
        NetError::Dns(HickoryDnsError::NoRecordsFound(none)) => {
            matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
        }
        _ => false,
    }
}
