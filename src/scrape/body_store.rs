//! One target without a network: its bodies go the way of those that were fetched. For benches and tools.

use std::sync::Arc;
use std::time::Duration;

use super::families::{Families, FamilyTexts};
use super::fetch::{self, Fetched};
use super::ingest::Ingest;
use super::metrics::ScrapeMetrics;
use super::quotas::JobQuota;
use super::shared::ScrapeOptions;
use super::summary::Failure;
use super::target::Target;
use crate::config::ScrapeConfig;
use crate::model::Labels;
use crate::telemetry::Registry;
use crate::tsdb::Tsdb;

/// Stores the bodies of one target.
pub struct BodyStore {
    db: Arc<Tsdb>,
    job: Arc<ScrapeConfig>,
    metrics: ScrapeMetrics,
    ingest: Ingest,
}

impl BodyStore {
    /// One of a target of `job` whose series get `labels`.
    pub fn new(job: &Arc<ScrapeConfig>, labels: Labels, db: &Arc<Tsdb>, registry: &mut Registry) -> Self {
        let target = Target::plain(job, labels);
        let families = Families::new(&Arc::<FamilyTexts>::default());
        let quota = JobQuota::new(job);
        let ingest = Ingest::new(Arc::clone(job), &target, ScrapeOptions::default(), families, &quota, db);
        Self { db: Arc::clone(db), job: Arc::clone(job), metrics: ScrapeMetrics::new(registry), ingest }
    }

    /// Stores a body that came with `content_type`, in gzip if so, as scraped at `at_ms`; returns how many samples it
    /// has after relabelling.
    ///
    /// # Errors
    /// Why the scrape fails.
    pub fn store(&mut self, at_ms: i64, body: &[u8], gzip: bool, content_type: &str) -> Result<u64, String> {
        let fetched = Fetched { gzip, content_type: content_type.to_owned() };
        let Self { db, job, metrics, ingest } = self;
        let summary = fetch::with_opened(job, &fetched, body, |opened| {
            let opened = opened.map_err(|error| Failure::new(error.to_string()));
            ingest.scrape(db, metrics, at_ms, opened, || Duration::ZERO)
        });
        summary.error.map_or(Ok(summary.counts.kept), Err)
    }
}
