//! The mechanisms a set can name, apart from static targets. A new one is a variant here and a discoverer of its own.

use std::sync::Arc;

use super::dns::DnsDiscoverer;
use super::metrics::DiscoveryMetrics;
use super::{Discoverer, SetConfig};
use crate::config::DnsSdConfig;
use crate::net::Resolver;

/// What discoverers are made with.
pub(super) struct Environment {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) metrics: DiscoveryMetrics,
}

/// What to find and how. Equal ones are one, whichever sets want them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Mechanism {
    /// Look-ups of one name.
    Dns {
        /// The name.
        name: String,
        /// Everything else.
        config: DnsSdConfig,
    },
}

impl Mechanism {
    /// Those of a set, in the order in which their groups are shown.
    pub(super) fn all_of(set: &SetConfig) -> impl Iterator<Item = Self> + '_ {
        set.dns_sd_configs.iter().flat_map(|config| {
            config.names.iter().map(|name| {
                let config = DnsSdConfig { names: Vec::new(), ..config.clone() };
                Self::Dns { name: name.clone(), config }
            })
        })
    }

    /// What stays the same when only the pace changes: groups outlive such a change.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::Dns { name, config } => super::dns::source(config, name),
        }
    }

    pub(super) fn discoverer(&self, environment: &Environment) -> Box<dyn Discoverer> {
        match self {
            Self::Dns { name, config } => Box::new(DnsDiscoverer {
                resolver: Arc::clone(&environment.resolver),
                metrics: environment.metrics.clone(),
                config: config.clone(),
                name: name.clone(),
            }),
        }
    }
}
