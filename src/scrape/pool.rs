//! One job: compares the targets it has with those it should have, starts and ends loops.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::families::Families;
use super::fetch::Fetch;
use super::handover::{Inbox, Leaving};
use super::ingest::Ingest;
use super::quotas::JobQuota;
use super::scrape_loop::{Intake, Run, ScrapeLoop};
use super::shared::Shared;
use super::status::{PoolView, TargetState};
use super::target::{Built, Target, build};
use crate::config::ScrapeConfig;
use crate::discovery::TargetGroup;
use crate::model::{Labels, LabelsBuf};
use crate::util::lock::lock;

/// A loop, as its pool has it.
pub(super) struct Running {
    state: Arc<TargetState>,
    run: watch::Sender<Run>,
    inbox: Arc<Inbox>,
    ingest: Arc<Mutex<Ingest>>,
    /// It was started by the change that is under way.
    fresh: bool,
}

/// The loops of one job.
pub(super) struct Pool {
    shared: Arc<Shared>,
    pub(super) job: Arc<ScrapeConfig>,
    fetch: Arc<dyn Fetch>,
    quota: Arc<JobQuota>,
    loops: HashMap<u64, Running>,
    dropped: Vec<Labels>,
    dropped_count: usize,
    forbidden: Arc<Mutex<Option<String>>>,
}

impl Pool {
    pub(super) fn new(shared: Arc<Shared>, job: Arc<ScrapeConfig>, fetch: Arc<dyn Fetch>) -> Self {
        Self {
            quota: JobQuota::new(&job),
            shared,
            job,
            fetch,
            loops: HashMap::new(),
            dropped: Vec::new(),
            dropped_count: 0,
            forbidden: Arc::default(),
        }
    }

