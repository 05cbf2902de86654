//! Text to [`Config`]: environment, keys, decoding, validation. The only user of the YAML crate.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_path_to_error::Segment;
use serde_yaml::Value;

use super::keys::{self, Below, Keys, with_index, with_key};
use super::locate::line_of;
use super::raw;
use super::{
    Config, DnsRecordType, DnsSdConfig, Error, GlobalConfig, HttpConfig, Limits, Scheme, ScrapeConfig,
    ScrapeProtocol, StaticConfig, StorageConfig, environment,
};
use crate::model::Labels;
use crate::relabel::{Action, Rule};

/// How a file is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// Replace `${NAME}` from the environment before the YAML is read. Off, it stays as it stands.
    pub expand_env: bool,
}

/// Reads and validates the file at `path`.
///
/// # Errors
/// When it cannot be read, or anything in it is refused.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Config, Error> {
    let text =
        std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    parse(&text, &path.display().to_string(), options)
}

/// Validates `text`; `file_name` is what messages call it.
///
/// # Errors
/// When anything in it is refused.
pub fn parse(text: &str, file_name: &str, options: &LoadOptions) -> Result<Config, Error> {
    let text = if options.expand_env {
        environment::expand(text, file_name, &|name| std::env::var(name).ok())?
    } else {
        text.into()
    };
    Loader { text: &text, file: file_name }.run()
}

/// The text of a configuration as written.
pub(super) fn print(file: &raw::File) -> String {
    // Strings, numbers and maps with string keys can always be printed.
    serde_yaml::to_string(file).unwrap_or_default()
}

struct Loader<'a> {
    text: &'a str,
    file: &'a str,
}

