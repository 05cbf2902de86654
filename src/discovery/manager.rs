//! Runs the discoverers of all sets and publishes the merged target sets on a watch channel.
//!
//! **Invariants**: what a discoverer found stays when it fails; one that is the same before and after a reload keeps its
//! task and its groups.
//!
//! **Locking**: one mutex around the groups, held for merging only, one around the tasks; never across an await, and
//! the tasks before the groups.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::mechanism::{Environment, Mechanism};
use super::metrics::DiscoveryMetrics;
use super::{Discoverer, GroupSender, SetConfig, TargetGroup, TargetSets};
use crate::net::Resolver;
use crate::telemetry::Restarts;
use crate::util::lock::lock;

/// Pause before a discoverer that panicked is begun again.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// What the tasks share.
struct Shared {
    /// Who wants the targets, as metrics say it.
    user: &'static str,
    metrics: DiscoveryMetrics,
    state: Mutex<State>,
    publish: watch::Sender<Arc<TargetSets>>,
}

#[derive(Default)]
struct State {
    sets: Vec<SetConfig>,
    /// The last groups of each mechanism that is wanted, by source.
    groups: HashMap<String, BTreeMap<String, Arc<TargetGroup>>>,
}

#[derive(Default)]
struct Running {
    tasks: JoinSet<()>,
    by_mechanism: HashMap<Mechanism, AbortHandle>,
}

/// Owns the tasks of discovery for one user of targets.
pub struct DiscoveryManager {
    environment: Environment,
    shared: Arc<Shared>,
    running: Mutex<Running>,
}

impl DiscoveryManager {
    /// A manager without sets. `user` is what metrics call who wants the targets: `scrape` or `notify`.
    pub fn new(user: &'static str, resolver: Arc<dyn Resolver>, metrics: DiscoveryMetrics) -> Self {
        let (publish, _) = watch::channel(Arc::new(TargetSets::default()));
        let environment = Environment { resolver, metrics: metrics.clone() };
        let shared = Arc::new(Shared { user, metrics, state: Mutex::default(), publish });
        Self { environment, shared, running: Mutex::default() }
    }

    /// The target sets; a reader sees the latest, not each.
    pub fn targets(&self) -> watch::Receiver<Arc<TargetSets>> {
        self.shared.publish.subscribe()
    }

    /// Switches to `sets` and publishes what is known of them already. Must run within the runtime.
    pub fn commit(&self, sets: Vec<SetConfig>) {
        let wanted: Vec<Mechanism> = sets.iter().flat_map(Mechanism::all_of).collect();
        let mut running = lock(&self.running);
        let Running { tasks, by_mechanism } = &mut *running;
        by_mechanism.retain(|mechanism, task| {
            let keep = wanted.contains(mechanism);
            if !keep {
                task.abort();
            }
            keep
        });
        {
            let mut state = lock(&self.shared.state);
            let identities: HashSet<String> = wanted.iter().map(Mechanism::identity).collect();
            state.groups.retain(|identity, _| identities.contains(identity));
            for identity in identities {
                state.groups.entry(identity).or_default();
            }
            let gone = |old: &&SetConfig| sets.iter().all(|new| new.name != old.name);
            for set in state.sets.iter().filter(gone) {
                self.shared.metrics.discovered.remove(&self.shared.labels(set));
            }
            state.sets = sets;
        }
        self.shared.merge();
        for mechanism in wanted {
            if let Entry::Vacant(slot) = by_mechanism.entry(mechanism) {
                let identity = slot.key().identity();
                let groups = Shared::sender(&self.shared, identity);
                let panics = self.shared.metrics.panics.clone();
                let discoverer = slot.key().discoverer(&self.environment);
                slot.insert(tasks.spawn(keep_running(discoverer, groups, panics)));
            }
        }
        // Finished tasks are taken out, so that the set does not grow with reloads.
        while tasks.try_join_next().is_some() {}
    }

    /// Ends all discoverers.
    pub async fn stop(&self) {
        let Running { mut tasks, .. } = std::mem::take(&mut *lock(&self.running));
        tasks.shutdown().await;
    }
}

/// Runs a discoverer for ever; a panic is a bug, but targets must come and go nevertheless.
async fn keep_running(discoverer: Box<dyn Discoverer>, groups: GroupSender, panics: Restarts) {
    let what = discoverer.name();
    loop {
        panics.guard_future(&what, discoverer.run(&groups)).await;
        tokio::time::sleep(AFTER_PANIC).await;
    }
}

impl Shared {
    /// Where the mechanism of `identity` hands its groups to.
    fn sender(self: &Arc<Self>, identity: String) -> GroupSender {
        let shared = Arc::clone(self);
        GroupSender { take: Box::new(move |identity, group| shared.put(identity, group)), identity }
    }

    /// Takes a group, unless nobody wants its mechanism any more.
    fn put(&self, identity: &str, group: TargetGroup) {
        {
            let mut state = lock(&self.state);
            let Some(groups) = state.groups.get_mut(identity) else { return };
            groups.insert(group.source.clone(), Arc::new(group));
        }
        self.merge();
    }

    /// The labels of the metrics of `set`.
    fn labels(&self, set: &SetConfig) -> Vec<(String, String)> {
        vec![("name".to_owned(), self.user.to_owned()), ("config".to_owned(), set.name.clone())]
    }

