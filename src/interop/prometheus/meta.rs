//! `meta.json` of a block, and its name.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::interop::error::{Error, IoContext as _, Result};

/// The version of `meta.json` there is.
const VERSION: u32 = 1;
pub(super) const FILE: &str = "meta.json";

/// What a block says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) ulid: String,
    /// Milliseconds, inside.
    #[serde(rename = "minTime")]
    pub(super) min_time: i64,
    /// Milliseconds, outside.
    #[serde(rename = "maxTime")]
    pub(super) max_time: i64,
    #[serde(default)]
    pub(super) stats: Stats,
    #[serde(default)]
    pub(super) compaction: Compaction,
    pub(super) version: u32,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Stats {
    #[serde(rename = "numSamples", default)]
    pub(super) samples: u64,
    #[serde(rename = "numFloatSamples", default)]
    pub(super) floats: u64,
    #[serde(rename = "numHistogramSamples", default)]
    pub(super) histograms: u64,
    #[serde(rename = "numSeries", default)]
    pub(super) series: u64,
    #[serde(rename = "numChunks", default)]
    pub(super) chunks: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Compaction {
    #[serde(default)]
    pub(super) level: u32,
    #[serde(default)]
    pub(super) sources: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) hints: Vec<String>,
}

impl Meta {
    /// A meta record for a new block of samples from `min_time` to before `max_time`.
    pub(super) fn new(ulid: &str, min_time: i64, max_time: i64, stats: Stats) -> Self {
        let compaction = Compaction { level: 1, sources: vec![ulid.to_owned()], hints: Vec::new() };
        Self { ulid: ulid.to_owned(), min_time, max_time, stats, compaction, version: VERSION }
    }

    /// Reads it from block folder `dir`.
    pub(super) fn load(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let bytes = std::fs::read(&path).at("read", &path)?;
        let meta: Self =
            serde_json::from_slice(&bytes).map_err(|error| Error::damaged(&path, 0u64, error.to_string()))?;
        if meta.version != VERSION {
            let reason = format!("version {} of a block is not known", meta.version);
            return Err(Error::Unsupported { path, reason });
        }
        if meta.min_time > meta.max_time {
            return Err(Error::damaged(&path, 0u64, "the block ends before it begins"));
        }
        Ok(meta)
    }

    /// Whether it holds a part of the samples of its time only, late ones or those of some series, and so says nothing of
    /// where the head begins.
    pub(super) fn is_partial(&self) -> bool {
        let partial = ["from-out-of-order", "from-stale-series", "from-selected-series"];
        self.compaction.hints.iter().any(|hint| partial.contains(&hint.as_str()))
    }
}

/// A name for a new block.
pub(super) fn new_ulid() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Each state has keys of its own from the system's source of randomness.
    let random = [0u8, 1].map(|part| u128::from(RandomState::new().hash_one(part)));
    let ms = u64::try_from(now.as_millis()).unwrap_or(0);
    Ulid::from_parts(ms, random[0] << 64 | random[1]).to_string()
}

/// Whether `name` is the name of a block.
pub(super) fn is_ulid(name: &str) -> bool {
    Ulid::from_string(name).is_ok()
}
