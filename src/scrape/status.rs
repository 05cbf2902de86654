//! The read-only view of scraping that the API shows. Plain values, cheap to ask for from any thread.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::quotas::RefusedSeries;
use super::target::Target;
use crate::model::Labels;
use crate::model::MetricType;
use crate::telemetry::Restarts;
use crate::util::lock::lock;

/// Whether the last scrape of a target worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// Not scraped yet.
    #[default]
    Unknown,
    /// It worked.
    Up,
    /// It failed.
    Down,
}

/// Samples of a scrape that the database did not take for their time. They make no scrape fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refused {
    /// Older than what their series has.
    pub out_of_order: u64,
    /// Another value at the time of one their series has, or twice in one scrape.
    pub duplicate: u64,
    /// Older than anything that is still taken.
    pub too_old: u64,
    /// Too far ahead of the clock.
    pub too_far_ahead: u64,
}

/// A target that is scraped.
#[derive(Debug, Clone)]
pub struct ActiveTarget {
    /// Before relabelling.
    pub discovered_labels: Labels,
    /// On every series.
    pub labels: Labels,
    /// Name of the job.
    pub pool: String,
    /// Where it is scraped.
    pub url: String,
    /// Why the last scrape failed; empty when it did not.
    pub last_error: String,
    /// Start of the last scrape in milliseconds; 0 before the first.
    pub last_scrape_ms: i64,
    /// How long the last scrape took.
    pub last_duration_s: f64,
    /// Outcome of the last scrape.
    pub health: Health,
    /// Samples of the last scrape that were not taken for their time.
    pub refused: Refused,
    /// New series of the last scrape that a quota left out.
    pub refused_series: Option<RefusedSeries>,
    /// Scrape interval.
    pub interval_ms: u64,
    /// Scrape timeout.
    pub timeout_ms: u64,
}

/// A target that relabelling dropped.
#[derive(Debug, Clone)]
pub struct DroppedTarget {
    /// Before relabelling.
    pub discovered_labels: Labels,
    /// Name of the job.
    pub pool: String,
}

/// All targets at one moment.
#[derive(Debug, Clone, Default)]
pub struct ScrapeStatus {
    /// Targets that are scraped, by job, in a stable order.
    pub active: Vec<ActiveTarget>,
    /// Targets that were dropped, as many as the job keeps.
    pub dropped: Vec<DroppedTarget>,
    /// How many were dropped, by job.
    pub dropped_counts: BTreeMap<String, usize>,
}

/// What a target says about one of its metric families.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FamilyMetadata {
    /// Name of the family.
    pub name: String,
    /// Its type.
    pub kind: MetricType,
    /// Its help text.
    pub help: String,
    /// Its unit, often empty.
    pub unit: String,
}

/// The families of one target.
#[derive(Debug, Clone)]
pub struct TargetMetadata {
    /// Labels of the target.
    pub labels: Labels,
    /// In name order.
    pub families: Arc<[Arc<FamilyMetadata>]>,
}

/// What a loop writes and the API reads about one target.
#[derive(Debug)]
pub(super) struct TargetState {
    pub(super) target: Target,
    pub(super) last: Mutex<LastScrape>,
}

#[derive(Debug, Default)]
pub(super) struct LastScrape {
    pub(super) error: String,
    pub(super) started_ms: i64,
    pub(super) duration_s: f64,
    pub(super) health: Health,
    pub(super) refused: Refused,
    pub(super) refused_series: Option<RefusedSeries>,
    /// When refused samples were last logged.
    pub(super) logged_at: Option<Instant>,
    /// When refused series were last logged.
    pub(super) quota_logged_at: Option<Instant>,
    pub(super) families: Arc<[Arc<FamilyMetadata>]>,
}

impl TargetState {
    pub(super) fn new(target: Target) -> Self {
        Self { target, last: Mutex::default() }
    }
}

/// The targets of one job.
#[derive(Debug, Default, Clone)]
pub(super) struct PoolView {
    pub(super) name: String,
    pub(super) active: Vec<Arc<TargetState>>,
    pub(super) dropped: Vec<Labels>,
    pub(super) dropped_count: usize,
}

/// Reads the status of scraping. Clones are cheap and show the same.
#[derive(Debug, Clone, Default)]
pub struct ScrapeHandle {
    pub(super) pools: Arc<ArcSwap<Vec<PoolView>>>,
    restarts: Restarts,
}

impl ScrapeHandle {
    pub(super) fn new(restarts: Restarts) -> Self {
        Self { pools: Arc::default(), restarts }
    }

    /// How often scraping a target, or looking after the targets, panicked and was begun again.
    pub fn restarts(&self) -> u64 {
        self.restarts.count()
    }

    /// All targets now.
    pub fn status(&self) -> ScrapeStatus {
        let mut status = ScrapeStatus::default();
        for pool in self.pools.load().iter() {
            for state in &pool.active {
                let last = lock(&state.last);
                let target = &state.target;
                let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
                status.active.push(ActiveTarget {
                    discovered_labels: target.discovered.clone(),
                    labels: target.labels.clone(),
                    pool: pool.name.clone(),
                    url: target.url.clone(),
                    last_error: last.error.clone(),
                    last_scrape_ms: last.started_ms,
                    last_duration_s: last.duration_s,
                    health: last.health,
                    refused: last.refused,
                    refused_series: last.refused_series.clone(),
                    interval_ms: millis(target.interval),
                    timeout_ms: millis(target.timeout),
                });
            }
            status.dropped.extend(
                pool.dropped.iter().map(|labels| DroppedTarget {
                    discovered_labels: labels.clone(),
                    pool: pool.name.clone(),
                }),
            );
            status.dropped_counts.insert(pool.name.clone(), pool.dropped_count);
        }
        status
    }

    /// Names of the jobs.
    pub fn pools(&self) -> Vec<String> {
        self.pools.load().iter().map(|pool| pool.name.clone()).collect()
    }

    /// What each target says about its metric families.
    pub fn metadata(&self) -> Vec<TargetMetadata> {
        self.pools
            .load()
            .iter()
            .flat_map(|pool| &pool.active)
            .map(|state| TargetMetadata {
                labels: state.target.labels.clone(),
                families: Arc::clone(&lock(&state.last).families),
            })
            .collect()
    }
}
