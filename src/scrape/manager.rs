//! `ScrapeManager`: runs the loops of all jobs. One coordinating task owns them all.
//!
//! A reload is [`ScrapeManager::prepare`], which may fail and changes nothing, then [`ScrapeManager::commit`], which
//! cannot fail. Jobs that did not change keep their loops, caches and slots.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::Error;
use super::families::FamilyTexts;
use super::fetch::{Fetch, ThreadClients};
use super::metrics::ScrapeMetrics;
use super::pool::{Pool, settle};
use super::shared::{ScrapeOptions, Shared};
use super::status::ScrapeHandle;
use super::threads::ScrapeThreads;
use super::timing::stable_hash;
use crate::config::{Config, HttpConfig};
use crate::discovery::{DiscoveryManager, PreparedSets, SetConfig, TargetSets};
use crate::net::{Dialer, HttpClient};
use crate::telemetry::{JsonLogs, PreparedJsonLogs, Registry};
use crate::tsdb::Tsdb;
use crate::util::Clock;
use crate::util::machine::host_name;

/// New target sets are gathered for this long before they are applied, because discoverers report one by one.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// How long running scrapes may take to end at shutdown.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Everything a reload needs, made without touching what runs.
pub struct Prepared {
    config: Config,
    clients: Clients,
    sets: PreparedSets,
    failure_logs: PreparedJsonLogs,
}

/// The clients of the jobs, by name; each has connections of its own.
type Clients = HashMap<String, (HttpConfig, Arc<dyn Fetch>)>;

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("jobs", &self.config.scrape_configs.len()).finish_non_exhaustive()
    }
}

enum Command {
    Apply(Box<Prepared>, oneshot::Sender<()>),
    Stop,
}

/// Runs scraping, and tells discovery what to find.
pub struct ScrapeManager {
    dialer: Arc<Dialer>,
    discovery: Arc<DiscoveryManager>,
    handle: ScrapeHandle,
    threads: Arc<ScrapeThreads>,
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
    failure_logs: Arc<ArcSwap<JsonLogs>>,
}

impl ScrapeManager {
    /// Starts without jobs. Must be called within the runtime. `discovery` gets the configurations from here, and
    /// belongs to the caller.
    ///
    /// # Errors
    /// When the system gives no threads to scrape on.
    pub fn new(
        db: Arc<Tsdb>,
        discovery: Arc<DiscoveryManager>,
        dialer: Arc<Dialer>,
        options: ScrapeOptions,
        clock: Arc<dyn Clock>,
        registry: &mut Registry,
    ) -> Result<Self, Error> {
        let metrics = ScrapeMetrics::new(registry);
        let handle = ScrapeHandle::new(metrics.panics.clone());
        let threads = Arc::new(ScrapeThreads::start()?);
        let (commands, receiver) = mpsc::channel(4);
        let failure_logs = Arc::<ArcSwap<JsonLogs>>::default();
        let coordinator = Coordinator {
            db,
            clock,
            metrics,
            options,
            threads: Arc::clone(&threads),
            shared: None,
            targets: discovery.targets(),
            discovery: Arc::clone(&discovery),
            config: Config::default(),
            clients: HashMap::new(),
            pools: BTreeMap::new(),
            tasks: JoinSet::new(),
            handle: handle.clone(),
            failure_logs: Arc::clone(&failure_logs),
            families: Arc::default(),
        };
        let task = tokio::spawn(coordinator.run(receiver));
        Ok(Self { dialer, discovery, handle, threads, commands, task, failure_logs })
    }

    /// Reads the status from anywhere.
    pub fn handle(&self) -> ScrapeHandle {
        self.handle.clone()
    }

    /// Makes everything `config` needs; nothing that runs is touched.
    ///
    /// # Errors
    /// When the HTTP client of a job cannot be set up.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, Error> {
        let mut clients = Clients::new();
        for job in &config.scrape_configs {
            let client = HttpClient::new(&job.http, Arc::clone(&self.dialer))
                .map_err(|source| Error::Client { job: job.job_name.clone(), source })?;
            let client = Arc::new(ThreadClients::new(&client, self.threads.count()));
            clients.insert(job.job_name.clone(), (job.http.clone(), client));
        }
        let sets = self.discovery.prepare(SetConfig::of_jobs(config)).map_err(Error::Discovery)?;
        let logs = config.scrape_configs.iter().filter_map(|job| job.scrape_failure_log_file.as_ref());
        let failure_logs = self.failure_logs.load().prepare(logs)?;
        Ok(Prepared { config: config.clone(), clients, sets, failure_logs })
    }

    /// Switches to what was prepared; returns when discovery and the loops have been told.
    pub async fn commit(&self, prepared: Prepared) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Apply(Box::new(prepared), done)).await.is_ok() {
            // The coordinator ends only when it is stopped; then there is nothing to wait for.
            let _ = wait.await;
        }
    }

    /// Ends all loops without stale markers, so that a restart leaves no gap, and writes what they logged.
    pub async fn stop(self) {
        let _ = self.commands.send(Command::Stop).await;
        if let Err(error) = self.task.await {
            tracing::error!(%error, "scrape manager failed");
        }
        if let Some(logs) = Arc::into_inner(self.failure_logs.swap(Arc::default())) {
            // It only fails when it panics, which is told.
            let _ = tokio::task::spawn_blocking(|| logs.close()).await;
        }
    }
}

