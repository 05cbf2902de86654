//! What a scrape did.

use std::sync::Arc;
use std::time::Duration;

use super::quotas::RefusedSeries;
use super::status::{FamilyMetadata, Refused};

/// Why there is no body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// It is larger than it may be.
    pub(super) too_large: bool,
}

impl Failure {
    /// One that has nothing to do with the size of the body.
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), too_large: false }
    }
}

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
    /// Size of the body; -1 where it was over its limit, 0 where there is none.
    pub(super) body_bytes: f64,
    /// Samples that were not taken for their time.
    pub(super) refused: Refused,
    /// New series that a quota left out.
    pub(super) refused_series: Option<RefusedSeries>,
    /// The families of the target, when they changed.
    pub(super) families: Option<Arc<[Arc<FamilyMetadata>]>>,
}
