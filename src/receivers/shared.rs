//! What the task, the API and whoever hands alerts in have in common.
//!
//! **Locking**: `changes`, `surveying` or `history`, then `state` or the mutex of the store, never both of these. No lock is
//! held while a receiver is told, `state` not while the disk is waited for, and `changes` not while alerts are matched.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use super::alert::HeldAlert;
use super::deliver::{Delivery, Outside};
use super::engine::{Engine, Job, Refused, ToldAlert};
use super::error::Failure;
use super::history::{Delivered, History};
use super::matched::{Matched, SURVEY_TIME};
use super::metrics::ReceiverMetrics;
use super::silence::{Silence, SilenceError, SilenceRequest};
use super::store::Store;
use crate::config::{IntegrationConfig, ReceiverConfig};
use crate::model::Labels;
use crate::notify::{Alert, AlertSink};
use crate::util::Clock;
use crate::util::lock::lock;

/// Attempts to tell one integration of a receiver at once.
const ATTEMPTS_AT_ONCE: usize = 16;

/// Tests at once.
const TESTS_AT_ONCE: usize = 4;

/// Time it may take to find out which alerts a new silence matches.
const MATCH_TIME: Duration = Duration::from_secs(5);

/// Time a test may take for each integration.
const TEST_TIME: Duration = Duration::from_secs(20);

/// What there is while the configuration has the section.
pub(super) struct Active {
    pub(super) engine: Engine,
    pub(super) store: Arc<Store>,
    pub(super) outside: Outside,
    /// Whether rules' alerts are left to Alertmanagers.
    pub(super) is_silent: bool,
    /// Another one each time that notification is switched on.
    life: Arc<()>,
    lanes: HashMap<(String, usize), Arc<Semaphore>>,
}

impl Active {
    pub(super) fn new(engine: Engine, store: Arc<Store>, outside: Outside, is_silent: bool) -> Self {
        Self { engine, store, outside, is_silent, life: Arc::default(), lanes: HashMap::new() }
    }

    /// The lane of attempts to tell an integration of a receiver.
    fn lane(&mut self, receiver: &str, integration: usize) -> Arc<Semaphore> {
        let config = Arc::clone(self.engine.config());
        self.lanes.retain(|(name, place), _| {
            config.receiver(name).is_some_and(|receiver| *place < receiver.integrations.len())
        });
        let lane = self.lanes.entry((receiver.to_owned(), integration));
        Arc::clone(lane.or_insert_with(|| Arc::new(Semaphore::new(ATTEMPTS_AT_ONCE))))
    }
}

/// How silences are to change, and where.
struct Planned<T> {
    store: Arc<Store>,
    life: Arc<()>,
    changes: Vec<(Silence, T)>,
}

/// See above.
pub(super) struct Shared {
    pub(super) state: Mutex<Option<Active>>,
    /// Held while silences are changed, so that disk and memory agree on what came last.
    pub(super) changes: Mutex<()>,
    pub(super) history: Mutex<History>,
    pub(super) metrics: ReceiverMetrics,
    pub(super) clock: Arc<dyn Clock>,
    /// Whether it is being found out what silences alerts: once at a time, and whether the task has that under way.
    surveying: Mutex<()>,
    has_surveys: AtomicBool,
    /// Something came in.
    pub(super) wake: Notify,
    /// Set when the server stops.
    pub(super) stopped: watch::Sender<bool>,
    /// Tests at once.
    tests: Semaphore,
}

/// Why a silence is not as it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// There is no section `notifications`.
    #[error("{OFF}")]
    Off,
    #[error(transparent)]
    Silence(#[from] SilenceError),
    /// The disk refuses; nothing changed.
    #[error("the silence cannot be kept: {0}")]
    Store(String),
}

/// What is answered where there is no section.
pub(crate) const OFF: &str = "notifications are off: the configuration has no section \"notifications\"";

