//! Checkpoints: the series and the metadata that must outlive the segments about to be removed.
//!
//! `checkpoint.<n>` stands for the checkpoint before it and all segments up to `n`, none of which may hold a sample
//! that is not in a block. It has the format of a segment, is written under a temporary name, synced and renamed.

use super::fs::LogFs;
use super::layout::{checkpoint_name, checkpoint_number, header, segment_name, segments};
use crate::codec::frame;
use crate::tsdb::SeriesRef;
use crate::tsdb::error::{IoContext as _, Result};
use crate::tsdb::head::Head;
use crate::tsdb::points::{Point, reach};
use crate::tsdb::record;

const TEMPORARY: &str = "new-checkpoint";
/// Metric families in one record.
const FAMILIES_IN_RECORD: usize = 1000;

/// Writes a checkpoint with the series of `head`, then removes the segments up to `upto` and the checkpoint before.
///
/// # Errors
/// When files cannot be read or written; the log is then as before.
pub(in crate::tsdb) fn write(fs: &dyn LogFs, upto: u64, head: &Head) -> Result<()> {
    let names = fs.list().at("list", fs.path())?;
    if names.iter().any(|n| n == TEMPORARY) {
        fs.remove(TEMPORARY).at("remove", fs.path().join(TEMPORARY))?;
    }
    let older = names.iter().filter(|n| checkpoint_number(n).is_some_and(|number| number != upto));
    let replaced: Vec<u64> = segments(fs)?.into_iter().filter(|n| *n <= upto).collect();
    let path = fs.path().join(TEMPORARY);
    let file = fs.create(TEMPORARY).at("create", &path)?;
    file.append(&header()).at("write", &path)?;
    // Label pairs get numbers of this file. A pair that leaves the head meanwhile keeps its number here.
    let mut numbers: std::collections::HashMap<u32, u32> = std::collections::HashMap::new();
    let mut out = Vec::new();
    let mut failed = None;
    head.each_logged(|series| {
        if failed.is_some() || series.is_empty() {
            return;
        }
        let mut fresh = Vec::new();
        let mut defined: Vec<(SeriesRef, Vec<u32>)> = Vec::with_capacity(series.len());
        for one in series {
            let numbered = one.labels.iter().map(|(pair, text)| {
                let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                *numbers.entry(*pair).or_insert_with(|| {
                    fresh.push((&*text.name, &*text.value));
                    next
                })
            });
            defined.push((one.reference, numbered.collect()));
        }
        out.clear();
        if !fresh.is_empty() {
            frame::put_record(&mut out, |o| record::put_pairs(o, fresh.iter().copied()));
        }
        frame::put_record(&mut out, |o| record::put_series(o, &defined));
        failed = file.append(&out).at("write", &path).err();
    });
    if let Some(error) = failed {
        return Err(error);
    }
    for part in head.families(None).chunks(FAMILIES_IN_RECORD) {
        out.clear();
        let families = part.iter().map(|(name, metadata)| (name.as_str(), metadata));
        frame::put_record(&mut out, |o| record::metadata::put(o, families));
        file.append(&out).at("write", &path)?;
    }
    file.sync().at("sync", &path)?;
    reach(Point::CheckpointWritten);
    fs.rename(TEMPORARY, &checkpoint_name(upto)).at("rename", &path)?;
    fs.sync_dir().at("sync", fs.path())?;
    reach(Point::CheckpointRenamed);
    // From here on a leftover does no harm: the next start skips it, the next checkpoint removes it.
    for number in replaced {
        fs.remove(&segment_name(number)).at("remove", fs.path().join(segment_name(number)))?;
        reach(Point::SegmentRemoved);
    }
    // All there are: a process that ended here before left one.
    for name in older {
        fs.remove(name).at("remove", fs.path().join(name))?;
    }
    fs.sync_dir().at("sync", fs.path())
}
