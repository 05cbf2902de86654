//! The mechanisms there are, made from their configuration.

use std::sync::Arc;
use std::time::Duration;

use super::api::Api;
use super::aws::Ec2Source;
use super::consul::ConsulDiscoverer;
use super::digitalocean::{self, DigitalOcean};
use super::discoverer::Polling;
use super::dns::DnsDiscoverer;
use super::docker::{Containers, Engine, Following};
use super::eureka::Eureka;
use super::file::FileDiscoverer;
use super::google::GceSource;
use super::hetzner::{self, Hetzner};
use super::http::HttpSource;
use super::kubernetes::KubernetesDiscoverer;
use super::linode::{self, Linode};
use super::metrics::DiscoveryMetrics;
use super::nomad::Nomad;
use super::swarm::Swarm;
use super::vultr::{self, Vultr};
use super::{Discoverer, Refresh};
use crate::config::MechanismConfig;
use crate::net::{Dialer, HttpClient, HttpError, Resolver};

/// What discoverers are made with.
pub(super) struct Environment {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) dialer: Arc<Dialer>,
    pub(super) metrics: DiscoveryMetrics,
}

impl Environment {
    /// The mechanism that `config` describes.
    ///
    /// # Errors
    /// When its HTTP client cannot be set up.
    pub(super) fn discoverer(&self, config: &MechanismConfig) -> Result<Box<dyn Discoverer>, HttpError> {
        let client = |http| HttpClient::new(http, Arc::clone(&self.dialer));
        // For those that ask for everything at their pace.
        let api = |url: &str, http, pace| {
            let api = Api::new(url.trim_end_matches('/').to_owned(), http, &self.dialer)?;
            Ok::<_, HttpError>(api.answering_within(pace))
        };
        let metrics = self.metrics.clone();
        Ok(match config {
            MechanismConfig::Consul(config) => {
                Box::new(ConsulDiscoverer::new((**config).clone(), &self.dialer)?)
            }
            MechanismConfig::Dns(config) => Box::new(DnsDiscoverer {
                resolver: Arc::clone(&self.resolver),
                metrics,
                config: config.clone(),
            }),
            MechanismConfig::Docker(config) => {
                let engine = Engine::new(&config.host, &config.http, &config.filters, &self.dialer)?;
                let pace = config.refresh_interval;
                Box::new(Following { source: Containers((**config).clone()), engine, pace })
            }
            MechanismConfig::DockerSwarm(config) => {
                let engine = Engine::new(&config.host, &config.http, &config.filters, &self.dialer)?;
                let pace = config.refresh_interval;
                Box::new(Following { source: Swarm((**config).clone()), engine, pace })
            }
            MechanismConfig::Ec2(config) => {
                let source = Ec2Source::new(config.clone(), &self.dialer)?;
                polling(source, config.refresh_interval)
            }
            MechanismConfig::DigitalOcean(config) => {
                let api = api(digitalocean::URL, &config.http, config.refresh_interval)?;
                let source = DigitalOcean { api, config: config.clone() };
                polling(source, config.refresh_interval)
            }
            MechanismConfig::Eureka(config) => {
                let source = Eureka { api: api(&config.server, &config.http, config.refresh_interval)? };
                polling(source, config.refresh_interval)
            }
            MechanismConfig::Gce(config) => {
                let source = GceSource::new(config.clone(), &self.dialer)?;
                polling(source, config.refresh_interval)
            }
            MechanismConfig::Hetzner(config) => {
                let api = api(hetzner::url(config.role), &config.http, config.refresh_interval)?;
                let source = Hetzner { api, config: config.clone() };
                polling(source, config.refresh_interval)
            }
            MechanismConfig::Linode(config) => {
                let source =
                    Linode::new(api(linode::URL, &config.http, config.refresh_interval)?, config.clone());
                polling(source, config.refresh_interval)
            }
            MechanismConfig::Nomad(config) => {
                let source = Nomad {
                    api: api(&config.server, &config.http, config.refresh_interval)?,
                    config: config.clone(),
                };
                polling(source, config.refresh_interval)
            }
            MechanismConfig::File(config) => Box::new(FileDiscoverer::new(config.clone(), metrics)),
            MechanismConfig::Vultr(config) => {
                let source = Vultr {
                    api: api(vultr::URL, &config.http, config.refresh_interval)?,
                    config: config.clone(),
                };
                polling(source, config.refresh_interval)
            }
            MechanismConfig::Http(config) => {
                let source = HttpSource { client: client(&config.http)?, config: config.clone(), metrics };
                polling(source, config.refresh_interval)
            }
            MechanismConfig::Kubernetes(config) => {
                Box::new(KubernetesDiscoverer::new((**config).clone(), &self.dialer, metrics)?)
            }
        })
    }
}

fn polling<R: Refresh + 'static>(source: R, pace: Duration) -> Box<dyn Discoverer> {
    Box::new(Polling { source, pace })
}
