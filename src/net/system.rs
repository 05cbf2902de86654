//! Looks names up as the system does: hosts file first, then the name servers, along the search list and aliases.
//!
//! hickory-resolver asks one server (UDP, and TCP for what was cut short); which server, which names and what an
//! answer means is decided here, because a monitored name may be anything the system takes: underscores, upper case,
//! digits at the end. Nothing is remembered about servers, so one that was dead is asked again like any other.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle as _, FirstAnswer as _};
use hickory_resolver::net::{DnsError as HickoryDnsError, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, Message, Query, ResponseCode};
use hickory_resolver::proto::rr::domain::Label;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use resolv_conf::ScopedIp;
use tokio::time::sleep;

use super::files::{Hosts, ResolverFiles, Watched};
use super::resolver::{DnsAnswer, DnsError, DnsRecord, RecordKind, Resolver};

/// A server that has not answered after this long is joined by the next one.
const NEXT_SERVER_AFTER: Duration = Duration::from_secs(1);
/// Size of answers that fit everywhere without being fragmented.
const MAX_UDP_BYTES: u16 = 1232;
/// Aliases that are followed, within one answer and by further questions.
const MAX_ALIASES: usize = 16;

/// Asks the hosts file and the name servers of the system, or servers that were named.
pub struct SystemResolver {
    hosts: Watched<Hosts>,
    settings: Watched<Settings>,
}

impl SystemResolver {
    /// Asks `server` where given, else the servers of the system. Answers are not kept.
    pub fn new(server: Option<SocketAddr>) -> Self {
        Self::with_files(ResolverFiles::default(), server.into_iter().collect())
    }

    /// Like [`SystemResolver::new`], with other files, and any number of named servers.
    pub fn with_files(files: ResolverFiles, servers: Vec<SocketAddr>) -> Self {
        Self {
            hosts: Watched::new(files.hosts, Hosts::parse),
            settings: Watched::new(files.resolv_conf, move |bytes| Settings::parse(bytes, &servers)),
        }
    }

    async fn records(&self, name: &str, kind: RecordKind) -> Result<DnsAnswer, DnsError> {
        let failed = |reason| DnsError::Lookup { name: name.to_owned(), reason };
        let settings = self.settings.load();
        let mut error = None;
        let mut nothing = DnsAnswer::without_ttl(Vec::new());
        for candidate in settings.candidates(name).map_err(failed)? {
            match settings.ask(candidate, kind).await {
                Ok(answer) if !answer.found.is_empty() => return Ok(answer),
                Ok(answer) => nothing.ttl = smaller(nothing.ttl, answer.ttl),
                Err(reason) => error = error.or(Some(reason)),
            }
        }
        error.map_or(Ok(nothing), |reason| Err(failed(reason)))
    }
}

impl Resolver for SystemResolver {
    fn lookup<'a>(&'a self, name: &'a str, kind: RecordKind) -> BoxFuture<'a, Result<DnsAnswer, DnsError>> {
        Box::pin(async move {
            let known = match kind {
                RecordKind::A | RecordKind::Aaaa => of_family(self.hosts.load().get(name), kind),
                RecordKind::Srv | RecordKind::Mx | RecordKind::Ns => Vec::new(),
            };
            if !known.is_empty() {
                let records = known.into_iter().map(DnsRecord::Address);
                return Ok(DnsAnswer::without_ttl(records.collect()));
            }
            self.records(name, kind).await
        })
    }

    fn host<'a>(
        &'a self,
        name: &'a str,
        family: RecordKind,
    ) -> BoxFuture<'a, Result<DnsAnswer<IpAddr>, DnsError>> {
        Box::pin(async move {
            // A host in the file has the addresses that are there, and no others.
            if let Some(known) = self.hosts.load().get(name) {
                return Ok(DnsAnswer::without_ttl(of_family(Some(known), family)));
            }
            if is_localhost(name) {
                let own = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
                return Ok(DnsAnswer::without_ttl(of_family(Some(&own), family)));
            }
            if family == RecordKind::Aaaa && self.settings.load().no_aaaa {
                return Ok(DnsAnswer::without_ttl(Vec::new()));
            }
            Ok(self.records(name, family).await?.into_addresses())
        })
    }
}

