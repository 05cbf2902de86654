//! A Kubernetes cluster: what it consists of is listed once and then watched, so that a change counts at once.
//!
//! Read `access` (where the API server is), `kind` (what is watched there), `metadata`, `pod`, `standalone` and
//! `backends` (what is kept of each object, within a `budget`) with `object` (all of them), `reflector` (lists and watches), `cluster` (what
//! is known, and what a change is about) with `groups` (how targets are made), then this file, which runs them.

mod access;
mod backends;
mod budget;
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
use tokio::time::{Instant, sleep, timeout_at};

use self::access::{Access, Opened};
use self::cluster::Cluster;
use self::kind::Watched;
use self::object::{MAX_OBJECTS, Told};
use self::reflector::{News, Reflector, What};
use super::metrics::DiscoveryMetrics;
use super::parts::Parts;
use super::{Discoverer, GroupSender};
use crate::config::KubernetesSdConfig;
use crate::net::{Dialer, HttpError};

/// News that wait at most; reflectors wait with more.
const MAX_NEWS: usize = 256;
/// Changes are gathered for so long before groups are put in place, since that costs the same for one as for many.
const GATHER: Duration = Duration::from_millis(100);
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
        let mut due: Option<Instant> = None;
        loop {
            if due.is_some_and(|due| Instant::now() >= due) {
                due = None;
                parts.groups().put(cluster.changed());
            }
            let next = match due {
                None => news.recv().await,
                Some(due) => match timeout_at(due, news.recv()).await {
                    Ok(next) => next,
                    Err(_) => continue,
                },
            };
            let Some(News { from, what }) = next else { return };
            let watched = &watched[from];
            let went = match what {
                What::All(objects, took) => {
                    unknown[from] = false;
                    fits(cluster.replace(watched, objects), watched).map(|()| Some(took))
                }
                What::Told(told) => take(&mut cluster, watched, *told),
                What::Well => Ok(None),
                What::Failed(reason, pause) => Err((reason, Some(pause))),
            };
            let all_known = !unknown.contains(&true);
            if all_known && !is_known {
                is_known = true;
                parts.groups().replace(cluster.changed());
            } else if is_known && cluster.has_changed() {
                due.get_or_insert_with(|| Instant::now() + GATHER);
            }
            match went {
                Err((reason, pause)) => {
                    parts.failed(&watched.name, &reason, pause);
                    if opened.is_outdated() {
                        return;
                    }
                }
                Ok(took) if all_known => parts.succeeded(&watched.name, took, None),
                Ok(_) => parts.gone(&watched.name),
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
            fits(cluster.put(watched.kind, &placed.key, placed.object, is_new), watched)?;
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
