//! `Notifier`: runs a loop for each Alertmanager. One coordinating task owns them all.
//!
//! A reload is [`Notifier::prepare`], which may fail and changes nothing, then [`Notifier::commit`], which cannot fail.
//! An Alertmanager that is there before and after, by its URL, keeps its loop and what waits for it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::Error;
use super::alertmanager::find;
use super::handle::{AlertSink, Alertmanagers, NotifyHandle, Routing};
use super::metrics::NotifyMetrics;
use super::post::{self, Post};
use super::send_loop::{Delivery, End, SendLoop};
use crate::config::{AlertingConfig, AlertmanagerConfig, Config, HttpConfig, SigV4Config};
use crate::discovery::{DiscoveryManager, PreparedSets, SetConfig, TargetSets};
use crate::model::Labels;
use crate::net::Dialer;
use crate::telemetry::Registry;

/// New target sets are gathered for this long before they are applied, because discoverers report one by one.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// How long what waits for an Alertmanager may take to be sent, once it is gone or the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long loops may take to end beyond that.
const GRACE: Duration = Duration::from_secs(1);

/// Settings fixed for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotifyOptions {
    /// Alerts that may wait for one Alertmanager; at least 1.
    pub queue_capacity: usize,
    /// Alerts of one request at most; at least 1.
    pub batch_size: usize,
    /// Send what waits before the server stops.
    pub drain_on_shutdown: bool,
}

impl Default for NotifyOptions {
    fn default() -> Self {
        Self { queue_capacity: 10_000, batch_size: 256, drain_on_shutdown: true }
    }
}

/// Clients by their settings; each has connections of its own.
type Clients = HashMap<(HttpConfig, Option<SigV4Config>), Arc<dyn Post>>;

/// Everything a reload needs, made without touching what runs.
pub struct Prepared {
    alerting: AlertingConfig,
    external_labels: Labels,
    clients: Clients,
    sets: PreparedSets,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("alerting", &self.alerting).finish_non_exhaustive()
    }
}

enum Command {
    Apply(Box<Prepared>, oneshot::Sender<()>),
    Stop,
}

/// Runs notification, and tells discovery whom to find.
pub struct Notifier {
    dialer: Arc<Dialer>,
    discovery: Arc<DiscoveryManager>,
    handle: NotifyHandle,
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

impl Notifier {
    /// Starts without Alertmanagers. Must be called within the runtime. `discovery` gets the configurations from here,
    /// and belongs to the caller. `sink` is handed what Alertmanagers are told.
    pub fn new(
        discovery: Arc<DiscoveryManager>,
        dialer: Arc<Dialer>,
        options: NotifyOptions,
        sink: Option<Arc<dyn AlertSink>>,
        registry: &mut Registry,
    ) -> Self {
        let metrics = NotifyMetrics::new(options.queue_capacity, registry);
        let handle = NotifyHandle { restarts: metrics.panics.clone(), sink, ..NotifyHandle::default() };
        let (commands, receiver) = mpsc::channel(4);
        let coordinator = Coordinator {
            options,
            metrics,
            targets: discovery.targets(),
            discovery: Arc::clone(&discovery),
            config: AlertingConfig::default(),
            external_labels: Labels::empty(),
            clients: Clients::new(),
            running: Vec::new(),
            leaving: Vec::new(),
            tasks: JoinSet::new(),
            loops_of: HashMap::new(),
            handle: handle.clone(),
        };
        let task = tokio::spawn(coordinator.run(receiver));
        Self { dialer, discovery, handle, commands, task }
    }

    /// Takes alerts and shows the Alertmanagers, from anywhere.
    pub fn handle(&self) -> NotifyHandle {
        self.handle.clone()
    }

    /// Makes everything `config` needs; nothing that runs is touched.
    ///
    /// # Errors
    /// When the HTTP client of a group of Alertmanagers cannot be set up.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, Error> {
        let mut clients = Clients::new();
        for (at, group) in config.alerting.alertmanagers.iter().enumerate() {
            if let Entry::Vacant(slot) = clients.entry(settings(group)) {
                let client = post::client(group, &self.dialer);
                slot.insert(client.map_err(|source| Error::Client { at, source })?);
            }
        }
        let external_labels = config.global.external_labels.clone();
        let sets = self
            .discovery
            .prepare(SetConfig::of_alertmanagers(&config.alerting))
            .map_err(Error::Discovery)?;
        Ok(Prepared { alerting: config.alerting.clone(), external_labels, clients, sets })
    }

