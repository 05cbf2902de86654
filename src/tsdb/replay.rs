//! How far the replay of the log is, and what an open database holds on to.

use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};

use super::error::{Error, Result};
use super::lock::DirLock;
use super::wal::reader::ReplayReport;
use crate::util::StopToken;
use crate::util::lock::lock;

/// What an open database holds on to until it is dropped.
pub(super) enum Held {
    /// The directory, for itself.
    Directory { _lock: DirLock },
    /// A copy, removed with it, of a directory that is only looked at.
    Copy { _lock: Option<DirLock>, _copy: tempfile::TempDir },
}

/// How far the replay is.
#[derive(Debug, Default)]
pub(super) struct ReplayState {
    state: Mutex<Progress>,
    done: Condvar,
    /// Stopping this ends the replay before the next file of the log.
    pub(super) give_up: StopToken,
}

#[derive(Debug, Default)]
pub(super) struct Progress {
    /// How it ended, once it has.
    outcome: Option<std::result::Result<Arc<ReplayReport>, String>>,
    /// Tasks that wait for that.
    wakers: Vec<Waker>,
}

impl Progress {
    fn judge(&self) -> Option<Result<()>> {
        Some(match self.outcome.as_ref()? {
            Ok(_) => Ok(()),
            Err(reason) => Err(Error::Replay { reason: reason.clone() }),
        })
    }
}

impl ReplayState {
    /// Tells everybody how it ended; gives back the report.
    pub(super) fn finish(
        &self,
        outcome: std::result::Result<ReplayReport, String>,
    ) -> Option<Arc<ReplayReport>> {
        let outcome = outcome.map(Arc::new);
        let report = outcome.as_ref().ok().cloned();
        let mut state = lock(&self.state);
        state.outcome = Some(outcome);
        state.wakers.drain(..).for_each(Waker::wake);
        self.done.notify_all();
        report
    }

    /// Whether it has ended.
    pub(super) fn is_done(&self) -> bool {
        lock(&self.state).outcome.is_some()
    }

    /// What it found, once it has ended well.
    pub(super) fn report(&self) -> Option<Arc<ReplayReport>> {
        lock(&self.state).outcome.as_ref().and_then(|outcome| outcome.as_ref().ok()).cloned()
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it failed.
    pub(super) fn wait(&self) -> Result<()> {
        let mut state = lock(&self.state);
        loop {
            match state.judge() {
                Some(ended) => return ended,
                None => state = self.done.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner),
            }
        }
    }

    /// Passes once it has ended; never waits.
    ///
    /// # Errors
    /// When it failed, or is still under way.
    pub(super) fn check(&self) -> Result<()> {
        lock(&self.state).judge().unwrap_or(Err(Error::Replaying))
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut state = lock(&self.state);
        if let Some(ended) = state.judge() {
            return Poll::Ready(ended);
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
