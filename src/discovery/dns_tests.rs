//! Names that are looked up again and again, on paused time.

use std::collections::HashMap;
use std::sync::Mutex;

use super::*;
use crate::config::{LoadOptions, parse};
use crate::discovery::{DiscoveryManager, SetConfig, TargetSets};
use crate::net::{Dialer, DnsAnswer};
use crate::util::lock::lock;
use tokio::sync::watch;

/// Answers from a table; what is not in it fails.
#[derive(Default)]
struct Table(Mutex<HashMap<(String, RecordKind), DnsAnswer>>);

impl Table {
    fn set(&self, name: &str, kind: RecordKind, addresses: &[&str], ttl_s: Option<u64>) {
        let found = addresses.iter().map(|ip| DnsRecord::Address(ip.parse().expect("an address"))).collect();
        let answer = DnsAnswer { found, ttl: ttl_s.map(Duration::from_secs) };
        lock(&self.0).insert((name.to_owned(), kind), answer);
    }
}

impl Resolver for Table {
    fn lookup<'a>(&'a self, name: &'a str, kind: RecordKind) -> BoxFuture<'a, Result<DnsAnswer, DnsError>> {
        let found = lock(&self.0).get(&(name.to_owned(), kind)).cloned();
        let missing = DnsError::Lookup { name: name.to_owned(), reason: "no server answers".to_owned() };
        Box::pin(async move { found.ok_or(missing) })
    }
}

struct Found {
    manager: DiscoveryManager,
    metrics: DiscoveryMetrics,
    targets: watch::Receiver<Arc<TargetSets>>,
}

impl Found {
    fn start(table: &Arc<Table>, section: &str) -> Self {
        let resolver: Arc<dyn Resolver> = table.clone();
        let dialer = Arc::new(Dialer::new(Arc::clone(&resolver)));
        let metrics = DiscoveryMetrics::default();
        let manager = DiscoveryManager::new("scrape", resolver, dialer, metrics.clone());
        let text = format!("scrape_configs: [{{job_name: a, dns_sd_configs: [{{{section}}}]}}]\n");
        let config = parse(&text, "f", &LoadOptions::default()).expect("valid");
        manager.commit(manager.prepare(SetConfig::of_jobs(&config)).expect("no client"));
        let mut targets = manager.targets();
        targets.borrow_and_update();
        Self { manager, metrics, targets }
    }

    /// The addresses after the next change.
    async fn next(&mut self) -> Vec<String> {
        self.targets.changed().await.expect("published");
        let sets = Arc::clone(&self.targets.borrow_and_update());
        let targets = sets.groups("a").iter().flat_map(|group| &group.targets);
        targets.filter_map(|target| target.get("__address__").map(str::to_owned)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_is_asked_for_again_when_its_time_is_over() {
    for (options, ttl_s, expected_s) in [
        ("follow_ttl: true", Some(3), 3),
        ("follow_ttl: true", Some(0), 1),
        ("follow_ttl: true", Some(30), 30),
        ("follow_ttl: true", Some(600), 30),
        ("follow_ttl: true", None, 30),
        ("follow_ttl: true, refresh_interval: 500ms", Some(0), 0),
        ("follow_ttl: false", Some(3), 30),
        ("refresh_interval: 20s", Some(3), 20),
    ] {
        let table = Arc::new(Table::default());
        table.set("x", RecordKind::A, &["10.0.0.1"], ttl_s);
        let mut found = Found::start(&table, &format!("names: [x], type: A, port: 80, {options}"));
        assert_eq!(found.next().await, ["10.0.0.1:80"]);
        let begun = Instant::now();
        table.set("x", RecordKind::A, &["10.0.0.2"], ttl_s);
        assert_eq!(found.next().await, ["10.0.0.2:80"]);
        // It is a little while until what was found is published.
        assert_eq!(begun.elapsed().as_secs(), expected_s, "{options} and {ttl_s:?}");
        let health = &found.manager.status()["a"][0].health;
        let next = health.next_refresh_ms.expect("known") - health.last_refresh_ms.expect("known");
        assert!((next - i64::try_from(expected_s * 1000).expect("small")).abs() <= 500, "{options}: {next}");
        found.manager.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn both_families_are_asked_for_each_by_itself() {
    let table = Arc::new(Table::default());
    table.set("x", RecordKind::A, &["10.0.0.1"], None);
    table.set("x", RecordKind::Aaaa, &["fd00::1", "fd00::2"], None);
    let mut found = Found::start(&table, "names: [x, x], type: a+aaaa, port: 80, refresh_interval: 5s");
    assert_eq!(found.next().await, ["10.0.0.1:80", "[fd00::1]:80", "[fd00::2]:80"]);
    assert_eq!(found.manager.status()["a"][0].what, "x, x");
    assert_eq!((found.metrics.dns_lookups.get(), found.metrics.dns_failures.get()), (2, 0));
    // One that fails keeps what it had, and says so; the other one goes on.
    lock(&table.0).remove(&("x".to_owned(), RecordKind::A));
    table.set("x", RecordKind::Aaaa, &["fd00::3"], None);
    assert_eq!(found.next().await, ["10.0.0.1:80", "[fd00::3]:80"]);
    let error = found.manager.status()["a"][0].health.last_error.clone();
    assert_eq!(error.as_deref(), Some("cannot look up \"x\": no server answers"));
    assert_eq!((found.metrics.dns_lookups.get(), found.metrics.dns_failures.get()), (4, 1));
    // One without records has no targets.
    table.set("x", RecordKind::A, &["10.0.0.2"], None);
    table.set("x", RecordKind::Aaaa, &[], None);
    assert_eq!(found.next().await, ["10.0.0.2:80"]);
    assert_eq!(found.manager.status()["a"][0].health.last_error, None);
    found.manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn mail_and_name_servers_bring_their_names() {
    for (kind, type_name, label) in [
        (RecordKind::Mx, "mx", "__meta_dns_mx_record_target"),
        (RecordKind::Ns, "NS", "__meta_dns_ns_record_target"),
    ] {
        let table = Arc::new(Table::default());
        let found = vec![DnsRecord::Host("b.x.".to_owned()), DnsRecord::Host("a.x.".to_owned())];
        lock(&table.0).insert(("x".to_owned(), kind), DnsAnswer::without_ttl(found));
        let mut found = Found::start(&table, &format!("names: [x], type: {type_name}, port: 25"));
        assert_eq!(found.next().await, ["a.x:25", "b.x:25"]);
        let sets = Arc::clone(&found.targets.borrow());
        let expected = [("__address__", "a.x:25"), ("__meta_dns_name", "x"), (label, "a.x.")];
        assert_eq!(sets.groups("a")[0].targets[0], Labels::from_pairs(expected));
        found.manager.stop().await;
    }
}
