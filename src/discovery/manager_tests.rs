//! Sets that come, change and go, on a clock that is turned by hand.

use std::collections::HashMap;

use super::*;
use crate::config::{Config, LoadOptions, parse};
use crate::discovery::discoverer::{Discoverer as _, Polling};
use crate::discovery::{Change, Refresh};
use crate::model::Labels;
use crate::net::{DnsAnswer, DnsError, DnsRecord, RecordKind};
use futures_util::future::BoxFuture;

/// Answers from a table; a missing name fails.
#[derive(Default)]
struct Table(Mutex<HashMap<String, Vec<DnsRecord>>>);

impl Resolver for Table {
    fn lookup<'a>(&'a self, name: &'a str, _kind: RecordKind) -> BoxFuture<'a, Result<DnsAnswer, DnsError>> {
        let found = lock(&self.0).get(name).cloned();
        let reason = "no server answers".to_owned();
        let missing = DnsError::Lookup { name: name.to_owned(), reason };
        Box::pin(async move { found.map(DnsAnswer::without_ttl).ok_or(missing) })
    }
}

fn manager(resolver: Arc<dyn Resolver>) -> DiscoveryManager {
    let dialer = Arc::new(Dialer::new(Arc::clone(&resolver)));
    DiscoveryManager::new("scrape", resolver, dialer, DiscoveryMetrics::default())
}

impl DiscoveryManager {
    /// Switches to `sets`.
    fn switch(&self, sets: Vec<SetConfig>) {
        self.commit(self.prepare(sets).expect("no client"));
    }
}

fn jobs(text: &str) -> Vec<SetConfig> {
    let config: Config = parse(text, "f", &LoadOptions::default()).expect("valid");
    SetConfig::of_jobs(&config)
}

fn addresses(sets: &TargetSets) -> Vec<String> {
    let groups = sets.by_name.values().flatten();
    groups.flat_map(|g| &g.targets).map(|t| t.get("__address__").unwrap_or("").to_owned()).collect()
}

fn ip(last: u8) -> DnsRecord {
    DnsRecord::Address(std::net::IpAddr::from([10, 0, 0, last]))
}

