//! Targets from an HTTP server.

use std::time::Duration;

use serde::Serialize;

use crate::config::HttpConfig;
use crate::config::loader::Loader;
use crate::config::raw::{client, time, url};
use crate::config::section::Section;

/// Targets that an HTTP server lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HttpSdConfig {
    /// The client.
    #[serde(flatten, serialize_with = "client")]
    pub http: HttpConfig,
    /// How often to ask, and the longest an answer may take. Default 60s.
    #[serde(serialize_with = "time")]
    pub refresh_interval: Duration,
    /// Whom to ask. May hold name and password.
    #[serde(serialize_with = "url")]
    pub url: String,
}

impl<'a> Loader<'a> {
    pub(super) fn http_sd(&self, raw: &Section<'a>) -> HttpSdConfig {
        HttpSdConfig {
            http: self.http(raw),
            refresh_interval: Self::pace(raw, 60),
            url: self.server_url(raw, "url"),
        }
    }
}
