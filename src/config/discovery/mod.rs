//! The sections that say where targets come from, one file for each: its type, how it is read and how it is printed.
//!
//! A new one is a file here, a variant of [`MechanismConfig`], a row in `mechanism_keys` and in `Loader::discovery`,
//! and a discoverer.

mod clouds;
mod consul;
mod dns;
mod docker;
mod ec2;
mod file;
mod fixed;
mod http;
mod kubernetes;
mod registries;
mod selector;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use clouds::{
    DigitalOceanRole, DigitalOceanSdConfig, GceSdConfig, HetznerRole, HetznerSdConfig, LinodeSdConfig,
    VultrSdConfig,
};
pub use consul::ConsulSdConfig;
pub use dns::{DnsRecordType, DnsSdConfig};
pub use docker::{DockerFilter, DockerSdConfig, DockerSwarmRole, DockerSwarmSdConfig};
pub use ec2::{Ec2Filter, Ec2SdConfig};
pub use file::FileSdConfig;
pub use fixed::StaticConfig;
pub use http::HttpSdConfig;
pub use kubernetes::{
    KubernetesMetadata, KubernetesNamespaces, KubernetesRole, KubernetesSdConfig, KubernetesSelector,
};
pub use registries::{EurekaSdConfig, NomadSdConfig};

use super::HttpConfig;
use super::loader::{Loader, non_zero};
use super::section::Section;

/// Where the targets of a job, or a group of Alertmanagers, come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiscoveryConfig {
    /// Targets written down.
    pub fixed: Vec<StaticConfig>,
    /// Ways to find others.
    pub mechanisms: Vec<MechanismConfig>,
}

/// One way to find targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MechanismConfig {
    /// `consul_sd_configs`
    Consul(Box<ConsulSdConfig>),
    /// `dns_sd_configs`
    Dns(DnsSdConfig),
    /// `docker_sd_configs`
    Docker(Box<DockerSdConfig>),
    /// `dockerswarm_sd_configs`
    DockerSwarm(Box<DockerSwarmSdConfig>),
    /// `ec2_sd_configs`
    Ec2(Box<Ec2SdConfig>),
    /// `digitalocean_sd_configs`
    DigitalOcean(Box<DigitalOceanSdConfig>),
    /// `eureka_sd_configs`
    Eureka(Box<EurekaSdConfig>),
    /// `hetzner_sd_configs`
    Hetzner(Box<HetznerSdConfig>),
    /// `linode_sd_configs`
    Linode(Box<LinodeSdConfig>),
    /// `nomad_sd_configs`
    Nomad(Box<NomadSdConfig>),
    /// `gce_sd_configs`
    Gce(Box<GceSdConfig>),
    /// `file_sd_configs`
    File(FileSdConfig),
    /// `http_sd_configs`
    Http(Box<HttpSdConfig>),
    /// `kubernetes_sd_configs`
    Kubernetes(Box<KubernetesSdConfig>),
    /// `vultr_sd_configs`
    Vultr(Box<VultrSdConfig>),
}

impl MechanismConfig {
    /// What metrics and pages call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Consul(_) => "consul",
            Self::Dns(_) => "dns",
            Self::Docker(_) => "docker",
            Self::DockerSwarm(_) => "dockerswarm",
            Self::Ec2(_) => "ec2",
            Self::DigitalOcean(_) => "digitalocean",
            Self::Eureka(_) => "eureka",
            Self::Hetzner(_) => "hetzner",
            Self::Linode(_) => "linode",
            Self::Nomad(_) => "nomad",
            Self::Gce(_) => "gce",
            Self::File(_) => "file",
            Self::Http(_) => "http",
            Self::Kubernetes(_) => "kubernetes",
            Self::Vultr(_) => "vultr",
        }
    }

    /// The settings of its client, if it has one.
    pub fn http(&self) -> Option<&HttpConfig> {
        match self {
            Self::Consul(config) => Some(&config.http),
            Self::Docker(config) => Some(&config.http),
            Self::DockerSwarm(config) => Some(&config.http),
            Self::Ec2(config) => Some(&config.http),
            Self::DigitalOcean(config) => Some(&config.http),
            Self::Eureka(config) => Some(&config.http),
            Self::Hetzner(config) => Some(&config.http),
            Self::Linode(config) => Some(&config.http),
            Self::Nomad(config) => Some(&config.http),
            Self::Http(config) => Some(&config.http),
            Self::Kubernetes(config) => Some(&config.http),
            Self::Vultr(config) => Some(&config.http),
            Self::Dns(_) | Self::File(_) | Self::Gce(_) => None,
        }
    }

    /// The files it reads when they are needed.
    pub(super) fn files(&self) -> Vec<&PathBuf> {
        let own = match self {
            Self::Kubernetes(config) => config.kubeconfig_file.as_ref(),
            _ => None,
        };
        own.into_iter().chain(self.http().into_iter().flat_map(HttpConfig::files)).collect()
    }

    fn printed(&self) -> serde_yaml::Value {
        let printed = match self {
            Self::Consul(config) => serde_yaml::to_value(config),
            Self::Dns(config) => serde_yaml::to_value(config),
            Self::Docker(config) => serde_yaml::to_value(config),
            Self::DockerSwarm(config) => serde_yaml::to_value(config),
            Self::Ec2(config) => serde_yaml::to_value(config),
            Self::DigitalOcean(config) => serde_yaml::to_value(config),
            Self::Eureka(config) => serde_yaml::to_value(config),
            Self::Hetzner(config) => serde_yaml::to_value(config),
            Self::Linode(config) => serde_yaml::to_value(config),
            Self::Nomad(config) => serde_yaml::to_value(config),
            Self::Gce(config) => serde_yaml::to_value(config),
            Self::File(config) => serde_yaml::to_value(config),
            Self::Http(config) => serde_yaml::to_value(config),
            Self::Kubernetes(config) => serde_yaml::to_value(config),
            Self::Vultr(config) => serde_yaml::to_value(config),
        };
        // Texts, numbers and mappings with text as keys can always be printed.
        printed.unwrap_or_default()
    }
}

