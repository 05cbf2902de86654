//! Runs the mechanisms of all sets.
//!
//! **Invariants**: one that is the same before and after a reload keeps its task and its groups; one that several sets
//! want runs once.
//!
//! **Locking**: one mutex around the tasks, never held across an await; taken before that of the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::mechanism::Environment;
use super::metrics::DiscoveryMetrics;
use super::store::{Id, Named, Store, StoredSet};
use super::{Discoverer, GroupSender, MechanismStatus, SetConfig, TargetGroup, TargetSets};
use crate::config::MechanismConfig;
use crate::net::{Dialer, HttpError, Resolver};
use crate::telemetry::Restarts;
use crate::util::clock::SystemClock;
use crate::util::lock::lock;

/// Pause before a discoverer that panicked is begun again.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// A mechanism that runs.
#[derive(Debug)]
struct Mechanism {
    config: MechanismConfig,
    what: String,
    task: AbortHandle,
}

#[derive(Default)]
struct Running {
    tasks: JoinSet<()>,
    mechanisms: BTreeMap<Id, Mechanism>,
    /// The mechanisms of each set, in its order.
    of_set: BTreeMap<String, Vec<Id>>,
    next: Id,
    /// Whether there is a task that publishes what mechanisms find.
    is_publishing: bool,
}

/// Owns the tasks of discovery for one user of targets.
pub struct DiscoveryManager {
    environment: Environment,
    store: Arc<Store>,
    running: Mutex<Running>,
}

/// Sets that a manager can switch to.
pub struct PreparedSets {
    sets: Vec<SetConfig>,
    made: Vec<(MechanismConfig, Box<dyn Discoverer>)>,
}

impl DiscoveryManager {
    /// A manager without sets. `user` is what metrics call who wants the targets: `scrape` or `notify`.
    pub fn new(
        user: &'static str,
        resolver: Arc<dyn Resolver>,
        dialer: Arc<Dialer>,
        metrics: DiscoveryMetrics,
    ) -> Self {
        let store = Arc::new(Store::new(user, metrics.clone(), Arc::new(SystemClock)));
        let environment = Environment { resolver, dialer, metrics };
        Self { environment, store, running: Mutex::default() }
    }

    /// The target sets; a reader sees the latest, not each.
    pub fn targets(&self) -> watch::Receiver<Arc<TargetSets>> {
        self.store.targets()
    }

    /// How the mechanisms of each set fare, by the names of the sets.
    pub fn status(&self) -> BTreeMap<String, Vec<MechanismStatus>> {
        self.store.status()
    }

    /// Makes everything `sets` need; nothing that runs is touched.
    ///
    /// # Errors
    /// When the HTTP client of a mechanism cannot be set up.
    pub fn prepare(&self, sets: Vec<SetConfig>) -> Result<PreparedSets, HttpError> {
        let mut made: Vec<(MechanismConfig, Box<dyn Discoverer>)> = Vec::new();
        let running = lock(&self.running);
        for config in sets.iter().flat_map(|set| &set.discovery.mechanisms) {
            let runs = running.mechanisms.values().any(|known| known.config == *config);
            if !runs && made.iter().all(|(known, _)| known != config) {
                made.push((config.clone(), self.environment.discoverer(config)?));
            }
        }
        Ok(PreparedSets { sets, made })
    }

    /// Switches to what was prepared and publishes what is known of it already. Must run within the runtime.
    pub fn commit(&self, prepared: PreparedSets) {
        let PreparedSets { sets, made } = prepared;
        let mut running = lock(&self.running);
        let Running { tasks, mechanisms, of_set, next, is_publishing } = &mut *running;
        let mut starting = BTreeMap::new();
        for (config, discoverer) in made {
            starting.insert(*next, (config, discoverer));
            *next += 1;
        }
        let id_of = |config: &MechanismConfig| {
            let known = mechanisms.iter().find(|(_, known)| known.config == *config).map(|(id, _)| *id);
            known.or_else(|| starting.iter().find(|(_, (new, _))| new == config).map(|(id, _)| *id))
        };
        let mut names: BTreeMap<Id, Named> = BTreeMap::new();
        let mut heirs: BTreeMap<(String, Id), Id> = BTreeMap::new();
        let mut now: BTreeMap<String, Vec<Id>> = BTreeMap::new();
        let mut stored = Vec::new();
        for set in &sets {
            let configs = &set.discovery.mechanisms;
            let ids: Vec<Id> = configs.iter().filter_map(&id_of).collect();
            // What a set had and has no more, to be followed by what is new to it, kind by kind.
            let before = of_set.get(&set.name).map_or(&[][..], Vec::as_slice);
            let mut over: Vec<Id> = before.iter().copied().filter(|id| !ids.contains(id)).collect();
            for (id, config) in ids.iter().zip(configs) {
                if let Some((_, discoverer)) = starting.get(id) {
                    let is_of_kind = |old: &Id| mechanisms[old].config.name() == config.name();
                    if let Some(at) = over.iter().position(is_of_kind) {
                        heirs.entry((set.name.clone(), *id)).or_insert_with(|| over.remove(at));
                    }
                    names.entry(*id).or_insert_with(|| Named {
                        mechanism: config.name(),
                        what: discoverer.what(),
                        set: set.name.clone(),
                    });
                } else if let Some(known) = mechanisms.get(id) {
                    names.entry(*id).or_insert_with(|| Named {
                        mechanism: config.name(),
                        what: known.what.clone(),
                        set: set.name.clone(),
                    });
                }
            }
            let fixed = set.discovery.fixed.iter().enumerate();
            let fixed = fixed.map(|(at, config)| Arc::new(TargetGroup::fixed(at, config))).collect();
            stored.push(StoredSet { name: set.name.clone(), fixed, mechanisms: ids.clone() });
            now.insert(set.name.clone(), ids);
        }
        let wanted: BTreeSet<Id> = names.keys().copied().collect();
        mechanisms.retain(|id, mechanism| {
            let keep = wanted.contains(id);
            if !keep {
                mechanism.task.abort();
            }
            keep
        });
        self.store.switch(stored, names, &heirs);
        *of_set = now;
        for (id, (config, discoverer)) in starting {
            let groups = GroupSender { store: Arc::clone(&self.store), id };
            let panics = self.environment.metrics.panics.clone();
            let what = discoverer.what();
            let task = tasks.spawn(keep_running(discoverer, groups, panics));
            mechanisms.insert(id, Mechanism { config, what, task });
        }
        if !*is_publishing {
            *is_publishing = true;
            let (store, panics) = (Arc::clone(&self.store), self.environment.metrics.panics.clone());
            tasks.spawn(async move {
                loop {
                    panics.guard_future("publishing of targets", store.publish_changes()).await;
                }
            });
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
    let what = format!("discovery by {}", discoverer.what());
    loop {
        panics.guard_future(&what, discoverer.run(&groups)).await;
        tokio::time::sleep(AFTER_PANIC).await;
    }
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;
