//! Text to [`Config`]: environment, keys, decoding, validation. The only user of the YAML crates.

use std::collections::HashMap;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::document;
use super::files::matching_files;
use super::key::{self, Keys};
use super::keys;
use super::loader::{Loader, non_zero};
use super::section::{Section, UnknownKeys, is_empty};
use super::{
    Config, Error, FormatConfig, GlobalConfig, Limits, ScrapeConfig, ScrapeProtocol, StorageConfig,
    environment,
};
use crate::model::Labels;
use crate::model::name::NameScheme;

/// How a file is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// Replace `${NAME}` from the environment before the YAML is read. Off, it stays as it stands.
    pub expand_env: bool,
    /// Targets are asked for protobuf first where the file names no protocols.
    pub protobuf_first: bool,
    /// The default of `extra_scrape_metrics`.
    pub extra_scrape_metrics: bool,
    /// For what the file is.
    pub mode: Mode,
}

/// What a configuration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// A server.
    #[default]
    Server,
    /// One that only scrapes and sends: there are no queries, rules and alerts.
    Agent,
}

/// Reads and validates the file at `path`.
///
/// # Errors
/// When it cannot be read, or anything in it is refused.
pub fn load(path: &FilePath, options: &LoadOptions) -> Result<Config, Error> {
    let mut config = parse(&read(path)?, &path.display().to_string(), options)?;
    let mut errors = Vec::new();
    let mut places: HashMap<String, String> =
        config.scrape_configs.iter().map(|job| (job.job_name.clone(), path.display().to_string())).collect();
    for file in config.scrape_config_files.iter().flat_map(|pattern| matching_files(pattern)) {
        let name = file.display().to_string();
        let jobs = read(&file).and_then(|text| parse_jobs(&text, &name, &config.global, *options));
        match jobs {
            Err(Error::Several(several)) => errors.extend(several),
            Err(error) => errors.push(error),
            Ok(jobs) => {
                for (job, line) in jobs {
                    if let Some(first) = places.get(&job.job_name) {
                        let reason = format!("job name {:?} is used twice, first in {first}", job.job_name);
                        let (file, path) = (name.clone(), "scrape_configs".to_owned());
                        errors.push(Error::Value { file, line, path, reason });
                        continue;
                    }
                    places.insert(job.job_name.clone(), name.clone());
                    config.scrape_configs.push(job);
                    config.jobs_of_files += 1;
                }
            }
        }
    }
    Error::all(errors).map(|()| config)
}

fn read(path: &FilePath) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// The jobs of a further file, with the lines they begin on.
fn parse_jobs(
    text: &str,
    file_name: &str,
    global: &GlobalConfig,
    options: LoadOptions,
) -> Result<Vec<(Arc<ScrapeConfig>, usize)>, Error> {
    parse_as(text, file_name, options, &keys::SCRAPE_CONFIG_FILE, |loader, file| loader.jobs(file, global))
}

/// Validates `text`; `file_name` is what messages call it.
///
/// # Errors
/// When anything in it is refused; all that is wrong is told.
pub fn parse(text: &str, file_name: &str, options: &LoadOptions) -> Result<Config, Error> {
    parse_as(text, file_name, *options, &keys::FILE, |loader, file| loader.config(file, *options))
}

/// Reads a file with the keys `keys`; an empty one gives the default.
fn parse_as<T: Default>(
    text: &str,
    file_name: &str,
    options: LoadOptions,
    keys: &'static Keys,
    read: impl for<'a> Fn(&Loader<'a>, &Section<'a>) -> T,
) -> Result<T, Error> {
    let text = if options.expand_env {
        environment::expand(text, file_name, &|name| std::env::var(name).ok())?
    } else {
        text.into()
    };
    document::read(&text, file_name, UnknownKeys::Refused, |notes, top| {
        read(&Loader { notes }, &Section::open(notes, top, keys))
    })
}

/// The text of a configuration as printed.
pub(super) fn print(file: &impl Serialize) -> String {
    // Strings, numbers and maps with string keys can always be printed.
    serde_yaml::to_string(file).unwrap_or_default()
}

