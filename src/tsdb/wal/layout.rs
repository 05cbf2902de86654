//! The files of the log: their names, and how they begin.

use super::fs::LogFs;
use crate::tsdb::error::{IoContext as _, Result};

/// First bytes of a segment or checkpoint file; the version and two zeros follow.
pub const SEGMENT_MAGIC: [u8; 5] = *b"EKWAL";

/// Version of the files written. Those of versions 1 to 4 are read.
pub const VERSION: u8 = 5;

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;

/// The header of a file.
pub(super) fn header() -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..SEGMENT_MAGIC.len()].copy_from_slice(&SEGMENT_MAGIC);
    header[SEGMENT_MAGIC.len()] = VERSION;
    header
}

/// File name of segment `number`.
pub(in crate::tsdb) fn segment_name(number: u64) -> String {
    format!("{number:08}")
}

/// Number of the segment called `name`.
pub(in crate::tsdb) fn segment_number(name: &str) -> Option<u64> {
    (name.len() >= 8 && name.bytes().all(|b| b.is_ascii_digit())).then(|| name.parse().ok()).flatten()
}

/// Whether file `name` of the log's folder is one that the log still needs.
pub(in crate::tsdb) fn is_live(name: &str) -> bool {
    segment_number(name).is_some() || name.starts_with(CHECKPOINT)
}

const CHECKPOINT: &str = "checkpoint.";

pub(super) fn checkpoint_name(number: u64) -> String {
    format!("{CHECKPOINT}{number:08}")
}

pub(super) fn checkpoint_number(name: &str) -> Option<u64> {
    name.strip_prefix(CHECKPOINT)?.parse().ok()
}

/// Number of the newest checkpoint.
pub(super) fn newest_checkpoint(fs: &dyn LogFs) -> Result<Option<u64>> {
    let names = fs.list().at("list", fs.path())?;
    Ok(names.iter().filter_map(|n| checkpoint_number(n)).max())
}

/// The numbers of all segments, ascending.
pub(super) fn segments(fs: &dyn LogFs) -> Result<Vec<u64>> {
    let mut numbers: Vec<u64> =
        fs.list().at("list", fs.path())?.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}
