//! The seam: a mechanism finds targets and hands them on, group by group.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{GroupSender, TargetGroup};

/// Finds targets in one way, for as long as somebody wants them.
pub trait Discoverer: Send + Sync {
    /// What it asks, for people.
    fn what(&self) -> String;

    /// Hands every group it knows to `groups`, and again each one that changes, and says how it fares. Runs until it is
    /// dropped; when it fails, the groups that were handed on stay. It is begun anew should it end or panic.
    fn run<'a>(&'a self, groups: &'a GroupSender) -> BoxFuture<'a, ()>;
}

/// Finds targets by asking for all of them now and then.
pub trait Refresh: Send + Sync {
    /// What it asks, for people.
    fn what(&self) -> String;

    /// Everything there is now, or why that is not known.
    fn refresh(&self) -> BoxFuture<'_, Result<Vec<TargetGroup>, String>>;
}

/// Asks at a fixed pace.
#[derive(Debug)]
pub(super) struct Polling<R> {
    pub(super) source: R,
    /// How often. A source lets no single answer take longer.
    pub(super) pace: Duration,
}

/// A refresh of many requests may take as long, or [`MAX_PACES`].
const MIN_PATIENCE: Duration = Duration::from_secs(600);
const MAX_PACES: u32 = 10;

impl<R: Refresh> Discoverer for Polling<R> {
    fn what(&self) -> String {
        self.source.what()
    }

    fn run<'a>(&'a self, groups: &'a GroupSender) -> BoxFuture<'a, ()> {
        Box::pin(async {
            let mut timer = interval(self.pace);
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                timer.tick().await;
                let begun = Instant::now();
                let patience = MIN_PATIENCE.max(self.pace.saturating_mul(MAX_PACES));
                match tokio::time::timeout(patience, self.source.refresh()).await {
                    Ok(Ok(found)) => {
                        groups.replace(found);
                        groups.succeeded(Some(begun.elapsed()), Some(self.pace));
                    }
                    Ok(Err(reason)) => groups.failed(&reason, Some(self.pace)),
                    Err(_) => {
                        groups.failed(&format!("no end within {patience:?}"), Some(self.pace));
                    }
                }
            }
        })
    }
}
