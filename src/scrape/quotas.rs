//! Soft quotas: how many series a target, a job and the server may have. Series that are in memory go on whatever the
//! quota; only new ones are refused, and the scrape that brings them does not fail.
//!
//! A target counts for what its last scrape stored. After a start, until it was scraped, the series in memory that have
//! its labels count instead, so that those of the time before come first. The quota of the server, and memory, are
//! looked after by the database ([`NoNewSeries`]).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::explosion::Explosion;
use crate::config::ScrapeConfig;
use crate::model::Labels;
use crate::tsdb::NoNewSeries;
use crate::tsdb::head::Head;

/// Label that jobs are counted by before their targets were scraped.
const JOB: &str = "job";

/// Which quota refuses a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaReached {
    /// That of the target.
    Target(u64),
    /// That of its job.
    Job(u64),
    /// That of the server, or memory is short.
    Server(NoNewSeries),
}

impl fmt::Display for QuotaReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(limit) => write!(f, "target series quota of {limit} reached"),
            Self::Job(limit) => write!(f, "job series quota of {limit} reached"),
            Self::Server(reason) => reason.fmt(f),
        }
    }
}

/// New series of a scrape that were refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedSeries {
    /// How many.
    pub count: u64,
    /// By what, the first of them.
    pub reason: QuotaReached,
    /// What the target has so many series of.
    pub explosion: Option<Explosion>,
}

/// What the targets of a job have together.
#[derive(Debug)]
pub(super) struct JobQuota {
    name: String,
    limit: u64,
    interval: Duration,
    counted: AtomicU64,
    /// Series of targets that were not scraped yet.
    awaited: OnceLock<Awaited>,
}

#[derive(Debug)]
struct Awaited {
    series: AtomicU64,
    /// Whoever does not come until then, in milliseconds, is not waited for.
    until_ms: i64,
}

impl JobQuota {
    pub(super) fn new(job: &ScrapeConfig) -> Arc<Self> {
        Arc::new(Self {
            name: job.job_name.clone(),
            limit: job.limits.job_series_quota,
            interval: job.scrape_interval,
            counted: AtomicU64::new(0),
            awaited: OnceLock::new(),
        })
    }

    fn awaited(&self, head: &Head, now_ms: i64) -> &Awaited {
        self.awaited.get_or_init(|| {
            let wait = i64::try_from(2 * self.interval.as_millis()).unwrap_or(i64::MAX);
            Awaited {
                series: AtomicU64::new(head.series_with([(JOB, self.name.as_str())])),
                until_ms: now_ms.saturating_add(wait),
            }
        })
    }

    fn take_one(&self, now_ms: i64) -> bool {
        let awaited = self.awaited.get().filter(|awaited| now_ms < awaited.until_ms);
        // Relaxed: the counts stand for themselves.
        let awaited = awaited.map_or(0, |awaited| awaited.series.load(Ordering::Relaxed));
        let one_more = |counted: u64| (counted + awaited < self.limit).then_some(counted + 1);
        self.counted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    fn change(&self, from: u64, to: u64) {
        if to >= from {
            self.counted.fetch_add(to - from, Ordering::Relaxed);
        } else {
            self.counted.fetch_sub(from - to, Ordering::Relaxed);
        }
    }
}

/// What one target has of its own quota and of that of its job. Gives back what it has when it is dropped.
#[derive(Debug)]
pub(super) struct TargetQuota {
    limit: u64,
    job: Arc<JobQuota>,
    /// Series of the last scrape that was stored.
    counted: u64,
    /// New ones of the scrape that runs.
    new: u64,
    began: bool,
}

impl TargetQuota {
    pub(super) fn new(limit: u64, job: &Arc<JobQuota>) -> Self {
        Self { limit, job: Arc::clone(job), counted: 0, new: 0, began: false }
    }

    /// Whether there is a quota.
    pub(super) fn is_on(&self) -> bool {
        self.limit > 0 || self.job.limit > 0
    }

    /// Gives away what it has; what is left has nothing.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new(self.limit, &self.job))
    }

    /// Begins a scrape of the target with `labels` at `at_ms`.
    pub(super) fn begin(&mut self, head: &Head, labels: &Labels, at_ms: i64) {
        if !self.is_on() || std::mem::replace(&mut self.began, true) {
            return;
        }
        let there = head.series_with(labels.iter());
        if self.job.limit > 0 {
            let leaves = |awaited: u64| Some(awaited.saturating_sub(there));
            let awaited = &self.job.awaited(head, at_ms).series;
            let _ = awaited.fetch_update(Ordering::Relaxed, Ordering::Relaxed, leaves);
        }
        self.set_counted(there);
    }

    /// Makes room for one new series.
    pub(super) fn take_one(&mut self, at_ms: i64) -> Result<(), QuotaReached> {
        if self.limit > 0 && self.counted + self.new >= self.limit {
            return Err(QuotaReached::Target(self.limit));
        }
        if self.job.limit > 0 && !self.job.take_one(at_ms) {
            return Err(QuotaReached::Job(self.job.limit));
        }
        self.new += 1;
        Ok(())
    }

    /// Gives back the room for one new series: it was not made.
    pub(super) fn give_back_one(&mut self) {
        self.new -= 1;
        if self.job.limit > 0 {
            self.job.change(1, 0);
        }
    }

    /// Ends a scrape that stored `series`, or that was not stored: the new series it made are in memory nevertheless.
    pub(super) fn end(&mut self, series: Option<u64>) {
        self.counted += std::mem::take(&mut self.new);
        if let Some(series) = series {
            self.set_counted(series);
        }
    }

    /// Notes that no more than `series` of what was counted are in memory.
    pub(super) fn keep_at_most(&mut self, series: u64) {
        if self.is_on() && self.counted > series {
            self.set_counted(series);
        }
    }

    fn set_counted(&mut self, series: u64) {
        if self.job.limit > 0 {
            self.job.change(self.counted, series);
        }
        self.counted = series;
    }
}

impl Drop for TargetQuota {
    fn drop(&mut self) {
        self.end(Some(0));
    }
}
