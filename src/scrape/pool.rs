//! One job: compares the targets it has with those it should have, starts and ends loops.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::fetch::Fetch;
use super::scrape_loop::{Handover, Run, ScrapeLoop, Shared};
use super::status::{PoolView, TargetState};
use super::target::{Built, Target, build};
use crate::config::ScrapeConfig;
use crate::discovery::TargetGroup;
use crate::model::{Labels, LabelsBuf};
use crate::util::lock::lock;

struct Running {
    state: Arc<TargetState>,
    run: watch::Sender<Run>,
    handover: Handover,
}

/// The loops of one job.
pub(super) struct Pool {
    shared: Arc<Shared>,
    pub(super) job: Arc<ScrapeConfig>,
    fetch: Arc<dyn Fetch>,
    loops: HashMap<u64, Running>,
    dropped: Vec<Labels>,
    dropped_count: usize,
    forbidden: Arc<Mutex<Option<String>>>,
}

impl Pool {
    pub(super) fn new(shared: Arc<Shared>, job: Arc<ScrapeConfig>, fetch: Arc<dyn Fetch>) -> Self {
        Self {
            shared,
            job,
            fetch,
            loops: HashMap::new(),
            dropped: Vec::new(),
            dropped_count: 0,
            forbidden: Arc::default(),
        }
    }

    /// Makes the loops match `groups`. With `restart`, targets that stay get a new loop, because the job changed.
    pub(super) fn sync(
        &mut self,
        groups: &[Arc<TargetGroup>],
        restart: Option<(Arc<ScrapeConfig>, Arc<dyn Fetch>)>,
        tasks: &mut JoinSet<()>,
    ) {
        let mut old = HashMap::new();
        if let Some((job, fetch)) = restart {
            (self.job, self.fetch) = (job, fetch);
            old = std::mem::take(&mut self.loops);
        }
        let mut wanted = self.targets(groups);
        let gone: Vec<u64> = self.loops.keys().filter(|hash| !wanted.contains_key(hash)).copied().collect();
        old.extend(gone.into_iter().filter_map(|hash| self.loops.remove_entry(&hash)));
        wanted.retain(|hash, target| match self.loops.get(hash) {
            // The hash does not cover interval and timeout.
            Some(running) if running.state.target == *target => false,
            Some(_) => {
                old.extend(self.loops.remove_entry(hash));
                true
            }
            None => true,
        });
        let mut by_labels: HashMap<Labels, Running> =
            old.into_values().map(|running| (running.state.target.labels.clone(), running)).collect();
        for (hash, target) in wanted {
            // The same series go on under another loop: they must not be marked stale in between.
            let inherit = by_labels.remove(&target.labels).map(|running| {
                let _ = running.run.send(Run::Replaced);
                running.handover
            });
            self.loops.insert(hash, self.start(target, inherit, tasks));
        }
        for running in by_labels.into_values() {
            let _ = running.run.send(Run::Gone);
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
                        tracing::error!(job = self.job.job_name, target = %own, %error, "target cannot be scraped");
                    }
                }
            }
        }
        wanted
    }

    fn start(&self, target: Target, inherit: Option<Handover>, tasks: &mut JoinSet<()>) -> Running {
        let state = Arc::new(TargetState::new(target));
        let handover = Handover::default();
        let (run, watch) = watch::channel(Run::On);
        let task = ScrapeLoop {
            shared: Arc::clone(&self.shared),
            job: Arc::clone(&self.job),
            state: Arc::clone(&state),
            fetch: Arc::clone(&self.fetch),
            forbidden: Arc::clone(&self.forbidden),
            inherit,
            leave: Arc::clone(&handover),
        };
        tasks.spawn(task.run(watch));
        Running { state, run, handover }
    }

    /// Tells every loop to end.
    pub(super) fn end(self, how: Run) {
        let name = vec![("scrape_job".to_owned(), self.job.job_name.clone())];
        self.shared.metrics.targets.remove(&name);
        for running in self.loops.into_values() {
            let _ = running.run.send(how);
        }
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
