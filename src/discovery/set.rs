//! What a set of targets is made from: the part of a section that says where targets come from.

use std::sync::Arc;

use crate::config::{AlertingConfig, AlertmanagerConfig, Config, DiscoveryConfig, ScrapeConfig};

/// Where the targets of one set come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetConfig {
    /// Name of the set, unique among those of one manager.
    pub name: String,
    /// Where they come from.
    pub discovery: DiscoveryConfig,
}

impl SetConfig {
    /// The sets of the jobs, called as they are.
    pub fn of_jobs(config: &Config) -> Vec<Self> {
        let set =
            |job: &Arc<ScrapeConfig>| Self { name: job.job_name.clone(), discovery: job.discovery.clone() };
        config.scrape_configs.iter().map(set).collect()
    }

    /// The sets of the groups of Alertmanagers, in file order, called by [`SetConfig::name_at`].
    pub fn of_alertmanagers(config: &AlertingConfig) -> Vec<Self> {
        let set = |(at, group): (usize, &Arc<AlertmanagerConfig>)| Self {
            name: Self::name_at(at),
            discovery: group.discovery.clone(),
        };
        config.alertmanagers.iter().enumerate().map(set).collect()
    }

    /// What Prometheus calls the set of a section without a name that is number `at` in its list, from 0.
    pub fn name_at(at: usize) -> String {
        format!("config-{at}")
    }
}
