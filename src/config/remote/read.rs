//! `remote_read`: servers that are asked for samples.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Named;
use crate::config::HttpConfig;
use crate::config::loader::Loader;
use crate::config::raw::{client, time, url};
use crate::config::section::Section;

/// A server that is asked for samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemoteReadConfig {
    /// Where it is. May hold name and password.
    #[serde(serialize_with = "url")]
    pub url: String,
    /// Longest time a request may take. Default 1m.
    #[serde(serialize_with = "time")]
    pub remote_timeout: Duration,
    /// Bytes of the largest frame of an answer that is taken. Default 50,000,000.
    pub chunked_read_limit: u64,
    /// Headers of every request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Ask also for times that the server's own database has all samples of. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_recent: bool,
    /// Its name in metrics, unique; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The client.
    #[serde(flatten, serialize_with = "client")]
    pub http: HttpConfig,
    /// Equality matchers that a selector must have for the server to be asked.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub required_matchers: BTreeMap<String, String>,
    /// Ask only for series with the external labels. Default true.
    pub filter_external_labels: bool,
}

impl Named for RemoteReadConfig {
    fn name(&self) -> &str {
        &self.name
    }
}

impl<'a> Loader<'a> {
    pub(in crate::config) fn remote_reads(&self, file: &Section<'a>) -> Vec<RemoteReadConfig> {
        let read = |raw: Section<'a>| {
            let config = self.remote_read(&raw);
            (raw, config)
        };
        self.distinct(file.sections("remote_read").into_iter().map(read).collect())
    }

    fn remote_read(&self, raw: &Section<'a>) -> RemoteReadConfig {
        for (name, item) in raw.entries("required_matchers") {
            if name.is_empty() {
                self.notes.value(item.line, &item.path, "a label name is empty");
            }
        }
        let limit = raw.get("chunked_read_limit").map(|_| raw.whole("chunked_read_limit"));
        RemoteReadConfig {
            url: self.server_url(raw, "url"),
            remote_timeout: raw.duration("remote_timeout").unwrap_or(Duration::from_secs(60)),
            chunked_read_limit: limit.unwrap_or(50_000_000),
            headers: self.plain_headers(raw, "use basic_auth, authorization or oauth2"),
            read_recent: raw.boolean("read_recent", false),
            name: raw.text("name").unwrap_or_default(),
            http: self.http(raw),
            required_matchers: raw.map_of_text("required_matchers"),
            filter_external_labels: raw.boolean("filter_external_labels", true),
        }
    }
}