fn of_family(addresses: Option<&[IpAddr]>, family: RecordKind) -> Vec<IpAddr> {
    let all = addresses.unwrap_or_default().iter().copied();
    all.filter(|ip| ip.is_ipv4() == (family == RecordKind::A)).collect()
}

/// The smaller of two TTLs, of which either may be unknown.
fn smaller(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

/// RFC 6761: such names are never asked for.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// What the resolver's settings say.
struct Settings {
    servers: Vec<Server>,
    search: Vec<String>,
    ndots: usize,
    rounds: usize,
    rotate: bool,
    no_aaaa: bool,
    turn: AtomicUsize,
}

impl Settings {
    /// Reads `resolv.conf`; `named` servers go before those of the file.
    fn parse(bytes: &[u8], named: &[SocketAddr]) -> Self {
        let (file, errors) = resolv_conf::Config::parse_with_errors(bytes);
        for error in errors {
            tracing::warn!(%error, "ignoring an invalid line in resolv.conf");
        }
        let timeout = Duration::from_secs(u64::from(file.timeout.clamp(1, 30)));
        let mut addresses = named.to_vec();
        if addresses.is_empty() {
            addresses = file.nameservers.iter().filter_map(server_address).collect();
        }
        if addresses.is_empty() {
            // As the C library does it.
            addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 53))];
        }
        Self {
            servers: addresses
                .into_iter()
                .filter_map(|address| Server::new(address, timeout, file.use_vc))
                .collect(),
            search: file.get_last_search_or_domain().filter(|s| *s != "--").cloned().collect(),
            ndots: usize::try_from(file.ndots).unwrap_or(usize::MAX),
            rounds: usize::try_from(file.attempts.clamp(1, 5)).unwrap_or(1),
            rotate: file.rotate,
            no_aaaa: file.no_aaaa,
            turn: AtomicUsize::new(0),
        }
    }

    /// The full names that `name` may stand for, in the order in which they are asked for.
    fn candidates(&self, name: &str) -> Result<Vec<Name>, String> {
        let full = full_name(name)?;
        if name.ends_with('.') {
            return Ok(vec![full]);
        }
        // One that would be too long is none.
        let longer = self.search.iter().filter_map(|domain| full_name(&format!("{name}.{domain}")).ok());
        let first = name.matches('.').count() >= self.ndots;
        let mut names = Vec::with_capacity(self.search.len() + 1);
        if first {
            names.push(full.clone());
        }
        names.extend(longer);
        if !first {
            names.push(full);
        }
        let mut seen = HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        Ok(names)
    }

    /// Records of a full name, or those of the name it is an alias of; none when there definitely are none.
    async fn ask(&self, mut name: Name, kind: RecordKind) -> Result<DnsAnswer, String> {
        let mut before = None;
        for _ in 0..MAX_ALIASES {
            match self.ask_servers(&name, kind).await? {
                Answer::Records(DnsAnswer { found, ttl }) => {
                    return Ok(DnsAnswer { found, ttl: smaller(before, ttl) });
                }
                Answer::Alias(other, ttl) => {
                    name = other;
                    before = smaller(before, Some(ttl));
                }
            }
        }
        Err(format!("more than {MAX_ALIASES} aliases one after another"))
    }

    /// Asks the servers in their order, again if none said anything.
    async fn ask_servers(&self, name: &Name, kind: RecordKind) -> Result<Answer, String> {
        let mut failed: Option<Failure> = None;
        for _ in 0..self.rounds {
            let count = self.servers.len();
            let first = if self.rotate { self.turn.fetch_add(1, Ordering::Relaxed) } else { 0 };
            let mut left = (0..count).map(|at| &self.servers[first.wrapping_add(at) % count]);
            let mut waiting = FuturesUnordered::new();
            let mut more = true;
            loop {
                match left.next() {
                    Some(server) => waiting.push(server.ask(name, kind)),
                    None => more = false,
                }
                tokio::select! {
                    answer = waiting.next() => match answer {
                        Some(Ok(answer)) => return Ok(answer),
                        // What a server said tells more than that another one kept silent.
                        Some(Err(error)) => {
                            if failed.as_ref().is_none_or(|failed| failed.silent) {
                                failed = Some(error);
                            }
                        }
                        None => break,
                    },
                    () = sleep(NEXT_SERVER_AFTER), if more => {}
                }
            }
            if failed.as_ref().is_some_and(|failed| !failed.silent) {
                break;
            }
        }
        Err(failed.map_or_else(|| "there is no usable name server".to_owned(), |failed| failed.reason))
    }
}

