//! What the groups share: where they read and write, whom they tell, how they are set.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::{BoxFuture, Shared as SharedFuture};

use super::Error;
use super::backend::DbBackend;
use super::evaluate::External;
use super::metrics::RuleMetrics;
use super::restore::Tolerance;
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
    pub(super) lane: Lane,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) notify: NotifyHandle,
    pub(super) options: RuleOptions,
    pub(super) store: Store,
    pub(super) metrics: RuleMetrics,
    pub(super) external: ArcSwap<External>,
    pub(super) query_offset: ArcSwap<Duration>,
    /// Ends queries when the server stops.
    pub(super) stop: StopToken,
    /// When the storage answers.
    pub(super) ready: SharedFuture<BoxFuture<'static, ()>>,
}

impl Shared {
    /// Counts and logs a failure of the store.
    pub(super) fn stored(&self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.metrics.store_failures.inc();
            tracing::error!(%error, "failed to store alert states; a restart now would lose the latest changes");
        }
    }
}
