//! One target: wait for its slot, fetch, store, note the outcome.
//!
//! A body is stored where it was read, which is a thread that only scrapes (see `threads`), as long as that is quickly
//! done; else a blocking thread does it.
//!
//! A panic ends neither the server nor the target: it is logged, counted, and the loop starts again.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::fetch::{self, Fetch, FetchError};
use super::handover::{Inbox, Leaving};
use super::ingest::Ingest;
use super::metrics::ScrapeMetrics;
use super::shared::Shared;
use super::status::{Health, Refused, TargetState};
use super::summary::{Failure, Summary};
use crate::config::ScrapeConfig;
use crate::expfmt::Encoding;
use crate::model::format_duration;
use crate::net::PreparedRequest;
use crate::util::lock::lock;
use crate::util::{Slots, brief};

/// Pause before a loop that panicked starts again.
const AFTER_PANIC: Duration = Duration::from_secs(1);
/// How often a loop that panics when it ends tries to; after that nobody marks its series.
const LEAVE_ATTEMPTS: u64 = 3;

/// Samples that are refused for their time are told this often for a target.
const TELL_AGAIN: Duration = Duration::from_secs(300);
/// A body that takes longer to store may hold up other targets once, not the next time.
const QUICK: Duration = Duration::from_millis(5);
/// Larger bodies are not expected to be stored quickly.
const MAX_QUICK_BYTES: usize = 256 << 10;
/// A thread that comes so much later than it wanted to was held up: what arrived meanwhile still counts.
const HELD_UP: Duration = Duration::from_millis(100);

/// Whether a loop goes on.
#[derive(Clone)]
pub(super) enum Run {
    /// It does.
    On,
    /// The target is gone, or another loop takes it over.
    Leave(Arc<Leaving>),
    /// The server stops: leave everything as it is.
    Shutdown,
}

/// One loop.
pub(super) struct ScrapeLoop {
    pub(super) intake: Intake,
    pub(super) state: Arc<TargetState>,
    pub(super) fetch: Arc<dyn Fetch>,
    /// Why no target of the job may be scraped, if so.
    pub(super) forbidden: Arc<Mutex<Option<String>>>,
}

/// What a loop stores with, on whatever thread.
#[derive(Clone)]
pub(super) struct Intake {
    pub(super) shared: Arc<Shared>,
    pub(super) job: Arc<ScrapeConfig>,
    /// Between two scrapes, and after them, others look into it.
    pub(super) ingest: Arc<Mutex<Ingest>>,
    pub(super) inbox: Arc<Inbox>,
}

/// What came of a request.
struct Got {
    fetched: Result<fetch::Fetched, Failure>,
    body: Vec<u8>,
    /// The time of its samples.
    at_ms: i64,
    started: Instant,
}

impl Intake {
    /// Stores a body, or that there is none; says how long that took.
    fn take(&self, got: &Got) -> (Summary, Duration) {
        let began = std::time::Instant::now();
        let mut ingest = lock(&self.ingest);
        ingest.inherit(self.inbox.take());
        let Shared { db, metrics, .. } = &*self.shared;
        let mut scrape = |opened: Result<(&[u8], Encoding), Failure>| {
            ingest.scrape(db, metrics, got.at_ms, opened, || got.started.elapsed())
        };
        let summary = match &got.fetched {
            Ok(fetched) => fetch::with_opened(&self.job, fetched, &got.body, |opened| {
                scrape(opened.map_err(|error| failure(metrics, &error)))
            }),
            Err(failure) => scrape(Err(failure.clone())),
        };
        (summary, began.elapsed())
    }
}

