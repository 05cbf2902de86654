//! Data of other servers: Prometheus' blocks and log, OpenMetrics files.
//!
//! Read [`prometheus`] (its formats, both directions), then [`gathered`] and [`merged`] (samples of any order, and several sources, as one series set), then
//! [`export`], [`import`] and [`openmetrics`] (what the command line does with them).
//! Nothing here talks to a running server. Every byte that is read can be damaged: that gives an error with file and
//! offset, never a panic.

mod error;
pub mod export;
pub mod gathered;
pub mod import;
pub mod merged;
pub mod openmetrics;
pub mod prometheus;

pub use error::{Error, Result};