impl Loader<'_> {
    fn run(&self) -> Result<Config, Error> {
        let tree: Value = serde_yaml::from_str(self.text).map_err(|e| self.syntax(&e))?;
        if let Some(line) = self
            .text
            .lines()
            .position(|l| l.split_once('#').map_or(l, |(before, _)| before).contains("!!binary"))
        {
            let (file, reason) = (self.file.to_owned(), "binary values are not valid text".to_owned());
            return Err(Error::Syntax { file, line: line + 1, reason });
        }
        match &tree {
            Value::Null => return Ok(Config::default()),
            Value::Mapping(_) => self.check_keys(&tree, &keys::FILE, &[])?,
            _ => return Err(self.value(&[], "must be a mapping of sections")),
        }
        let decoder = serde_yaml::Deserializer::from_str(self.text);
        let file: raw::File = serde_path_to_error::deserialize(decoder).map_err(|error| {
            let path: Vec<Segment> = error.path().iter().cloned().collect();
            let reason = error.into_inner().to_string();
            // The place is in our own message already.
            let reason = reason.split(" at line ").next().unwrap_or_default();
            let reason =
                reason.split_once(": ").filter(|(path, _)| keys_only(path)).map_or(reason, |(_, rest)| rest);
            self.value(&path, reason)
        })?;
        self.config(file)
    }

    fn syntax(&self, error: &serde_yaml::Error) -> Error {
        let line = error.location().map_or(1, |place| place.line());
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
        Error::Syntax { file: self.file.to_owned(), line, reason }
    }

    fn value(&self, path: &[Segment], reason: impl Into<String>) -> Error {
        Error::Value {
            file: self.file.to_owned(),
            line: line_of(self.text, path),
            path: keys::show(path),
            reason: reason.into(),
        }
    }

    /// Refuses unknown keys, keys that are not supported, and empty entries of lists.
    fn check_keys(&self, tree: &Value, section: &Keys, path: &[Segment]) -> Result<(), Error> {
        let Value::Mapping(mapping) = tree else {
            return if tree.is_null() { Ok(()) } else { Err(self.value(path, "must be a mapping")) };
        };
        for (key, value) in mapping {
            let key = key.as_str().map_or_else(|| format!("{key:?}"), str::to_owned);
            let here = with_key(path, &key);
            if let Some((_, below)) = section.supported.iter().find(|(name, _)| *name == key) {
                match below {
                    Below::Value => {
                        if key == "action" && scalar(value).is_none_or(|text| text.is_empty()) {
                            return Err(self.value(&here, "relabel action cannot be empty"));
                        }
                        self.check_no_empty_items(value, &here)?;
                    }
                    Below::Section(keys) => self.check_keys(value, keys, &here)?,
                    Below::List(keys) => {
                        self.check_no_empty_items(value, &here)?;
                        for (at, item) in value.as_sequence().into_iter().flatten().enumerate() {
                            self.check_keys(item, keys, &with_index(&here, at))?;
                        }
                    }
                }
                continue;
            }
            let (file, line) = (self.file.to_owned(), line_of(self.text, &here));
            let path = keys::show(path);
            if !section.unsupported.contains(&key.as_str()) {
                return Err(Error::UnknownKey { file, line, path, key });
            }
            let harmless = scalar(value)
                .is_some_and(|text| section.harmless.iter().any(|(k, v)| *k == key && *v == text));
            if !harmless && !is_empty(value) {
                return Err(Error::Unsupported { file, line, path, key });
            }
        }
        Ok(())
    }

    fn check_no_empty_items(&self, value: &Value, path: &[Segment]) -> Result<(), Error> {
        match value.as_sequence().into_iter().flatten().position(Value::is_null) {
            Some(at) => Err(self.value(&with_index(path, at), "empty or null entry")),
            None => Ok(()),
        }
    }

    fn config(&self, file: raw::File) -> Result<Config, Error> {
        let global = self.global(file.global.unwrap_or_default())?;
        let jobs = with_key(&[], "scrape_configs");
        let mut names: HashMap<String, usize> = HashMap::new();
        let mut scrape_configs = Vec::new();
        for (at, raw) in file.scrape_configs.unwrap_or_default().into_iter().enumerate() {
            let path = with_index(&jobs, at);
            let job = self.job(raw, &global, &path)?;
            if let Some(first) = names.insert(job.job_name.clone(), at) {
                let line = line_of(self.text, &with_key(&with_index(&jobs, first), "job_name"));
                return Err(self.value(
                    &with_key(&path, "job_name"),
                    format!("job name {:?} is used twice, first on line {line}", job.job_name),
                ));
            }
            scrape_configs.push(Arc::new(job));
        }
        let storage = self.storage(file.storage.unwrap_or_default())?;
        Ok(Config { global, scrape_configs, storage })
    }

    fn storage(&self, raw: raw::Storage) -> Result<StorageConfig, Error> {
        let tsdb = raw.tsdb.unwrap_or_default();
        let retention = tsdb.retention.unwrap_or_default();
        if retention.percentage.is_some_and(|share| !(0.0..=100.0).contains(&share)) {
            let path = ["storage", "tsdb", "retention", "percentage"];
            let path = path.iter().fold(Vec::new(), |path, key| with_key(&path, key));
            return Err(self.value(&path, "must be between 0 and 100"));
        }
        Ok(StorageConfig {
            out_of_order_time_window: tsdb.out_of_order_time_window.map_or(Duration::ZERO, |window| window.0),
            retention_time: retention.time.map(|time| time.0),
            retention_size: retention.size.map(|size| size.0),
            retention_percentage: retention.percentage,
            max_exemplars: raw.exemplars.and_then(|exemplars| exemplars.max_exemplars),
        })
    }

    fn global(&self, raw: raw::Global) -> Result<GlobalConfig, Error> {
        let path = with_key(&[], "global");
        let default = GlobalConfig::default();
        let scrape_interval = non_zero(raw.scrape_interval).unwrap_or(default.scrape_interval);
        let timeout = non_zero(raw.scrape_timeout);
        if timeout.is_some_and(|timeout| timeout > scrape_interval) {
            return Err(self.value(
                &with_key(&path, "scrape_timeout"),
                "global scrape timeout greater than scrape interval",
            ));
        }
        Ok(GlobalConfig {
            scrape_interval,
            scrape_timeout: timeout.unwrap_or(default.scrape_timeout.min(scrape_interval)),
            evaluation_interval: non_zero(raw.evaluation_interval).unwrap_or(default.evaluation_interval),
            scrape_protocols: self.protocols(raw.scrape_protocols, &with_key(&path, "scrape_protocols"))?,
            external_labels: self.labels(raw.external_labels, &with_key(&path, "external_labels"))?,
            limits: Limits {
                body_size_limit: raw.body_size_limit.map_or(0, |size| size.0),
                sample_limit: raw.sample_limit.unwrap_or(0),
                label_limit: raw.label_limit.unwrap_or(0),
                label_name_length_limit: raw.label_name_length_limit.unwrap_or(0),
                label_value_length_limit: raw.label_value_length_limit.unwrap_or(0),
                target_limit: raw.target_limit.unwrap_or(0),
                keep_dropped_targets: raw.keep_dropped_targets.unwrap_or(0),
            },
        })
    }

    fn job(&self, raw: raw::Scrape, global: &GlobalConfig, path: &[Segment]) -> Result<ScrapeConfig, Error> {
        let Some(job_name) = raw.job_name.filter(|name| !name.is_empty()) else {
            return Err(self.value(&with_key(path, "job_name"), "job_name is empty"));
        };
        let base = ScrapeConfig::new(&job_name, global);
        let scrape_interval = non_zero(raw.scrape_interval).unwrap_or(global.scrape_interval);
        let timeout = non_zero(raw.scrape_timeout);
        if timeout.is_some_and(|timeout| timeout > scrape_interval) {
            return Err(self.value(
                &with_key(path, "scrape_timeout"),
                format!("scrape timeout greater than scrape interval for job {job_name:?}"),
            ));
        }
        let relabel_configs = self.rules(raw.relabel_configs, &with_key(path, "relabel_configs"))?;
        let static_configs = self.static_configs(
            raw.static_configs,
            relabel_configs.is_empty(),
            &with_key(path, "static_configs"),
        )?;
        let scheme = match raw.scheme.as_deref() {
            None | Some("" | "http") => Scheme::Http,
            Some("https") => Scheme::Https,
            Some(other) => {
                let reason = format!("scheme must be http or https, not {other:?}");
                return Err(self.value(&with_key(path, "scheme"), reason));
            }
        };
        let or_global = |limit: Option<u64>, global: u64| limit.filter(|n| *n > 0).unwrap_or(global);
        let of = &global.limits;
        Ok(ScrapeConfig {
            job_name,
            scrape_interval,
            scrape_timeout: timeout.unwrap_or(global.scrape_timeout.min(scrape_interval)),
            scrape_protocols: self
                .protocols(raw.scrape_protocols, &with_key(path, "scrape_protocols"))?
                .unwrap_or(base.scrape_protocols),
            fallback_scrape_protocol: raw
                .fallback_scrape_protocol
                .filter(|name| !name.is_empty())
                .map(|name| self.protocol(&name, &with_key(path, "fallback_scrape_protocol")))
                .transpose()?,
            metrics_path: raw.metrics_path.filter(|p| !p.is_empty()).unwrap_or(base.metrics_path),
            scheme,
            params: raw.params.unwrap_or_default(),
            honor_labels: raw.honor_labels.unwrap_or(false),
            honor_timestamps: raw.honor_timestamps.unwrap_or(true),
            track_timestamps_staleness: raw.track_timestamps_staleness.unwrap_or(false),
            enable_compression: raw.enable_compression.unwrap_or(true),
            limits: Limits {
                body_size_limit: or_global(raw.body_size_limit.map(|size| size.0), of.body_size_limit),
                sample_limit: or_global(raw.sample_limit, of.sample_limit),
                label_limit: or_global(raw.label_limit, of.label_limit),
                label_name_length_limit: or_global(raw.label_name_length_limit, of.label_name_length_limit),
                label_value_length_limit: or_global(
                    raw.label_value_length_limit,
                    of.label_value_length_limit,
                ),
                target_limit: or_global(raw.target_limit, of.target_limit),
                keep_dropped_targets: or_global(raw.keep_dropped_targets, of.keep_dropped_targets),
            },
            http: HttpConfig {
                follow_redirects: raw.follow_redirects.unwrap_or(true),
                enable_http2: raw.enable_http2.unwrap_or(true),
            },
            static_configs,
            dns_sd_configs: self.dns(raw.dns_sd_configs, &with_key(path, "dns_sd_configs"))?,
            relabel_configs,
            metric_relabel_configs: self
                .rules(raw.metric_relabel_configs, &with_key(path, "metric_relabel_configs"))?,
        })
    }

    fn protocol(&self, name: &str, path: &[Segment]) -> Result<ScrapeProtocol, Error> {
        if name == "PrometheusProto" {
            let (file, line) = (self.file.to_owned(), line_of(self.text, path));
            return Err(Error::Unsupported { file, line, path: keys::show(path), key: name.to_owned() });
        }
        ScrapeProtocol::from_name(name).ok_or_else(|| {
            let known = ScrapeProtocol::DEFAULT_ORDER.map(ScrapeProtocol::name).join(", ");
            self.value(path, format!("unknown scrape protocol {name:?}, supported: {known}"))
        })
    }

    fn protocols(
        &self,
        names: Option<Vec<String>>,
        path: &[Segment],
    ) -> Result<Option<Vec<ScrapeProtocol>>, Error> {
        let Some(names) = names else { return Ok(None) };
        let mut out = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let here = with_index(path, at);
            let protocol = self.protocol(name, &here)?;
            if out.contains(&protocol) {
                return Err(self.value(&here, format!("scrape protocol {name:?} is named twice")));
            }
            out.push(protocol);
        }
        if out.is_empty() { Err(self.value(path, "must name at least one protocol")) } else { Ok(Some(out)) }
    }

    fn labels(&self, map: Option<BTreeMap<String, String>>, path: &[Segment]) -> Result<Labels, Error> {
        let map = map.unwrap_or_default();
        if map.contains_key("") {
            return Err(self.value(path, "a label name is empty"));
        }
        Ok(Labels::from_pairs(map))
    }

    fn static_configs(
        &self,
        groups: Option<Vec<raw::Static>>,
        hosts_only: bool,
        path: &[Segment],
    ) -> Result<Vec<StaticConfig>, Error> {
        let mut out = Vec::new();
        for (at, group) in groups.unwrap_or_default().into_iter().enumerate() {
            let here = with_index(path, at);
            let targets = group.targets.unwrap_or_default();
            // Relabelling may still mend an address, so it is checked here only where there is none.
            if let Some(bad) = targets.iter().position(|target| hosts_only && target.contains('/')) {
                let reason = format!("{:?} is not a valid hostname", targets[bad]);
                return Err(self.value(&with_index(&with_key(&here, "targets"), bad), reason));
            }
            let labels = self.labels(group.labels, &with_key(&here, "labels"))?;
            out.push(StaticConfig { targets, labels });
        }
        Ok(out)
    }

    fn dns(&self, configs: Option<Vec<raw::DnsSd>>, path: &[Segment]) -> Result<Vec<DnsSdConfig>, Error> {
        let mut out = Vec::new();
        for (at, raw) in configs.unwrap_or_default().into_iter().enumerate() {
            let here = with_index(path, at);
            let names = raw.names.unwrap_or_default();
            if names.is_empty() {
                return Err(self.value(&with_key(&here, "names"), "DNS discovery needs at least one name"));
            }
            let text = raw.record_type.unwrap_or_else(|| "SRV".to_owned());
            let Some(record_type) = DnsRecordType::from_name(&text) else {
                let reason = format!("invalid DNS record type {text:?}: SRV, A, AAAA, MX or NS");
                return Err(self.value(&with_key(&here, "type"), reason));
            };
            let port = raw.port.unwrap_or(0);
            if port == 0 && record_type != DnsRecordType::Srv {
                return Err(self
                    .value(&with_key(&here, "port"), "a port is required for all record types except SRV"));
            }
            let refresh_interval = non_zero(raw.refresh_interval).unwrap_or(Duration::from_secs(30));
            out.push(DnsSdConfig { names, record_type, port, refresh_interval });
        }
        Ok(out)
    }

    fn rules(&self, rules: Option<Vec<raw::Relabel>>, path: &[Segment]) -> Result<Vec<Rule>, Error> {
        let mut out = Vec::new();
        for (at, raw) in rules.unwrap_or_default().into_iter().enumerate() {
            let here = with_index(path, at);
            let name = raw.action.clone().unwrap_or_else(|| "replace".to_owned());
            let Some(action) = Action::from_name(&name) else {
                return Err(
                    self.value(&with_key(&here, "action"), format!("unknown relabel action {name:?}"))
                );
            };
            let rule = Rule::new(raw.spec(action))
                .map_err(|error| self.value(&with_key(&here, error.key()), error.to_string()))?;
            out.push(rule);
        }
        Ok(out)
    }
}

fn non_zero(time: Option<raw::Time>) -> Option<Duration> {
    time.map(|time| time.0).filter(|time| !time.is_zero())
}

/// Whether `text` looks like a key path, as the YAML crate puts before its messages.
fn keys_only(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.[]".contains(&b))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Sequence(items) => items.is_empty(),
        Value::Mapping(mapping) => mapping.iter().all(|(_, value)| is_empty(value)),
        _ => false,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