#[tokio::test(start_paused = true)]
async fn failures_keep_targets_and_empty_answers_remove_them() {
    let table = Arc::new(Table::default());
    let manager = manager(table.clone());
    let mut targets = manager.targets();
    let text = "scrape_configs:\n- job_name: a\n  static_configs: [{targets: [s]}]\n  dns_sd_configs:\n  \
                - {names: [x], type: A, port: 80, refresh_interval: 5s}\n";
    manager.switch(jobs(text));
    assert_eq!(addresses(&targets.borrow_and_update()), ["s"]);
    let set = |records: Option<Vec<DnsRecord>>| match records {
        Some(records) => drop(lock(&table.0).insert("x".to_owned(), records)),
        None => drop(lock(&table.0).remove("x")),
    };
    set(Some(vec![ip(2), ip(1)]));
    targets.changed().await.expect("published");
    let sets = Arc::clone(&targets.borrow_and_update());
    assert_eq!(addresses(&sets), ["s", "10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(sets.groups("a")[1].targets[0].get("__meta_dns_name"), Some("x"));
    // Two refreshes fail: nothing changes.
    set(None);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(!targets.has_changed().expect("open"));
    assert_eq!(manager.environment.metrics.dns_failures.get(), 2);
    // A reload that changes nothing about the look-up keeps what it found.
    manager.switch(jobs(text));
    assert!(!targets.has_changed().expect("open"));
    set(Some(Vec::new()));
    targets.changed().await.expect("published");
    assert_eq!(addresses(&targets.borrow_and_update()), ["s"]);
    manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn service_records_bring_their_port() {
    let table = Arc::new(Table::default());
    lock(&table.0).insert(
        "_m._tcp.x".to_owned(),
        vec![DnsRecord::Service { target: "host.x.".to_owned(), port: 9100 }],
    );
    let manager = manager(table);
    let mut targets = manager.targets();
    let text = "scrape_configs:\n- job_name: a\n  dns_sd_configs: [{names: [_m._tcp.x]}]\n";
    manager.switch(jobs(text));
    targets.borrow_and_update();
    targets.changed().await.expect("published");
    let sets = Arc::clone(&targets.borrow());
    let target = &sets.groups("a")[0].targets[0];
    assert_eq!(target.get("__address__"), Some("host.x:9100"));
    assert_eq!(target.get("__meta_dns_srv_record_target"), Some("host.x."));
    assert_eq!(target.get("__meta_dns_srv_record_port"), Some("9100"));
    manager.stop().await;
}

/// Gives one target after some time.
struct Slow(Duration);

impl Refresh for Slow {
    fn what(&self) -> String {
        "slow".to_owned()
    }

    fn refresh(&self) -> BoxFuture<'_, Result<Vec<TargetGroup>, String>> {
        Box::pin(async {
            tokio::time::sleep(self.0).await;
            let labels = Labels::empty();
            Ok(vec![TargetGroup::of_addresses("a".to_owned(), &["found".to_owned()], labels)])
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_may_take_longer_than_its_pace_but_not_for_ever() {
    let pace = Duration::from_secs(5);
    for (takes, expected) in [(pace * 20, &["found"][..]), (pace * 1000, &[])] {
        let manager = manager(Arc::new(Table::default()));
        let text = "scrape_configs:\n- job_name: a\n  dns_sd_configs: [{names: [x], type: A, port: 80}]\n";
        manager.switch(jobs(text));
        let groups = GroupSender { store: Arc::clone(&manager.store), id: 0 };
        let polling = Polling { source: Slow(takes), pace };
        tokio::time::timeout(takes * 3, polling.run(&groups)).await.expect_err("it goes on");
        manager.store.merge();
        assert_eq!(addresses(&manager.targets().borrow()), expected);
        manager.stop().await;
    }
}

#[tokio::test]
async fn what_comes_too_late_changes_nothing() {
    let manager = manager(Arc::new(Table::default()));
    let sender = |id| GroupSender { store: Arc::clone(&manager.store), id };
    let text = "scrape_configs:\n- job_name: a\n  dns_sd_configs: [{names: [x], type: A, port: 80}]\n";
    manager.switch(jobs(text));
    let group = |source: &str, address: &str| {
        TargetGroup::of_addresses(source.to_owned(), &[address.to_owned()], Labels::empty())
    };
    let first = sender(0);
    // Groups are told apart by their source, and replaced by it.
    first.put(vec![group("b", "two"), group("a", "one")]);
    first.put(vec![group("b", "three")]);
    let published = || {
        manager.store.merge();
        addresses(&manager.targets().borrow())
    };
    assert_eq!(published(), ["one", "three"]);
    sender(7).put(vec![group("c", "four")]);
    assert_eq!(published(), ["one", "three"]);
    first.remove(["a"]);
    assert_eq!(published(), ["three"]);
    manager.switch(jobs(""));
    first.put(vec![group("a", "one")]);
    manager.switch(jobs(text));
    assert_eq!(addresses(&manager.targets().borrow()), [] as [String; 0]);
    manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_mechanism_begins_with_what_the_one_before_it_found() {
    let table = Arc::new(Table::default());
    lock(&table.0).insert("x".to_owned(), vec![ip(1)]);
    let manager = manager(table.clone());
    let mut targets = manager.targets();
    let text = |name: &str, pace: &str| {
        let dns = format!("{{names: [{name}], type: A, port: 80, refresh_interval: {pace}}}");
        jobs(&format!("scrape_configs:\n- job_name: a\n  dns_sd_configs: [{dns}]\n"))
    };
    manager.switch(text("x", "5s"));
    targets.borrow_and_update();
    targets.changed().await.expect("published");
    assert_eq!(addresses(&targets.borrow_and_update()), ["10.0.0.1:80"]);
    // At another pace it is the same name; no answer does not change what is known.
    lock(&table.0).clear();
    manager.switch(text("x", "9s"));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(addresses(&targets.borrow_and_update()), ["10.0.0.1:80"]);
    // Another name is another thing: what was found stands only until that one was asked.
    manager.switch(text("y", "9s"));
    assert_eq!(addresses(&targets.borrow_and_update()), ["10.0.0.1:80"]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(addresses(&targets.borrow_and_update()), [] as [String; 0]);
    manager.stop().await;
}

/// Jobs that ask servers nobody listens at.
fn asking(jobs_and_ports: &[(&str, u16)]) -> Vec<SetConfig> {
    let job = |(name, port): &(&str, u16)| {
        format!(
            "- job_name: {name}\n  http_sd_configs: [{{url: 'http://127.0.0.1:{port}/', refresh_interval: 1h}}]\n"
        )
    };
    jobs(&format!("scrape_configs:\n{}", jobs_and_ports.iter().map(job).collect::<String>()))
}

#[tokio::test]
async fn each_set_inherits_what_it_had_itself_until_there_is_an_answer() {
    let manager = manager(Arc::new(Table::default()));
    let sender = |id| GroupSender { store: Arc::clone(&manager.store), id };
    let group = |source: &str, address: &str| {
        TargetGroup::of_addresses(source.to_owned(), &[address.to_owned()], Labels::empty())
    };
    let of = |job: &str| {
        manager.store.merge();
        let sets = Arc::clone(&manager.targets().borrow());
        sets.groups(job)
            .iter()
            .map(|group| group.targets[0].get("__address__").unwrap_or("").to_owned())
            .collect::<Vec<_>>()
    };
    manager.switch(asking(&[("a", 1), ("b", 2)]));
    sender(0).replace(vec![group("s", "of-a")]);
    sender(1).replace(vec![group("s", "of-b")]);
    // Both change to one and the same, and a third one wants it, too.
    manager.switch(asking(&[("a", 3), ("b", 3), ("c", 3)]));
    assert_eq!((of("a"), of("b"), of("c")), (vec!["of-a".to_owned()], vec!["of-b".to_owned()], vec![]));
    // That it fails, changes nothing; nor does another reload.
    sender(2).failed("no", None);
    manager.switch(asking(&[("a", 4), ("b", 3)]));
    assert_eq!((of("a"), of("b")), (vec!["of-a".to_owned()], vec!["of-b".to_owned()]));
    // An answer does.
    sender(2).replace(vec![group("t", "new")]);
    assert_eq!((of("a"), of("b")), (vec!["of-a".to_owned()], vec!["new".to_owned()]));
    sender(3).put(vec![group("s", "newer")]);
    assert_eq!(of("a"), ["newer"]);
    manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn metrics_of_sets_that_are_gone_are_gone() {
    let manager = manager(Arc::new(Table::default()));
    manager.switch(jobs(
        "scrape_configs:\n- job_name: a\n  dns_sd_configs: [{names: [x], type: A, port: 80}]\n",
    ));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut registry = crate::telemetry::Registry::default();
    registry.register("failures", "", manager.environment.metrics.failures());
    let text = || crate::telemetry::metrics::encode(&registry);
    assert!(text().contains("config=\"a\""), "{}", text());
    manager.switch(jobs(""));
    assert!(!text().contains("config=\"a\""), "{}", text());
    manager.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_status_says_how_each_mechanism_fares() {
    let table = Arc::new(Table::default());
    lock(&table.0).insert("x".to_owned(), vec![ip(1), ip(2)]);
    let manager = manager(table.clone());
    let text = "scrape_configs:\n- job_name: a\n  dns_sd_configs: [{names: [x, y], type: A, port: 80, refresh_interval: 5s}]\n";
    manager.switch(jobs(text));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = manager.status();
    let [mechanism] = &status["a"][..] else { panic!("one mechanism: {status:?}") };
    assert_eq!((mechanism.mechanism, mechanism.what.as_str(), mechanism.targets), ("dns", "x, y", 2));
    assert!(mechanism.health.last_error.as_deref().is_some_and(|error| error.contains("no server answers")));
    assert_eq!(mechanism.health.changes[0].added, 2);
    // When all is well again, the error is gone.
    let answers = [("y".to_owned(), vec![ip(3)]), ("x".to_owned(), vec![ip(1)])];
    lock(&table.0).extend(answers);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let status = manager.status();
    let health = &status["a"][0].health;
    assert_eq!((status["a"][0].targets, &health.last_error), (2, &None));
    let next = health.next_refresh_ms.expect("known") - health.last_refresh_ms.expect("known");
    assert_eq!(next, 5000);
    let total = |get: fn(&Change) -> usize| health.changes.iter().map(get).sum::<usize>();
    assert_eq!((total(|change| change.added), total(|change| change.removed)), (3, 1));
    manager.stop().await;
}

/// Panics at first.
#[derive(Default)]
struct Faulty(std::sync::atomic::AtomicBool);

impl Resolver for Faulty {
    fn lookup<'a>(&'a self, _name: &'a str, _kind: RecordKind) -> BoxFuture<'a, Result<DnsAnswer, DnsError>> {
        assert!(self.0.swap(true, std::sync::atomic::Ordering::Relaxed), "on purpose");
        Box::pin(async { Ok(DnsAnswer::without_ttl(vec![ip(1)])) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_does_not_end_the_look_ups() {
    let manager = manager(Arc::new(Faulty::default()));
    let mut targets = manager.targets();
    let text = "scrape_configs:\n- job_name: a\n  dns_sd_configs: [{names: [x], type: A, port: 80}]\n";
    manager.switch(jobs(text));
    targets.borrow_and_update();
    let published = tokio::time::timeout(Duration::from_secs(60), targets.changed());
    published.await.expect("looked up again").expect("published");
    assert_eq!(addresses(&targets.borrow()), ["10.0.0.1:80"]);
    assert_eq!(manager.environment.metrics.panics.count(), 1);
    manager.stop().await;
}
