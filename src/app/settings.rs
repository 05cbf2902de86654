//! Settings fixed for the life of the process: what the command line says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::Config;
use crate::model::format_duration;
use crate::net::NetOptions;
use crate::promql::{EngineOptions, Features};
use crate::tsdb::TsdbOptions;

/// Everything that cannot change without a restart.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The configuration file. Without one the server scrapes itself.
    pub config_file: Option<PathBuf>,
    /// Whether `${NAME}` in the configuration file is taken from the environment.
    pub expand_env: bool,
    /// How names are resolved and connections made.
    pub net: NetOptions,
    /// The database.
    pub tsdb: TsdbOptions,
    /// Addresses to listen on; port 0 takes any free one.
    pub listen: Vec<String>,
    /// Whether `/-/reload` and `/-/quit` are allowed.
    pub lifecycle: bool,
    /// Whether other servers may push samples.
    pub remote_write_receiver: bool,
    /// Longest time of a query.
    pub query_timeout: Duration,
    /// Queries that run at once.
    pub query_concurrency: usize,
    /// Most samples one query may hold.
    pub query_max_samples: usize,
    /// How old a sample an instant selector still answers with.
    pub lookback: Duration,
    /// Parts of PromQL that are off by default.
    pub features: Features,
    /// Flags and values as the status page shows them.
    pub flags: BTreeMap<String, String>,
}

impl Settings {
    /// Options of the query engine under `config`.
    pub fn engine_options(&self, config: &Config) -> EngineOptions {
        let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        EngineOptions {
            lookback_ms: ms(self.lookback),
            timeout: self.query_timeout,
            max_samples: self.query_max_samples,
            default_step_ms: ms(config.global.evaluation_interval),
            features: self.features.clone(),
        }
    }

    /// The retention for people.
    pub fn retention_text(&self) -> String {
        match u64::try_from(self.tsdb.retention_ms) {
            Ok(ms) if ms > 0 => format_duration(Duration::from_millis(ms)),
            _ => "unlimited".to_owned(),
        }
    }
}
