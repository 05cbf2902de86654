//! What all mechanisms have found, put together for the sets that want it and published.
//!
//! **Invariants**: what was found stays when a mechanism fails. What a new mechanism of a set will find is unknown at first:
//! until it has said so, what the one of its kind found that it replaces in that set stands for it.
//!
//! **Cost**: a change costs what changes; groups are put together for all sets at most once in [`GAP`].
//!
//! **Locking**: one mutex around everything, never held across an await.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use super::health::{Health, MechanismStatus};
use super::metrics::{DiscoveryMetrics, SetLabels};
use super::{TargetGroup, TargetSets};
use crate::util::clock::Clock;
use crate::util::lock::lock;
use crate::util::message;

/// A mechanism, for as long as it runs.
pub(super) type Id = u64;

/// A set and the mechanisms that find its targets.
#[derive(Debug, Clone)]
pub(super) struct StoredSet {
    pub(super) name: String,
    /// Groups that are written down.
    pub(super) fixed: Vec<Arc<TargetGroup>>,
    /// In the order in which their groups are shown.
    pub(super) mechanisms: Vec<Id>,
}

/// What a mechanism is called.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// Such as `dns`.
    pub(super) mechanism: &'static str,
    /// What it asks, for people.
    pub(super) what: String,
    /// The set that metrics name with it: the first that wants it.
    pub(super) set: String,
}

/// Groups by their sources.
type Groups = BTreeMap<String, Arc<TargetGroup>>;

/// How long after groups were put together they are put together again.
const GAP: Duration = Duration::from_millis(100);

/// How long after a failure was logged another reason is.
const TELL_AGAIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Found {
    named: Named,
    groups: Groups,
    /// What mechanisms found that this one replaces, by the name of the set, as long as it has not said what there is.
    inherited: BTreeMap<String, Groups>,
    health: Health,
    /// When which failure was logged last; none while all is well.
    told: Option<(Instant, String)>,
}

#[derive(Default)]
struct State {
    sets: Vec<StoredSet>,
    found: BTreeMap<Id, Found>,
}

/// What mechanisms have found for one user of targets.
pub(super) struct Store {
    /// Who wants the targets, as metrics say it.
    user: &'static str,
    metrics: DiscoveryMetrics,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Something is to be put together.
    changed: Notify,
    publish: watch::Sender<Arc<TargetSets>>,
}

impl Store {
    pub(super) fn new(user: &'static str, metrics: DiscoveryMetrics, clock: Arc<dyn Clock>) -> Self {
        let (publish, _) = watch::channel(Arc::new(TargetSets::default()));
        Self { user, metrics, clock, state: Mutex::default(), changed: Notify::new(), publish }
    }

    /// The target sets; a reader sees the latest, not each.
    pub(super) fn targets(&self) -> watch::Receiver<Arc<TargetSets>> {
        self.publish.subscribe()
    }

    /// Switches to `sets`. `names` has what each of their mechanisms is called, `heirs` by set and new mechanism the one
    /// whose place it takes there.
    pub(super) fn switch(
        &self,
        sets: Vec<StoredSet>,
        names: BTreeMap<Id, Named>,
        heirs: &BTreeMap<(String, Id), Id>,
    ) {
        {
            let mut state = lock(&self.state);
            let old = std::mem::take(&mut state.found);
            let of_set = |set: &str, id: &Id| {
                let before = old.get(id)?;
                // Its own groups are nearer to the truth than those that it inherited itself.
                let mut groups = before.inherited.get(set).cloned().unwrap_or_default();
                groups.extend(before.groups.clone());
                Some(groups)
            };
            let mut inherited: BTreeMap<Id, BTreeMap<String, Groups>> = BTreeMap::new();
            for ((set, id), before) in heirs {
                if let Some(groups) = of_set(set, before) {
                    inherited.entry(*id).or_default().insert(set.clone(), groups);
                }
            }
            let named = |found: &Found| (found.named.mechanism, found.named.set.clone());
            let unnamed: HashSet<_> = old.values().map(named).collect();
            let mut old = old;
            for (id, named) in names {
                let found = match old.remove(&id) {
                    Some(known) => Found { named, ..known },
                    None => Found {
                        named,
                        groups: Groups::new(),
                        inherited: inherited.remove(&id).unwrap_or_default(),
                        health: Health::default(),
                        told: None,
                    },
                };
                state.found.insert(id, found);
            }
            let still: HashSet<_> = state.found.values().map(named).collect();
            for (mechanism, set) in unnamed.difference(&still) {
                self.metrics.forget(mechanism, set);
            }
            let gone = |old: &&StoredSet| sets.iter().all(|new| new.name != old.name);
            for set in state.sets.iter().filter(gone) {
                self.metrics.discovered.remove(&self.labels(&set.name));
            }
            state.sets = sets;
        }
        self.merge();
    }

