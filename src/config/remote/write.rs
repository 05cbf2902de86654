//! `remote_write`: servers that samples are sent to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{CloudAuth, Named};
use crate::config::HttpConfig;
use crate::config::loader::Loader;
use crate::config::raw::{client, rules, time, url};
use crate::config::section::Section;
use crate::model::name::NameScheme;
use crate::relabel::Rule;

/// What requests hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WriteMessage {
    /// `prometheus.WriteRequest`, of remote write 1.0.
    #[default]
    V1,
    /// `io.prometheus.write.v2.Request`, of remote write 2.0.
    V2,
}

impl WriteMessage {
    const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// The name it has in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "prometheus.WriteRequest",
            Self::V2 => "io.prometheus.write.v2.Request",
        }
    }
}

impl Serialize for WriteMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How samples wait and are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueConfig {
    /// Samples that may wait for each shard; at least 1. Default 10,000.
    pub capacity: u64,
    /// Most requests at once; at least `min_shards`. Default 50.
    pub max_shards: u64,
    /// Fewest requests at once; at least 1. Default 1.
    pub min_shards: u64,
    /// Samples of a request at most; at least 1. Default 2,000.
    pub max_samples_per_send: u64,
    /// Longest time that samples wait for others to be sent with. Default 5s.
    #[serde(serialize_with = "time")]
    pub batch_send_deadline: Duration,
    /// Wait before the first repetition of a request that failed; twice that before the next. Default 30ms.
    #[serde(serialize_with = "time")]
    pub min_backoff: Duration,
    /// Longest such wait; at least `min_backoff`. Default 5s.
    #[serde(serialize_with = "time")]
    pub max_backoff: Duration,
    /// Repeat requests that were too many, by the status 429. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retry_on_http_429: bool,
    /// Age from which samples are dropped rather than sent. Default zero, for no limit.
    #[serde(serialize_with = "time", skip_serializing_if = "Duration::is_zero")]
    pub sample_age_limit: Duration,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            max_shards: 50,
            min_shards: 1,
            max_samples_per_send: 2_000,
            batch_send_deadline: Duration::from_secs(5),
            min_backoff: Duration::from_millis(30),
            max_backoff: Duration::from_secs(5),
            retry_on_http_429: false,
            sample_age_limit: Duration::ZERO,
        }
    }
}

/// Whether and how often metadata is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MetadataConfig {
    /// Default true.
    pub send: bool,
    /// How often. Default 1m.
    #[serde(serialize_with = "time")]
    pub send_interval: Duration,
    /// Metric families of a request at most. Default 2,000.
    pub max_samples_per_send: i64,
}

impl Default for MetadataConfig {
    fn default() -> Self {
        Self { send: true, send_interval: Duration::from_secs(60), max_samples_per_send: 2_000 }
    }
}

/// A server that samples are sent to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct RemoteWriteConfig {
    /// Where it is. May hold name and password.
    #[serde(serialize_with = "url")]
    pub url: String,
    /// Longest time a request may take. Default 30s.
    #[serde(serialize_with = "time")]
    pub remote_timeout: Duration,
    /// Headers of every request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Rules for every sample.
    #[serde(serialize_with = "rules", skip_serializing_if = "Vec::is_empty")]
    pub write_relabel_configs: Vec<Rule>,
    /// Its name in metrics, unique; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Send exemplars. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub send_exemplars: bool,
    /// Send native histograms, which the message of 2.0 has anyway. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub send_native_histograms: bool,
    /// Spread connections over all addresses of the name. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub round_robin_dns: bool,
    /// What requests hold.
    pub protobuf_message: WriteMessage,
    /// Log requests of 2.0 that failed. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed_request_logging: bool,
    /// The client; it does not offer HTTP/2 by default.
    #[serde(flatten, serialize_with = "client")]
    pub http: HttpConfig,
    /// The queue.
    pub queue_config: QueueConfig,
    /// The metadata.
    pub metadata_config: MetadataConfig,
    /// Who sends, in the way of a cloud; only where the client does not say.
    #[serde(flatten)]
    pub cloud_auth: Option<CloudAuth>,
}

impl Named for RemoteWriteConfig {
    fn name(&self) -> &str {
        &self.name
    }
}

