//! Runs the groups: begins, replaces and ends them as the configuration says.
//!
//! **Invariants**: a group that is the same before and after a reload keeps its task and its state. A changed one begins
//! once the one before has ended its evaluation, and takes over from it.
//!
//! **Locking**: one mutex around the running groups; never across an await.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::{BoxFuture, Shared as SharedFuture, join_all};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Error;
use super::backend::DbBackend;
use super::evaluate::External;
use super::group::{self, Begin, Run};
use super::load::{GroupSpec, load};
use super::metrics::RuleMetrics;
use super::shared::{RuleOptions, Shared};
use super::state::{Group, GroupKey, rule_keys};
use super::status::RulesHandle;
use super::store::Store;
use crate::config::Config;
use crate::lanes::Lane;
use crate::model::Labels;
use crate::notify::NotifyHandle;
use crate::telemetry::Registry;
use crate::util::lock::lock;
use crate::util::{Clock, StopToken};

/// How long evaluations may take to end when the server goes down.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A group with its task.
struct Running {
    group: Arc<Group>,
    run: watch::Sender<Run>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Groups {
    running: BTreeMap<GroupKey, Running>,
    /// Those that are gone and still have to mark their series.
    leaving: Vec<Running>,
    /// Whether a configuration was applied.
    begun: bool,
}

/// What a configuration needs, ready to be switched to.
pub struct Prepared {
    groups: Vec<GroupSpec>,
    external_labels: Labels,
    query_offset: Duration,
}

/// Owns the groups.
pub struct RuleManager {
    shared: Arc<Shared>,
    groups: Mutex<Groups>,
    handle: RulesHandle,
}

impl Prepared {
    /// How often the group is evaluated that is evaluated least often; without groups, what holds for those that do not
    /// say.
    pub fn longest_interval(&self, config: &Config) -> Duration {
        let longest = self.groups.iter().map(|group| group.interval).max();
        longest.unwrap_or(config.global.evaluation_interval)
    }
}

impl RuleManager {
    /// A manager without groups; evaluation begins when `ready` is. Each group evaluates in a place of the first lane;
    /// rules that run beside others of their group take those of the second.
    ///
    /// # Errors
    /// When the states of alerts cannot be read.
    pub fn new(
        backend: DbBackend,
        (groups, lane): (Lane, Lane),
        ready: SharedFuture<BoxFuture<'static, ()>>,
        notify: NotifyHandle,
        options: RuleOptions,
        clock: Arc<dyn Clock>,
        registry: &mut Registry,
    ) -> Result<Self, Error> {
        let external = External {
            labels: Labels::empty(),
            url: options.external_url.clone(),
            path_prefix: options.path_prefix.clone(),
        };
        let shared = Shared {
            backend,
            groups,
            lane,
            clock,
            notify,
            store: Store::open(&options.folder)?,
            options,
            metrics: RuleMetrics::new(registry),
            external: ArcSwap::from_pointee(external),
            query_offset: ArcSwap::from_pointee(Duration::ZERO),
            known: ArcSwap::default(),
            unrestored: AtomicUsize::new(0),
            stop: StopToken::new(),
            ready,
        };
        Ok(Self { shared: Arc::new(shared), groups: Mutex::default(), handle: RulesHandle::default() })
    }

    /// Reads the state of rules from anywhere.
    pub fn handle(&self) -> RulesHandle {
        self.handle.clone()
    }

    /// Reads the rule files of `config`; nothing that runs is touched.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, Error> {
        let features = &self.shared.backend.engine.options().features;
        Ok(Prepared {
            groups: load(&config.rule_files, config.global.evaluation_interval, features)?,
            external_labels: config.global.external_labels.clone(),
            query_offset: config.global.rule_query_offset,
        })
    }

    /// Switches to what was prepared. Must be called within the runtime.
    pub fn commit(&self, prepared: Prepared) {
        let shared = &self.shared;
        let external = External { labels: prepared.external_labels, ..(**shared.external.load()).clone() };
        shared.external.store(Arc::new(external));
        shared.query_offset.store(Arc::new(prepared.query_offset));
        let mut groups = lock(&self.groups);
        let first = !std::mem::replace(&mut groups.begun, true);
        let mut before = std::mem::take(&mut groups.running);
        // Known before any of their tasks runs: what is not known is not stored.
        let of = |spec: &GroupSpec| {
            let rules: HashSet<_> = rule_keys(spec).into_iter().collect();
            ((spec.file.clone(), spec.name.clone()), rules)
        };
        let known: HashMap<_, _> = prepared.groups.iter().map(of).collect();
        shared.stored(shared.store.retain(&known));
        shared.known.store(Arc::new(known));
        for spec in prepared.groups {
            let key = (spec.file.clone(), spec.name.clone());
            let running = match before.remove(&key) {
                Some(same) if same.group.spec == spec => same,
                other => self.begin(spec, other, first),
            };
            groups.running.insert(key, running);
        }
        for (_, gone) in before {
            let _ = gone.run.send(Run::Leave);
            groups.leaving.push(gone);
        }
        groups.leaving.retain(|gone| !gone.task.is_finished());
        if first && shared.unrestored.load(Ordering::Acquire) == 0 {
            shared.stored(shared.store.establish());
        }
        let shown = groups.running.values().map(|running| Arc::clone(&running.group)).collect();
        self.handle.groups.store(Arc::new(shown));
    }

    /// Starts a group, in the place of `before` if there was one with its name.
    fn begin(&self, spec: GroupSpec, before: Option<Running>, first: bool) -> Running {
        let shared = &self.shared;
        let has_alerts = spec.rules.iter().any(|rule| rule.alerting.is_some());
        let from_series = first && has_alerts && before.is_none() && !shared.store.was_found();
        shared.unrestored.fetch_add(usize::from(from_series), Ordering::AcqRel);
        let group = Arc::new(Group::new(spec, from_series));
        let key = group.key();
        let begin = match before {
            Some(old) => {
                let _ = old.run.send(Run::HandOver);
                *lock(&group.before) = Some(Arc::clone(&old.group));
                Begin::After(old.group, old.task)
            }
            None if from_series => Begin::Series,
            None if first => {
                shared.store.group(&key).map_or(Begin::Anew, |saved| Begin::Saved(Box::new(saved)))
            }
            None => Begin::Anew,
        };
        shared.metrics.begin(&key, group.spec.interval.as_secs_f64(), group.rules.len());
        let (run, watch) = watch::channel(Run::On);
        let task = tokio::spawn(group::run(Arc::clone(&group), begin, Arc::clone(shared), watch));
        Running { group, run, task }
    }

    /// Ends all groups; evaluations that run are cut short. The states of alerts stay as they are.
    pub async fn stop(self) {
        self.shared.stop.stop();
        let Groups { running, leaving, .. } = std::mem::take(&mut *lock(&self.groups));
        let all: Vec<Running> = running.into_values().chain(leaving).collect();
        for one in &all {
            let _ = one.run.send(Run::Shutdown);
        }
        let aborts: Vec<_> = all.iter().map(|one| one.task.abort_handle()).collect();
        let ended = join_all(all.into_iter().map(|one| one.task));
        if tokio::time::timeout(STOP_TIMEOUT, ended).await.is_err() {
            tracing::warn!("rule evaluations did not finish in time and were abandoned");
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }
}
