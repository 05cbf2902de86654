//! Scraping: targets from discovery, bodies over HTTP, samples into the database.
//!
//! Read [`manager`] (the door: jobs, reload, stop), then `pool` (one job), `target` (what is scraped), `scrape_loop`
//! (one target over time) on `threads`, `timing` (when), `fetch` and `inflate` (how a body is got), `ingest` (body to samples) with `cache`,
//! `series_labels`, `histograms`, `quotas`, `explosion`, `report` and `families`, `handover` (what a loop leaves to others), `body_store` (a target without a network), and [`status`] (what the API shows).

mod body_store;
mod cache;
pub mod error;
mod explosion;
mod families;
mod fetch;
mod handover;
mod histograms;
mod inflate;
mod ingest;
pub mod manager;
mod metrics;
mod pool;
pub mod quotas;
mod report;
mod scrape_loop;
mod series_labels;
mod shared;
pub mod status;
mod summary;
mod target;
mod threads;
mod timing;

pub use body_store::BodyStore;
pub use error::Error;
pub use inflate::with_inflated;
pub use manager::{Prepared, ScrapeManager};
pub use shared::ScrapeOptions;
pub use status::ScrapeHandle;
pub use target::set_defaults;
