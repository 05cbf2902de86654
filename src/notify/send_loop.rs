//! One Alertmanager over time: what waits for it is sent in batches, one after another.
//!
//! A request that fails for a reason that may pass is made again, less and less often, with what came meanwhile; an
//! alert is given up after some attempts. What is too large for an Alertmanager is sent in halves from then on. Nobody
//! waits for this but this Alertmanager.
//!
//! **Locking**: one mutex around the queue, never held across an await.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::alert::{self, Alert};
use super::metrics::LoopMetrics;
use super::post::Post;
use super::queue::{Added, Entry, Queue};
use crate::net::PostError;
use crate::telemetry::Restarts;
use crate::util::lock::lock;

/// An alert is given up after so many attempts. With the pauses between them that is a minute and a half and more, in
/// which a firing alert is told anew, and less than the four minutes for which it is good.
const MAX_ATTEMPTS: u32 = 8;
/// Pause after the first failure; each further one in a row doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// When a loop has to be over; none as long as it goes on.
pub(super) type End = Option<Instant>;

/// How requests are made.
pub(super) struct Delivery {
    pub(super) post: Arc<dyn Post>,
    /// Time a request may take.
    pub(super) timeout: Duration,
}

/// Sends alerts to one Alertmanager.
pub(super) struct SendLoop {
    pub(super) url: String,
    /// Alerts of one request at most; less once a request was too large.
    batch_size: AtomicUsize,
    queue: Mutex<Queue>,
    wake: Notify,
    /// May be changed at any time; the next request is made that way.
    pub(super) delivery: ArcSwap<Delivery>,
    metrics: LoopMetrics,
    panics: Restarts,
}

impl SendLoop {
    /// A loop with an empty queue of `capacity` alerts.
    pub(super) fn new(
        url: String,
        capacity: usize,
        batch_size: usize,
        delivery: Delivery,
        metrics: LoopMetrics,
        panics: Restarts,
    ) -> Self {
        Self {
            url,
            batch_size: AtomicUsize::new(batch_size),
            queue: Mutex::new(Queue::new(capacity)),
            wake: Notify::new(),
            delivery: ArcSwap::from_pointee(delivery),
            metrics,
            panics,
        }
    }

    /// Takes alerts to be sent. Never waits for anything that is sent.
    pub(super) fn push(&self, alerts: &[Arc<Alert>]) {
        let (added, was_full) = self.change(|queue| queue.push(alerts));
        if added.dropped > 0 && !was_full {
            tracing::warn!(
                alertmanager = self.url,
                dropped = added.dropped,
                "alert queue full; dropping the oldest alerts"
            );
        }
        self.wake.notify_one();
    }

    /// Changes the queue and counts what comes of it; tells besides whether alerts had been dropped the time before.
    fn change(&self, with: impl FnOnce(&mut Queue) -> Added) -> (Added, bool) {
        let mut queue = lock(&self.queue);
        let before = queue.len();
        let added = with(&mut queue);
        let was_full = std::mem::replace(&mut queue.overflowed, added.dropped > 0);
        self.count_waiting(before, queue.len());
        drop(queue);
        self.metrics.replaced.inc_by(added.replaced as u64);
        self.metrics.dropped.inc_by(added.dropped as u64);
        (added, was_full)
    }

    /// Two loops may share a gauge, so that it is told of changes only.
    fn count_waiting(&self, before: usize, after: usize) {
        let signed = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.queue_length.inc_by(signed(after) - signed(before));
    }

    /// Sends what waits, once `before` is over, until `end` is set; then goes on until nothing waits, or until that time.
    pub(super) async fn run(&self, before: impl Future<Output = ()>, end: watch::Receiver<End>) {
        let mut deadline = end.clone();
        let over = async {
            // Who forgets to say when it has to be over means now.
            let at = deadline.wait_for(Option::is_some).await.ok().and_then(|at| *at);
            sleep_until(at.unwrap_or_else(Instant::now)).await;
        };
        let what = format!("sending alerts to {}", self.url);
        let send = async {
            before.await;
            while self.panics.guard_future(&what, self.deliver(end.clone())).await.is_none() {
                sleep(FIRST_PAUSE).await;
            }
        };
        tokio::select! {
            () = send => {}
            () = over => {}
        }
        let lost = {
            let mut queue = lock(&self.queue);
            self.count_waiting(queue.len(), 0);
            queue.close()
        };
        if lost > 0 {
            self.metrics.dropped.inc_by(lost as u64);
            tracing::warn!(alertmanager = self.url, lost, "alerts left unsent at shutdown");
        }
    }

