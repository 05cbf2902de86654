//! Runs the look-ups of all jobs and publishes the merged target sets on a watch channel.
//!
//! **Invariants**: a failed look-up leaves the last group of its name; a look-up that is the same before and after a
//! reload keeps its task and its group.
//!
//! **Locking**: one mutex around the groups, held for merging only, never across an await.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::metrics::DiscoveryMetrics;
use super::{TargetGroup, TargetSets, dns};
use crate::config::{Config, DnsSdConfig};
use crate::net::Resolver;
use crate::telemetry::Registry;
use crate::util::lock::lock;

/// The longest a look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);

/// Pause before a look-up that panicked is begun again.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// Look-ups of the same name with the same settings are one, whichever jobs want them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Provider {
    name: String,
    config: DnsSdConfig,
}

impl Provider {
    fn all_of(config: &DnsSdConfig) -> impl Iterator<Item = Self> + '_ {
        config.names.iter().map(|name| {
            let config = DnsSdConfig { names: Vec::new(), ..config.clone() };
            Self { name: name.clone(), config }
        })
    }

    fn source(&self) -> String {
        dns::source(&self.config, &self.name)
    }
}

struct Shared {
    resolver: Arc<dyn Resolver>,
    metrics: DiscoveryMetrics,
    state: Mutex<State>,
    publish: watch::Sender<Arc<TargetSets>>,
}

#[derive(Default)]
struct State {
    config: Config,
    /// The last group of each source that had a definite answer.
    groups: HashMap<String, Arc<TargetGroup>>,
}

/// Owns the tasks of discovery.
pub struct DiscoveryManager {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    running: HashMap<Provider, AbortHandle>,
}

impl DiscoveryManager {
    /// A manager without jobs.
    pub fn new(resolver: Arc<dyn Resolver>, registry: &mut Registry) -> Self {
        let (publish, _) = watch::channel(Arc::new(TargetSets::default()));
        let metrics = DiscoveryMetrics::new(registry);
        let shared = Shared { resolver, metrics, state: Mutex::default(), publish };
        Self { shared: Arc::new(shared), tasks: JoinSet::new(), running: HashMap::new() }
    }

    /// The target sets; a reader sees the latest, not each.
    pub fn targets(&self) -> watch::Receiver<Arc<TargetSets>> {
        self.shared.publish.subscribe()
    }

    /// Switches to the jobs of `config` and publishes what is known of them already. Must run within the runtime.
    pub fn commit(&mut self, config: &Config) {
        let wanted: Vec<Provider> = config
            .scrape_configs
            .iter()
            .flat_map(|job| &job.dns_sd_configs)
            .flat_map(Provider::all_of)
            .collect();
        self.running.retain(|provider, task| {
            let keep = wanted.contains(provider);
            if !keep {
                task.abort();
            }
            keep
        });
        {
            let mut state = lock(&self.shared.state);
            // A group outlives a changed refresh interval, because its source stays the same.
            state.groups.retain(|source, _| wanted.iter().any(|provider| provider.source() == *source));
            for job in state.config.scrape_configs.iter().filter(|job| config.job(&job.job_name).is_none()) {
                let name = vec![("config".to_owned(), job.job_name.clone())];
                self.shared.metrics.discovered.remove(&name);
            }
            state.config = config.clone();
        }
        self.shared.merge();
        for provider in wanted {
            if !self.running.contains_key(&provider) {
                let task = self.tasks.spawn(Arc::clone(&self.shared).keep_refreshing(provider.clone()));
                self.running.insert(provider, task);
            }
        }
        // Finished tasks are taken out, so that the set does not grow with reloads.
        while self.tasks.try_join_next().is_some() {}
    }

    /// Ends all look-ups.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Shared {
    /// Looks up a name for ever; a panic is a bug, but targets must come and go nevertheless.
    async fn keep_refreshing(self: Arc<Self>, provider: Provider) {
        let what = format!("look-up of {}", provider.name);
        loop {
            self.metrics.panics.guard_future(&what, self.refresh(&provider)).await;
            tokio::time::sleep(AFTER_PANIC).await;
        }
    }

