//! Opens TCP connections to hosts by name.
//!
//! Both families of addresses are looked up at once and raced (RFC 8305): the first that is there is tried, IPv6
//! before IPv4 when both are, and the next address when one takes long. A look-up does not end with the connection
//! that wanted it: it is shared by all who want the same name, and what it finds late serves the next scrape.
//!
//! **Locking**: one mutex around what is known of names, never held across an await.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::resolver::{DnsAnswer, DnsError, RecordKind, Resolver};
use crate::util::lock::lock;

/// The longest a look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);
/// IPv4 addresses wait this long for those of IPv6 (RFC 8305, 3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// The next address is tried when one took this long (RFC 8305, 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// When no look-up has answered after this long, addresses found earlier are tried.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long addresses found earlier are good for that.
const KEPT_FOR: Duration = Duration::from_secs(300);
/// Addresses are good for at least this long, whatever their TTL is: connections that wait are not looked at more often.
const MIN_TTL: Duration = Duration::from_millis(500);
/// A look-up for the sake of a connection that waits is tried again after this long when it found nothing, or nothing
/// that says how long it is good for.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// Names and families of which addresses are kept.
const MAX_KEPT: usize = 100_000;
/// Look-ups under way from which on none is begun for the sake of a connection that waits.
const MAX_LOOKED_BEHIND: usize = 64;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// Nobody could say what the addresses of the host are.
    #[error(transparent)]
    Lookup(#[from] DnsError),
    /// The host has no address.
    #[error("cannot look up {0:?}: no such host")]
    NoSuchHost(String),
    /// An address did not accept the connection.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The zone of a link-local address is no interface of this machine.
    #[error("no network interface {zone:?} for {address}")]
    Zone {
        /// The address.
        address: Ipv6Addr,
        /// Its zone.
        zone: String,
    },
}

type Key = (String, RecordKind);
type Outcome = Result<Arc<[IpAddr]>, DnsError>;

/// The address of a name that a connection leads to.
#[derive(Debug, Clone)]
pub struct Dialed {
    host: String,
    ip: IpAddr,
}

/// What was found of a name.
struct Found {
    at: Instant,
    /// When it is to be looked up again.
    until: Instant,
    /// Whether the name had none when it was looked up last.
    is_gone: bool,
    addresses: Arc<[IpAddr]>,
}

/// Opens connections; one for all who look names up with the same resolver.
pub struct Dialer {
    resolver: Arc<dyn Resolver>,
    names: Arc<Mutex<Names>>,
    /// Look-ups under way; they end with the dialer.
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Names {
    pending: HashMap<Key, watch::Receiver<Option<Outcome>>>,
    found: HashMap<Key, Found>,
}

impl Dialer {
    /// A dialer that looks names up with `resolver`.
    pub fn new(resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, names: Arc::default(), tasks: Mutex::default() }
    }

    /// Connects to `port` of `host`, which is an address or a name; says to which address, where it is a name. The caller
    /// bounds the time.
    ///
    /// # Errors
    /// When no address is found or none accepts.
    pub async fn connect(&self, host: &str, port: u16) -> Result<(TcpStream, Option<Dialed>), DialError> {
        if let Some(address) = literal(host, port)? {
            let connected = connect(address).await;
            return connected
                .map(|stream| (stream, None))
                .map_err(|source| DialError::Connect { address, source });
        }
        let (stream, ip) = self.race(host, port).await?;
        Ok((stream, Some(Dialed { host: host.to_owned(), ip })))
    }

    /// Whether a connection still leads where its name does: not once DNS says that the name has other addresses. The name
    /// is looked up again, behind whoever asks, when the time of its records is over; while nobody answers, and when the
    /// name is gone, the connection is as good as it was.
    pub fn still_leads(&self, dialed: &Dialed) -> bool {
        const FAMILIES: [RecordKind; 2] = [RecordKind::A, RecordKind::Aaaa];
        let (mut known, mut any, mut due) = (false, false, Vec::new());
        {
            let mut names = lock(&self.names);
            let is_busy = names.pending.len() >= MAX_LOOKED_BEHIND;
            for family in FAMILIES {
                let key = (dialed.host.clone(), family);
                let found = names.found.get(&key).filter(|found| !found.is_gone);
                known |= found.is_some_and(|found| found.addresses.contains(&dialed.ip));
                any |= found.is_some();
                if names.is_due(&key) && !is_busy {
                    names.put_off(&key);
                    due.push(family);
                }
            }
        }
        for family in due {
            // What it finds counts the next time.
            drop(self.begin(&dialed.host, family));
        }
        known || !any
    }