impl<'a> Loader<'a> {
    fn config(&self, file: &Section<'a>, options: LoadOptions) -> Config {
        if options.mode == Mode::Agent {
            for key in ["alerting", "notifications", "rule_files", "remote_read"] {
                let given = file.get(key).filter(|item| !is_empty(item.node));
                let reason = "is not allowed in agent mode";
                given.into_iter().for_each(|item| self.notes.value(item.line, &item.path, reason));
            }
        }
        let formats =
            FormatConfig { extra_scrape_metrics: options.extra_scrape_metrics, ..FormatConfig::default() };
        let mut global = match file.section("global") {
            Some(raw) => self.global(&raw, formats),
            None => GlobalConfig { formats, ..GlobalConfig::default() },
        };
        if options.protobuf_first {
            global.scrape_protocols.get_or_insert_with(|| ScrapeProtocol::PROTOBUF_FIRST.to_vec());
        }
        let scrape_configs = self.jobs(file, &global).into_iter().map(|(job, _)| job).collect();
        let storage = file.section("storage").map(|raw| self.storage(&raw));
        if let Some(runtime) = file.section("runtime")
            && runtime.signed("gogc").is_some()
        {
            tracing::info!("runtime.gogc has no effect: there is no Go runtime");
        }
        let alerting =
            file.section("alerting").map(|raw| self.alerting(&raw, global.formats.names)).unwrap_or_default();
        let notifications =
            file.section("notifications").and_then(|raw| self.notifications(&raw)).map(Arc::new);
        let patterns = |key| {
            let patterns = file.texts(key).unwrap_or_default();
            patterns.into_iter().map(|(pattern, item)| self.pattern(pattern, &item)).collect()
        };
        let storage = storage.unwrap_or_default();
        let names = global.formats.names;
        Config {
            remote_write: self.remote_writes(file, names),
            remote_read: self.remote_reads(file),
            otlp: self.otlp(file, names),
            tracing: self.traces(file),
            global,
            alerting,
            notifications,
            scrape_configs,
            jobs_of_files: 0,
            scrape_config_files: patterns("scrape_config_files"),
            rule_files: patterns("rule_files"),
            storage,
        }
    }

    /// The jobs of a file, with the lines they begin on.
    fn jobs(&self, file: &Section<'a>, global: &GlobalConfig) -> Vec<(Arc<ScrapeConfig>, usize)> {
        let mut names: HashMap<String, usize> = HashMap::new();
        let mut jobs = Vec::new();
        for raw in file.sections("scrape_configs") {
            let Some(job) = self.job(&raw, global) else { continue };
            let place =
                raw.get("job_name").map_or((raw.line, raw.path.clone()), |item| (item.line, item.path));
            if let Some(first) = names.get(&job.job_name) {
                let reason = format!("job name {:?} is used twice, first on line {first}", job.job_name);
                self.notes.value(place.0, &place.1, reason);
                continue;
            }
            names.insert(job.job_name.clone(), place.0);
            jobs.push((Arc::new(job), place.0));
        }
        jobs
    }

    fn storage(&self, raw: &Section<'a>) -> StorageConfig {
        let tsdb = raw.section("tsdb");
        let retention = tsdb.as_ref().and_then(|tsdb| tsdb.section("retention"));
        let percentage = retention.as_ref().and_then(|retention| {
            let share = retention.float("percentage")?;
            if !(0.0..=100.0).contains(&share) {
                let item = retention.get("percentage")?;
                self.notes.value(item.line, &item.path, "must be between 0 and 100");
            }
            Some(share)
        });
        StorageConfig {
            out_of_order_time_window: tsdb
                .and_then(|tsdb| tsdb.duration("out_of_order_time_window"))
                .unwrap_or_default(),
            retention_time: retention.as_ref().and_then(|retention| retention.duration("time")),
            retention_size: retention.as_ref().and_then(|retention| retention.size("size")),
            retention_percentage: percentage,
            max_exemplars: raw.section("exemplars").and_then(|exemplars| exemplars.signed("max_exemplars")),
        }
    }

    fn limits(raw: &Section<'a>) -> Limits {
        Limits {
            body_size_limit: raw.size("body_size_limit").unwrap_or(0),
            sample_limit: raw.whole("sample_limit"),
            label_limit: raw.whole("label_limit"),
            label_name_length_limit: raw.whole("label_name_length_limit"),
            label_value_length_limit: raw.whole("label_value_length_limit"),
            target_limit: raw.whole("target_limit"),
            job_series_quota: raw.whole("job_series_quota"),
            target_series_quota: raw.whole("target_series_quota"),
            keep_dropped_targets: raw.whole("keep_dropped_targets"),
        }
    }

    /// Interval and timeout of a section; the timeout must fit into the interval.
    fn times(&self, raw: &Section<'a>, global: &GlobalConfig, who: &str) -> (Duration, Duration) {
        let interval = non_zero(raw.duration("scrape_interval")).unwrap_or(global.scrape_interval);
        let timeout = non_zero(raw.duration("scrape_timeout"));
        if timeout.is_some_and(|timeout| timeout > interval)
            && let Some(item) = raw.get("scrape_timeout")
        {
            self.notes.value(item.line, &item.path, who);
        }
        (interval, timeout.unwrap_or(global.scrape_timeout.min(interval)))
    }

