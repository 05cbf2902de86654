//! A Kubernetes cluster: what it consists of is listed once and then watched, so that a change counts at once.
//!
//! Read `access` (where the API server is), `kind` (what is watched there), `metadata`, `pod`, `standalone` and
//! `backends` (what is kept of each object) with `object` (all of them), `reflector` (lists and watches), `cluster` (what
//! is known, and what a change is about) with `groups` (how targets are made), then this file, which runs them.

mod access;
mod backends;
mod cluster;
#[cfg(test)]
mod fake_api;
mod groups;
mod kind;
mod metadata;
mod object;
mod pod;
mod reflector;
mod standalone;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use tokio::sync::mpsc;
use tokio::time::sleep;

use self::access::{Access, Opened};
use self::cluster::{Cluster, MAX_OBJECTS};
use self::kind::Watched;
use self::object::Told;
use self::reflector::{News, Reflector, What};
use super::metrics::DiscoveryMetrics;
use super::parts::Parts;
use super::{Discoverer, GroupSender};
use crate::config::KubernetesSdConfig;
use crate::net::{Dialer, HttpError};

/// News that wait at most; reflectors wait with more.
const MAX_NEWS: usize = 256;
/// Pause before it is looked again where the server is.
const RETRY: Duration = Duration::from_secs(10);
/// What the way to the server is called among the parts.
const ACCESS: &str = "";

/// Follows one cluster.
#[derive(Debug)]
pub(super) struct KubernetesDiscoverer {
    config: KubernetesSdConfig,
    access: Access,
    metrics: DiscoveryMetrics,
}

impl KubernetesDiscoverer {
    /// As `config` says.
    ///
    /// # Errors
    /// When the client that is configured cannot be set up. Whether there is a cluster turns out when it is asked.
    pub(super) fn new(
        config: KubernetesSdConfig,
        dialer: &Arc<Dialer>,
        metrics: DiscoveryMetrics,
    ) -> Result<Self, HttpError> {
        let access = Access::new(&config, dialer)?;
        Ok(Self { config, access, metrics })
    }

    async fn find(&self, groups: &GroupSender) {
        let parts = Parts::new(groups.clone());
        loop {
            match self.access.open() {
                Ok(opened) => {
                    parts.gone(ACCESS);
                    self.follow(&opened, &parts).await;
                }
                Err(error) => {
                    self.metrics.kubernetes_failures.inc();
                    parts.failed(ACCESS, &error.to_string(), RETRY);
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// Follows what a server tells, until another one may be meant.
    async fn follow(&self, opened: &Opened, parts: &Parts) {
        let watched = Watched::all(&self.config, opened.own_namespace.as_deref());
        let (sender, news) = mpsc::channel(MAX_NEWS);
        let reflectors = watched.iter().enumerate().map(|(at, watched)| {
            let (api, news, metrics) = (&opened.api, sender.clone(), &self.metrics);
            Reflector { at, api, watched, news, metrics }.run()
        });
        // Here rather than in tasks of their own: they end together, and a panic is seen.
        tokio::select! {
            () = self.listen(opened, &watched, news, parts) => {}
            _ = join_all(reflectors) => {}
        }
        watched.iter().for_each(|watched| parts.gone(&watched.name));
    }

    /// Makes targets of the news.
    async fn listen(
        &self,
        opened: &Opened,
        watched: &[Watched],
        mut news: mpsc::Receiver<News>,
        parts: &Parts,
    ) {
        let mut cluster = Cluster::new(&self.config, self.metrics.clone());
        // Nothing is said of the cluster before all of it is known.
        let mut unknown: Vec<bool> = vec![true; watched.len()];
        let mut is_known = false;
        while let Some(first) = news.recv().await {
            // What waits is taken together: putting groups in place costs the same for one as for many.
            let mut batch = vec![first];
            while batch.len() < MAX_NEWS
                && let Ok(more) = news.try_recv()
            {
                batch.push(more);
            }
            let mut healths = Vec::new();
            for News { from, what } in batch {
                let watched = &watched[from];
                let health = match what {
                    What::All(objects, took) => {
                        unknown[from] = false;
                        fits(cluster.replace(watched, objects), watched).map(|()| Some(took))
                    }
                    What::Told(told) => take(&mut cluster, watched, told),
                    What::Well => Ok(None),
                    What::Failed(reason, pause) => Err((reason, Some(pause))),
                };
                healths.push((watched, health));
            }
            let all_known = !unknown.contains(&true);
            if is_known {
                let changed = cluster.changed();
                if !changed.is_empty() {
                    parts.groups().put(changed);
                }
            } else if all_known {
                parts.groups().replace(cluster.changed());
                is_known = true;
            }
            for (watched, health) in healths {
                match health {
                    Err((reason, pause)) => parts.failed(&watched.name, &reason, pause),
                    Ok(took) if all_known => parts.succeeded(&watched.name, took, None),
                    Ok(_) => parts.gone(&watched.name),
                }
            }
            if parts.is_failing() && opened.is_outdated() {
                return;
            }
        }
    }
}

/// How it went: how long it took, or why not and when it will be tried again.
type Went = Result<Option<Duration>, (String, Option<Duration>)>;

/// Takes what a watch told.
fn take(cluster: &mut Cluster, watched: &Watched, told: Told) -> Went {
    match told {
        Told::Put { placed, is_new, .. } => {
            fits(cluster.put(watched.kind, placed.key, placed.object, is_new), watched)?;
        }
        Told::Gone { placed, .. } => cluster.remove(watched.kind, &placed.key),
        Told::Bookmark { .. } | Told::Error { .. } => {}
    }
    Ok(None)
}

fn fits(has_room: bool, watched: &Watched) -> Result<(), (String, Option<Duration>)> {
    let reason = || (format!("{}: more than {MAX_OBJECTS} objects", watched.name), None);
    if has_room { Ok(()) } else { Err(reason()) }
}

impl Discoverer for KubernetesDiscoverer {
    fn what(&self) -> String {
        format!("{} at {}", self.config.role.name(), self.access.place())
    }

    fn run<'a>(&'a self, groups: &'a GroupSender) -> BoxFuture<'a, ()> {
        Box::pin(self.find(groups))
    }
}

#[cfg(test)]
mod roles_tests;
#[cfg(test)]
mod tests;
