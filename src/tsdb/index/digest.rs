//! A digest of what an index says, the same whether it is being built or was read.

use std::fmt;

use xxhash_rust::xxh3::Xxh3;

/// Collects the digest of an index: its series in order, apart from that its timelines.
#[derive(Default)]
pub(super) struct IndexDigest {
    series: Xxh3,
    timelines: Xxh3,
    columns: u64,
}

impl IndexDigest {
    /// The next series: its labels in packed form, the timeline of each of its columns.
    pub(super) fn series(&mut self, packed: &str, timelines: impl Iterator<Item = u32>) {
        self.series.update(&(packed.len() as u64).to_le_bytes());
        self.series.update(packed.as_bytes());
        for timeline in timelines {
            self.columns += 1;
            self.series.update(&timeline.to_le_bytes());
        }
        self.series.update(&self.columns.to_le_bytes());
    }

    /// The next timeline.
    pub(super) fn timeline(&mut self, timestamps: &[i64]) {
        self.timelines.update(&(timestamps.len() as u64).to_le_bytes());
        timestamps.iter().for_each(|time| self.timelines.update(&time.to_le_bytes()));
    }
}

impl PartialEq for IndexDigest {
    fn eq(&self, other: &Self) -> bool {
        self.series.digest128() == other.series.digest128()
            && self.timelines.digest128() == other.timelines.digest128()
    }
}

impl fmt::Debug for IndexDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x} {:032x}", self.series.digest128(), self.timelines.digest128())
    }
}