    /// Puts changes together for as long as it runs.
    pub(super) async fn publish_changes(&self) {
        loop {
            self.changed.notified().await;
            self.merge();
            sleep(GAP).await;
        }
    }

    /// How the mechanisms of each set fare, by the names of the sets.
    pub(super) fn status(&self) -> BTreeMap<String, Vec<MechanismStatus>> {
        let state = lock(&self.state);
        let status = |id: &Id, set: &str| {
            let found = state.found.get(id)?;
            Some(MechanismStatus {
                mechanism: found.named.mechanism,
                what: found.named.what.clone(),
                targets: count(found.of_set(set)),
                health: found.health.clone(),
            })
        };
        let of_set = |set: &StoredSet| {
            let mechanisms = set.mechanisms.iter().filter_map(|id| status(id, &set.name));
            (set.name.clone(), mechanisms.collect())
        };
        state.sets.iter().map(of_set).collect()
    }

    /// Changes what the mechanism `id` has found, unless nobody wants it any more.
    fn update(&self, id: Id, change: impl FnOnce(&mut Found) -> Changed) {
        {
            let mut state = lock(&self.state);
            let Some(found) = state.found.get_mut(&id) else { return };
            let Changed { groups, added, removed } = change(found);
            found.health.changed(self.clock.now_ms(), added, removed);
            if groups == 0 {
                return;
            }
        }
        self.changed.notify_one();
    }

    fn labels(&self, set: &str) -> SetLabels {
        vec![("name".to_owned(), self.user.to_owned()), ("config".to_owned(), set.to_owned())]
    }