    async fn race(&self, host: &str, port: u16) -> Result<(TcpStream, IpAddr), DialError> {
        let begun = Instant::now();
        let mut v4 = pin!(self.find(host, RecordKind::A));
        let mut v6 = pin!(self.find(host, RecordKind::Aaaa));
        let (mut v4_open, mut v6_open, mut remembered) = (true, true, false);
        let mut queue = Queue::default();
        let mut attempts = FuturesUnordered::new();
        let (mut lookup_error, mut connect_error) = (None, None);
        let mut next = begun;
        loop {
            if !v4_open && !v6_open && queue.is_empty() && attempts.is_empty() {
                return Err(connect_error
                    .or(lookup_error)
                    .unwrap_or_else(|| DialError::NoSuchHost(host.to_owned())));
            }
            tokio::select! {
                answer = &mut v6, if v6_open => {
                    v6_open = false;
                    match answer {
                        Ok(found) => queue.extend(&found),
                        Err(error) => lookup_error = lookup_error.or(Some(DialError::from(error))),
                    }
                    if attempts.is_empty() {
                        next = Instant::now();
                    }
                }
                answer = &mut v4, if v4_open => {
                    v4_open = false;
                    match answer {
                        Ok(found) => queue.extend(&found),
                        Err(error) => lookup_error = lookup_error.or(Some(DialError::from(error))),
                    }
                    if attempts.is_empty() {
                        next = Instant::now() + if v6_open { RESOLUTION_DELAY } else { Duration::ZERO };
                    }
                }
                Some((address, result)) = attempts.next() => match result {
                    Ok(stream) => return Ok((stream, SocketAddr::ip(&address))),
                    Err(source) => {
                        connect_error = Some(DialError::Connect { address, source });
                        next = Instant::now();
                    }
                },
                () = sleep_until(next), if !queue.is_empty() => {
                    if let Some(ip) = queue.pop() {
                        let address = SocketAddr::new(ip, port);
                        attempts.push(async move { (address, connect(address).await) });
                    }
                    next = Instant::now() + ATTEMPT_DELAY;
                }
                () = sleep_until(begun + PATIENCE), if !remembered && v4_open && v6_open => {
                    remembered = true;
                    self.remembered(host).iter().for_each(|found| queue.extend(found));
                }
            }
        }
    }

    /// Addresses of one family; joins a look-up that is under way.
    async fn find(&self, host: &str, family: RecordKind) -> Outcome {
        let mut answer = self.begin(host, family);
        let outcome = answer.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
        outcome.ok().flatten().unwrap_or_else(|| {
            Err(DnsError::Lookup { name: host.to_owned(), reason: "the look-up broke off".to_owned() })
        })
    }

    fn begin(&self, host: &str, family: RecordKind) -> watch::Receiver<Option<Outcome>> {
        let key = (host.to_owned(), family);
        let mut names = lock(&self.names);
        if let Some(pending) = names.pending.get(&key) {
            return pending.clone();
        }
        let (sender, receiver) = watch::channel(None);
        names.pending.insert(key.clone(), receiver.clone());
        drop(names);
        let resolver = Arc::clone(&self.resolver);
        let pending = Pending { key, names: Arc::clone(&self.names) };
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let (host, family) = &pending.key;
            let outcome = match timeout(LOOKUP_TIMEOUT, resolver.host(host, *family)).await {
                Ok(Ok(DnsAnswer { found, ttl })) => {
                    let addresses = Arc::from(found);
                    // What files say has none.
                    lock(&pending.names).keep(&pending.key, &addresses, ttl.unwrap_or(LOOK_AGAIN));
                    Ok(addresses)
                }
                Ok(Err(error)) => Err(error),
                Err(_) => {
                    Err(DnsError::Lookup { name: host.clone(), reason: "no answer in time".to_owned() })
                }
            };
            drop(pending);
            sender.send_replace(Some(outcome));
        });
        receiver
    }

    /// What was last found of both families, not long ago.
    fn remembered(&self, host: &str) -> Vec<Arc<[IpAddr]>> {
        let names = lock(&self.names);
        let found = [RecordKind::A, RecordKind::Aaaa].into_iter().filter_map(|family| {
            let found = names.found.get(&(host.to_owned(), family))?;
            (!found.is_gone && found.at.elapsed() < KEPT_FOR).then(|| Arc::clone(&found.addresses))
        });
        found.collect()
    }
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dialer")
    }
}

