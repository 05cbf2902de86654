//! Everything configurable about the database.

use std::path::PathBuf;
use std::time::Duration;

use super::admission::{self, MemoryProbe};
use super::error::{Error, Result};
use super::space::{self, SpaceProbe};
use super::wal::SyncPolicy;
use crate::model::format_duration;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// What may change while the database is open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// How long samples are kept, in milliseconds; 0 keeps everything.
    pub retention_ms: i64,
    /// Bytes of blocks and log at most; 0 for no limit. The oldest blocks leave first.
    pub retention_bytes: u64,
    /// The same as a share of the disk in percent, 0 to 100; 0 for no limit.
    pub retention_percent: f64,
    /// Exemplars that the head keeps at most, over all series; 0 takes none. Those in blocks stay with their samples.
    pub max_exemplars: usize,
    /// How far behind its series' newest sample a sample may be, in milliseconds; 0 takes none out of order.
    pub out_of_order_ms: i64,
    /// Series in memory from which on new ones are refused; 0 for no quota.
    pub max_series: u64,
}

fn check(ok: bool, name: &'static str, reason: &str) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::Option { name, reason: reason.to_owned() }) }
}

impl Limits {
    /// What is kept, for people.
    pub fn retention_text(&self) -> String {
        let mut parts = Vec::new();
        if let Some(ms) = u64::try_from(self.retention_ms).ok().filter(|ms| *ms > 0) {
            parts.push(format_duration(Duration::from_millis(ms)));
        }
        if self.retention_bytes > 0 {
            parts.push(format!("{} bytes", self.retention_bytes));
        }
        if self.retention_percent > 0.0 {
            parts.push(format!("{} % of the disk", self.retention_percent));
        }
        if parts.is_empty() { "unlimited".to_owned() } else { parts.join(" or ") }
    }

    pub(super) fn validate(&self) -> Result<()> {
        check(self.retention_ms >= 0, "retention", "must not be negative")?;
        check((0.0..=100.0).contains(&self.retention_percent), "retention percentage", "must be 0 to 100")?;
        check(self.out_of_order_ms >= 0, "out-of-order window", "must not be negative")
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            retention_ms: 15 * DAY_MS,
            retention_bytes: 0,
            retention_percent: 0.0,
            max_exemplars: 100_000,
            out_of_order_ms: 0,
            max_series: 0,
        }
    }
}

/// Options of the database; the defaults are right for most.
#[derive(Debug, Clone)]
pub struct TsdbOptions {
    /// Data directory, created if absent.
    pub dir: PathBuf,
    /// What may change later. Default: 15 days, nothing out of order, 100,000 exemplars.
    pub limits: Limits,
    /// Free bytes of the disk below which no samples are taken. Default 256 MiB, at most a fiftieth of the disk.
    pub reserve_bytes: u64,
    /// Tells how much room the disk has.
    pub space_probe: SpaceProbe,
    /// Bytes of memory the process may hold, what queries hold aside, before new series are refused; 0 for no bound.
    /// Default 65 % of the memory it may have.
    pub memory_budget: Option<u64>,
    /// Tells how much memory the process holds.
    pub memory_probe: MemoryProbe,
    /// When the log is made durable against power loss. Default every second.
    pub sync: SyncPolicy,
    /// Size at which a segment of the log ends. Default 16 MiB, at least 1 KiB.
    pub segment_bytes: u64,
    /// Time range of a block cut from the head, in milliseconds. Default 2 hours, at least 1 minute.
    pub block_range_ms: i64,
    /// Largest time range of a compacted block, in milliseconds. Default a tenth of the retention, between a day and
    /// 31 days.
    pub max_block_range_ms: Option<i64>,
    /// Bytes for decoded indexes of blocks, and as many for bundles of columns. Default 64 MiB.
    pub cache_bytes: usize,
    /// Whether threads of the database sync the log, watch over memory, cut, merge and expire by themselves. Default yes; without them
    /// only [`super::Tsdb::maintain`] does.
    pub background: bool,
    /// How far ahead of the clock a sample may be, in milliseconds. Default 10 minutes.
    pub max_ahead_ms: i64,
    /// Whether it is kept when counting began. Default no: appenders forget it then. What is kept is always read.
    pub start_timestamps: bool,
}

impl TsdbOptions {
    /// The defaults, for a data directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            limits: Limits::default(),
            reserve_bytes: 256 << 20,
            space_probe: space::probe,
            memory_budget: None,
            memory_probe: admission::probe,
            sync: SyncPolicy::Interval(1000),
            segment_bytes: 16 << 20,
            block_range_ms: 2 * HOUR_MS,
            max_block_range_ms: None,
            cache_bytes: 64 << 20,
            background: true,
            max_ahead_ms: 10 * 60_000,
            start_timestamps: false,
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        self.limits.validate()?;
        check(self.segment_bytes >= 1024, "segment size", "must be at least 1 KiB")?;
        check(self.block_range_ms >= 60_000, "block range", "must be at least 1 minute")?;
        check(self.max_ahead_ms >= 0, "time ahead", "must not be negative")
    }

    /// Windows to which blocks are merged, rising, in milliseconds.
    pub(super) fn compaction_ranges(&self) -> Vec<i64> {
        // A quarter of a day first: small blocks are the most expensive ones, and a day is long.
        let (quarter, day) = (3 * self.block_range_ms, 12 * self.block_range_ms);
        let largest = self.max_block_range_ms.unwrap_or_else(|| {
            let tenth = match self.limits.retention_ms {
                0 => 31 * DAY_MS,
                retention => retention / 10,
            };
            tenth.clamp(DAY_MS, 31 * DAY_MS)
        });
        let mut ranges = vec![quarter, day];
        // The largest window is a multiple of the one before, so that its border is one of theirs too.
        if largest / day > 1 {
            ranges.push(largest / day * day);
        }
        ranges
    }
}