impl<'a> Loader<'a> {
    pub(in crate::config) fn remote_writes(
        &self,
        file: &Section<'a>,
        names: NameScheme,
    ) -> Vec<RemoteWriteConfig> {
        let read = |raw: Section<'a>| {
            let config = self.remote_write(&raw, names);
            (raw, config)
        };
        self.distinct(file.sections("remote_write").into_iter().map(read).collect())
    }

    fn remote_write(&self, raw: &Section<'a>, names: NameScheme) -> RemoteWriteConfig {
        let http = self.http_with(raw, false);
        let cloud_auth = self.cloud_auth(raw, http.auth.is_some());
        let hint = "use basic_auth, authorization, oauth2, sigv4, azuread or google_iam";
        RemoteWriteConfig {
            url: self.server_url(raw, "url"),
            remote_timeout: raw.duration("remote_timeout").unwrap_or(Duration::from_secs(30)),
            headers: self.plain_headers(raw, hint),
            write_relabel_configs: self.rules(raw, "write_relabel_configs", names),
            name: raw.text("name").unwrap_or_default(),
            send_exemplars: raw.boolean("send_exemplars", false),
            send_native_histograms: raw.boolean("send_native_histograms", false),
            round_robin_dns: raw.boolean("round_robin_dns", false),
            protobuf_message: self.write_message(raw),
            failed_request_logging: raw.boolean("failed_request_logging", false),
            http,
            queue_config: self.queue(raw),
            metadata_config: Self::metadata(raw),
            cloud_auth,
        }
    }

    fn write_message(&self, raw: &Section<'a>) -> WriteMessage {
        let Some(name) = raw.text("protobuf_message") else { return WriteMessage::default() };
        let found = WriteMessage::ALL.into_iter().find(|message| message.name() == name);
        if found.is_none() {
            let known = WriteMessage::ALL.map(WriteMessage::name).join(" or ");
            self.complain(raw, "protobuf_message", format!("must be {known}, not {name:?}"));
        }
        found.unwrap_or_default()
    }

    fn queue(&self, remote: &Section<'a>) -> QueueConfig {
        let default = QueueConfig::default();
        let Some(raw) = remote.section("queue_config") else { return default };
        if remote.given("queue_config").is_none() {
            // Prometheus takes it as all zeros.
            self.complain(remote, "queue_config", "must not be empty: leave it out for the defaults");
        }
        let positive = |key: &'static str, default: u64| {
            let number = raw.signed(key).map(|number| u64::try_from(number).unwrap_or(0));
            if number == Some(0) {
                self.complain(&raw, key, "must be a positive number");
            }
            number.filter(|number| *number > 0).unwrap_or(default)
        };
        let time = |key, default| raw.duration(key).unwrap_or(default);
        let queue = QueueConfig {
            capacity: positive("capacity", default.capacity),
            max_shards: positive("max_shards", default.max_shards),
            min_shards: positive("min_shards", default.min_shards),
            max_samples_per_send: positive("max_samples_per_send", default.max_samples_per_send),
            batch_send_deadline: time("batch_send_deadline", default.batch_send_deadline),
            min_backoff: time("min_backoff", default.min_backoff),
            max_backoff: time("max_backoff", default.max_backoff),
            retry_on_http_429: raw.boolean("retry_on_http_429", false),
            sample_age_limit: time("sample_age_limit", default.sample_age_limit),
        };
        // What is told is about the key that is there.
        let either = |one: &'static str, other| if raw.get(one).is_some() { one } else { other };
        if queue.min_shards > queue.max_shards {
            let reason =
                format!("min_shards {} is more than max_shards {}", queue.min_shards, queue.max_shards);
            self.complain(&raw, either("min_shards", "max_shards"), reason);
        }
        if queue.max_backoff < queue.min_backoff {
            let reason = "max_backoff must not be less than min_backoff, which is 30ms by default";
            self.complain(&raw, either("max_backoff", "min_backoff"), reason);
        }
        queue
    }

    fn metadata(remote: &Section<'a>) -> MetadataConfig {
        let default = MetadataConfig::default();
        let Some(raw) = remote.section("metadata_config") else { return default };
        MetadataConfig {
            // As in Prometheus, where a section without content is all zeros.
            send: raw.boolean("send", remote.given("metadata_config").is_some()),
            send_interval: raw.duration("send_interval").unwrap_or(default.send_interval),
            max_samples_per_send: raw.signed("max_samples_per_send").unwrap_or(default.max_samples_per_send),
        }
    }
}
