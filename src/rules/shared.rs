//! What the groups share: where they read and write, whom they tell, how they are set.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::{BoxFuture, Shared as SharedFuture};

use super::Error;
use super::backend::DbBackend;
use super::evaluate::External;
use super::metrics::RuleMetrics;
use super::restore::Tolerance;
use super::state::{GroupKey, RuleKey};
use super::store::Store;
use crate::lanes::Lane;
use crate::notify::NotifyHandle;
use crate::util::{Clock, StopToken};

/// Settings of rules, fixed for the life of the process.
#[derive(Debug, Clone)]
pub struct RuleOptions {
    /// Where the states of alerts are kept.
    pub folder: PathBuf,
    /// After a longer outage pending alerts begin anew.
    pub outage_tolerance: Duration,
    /// Alerts restored from series fire no earlier than this after the start.
    pub grace_period: Duration,
    /// How often an alert that fires is sent again.
    pub resend_delay: Duration,
    /// Where this server is reached from outside, without a slash at the end.
    pub external_url: String,
    /// The path of that.
    pub path_prefix: String,
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl RuleOptions {
    pub(super) fn tolerance(&self) -> Tolerance {
        Tolerance { outage: ms(self.outage_tolerance), grace: ms(self.grace_period) }
    }

    pub(super) fn resend_delay_ms(&self) -> i64 {
        ms(self.resend_delay)
    }
}

/// What the groups share.
pub(super) struct Shared {
    pub(super) backend: DbBackend,
    /// Places for groups: each evaluates in one.
    pub(super) groups: Lane,
    /// Further places, for rules that run beside others of their group.
    pub(super) lane: Lane,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) notify: NotifyHandle,
    pub(super) options: RuleOptions,
    pub(super) store: Store,
    pub(super) metrics: RuleMetrics,
    pub(super) external: ArcSwap<External>,
    pub(super) query_offset: ArcSwap<Duration>,
    /// The groups of the configuration, and what identifies their rules.
    pub(super) known: ArcSwap<HashMap<GroupKey, HashSet<RuleKey>>>,
    /// Groups whose alerts still wait to be restored from their series.
    pub(super) unrestored: AtomicUsize,
    /// Ends queries when the server stops.
    pub(super) stop: StopToken,
    /// When the storage answers.
    pub(super) ready: SharedFuture<BoxFuture<'static, ()>>,
}

impl Shared {
    /// A group no longer waits for its alerts; after the last one the store is established.
    pub(super) async fn restored_one(self: &Arc<Self>) {
        if self.unrestored.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let shared = Arc::clone(self);
        if let Ok(place) = self.groups.wait().await {
            let _ = place.run(move || shared.stored(shared.store.establish())).await;
        }
    }

    /// Counts and logs a failure of the store.
    pub(super) fn stored(&self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.metrics.store_failures.inc();
            tracing::error!(%error, "failed to store alert states; a restart now would lose the latest changes");
        }
    }
}
