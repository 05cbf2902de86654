//! One target: wait for its slot, fetch, hand the body to a blocking thread, note the outcome.
//!
//! A panic ends neither the server nor the target: it is logged, counted, and the loop starts again.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::fetch::{self, Fetch};
use super::ingest::{Ingest, Live, Summary};
use super::manager::ScrapeOptions;
use super::metrics::ScrapeMetrics;
use super::status::{Health, TargetState};
use super::timing::Slots;
use crate::config::ScrapeConfig;
use crate::model::format_duration;
use crate::tsdb::Tsdb;
use crate::util::Clock;
use crate::util::lock::lock;

/// Pause before a loop that panicked starts again.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// Whether a loop goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// It does.
    On,
    /// The target is gone: mark its series stale.
    Gone,
    /// Another loop takes the target over: leave its live series to it.
    Replaced,
    /// The server stops: leave everything as it is.
    Shutdown,
}

/// What all loops share.
pub(super) struct Shared {
    pub(super) db: Arc<Tsdb>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: ScrapeMetrics,
    pub(super) options: ScrapeOptions,
    /// Bodies that may be parsed at once.
    pub(super) threads: Semaphore,
    /// Differs between servers, so that two of them scrape at different moments.
    pub(super) seed: u64,
}

/// Where a loop leaves its live series for the one that replaces it.
pub(super) type Handover = Arc<Mutex<Option<Vec<Live>>>>;

/// One loop.
pub(super) struct ScrapeLoop {
    pub(super) shared: Arc<Shared>,
    pub(super) job: Arc<ScrapeConfig>,
    pub(super) state: Arc<TargetState>,
    pub(super) fetch: Arc<dyn Fetch>,
    /// Why no target of the job may be scraped, if so.
    pub(super) forbidden: Arc<Mutex<Option<String>>>,
    pub(super) inherit: Option<Handover>,
    pub(super) leave: Handover,
}

impl ScrapeLoop {
    /// Scrapes until told otherwise.
    pub(super) async fn run(self, mut run: watch::Receiver<Run>) {
        loop {
            let what = format!("scrape loop of {}", self.state.target.url);
            if self.shared.metrics.panics.guard_future(&what, self.scrape_on(&mut run)).await.is_some() {
                return;
            }
            lock(&self.state.last).health = Health::Down;
            // Whoever stops the loop ends the pause.
            let _ = tokio::time::timeout(AFTER_PANIC, run.wait_for(|run| *run != Run::On)).await;
        }
    }

    async fn scrape_on(&self, run: &mut watch::Receiver<Run>) {
        let Shared { db, clock, metrics, options, .. } = &*self.shared;
        let target = &self.state.target;
        let interval_ms = i64::try_from(target.interval.as_millis()).unwrap_or(i64::MAX);
        let slots = Slots::new(interval_ms, target.hash ^ self.shared.seed);
        let length = metrics
            .interval_length
            .get_or_create_owned(&vec![("interval".to_owned(), format_duration(target.interval))]);
        let mut ingest = Ingest::new(Arc::clone(&self.job), target.labels.clone(), *options, db);
        let mut buffers = Buffers::default();
        let mut last_start: Option<Instant> = None;
        let mut last_slot = None;
        let end = loop {
            let now_ms = clock.now_ms();
            let slot_ms = slots.next(last_slot, now_ms);
            last_slot = Some(slot_ms);
            let wait = Duration::from_millis(u64::try_from(slot_ms - now_ms).unwrap_or(0));
            if let Some(end) = ended(run, tokio::time::sleep(wait)).await {
                break end;
            }
            let start_ms = clock.now_ms();
            let at_ms = slots.align(slot_ms, start_ms);
            let started = Instant::now();
            if let Some(last) = last_start.replace(started) {
                length.observe((started - last).as_secs_f64());
            }
            let mut fetched = None;
            let work = async { fetched = Some(self.fetch(&mut buffers.body).await) };
            if let Some(end) = ended(run, work).await {
                break end;
            }
            let fetched = fetched.unwrap_or_else(|| Err("scrape was abandoned".to_owned()));
            if let Some(left) = self.inherit.as_ref().and_then(|handover| lock(handover).take()) {
                ingest.inherit(left);
            }
            // Closing the semaphore is not something anybody does.
            let permit = self.shared.threads.acquire().await;
            let (shared, job) = (Arc::clone(&self.shared), Arc::clone(&self.job));
            let blocking = tokio::task::spawn_blocking(move || {
                let Buffers { body, inflated } = &mut buffers;
                let opened = fetched.and_then(|fetched| {
                    fetch::open(&job, &fetched, body, inflated).map_err(|error| {
                        if matches!(error, fetch::FetchError::TooLarge(_)) {
                            shared.metrics.over_body_limit.inc();
                        }
                        error.to_string()
                    })
                });
                let summary = ingest.scrape(&shared.db, &shared.metrics, at_ms, opened, || started.elapsed());
                (ingest, buffers, summary)
            });
            let summary;
            (ingest, buffers, summary) = finished(blocking.await);
            drop(permit);
            self.note(start_ms, summary);
        };
        self.leave(ingest, end).await;
    }