impl ScrapeLoop {
    /// Scrapes until told otherwise, then ends as it is told.
    pub(super) async fn run(self, mut run: watch::Receiver<Run>) {
        let what = format!("scrape loop of {}", self.state.target.url);
        let panics = &self.intake.shared.metrics.panics;
        let end = loop {
            if let Some(end) = panics.guard_future(&what, self.scrape_on(&mut run)).await {
                break end;
            }
            lock(&self.state.last).health = Health::Down;
            lock(&self.intake.ingest).begin_again(&self.intake.shared.db);
            // Whoever stops the loop ends the pause.
            let _ = timeout(AFTER_PANIC, run.wait_for(is_end)).await;
        };
        let Run::Leave(leaving) = end else { return };
        for attempt in 1..=LEAVE_ATTEMPTS {
            if panics.guard_future(&what, self.leave(&leaving)).await.is_some() {
                return;
            }
            lock(&self.intake.ingest).begin_again(&self.intake.shared.db);
            if attempt < LEAVE_ATTEMPTS {
                tokio::time::sleep(AFTER_PANIC).await;
            }
        }
    }

    /// Scrapes until told otherwise; says what it was told.
    async fn scrape_on(&self, run: &mut watch::Receiver<Run>) -> Run {
        let Shared { clock, metrics, .. } = &*self.intake.shared;
        let target = &self.state.target;
        let interval_ms = i64::try_from(target.interval.as_millis()).unwrap_or(i64::MAX);
        let slots = Slots::new(interval_ms, target.hash ^ self.intake.shared.seed);
        let length = metrics
            .interval_length
            .get_or_create_owned(&vec![("interval".to_owned(), format_duration(target.interval))]);
        // The first body makes series, and may find the database busy.
        let mut is_quick = false;
        let mut last_bytes = 0;
        let mut last_start: Option<Instant> = None;
        let mut last_slot = None;
        let request = fetch::request(&self.intake.job, target);
        loop {
            let now_ms = clock.now_ms();
            let slot_ms = slots.next(last_slot, now_ms);
            last_slot = Some(slot_ms);
            let wait = Duration::from_millis(u64::try_from(slot_ms - now_ms).unwrap_or(0));
            if let Some(end) = ended(run, tokio::time::sleep(wait)).await {
                return end;
            }
            let start_ms = clock.now_ms();
            let at_ms = slots.align(slot_ms, start_ms);
            let started = Instant::now();
            if let Some(last) = last_start.replace(started) {
                length.observe((started - last).as_secs_f64());
            }
            // Between two scrapes nobody needs it, and there are many targets.
            let mut body = Vec::with_capacity(last_bytes);
            let mut fetched = None;
            let work = async { fetched = Some(self.fetch(&request, &mut body).await) };
            if let Some(end) = ended(run, work).await {
                return end;
            }
            let fetched = fetched.unwrap_or_else(|| Err(Failure::new("scrape was abandoned")));
            last_bytes = body.len();
            let got = Got { fetched, body, at_ms, started };
            let (summary, took) = if is_quick && last_bytes <= MAX_QUICK_BYTES {
                self.intake.take(&got)
            } else {
                // Closing the semaphore is not something anybody does.
                let _permit = self.intake.shared.elsewhere.acquire().await;
                let intake = self.intake.clone();
                finished(tokio::task::spawn_blocking(move || intake.take(&got)).await)
            };
            is_quick = took < QUICK;
            self.note(start_ms, summary);
        }
    }

    /// The body, or why there is none.
    async fn fetch(
        &self,
        request: &Result<PreparedRequest, FetchError>,
        body: &mut Vec<u8>,
    ) -> Result<fetch::Fetched, Failure> {
        if let Some(reason) = &*lock(&self.forbidden) {
            return Err(Failure::new(reason.as_str()));
        }
        let target = &self.state.target;
        let metrics = &self.intake.shared.metrics;
        let request = request.as_ref().map_err(|error| failure(metrics, error))?;
        let due = Instant::now() + target.timeout;
        let mut fetching = self.fetch.fetch(&self.intake.job, target, request, body);
        let outcome = match timeout_at(due, &mut fetching).await {
            Err(_) if due.elapsed() > HELD_UP => timeout(HELD_UP, fetching).await,
            outcome => outcome,
        };
        match outcome {
            Ok(Ok(fetched)) => Ok(fetched),
            Ok(Err(error)) => Err(failure(metrics, &error)),
            Err(_) => {
                let timeout = format_duration(target.timeout);
                Err(Failure::new(format!("no complete answer within {timeout}")))
            }
        }
    }

