//! `Receivers`: runs notification. One task drives the engine; deliveries run beside it.
//!
//! A reload is [`Receivers::prepare`], which may fail and changes nothing, then [`Receivers::commit`], which cannot fail.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::deliver::Outside;
use super::engine::{AlertCounts, Engine};
use super::error::Error;
use super::handle::ReceiversHandle;
use super::log::NotificationLog;
use super::metrics::ReceiverMetrics;
use super::shared::{Active, Shared};
use super::silence::{SilenceState, Silences};
use super::store::Store;
use crate::config::{Config, IntegrationConfig, NotificationsConfig};
use crate::net::{Dialer, HttpClient};
use crate::notify::AlertSink;
use crate::telemetry::Registry;
use crate::telemetry::counted::CountedGauge;
use crate::util::Clock;
use crate::util::lock::lock;

/// The task looks at the clock at least this often: it may have been set.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// What an evaluation may take until its alerts are here, and rules that are evaluated less often are not waited for once
/// notification begins.
const EVALUATION_TIME: Duration = Duration::from_secs(5);
const LONGEST_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// How long nothing is tried again that panicked.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// How long deliveries that are under way may take once the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings fixed for the life of the process.
#[derive(Debug, Clone)]
pub struct ReceiverOptions {
    /// Where silences and the log of notifications are kept.
    pub folder: PathBuf,
    /// Where users find this server; without a slash at the end.
    pub external_url: String,
    /// How long rules wait before they send an alert again.
    pub resend_delay: Duration,
}

/// Everything a reload needs, made without touching what runs.
pub struct Prepared {
    config: Option<Arc<NotificationsConfig>>,
    is_silent: bool,
    /// What is on disk, where notification was off before.
    opened: Option<(Arc<Store>, NotificationLog, Silences)>,
    outside: Outside,
    /// Time in which all rules have sent what fires, in milliseconds.
    hold_ms: i64,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Tells receivers of alerts without an Alertmanager.
pub struct Receivers {
    shared: Arc<Shared>,
    dialer: Arc<Dialer>,
    options: ReceiverOptions,
    /// Opened by the first configuration with the section, and kept: what is under way while notification is switched off
    /// and on is written to the same file.
    store: Mutex<Option<Arc<Store>>>,
    task: JoinHandle<()>,
}

impl Receivers {
    /// Starts without receivers. Must be called within the runtime.
    pub fn new(
        dialer: Arc<Dialer>,
        options: ReceiverOptions,
        clock: Arc<dyn Clock>,
        registry: &mut Registry,
    ) -> Self {
        let shared = Arc::new(Shared::new(ReceiverMetrics::new(registry), clock));
        register_counts(&shared, registry);
        let stopped = shared.stopped.subscribe();
        let task = tokio::spawn(run(Arc::clone(&shared), stopped));
        Self { shared, dialer, options, store: Mutex::default(), task }
    }

    /// What the API may ask and do.
    pub fn handle(&self) -> ReceiversHandle {
        ReceiversHandle(Arc::clone(&self.shared))
    }

    /// Where the alerts of rules come in.
    pub fn sink(&self) -> Arc<dyn AlertSink> {
        Arc::clone(&self.shared) as Arc<dyn AlertSink>
    }

    /// Makes everything `config` needs, whose rules are evaluated every `longest_interval` at least; nothing that runs is
    /// touched. Reads the disk.
    ///
    /// # Errors
    /// When what is on the disk cannot be read, or the HTTP client not be set up.
    pub fn prepare(&self, config: &Config, longest_interval: Duration) -> Result<Prepared, Error> {
        let notifications = config.notifications.clone();
        let is_silent = notifications
            .as_ref()
            .is_some_and(|own| !own.alongside_alertmanagers && !config.alerting.alertmanagers.is_empty());
        let is_open = lock(&self.shared.state).is_some();
        let opened = if notifications.is_some() && !is_open {
            let store = self.store()?;
            let (log, silences) = store.known(self.shared.clock.now_ms());
            Some((store, log, silences))
        } else {
            None
        };
        let mut clients = HashMap::new();
        let integrations =
            notifications.iter().flat_map(|own| own.receivers.iter().flat_map(|one| &one.integrations));
        for http in integrations.filter_map(IntegrationConfig::http) {
            if let Entry::Vacant(slot) = clients.entry(http.clone()) {
                slot.insert(HttpClient::new(http, Arc::clone(&self.dialer))?);
            }
        }
        let outside = Outside { clients: Arc::new(clients), external_url: self.options.external_url.clone() };
        let hold = hold(self.options.resend_delay, longest_interval);
        let hold_ms = i64::try_from(hold.as_millis()).unwrap_or(i64::MAX);
        Ok(Prepared { config: notifications, is_silent, opened, outside, hold_ms })
    }

    fn store(&self) -> Result<Arc<Store>, Error> {
        let mut kept = lock(&self.store);
        let store = match &*kept {
            Some(store) => Arc::clone(store),
            None => Arc::new(Store::open(&self.options.folder)?),
        };
        *kept = Some(Arc::clone(&store));
        Ok(store)
    }