    /// Puts the groups of every set together and publishes them if anything changed.
    pub(super) fn merge(&self) {
        let state = lock(&self.state);
        let mut sets = TargetSets::default();
        for set in &state.sets {
            let found = set.mechanisms.iter().filter_map(|id| state.found.get(id));
            let found = found.flat_map(|found| found.of_set(&set.name));
            let groups: Vec<_> = set.fixed.iter().chain(found).map(Arc::clone).collect();
            let count = i64::try_from(count(groups.iter())).unwrap_or(i64::MAX);
            self.metrics.discovered.get_or_create(&self.labels(&set.name)).set(count);
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

fn count<'a>(groups: impl Iterator<Item = &'a Arc<TargetGroup>>) -> usize {
    groups.map(|group| group.targets.len()).sum()
}

/// How many groups changed, and how many targets came and went with that.
#[derive(Debug, Default)]
struct Changed {
    groups: usize,
    added: usize,
    removed: usize,
}

impl Found {
    /// The groups that stand in `set`.
    fn of_set(&self, set: &str) -> impl Iterator<Item = &Arc<TargetGroup>> {
        self.groups.values().chain(self.inherited.get(set).into_iter().flat_map(BTreeMap::values))
    }

    /// Puts groups in the places of those from the same sources. One that is as it was stays the same one, so that nobody
    /// takes it for a change.
    fn put(&mut self, groups: Vec<TargetGroup>, changed: &mut Changed) {
        for group in groups {
            self.disinherit_one(&group.source, changed);
            if group.targets.is_empty() {
                self.remove(&group.source, changed);
                continue;
            }
            let known = self.groups.get(&group.source);
            if known.is_some_and(|known| **known == group) {
                continue;
            }
            let before: HashSet<_> = known.iter().flat_map(|known| &known.targets).collect();
            let stay = group.targets.iter().filter(|target| before.contains(target)).count();
            changed.groups += 1;
            changed.added += group.targets.len() - stay;
            changed.removed += before.len().saturating_sub(stay);
            self.groups.insert(group.source.clone(), Arc::new(group));
        }
    }

    fn remove(&mut self, source: &str, changed: &mut Changed) {
        self.disinherit_one(source, changed);
        if let Some(gone) = self.groups.remove(source) {
            changed.groups += 1;
            changed.removed += gone.targets.len();
        }
    }

    /// Takes away what came from other sources.
    fn retain(&mut self, is_wanted: impl Fn(&str) -> bool, changed: &mut Changed) {
        self.disinherit(&is_wanted, changed);
        self.groups.retain(|source, group| {
            let stays = is_wanted(source);
            if !stays {
                changed.groups += 1;
                changed.removed += group.targets.len();
            }
            stays
        });
    }

    /// Takes away what was inherited from this source.
    fn disinherit_one(&mut self, source: &str, changed: &mut Changed) {
        for groups in self.inherited.values_mut() {
            changed.groups += usize::from(groups.remove(source).is_some());
        }
        self.inherited.retain(|_, groups| !groups.is_empty());
    }

    /// Takes away what was inherited from other sources than these.
    fn disinherit(&mut self, is_wanted: impl Fn(&str) -> bool, changed: &mut Changed) {
        self.inherited.retain(|_, groups| {
            let before = groups.len();
            groups.retain(|source, _| is_wanted(source));
            changed.groups += before - groups.len();
            !groups.is_empty()
        });
    }
}

/// Where a mechanism hands what it finds to; clones are the same.
#[derive(Clone)]
pub struct GroupSender {
    pub(super) store: Arc<Store>,
    pub(super) id: Id,
}

impl GroupSender {
    /// Puts `groups` in the places of those that came from the same sources; one without targets is none.
    pub fn put(&self, groups: Vec<TargetGroup>) {
        self.change(|found, changed| found.put(groups, changed));
    }

    /// Takes away what came from `sources`.
    pub fn remove<'a>(&self, sources: impl IntoIterator<Item = &'a str>) {
        self.change(|found, changed| sources.into_iter().for_each(|source| found.remove(source, changed)));
    }

    /// `groups` are all there are.
    pub fn replace(&self, groups: Vec<TargetGroup>) {
        self.change(|found, changed| {
            found.disinherit(|_| false, changed);
            let sources: HashSet<&str> = groups.iter().map(|group| group.source.as_str()).collect();
            found.retain(|source| sources.contains(source), changed);
            found.put(groups, changed);
        });
    }

    /// Takes away what came from other sources than these.
    pub fn retain(&self, is_wanted: impl Fn(&str) -> bool) {
        self.change(|found, changed| found.retain(is_wanted, changed));
    }

    fn change(&self, change: impl FnOnce(&mut Found, &mut Changed)) {
        self.store.update(self.id, |found| {
            let mut changed = Changed::default();
            change(found, &mut changed);
            changed
        });
    }

    /// Notes that it is known what there is, and how long it took to find out, if it was asked for. The next time will be
    /// after `pause`.
    pub fn succeeded(&self, took: Option<Duration>, pause: Option<Duration>) {
        let now = self.store.clock.now_ms();
        let mut state = lock(&self.store.state);
        let Some(found) = state.found.get_mut(&self.id) else { return };
        let Named { mechanism, what, set } = &found.named;
        found.health.last_error = None;
        if found.told.take().is_some() {
            tracing::info!(mechanism, what, "discovery succeeded again");
        }
        found.health.last_refresh_ms = Some(now);
        found.health.last_duration_ms = took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        found.health.next_refresh_ms = pause.map(|pause| later(now, pause));
        if let Some(took) = took {
            self.store.metrics.took(mechanism, set, took);
        }
        self.store.metrics.updated(mechanism, set, now);
    }

    /// Notes that it is not known what there is. What was found stays. The next try will be after `pause`.
    pub fn failed(&self, reason: &str, pause: Option<Duration>) {
        let reason = message(reason).into_owned();
        let now = self.store.clock.now_ms();
        let mut state = lock(&self.store.state);
        let Some(found) = state.found.get_mut(&self.id) else { return };
        let Named { mechanism, what, set } = &found.named;
        self.store.metrics.failed(mechanism, set);
        // One that asks several things may fail for several reasons in turn.
        let is_known =
            found.told.as_ref().is_some_and(|(when, told)| *told == reason || when.elapsed() < TELL_AGAIN);
        if !is_known {
            tracing::warn!(mechanism, what, reason, "discovery failed; keeping the last targets");
            found.told = Some((Instant::now(), reason.clone()));
        }
        found.health.last_error = Some(reason);
        found.health.last_error_ms = Some(now);
        found.health.next_refresh_ms = pause.map(|pause| later(now, pause));
    }
}

fn later(now_ms: i64, pause: Duration) -> i64 {
    now_ms.saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX))
}

impl std::fmt::Debug for GroupSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupSender").field("id", &self.id).finish_non_exhaustive()
    }
}