    async fn refresh(&self, provider: &Provider) {
        let mut timer = tokio::time::interval(provider.config.refresh_interval);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            timer.tick().await;
            self.metrics.dns_lookups.inc();
            let answer = tokio::time::timeout(
                LOOKUP_TIMEOUT,
                dns::look_up(&*self.resolver, &provider.config, &provider.name),
            )
            .await;
            let reason = match answer {
                Ok(Ok(group)) => {
                    if failing {
                        tracing::info!(name = provider.name, "DNS look-up answers again");
                    }
                    failing = false;
                    lock(&self.state).groups.insert(group.source.clone(), Arc::new(group));
                    self.merge();
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            self.metrics.dns_failures.inc();
            if !failing {
                tracing::warn!(name = provider.name, reason, "DNS look-up failed; its last targets stay");
            }
            failing = true;
        }
    }

    /// Puts the groups of every job together and publishes them if anything changed.
    fn merge(&self) {
        let state = lock(&self.state);
        let mut sets = TargetSets::default();
        for job in &state.config.scrape_configs {
            let fixed = job
                .static_configs
                .iter()
                .enumerate()
                .map(|(at, config)| Arc::new(TargetGroup::fixed(at, config)));
            let found = job
                .dns_sd_configs
                .iter()
                .flat_map(Provider::all_of)
                .filter_map(|provider| state.groups.get(&provider.source()).map(Arc::clone));
            let groups: Vec<_> = fixed.chain(found).collect();
            let count: usize = groups.iter().map(|group| group.targets.len()).sum();
            self.metrics
                .discovered
                .get_or_create(&vec![("config".to_owned(), job.job_name.clone())])
                .set(i64::try_from(count).unwrap_or(i64::MAX));
            sets.jobs.insert(job.job_name.clone(), groups);
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
    use crate::config::{LoadOptions, parse};
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

    fn addresses(sets: &TargetSets) -> Vec<String> {
        let groups = sets.jobs.values().flatten();
        groups.flat_map(|g| &g.targets).map(|t| t.get("__address__").unwrap_or("").to_owned()).collect()
    }

    fn ip(last: u8) -> DnsRecord {
        DnsRecord::Address(std::net::IpAddr::from([10, 0, 0, last]))
    }

    #[tokio::test(start_paused = true)]
    async fn failures_keep_targets_and_empty_answers_remove_them() {
        let table = Arc::new(Table::default());
        let mut registry = Registry::default();
        let mut manager = DiscoveryManager::new(table.clone(), &mut registry);
        let mut targets = manager.targets();
        let text = "scrape_configs:\n- job_name: a\n  static_configs: [{targets: [s]}]\n  dns_sd_configs:\n  \
                    - {names: [x], type: A, port: 80, refresh_interval: 5s}\n";
        let config = parse(text, "f", &LoadOptions::default()).expect("valid");
        manager.commit(&config);
        assert_eq!(addresses(&targets.borrow_and_update()), ["s"]);
        let set = |records: Option<Vec<DnsRecord>>| match records {
            Some(records) => drop(lock(&table.0).insert("x".to_owned(), records)),
            None => drop(lock(&table.0).remove("x")),
        };
        set(Some(vec![ip(2), ip(1)]));
        targets.changed().await.expect("published");
        let sets = Arc::clone(&targets.borrow_and_update());
        assert_eq!(addresses(&sets), ["s", "10.0.0.1:80", "10.0.0.2:80"]);
        assert_eq!(sets.jobs["a"][1].targets[0].get("__meta_dns_name"), Some("x"));
        // Two refreshes fail: nothing changes.
        set(None);
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert!(!targets.has_changed().expect("open"));
        assert_eq!(manager.shared.metrics.dns_failures.get(), 2);
        // A reload that changes nothing about the look-up keeps what it found.
        manager.commit(&config);
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
        let mut manager = DiscoveryManager::new(table, &mut Registry::default());
        let mut targets = manager.targets();
        let text = "scrape_configs:\n- job_name: a\n  dns_sd_configs: [{names: [_m._tcp.x]}]\n";
        manager.commit(&parse(text, "f", &LoadOptions::default()).expect("valid"));
        targets.borrow_and_update();
        targets.changed().await.expect("published");
        let sets = Arc::clone(&targets.borrow());
        let target = &sets.jobs["a"][0].targets[0];
        assert_eq!(target.get("__address__"), Some("host.x:9100"));
        assert_eq!(target.get("__meta_dns_srv_record_target"), Some("host.x."));
        assert_eq!(target.get("__meta_dns_srv_record_port"), Some("9100"));
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
        let mut manager = DiscoveryManager::new(Arc::new(Faulty::default()), &mut Registry::default());
        let mut targets = manager.targets();
        let text = "scrape_configs:\n- job_name: a\n  dns_sd_configs: [{names: [x], type: A, port: 80}]\n";
        manager.commit(&parse(text, "f", &LoadOptions::default()).expect("valid"));
        targets.borrow_and_update();
        let published = tokio::time::timeout(Duration::from_secs(60), targets.changed());
        published.await.expect("looked up again").expect("published");
        assert_eq!(addresses(&targets.borrow()), ["10.0.0.1:80"]);
        assert_eq!(manager.shared.metrics.panics.count(), 1);
        manager.stop().await;
    }
}