    /// Puts the groups of every set together and publishes them if anything changed.
    fn merge(&self) {
        let state = lock(&self.state);
        let mut sets = TargetSets::default();
        for set in &state.sets {
            let fixed = set
                .static_configs
                .iter()
                .enumerate()
                .map(|(at, config)| Arc::new(TargetGroup::fixed(at, config)));
            let found = Mechanism::all_of(set)
                .filter_map(|mechanism| state.groups.get(&mechanism.identity()))
                .flat_map(|groups| groups.values().map(Arc::clone));
            let groups: Vec<_> = fixed.chain(found).collect();
            let count: usize = groups.iter().map(|group| group.targets.len()).sum();
            self.metrics
                .discovered
                .get_or_create(&self.labels(set))
                .set(i64::try_from(count).unwrap_or(i64::MAX));
            sets.by_name.insert(set.name.clone(), groups);
        }
        // Published under the lock, so that an older merge cannot overwrite a newer one.
        self.publish.send_if_modified(|current| {
            let changed = **current != sets;
            if changed {
                *current = Arc::new(sets);
            }
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, LoadOptions, parse};
    use crate::net::{DnsError, DnsRecord, RecordKind};
    use futures_util::future::BoxFuture;

    /// Answers from a table; a missing name fails.
    #[derive(Default)]
    struct Table(Mutex<HashMap<String, Vec<DnsRecord>>>);

    impl Resolver for Table {
        fn lookup<'a>(
            &'a self,
            name: &'a str,
            _kind: RecordKind,
        ) -> BoxFuture<'a, Result<Vec<DnsRecord>, DnsError>> {
            let found = lock(&self.0).get(name).cloned();
            let reason = "no server answers".to_owned();
            Box::pin(async move { found.ok_or(DnsError::Lookup { name: name.to_owned(), reason }) })
        }
    }

    fn manager(resolver: Arc<dyn Resolver>) -> DiscoveryManager {
        DiscoveryManager::new("scrape", resolver, DiscoveryMetrics::default())
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
        manager.commit(jobs(text));
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
        assert_eq!(manager.shared.metrics.dns_failures.get(), 2);
        // A reload that changes nothing about the look-up keeps what it found.
        manager.commit(jobs(text));
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
        manager.commit(jobs(text));
        targets.borrow_and_update();
        targets.changed().await.expect("published");
        let sets = Arc::clone(&targets.borrow());
        let target = &sets.groups("a")[0].targets[0];
        assert_eq!(target.get("__address__"), Some("host.x:9100"));
        assert_eq!(target.get("__meta_dns_srv_record_target"), Some("host.x."));
        assert_eq!(target.get("__meta_dns_srv_record_port"), Some("9100"));
        manager.stop().await;
    }

    #[tokio::test]
    async fn what_comes_too_late_changes_nothing() {
        let manager = manager(Arc::new(Table::default()));
        let groups = |identity: &str| Shared::sender(&manager.shared, identity.to_owned());
        let text = "scrape_configs:\n- job_name: a\n  dns_sd_configs: [{names: [x], type: A, port: 80}]\n";
        manager.commit(jobs(text));
        let group = |source: &str, address: &str| TargetGroup {
            source: source.to_owned(),
            targets: vec![crate::model::Labels::from_pairs([("__address__", address)])],
            labels: crate::model::Labels::empty(),
        };
        let sender = groups("dns/A/80/x");
        // Groups are told apart by their source, and replaced by it.
        sender.send(group("b", "two"));
        sender.send(group("a", "one"));
        sender.send(group("b", "three"));
        assert_eq!(addresses(&manager.targets().borrow()), ["one", "three"]);
        groups("dns/A/80/gone").send(group("c", "four"));
        assert_eq!(addresses(&manager.targets().borrow()), ["one", "three"]);
        manager.commit(jobs(""));
        sender.send(group("a", "one"));
        manager.commit(jobs(text));
        assert_eq!(addresses(&manager.targets().borrow()), [] as [String; 0]);
        manager.stop().await;
    }

    /// Panics at first.
    #[derive(Default)]
    struct Faulty(std::sync::atomic::AtomicBool);

    impl Resolver for Faulty {
        fn lookup<'a>(
            &'a self,
            _name: &'a str,
            _kind: RecordKind,
        ) -> BoxFuture<'a, Result<Vec<DnsRecord>, DnsError>> {
            assert!(self.0.swap(true, std::sync::atomic::Ordering::Relaxed), "on purpose");
            Box::pin(async { Ok(vec![ip(1)]) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_does_not_end_the_look_ups() {
        let manager = manager(Arc::new(Faulty::default()));
        let mut targets = manager.targets();
        let text = "scrape_configs:\n- job_name: a\n  dns_sd_configs: [{names: [x], type: A, port: 80}]\n";
        manager.commit(jobs(text));
        targets.borrow_and_update();
        let published = tokio::time::timeout(Duration::from_secs(60), targets.changed());
        published.await.expect("looked up again").expect("published");
        assert_eq!(addresses(&targets.borrow()), ["10.0.0.1:80"]);
        assert_eq!(manager.shared.metrics.panics.count(), 1);
        manager.stop().await;
    }
}