impl DiscoveryConfig {
    /// The sections as printed, by their keys.
    pub(super) fn printed(&self) -> BTreeMap<String, Vec<serde_yaml::Value>> {
        let mut out: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for one in &self.mechanisms {
            out.entry(format!("{}_sd_configs", one.name())).or_default().push(one.printed());
        }
        let fixed: Vec<_> =
            self.fixed.iter().map(|one| serde_yaml::to_value(one).unwrap_or_default()).collect();
        if !fixed.is_empty() {
            out.insert("static_configs".to_owned(), fixed);
        }
        out
    }
}

impl<'a> Loader<'a> {
    /// Where targets come from, as it stands among the other keys of `raw`. Addresses that are no hosts are refused only
    /// where it is `hosts_only`.
    pub(super) fn discovery(&self, raw: &Section<'a>, hosts_only: bool) -> DiscoveryConfig {
        let all = |key: &str, read: &dyn Fn(&Section<'a>) -> MechanismConfig| {
            raw.sections(key).iter().map(read).collect::<Vec<_>>()
        };
        let mechanisms = [
            all("consul_sd_configs", &|raw| MechanismConfig::Consul(Box::new(self.consul_sd(raw)))),
            all("dns_sd_configs", &|raw| MechanismConfig::Dns(self.dns_sd(raw))),
            all("docker_sd_configs", &|raw| MechanismConfig::Docker(Box::new(self.docker_sd(raw)))),
            all("dockerswarm_sd_configs", &|raw| {
                MechanismConfig::DockerSwarm(Box::new(self.docker_swarm_sd(raw)))
            }),
            all("ec2_sd_configs", &|raw| MechanismConfig::Ec2(Box::new(self.ec2_sd(raw)))),
            all("digitalocean_sd_configs", &|raw| {
                MechanismConfig::DigitalOcean(Box::new(self.digitalocean_sd(raw)))
            }),
            all("eureka_sd_configs", &|raw| MechanismConfig::Eureka(Box::new(self.eureka_sd(raw)))),
            all("hetzner_sd_configs", &|raw| MechanismConfig::Hetzner(Box::new(self.hetzner_sd(raw)))),
            all("linode_sd_configs", &|raw| MechanismConfig::Linode(Box::new(self.linode_sd(raw)))),
            all("nomad_sd_configs", &|raw| MechanismConfig::Nomad(Box::new(self.nomad_sd(raw)))),
            all("gce_sd_configs", &|raw| MechanismConfig::Gce(Box::new(self.gce_sd(raw)))),
            all("file_sd_configs", &|raw| MechanismConfig::File(self.file_sd(raw))),
            all("vultr_sd_configs", &|raw| MechanismConfig::Vultr(Box::new(self.vultr_sd(raw)))),
            all("http_sd_configs", &|raw| MechanismConfig::Http(Box::new(self.http_sd(raw)))),
            all("kubernetes_sd_configs", &|raw| {
                MechanismConfig::Kubernetes(Box::new(self.kubernetes_sd(raw)))
            }),
        ];
        DiscoveryConfig {
            fixed: raw
                .sections("static_configs")
                .iter()
                .map(|raw| self.fixed_targets(raw, hosts_only))
                .collect(),
            mechanisms: mechanisms.concat(),
        }
    }

    /// How often to look; by default each `seconds`.
    fn pace(raw: &Section<'a>, seconds: u64) -> Duration {
        non_zero(raw.duration("refresh_interval")).unwrap_or(Duration::from_secs(seconds))
    }

    /// A port, or `default` where none is given.
    fn port_or(raw: &Section<'a>, default: u16) -> u16 {
        if raw.get("port").is_some() { raw.port("port") } else { default }
    }

    /// The URL of a server to ask.
    pub(super) fn server_url(&self, raw: &Section<'a>, key: &'static str) -> String {
        self.checked_url(raw, key, raw.text(key).unwrap_or_default())
    }

    /// The same where the URL is `text`.
    fn checked_url(&self, raw: &Section<'a>, key: &'static str, text: String) -> String {
        let reason = match url::Url::parse(&text) {
            _ if text.is_empty() => Some(format!("{key} is missing")),
            Err(error) => Some(format!("not a URL: {error}")),
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                Some("the scheme of the URL must be http or https".to_owned())
            }
            Ok(url) if !url.has_host() || !text.contains("://") => Some("the URL lacks a host".to_owned()),
            Ok(_) => None,
        };
        reason.into_iter().for_each(|reason| self.complain(raw, key, reason));
        text
    }
}

#[cfg(test)]
mod tests;