    /// Switches to what was prepared; returns when discovery and the loops have been told.
    pub async fn commit(&self, prepared: Prepared) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Apply(Box::new(prepared), done)).await.is_ok() {
            // The coordinator ends only when it is stopped; then there is nothing to wait for.
            let _ = wait.await;
        }
    }

    /// Takes no more alerts, and ends all loops: at once, or when what waits is sent, or cannot be within some seconds.
    pub async fn stop(self) {
        let _ = self.commands.send(Command::Stop).await;
        if let Err(error) = self.task.await {
            tracing::error!(%error, "notifier failed");
        }
    }
}

/// A loop, as the coordinator has it.
struct Running {
    send_loop: Arc<SendLoop>,
    /// The settings with which it was found.
    group: Arc<AlertmanagerConfig>,
    end: watch::Sender<End>,
    /// Closed when it is over.
    over: watch::Receiver<()>,
}

struct Coordinator {
    options: NotifyOptions,
    metrics: NotifyMetrics,
    discovery: Arc<DiscoveryManager>,
    targets: watch::Receiver<Arc<TargetSets>>,
    config: AlertingConfig,
    external_labels: Labels,
    clients: Clients,
    running: Vec<Running>,
    /// Those that still send what waited when their Alertmanager left.
    leaving: Vec<Running>,
    /// The loops, those that are to end as well; each returns its URL.
    tasks: JoinSet<String>,
    /// How many of these there are for a URL.
    loops_of: HashMap<String, usize>,
    handle: NotifyHandle,
}

