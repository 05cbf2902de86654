//! What handlers may use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use super::bodies::Room;
use super::measure::HttpMetrics;
use super::replay_end::ReplayEnd;
use super::reply::ApiError;
use super::site::Site;
use crate::config::Config;
use crate::discovery::DiscoveryManager;
use crate::lanes::Lanes;
use crate::notify::NotifyHandle;
use crate::promql::Engine;
use crate::receivers::ReceiversHandle;
use crate::remote::Receiver;
use crate::rules::RulesHandle;
use crate::scrape::ScrapeHandle;
use crate::telemetry::Registry;
use crate::tsdb::Tsdb;
use crate::util::Clock;

/// Asks the application to load its configuration again; the answer is the reason why not.
pub type ReloadRequest = oneshot::Sender<Result<(), String>>;

/// What became of the last reload.
#[derive(Debug, Clone, Copy)]
pub struct ReloadState {
    /// Whether it was applied.
    pub successful: bool,
    /// When a configuration was applied last, in milliseconds.
    pub applied_ms: i64,
}

/// Handles and settings, built once by the application.
pub struct ApiState {
    /// The database.
    pub db: Arc<Tsdb>,
    /// The query engine.
    pub engine: Arc<Engine>,
    /// What goes on at once, by kind.
    pub lanes: Lanes,
    /// The room for forms.
    pub forms: Room,
    /// The end of the replay of the log.
    pub replay_end: ReplayEnd,
    /// Longest time a query may take, waiting included.
    pub query_timeout: Duration,
    /// Targets and their metadata.
    pub scrape: ScrapeHandle,
    /// Where targets come from.
    pub discovery: Arc<DiscoveryManager>,
    /// Where Alertmanagers come from.
    pub alertmanager_discovery: Arc<DiscoveryManager>,
    /// Rules and alerts.
    pub rules: RulesHandle,
    /// The Alertmanagers.
    pub notify: NotifyHandle,
    /// Receivers that this server tells itself.
    pub receivers: ReceiversHandle,
    /// The configuration that is live.
    pub config: ArcSwap<Config>,
    /// The last reload.
    pub reload_state: ArcSwap<ReloadState>,
    /// Command line flags and their values.
    pub flags: BTreeMap<String, String>,
    /// Where and how page and API are served.
    pub site: Site,
    /// Where `/-/reload` is answered.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// Stopping this ends the server.
    pub quit: Arc<tokio::sync::Notify>,
    /// Whether `/-/reload` and `/-/quit` are allowed.
    pub lifecycle_enabled: bool,
    /// Whether data may be deleted and copied over HTTP.
    pub admin_enabled: bool,
    /// The remote write receiver, when it is on.
    pub receiver: Option<Receiver>,
    /// The server's own metrics.
    pub registry: Registry,
    /// HTTP metrics.
    pub http_metrics: HttpMetrics,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Start of the process in milliseconds.
    pub started_ms: i64,
    /// Whether the server answers queries.
    pub ready: AtomicBool,
    /// Whether it is going down.
    pub stopping: AtomicBool,
}

impl ApiState {
    /// Fails when the server does not answer queries yet, or no longer.
    pub(super) fn check_ready(&self) -> Result<(), ApiError> {
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(ApiError::not_ready(self.stopping.load(Ordering::Acquire)))
    }
}