    /// Makes the loops match `groups`: starts those that are missing, and puts those that have to end into `leaving`, for
    /// [`settle`]. With `restart`, targets that stay get a new loop, because the job changed.
    pub(super) fn sync(
        &mut self,
        groups: &[Arc<TargetGroup>],
        restart: Option<(Arc<ScrapeConfig>, Arc<dyn Fetch>)>,
        tasks: &mut JoinSet<()>,
        leaving: &mut Vec<Running>,
    ) {
        if let Some((job, fetch)) = restart {
            (self.job, self.fetch) = (job, fetch);
            self.quota = JobQuota::new(&self.job);
            leaving.extend(std::mem::take(&mut self.loops).into_values());
        }
        let mut wanted = self.targets(groups);
        // The hash does not cover interval and timeout.
        let stays = |hash: &u64, running: &mut Running| wanted.get(hash) == Some(&running.state.target);
        leaving
            .extend(self.loops.extract_if(|hash, running| !stays(hash, running)).map(|(_, running)| running));
        wanted.retain(|hash, _| !self.loops.contains_key(hash));
        for (hash, target) in wanted {
            let running = self.start(target, tasks);
            self.loops.insert(hash, running);
        }
        let count = self.loops.len();
        let limit = self.job.limits.target_limit;
        let over = limit > 0 && count as u64 > limit;
        *lock(&self.forbidden) = over.then(|| {
            self.shared.metrics.over_target_limit.inc();
            format!("target limit of {limit} exceeded: the job has {count} targets")
        });
        self.shared
            .metrics
            .targets
            .get_or_create(&vec![("scrape_job".to_owned(), self.job.job_name.clone())])
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn targets(&mut self, groups: &[Arc<TargetGroup>]) -> HashMap<u64, Target> {
        let mut wanted = HashMap::new();
        let mut buffer = LabelsBuf::new();
        self.dropped.clear();
        self.dropped_count = 0;
        let keep = match self.job.limits.keep_dropped_targets {
            0 => usize::MAX,
            keep => usize::try_from(keep).unwrap_or(usize::MAX),
        };
        for group in groups {
            for own in &group.targets {
                match build(&self.job, group, own, &mut buffer) {
                    Ok(Built::Active(target)) => {
                        wanted.entry(target.hash).or_insert(*target);
                    }
                    Ok(Built::Dropped(labels)) => {
                        self.dropped_count += 1;
                        if self.dropped.len() < keep {
                            self.dropped.push(labels);
                        }
                    }
                    Err(error) => {
                        self.shared.metrics.sync_failed.inc();
                        tracing::error!(job = self.job.job_name, target = %own, %error, "invalid target");
                    }
                }
            }
        }
        wanted
    }

    fn start(&self, target: Target, tasks: &mut JoinSet<()>) -> Running {
        let state = Arc::new(TargetState::new(target));
        let inbox = Arc::<Inbox>::default();
        let Shared { db, options, families, .. } = &*self.shared;
        let families = Families::new(families);
        let ingest = Ingest::new(Arc::clone(&self.job), &state.target, *options, families, &self.quota, db);
        let ingest = Arc::new(Mutex::new(ingest));
        let (run, watch) = watch::channel(Run::On);
        let task = ScrapeLoop {
            intake: Intake {
                shared: Arc::clone(&self.shared),
                job: Arc::clone(&self.job),
                ingest: Arc::clone(&ingest),
                inbox: Arc::clone(&inbox),
            },
            state: Arc::clone(&state),
            fetch: Arc::clone(&self.fetch),
            forbidden: Arc::clone(&self.forbidden),
        };
        tasks.spawn_on(task.run(watch), self.shared.threads.of(state.target.hash));
        Running { state, run, inbox, ingest, fresh: true }
    }

    /// Ends the job: puts all its loops into `leaving`, for [`settle`].
    pub(super) fn leave(self, leaving: &mut Vec<Running>) {
        self.forget_metrics();
        leaving.extend(self.loops.into_values());
    }

    /// Tells every loop that the server stops.
    pub(super) fn shut_down(self) {
        self.forget_metrics();
        for running in self.loops.into_values() {
            let _ = running.run.send(Run::Shutdown);
        }
    }

    fn forget_metrics(&self) {
        let name = vec![("scrape_job".to_owned(), self.job.job_name.clone())];
        self.shared.metrics.targets.remove(&name);
    }

    /// What the API shows.
    pub(super) fn view(&self) -> PoolView {
        let mut active: Vec<_> = self.loops.values().map(|running| Arc::clone(&running.state)).collect();
        active.sort_by(|a, b| (&a.target.labels, &a.target.url).cmp(&(&b.target.labels, &b.target.url)));
        PoolView {
            name: self.job.job_name.clone(),
            active,
            dropped: self.dropped.clone(),
            dropped_count: self.dropped_count,
        }
    }
}

/// Ends the loops that leave, once all `pools` have what they should have: each is told who goes on with its series.
pub(super) fn settle<'a>(pools: impl Iterator<Item = &'a mut Pool>, leaving: Vec<Running>) {
    let mut all: Vec<&mut Running> = pools.flat_map(|pool| pool.loops.values_mut()).collect();
    let mut by_labels: HashMap<&Labels, Vec<&Running>> = HashMap::new();
    if !leaving.is_empty() {
        for running in &all {
            by_labels.entry(&running.state.target.labels).or_default().push(running);
        }
    }
    for gone in leaving {
        let Target { labels, url, .. } = &gone.state.target;
        let same = by_labels.get(labels).map_or(&[][..], Vec::as_slice);
        let fresh = || same.iter().filter(|running| running.fresh);
        let heir = fresh().find(|running| running.state.target.url == *url).or_else(|| fresh().next());
        let others = same.iter().filter(|running| !running.fresh);
        let leaving = Leaving {
            heir: heir.map(|running| Arc::clone(&running.inbox)),
            others: others.map(|running| (Arc::clone(&running.ingest), Arc::clone(&running.inbox))).collect(),
        };
        let _ = gone.run.send(Run::Leave(Arc::new(leaving)));
    }
    drop(by_labels);
    all.iter_mut().for_each(|running| running.fresh = false);
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