    /// Logs in a file of its own why a scrape failed, if the job has such a file.
    fn log_failure(&self, error: &str) {
        let Some(path) = &self.intake.job.scrape_failure_log_file else { return };
        let logs = self.intake.shared.failure_logs.load();
        let Some(log) = logs.get(path) else { return };
        let time = jiff::Timestamp::from_millisecond(self.intake.shared.clock.now_ms())
            .map_or_else(|_| String::new(), |time| time.to_string());
        log.log(&serde_json::json!({
            "time": time, "level": "ERROR", "msg": error, "job_name": self.intake.job.job_name,
            "target": self.state.target.url,
        }));
    }

    fn note(&self, start_ms: i64, summary: Summary) {
        if let Some(error) = &summary.error {
            self.log_failure(error);
        }
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
        last.refused = summary.refused;
        if summary.refused != Refused::default() && last.logged_at.is_none_or(|at| at.elapsed() >= TELL_AGAIN)
        {
            last.logged_at = Some(Instant::now());
            let Refused { out_of_order, duplicate, too_old, too_far_ahead } = summary.refused;
            tracing::warn!(
                job = self.intake.job.job_name,
                url = self.state.target.url,
                out_of_order,
                duplicate,
                too_old,
                too_far_ahead,
                "samples of a scrape are not taken for their time; told again in a while if it goes on"
            );
        }
        let before = last.refused_series.take();
        last.refused_series = summary.refused_series.map(|mut refused| {
            // It is looked for now and then only.
            refused.explosion = refused.explosion.or_else(|| before.and_then(|before| before.explosion));
            refused
        });
        let due = last.quota_logged_at.is_none_or(|at| at.elapsed() >= TELL_AGAIN);
        if let Some(refused) = last.refused_series.as_ref().filter(|_| due) {
            let explosion = refused.explosion.as_ref();
            tracing::warn!(
                job = self.intake.job.job_name,
                url = self.state.target.url,
                series = refused.count,
                reason = %refused.reason,
                metric = explosion.map(|explosion| brief(&explosion.metric)),
                metric_series = explosion.map(|explosion| explosion.series),
                label = explosion.and_then(|explosion| explosion.label.as_deref()).map(brief),
                label_values = explosion.map(|explosion| explosion.values),
                "new series of a scrape are refused; told again in a while if it goes on"
            );
            last.quota_logged_at = Some(Instant::now());
        }
        if let Some(families) = summary.families {
            last.families = families;
        }
    }

    async fn leave(&self, leaving: &Arc<Leaving>) {
        let (leaving, intake) = (Arc::clone(leaving), self.intake.clone());
        // Thousands may leave at once; they take no more threads than scrapes do.
        let _permit = self.intake.shared.elsewhere.acquire().await;
        let blocking = tokio::task::spawn_blocking(move || {
            leaving.carry_out(&intake.shared, &intake.ingest, &intake.inbox);
        });
        finished(blocking.await);
    }
}

/// What a failure to get a body means for the scrape.
fn failure(metrics: &ScrapeMetrics, error: &fetch::FetchError) -> Failure {
    let too_large = matches!(error, fetch::FetchError::TooLarge(_));
    if too_large {
        metrics.over_body_limit.inc();
    }
    Failure { too_large, ..Failure::new(error.to_string()) }
}

fn is_end(run: &Run) -> bool {
    !matches!(run, Run::On)
}

/// Does `work` unless the loop is told to end first; then says how.
async fn ended(run: &mut watch::Receiver<Run>, work: impl Future<Output = ()>) -> Option<Run> {
    tokio::select! {
        biased;
        end = run.wait_for(is_end) => Some(end.map_or(Run::Shutdown, |end| end.clone())),
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
