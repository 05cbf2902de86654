//! Which blocks to drop. Pure: no clock, no disk.

use std::sync::Arc;

use crate::tsdb::block::BlockMeta;

/// The blocks that hold nothing newer than `retention_ms` before `newest` (milliseconds). Zero keeps everything.
pub fn expired(blocks: &[Arc<BlockMeta>], newest: i64, retention_ms: i64) -> Vec<Arc<BlockMeta>> {
    if retention_ms <= 0 {
        return Vec::new();
    }
    let oldest_kept = newest.saturating_sub(retention_ms);
    blocks.iter().filter(|b| b.end <= oldest_kept).cloned().collect()
}

/// The blocks to drop so that `other_bytes` and the blocks that stay are at most `max_bytes`, the oldest first. Zero
/// keeps everything; the newest block always stays.
pub fn too_large(
    blocks: &[Arc<BlockMeta>],
    size: impl Fn(&BlockMeta) -> u64,
    other_bytes: u64,
    max_bytes: u64,
) -> Vec<Arc<BlockMeta>> {
    if max_bytes == 0 {
        return Vec::new();
    }
    let mut newest_first = blocks.to_vec();
    newest_first.sort_by_key(|block| std::cmp::Reverse((block.end, block.start)));
    let mut sum = other_bytes;
    let mut gone = Vec::new();
    for (at, block) in newest_first.into_iter().enumerate() {
        sum = sum.saturating_add(size(&block));
        if at > 0 && sum > max_bytes {
            gone.push(block);
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tsdb::block::meta::ExemplarMeta;
    use crate::tsdb::store::{BlockId, ValueDigest};

    #[test]
    fn drops_only_what_is_wholly_too_old() {
        let block = |start: i64, end: i64| {
            Arc::new(BlockMeta {
                id: BlockId::new(start, end, 0),
                start,
                end,
                level: 1,
                sources: vec![],
                series: 1,
                samples: 1,
                columns: 1,
                index_parts: 1,
                digest: ValueDigest::default(),
                exemplars: ExemplarMeta::default(),
            })
        };
        let blocks = [block(0, 10), block(10, 20), block(20, 30)];
        let kept_out = |max| {
            let gone = too_large(&blocks, |b| u64::try_from(b.end).expect("small"), 5, max);
            gone.iter().map(|b| b.start).collect::<Vec<_>>()
        };
        assert_eq!(kept_out(0), [] as [i64; 0]);
        assert_eq!(kept_out(65), [] as [i64; 0]);
        assert_eq!(kept_out(64), [0]);
        assert_eq!(kept_out(54), [10, 0]);
        assert_eq!(kept_out(1), [10, 0], "the newest stays");
        let starts = |retention| expired(&blocks, 30, retention).iter().map(|b| b.start).collect::<Vec<_>>();
        assert_eq!(starts(20), [0]);
        assert_eq!(starts(19), [0]);
        assert_eq!(starts(21), [] as [i64; 0]);
        assert_eq!(starts(1), [0, 10]);
        assert_eq!(starts(0), [] as [i64; 0]);
    }
}
