//! Which blocks to merge next. Pure: no clock, no disk.

use std::sync::Arc;

use crate::tsdb::block::BlockMeta;

/// The blocks to merge into one, at least two, and the window of the result.
#[derive(Debug, PartialEq, Eq)]
pub struct Job {
    /// Start of the new block's window in milliseconds, inside.
    pub start: i64,
    /// End of the new block's window in milliseconds, outside.
    pub end: i64,
    /// What it is made of.
    pub sources: Vec<Arc<BlockMeta>>,
}

/// The next job, if there is one: overlapping blocks first, then the smallest window of `ranges` (milliseconds,
/// rising) that is complete and holds several blocks. A window is complete when the head begins after it.
pub fn next(blocks: &[Arc<BlockMeta>], ranges: &[i64], head_start: i64) -> Option<Job> {
    overlapping(blocks).or_else(|| ranges.iter().find_map(|range| aligned(blocks, *range, head_start)))
}

fn job(sources: Vec<Arc<BlockMeta>>) -> Option<Job> {
    let start = sources.iter().map(|b| b.start).min()?;
    let end = sources.iter().map(|b| b.end).max()?;
    Some(Job { start, end, sources })
}

fn overlapping(blocks: &[Arc<BlockMeta>]) -> Option<Job> {
    let mut sorted: Vec<_> = blocks.to_vec();
    sorted.sort_by_key(|b| b.start);
    let mut group: Vec<Arc<BlockMeta>> = Vec::new();
    let mut end = i64::MIN;
    for block in sorted {
        if block.start >= end {
            if group.len() > 1 {
                return job(group);
            }
            group.clear();
        }
        end = end.max(block.end);
        group.push(block);
    }
    if group.len() > 1 { job(group) } else { None }
}

fn aligned(blocks: &[Arc<BlockMeta>], range: i64, head_start: i64) -> Option<Job> {
    let window = |time: i64| time.div_euclid(range);
    let mut groups: std::collections::BTreeMap<i64, Vec<Arc<BlockMeta>>> = std::collections::BTreeMap::new();
    for block in blocks {
        // A block over the border of two windows is as large as it will get.
        if window(block.start) == window(block.end - 1) {
            groups.entry(window(block.start)).or_default().push(Arc::clone(block));
        }
    }
    groups
        .into_iter()
        .find(|(number, group)| group.len() > 1 && (number + 1).saturating_mul(range) <= head_start)
        .and_then(|(_, group)| job(group))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tsdb::block::meta::ExemplarMeta;
    use crate::tsdb::store::{BlockId, ValueDigest};

    fn blocks(ranges: &[(i64, i64)]) -> Vec<Arc<BlockMeta>> {
        let meta = |&(start, end): &(i64, i64)| BlockMeta {
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
        };
        ranges.iter().map(|r| Arc::new(meta(r))).collect()
    }

    #[test]
    fn merges_complete_windows_and_overlaps() {
        let check = |have: &[(i64, i64)], head_start: i64, expected: Option<(i64, i64, usize)>| {
            let found =
                next(&blocks(have), &[12, 120], head_start).map(|j| (j.start, j.end, j.sources.len()));
            assert_eq!(found, expected, "{have:?}");
        };
        check(&[], 100, None);
        check(&[(0, 2)], 100, None);
        check(&[(0, 2), (2, 4)], 11, None);
        check(&[(0, 2), (2, 4)], 12, Some((0, 4, 2)));
        check(&[(0, 2), (2, 4), (10, 12), (12, 14), (14, 16)], 16, Some((0, 12, 3)));
        check(&[(0, 12), (12, 24)], 60, None);
        check(&[(0, 12), (12, 24)], 120, Some((0, 24, 2)));
        check(&[(-2, 0), (0, 2)], 200, None);
        check(&[(-4, -2), (-2, 0)], 0, Some((-4, 0, 2)));
        check(&[(0, 4), (2, 6), (6, 8)], 6, Some((0, 6, 2)));
        check(&[(0, 12), (0, 120)], 60, Some((0, 120, 2)));
    }
}
