//! What a block says of itself: also kept in the catalog.

use crate::codec::envelope::Control;
use crate::model::TimeRange;
use crate::tsdb::store::{BlockId, ValueDigest};

/// Description of a block.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct BlockMeta {
    /// Its name.
    pub id: BlockId,
    /// Start of its window in milliseconds, inside.
    pub start: i64,
    /// End of its window in milliseconds, outside.
    pub end: i64,
    /// 1 for a block cut from the head, one more for each compaction.
    pub level: u32,
    /// The blocks it was compacted from.
    pub sources: Vec<BlockId>,
    /// Number of series.
    pub series: u64,
    /// Number of samples.
    pub samples: u64,
    /// Number of columns.
    pub columns: u64,
    /// Parts the index is stored in.
    pub index_parts: u32,
    /// Count and digest of all values.
    pub digest: ValueDigest,
}

impl BlockMeta {
    /// The timestamps its samples may have.
    pub fn range(&self) -> TimeRange {
        TimeRange { start: self.start, end: self.end.saturating_sub(1) }
    }
}

impl Control for BlockMeta {
    const MAGIC: [u8; 4] = *b"EKBM";
    const VERSION: u8 = 1;
    const NAME: &'static str = "block meta record";
}