struct Coordinator {
    db: Arc<Tsdb>,
    clock: Arc<dyn Clock>,
    metrics: ScrapeMetrics,
    options: ScrapeOptions,
    threads: Arc<ScrapeThreads>,
    /// Made by the first configuration; a new one only when the seed changes.
    shared: Option<Arc<Shared>>,
    discovery: Arc<DiscoveryManager>,
    targets: watch::Receiver<Arc<TargetSets>>,
    config: Config,
    clients: Clients,
    pools: BTreeMap<String, Pool>,
    tasks: JoinSet<()>,
    handle: ScrapeHandle,
    /// Files that were moved away are followed by new ones with each configuration.
    failure_logs: Arc<ArcSwap<JsonLogs>>,
    families: Arc<FamilyTexts>,
}

impl Coordinator {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let panics = self.metrics.panics.clone();
        let mut due: Option<Instant> = None;
        loop {
            // Without this task no target would come or go any more.
            let turn = self.turn(&mut commands, &mut due);
            if panics.guard_future("coordination of scraping", turn).await == Some(false) {
                break;
            }
        }
        self.stop().await;
    }

    /// Does the next thing there is to do; says whether to go on.
    async fn turn(&mut self, commands: &mut mpsc::Receiver<Command>, due: &mut Option<Instant>) -> bool {
        let when = due.unwrap_or_else(Instant::now);
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Apply(prepared, done)) => {
                    *due = None;
                    self.apply(*prepared);
                    let _ = done.send(());
                }
                Some(Command::Stop) | None => return false,
            },
            Ok(()) = self.targets.changed() => {
                due.get_or_insert_with(|| Instant::now() + DEBOUNCE);
            }
            () = tokio::time::sleep_until(when), if due.is_some() => {
                *due = None;
                self.sync();
            }
            Some(ended) = self.tasks.join_next() => report_end(ended),
        }
        true
    }

    fn apply(&mut self, prepared: Prepared) {
        let seed = stable_hash(&prepared.config.global.external_labels, [&*host_name()]);
        let shared = match &self.shared {
            Some(shared) if shared.seed == seed => Arc::clone(shared),
            _ => Arc::new(Shared {
                db: Arc::clone(&self.db),
                clock: Arc::clone(&self.clock),
                metrics: self.metrics.clone(),
                options: self.options,
                failure_logs: Arc::clone(&self.failure_logs),
                families: Arc::clone(&self.families),
                threads: Arc::clone(&self.threads),
                elsewhere: Semaphore::new(2 * self.threads.count()),
                seed,
            }),
        };
        self.shared = Some(Arc::clone(&shared));
        self.failure_logs.store(Arc::new(prepared.failure_logs.keep()));
        self.discovery.commit(prepared.sets);
        let sets = Arc::clone(&self.targets.borrow_and_update());
        // A client that is in use stays, and with it its connections.
        let mut clients = prepared.clients;
        for (name, client) in &mut clients {
            if let Some(existing) = self.clients.get(name).filter(|existing| existing.0 == client.0) {
                client.1 = Arc::clone(&existing.1);
            }
        }
        let mut leaving = Vec::new();
        let names: Vec<String> = self.pools.keys().cloned().collect();
        for name in names {
            if prepared.config.job(&name).is_none()
                && let Some(pool) = self.pools.remove(&name)
            {
                pool.leave(&mut leaving);
            }
        }
        for job in &prepared.config.scrape_configs {
            let Some(fetch) = clients.get(&job.job_name).map(|client| Arc::clone(&client.1)) else {
                continue;
            };
            let groups = sets.groups(&job.job_name);
            if let Some(pool) = self.pools.get_mut(&job.job_name) {
                let restart = (pool.job != *job).then(|| (Arc::clone(job), fetch));
                pool.sync(groups, restart, &mut self.tasks, &mut leaving);
            } else {
                let mut pool = Pool::new(Arc::clone(&shared), Arc::clone(job), fetch);
                pool.sync(groups, None, &mut self.tasks, &mut leaving);
                self.pools.insert(job.job_name.clone(), pool);
            }
        }
        settle(self.pools.values_mut(), leaving);
        self.clients = clients;
        self.config = prepared.config;
        self.publish();
    }

    fn sync(&mut self) {
        let sets = Arc::clone(&self.targets.borrow_and_update());
        let mut leaving = Vec::new();
        for (name, pool) in &mut self.pools {
            let groups = sets.groups(name);
            pool.sync(groups, None, &mut self.tasks, &mut leaving);
        }
        settle(self.pools.values_mut(), leaving);
        self.publish();
    }

    /// Shows the pools in the order of the file.
    fn publish(&self) {
        let jobs = self.config.scrape_configs.iter();
        let views = jobs.filter_map(|job| self.pools.get(&job.job_name)).map(Pool::view).collect();
        self.handle.pools.store(Arc::new(views));
    }

    async fn stop(mut self) {
        for pool in std::mem::take(&mut self.pools).into_values() {
            pool.shut_down();
        }
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                report_end(ended);
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, all).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "scrapes did not finish in time and were abandoned");
            self.tasks.shutdown().await;
        }
    }
}

fn report_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "scrape loop failed");
    }
}
