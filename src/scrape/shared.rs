//! What all loops share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use super::families::FamilyTexts;
use super::metrics::ScrapeMetrics;
use super::threads::ScrapeThreads;
use crate::telemetry::JsonLogs;
use crate::tsdb::Tsdb;
use crate::util::Clock;

/// What holds for every scrape, whatever the configuration says.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScrapeOptions {
    /// What a family says of its type and unit becomes labels of its series: `__type__`, `__unit__`.
    pub type_and_unit_labels: bool,
    /// Where a target says when counting began, a zero is stored at that time.
    pub created_zeros: bool,
    /// Where a target says when counting began, that is stored with its samples.
    pub starts: bool,
}

/// What all loops share.
pub(super) struct Shared {
    pub(super) db: Arc<Tsdb>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: ScrapeMetrics,
    pub(super) options: ScrapeOptions,
    /// Where scrapes that failed are logged.
    pub(super) failure_logs: Arc<ArcSwap<JsonLogs>>,
    /// What targets say of their families.
    pub(super) families: Arc<FamilyTexts>,
    /// Where loops run.
    pub(super) threads: Arc<ScrapeThreads>,
    /// Bodies that may be stored at once elsewhere.
    pub(super) elsewhere: Semaphore,
    /// Differs between servers, by their external labels and the machines they run on, so that two of them scrape at
    /// different moments.
    pub(super) seed: u64,
}