    /// The body, or why there is none.
    async fn fetch(&self, body: &mut Vec<u8>) -> Result<fetch::Fetched, String> {
        body.clear();
        if let Some(reason) = &*lock(&self.forbidden) {
            return Err(reason.clone());
        }
        let target = &self.state.target;
        match tokio::time::timeout(target.timeout, self.fetch.fetch(&self.job, target, body)).await {
            Ok(Ok(fetched)) => Ok(fetched),
            Ok(Err(error)) => {
                if matches!(error, fetch::FetchError::TooLarge(_)) {
                    self.shared.metrics.over_body_limit.inc();
                }
                Err(error.to_string())
            }
            Err(_) => Err(format!("no complete answer within {}", format_duration(target.timeout))),
        }
    }

    fn note(&self, start_ms: i64, summary: Summary) {
        let mut last = lock(&self.state.last);
        let health = if summary.error.is_none() { Health::Up } else { Health::Down };
        let error = summary.error.unwrap_or_default();
        if health == Health::Down && last.health != Health::Down {
            tracing::debug!(url = self.state.target.url, error, "scrape failed");
        }
        last.health = health;
        last.error = error;
        last.started_ms = start_ms;
        last.duration_s = summary.duration.as_secs_f64();
        if let Some(families) = summary.families {
            last.families = families;
        }
    }

    async fn leave(&self, mut ingest: Ingest, end: Run) {
        if let Some(left) = self.inherit.as_ref().and_then(|handover| lock(handover).take()) {
            ingest.inherit(left);
        }
        match end {
            Run::On | Run::Shutdown => {}
            Run::Replaced => *lock(&self.leave) = Some(ingest.into_live()),
            Run::Gone => {
                let shared = Arc::clone(&self.shared);
                let blocking = tokio::task::spawn_blocking(move || {
                    ingest.end(&shared.db, &shared.metrics, shared.clock.now_ms());
                });
                finished(blocking.await);
            }
        }
    }
}

/// Buffers that go to the blocking thread and come back.
#[derive(Default)]
struct Buffers {
    body: Vec<u8>,
    inflated: Vec<u8>,
}

/// Does `work` unless the loop is told to end first; then says how.
async fn ended(run: &mut watch::Receiver<Run>, work: impl Future<Output = ()>) -> Option<Run> {
    tokio::select! {
        biased;
        end = run.wait_for(|run| *run != Run::On) => Some(end.map_or(Run::Shutdown, |end| *end)),
        () = work => None,
    }
}

/// The result of a blocking task; its panic goes on here.
fn finished<T>(joined: Result<T, tokio::task::JoinError>) -> T {
    match joined {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => panic!("blocking task ended without a result: {error}"),
        },
    }
}

#[cfg(test)]
#[path = "loop_tests.rs"]
mod tests;
