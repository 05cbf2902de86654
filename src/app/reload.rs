//! Reload: prepare everything, then commit. All or nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use super::settings::Settings;
use crate::config::{self, Config, LoadOptions, Mode};
use crate::notify::{self, Notifier};
use crate::receivers::{self, Receivers};
use crate::rules::{self, RuleManager};
use crate::scrape::{self, ScrapeManager};
use crate::telemetry::metrics::{FloatGauge, Gauge};
use crate::telemetry::{JsonLogError, JsonLogs, Registry};
use crate::tsdb;
use crate::web::ApiState;
use crate::web::state::ReloadState;

/// Why a configuration is not applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The file is refused.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The database cannot keep or take what the file says.
    #[error(transparent)]
    Storage(#[from] tsdb::Error),
    /// Scraping cannot be set up as the file says.
    #[error(transparent)]
    Scrape(#[from] scrape::Error),
    /// A rule file is refused.
    #[error(transparent)]
    Rules(#[from] rules::Error),
    /// Notification cannot be set up as the file says.
    #[error(transparent)]
    Notify(#[from] notify::Error),
    /// Receivers cannot be set up as the file says.
    #[error(transparent)]
    Receivers(#[from] receivers::Error),
    /// The log of queries cannot be written.
    #[error("query_log_file: {0}")]
    QueryLog(#[from] JsonLogError),
}

/// Whether and when the last reload was applied.
#[derive(Debug, Default)]
pub struct ReloadMetrics {
    successful: Gauge,
    applied_seconds: FloatGauge,
}

impl ReloadMetrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let r = registry.sub_registry_with_prefix("prometheus_config");
        let help = "Whether the last configuration reload was applied";
        r.register("last_reload_successful", help, metrics.successful.clone());
        let help = "When a configuration was applied last, seconds since the epoch";
        r.register("last_reload_success_timestamp_seconds", help, metrics.applied_seconds.clone());
        metrics
    }
}

/// Loads the configuration `settings` name; without a file the server scrapes the first of `addresses`: itself.
///
/// # Errors
/// When the file is refused.
pub fn load(settings: &Settings, addresses: &[SocketAddr]) -> Result<Config, ReloadError> {
    if let Some(path) = &settings.config_file {
        return Ok(config::load(
            path,
            &LoadOptions {
                expand_env: settings.expand_env,
                // Only few texts say when counting began.
                protobuf_first: settings.created_zeros || settings.tsdb.start_timestamps,
                extra_scrape_metrics: settings.extra_scrape_metrics,
                mode: Mode::Server,
            },
        )?);
    }
    let port = addresses.first().map_or(9090, SocketAddr::port);
    let prefix = settings.site.route_prefix();
    Ok(Config::self_scrape(&format!("localhost:{port}"), prefix))
}

/// The components that configurations are applied to.
pub(super) type Parts = (ScrapeManager, RuleManager, Notifier, Receivers);

/// Applies configurations to the running components.
pub struct Reloader {
    settings: Settings,
    addresses: Vec<SocketAddr>,
    state: Arc<ApiState>,
    scrape: ScrapeManager,
    rules: RuleManager,
    notify: Notifier,
    receivers: Receivers,
    metrics: ReloadMetrics,
    query_logs: JsonLogs,
}

impl Reloader {
    pub(super) fn new(
        settings: Settings,
        addresses: Vec<SocketAddr>,
        state: Arc<ApiState>,
        (scrape, rules, notify, receivers): Parts,
        metrics: ReloadMetrics,
    ) -> Self {
        let query_logs = JsonLogs::counting(state.engine.query_log().failures());
        Self { settings, addresses, state, scrape, rules, notify, receivers, metrics, query_logs }
    }

    /// The components, and the log of queries, which is still written to.
    pub(super) fn into_parts(self) -> (Parts, JsonLogs) {
        ((self.scrape, self.rules, self.notify, self.receivers), self.query_logs)
    }

    /// Loads the file again and applies it. The outcome is logged and counted.
    ///
    /// # Errors
    /// When it is refused; everything stays as it was.
    pub(super) async fn reload(&mut self) -> Result<(), ReloadError> {
        let applied = match load(&self.settings, &self.addresses) {
            Ok(config) => self.apply(config).await,
            Err(error) => Err(error),
        };
        match &applied {
            Ok(()) => tracing::info!("configuration reloaded"),
            Err(error) => {
                if let ReloadError::Config(error) | ReloadError::Rules(rules::Error::File(error)) = error {
                    error.each().iter().for_each(|error| tracing::error!("{error}"));
                    tracing::error!("configuration reload failed; keeping the previous configuration");
                } else {
                    tracing::error!(%error, "configuration reload failed; keeping the previous configuration");
                }
                self.metrics.successful.set(0);
                let old = **self.state.reload_state.load();
                self.state.reload_state.store(Arc::new(ReloadState { successful: false, ..old }));
            }
        }
        applied
    }

    /// Applies `config`: first everything that can fail, then everything that cannot.
    pub(super) async fn apply(&mut self, config: Config) -> Result<(), ReloadError> {
        let scrape = self.scrape.prepare(&config)?;
        let rules = self.rules.prepare(&config)?;
        let notify = self.notify.prepare(&config)?;
        let receivers = self.receivers.prepare(&config, rules.longest_interval(&config))?;
        let query_logs = self.query_logs.prepare(&config.global.query_log_file)?;
        self.state.db.set_limits(self.settings.limits(&config))?;

        self.scrape.commit(scrape).await;
        // Whom to tell comes before what to tell.
        self.notify.commit(notify).await;
        self.receivers.commit(receivers);
        self.query_logs = query_logs.keep();
        let query_log = config.global.query_log_file.as_ref().and_then(|path| self.query_logs.get(path));
        self.state.engine.query_log().set(query_log.cloned());
        self.rules.commit(rules);
        self.state.engine.set_default_step(self.settings.engine_options(&config).default_step_ms);
        self.state.config.store(Arc::new(config));
        let now = self.state.clock.now_ms();
        self.state.reload_state.store(Arc::new(ReloadState { successful: true, applied_ms: now }));
        self.metrics.successful.set(1);
        self.metrics.applied_seconds.set(now as f64 / 1000.0);
        Ok(())
    }
}