    async fn deliver(&self, mut end: watch::Receiver<End>) {
        let mut failures = 0;
        while let Some(batch) = self.next_batch(&mut end).await {
            let Err(error) = self.send(&batch).await else {
                if failures > 0 {
                    tracing::info!(alertmanager = self.url, "Alertmanager is accepting alerts again");
                }
                failures = 0;
                continue;
            };
            if error.is_too_large() && self.halve(batch.len()) {
                let (count, size) = (batch.len(), self.batch_size.load(Ordering::Relaxed));
                tracing::warn!(alertmanager = self.url, count, size, %error, "sending smaller batches of alerts");
                self.metrics.errors.inc_by(count as u64);
                let (added, _) = self.change(|queue| queue.give_back(batch));
                if added.dropped > 0 {
                    tracing::warn!(alertmanager = self.url, dropped = added.dropped, "alert queue full");
                }
                continue;
            }
            let (count, may_pass) = (batch.len(), error.may_pass());
            let given_up = self.failed(batch, may_pass);
            if failures == 0 || given_up > 0 {
                tracing::warn!(alertmanager = self.url, count, given_up, %error, "failed to send alerts");
            } else {
                tracing::debug!(alertmanager = self.url, count, %error, "failed to send alerts");
            }
            if !may_pass {
                continue;
            }
            failures += 1;
            let ending = end.borrow().is_some();
            tokio::select! {
                () = sleep(pause(failures)) => {}
                // The last attempts are not put off.
                _ = end.changed(), if !ending => failures = 0,
            }
        }
    }

    /// After a request with so many alerts was too large: whether fewer are sent at once from now on.
    fn halve(&self, count: usize) -> bool {
        if count > 1 {
            self.batch_size.store(count / 2, Ordering::Relaxed);
        }
        count > 1
    }

    /// What to send next; none when it is over.
    async fn next_batch(&self, end: &mut watch::Receiver<End>) -> Option<Vec<Entry>> {
        loop {
            {
                let mut queue = lock(&self.queue);
                let before = queue.len();
                let batch = queue.take(self.batch_size.load(Ordering::Relaxed));
                self.count_waiting(before, queue.len());
                if !batch.is_empty() {
                    return Some(batch);
                }
            }
            if end.borrow_and_update().is_some() {
                return None;
            }
            tokio::select! {
                () = self.wake.notified() => {}
                changed = end.changed() => changed.ok()?,
            }
        }
    }

    async fn send(&self, batch: &[Entry]) -> Result<(), PostError> {
        let body = Bytes::from(alert::encode(batch.iter().map(|entry| &*entry.alert)));
        let delivery = self.delivery.load_full();
        let begun = Instant::now();
        timeout(delivery.timeout, delivery.post.post(&self.url, body))
            .await
            .unwrap_or(Err(PostError::Timeout(delivery.timeout)))?;
        lock(&self.queue).done();
        self.metrics.latency.observe(begun.elapsed().as_secs_f64());
        self.metrics.sent.inc_by(batch.len() as u64);
        Ok(())
    }

    /// Puts alerts back that may be sent later; returns how many are given up.
    fn failed(&self, mut batch: Vec<Entry>, may_pass: bool) -> usize {
        let count = batch.len();
        self.metrics.errors.inc_by(count as u64);
        batch.iter_mut().for_each(|entry| entry.attempts += 1);
        batch.retain(|entry| may_pass && entry.attempts < MAX_ATTEMPTS);
        let given_up = count - batch.len();
        self.metrics.dropped.inc_by(given_up as u64);
        let (added, _) = self.change(|queue| queue.give_back(batch));
        given_up + added.dropped
    }
}

/// How long to wait after so many failures in a row.
fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1u32.checked_shl(failures - 1).unwrap_or(u32::MAX)).min(MAX_PAUSE)
}

#[cfg(test)]
#[path = "send_loop_tests.rs"]
mod tests;