impl Coordinator {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let panics = self.metrics.panics.clone();
        let mut due: Option<Instant> = None;
        loop {
            // Without this task no Alertmanager would come or go any more.
            let turn = self.turn(&mut commands, &mut due);
            if panics.guard_future("coordination of notification", turn).await == Some(false) {
                break;
            }
        }
        self.stop().await;
    }

    /// Does the next thing there is to do; says whether to go on.
    async fn turn(&mut self, commands: &mut mpsc::Receiver<Command>, due: &mut Option<Instant>) -> bool {
        let when = due.unwrap_or_else(Instant::now);
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Apply(prepared, done)) => {
                    *due = None;
                    self.apply(*prepared);
                    let _ = done.send(());
                }
                Some(Command::Stop) | None => return false,
            },
            Ok(()) = self.targets.changed() => {
                due.get_or_insert_with(|| Instant::now() + DEBOUNCE);
            }
            () = tokio::time::sleep_until(when), if due.is_some() => {
                *due = None;
                self.sync();
            }
            Some(ended) = self.tasks.join_next() => self.ended(ended),
        }
        true
    }

    fn apply(&mut self, prepared: Prepared) {
        let Prepared { alerting, external_labels, mut clients, sets } = prepared;
        // A client that is in use stays, and with it its connections.
        for (settings, client) in &mut clients {
            if let Some(existing) = self.clients.get(settings) {
                *client = Arc::clone(existing);
            }
        }
        self.discovery.commit(sets);
        (self.config, self.external_labels, self.clients) = (alerting, external_labels, clients);
        self.sync();
    }

    /// Makes the loops match what is discovered.
    fn sync(&mut self) {
        let sets = Arc::clone(&self.targets.borrow_and_update());
        let (wanted, dropped) = self.wanted(&sets);
        let mut old = std::mem::take(&mut self.running);
        let mut take =
            |fits: &dyn Fn(&Running) -> bool| old.iter().position(fits).map(|at| old.swap_remove(at));
        // First each takes the loop it had, then what is left goes by the URL, whatever changed about it.
        let mut kept: Vec<Option<Running>> = Vec::with_capacity(wanted.len());
        for (url, group) in &wanted {
            kept.push(take(&|running| running.send_loop.url == *url && same_alerts(&running.group, group)));
        }
        for ((url, _), slot) in wanted.iter().zip(&mut kept) {
            if slot.is_none() {
                *slot = take(&|running| running.send_loop.url == *url);
            }
        }
        for ((url, group), slot) in wanted.into_iter().zip(kept) {
            let Some(post) = self.clients.get(&settings(&group)).map(Arc::clone) else { continue };
            let delivery = Delivery { post, timeout: group.timeout };
            let running = match slot {
                Some(running) => {
                    running.send_loop.delivery.store(Arc::new(delivery));
                    Running { group, ..running }
                }
                None => self.start(url, group, delivery),
            };
            self.running.push(running);
        }
        self.publish(dropped);
        // Nothing new comes to these any more.
        for gone in &old {
            let _ = gone.end.send(Some(Instant::now() + DRAIN_TIMEOUT));
        }
        self.leaving.retain(|running| running.over.has_changed().is_ok());
        self.leaving.extend(old);
    }

    /// The Alertmanagers that are to be told, each with its group, and the URLs of those that are dropped. The same URL
    /// with the same rules for alerts is one, in whatever groups it is found.
    fn wanted(&self, sets: &TargetSets) -> (Vec<(String, Arc<AlertmanagerConfig>)>, Vec<String>) {
        let mut wanted: Vec<(String, Arc<AlertmanagerConfig>)> = Vec::new();
        let mut dropped = Vec::new();
        for (at, group) in self.config.alertmanagers.iter().enumerate() {
            let found = find(group, sets.groups(&SetConfig::name_at(at)));
            for url in found.active {
                if !wanted.iter().any(|(other, with)| *other == url && same_alerts(with, group)) {
                    wanted.push((url, Arc::clone(group)));
                }
            }
            dropped.extend(found.dropped);
        }
        (wanted, dropped)
    }

    fn start(&mut self, url: String, group: Arc<AlertmanagerConfig>, delivery: Delivery) -> Running {
        let metrics = self.metrics.of(&url);
        *self.loops_of.entry(url.clone()).or_default() += 1;
        let NotifyOptions { queue_capacity, batch_size, .. } = self.options;
        let panics = self.metrics.panics.clone();
        let send_loop = Arc::new(SendLoop::new(url, queue_capacity, batch_size, delivery, metrics, panics));
        let (end, watch) = watch::channel(None);
        let (is_over, over) = watch::channel(());
        let task = Arc::clone(&send_loop);
        // What a loop before it still sends are older states of the same alerts.
        let same =
            |running: &&Running| running.send_loop.url == task.url && same_alerts(&running.group, &group);
        let before: Vec<_> = self.leaving.iter().filter(same).map(|running| running.over.clone()).collect();
        self.tasks.spawn(async move {
            let before = async {
                for mut over in before {
                    while over.changed().await.is_ok() {}
                }
            };
            task.run(before, watch).await;
            drop(is_over);
            task.url.clone()
        });
        Running { send_loop, group, end, over }
    }

    /// A loop is over: its metrics go with the last one of its URL.
    fn ended(&mut self, ended: Result<String, JoinError>) {
        let url = match ended {
            Ok(url) => url,
            Err(error) => return tracing::error!(%error, "alert sender failed"),
        };
        if let Some(count) = self.loops_of.get_mut(&url) {
            *count -= 1;
            if *count == 0 {
                self.loops_of.remove(&url);
                self.metrics.forget(&url);
            }
        }
    }

    /// Alerts go to the loops there are from now on.
    fn publish(&self, dropped: Vec<String>) {
        let mut routes: Vec<(Arc<AlertmanagerConfig>, Vec<Arc<SendLoop>>)> = Vec::new();
        for running in &self.running {
            let send_loop = Arc::clone(&running.send_loop);
            match routes.iter_mut().find(|(group, _)| same_alerts(group, &running.group)) {
                Some((_, loops)) => loops.push(send_loop),
                None => routes.push((Arc::clone(&running.group), vec![send_loop])),
            }
        }
        let active: Vec<String> = self.running.iter().map(|running| running.send_loop.url.clone()).collect();
        self.metrics.discovered.set(i64::try_from(active.len()).unwrap_or(i64::MAX));
        self.handle.routing.store(Arc::new(Routing {
            external_labels: self.external_labels.clone(),
            alert_relabel_configs: self.config.alert_relabel_configs.clone(),
            routes,
            shown: Alertmanagers { active, dropped },
        }));
    }

    async fn stop(mut self) {
        self.handle.routing.store(Arc::default());
        let drain = if self.options.drain_on_shutdown { DRAIN_TIMEOUT } else { Duration::ZERO };
        let deadline = Instant::now() + drain;
        for running in &self.running {
            let _ = running.end.send(Some(deadline));
        }
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "alert sender failed");
                }
            }
        };
        if timeout_at(deadline + GRACE, all).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

/// What a client is made from.
fn settings(group: &AlertmanagerConfig) -> (HttpConfig, Option<SigV4Config>) {
    (group.http.clone(), group.sigv4.clone())
}

/// Whether both groups are told the same of an alert.
fn same_alerts(a: &AlertmanagerConfig, b: &AlertmanagerConfig) -> bool {
    a.alert_relabel_configs == b.alert_relabel_configs
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;