impl Names {
    fn keep(&mut self, key: &Key, addresses: &Arc<[IpAddr]>, ttl: Duration) {
        let now = Instant::now();
        if addresses.is_empty() {
            // Kept, so that it is not asked for all the time.
            let until = now + ttl.max(LOOK_AGAIN);
            match self.found.get_mut(key) {
                Some(found) => (found.until, found.is_gone) = (until, true),
                None => self.insert(key, Found { at: now, until, is_gone: true, addresses: Arc::from([]) }),
            }
            return;
        }
        let found = Found {
            at: now,
            until: now + ttl.max(MIN_TTL),
            is_gone: false,
            addresses: Arc::clone(addresses),
        };
        self.insert(key, found);
    }

    fn insert(&mut self, key: &Key, found: Found) {
        if self.found.len() >= MAX_KEPT && !self.found.contains_key(key) {
            let now = Instant::now();
            self.found.retain(|_, found| now < found.until);
            if self.found.len() >= MAX_KEPT {
                self.found.clear();
            }
        }
        self.found.insert(key.clone(), found);
    }

    /// Whether the time of what was found is over, or nothing was.
    fn is_due(&self, key: &Key) -> bool {
        self.found.get(key).is_none_or(|found| found.until <= Instant::now())
    }

    /// What was found is taken for good a while longer: it is being looked up, and nobody may answer.
    fn put_off(&mut self, key: &Key) {
        if let Some(found) = self.found.get_mut(key) {
            found.until = Instant::now() + LOOK_AGAIN;
        }
    }
}

/// A look-up that others may join; no longer once this is dropped, by a panic too.
struct Pending {
    key: Key,
    names: Arc<Mutex<Names>>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        lock(&self.names).pending.remove(&self.key);
    }
}

/// Addresses still to be tried, each once, the families in turn.
#[derive(Default)]
struct Queue {
    seen: Vec<IpAddr>,
    v6: VecDeque<IpAddr>,
    v4: VecDeque<IpAddr>,
    v4_is_next: bool,
}

