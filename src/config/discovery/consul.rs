//! Targets in the catalog of Consul.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::config::loader::Loader;
use crate::config::raw::{client, time, url};
use crate::config::section::{Section, is_empty};
use crate::config::{Auth, HttpConfig, Secret, Source};

/// Targets registered in Consul.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsulSdConfig {
    /// The server as `host:port`, or with its scheme before it. Default `localhost:8500`.
    #[serde(serialize_with = "url")]
    pub server: String,
    /// What the paths of the API begin with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path_prefix: String,
    /// What the server wants to know of who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Empty is that of the server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub datacenter: String,
    /// Empty is the default one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Empty is the default one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub partition: String,
    /// What stands around each tag. Default `,`.
    pub tag_separator: String,
    /// Default `http`.
    pub scheme: String,
    /// Whether a server that does not lead may answer. Default true.
    pub allow_stale: bool,
    /// The shortest time from one request to the next; a change is told at once. Default 30s.
    #[serde(serialize_with = "time")]
    pub refresh_interval: Duration,
    /// Services; none are all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Tags that a service must have, each of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Metadata that a node must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_meta: BTreeMap<String, String>,
    /// Which services, in the language of the catalog.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter: String,
    /// Which instances, in the language of the health API.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub health_filter: String,
    /// The client.
    #[serde(flatten, serialize_with = "client")]
    pub http: HttpConfig,
}

impl<'a> Loader<'a> {
    pub(super) fn consul_sd(&self, raw: &Section<'a>) -> ConsulSdConfig {
        let text = |key: &str| raw.text(key).unwrap_or_default();
        let given = |key: &str| raw.get(key).filter(|item| !is_empty(item.node));
        let server = raw.text("server").unwrap_or_else(|| "localhost:8500".to_owned());
        if server.trim().is_empty() {
            self.complain(raw, "server", "consul discovery requires a server address");
        }
        let mut http = self.http(raw);
        if given("username").is_some() || given("password").is_some() {
            let key = if given("username").is_some() { "username" } else { "password" };
            if http.auth.is_some() {
                let reason =
                    "at most one of username and password, and other ways to say who asks can be configured";
                self.complain(raw, key, reason);
            }
            let source = |key: &str| given(key).map(|_| Source::Text(Secret::new(text(key))));
            http.auth = Some(Auth::Basic { username: source("username"), password: source("password") });
        }
        let token = given("token").map(|_| Secret::new(text("token")));
        if token.is_some() && matches!(http.auth, Some(Auth::Header { .. } | Auth::OAuth2(_))) {
            self.complain(raw, "token", "at most one of token, authorization and oauth2 can be configured");
        }
        let texts = |key: &str| {
            let texts = raw.texts(key).unwrap_or_default();
            texts.into_iter().map(|(text, _)| text).collect()
        };
        ConsulSdConfig {
            server,
            path_prefix: text("path_prefix"),
            token,
            datacenter: text("datacenter"),
            namespace: text("namespace"),
            partition: text("partition"),
            tag_separator: raw.text("tag_separator").unwrap_or_else(|| ",".to_owned()),
            scheme: self.scheme(raw).name().to_owned(),
            allow_stale: raw.boolean("allow_stale", true),
            refresh_interval: Self::pace(raw, 30),
            services: texts("services"),
            tags: texts("tags"),
            node_meta: raw.map_of_text("node_meta"),
            filter: text("filter"),
            health_filter: text("health_filter"),
            http,
        }
    }
}