    fn global(&self, raw: &Section<'a>, formats: FormatConfig) -> GlobalConfig {
        let default = GlobalConfig::default();
        let refused = "global scrape timeout greater than scrape interval";
        let (scrape_interval, scrape_timeout) = self.times(raw, &default, refused);
        let labels = self.labels(raw, "external_labels");
        let formats = self.global_formats(raw, formats);
        for (name, item) in raw.entries("external_labels") {
            if formats.names == NameScheme::Legacy && !formats.names.is_label_name(name) {
                self.notes.value(item.line, &item.path, format!("{name:?} is not a valid label name"));
            }
        }
        let expanded = labels.iter().map(|(name, value)| {
            let missing = |variable: &str| {
                tracing::warn!(label = name, variable, "empty environment variable in external_labels");
            };
            let lookup = |variable: &str| std::env::var(variable).ok();
            (name.to_owned(), environment::expand_value(value, &lookup, &missing))
        });
        GlobalConfig {
            scrape_interval,
            scrape_timeout,
            evaluation_interval: non_zero(raw.duration("evaluation_interval"))
                .unwrap_or(default.evaluation_interval),
            rule_query_offset: raw.duration("rule_query_offset").unwrap_or_default(),
            scrape_protocols: self.protocols(raw),
            formats,
            query_log_file: self.file_at(raw, "query_log_file"),
            scrape_failure_log_file: self.file_at(raw, "scrape_failure_log_file"),
            external_labels: Labels::from_pairs(expanded.filter(|(_, value)| !value.is_empty())),
            limits: Self::limits(raw),
            series_quota: raw.whole("series_quota"),
        }
    }

    fn job(&self, raw: &Section<'a>, global: &GlobalConfig) -> Option<ScrapeConfig> {
        let job_name = raw.text("job_name").unwrap_or_default();
        if job_name.is_empty() {
            let place = raw.get("job_name");
            let line = place.map_or(raw.line, |item| item.line);
            self.notes.value(line, &key::with_key(&raw.path, "job_name"), "job_name is empty");
        }
        let base = ScrapeConfig::new(&job_name, global);
        let formats = self.job_formats(raw, global.formats);
        let refused = format!("scrape timeout greater than scrape interval for job {job_name:?}");
        let (scrape_interval, scrape_timeout) = self.times(raw, global, &refused);
        let relabel_configs = self.rules(raw, "relabel_configs", formats.names);
        let (own, of) = (Self::limits(raw), &global.limits);
        let or_global = |limit: u64, global: u64| if limit > 0 { limit } else { global };
        let fallback = raw.get("fallback_scrape_protocol");
        let fallback = fallback.and_then(|item| Some((raw.text_of(&item)?, item)));
        // The job is complete even without a name, so that all that is wrong with it was told.
        let job = ScrapeConfig {
            scrape_interval,
            scrape_timeout,
            scrape_protocols: self.protocols(raw).unwrap_or_else(|| global.protocols(formats)),
            fallback_scrape_protocol: fallback
                .filter(|(name, _)| !name.is_empty())
                .and_then(|(name, item)| self.protocol(&name, &item)),
            metrics_path: raw.text("metrics_path").filter(|p| !p.is_empty()).unwrap_or(base.metrics_path),
            scheme: self.scheme(raw),
            params: raw.map_of_texts("params"),
            honor_labels: raw.boolean("honor_labels", false),
            honor_timestamps: raw.boolean("honor_timestamps", true),
            track_timestamps_staleness: raw.boolean("track_timestamps_staleness", false),
            enable_compression: raw.boolean("enable_compression", true),
            scrape_failure_log_file: self
                .file_at(raw, "scrape_failure_log_file")
                .or(base.scrape_failure_log_file),
            limits: Limits {
                body_size_limit: or_global(own.body_size_limit, of.body_size_limit),
                sample_limit: or_global(own.sample_limit, of.sample_limit),
                label_limit: or_global(own.label_limit, of.label_limit),
                label_name_length_limit: or_global(own.label_name_length_limit, of.label_name_length_limit),
                label_value_length_limit: or_global(
                    own.label_value_length_limit,
                    of.label_value_length_limit,
                ),
                target_limit: or_global(own.target_limit, of.target_limit),
                job_series_quota: or_global(own.job_series_quota, of.job_series_quota),
                target_series_quota: or_global(own.target_series_quota, of.target_series_quota),
                keep_dropped_targets: or_global(own.keep_dropped_targets, of.keep_dropped_targets),
            },
            formats,
            native_histogram_bucket_limit: raw.whole("native_histogram_bucket_limit"),
            native_histogram_min_bucket_factor: self.bucket_factor(raw),
            http: self.http(raw),
            discovery: self.discovery(raw, relabel_configs.is_empty()),
            relabel_configs,
            metric_relabel_configs: self.rules(raw, "metric_relabel_configs", formats.names),
            job_name,
        };
        (!job.job_name.is_empty()).then_some(job)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
