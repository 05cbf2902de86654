//! What a scrape did.

use std::sync::Arc;
use std::time::Duration;

use super::status::{FamilyMetadata, Refused};

/// The counts of one scrape.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// Samples in the body.
    pub(super) scraped: u64,
    /// Samples left after relabelling.
    pub(super) kept: u64,
    /// Series seen for the first time.
    pub(super) added: u64,
}

/// What a scrape did.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Why it failed.
    pub(super) error: Option<String>,
    pub(super) counts: Counts,
    pub(super) duration: Duration,
    /// Samples that were not taken for their time.
    pub(super) refused: Refused,
    /// The families of the target, when they changed.
    pub(super) families: Option<Arc<Vec<FamilyMetadata>>>,
}