impl Shared {
    pub(super) fn new(metrics: ReceiverMetrics, clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Mutex::default(),
            changes: Mutex::default(),
            history: Mutex::default(),
            metrics,
            clock,
            surveying: Mutex::default(),
            has_surveys: AtomicBool::new(false),
            wake: Notify::new(),
            stopped: watch::Sender::new(false),
            tests: Semaphore::new(TESTS_AT_ONCE),
        }
    }

    /// Takes alerts; gives how many were not taken because they are too long, and because there was no room.
    pub(super) fn take(&self, alerts: impl Iterator<Item = HeldAlert>) -> (u64, u64) {
        let now = self.clock.now_ms();
        let (mut too_long, mut full) = (0, 0);
        if let Some(active) = &mut *lock(&self.state) {
            for alert in alerts {
                self.metrics.received(alert.resolved_at(now));
                match active.engine.take(alert, now) {
                    Ok(()) => {}
                    Err(Refused::TooLong) => too_long += 1,
                    Err(Refused::Full) => full += 1,
                }
            }
        }
        if too_long + full > 0 {
            tracing::warn!(too_long, full, "alerts were not taken: they are too long, or there are too many");
            self.metrics.refused.inc_by(too_long + full);
        }
        self.wake.notify_one();
        (too_long, full)
    }

    /// What is to be told now, each with its lane, and in how many milliseconds to look again.
    pub(super) fn turn(&self) -> (Vec<(Job, Arc<Semaphore>, Outside)>, i64) {
        let now = self.clock.now_ms();
        let mut state = lock(&self.state);
        let Some(active) = &mut *state else { return (Vec::new(), i64::MAX) };
        let (jobs, next) = active.engine.turn(now);
        let jobs = jobs.into_iter().map(|job| {
            let lane = active.lane(&job.receiver.name, job.integration);
            (job, lane, active.outside.clone())
        });
        (jobs.collect(), next.saturating_sub(now))
    }

    /// Whether the task is to call [`Shared::survey_all`] now, and [`Shared::end_surveys`] afterwards.
    pub(super) fn begins_surveys(&self) -> bool {
        lock(&self.state).as_ref().is_some_and(|active| active.engine.has_unknown())
            && !self.has_surveys.swap(true, Ordering::Relaxed)
    }

    /// See [`Shared::begins_surveys`]. Only the task asks, and it is woken afterwards.
    pub(super) fn end_surveys(&self) {
        self.has_surveys.store(false, Ordering::Relaxed);
    }

    /// Finds out what silences the alerts of which that is not known. Takes time.
    pub(super) fn survey_all(&self) {
        let _only = lock(&self.surveying);
        while !*self.stopped.borrow() && self.survey_some() {}
    }

    /// The same for so many alerts as do not take long, unless that is under way.
    pub(super) fn survey_first(&self) {
        let _only = match self.surveying.try_lock() {
            Ok(only) => only,
            Err(TryLockError::Poisoned(only)) => only.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        self.survey_some();
        self.wake.notify_one();
    }

    /// Whether there was something to find out.
    fn survey_some(&self) -> bool {
        let now = self.clock.now_ms();
        let taken = lock(&self.state)
            .as_ref()
            .and_then(|active| active.engine.survey(now).map(|survey| (Arc::clone(&active.life), survey)));
        let Some((life, survey)) = taken else { return false };
        let found = survey.run(SURVEY_TIME);
        // Notification may have been switched off and on meanwhile.
        if let Some(active) = &mut *lock(&self.state)
            && Arc::ptr_eq(&active.life, &life)
        {
            active.engine.surveyed(found, self.clock.now_ms());
        }
        true
    }

    /// Does a job from beginning to end.
    pub(super) async fn work(self: Arc<Self>, job: Job, lane: Arc<Semaphore>, outside: Outside) {
        let began = Instant::now();
        let time = Duration::from_millis(u64::try_from(job.time_ms).unwrap_or(0));
        let Some(integration) = job.receiver.integrations.get(job.integration) else {
            return self.finish(&job, true).await;
        };
        let sends_resolved = integration.send_resolved();
        let mut alerts = job.alerts.to_vec();
        alerts.retain(|told| sends_resolved || !told.resolved);
        if alerts.is_empty() {
            // It does not want to know, but what is told next depends on this.
            return self.finish(&job, true).await;
        }
        let delivery = Delivery {
            receiver: Arc::clone(&job.receiver),
            integration: job.integration,
            group_key: Arc::clone(&job.key.group),
            group_labels: job.group.1.clone(),
            alerts,
        };
        let outcome = tokio::select! {
            outcome = delivery.run(&outside, &lane, job.entry.at, time, self.stopped.subscribe()) => outcome,
            () = job.cancelled() => return,
        };
        self.note(&job, integration, outcome.result.as_ref(), outcome.attempts, began);
        self.finish(&job, outcome.result.is_ok()).await;
        drop(outcome);
    }

    fn note(
        &self,
        job: &Job,
        integration: &IntegrationConfig,
        result: Result<&(), &Failure>,
        attempts: u32,
        began: Instant,
    ) {
        let (took, kind) = (began.elapsed(), integration.kind());
        self.metrics.delivered(kind, result.is_err(), attempts, took.as_secs_f64());
        if let Err(failure) = result {
            tracing::error!(receiver = %job.receiver.name, integration = kind, group = %job.key.group, attempts,
                error = %failure, "a notification was not delivered; it is tried again with the next of its group");
        }
        let is_sent = |told: &&ToldAlert| integration.send_resolved() || !told.resolved;
        let sent = || job.alerts.iter().filter(is_sent);
        let resolved = sent().filter(|told| told.resolved).count();
        let delivered = Delivered {
            at_ms: self.clock.now_ms(),
            receiver: job.receiver.name.clone(),
            integration: kind,
            place: job.integration,
            group_labels: job.group.1.clone(),
            firing: sent().count() - resolved,
            resolved,
            alerts: Delivered::first(sent().map(|told| &told.alert.labels)),
            error: result.err().map(ToString::to_string),
            took,
            attempts,
            is_test: false,
        };
        self.remember(delivered, &job.receiver);
    }

    /// Notes a delivery for people. The configuration is looked at with the history in hand: a reload switches, then takes
    /// the history to forget what has changed.
    fn remember(&self, delivered: Delivered, receiver: &Arc<ReceiverConfig>) {
        let mut history = lock(&self.history);
        let config = lock(&self.state).as_ref().map(|active| Arc::clone(active.engine.config()));
        history.push(delivered, receiver, config.as_deref());
    }

    /// A job ended in a panic.
    pub(super) fn give_up(&self, job: &Job) {
        if let Some(active) = &mut *lock(&self.state) {
            active.engine.finish(job, false);
        }
        self.wake.notify_one();
    }

    /// Writes down what a receiver was told, then tells the engine.
    async fn finish(self: &Arc<Self>, job: &Job, delivered: bool) {
        if delivered {
            let (shared, key, entry) = (Arc::clone(self), job.key.clone(), job.entry.clone());
            let write = move || {
                let store = lock(&shared.state).as_ref().map(|active| Arc::clone(&active.store));
                store.map_or(Ok(()), |store| store.told(&key, &entry))
            };
            let written = tokio::task::spawn_blocking(write).await;
            let failed = match written {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = failed {
                self.metrics.store_errors.inc();
                tracing::error!(
                    error,
                    "the log of notifications cannot be written; after a restart receivers may be told again"
                );
            }
        }
        if let Some(active) = &mut *lock(&self.state) {
            active.engine.finish(job, delivered);
        }
        self.wake.notify_one();
    }

    /// Writes the file anew if there is less to keep than it holds. Waits for the disk.
    pub(super) fn compact(&self) {
        let (store, groups) = match &mut *lock(&self.state) {
            Some(active) => {
                active.engine.has_swept = false;
                (Arc::clone(&active.store), active.engine.group_keys())
            }
            None => return,
        };
        if let Err(error) = store.compact(self.clock.now_ms(), &groups) {
            self.metrics.store_errors.inc();
            tracing::error!(%error, "the log of notifications cannot be written anew");
        }
    }

    /// Makes or changes a silence, durably; gives it as it is then. Waits for the disk.
    pub(super) fn set_silence(&self, request: &SilenceRequest) -> Result<Silence, ChangeError> {
        self.change_silences(|engine, now| engine.silences.plan(request, now))
    }

    /// Ends a silence, durably. Waits for the disk.
    pub(super) fn expire_silence(&self, id: &str) -> Result<Silence, ChangeError> {
        self.change_silences(|engine, now| engine.silences.plan_end(id, now).map(|silence| vec![silence]))
    }

    fn change_silences(
        &self,
        plan: impl Fn(&Engine, i64) -> Result<Vec<Silence>, SilenceError>,
    ) -> Result<Silence, ChangeError> {
        // Alerts are matched while others may change silences. What is planned meanwhile is the same but for its name, or
        // needs none of this.
        let planned = self.plan_silences(&plan, Engine::to_match)?;
        let (silence, alerts) = planned.changes.into_iter().next().ok_or(SilenceError::NotFound)?;
        let matched = Matched::new(&silence, alerts, MATCH_TIME).map_err(|_| SilenceError::TooSlow)?;

        let _changing = lock(&self.changes);
        let Planned { store, life, changes } = self.plan_silences(&plan, |_, _| ())?;
        let changed: Vec<Silence> = changes.into_iter().map(|(silence, ())| silence).collect();
        store.silences(&changed).map_err(|error| {
            self.metrics.store_errors.inc();
            ChangeError::Store(error.to_string())
        })?;
        let wanted = changed.first().cloned().ok_or(SilenceError::NotFound)?;
        if let Some(active) = &mut *lock(&self.state) {
            // Notification may have been switched off and on: then its alerts are others, if it knows of any.
            let is_same = Arc::ptr_eq(&active.life, &life) && wanted.matchers == silence.matchers;
            let none = Matched::default();
            let mut matched = if is_same { &matched } else { &none };
            for silence in changed {
                active.engine.put_silence(silence, matched);
                // What ends beside it keeps its matchers.
                matched = &none;
            }
        }
        self.wake.notify_one();
        Ok(wanted)
    }

    /// What would change now, each with what `of` says of it.
    fn plan_silences<T>(
        &self,
        plan: impl Fn(&Engine, i64) -> Result<Vec<Silence>, SilenceError>,
        of: impl Fn(&Engine, &Silence) -> T,
    ) -> Result<Planned<T>, ChangeError> {
        let state = lock(&self.state);
        let active = state.as_ref().ok_or(ChangeError::Off)?;
        let changes = plan(&active.engine, self.clock.now_ms())?.into_iter().map(|silence| {
            let said = of(&active.engine, &silence);
            (silence, said)
        });
        let changes = changes.collect();
        Ok(Planned { store: Arc::clone(&active.store), life: Arc::clone(&active.life), changes })
    }

    /// Tells each integration of a receiver of an alert that is made up, now. Gives what became of it; none when there are
    /// too many tests already.
    pub(super) async fn test(
        &self,
        receiver: Arc<ReceiverConfig>,
        outside: Outside,
        alert: HeldAlert,
    ) -> Option<Vec<Arc<Delivered>>> {
        let _place = self.tests.try_acquire().ok()?;
        let told = ToldAlert { alert: Arc::new(alert), resolved: false };
        let group_labels =
            Labels::from_pairs([("alertname", told.alert.labels.get("alertname").unwrap_or_default())]);
        let mut done = Vec::new();
        for (place, integration) in receiver.integrations.iter().enumerate() {
            let began = Instant::now();
            let delivery = Delivery {
                receiver: Arc::clone(&receiver),
                integration: place,
                group_key: "{}:{test}".into(),
                group_labels: group_labels.clone(),
                alerts: vec![told.clone()],
            };
            let (now, stopped) = (self.clock.now_ms(), self.stopped.subscribe());
            let lane = Semaphore::new(1);
            let outcome = delivery.run(&outside, &lane, now, TEST_TIME, stopped).await;
            let delivered = Delivered {
                at_ms: self.clock.now_ms(),
                receiver: receiver.name.clone(),
                integration: integration.kind(),
                place,
                group_labels: group_labels.clone(),
                firing: 1,
                resolved: 0,
                alerts: vec![told.alert.labels.clone()],
                error: outcome.result.err().map(|failure| failure.to_string()),
                took: began.elapsed(),
                attempts: outcome.attempts,
                is_test: true,
            };
            self.remember(delivered.clone(), &receiver);
            done.push(Arc::new(delivered));
        }
        Some(done)
    }
}

impl AlertSink for Shared {
    fn is_open(&self) -> bool {
        lock(&self.state).as_ref().is_some_and(|active| !active.is_silent)
    }

    fn take(&self, alerts: &[Arc<Alert>]) {
        let now = self.clock.now_ms();
        let held = |alert: &Arc<Alert>| HeldAlert {
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            starts_at: alert.starts_at_ms,
            ends_at: alert.ends_at_ms,
            end_is_assumed: false,
            updated_at: now,
            generator_url: alert.generator_url.clone(),
        };
        // What was not taken is counted.
        let _ = self.take(alerts.iter().map(held));
    }
}
