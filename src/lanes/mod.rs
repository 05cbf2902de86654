//! Lanes: work of one kind has a number of places, so that it never takes the threads that other work waits for.
//!
//! Whoever asks the engine does it here, requests and rules alike; the engine itself knows nothing of the runtime.
//! The threads that may block are a pool of hundreds; all places together are far fewer. Scrapes and what else
//! has no lane find a thread whatever queries, writes and metadata do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::model::RegexBudget;
use crate::util::StopToken;

/// Places for what only looks at labels, exemplars, or at the text of a query.
const METADATA_PLACES: usize = 8;

/// Places for what operators ask: status, deletion, snapshots.
const ADMINISTRATION_PLACES: usize = 4;

/// Places for who makes, changes or ends silences: each may look at all alerts for some seconds.
const SILENCE_PLACES: usize = 2;

/// Places for whoever scrapes this server.
const METRICS_PLACES: usize = 2;

/// No place became free, or the work was not done, in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Late {
    /// No place became free.
    #[error("{0} timed out in {0} queue")]
    Queued(&'static str),
    /// The time was over, or nobody waited for the result any more.
    #[error("request timed out")]
    Over,
}

/// The lanes of a server.
#[derive(Debug, Clone)]
pub struct Lanes {
    /// Queries.
    pub queries: Lane,
    /// Bodies of remote write that are inflated and stored. As many as there are cores: more would only take memory.
    pub writes: Lane,
    /// Groups of rules: a heavy dashboard does not delay alerts. As many as queries.
    pub groups: Lane,
    /// Rules that are evaluated beside others of their group.
    pub rules: Lane,
    /// Labels, exemplars, metadata, and the text of queries.
    pub metadata: Lane,
    /// Changes of silences.
    pub silences: Lane,
    /// Status and administration.
    pub administration: Lane,
    /// The server's own metrics.
    pub metrics: Lane,
}

impl Lanes {
    /// Lanes with places for as many queries, and evaluations of rules.
    pub fn new(queries: usize, rules: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            writes: Lane::new("request", cores),
            queries: Lane::new("query", queries),
            groups: Lane::new("rule", queries),
            rules: Lane::new("rule", rules),
            metadata: Lane::new("request", METADATA_PLACES),
            silences: Lane::new("request", SILENCE_PLACES),
            administration: Lane::new("request", ADMINISTRATION_PLACES),
            metrics: Lane::new("request", METRICS_PLACES),
        }
    }
}

/// Places for work of one kind. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Lane {
    what: &'static str,
    places: Arc<Semaphore>,
    width: usize,
}

impl Lane {
    fn new(what: &'static str, width: usize) -> Self {
        Self { what, places: Arc::new(Semaphore::new(width)), width }
    }

    /// How much goes on at once at most.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// When there will be none any more.
    pub async fn wait(&self) -> Result<Place, AcquireError> {
        Arc::clone(&self.places).acquire_owned().await.map(Place)
    }

    /// Waits for a place, no longer than `timeout`.
    ///
    /// # Errors
    /// [`Late::Queued`].
    pub async fn enter(&self, timeout: Duration) -> Result<Place, Late> {
        match tokio::time::timeout(timeout, self.wait()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(Late::Queued(self.what)),
        }
    }
}

/// A place in a lane; free again when it is dropped.
#[derive(Debug)]
pub struct Place(OwnedSemaphorePermit);

impl Place {
    /// Runs `work` on a thread that may block. The place is held until it ends, whether or not somebody waits for it.
    pub fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        tokio::task::spawn_blocking(move || {
            let _held = self.0;
            work()
        })
    }
}

/// What is left of the time of a request that has a place.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    /// Stopped when nobody waits for the reply any more.
    pub stop: StopToken,
    /// When it has to be there.
    pub deadline: Option<Instant>,
    /// How long it has waited.
    pub queued: Duration,
}

impl Turn {
    /// Whether the work is to end.
    pub fn is_over(&self) -> bool {
        self.stop.is_stopped() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Fails when the work is to end.
    ///
    /// # Errors
    /// When the time is over, or nobody waits for the reply any more.
    pub fn check(&self) -> Result<(), Late> {
        if self.is_over() { Err(Late::Over) } else { Ok(()) }
    }

    /// What the regular expressions of the request may take.
    pub fn patterns(&self) -> RegexBudget {
        RegexBudget::until(self.deadline, self.stop.clone())
    }

    /// Time that is left.
    pub fn left(&self) -> Duration {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        self.deadline.map_or(Duration::MAX, left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_is_full_refuses_when_the_time_is_over() {
        let lanes = Lanes::new(1, 1);
        let long = Duration::from_secs(60);
        let place = lanes.queries.enter(long).await.expect("a place");
        let refused = lanes.queries.enter(long).await.expect_err("it is taken");
        assert_eq!(refused.to_string(), "query timed out in query queue");
        assert!(lanes.metadata.enter(long).await.is_ok(), "each lane has places of its own");
        drop(place);
        assert!(lanes.queries.enter(Duration::ZERO).await.is_ok());
    }

    #[tokio::test]
    async fn a_place_is_held_until_the_work_ends_also_when_nobody_waits() {
        let lanes = Lanes::new(1, 1);
        let place = lanes.queries.wait().await.expect("a place");
        let ((end, ends), (begin, begins)) =
            (std::sync::mpsc::channel::<()>(), tokio::sync::oneshot::channel());
        let work = place.run(move || {
            begin.send(()).expect("somebody listens");
            ends.recv().is_err()
        });
        begins.await.expect("it begins");
        // The client goes away.
        work.abort();
        drop(work);
        assert!(lanes.queries.enter(Duration::ZERO).await.is_err(), "the work goes on");
        drop(end);
        assert!(lanes.queries.enter(Duration::from_secs(60)).await.is_ok());
    }

    #[test]
    fn a_turn_ends_with_its_time_or_its_client() {
        let turn = Turn::default();
        assert!(turn.check().is_ok() && turn.left() == Duration::MAX);
        let late = Turn { deadline: Some(Instant::now()), ..turn.clone() };
        assert!(late.check().is_err() && late.left() == Duration::ZERO);
        turn.stop.stop();
        assert!(turn.check().is_err());
    }
}
