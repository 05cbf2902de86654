//! Wiring: builds every component, owns it, stops it in order.
//!
//! [`settings`] is what is fixed for the life of the process, [`reload`] applies configurations, [`signals`] turns
//! signals into requests, and `watcher` changes of the file. Starting is a reload from nothing: there is no second way to bring a configuration in.

mod listen;
pub mod reload;
pub mod settings;
pub mod signals;
mod watcher;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use crate::discovery::{DiscoveryManager, DiscoveryMetrics};
use crate::lanes::Lanes;
use crate::net::{Dialer, SystemResolver};
use crate::notify::Notifier;
use crate::promql::Engine;
use crate::receivers::Receivers;
use crate::remote::Receiver;
use crate::rules::{self, DbBackend, RuleManager};
use crate::scrape::{self, ScrapeManager, ScrapeOptions};
use crate::telemetry::Registry;
use crate::telemetry::log::LogCollector;
use crate::telemetry::metrics::{Family, Gauge};
use crate::telemetry::process::ProcessCollector;
use crate::tsdb::{self, Tsdb};
use crate::util::{Clock, SystemClock};
use crate::web::state::ReloadState;
use crate::web::{self, ApiState};
use reload::Reloader;
pub use settings::Settings;
use watcher::Watcher;

/// How long open requests may take to finish when the server goes down.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// What keeps the server from starting, or made it stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] reload::ReloadError),
    /// The database does not open or close.
    #[error("storage: {0}")]
    Storage(#[from] tsdb::Error),
    /// The states of alerts cannot be read.
    #[error(transparent)]
    Rules(#[from] rules::Error),
    /// Scraping cannot be set up.
    #[error(transparent)]
    Scrape(#[from] scrape::Error),
    /// A signal handler cannot be installed, or a task failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A component failed in a way that is a bug.
    #[error("{0} failed")]
    Failed(&'static str),
}

/// A running server.
pub struct App {
    addresses: Vec<SocketAddr>,
    state: Arc<ApiState>,
    discovery: [Arc<DiscoveryManager>; 2],
    reloader: Reloader,
    reload_requests: mpsc::Receiver<web::ReloadRequest>,
    servers: JoinSet<std::io::Result<()>>,
    watcher: Watcher,
    stop_servers: watch::Sender<bool>,
}

impl App {
    /// Opens the database, loads the configuration, starts scraping and listening.
    ///
    /// # Errors
    /// When one of these is refused; nothing keeps running then.
    pub async fn start(settings: Settings) -> Result<Self, AppError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let started_ms = clock.now_ms();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessCollector {
            start_time_seconds: started_ms as f64 / 1000.0,
        }));
        registry.register_collector(Box::new(LogCollector));
        register_build_info(&mut registry);

        // Listening comes first: a second server on the port must not touch the data.
        let (listeners, addresses) = bind(&settings.listen).await?;
        // Before the file is read: what changes from now on is new.
        let watcher = Watcher::new(&settings);
        let first = reload::load(&settings, &addresses)?;

        let (mut options, db_clock) = (settings.tsdb.clone(), Arc::clone(&clock));
        options.limits = settings.limits(&first);
        let (db, mut registry) = tokio::task::spawn_blocking(move || {
            Tsdb::begin(options, db_clock, &mut registry).map(|db| (Arc::new(db), registry))
        })
        .await
        .map_err(|_| AppError::Failed("opening the database"))??;

        let type_and_unit_labels = settings.features.type_and_unit_labels;
        let options = ScrapeOptions {
            type_and_unit_labels,
            created_zeros: settings.created_zeros,
            starts: settings.tsdb.start_timestamps,
        };
        let resolver = Arc::new(SystemResolver::new(settings.net.dns_server));
        let discovery_metrics = DiscoveryMetrics::new(&mut registry);
        let dialer = Arc::new(Dialer::new(resolver.clone()));
        let manager = |user, metrics| {
            Arc::new(DiscoveryManager::new(user, resolver.clone(), Arc::clone(&dialer), metrics))
        };
        let discovery = manager("scrape", discovery_metrics.clone());
        let alertmanagers = manager("notify", discovery_metrics);
        let scrape = ScrapeManager::new(
            Arc::clone(&db),
            Arc::clone(&discovery),
            Arc::clone(&dialer),
            options,
            Arc::clone(&clock),
            &mut registry,
        )?;
        let site = web::Site::new(&settings.site, &addresses);
        let receivers = Receivers::new(
            Arc::clone(&dialer),
            settings.receiver_options(&site),
            Arc::clone(&clock),
            &mut registry,
        );
        let notify = Notifier::new(
            Arc::clone(&alertmanagers),
            dialer,
            settings.notify,
            Some(receivers.sink()),
            &mut registry,
        );
        let engine = Arc::new(Engine::new(settings.engine_options(&first)));
        engine.query_log().register(&mut registry);
        let queries = Arc::clone(&engine);
        db.exclude_memory(move || (queries.memory_used() + queries.kept_bytes()) as u64);
        let lanes = Lanes::new(settings.query_concurrency, settings.rule_concurrency);
        let replay_end = web::replay_end(&db);
        let rules = RuleManager::new(
            DbBackend { engine: Arc::clone(&engine), db: Arc::clone(&db) },
            (lanes.groups.clone(), lanes.rules.clone()),
            replay_end.clone(),
            notify.handle(),
            settings.rule_options(&site),
            Arc::clone(&clock),
            &mut registry,
        )?;
        let (reload, reload_requests) = mpsc::channel(4);
        let receiver = settings.remote_write_receiver.then(|| {
            Receiver::new(Arc::clone(&db), &mut registry).with_type_and_unit_labels(type_and_unit_labels)
        });
        let http_metrics = web::HttpMetrics::new(&mut registry);
        let forms = web::forms();
        let connections = web::Connections::new(
            settings.max_connections,
            settings.read_timeout,
            forms.clone(),
            &mut registry,
        );
        let reload_metrics = reload::ReloadMetrics::new(&mut registry);
        let state = Arc::new(ApiState {
            forms,
            replay_end,
            db,
            engine,
            lanes,
            rules: rules.handle(),
            query_timeout: settings.query_timeout,
            scrape: scrape.handle(),
            discovery: Arc::clone(&discovery),
            alertmanager_discovery: Arc::clone(&alertmanagers),
            notify: notify.handle(),
            receivers: receivers.handle(),
            config: ArcSwap::from_pointee(first),
            reload_state: ArcSwap::from_pointee(ReloadState { successful: false, applied_ms: 0 }),
            flags: settings.flags.clone(),
            site,
            reload,
            quit: Arc::new(Notify::new()),
            lifecycle_enabled: settings.lifecycle,
            admin_enabled: settings.admin,
            receiver,
            registry,
            http_metrics,
            clock,
            started_ms,
            ready: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        });
        let mut reloader = Reloader::new(
            settings,
            addresses.clone(),
            Arc::clone(&state),
            (scrape, rules, notify, receivers),
            reload_metrics,
        );
        let first = (**state.config.load()).clone();
        reloader.apply(first).await?;

        let (stop_servers, stopped) = watch::channel(false);
        let mut servers = JoinSet::new();
        let router = web::router(Arc::clone(&state));
        for listener in listeners {
            let mut stopped = stopped.clone();
            let serve = web::serve(listener, router.clone(), connections.clone(), async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            });
            servers.spawn(serve);
        }
        state.ready.store(true, Ordering::Release);
        for address in &addresses {
            tracing::info!(%address, "server is ready to receive web requests");
        }
        let discovery = [discovery, alertmanagers];
        Ok(Self { addresses, state, discovery, reloader, reload_requests, servers, watcher, stop_servers })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Runs until `shutdown` ends or `/-/quit` is called, reloading on request, then stops everything in order.
    /// `reload` yields once for each reload asked for from outside; its end means there will be none.
    ///
    /// # Errors
    /// When a listener fails, or the database cannot be closed cleanly.
    pub async fn run(
        mut self,
        mut reload: mpsc::Receiver<()>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), AppError> {
        let mut shutdown = std::pin::pin!(shutdown);
        let quit = Arc::clone(&self.state.quit);
        let db = Arc::clone(&self.state.db);
        let mut replay = JoinSet::new();
        replay.spawn_blocking(move || db.wait());
        let failed = loop {
            tokio::select! {
                Some(Ok(Err(error))) = replay.join_next() => break Some(AppError::Storage(error)),
                () = &mut shutdown => break None,
                () = quit.notified() => break None,
                Some(()) = reload.recv() => {
                    // The outcome is logged and counted inside.
                    let _ = self.reload().await;
                }
                () = self.watcher.changed() => {
                    tracing::info!("configuration file changed");
                    let _ = self.reload().await;
                }
                Some(answer) = self.reload_requests.recv() => {
                    let done = self.reload().await.map_err(|error| error.to_string());
                    let _ = answer.send(done);
                }
                Some(ended) = self.servers.join_next() => {
                    let source = match ended {
                        Ok(Err(source)) => source,
                        _ => std::io::Error::other("the listener ended"),
                    };
                    break Some(AppError::Io { action: "serve web requests", source });
                }
            }
        };
        let stopped = self.stop().await;
        drop(replay);
        failed.map_or(stopped, Err)
    }

    /// Loads the files again and applies them. What changes from here on is new.
    async fn reload(&mut self) -> Result<(), reload::ReloadError> {
        self.watcher.look(&self.state.config.load());
        self.reloader.reload().await
    }

    /// Not ready, scraping and rules end, alerts that wait are sent, open requests finish, the database closes.
    async fn stop(mut self) -> Result<(), AppError> {
        tracing::info!("shutting down");
        // Reloads that were asked for and not begun are answered: there will be none.
        drop(self.reload_requests);
        self.state.db.give_up_replay();
        self.state.stopping.store(true, Ordering::Release);
        self.state.ready.store(false, Ordering::Release);
        let ((scrape, rules, notify, receivers), query_logs) = self.reloader.into_parts();
        scrape.stop().await;
        rules.stop().await;
        notify.stop().await;
        receivers.stop().await;
        for discovery in &self.discovery {
            discovery.stop().await;
        }
        let _ = self.stop_servers.send(true);
        let drained = async { while self.servers.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::warn!("open requests did not finish in time; closing their connections");
            self.servers.shutdown().await;
        }
        self.state.engine.query_log().set(None);
        let db = Arc::clone(&self.state.db);
        let close = move || {
            query_logs.close();
            db.close()
        };
        tokio::task::spawn_blocking(close).await.map_err(|_| AppError::Failed("closing the database"))??;
        tracing::info!("shutdown complete");
        Ok(())
    }
}

async fn bind(addresses: &[String]) -> Result<(Vec<TcpListener>, Vec<SocketAddr>), AppError> {
    let (mut listeners, mut bound) = (Vec::new(), Vec::new());
    for address in addresses {
        let failed = |source| AppError::Listen { address: address.clone(), source };
        let listener = listen::listen(address).await.map_err(failed)?;
        bound.push(listener.local_addr().map_err(failed)?);
        listeners.push(listener);
    }
    Ok((listeners, bound))
}

fn register_build_info(registry: &mut Registry) {
    let info: Family<Vec<(String, String)>, Gauge> = Family::default();
    info.get_or_create(&vec![("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]).set(1);
    registry.register("emberkeep_build_info", "The version of this server", info);
}
