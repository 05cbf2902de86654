//! Who to scrape: target groups by job, from the configuration and from DNS.
//!
//! Read `group` (the values), `discoverer` (the seam), `mechanism` (those there are) with `dns`, then `manager` (runs
//! them and publishes).

mod discoverer;
mod dns;
mod group;
mod manager;
mod mechanism;
mod metrics;

pub use discoverer::{Discoverer, GroupSender};
pub use group::{TargetGroup, TargetSets};
pub use manager::DiscoveryManager;
