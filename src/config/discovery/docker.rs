//! Targets in a Docker Engine, and in a swarm of them.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::config::HttpConfig;
use crate::config::loader::Loader;
use crate::config::raw::{client, time, url};
use crate::config::section::Section;

/// What the engine is asked to leave out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DockerFilter {
    /// Such as `label`.
    pub name: String,
    /// Any of them.
    pub values: Vec<String>,
}

/// Targets found in the containers of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DockerSdConfig {
    /// The client; not used over a socket.
    #[serde(flatten, serialize_with = "client")]
    pub http: HttpConfig,
    /// Where the engine listens: `unix://`, `tcp://`, `http://` or `https://`.
    #[serde(serialize_with = "url")]
    pub host: String,
    /// Port of containers that have no TCP port. Default 80.
    pub port: u16,
    /// Which containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<DockerFilter>,
    /// Address of containers that have the network of their host. Default `localhost`.
    pub host_networking_host: String,
    /// How often to ask even if the engine tells of nothing. Default 60s.
    #[serde(serialize_with = "time")]
    pub refresh_interval: Duration,
    /// Whether a container in several networks is one target, in the first by name. Default true.
    pub match_first_network: bool,
}

/// What the targets of a swarm are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DockerSwarmRole {
    /// Its services at their virtual addresses.
    Services,
    /// The containers of its services.
    Tasks,
    /// Its machines.
    Nodes,
}

impl DockerSwarmRole {
    const ALL: [(&'static str, Self); 3] =
        [("services", Self::Services), ("tasks", Self::Tasks), ("nodes", Self::Nodes)];

    /// The name it has in a configuration.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name)
    }
}

impl Serialize for DockerSwarmRole {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Targets found in a swarm of engines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DockerSwarmSdConfig {
    /// The client; not used over a socket.
    #[serde(flatten, serialize_with = "client")]
    pub http: HttpConfig,
    /// Where an engine that manages the swarm listens.
    #[serde(serialize_with = "url")]
    pub host: String,
    /// What the targets are.
    pub role: DockerSwarmRole,
    /// Port of what has no TCP port. Default 80.
    pub port: u16,
    /// Which of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<DockerFilter>,
    /// How often to ask even if the engine tells of nothing. Default 60s.
    #[serde(serialize_with = "time")]
    pub refresh_interval: Duration,
}

impl<'a> Loader<'a> {
    pub(super) fn docker_sd(&self, raw: &Section<'a>) -> DockerSdConfig {
        let host = raw.text("host_networking_host").filter(|host| !host.is_empty());
        DockerSdConfig {
            http: self.http(raw),
            host: self.engine(raw),
            port: Self::port_or(raw, 80),
            filters: self.docker_filters(raw),
            host_networking_host: host.unwrap_or_else(|| "localhost".to_owned()),
            refresh_interval: Self::pace(raw, 60),
            match_first_network: raw.boolean("match_first_network", true),
        }
    }

    pub(super) fn docker_swarm_sd(&self, raw: &Section<'a>) -> DockerSwarmSdConfig {
        let text = raw.text("role").unwrap_or_default();
        let role = DockerSwarmRole::ALL.iter().find(|(name, _)| *name == text).map(|(_, role)| *role);
        if role.is_none() {
            let what =
                if text.is_empty() { "role missing".to_owned() } else { format!("invalid role {text:?}") };
            self.complain(raw, "role", format!("{what}: tasks, services or nodes"));
        }
        DockerSwarmSdConfig {
            http: self.http(raw),
            host: self.engine(raw),
            role: role.unwrap_or(DockerSwarmRole::Services),
            port: Self::port_or(raw, 80),
            filters: self.docker_filters(raw),
            refresh_interval: Self::pace(raw, 60),
        }
    }

    fn docker_filters(&self, raw: &Section<'a>) -> Vec<DockerFilter> {
        let filter = |raw: &Section<'a>| {
            let name = raw.text("name").unwrap_or_default();
            if name.is_empty() {
                self.complain(raw, "name", "the name of a filter is missing");
            }
            let values = raw.texts("values").unwrap_or_default();
            DockerFilter { name, values: values.into_iter().map(|(value, _)| value).collect() }
        };
        raw.sections("filters").iter().map(filter).collect()
    }

    fn engine(&self, raw: &Section<'a>) -> String {
        let host = raw.text("host").unwrap_or_default();
        let (scheme, rest) = host.split_once("://").unwrap_or_default();
        let reason = match scheme {
            _ if host.is_empty() => Some("host missing".to_owned()),
            "unix" if rest.is_empty() => Some("the path of the socket is missing".to_owned()),
            "tcp" | "http" | "https" if rest.is_empty() => {
                Some("the host of the engine is missing".to_owned())
            }
            "unix" | "tcp" | "http" | "https" => None,
            _ => Some(format!("must begin with unix://, tcp://, http:// or https://, not {host:?}")),
        };
        reason.into_iter().for_each(|reason| self.complain(raw, "host", reason));
        host
    }
}
