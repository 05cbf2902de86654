//! Settings fixed for the life of the process: what the command line says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::Config;
use crate::net::NetOptions;
use crate::notify::NotifyOptions;
use crate::promql::{EngineOptions, Features};
use crate::receivers::ReceiverOptions;
use crate::rules::RuleOptions;
use crate::tsdb::{Limits, TsdbOptions};
use crate::util::machine;
use crate::web::{Site, SiteOptions};

/// Everything that cannot change without a restart.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Debug, Clone)]
pub struct Settings {
    /// The configuration file. Without one the server scrapes itself.
    pub config_file: Option<PathBuf>,
    /// Whether `${NAME}` in the configuration file is taken from the environment.
    pub expand_env: bool,
    /// How often the configuration file is looked at for changes, if at all.
    pub auto_reload: Option<Duration>,
    /// Where and how the page and the API are served.
    pub site: SiteOptions,
    /// How names are resolved and connections made.
    pub net: NetOptions,
    /// The database; its limits come from below and from the configuration file.
    pub tsdb: TsdbOptions,
    /// How long samples are kept, if the command line says; zero for ever.
    pub retention_time: Option<Duration>,
    /// Bytes of blocks and log kept, if the command line says.
    pub retention_size: Option<u64>,
    /// Rules that run beside others of their group, over all groups.
    pub rule_concurrency: usize,
    /// After a longer outage pending alerts begin anew.
    pub outage_tolerance: Duration,
    /// Alerts restored from series fire no earlier than this after the start.
    pub grace_period: Duration,
    /// How often an alert that fires is sent again.
    pub resend_delay: Duration,
    /// How Alertmanagers are told of alerts.
    pub notify: NotifyOptions,
    /// Addresses to listen on; port 0 takes any free one.
    pub listen: Vec<String>,
    /// Connections that may be open at once, over all addresses.
    pub max_connections: usize,
    /// How long a request may take to arrive, and how long a connection may be idle.
    pub read_timeout: Duration,
    /// Whether `/-/reload` and `/-/quit` are allowed.
    pub lifecycle: bool,
    /// Whether data may be deleted and copied over HTTP.
    pub admin: bool,
    /// Whether other servers may push samples.
    pub remote_write_receiver: bool,
    /// Longest time of a query.
    pub query_timeout: Duration,
    /// Queries that run at once.
    pub query_concurrency: usize,
    /// Most samples one query may hold.
    pub query_max_samples: usize,
    /// Most memory the rows of one query may take, in bytes; none leaves it to the machine.
    pub query_max_memory: Option<u64>,
    /// The same of all queries together.
    pub query_max_total_memory: Option<u64>,
    /// Most memory that results of range queries may take which are kept for later ones, in bytes.
    pub query_cache_size: u64,
    /// How old a sample an instant selector still answers with.
    pub lookback: Duration,
    /// Parts of PromQL that are off by default.
    pub features: Features,
    /// Where a target says when counting began, a zero is stored at that time.
    pub created_zeros: bool,
    /// The default of the key `extra_scrape_metrics`.
    pub extra_scrape_metrics: bool,
    /// Flags and values as the status page shows them.
    pub flags: BTreeMap<String, String>,
}

/// Memory for all queries where nobody says how much: a quarter of what there is.
fn default_query_memory() -> u64 {
    /// Where it is not known how much there is.
    const UNKNOWN: u64 = 4 << 30;
    machine::memory_bytes().unwrap_or(UNKNOWN) / 4
}

impl Settings {
    /// Options of the query engine under `config`.
    pub fn engine_options(&self, config: &Config) -> EngineOptions {
        let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        let total = self.query_max_total_memory.unwrap_or_else(default_query_memory);
        EngineOptions {
            max_memory: bytes(self.query_max_memory.unwrap_or(total / 2)),
            max_total_memory: bytes(total),
            max_kept_results: bytes(self.query_cache_size),
            lookback_ms: ms(self.lookback),
            timeout: self.query_timeout,
            max_samples: self.query_max_samples,
            default_step_ms: ms(config.global.evaluation_interval),
            features: self.features.clone(),
        }
    }

    /// Settings of rules of a server that is reached at `site`.
    pub fn rule_options(&self, site: &Site) -> RuleOptions {
        RuleOptions {
            folder: self.tsdb.dir.join("rules"),
            outage_tolerance: self.outage_tolerance,
            grace_period: self.grace_period,
            resend_delay: self.resend_delay,
            external_url: site.external_url.text(),
            path_prefix: site.external_url.path().to_owned(),
        }
    }

    /// Settings of receivers of a server that is reached at `site`.
    pub fn receiver_options(&self, site: &Site) -> ReceiverOptions {
        ReceiverOptions {
            folder: self.tsdb.dir.join("notifications"),
            external_url: site.external_url.text(),
            resend_delay: self.resend_delay,
        }
    }

    /// What the database keeps and takes under `config`: the file goes before the command line.
    pub fn limits(&self, config: &Config) -> Limits {
        let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        let storage = &config.storage;
        let retention_bytes = storage.retention_size.or(self.retention_size).unwrap_or(0);
        let retention_percent = storage.retention_percentage.unwrap_or(0.0);
        let sized = retention_bytes > 0 || retention_percent > 0.0;
        // A limit on the size alone is not joined by one on the time that nobody asked for.
        let default = if sized { 0 } else { Limits::default().retention_ms };
        Limits {
            retention_ms: storage.retention_time.or(self.retention_time).map_or(default, ms),
            retention_bytes,
            retention_percent,
            max_exemplars: storage
                .max_exemplars
                .map_or(Limits::default().max_exemplars, |max| usize::try_from(max).unwrap_or(0)),
            out_of_order_ms: ms(storage.out_of_order_time_window),
            max_series: config.global.series_quota,
        }
    }
}