/// Where a server of the file is asked. One with a zone cannot be, because hickory-resolver knows no zones.
fn server_address(server: &ScopedIp) -> Option<SocketAddr> {
    if let ScopedIp::V6(ip, Some(zone)) = server {
        tracing::warn!(%ip, zone, "ignoring a name server with a zone in resolv.conf");
        return None;
    }
    Some(SocketAddr::new(IpAddr::from(server.clone()), 53))
}

/// Why a server gave no answer.
struct Failure {
    reason: String,
    /// It said nothing at all.
    silent: bool,
}

/// One name server.
struct Server {
    address: SocketAddr,
    pool: NameServerPool<TokioRuntimeProvider>,
}

impl Server {
    /// A server; none when its connections cannot be set up.
    fn new(address: SocketAddr, timeout: Duration, tcp_only: bool) -> Option<Self> {
        let mut options = ResolverOpts::default();
        options.timeout = timeout;
        options.num_concurrent_reqs = 1;
        let at_port = |mut connection: ConnectionConfig| {
            connection.port = address.port();
            connection
        };
        let connections = if tcp_only {
            vec![at_port(ConnectionConfig::tcp())]
        } else {
            vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())]
        };
        let config = NameServerConfig::new(address.ip(), true, connections);
        let context = Arc::new(PoolContext::new(options, TlsConfig::new().ok()?));
        let pool = NameServerPool::from_config([config], context, TokioRuntimeProvider::default());
        Some(Self { address, pool })
    }

    async fn ask(&self, name: &Name, kind: RecordKind) -> Result<Answer, Failure> {
        let mut options = DnsRequestOptions::default();
        options.edns_payload_len = MAX_UDP_BYTES;
        let query = Query::query(name.clone(), record_type(kind));
        let mut answer = self.pool.lookup(query.clone(), options).first_answer().await;
        if let Err(NetError::Dns(HickoryDnsError::ResponseCode(
            ResponseCode::FormErr | ResponseCode::NotImp,
        ))) = answer
        {
            // Old servers do not know the extension that asks for larger answers.
            options.use_edns = false;
            answer = self.pool.lookup(query, options).first_answer().await;
        }
        let failed =
            |reason: String, silent| Failure { reason: format!("{} ({})", reason, self.address), silent };
        match answer {
            Ok(response) => Answer::of(name, kind, &response).map_err(|reason| failed(reason, false)),
            Err(error) => {
                if let Some(nothing) = definite(&error) {
                    return Ok(Answer::Records(nothing));
                }
                let silent = !matches!(error, NetError::Dns(_));
                Err(failed(error.to_string(), silent))
            }
        }
    }
}

/// What a message says about a name.
#[derive(Debug, PartialEq)]
enum Answer {
    /// Its records; none when there definitely are none.
    Records(DnsAnswer),
    /// It is another name for this one, of which nothing is said, for so long.
    Alias(Name, Duration),
}

