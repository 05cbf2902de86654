//! Everything configurable about the database.

use std::path::PathBuf;

use super::error::{Error, Result};
use super::wal::SyncPolicy;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Options of the database; the defaults are right for most.
#[derive(Debug, Clone)]
pub struct TsdbOptions {
    /// Data directory, created if absent.
    pub dir: PathBuf,
    /// How long samples are kept, in milliseconds. Default 15 days; 0 keeps everything.
    pub retention_ms: i64,
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
    /// Whether threads of the database sync the log, cut, merge and expire by themselves. Default yes; without them
    /// only [`super::Tsdb::maintain`] does.
    pub background: bool,
    /// How far behind its series' newest sample a sample may be, in milliseconds. Default 0: none out of order.
    pub out_of_order_ms: i64,
    /// How far ahead of the clock a sample may be, in milliseconds. Default 10 minutes.
    pub max_ahead_ms: i64,
}

impl TsdbOptions {
    /// The defaults, for a data directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            retention_ms: 15 * DAY_MS,
            sync: SyncPolicy::Interval(1000),
            segment_bytes: 16 << 20,
            block_range_ms: 2 * HOUR_MS,
            max_block_range_ms: None,
            cache_bytes: 64 << 20,
            background: true,
            out_of_order_ms: 0,
            max_ahead_ms: 10 * 60_000,
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        let check = |ok: bool, name: &'static str, reason: &str| {
            if ok { Ok(()) } else { Err(Error::Option { name, reason: reason.to_owned() }) }
        };
        check(self.retention_ms >= 0, "retention", "must not be negative")?;
        check(self.segment_bytes >= 1024, "segment size", "must be at least 1 KiB")?;
        check(self.block_range_ms >= 60_000, "block range", "must be at least 1 minute")?;
        check(self.out_of_order_ms >= 0, "out-of-order window", "must not be negative")?;
        check(self.max_ahead_ms >= 0, "time ahead", "must not be negative")
    }

    /// Windows to which blocks are merged, rising, in milliseconds.
    pub(super) fn compaction_ranges(&self) -> Vec<i64> {
        let day = 12 * self.block_range_ms;
        let largest = self.max_block_range_ms.unwrap_or_else(|| {
            let tenth = if self.retention_ms == 0 { 31 * DAY_MS } else { self.retention_ms / 10 };
            tenth.clamp(DAY_MS, 31 * DAY_MS)
        });
        let mut ranges = vec![day];
        // The largest window is a multiple of the one before, so that its border is one of theirs too.
        if largest / day > 1 {
            ranges.push(largest / day * day);
        }
        ranges
    }
}