impl Queue {
    fn extend(&mut self, found: &[IpAddr]) {
        for ip in found {
            if !self.seen.contains(ip) {
                self.seen.push(*ip);
                if ip.is_ipv4() { self.v4.push_back(*ip) } else { self.v6.push_back(*ip) }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    fn pop(&mut self) -> Option<IpAddr> {
        let (first, second) =
            if self.v4_is_next { (&mut self.v4, &mut self.v6) } else { (&mut self.v6, &mut self.v4) };
        let ip = first.pop_front().or_else(|| second.pop_front())?;
        self.v4_is_next = ip.is_ipv6();
        Some(ip)
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The address `host` is, if it is one: four decimal numbers, or IPv6 with or without a zone. Anything else that
/// looks like a number is a name.
fn literal(host: &str, port: u16) -> Result<Option<SocketAddr>, DialError> {
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Ok(Some(SocketAddr::from((ip, port))));
    }
    let (address, zone) = host.split_once('%').unwrap_or((host, ""));
    let Ok(address) = address.parse::<Ipv6Addr>() else { return Ok(None) };
    let scope = match zone {
        "" => 0,
        zone => scope(zone).ok_or_else(|| DialError::Zone { address, zone: zone.to_owned() })?,
    };
    Ok(Some(SocketAddrV6::new(address, port, 0, scope).into()))
}

/// The number of an interface, given by its name or as a number.
fn scope(zone: &str) -> Option<u32> {
    let by_name = || {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        rustix::net::netdevice::name_to_index(&socket, zone).ok()
    };
    by_name().or_else(|| zone.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::BoxFuture;
    use tokio::net::TcpListener;
    use tokio::time::{sleep, timeout};

    /// Answers after a while, or never.
    struct Slow {
        v4: Option<Duration>,
        v6: Option<Duration>,
        asked: std::sync::atomic::AtomicUsize,
    }

    impl Slow {
        fn new(v4: Option<u64>, v6: Option<u64>) -> Arc<Self> {
            let millis = |ms: Option<u64>| ms.map(Duration::from_millis);
            Arc::new(Self {
                v4: millis(v4),
                v6: millis(v6),
                asked: std::sync::atomic::AtomicUsize::default(),
            })
        }
    }

    impl Resolver for Slow {
        fn lookup<'a>(
            &'a self,
            _name: &'a str,
            kind: RecordKind,
        ) -> BoxFuture<'a, Result<DnsAnswer, DnsError>> {
            self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Box::pin(async move {
                let (after, ip): (_, Vec<IpAddr>) = match kind {
                    RecordKind::A => (self.v4, vec![Ipv4Addr::LOCALHOST.into()]),
                    _ => (self.v6, Vec::new()),
                };
                match after {
                    Some(after) => sleep(after).await,
                    None => std::future::pending().await,
                }
                let records = ip.into_iter().map(crate::net::DnsRecord::Address);
                Ok(DnsAnswer::without_ttl(records.collect()))
            })
        }
    }

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bind");
        let port = listener.local_addr().expect("bound").port();
        (listener, port)
    }

    #[tokio::test]
    async fn an_address_family_that_is_never_answered_holds_nothing_up() {
        let (_listener, port) = listener().await;
        let dialer = Dialer::new(Slow::new(Some(0), None));
        let connected = timeout(Duration::from_secs(5), dialer.connect("h", port)).await;
        connected.expect("in time").expect("connected");
    }

    #[tokio::test]
    async fn a_look_up_that_is_slower_than_the_scrape_serves_the_next_one() {
        let (_listener, port) = listener().await;
        let resolver = Slow::new(Some(900), Some(900));
        let dialer = Dialer::new(resolver.clone());
        let connect = || timeout(Duration::from_millis(600), dialer.connect("h", port));
        connect().await.expect_err("too slow");
        // Joins what is under way already.
        connect().await.expect("in time").expect("connected");
        assert_eq!(resolver.asked.load(std::sync::atomic::Ordering::Relaxed), 2);
        // From now on there is what was found before.
        for _ in 0..3 {
            connect().await.expect("in time").expect("connected");
        }
    }

    /// Answers with what it was told last; without that, never.
    #[derive(Default)]
    struct Told {
        answers: Mutex<HashMap<RecordKind, DnsAnswer>>,
        asked: std::sync::atomic::AtomicUsize,
    }

    impl Told {
        /// From now on the name has these addresses, of one family or the other.
        fn say(&self, addresses: &[IpAddr], ttl_s: u64) {
            let mut answers = lock(&self.answers);
            for family in [RecordKind::A, RecordKind::Aaaa] {
                let wanted = addresses.iter().filter(|ip| ip.is_ipv4() == (family == RecordKind::A));
                let found = wanted.map(|ip| crate::net::DnsRecord::Address(*ip)).collect();
                let ttl = Some(Duration::from_secs(ttl_s));
                answers.insert(family, DnsAnswer { found, ttl });
            }
        }

        fn fall_silent(&self) {
            lock(&self.answers).clear();
        }

        fn asked(&self) -> usize {
            self.asked.swap(0, std::sync::atomic::Ordering::Relaxed)
        }
    }

    impl Resolver for Told {
        fn lookup<'a>(
            &'a self,
            _name: &'a str,
            kind: RecordKind,
        ) -> BoxFuture<'a, Result<DnsAnswer, DnsError>> {
            self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let answer = lock(&self.answers).get(&kind).cloned();
            Box::pin(async move {
                match answer {
                    Some(answer) => Ok(answer),
                    None => std::future::pending().await,
                }
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_leads_where_its_name_does_until_the_name_has_other_addresses() {
        let [one, two]: [IpAddr; 2] = [Ipv4Addr::new(10, 0, 0, 1).into(), Ipv4Addr::new(10, 0, 0, 2).into()];
        let told = Arc::new(Told::default());
        let dialer = Dialer::new(told.clone());
        let dialed = |ip| Dialed { host: "h".to_owned(), ip };
        let both = async |ips: [bool; 2]| {
            let begun = Instant::now();
            assert_eq!([one, two].map(|ip| dialer.still_leads(&dialed(ip))), ips);
            assert_eq!(begun.elapsed(), Duration::ZERO, "nobody waits for a look-up");
            // Those that were begun are through.
            sleep(Duration::from_millis(1)).await;
        };
        told.say(&[two, one], 60);
        both([true, true]).await;
        assert_eq!(told.asked(), 2, "one for each family");
        // Until the time of the records is over nobody is asked; then the next request knows.
        told.say(&[two], 60);
        sleep(Duration::from_secs(58)).await;
        both([true, true]).await;
        assert_eq!(told.asked(), 0);
        sleep(Duration::from_secs(2)).await;
        both([true, true]).await;
        both([false, true]).await;
        assert_eq!(told.asked(), 2);
        // A name that is gone leads nowhere else, for whoever has which address.
        told.say(&[], 60);
        sleep(Duration::from_secs(60)).await;
        both([false, true]).await;
        both([true, true]).await;
        // What moves to the other family is followed.
        told.say(&["::1".parse().expect("address")], 1);
        sleep(Duration::from_secs(60)).await;
        both([true, true]).await;
        both([false, false]).await;
        // While nobody answers it is not asked again soon, and what is open already is not begun twice.
        told.say(&[one], 1);
        sleep(Duration::from_secs(60)).await;
        both([false, false]).await;
        both([true, false]).await;
        told.asked();
        told.fall_silent();
        sleep(Duration::from_secs(60)).await;
        for _ in 0..5 {
            both([true, false]).await;
        }
        assert_eq!(told.asked(), 2);
        sleep(LOOK_AGAIN).await;
        both([true, false]).await;
        assert_eq!(told.asked(), 0, "those of before are still under way");
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_says_how_long_it_is_good_for_is_good_for_a_while() {
        let files = Slow::new(Some(0), Some(0));
        let dialer = Dialer::new(files.clone());
        let dialed = Dialed { host: "h".to_owned(), ip: Ipv4Addr::LOCALHOST.into() };
        for _ in 0..10 {
            assert!(dialer.still_leads(&dialed));
            sleep(LOOK_AGAIN / 10).await;
        }
        assert_eq!(files.asked.load(std::sync::atomic::Ordering::Relaxed), 2, "one for each family");
    }

    #[tokio::test(start_paused = true)]
    async fn few_look_ups_are_under_way_for_connections_that_wait() {
        let told = Arc::new(Told::default());
        let dialer = Dialer::new(told.clone());
        for number in 0..10 * MAX_LOOKED_BEHIND {
            let dialed = Dialed { host: format!("h{number}"), ip: Ipv4Addr::LOCALHOST.into() };
            assert!(dialer.still_leads(&dialed));
        }
        sleep(Duration::from_millis(1)).await;
        assert!((MAX_LOOKED_BEHIND..=MAX_LOOKED_BEHIND + 1).contains(&told.asked()));
    }

    #[tokio::test]
    async fn only_addresses_are_addresses() {
        let check = |host: &str, expected: Option<&str>| {
            let expected = expected.map(|text| text.parse::<SocketAddr>().expect("address"));
            assert_eq!(literal(host, 80).expect("known zone"), expected, "{host}");
        };
        check("10.0.0.1", Some("10.0.0.1:80"));
        check("::1", Some("[::1]:80"));
        check("fe80::1%1", Some("[fe80::1%1]:80"));
        for name in ["12345", "0x7f", "web.1", "1.2.3", "010.0.0.1", "1.2.3.4.", "DOCKER_HOST"] {
            check(name, None);
        }
        assert!(matches!(literal("fe80::1%no-such", 80), Err(DialError::Zone { .. })));
    }

    #[tokio::test]
    async fn a_zone_is_an_interface_of_this_machine() {
        let listener = TcpListener::bind("[::1]:0").await;
        let Ok(listener) = listener else { return };
        let port = listener.local_addr().expect("bound").port();
        let dialer = Dialer::new(Slow::new(None, None));
        dialer.connect("::1%lo", port).await.expect("connected");
    }
}
