//! `storage`: what the database keeps and takes. Applied on reload.

use std::time::Duration;

/// The section, as far as the file says; what it leaves open the command line decides.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StorageConfig {
    /// How far behind its series' newest sample a sample may be. Zero takes none out of order.
    pub out_of_order_time_window: Duration,
    /// How long samples are kept; zero for ever.
    pub retention_time: Option<Duration>,
    /// Bytes of blocks and log kept; zero for no limit.
    pub retention_size: Option<u64>,
    /// The same as a share of the disk in percent.
    pub retention_percentage: Option<f64>,
    /// Exemplars kept in memory, over all series; 0 or less takes none. Default 100,000.
    pub max_exemplars: Option<i64>,
}
