//! Emberkeep: a Prometheus-compatible monitoring server with its own persistent time series database.
//!
//! The modules in reading order, lowest first; `docs/architecture.md` is the map with the import rules:
//!
//! - [`util`]: clock, cancellation; [`codec`]: bytes to numbers and back, framing, checksums
//! - [`model`]: labels, matchers, samples, durations
//! - [`telemetry`]: the server's own metrics and logs
//! - [`storage`]: the read seam between queries and whatever holds data
//! - [`tsdb`]: the database
//! - [`config`]: the configuration file; [`relabel`]: rewriting of label sets; [`expfmt`]: what targets answer
//! - [`net`]: HTTP and DNS; [`discovery`]: who to scrape; [`scrape`]: scraping

pub mod codec;
pub mod config;
pub mod discovery;
pub mod expfmt;
pub mod model;
pub mod net;
pub mod relabel;
pub mod scrape;
pub mod storage;
pub mod telemetry;
pub mod tsdb;
pub mod util;
