//! Who to scrape and whom to tell of alerts: target groups in named sets, from the configuration and from DNS.
//!
//! Read `set` (what is wanted) and `group` (what is found), `discoverer` (the seam), `mechanism` (those there are) with `dns`, then `manager` (runs
//! them and publishes).

mod discoverer;
mod dns;
mod group;
mod manager;
mod mechanism;
mod metrics;
mod set;

pub use discoverer::{Discoverer, GroupSender};
pub use group::{TargetGroup, TargetSets};
pub use manager::DiscoveryManager;
pub use metrics::DiscoveryMetrics;
pub use set::SetConfig;
