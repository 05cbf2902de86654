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
    /// Its exemplars.
    pub exemplars: ExemplarMeta,
}

/// The description before blocks had exemplars.
#[derive(Debug, Clone, bincode::Encode, bincode::Decode)]
pub(super) struct BlockMetaV1 {
    id: BlockId,
    start: i64,
    end: i64,
    level: u32,
    sources: Vec<BlockId>,
    series: u64,
    samples: u64,
    columns: u64,
    index_parts: u32,
    digest: ValueDigest,
}

impl From<BlockMetaV1> for BlockMeta {
    fn from(old: BlockMetaV1) -> Self {
        let BlockMetaV1 { id, start, end, level, sources, series, samples, columns, index_parts, digest } =
            old;
        let exemplars = ExemplarMeta::default();
        Self { id, start, end, level, sources, series, samples, columns, index_parts, digest, exemplars }
    }
}

impl Control for BlockMetaV1 {
    const MAGIC: [u8; 4] = BlockMeta::MAGIC;
    const VERSION: u8 = 1;
    const NAME: &'static str = BlockMeta::NAME;
}

impl BlockMeta {
    /// The timestamps its samples may have.
    pub fn range(&self) -> TimeRange {
        TimeRange { start: self.start, end: self.end.saturating_sub(1) }
    }
}

impl Control for BlockMeta {
    const MAGIC: [u8; 4] = *b"EKBM";
    const VERSION: u8 = 2;
    const NAME: &'static str = "block meta record";
}

/// What the meta record of a block says of its exemplars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, bincode::Encode, bincode::Decode)]
pub struct ExemplarMeta {
    /// How many there are.
    pub count: u64,
    /// Parts they are stored in.
    pub parts: u32,
    /// Parts the directory is stored in.
    pub directory_parts: u32,
    /// Timestamp of the oldest in milliseconds; 0 when there are none.
    pub oldest: i64,
    /// Timestamp of the newest in milliseconds; 0 when there are none.
    pub newest: i64,
}

impl ExemplarMeta {
    /// Whether some may be inside `range`.
    pub fn overlaps(&self, range: &TimeRange) -> bool {
        self.count > 0 && range.overlaps(&TimeRange { start: self.oldest, end: self.newest })
    }
}
