//! Who to scrape: target groups by job, from the configuration and from DNS.
//!
//! Read `group` (the values), `dns` (one look-up turned into a group), `manager` (runs the look-ups and publishes).

mod dns;
mod group;
mod manager;
mod metrics;

pub use group::{TargetGroup, TargetSets};
pub use manager::DiscoveryManager;
