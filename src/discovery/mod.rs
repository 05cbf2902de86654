//! Who to scrape and whom to tell of alerts: target groups in named sets, from the configuration and from mechanisms that
//! find them.
//!
//! Read `set` (what is wanted) and `group` (what is found), `discoverer` (the seam), `mechanism` (those there are, each in
//! a file or folder of its own: `aws`, `consul`, `dns`, `docker`, `swarm`, `digitalocean`, `eureka`, `file`, `google`,
//! `hetzner`, `http`, `kubernetes`, `linode`, `nomad`, `vultr`; those that ask servers do so by `api`), then `store` (what
//! all have found, with `health`) and `manager` (runs them).

mod api;
mod aws;
mod consul;
mod digitalocean;
mod discoverer;
mod dns;
mod docker;
mod eureka;
#[cfg(test)]
mod fake;
mod file;
mod google;
mod group;
mod health;
mod hetzner;
mod http;
mod kubernetes;
mod linode;
mod manager;
mod mechanism;
mod metrics;
mod nomad;
mod parts;
mod set;
mod store;
mod surroundings;
mod swarm;
mod vultr;
mod xml;

pub use aws::AwsSigner;
#[cfg(test)]
pub(crate) use aws::is_signed;
pub use discoverer::{Discoverer, Refresh};
pub use group::{TargetGroup, TargetSets};
pub use health::{Change, Health, MechanismStatus};
pub use manager::{DiscoveryManager, PreparedSets};
pub use metrics::DiscoveryMetrics;
pub use set::SetConfig;
pub use store::GroupSender;