    /// Switches to what was prepared.
    pub fn commit(&self, prepared: Prepared) {
        let Prepared { config, is_silent, opened, outside, hold_ms } = prepared;
        if is_silent {
            tracing::info!(
                "receivers stay silent, because Alertmanagers are configured and alongside_alertmanagers is false"
            );
        }
        let now = self.shared.clock.now_ms();
        let mut state = lock(&self.shared.state);
        match (config, &mut *state) {
            (None, state) => *state = None,
            (Some(config), Some(active)) => {
                // Otherwise receivers would hear that alerts end which Alertmanagers look after now.
                if is_silent && !active.is_silent {
                    active.engine.forget_alerts();
                } else if active.is_silent && !is_silent {
                    active.engine.hold(now, hold_ms);
                }
                active.is_silent = is_silent;
                active.outside = outside;
                if **active.engine.config() != *config && active.engine.reconfigure(config, now).is_err() {
                    self.shared.metrics.refused.inc();
                    tracing::warn!("there are too many groups of alerts; nobody is told of some of them");
                }
            }
            (Some(config), none) => {
                *none = opened.map(|(store, log, silences)| {
                    let mut engine = Engine::new(config, log, silences);
                    engine.hold(now, hold_ms);
                    Active::new(engine, store, outside, is_silent)
                });
            }
        }
        let config = state.as_ref().map(|active| Arc::clone(active.engine.config()));
        drop(state);
        lock(&self.shared.history).retain(config.as_deref());
        self.shared.wake.notify_one();
    }

    /// Begins no more deliveries, and waits some seconds for those under way.
    pub async fn stop(self) {
        self.shared.stopped.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "notification failed");
        }
    }
}

/// How long it takes until all rules have sent what fires: each alert is due again after `resend_delay`, and the next
/// evaluation sends it.
fn hold(resend_delay: Duration, longest_interval: Duration) -> Duration {
    let interval = longest_interval.min(LONGEST_INTERVAL);
    resend_delay.saturating_add(interval).saturating_add(interval.min(EVALUATION_TIME))
}

/// Numbers that are counted when metrics are read; nothing while there is no section.
fn register_counts(shared: &Arc<Shared>, registry: &mut Registry) {
    let mut register = |name, help, label, count: fn(&Active, i64) -> Vec<(&'static str, u64)>| {
        let shared = Arc::clone(shared);
        let count = Box::new(move || {
            let now = shared.clock.now_ms();
            lock(&shared.state).as_ref().map_or_else(Vec::new, |active| count(active, now))
        });
        registry.register_collector(Box::new(CountedGauge { name, help, label, count }));
    };
    register(
        "alertmanager_alerts",
        "Alerts that are not resolved, by their state",
        "state",
        |active, now| {
            let AlertCounts { active, suppressed, unprocessed } = active.engine.count(now);
            vec![("active", active), ("suppressed", suppressed), ("unprocessed", unprocessed)]
        },
    );
    register("alertmanager_silences", "Silences, by their state", "state", |active, now| {
        let states = [SilenceState::Active, SilenceState::Expired, SilenceState::Pending];
        let silences: Vec<SilenceState> =
            active.engine.silences.iter().map(|silence| silence.state(now)).collect();
        let count = |state| silences.iter().filter(|one| **one == state).count() as u64;
        states.map(|state| (state.name(), count(state))).to_vec()
    });
    let help = "Groups of alerts";
    register("alertmanager_dispatcher_aggregation_groups", help, "", |active, _| {
        vec![("", active.engine.group_count() as u64)]
    });
}

async fn run(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut deliveries = JoinSet::new();
    let panics = shared.metrics.panics.clone();
    loop {
        let turned = panics.guard("notification", || shared.turn());
        let (jobs, wait_ms) = turned.unwrap_or_else(|| (Vec::new(), 1000));
        for (job, lane, outside) in jobs {
            let (shared, panics) = (Arc::clone(&shared), panics.clone());
            deliveries.spawn(async move {
                let work = Box::pin(Arc::clone(&shared).work(job.clone(), lane, outside));
                if panics.guard_future("a notification", work).await.is_none() {
                    shared.give_up(&job);
                }
            });
        }
        if shared.begins_surveys() {
            let (shared, panics) = (Arc::clone(&shared), panics.clone());
            deliveries.spawn(async move {
                let surveying = Arc::clone(&shared);
                let work = move || panics.guard("finding out what is silenced", || surveying.survey_all());
                if !matches!(tokio::task::spawn_blocking(work).await, Ok(Some(()))) {
                    sleep(PAUSE_AFTER_PANIC).await;
                }
                shared.end_surveys();
            });
        }
        let compacting = Arc::clone(&shared);
        if lock(&shared.state).as_ref().is_some_and(|active| active.engine.has_swept) {
            deliveries.spawn(async move {
                let _ = tokio::task::spawn_blocking(move || compacting.compact()).await;
            });
        }
        let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)).min(LONGEST_SLEEP);
        tokio::select! {
            () = shared.wake.notified() => {}
            () = sleep(wait) => {}
            Some(_) = deliveries.join_next() => {}
            _ = stopped.wait_for(|stop| *stop) => break,
        }
    }
    let all = async { while deliveries.join_next().await.is_some() {} };
    if timeout(DRAIN_TIMEOUT, all).await.is_err() {
        deliveries.shutdown().await;
    }
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;
