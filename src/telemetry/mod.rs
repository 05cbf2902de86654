//! The server's own metrics and logs. The registry is passed by hand to constructors; there are no globals.

pub mod classic;
pub mod counted;
mod json_log;
pub mod log;
pub mod metrics;
pub mod process;
pub mod restarts;

pub use json_log::{JsonLog, JsonLogError, JsonLogs, PreparedJsonLogs};
pub use metrics::Registry;
pub use restarts::Restarts;
