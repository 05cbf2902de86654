//! Replay: every record of a checkpoint and of the segments after it, and repair of what is damaged.
//!
//! **Invariants**: never refuses to start. A damaged tail is copied aside as `damaged-<segment>-<offset>` and cut off;
//! reading goes on with the next segment.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::fs::LogFs;
use super::{SEGMENT_MAGIC, checkpoint, segment_name, segment_number};
use crate::codec::{ByteReader, CodecError, frame};
use crate::tsdb::error::{IoContext as _, Result};
use crate::tsdb::record::{self, Record};

/// One place where the log was damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Name of the file.
    pub file: String,
    /// Offset of the first damaged record.
    pub offset: usize,
    /// Bytes cut off there.
    pub lost_bytes: usize,
    /// What was found.
    pub cause: CodecError,
}

/// What a replay found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ReplayReport {
    /// Number of the last segment there is; 0 if none.
    pub last_segment: u64,
    /// Largest timestamp in each segment that holds samples.
    pub newest: BTreeMap<u64, i64>,
    /// Files read.
    pub files: usize,
    /// Records read.
    pub records: u64,
    /// Places that were cut.
    pub damage: Vec<Damage>,
}

/// The numbers of all segments, ascending.
pub(super) fn segments(fs: &dyn LogFs) -> Result<Vec<u64>> {
    let mut numbers: Vec<u64> =
        fs.list().at("list", fs.path())?.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Hands every record to `apply`, oldest first, and repairs damaged files.
///
/// # Errors
/// When files cannot be read or repaired; damage itself is no error.
pub fn replay(fs: &dyn LogFs, mut apply: impl FnMut(Record)) -> Result<ReplayReport> {
    let mut report = ReplayReport::default();
    let mut files = Vec::new();
    let covered = checkpoint::newest(fs)?;
    if let Some(number) = covered {
        files.push(checkpoint::name(number));
    }
    let numbers = segments(fs)?;
    report.last_segment = numbers.last().copied().unwrap_or(0).max(covered.unwrap_or(0));
    files.extend(numbers.iter().filter(|n| covered.is_none_or(|c| **n > c)).map(|n| segment_name(*n)));
    for name in files {
        let bytes = fs.read(&name).at("read", fs.path().join(&name))?;
        report.files += 1;
        let mut newest = None;
        let found = read_file(&bytes, |record| {
            report.records += 1;
            if let Record::Samples { samples, .. } = &record {
                newest = newest.max(samples.iter().map(|s| s.timestamp).max());
            }
            apply(record);
            ControlFlow::Continue(())
        });
        if let (Some(number), Some(newest)) = (segment_number(&name), newest) {
            report.newest.insert(number, newest);
        }
        if let Err((offset, cause)) = found {
            let lost = bytes.get(offset..).unwrap_or_default();
            // A file that ends inside its header holds nothing worth keeping.
            if offset > 0 && !lost.is_empty() {
                keep_aside(fs, &name, offset, lost)?;
            }
            fs.truncate(&name, offset as u64).at("cut", fs.path().join(&name))?;
            report.damage.push(Damage { file: name, offset, lost_bytes: lost.len(), cause });
        }
    }
    Ok(report)
}

/// Reads the records of one file until `apply` breaks off; the error carries the offset of the first bad record.
pub(super) fn read_file(
    bytes: &[u8],
    mut apply: impl FnMut(Record) -> ControlFlow<()>,
) -> std::result::Result<(), (usize, CodecError)> {
    let mut reader = ByteReader::new(bytes);
    if reader.remaining() == 0 {
        return Ok(());
    }
    match reader.bytes(SEGMENT_MAGIC.len()) {
        Ok(magic) if magic == SEGMENT_MAGIC => {}
        Ok(_) => return Err((0, CodecError::Invalid { what: "segment header", at: 0 })),
        Err(error) => return Err((0, error)),
    }
    while !reader.is_empty() {
        let offset = reader.position();
        let decoded = frame::read_record(&mut reader).and_then(record::decode);
        match decoded {
            Ok(record) => {
                if apply(record).is_break() {
                    break;
                }
            }
            Err(cause) => return Err((offset, cause)),
        }
    }
    Ok(())
}

fn keep_aside(fs: &dyn LogFs, name: &str, offset: usize, bytes: &[u8]) -> Result<()> {
    let aside = format!("damaged-{name}-{offset}");
    let path = fs.path().join(&aside);
    if fs.list().at("list", fs.path())?.contains(&aside) {
        fs.remove(&aside).at("remove", &path)?;
    }
    let file = fs.create(&aside).at("create", &path)?;
    file.append(bytes).at("write", &path)?;
    file.sync().at("sync", &path)?;
    fs.sync_dir().at("sync", fs.path())
}
