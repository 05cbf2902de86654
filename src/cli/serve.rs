//! `serve`: run the server. Flags carry the names Prometheus gave them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, Args, Command, ValueEnum};

use super::Failure;
use super::foreign::{self, Feature, Said};
use crate::app::{App, Settings, signals};
use crate::model::{Anchored, parse_duration};
use crate::net::NetOptions;
use crate::notify::NotifyOptions;
use crate::promql::Features;
use crate::telemetry::log;
use crate::tsdb::{SyncPolicy, TsdbOptions};
use crate::util::machine;
use crate::web::{self, ExternalUrl, SiteOptions};

/// Data directory when none is named.
pub(super) const DEFAULT_DATA_DIR: &str = "emberkeep-data";
/// How long work that was stopped may take to notice.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// The switch that is on unless its opposite is given.
const DRAIN: &str = "alertmanager.drain-notification-queue-on-shutdown";
/// Configuration file that is read, if it is there, when none is named.
const DEFAULT_CONFIG: &str = "prometheus.yml";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Logfmt,
    Json,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Configuration file. Defaults to prometheus.yml in the working directory if it exists; otherwise the server
    /// scrapes itself.
    #[arg(long = "config.file", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Reload the configuration when its file changes.
    #[arg(long = "config.auto-reload")]
    auto_reload: bool,
    /// How often to check the configuration file for changes.
    #[arg(long = "config.auto-reload-interval", value_name = "DURATION", default_value = "30s",
          value_parser = parse_interval)]
    auto_reload_interval: Duration,
    /// Expand ${NAME} from the environment anywhere in the configuration file; an unset variable is an error.
    #[arg(long = "config.expand-env")]
    expand_env: bool,
    /// DNS server (ip or ip:port) to use instead of the system's, for discovery and for targets.
    #[arg(long = "dns.server", value_name = "ADDRESS", value_parser = parse_dns_server)]
    dns_server: Option<SocketAddr>,
    /// Data directory.
    #[arg(long = "storage.tsdb.path", value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
    /// If the data directory belongs to Prometheus, import it into a new directory <DIR>-emberkeep beside it and serve
    /// from there. Done once; Prometheus must not be running.
    #[arg(long = "storage.tsdb.adopt")]
    adopt: bool,
    /// How long to retain samples; 0 keeps them forever. Defaults to 15d unless a size is given. The configuration file
    /// takes precedence.
    #[arg(long = "storage.tsdb.retention.time", value_name = "DURATION", value_parser = parse_duration)]
    retention: Option<Duration>,
    /// Maximum size of blocks and log, such as 512MB; the oldest blocks are removed first. The configuration file takes
    /// precedence.
    #[arg(long = "storage.tsdb.retention.size", value_name = "SIZE", value_parser = parse_bytes)]
    retention_size: Option<u64>,
    /// When to sync the write-ahead log to disk: always, never, or every given duration. This protects against power
    /// loss; a killed process loses nothing either way.
    #[arg(long = "storage.tsdb.wal-sync", value_name = "POLICY", default_value = "1s", value_parser = parse_sync)]
    sync: SyncPolicy,
    /// Address to listen on. Can be repeated.
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = "0.0.0.0:9090")]
    listen: Vec<String>,
    /// URL under which this server is reachable from outside, such as https://example.org/metrics. Its path is the
    /// prefix of all routes unless --web.route-prefix is set. A path alone is accepted too.
    #[arg(long = "web.external-url", value_name = "URL", default_value = "", hide_default_value = true,
          value_parser = parse_external_url)]
    external_url: ExternalUrl,
    /// Prefix of all routes. Defaults to the path of --web.external-url.
    #[arg(long = "web.route-prefix", value_name = "PATH", value_parser = parse_route_prefix)]
    route_prefix: Option<String>,
    /// Title of the web page.
    #[arg(long = "web.page-title", value_name = "TITLE", default_value = "Emberkeep")]
    page_title: String,
    /// Regular expression for the origins whose pages may read responses; fully anchored. Pages of other origins can
    /// never change anything on this server.
    #[arg(long = "web.cors.origin", value_name = "REGEX", default_value = ".*", value_parser = parse_regex)]
    cors_origin: Anchored,
    /// Maximum number of simultaneous connections over all addresses; further ones wait.
    #[arg(long = "web.max-connections", value_name = "N", default_value_t = 512,
          value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: u32,
    /// Maximum time to read a request, and after which idle connections are closed.
    #[arg(long = "web.read-timeout", value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    read_timeout: Duration,
    /// Enable reload and shutdown over HTTP.
    #[arg(long = "web.enable-lifecycle")]
    lifecycle: bool,
    /// Enable API endpoints for deleting series and taking snapshots.
    #[arg(long = "web.enable-admin-api")]
    admin: bool,
    /// Accept remote write requests on /api/v1/write.
    #[arg(long = "web.enable-remote-write-receiver")]
    remote_write_receiver: bool,
    /// Capacity of the queue of pending alerts for each Alertmanager; when full, the oldest alerts are dropped.
    #[arg(long = "alertmanager.notification-queue-capacity", value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..))]
    notification_queue_capacity: u32,
    /// Maximum number of alerts per request to an Alertmanager.
    #[arg(long = "alertmanager.notification-batch-size", value_name = "N", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(1..))]
    notification_batch_size: u32,
    /// Send pending alerts before shutting down, for at most a few seconds.
    #[arg(long = DRAIN, action = clap::ArgAction::SetTrue, default_value = "true")]
    drain_notification_queue: bool,
    /// Maximum lookback for the newest sample of a series in instant selectors.
    #[arg(long = "query.lookback-delta", value_name = "DURATION", default_value = "5m",
          value_parser = parse_duration)]
    lookback: Duration,
    /// Maximum time a query may take before it is aborted, including time spent waiting.
    #[arg(long = "query.timeout", value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    query_timeout: Duration,
    /// Memory the process may hold, what queries hold aside, before new series are refused; those in memory go on. 0B
    /// disables this. Defaults to 65 % of the memory of the machine or container.
    #[arg(long = "storage.tsdb.memory-budget", value_name = "SIZE", value_parser = parse_bytes)]
    memory_budget: Option<u64>,
    /// Maximum number of concurrent queries.
    #[arg(long = "query.max-concurrency", value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..))]
    query_concurrency: u32,
    /// Maximum number of samples a single query can load into memory.
    #[arg(long = "query.max-samples", value_name = "N", default_value_t = 50_000_000)]
    query_max_samples: usize,
    /// Maximum memory a single query may use. Defaults to half of --query.max-total-memory.
    #[arg(long = "query.max-memory", value_name = "SIZE", value_parser = parse_bytes)]
    query_max_memory: Option<u64>,
    /// Maximum memory all queries together may use. Defaults to a quarter of the machine's memory.
    #[arg(long = "query.max-total-memory", value_name = "SIZE", value_parser = parse_bytes)]
    query_max_total_memory: Option<u64>,
    /// Size of the cache for results of range queries, which lets a redrawn graph compute its new steps only; 0B disables
    /// it.
    #[arg(long = "query.cache-size", value_name = "SIZE", default_value = "64MB", value_parser = parse_bytes)]
    query_cache_size: u64,
    /// Maximum number of rules evaluated concurrently with others of their group, over all groups.
    #[arg(long = "rules.max-concurrent-evals", value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u32).range(1..))]
    rule_concurrency: u32,
    /// Maximum outage after which the state of pending alerts is restored; after a longer one they start over.
    #[arg(long = "rules.alert.for-outage-tolerance", value_name = "DURATION", default_value = "1h",
          value_parser = parse_duration)]
    outage_tolerance: Duration,
    /// Minimum time between startup and firing for alerts whose state is read from ALERTS_FOR_STATE of another server.
    /// The server's own alert states are restored exactly.
    #[arg(long = "rules.alert.for-grace-period", value_name = "DURATION", default_value = "10m",
          value_parser = parse_duration)]
    grace_period: Duration,
    /// Minimum time to wait before resending a firing alert.
    #[arg(long = "rules.alert.resend-delay", value_name = "DURATION", default_value = "1m",
          value_parser = parse_duration)]
    resend_delay: Duration,
    /// Comma-separated features to enable: promql-experimental-functions,
    /// promql-binop-fill-modifiers, promql-extended-range-selectors, promql-delayed-name-removal, type-and-unit-labels,
    /// created-timestamp-zero-ingestion, st-storage, use-start-timestamps, extra-scrape-metrics.
    #[arg(long = "enable-feature", value_name = "FEATURES", value_delimiter = ',')]
    features: Vec<String>,
    /// Only log messages at this level or above.
    #[arg(long = "log.level", value_enum, default_value_t = Level::Info)]
    log_level: Level,
    /// Format of log messages.
    #[arg(long = "log.format", value_enum, default_value_t = LogFormat::Logfmt)]
    log_format: LogFormat,
}

