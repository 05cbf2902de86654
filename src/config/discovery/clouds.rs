//! Targets that hosters rent out: each of these sections says little more than whom to ask, and for what.

use std::time::Duration;

use serde::Serialize;

use crate::config::HttpConfig;
use crate::config::loader::Loader;
use crate::config::raw::{client, time};
use crate::config::section::{Section, is_empty};

/// What DigitalOcean runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DigitalOceanRole {
    /// Machines.
    Droplets,
    /// Clusters of managed databases.
    Databases,
}

/// Targets at DigitalOcean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DigitalOceanSdConfig {
    /// The client; its bearer token says who asks.
    #[serde(flatten, serialize_with = "client")]
    pub http: HttpConfig,
    /// How often to ask. Default 60s.
    #[serde(serialize_with = "time")]
    pub refresh_interval: Duration,
    /// Port of the targets. Default 80.
    pub port: u16,
    /// What the targets are. Default droplets.
    pub role: DigitalOceanRole,
}

/// Targets that are instances of Google's Compute Engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GceSdConfig {
    /// The project.
    pub project: String,
    /// The zone.
    pub zone: String,
    /// Which instances, in the language of the API; empty is all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter: String,
    /// How often to ask. Default 60s.
    #[serde(serialize_with = "time")]
    pub refresh_interval: Duration,
    /// Port of the targets. Default 80.
    pub port: u16,
    /// What stands around each tag. Default `,`.
    pub tag_separator: String,
}

/// What Hetzner rents out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HetznerRole {
    /// Virtual machines.
    Hcloud,
    /// Machines of metal.
    Robot,
}

/// Targets at Hetzner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HetznerSdConfig {
    /// The client: a bearer token for `hcloud`, name and password for `robot`.
    #[serde(flatten, serialize_with = "client")]
    pub http: HttpConfig,
    /// How often to ask. Default 60s.
    #[serde(serialize_with = "time")]
    pub refresh_interval: Duration,
    /// Port of the targets. Default 80.
    pub port: u16,
    /// What the targets are.
    pub role: HetznerRole,
    /// Which of the virtual machines; empty is all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label_selector: String,
}

/// Targets at Linode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinodeSdConfig {
    /// The client; its bearer token says who asks.
    #[serde(flatten, serialize_with = "client")]
    pub http: HttpConfig,
    /// How often to ask. Default 60s.
    #[serde(serialize_with = "time")]
    pub refresh_interval: Duration,
    /// Port of the targets. Default 80.
    pub port: u16,
    /// What stands around each tag. Default `,`.
    pub tag_separator: String,
    /// Empty is all of them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
}

/// Targets at Vultr.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VultrSdConfig {
    /// The client; its bearer token says who asks.
    #[serde(flatten, serialize_with = "client")]
    pub http: HttpConfig,
    /// How often to ask. Default 60s.
    #[serde(serialize_with = "time")]
    pub refresh_interval: Duration,
    /// Port of the targets. Default 80.
    pub port: u16,
}

impl<'a> Loader<'a> {
    pub(super) fn digitalocean_sd(&self, raw: &Section<'a>) -> DigitalOceanSdConfig {
        let roles = [("droplets", DigitalOceanRole::Droplets), ("databases", DigitalOceanRole::Databases)];
        DigitalOceanSdConfig {
            http: self.http(raw),
            refresh_interval: Self::pace(raw, 60),
            port: Self::port_or(raw, 80),
            role: self.role(raw, &roles, Some(DigitalOceanRole::Droplets)),
        }
    }

    pub(super) fn gce_sd(&self, raw: &Section<'a>) -> GceSdConfig {
        let text = |key: &str| raw.text(key).unwrap_or_default();
        for key in ["project", "zone"] {
            if text(key).is_empty() {
                self.complain(raw, key, format!("GCE discovery requires a {key}"));
            }
        }
        GceSdConfig {
            project: text("project"),
            zone: text("zone"),
            filter: text("filter"),
            refresh_interval: Self::pace(raw, 60),
            port: Self::port_or(raw, 80),
            tag_separator: raw.text("tag_separator").unwrap_or_else(|| ",".to_owned()),
        }
    }

    pub(super) fn hetzner_sd(&self, raw: &Section<'a>) -> HetznerSdConfig {
        let role = self.role(raw, &[("robot", HetznerRole::Robot), ("hcloud", HetznerRole::Hcloud)], None);
        let selector = raw.get("label_selector").filter(|item| !is_empty(item.node));
        if role == HetznerRole::Robot && selector.is_some() {
            self.complain(raw, "label_selector", "label_selector has a meaning with the role hcloud only");
        }
        HetznerSdConfig {
            http: self.http(raw),
            refresh_interval: Self::pace(raw, 60),
            port: Self::port_or(raw, 80),
            role,
            label_selector: raw.text("label_selector").unwrap_or_default(),
        }
    }

    pub(super) fn linode_sd(&self, raw: &Section<'a>) -> LinodeSdConfig {
        LinodeSdConfig {
            http: self.http(raw),
            refresh_interval: Self::pace(raw, 60),
            port: Self::port_or(raw, 80),
            tag_separator: raw.text("tag_separator").unwrap_or_else(|| ",".to_owned()),
            region: raw.text("region").unwrap_or_default(),
        }
    }

    pub(super) fn vultr_sd(&self, raw: &Section<'a>) -> VultrSdConfig {
        VultrSdConfig {
            http: self.http(raw),
            refresh_interval: Self::pace(raw, 60),
            port: Self::port_or(raw, 80),
        }
    }

    /// One of `roles`; `default` where none is said.
    fn role<T: Copy>(&self, raw: &Section<'a>, roles: &[(&str, T)], default: Option<T>) -> T {
        let text = raw.text("role");
        let found = match (&text, default) {
            (None, Some(default)) => Some(default),
            (text, _) => {
                let text = text.as_deref().unwrap_or_default();
                roles.iter().find(|(name, _)| *name == text).map(|(_, role)| *role)
            }
        };
        if found.is_none() {
            let names: Vec<&str> = roles.iter().map(|(name, _)| *name).collect();
            let what = match text.as_deref().unwrap_or_default() {
                "" => "role missing".to_owned(),
                text => format!("unknown role {text:?}"),
            };
            self.complain(raw, "role", format!("{what}: {}", names.join(" or ")));
        }
        found.unwrap_or(roles[0].1)
    }
}
