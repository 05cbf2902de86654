//! Checkpoints: what must still be replayed of segments that are about to be removed.
//!
//! `checkpoint.<n>` stands for the checkpoint before it and all segments up to `n`. It has the format of a segment,
//! is written under a temporary name, synced and renamed.

use std::ops::ControlFlow;

use super::fs::LogFs;
use super::reader::{read_file, segments};
use super::{SEGMENT_MAGIC, segment_name};
use crate::codec::frame;
use crate::tsdb::SeriesRef;
use crate::tsdb::error::{IoContext as _, Result};
use crate::tsdb::record::{self, Record};

const PREFIX: &str = "checkpoint.";
const TEMPORARY: &str = "new-checkpoint";

pub(super) fn name(number: u64) -> String {
    format!("{PREFIX}{number:08}")
}

/// Number of the newest checkpoint.
pub(super) fn newest(fs: &dyn LogFs) -> Result<Option<u64>> {
    let names = fs.list().at("list", fs.path())?;
    Ok(names.iter().filter_map(|n| n.strip_prefix(PREFIX)?.parse().ok()).max())
}

/// Writes a checkpoint for everything up to segment `upto`, keeping the series for which `alive` holds and samples
/// from `min_time` (milliseconds) on, then removes what it replaces.
///
/// # Errors
/// When files cannot be read or written; the log is then as before.
pub fn write(fs: &dyn LogFs, upto: u64, min_time: i64, alive: impl Fn(SeriesRef) -> bool) -> Result<()> {
    let names = fs.list().at("list", fs.path())?;
    if names.iter().any(|n| n == TEMPORARY) {
        fs.remove(TEMPORARY).at("remove", fs.path().join(TEMPORARY))?;
    }
    let old = newest(fs)?;
    let replaced: Vec<u64> = segments(fs)?.into_iter().filter(|n| *n <= upto).collect();
    let path = fs.path().join(TEMPORARY);
    let file = fs.create(TEMPORARY).at("create", &path)?;
    file.append(&SEGMENT_MAGIC).at("write", &path)?;
    let sources = old.map(name).into_iter().chain(replaced.iter().map(|n| segment_name(*n)));
    let mut out = Vec::new();
    for source in sources {
        let bytes = fs.read(&source).at("read", fs.path().join(&source))?;
        let mut failed = None;
        // Damage was cut off at start; what is damaged since then cannot be kept, and reading stops there.
        let _ = read_file(&bytes, |record| {
            keep(record, min_time, &alive, &mut out);
            if out.len() >= 1 << 20 {
                if let Err(error) = file.append(&out).at("write", &path) {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
                out.clear();
            }
            ControlFlow::Continue(())
        });
        if let Some(error) = failed {
            return Err(error);
        }
    }
    file.append(&out).at("write", &path)?;
    file.sync().at("sync", &path)?;
    fs.rename(TEMPORARY, &name(upto)).at("rename", &path)?;
    fs.sync_dir().at("sync", fs.path())?;
    // From here on a leftover does no harm: the next start skips it, the next checkpoint removes it.
    for number in replaced {
        fs.remove(&segment_name(number)).at("remove", fs.path().join(segment_name(number)))?;
    }
    if let Some(number) = old.filter(|n| *n != upto) {
        fs.remove(&name(number)).at("remove", fs.path().join(name(number)))?;
    }
    fs.sync_dir().at("sync", fs.path())
}

fn keep(record: Record, min_time: i64, alive: &impl Fn(SeriesRef) -> bool, out: &mut Vec<u8>) {
    match record {
        Record::Series(mut series) => {
            series.retain(|(reference, _)| alive(*reference));
            if !series.is_empty() {
                frame::put_record(out, |o| record::put_series(o, series.iter().map(|(r, l)| (*r, l))));
            }
        }
        Record::Samples { timeline, mut samples } => {
            samples.retain(|s| s.timestamp >= min_time && alive(s.series));
            if !samples.is_empty() {
                frame::put_record(out, |o| record::put_samples(o, timeline, samples.iter().copied()));
            }
        }
    }
}