fn parse_dns_server(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, 53)))
        .map_err(|_| format!("{text:?} is neither an IP address nor ip:port"))
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(interval) if !interval.is_zero() => Ok(interval),
        Ok(_) => Err("must be longer than nothing".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn parse_external_url(text: &str) -> Result<ExternalUrl, String> {
    ExternalUrl::parse(text).map_err(|error| error.to_string())
}

fn parse_route_prefix(text: &str) -> Result<String, String> {
    // As it is: nothing and a slash are not the same.
    web::route_prefix(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn parse_regex(text: &str) -> Result<Anchored, String> {
    Anchored::new(text).map_err(|error| error.to_string())
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    crate::config::parse_size(text).ok_or_else(|| "must be a number with a unit, such as 512MB".to_owned())
}

fn parse_sync(text: &str) -> Result<SyncPolicy, String> {
    match text {
        "always" => Ok(SyncPolicy::Always),
        "never" => Ok(SyncPolicy::Never),
        _ => match parse_duration(text).map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)) {
            Ok(ms) if ms > 0 => Ok(SyncPolicy::Interval(ms)),
            _ => Err("must be always, never or a duration such as 1s".to_owned()),
        },
    }
}

/// All flags with their values, as the status page shows them, and what is said of those that are not the server's own.
pub(super) fn look_at((command, matches): (&Command, &ArgMatches)) -> (BTreeMap<String, String>, Said) {
    let flags = command.get_arguments().filter_map(|arg| {
        let name = arg.get_long()?;
        let shown = name != "help" && !name.starts_with(foreign::OPPOSITE);
        shown.then(|| (name.to_owned(), foreign::value(matches, arg)))
    });
    (flags.collect(), foreign::judge(command, matches))
}

pub(super) fn run(
    mut args: ServeArgs,
    flags: BTreeMap<String, String>,
    ignored: &[(String, &'static str)],
) -> Result<(), Failure> {
    let level = match args.log_level {
        Level::Debug => log::LevelFilter::DEBUG,
        Level::Info => log::LevelFilter::INFO,
        Level::Warn => log::LevelFilter::WARN,
        Level::Error => log::LevelFilter::ERROR,
    };
    let format = match args.log_format {
        LogFormat::Logfmt => log::Format::Logfmt,
        LogFormat::Json => log::Format::Json,
    };
    log::init(level, format);
    for (flag, why) in ignored {
        tracing::info!(%flag, "Prometheus flag has no effect: {why}");
    }
    if let Err(error) = machine::raise_open_files() {
        tracing::warn!(%error, "cannot raise the limit on open files");
    }
    let (open_files, most) = machine::open_files();
    tracing::info!(soft = open_files, hard = most, "limit on open files");
    if args.adopt {
        args.data_dir = super::adopt::adopt(&args.data_dir)?;
    }
    let settings = settings(args, flags);
    if settings.config_file.is_none() {
        tracing::info!("no configuration file; the server scrapes itself");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let shutdown = signals::shutdown()?;
        let reloads = signals::reloads()?;
        App::start(settings).await?.run(reloads, shutdown).await
    });
    // A query that does not see in time that it was stopped must not hold up the end of the process.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    Ok(done?)
}

pub(super) fn settings(args: ServeArgs, flags: BTreeMap<String, String>) -> Settings {
    let default = PathBuf::from(DEFAULT_CONFIG);
    let config_file = args.config_file.or_else(|| default.exists().then_some(default));
    let (mut features, mut auto_reload) = (Features::default(), args.auto_reload);
    let (mut created_zeros, mut start_timestamps, mut extra_scrape_metrics) = (false, false, false);
    for feature in &args.features {
        match feature.as_str() {
            name if features.enable(name) => {}
            "auto-reload-config" => auto_reload = true,
            "created-timestamp-zero-ingestion" => created_zeros = true,
            "st-storage" => start_timestamps = true,
            "extra-scrape-metrics" => extra_scrape_metrics = true,
            name => match foreign::feature(name) {
                Feature::Always => {}
                Feature::Meaningless => {
                    tracing::info!(feature = name, "Prometheus feature has no effect");
                }
                Feature::Missing => {
                    tracing::warn!(feature = name, "feature is not supported yet; ignoring it");
                }
                // As in Prometheus, so that a command line for it starts; but nobody is left in the dark.
                Feature::Unknown => tracing::warn!(feature = name, "unknown feature; ignoring it"),
            },
        }
    }
    let auto_reload = auto_reload.then_some(args.auto_reload_interval);
    // What the switch itself says does not know of its opposite.
    let drain_on_shutdown = flags.get(DRAIN).map_or(args.drain_notification_queue, |value| value == "true");
    let route_prefix = args.route_prefix.filter(|text| !text.is_empty());
    Settings {
        config_file,
        expand_env: args.expand_env,
        auto_reload,
        site: SiteOptions {
            external_url: args.external_url,
            route_prefix: route_prefix.and_then(|text| web::route_prefix(&text).ok()),
            page_title: args.page_title,
            cors_origin: args.cors_origin,
        },
        net: NetOptions { dns_server: args.dns_server },
        tsdb: TsdbOptions {
            sync: args.sync,
            start_timestamps,
            memory_budget: args.memory_budget,
            ..TsdbOptions::new(args.data_dir)
        },
        retention_time: args.retention,
        retention_size: args.retention_size,
        rule_concurrency: usize::try_from(args.rule_concurrency).unwrap_or(usize::MAX),
        outage_tolerance: args.outage_tolerance,
        grace_period: args.grace_period,
        resend_delay: args.resend_delay,
        notify: NotifyOptions {
            queue_capacity: usize::try_from(args.notification_queue_capacity).unwrap_or(usize::MAX),
            batch_size: usize::try_from(args.notification_batch_size).unwrap_or(usize::MAX),
            drain_on_shutdown,
        },
        listen: args.listen,
        max_connections: usize::try_from(args.max_connections).unwrap_or(usize::MAX),
        read_timeout: args.read_timeout,
        lifecycle: args.lifecycle,
        admin: args.admin,
        remote_write_receiver: args.remote_write_receiver,
        query_timeout: args.query_timeout,
        query_concurrency: usize::try_from(args.query_concurrency).unwrap_or(usize::MAX),
        query_max_samples: args.query_max_samples,
        query_max_memory: args.query_max_memory,
        query_max_total_memory: args.query_max_total_memory,
        query_cache_size: args.query_cache_size,
        lookback: args.lookback,
        features,
        created_zeros,
        extra_scrape_metrics,
        flags,
    }
}
