//! Targets that register themselves with a server, which is asked for them now and then.

use std::time::Duration;

use serde::Serialize;

use crate::config::HttpConfig;
use crate::config::loader::Loader;
use crate::config::raw::{client, time, url};
use crate::config::section::Section;

/// Targets registered in Nomad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NomadSdConfig {
    /// Whether a server that does not lead may answer. Default true.
    pub allow_stale: bool,
    /// The client.
    #[serde(flatten, serialize_with = "client")]
    pub http: HttpConfig,
    /// Default `default`.
    pub namespace: String,
    /// How often to ask. Default 60s.
    #[serde(serialize_with = "time")]
    pub refresh_interval: Duration,
    /// Default `global`.
    pub region: String,
    /// Whom to ask. Default `http://localhost:4646`.
    #[serde(serialize_with = "url")]
    pub server: String,
    /// What stands around each tag. Default `,`.
    pub tag_separator: String,
}

/// Targets registered in Eureka.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EurekaSdConfig {
    /// Whom to ask; its paths begin with this.
    #[serde(serialize_with = "url")]
    pub server: String,
    /// The client.
    #[serde(flatten, serialize_with = "client")]
    pub http: HttpConfig,
    /// How often to ask. Default 30s.
    #[serde(serialize_with = "time")]
    pub refresh_interval: Duration,
}

impl<'a> Loader<'a> {
    pub(super) fn nomad_sd(&self, raw: &Section<'a>) -> NomadSdConfig {
        let text = |key: &str, default: &str| raw.text(key).unwrap_or_else(|| default.to_owned());
        let server = match raw.text("server") {
            None => "http://localhost:4646".to_owned(),
            Some(text) if text.trim().is_empty() => {
                self.complain(raw, "server", "nomad discovery requires a server address");
                text
            }
            Some(_) => self.server_url(raw, "server"),
        };
        NomadSdConfig {
            allow_stale: raw.boolean("allow_stale", true),
            http: self.http(raw),
            namespace: text("namespace", "default"),
            refresh_interval: Self::pace(raw, 60),
            region: text("region", "global"),
            server,
            tag_separator: text("tag_separator", ","),
        }
    }

    pub(super) fn eureka_sd(&self, raw: &Section<'a>) -> EurekaSdConfig {
        EurekaSdConfig {
            server: self.server_url(raw, "server"),
            http: self.http(raw),
            refresh_interval: Self::pace(raw, 30),
        }
    }
}