impl Answer {
    /// Follows the aliases in `message`, whatever their order.
    fn of(name: &Name, kind: RecordKind, message: &Message) -> Result<Self, String> {
        let wanted = record_type(kind);
        let mut at = name;
        let mut ttl = None;
        for _ in 0..=MAX_ALIASES {
            let own = || message.answers.iter().filter(|record| record.name == *at);
            let wanted_ones = || own().filter(|record| record.record_type() == wanted);
            let found: Vec<DnsRecord> = wanted_ones().filter_map(|record| dns_record(&record.data)).collect();
            if !found.is_empty() {
                let ttl = smaller(ttl, wanted_ones().map(|record| seconds(record.ttl)).min());
                return Ok(Self::Records(DnsAnswer { found, ttl }));
            }
            let alias = own().find_map(|record| match &record.data {
                RData::CNAME(target) => Some((&target.0, seconds(record.ttl))),
                _ => None,
            });
            if let Some((target, good_for)) = alias {
                at = target;
                ttl = smaller(ttl, Some(good_for));
                continue;
            }
            let nothing = || DnsAnswer { found: Vec::new(), ttl: smaller(ttl, negative_ttl(message)) };
            if message.metadata.response_code == ResponseCode::NXDomain {
                return Ok(Self::Records(nothing()));
            }
            if let Some(ttl) = ttl {
                return Ok(Self::Alias(at.clone(), ttl));
            }
            return match message.answers.iter().find(|record| record.record_type() == wanted) {
                None => Ok(Self::Records(nothing())),
                Some(other) => Err(format!("the answer is about {}", other.name.to_ascii())),
            };
        }
        Err("its aliases go in a circle".to_owned())
    }
}

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(u64::from(ttl))
}

/// How long it is good for that there is nothing (RFC 2308).
fn negative_ttl(message: &Message) -> Option<Duration> {
    message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(seconds(record.ttl.min(soa.minimum))),
        _ => None,
    })
}

/// `name` as a full name, its labels as they are; beyond ASCII as IDNA has them.
fn full_name(name: &str) -> Result<Name, String> {
    let labels = name.strip_suffix('.').unwrap_or(name).split('.').map(|label| {
        if label.is_ascii() { Label::from_raw_bytes(label.as_bytes()) } else { Label::from_utf8(label) }
    });
    let labels: Vec<Label> = labels.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let mut name = Name::from_labels(labels).map_err(|error| error.to_string())?;
    name.set_fqdn(true);
    Ok(name)
}

fn record_type(kind: RecordKind) -> RecordType {
    match kind {
        RecordKind::A => RecordType::A,
        RecordKind::Aaaa => RecordType::AAAA,
        RecordKind::Srv => RecordType::SRV,
        RecordKind::Mx => RecordType::MX,
        RecordKind::Ns => RecordType::NS,
    }
}

fn dns_record(data: &RData) -> Option<DnsRecord> {
    Some(match data {
        RData::A(ip) => DnsRecord::Address(IpAddr::V4(ip.0)),
        RData::AAAA(ip) => DnsRecord::Address(IpAddr::V6(ip.0)),
        RData::SRV(srv) => DnsRecord::Service { target: srv.target.to_ascii(), port: srv.port },
        RData::MX(mx) => DnsRecord::Host(mx.exchange.to_ascii()),
        RData::NS(ns) => DnsRecord::Host(ns.0.to_ascii()),
        _ => return None,
    })
}

/// The answer "no such name" or "no such record"; none where nobody could say.
fn definite(error: &NetError) -> Option<DnsAnswer> {
    match error {
        NetError::Dns(HickoryDnsError::NoRecordsFound(none))
            if matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain) =>
        {
            Some(DnsAnswer { found: Vec::new(), ttl: none.negative_ttl.map(seconds) })
        }
        _ => None,
    }
}
