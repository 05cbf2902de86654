//! Reading the log back: which files there are, the records of each, and repair of what is damaged.
//!
//! **Invariants**: never refuses to start over damage, and tells all of it, files that are missing or too short
//! included. A damaged tail is copied aside as `damaged-<file>-<offset>` and
//! cut off; reading goes on with the next file. A file whose header is of no known version is kept aside whole.

use std::collections::BTreeMap;
use std::ops::Range;

use super::fs::LogFs;
use super::layout::{
    HEADER_LEN, SEGMENT_MAGIC, VERSION, checkpoint_name, newest_checkpoint, segment_name, segment_number,
    segments,
};
use super::position::{self, Position};
use crate::codec::{ByteReader, CodecError, frame};
use crate::tsdb::error::{IoContext as _, Result};

/// One place where the log was damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Name of the file.
    pub file: String,
    /// Offset of the first damaged record.
    pub offset: usize,
    /// Bytes cut off there.
    pub lost_bytes: usize,
    /// Newest timestamp read before the damage, in milliseconds: what was lost is about as new or newer.
    pub after: Option<i64>,
    /// First timestamp read behind the damage: what was lost is about as old or older. None if nothing follows.
    pub before: Option<i64>,
    /// What was found.
    pub cause: CodecError,
}

/// What a replay found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ReplayReport {
    /// Largest timestamp in each segment that holds samples.
    pub newest: BTreeMap<u64, i64>,
    /// Files read.
    pub files: usize,
    /// Records read.
    pub records: u64,
    /// Samples of series whose definition was lost.
    pub orphans: u64,
    /// Native histograms whose bytes make no sense though their checksum is right.
    pub undecodable: u64,
    /// Places that were cut.
    pub damage: Vec<Damage>,
}

impl ReplayReport {
    /// Adds one file that was read; `newest` and `oldest` are of its samples.
    pub fn note(&mut self, file: &LoadedFile, newest: Option<i64>, oldest: Option<i64>) {
        self.files += 1;
        self.records += file.records.len() as u64;
        if let (Some(number), Some(newest)) = (segment_number(&file.name), newest) {
            self.newest.insert(number, newest);
        }
        for damage in self.damage.iter_mut().filter(|damage| damage.before.is_none()) {
            damage.before = oldest;
        }
        if let Some(damage) = &file.damage {
            let after = newest.or_else(|| self.newest.values().next_back().copied());
            self.damage.push(Damage { after, ..damage.clone() });
        }
    }
}

/// One file of the log: its sound part.
#[derive(Debug)]
pub struct LoadedFile {
    name: String,
    bytes: Vec<u8>,
    records: Vec<Range<usize>>,
    damage: Option<Damage>,
}

impl LoadedFile {
    /// The payloads of its records, in order.
    pub fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        self.records.iter().filter_map(|range| self.bytes.get(range.clone()))
    }

    /// Number of the segment; 0 for a checkpoint.
    pub fn number(&self) -> u32 {
        segment_number(&self.name).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
    }
}

/// What is known of a file before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// It is there.
    There,
    /// It is there, and had so many bytes when the log was closed.
    Bytes(u64),
    /// It should be there.
    Missing,
}

/// A file of the log that is or should be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    name: String,
    expected: Expected,
}

/// The files of a log, oldest first.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct LogFiles {
    /// The newest checkpoint, and all segments after it.
    pub entries: Vec<LogEntry>,
    /// Number of the last segment there is or was; 0 if there is none.
    pub last: u64,
}

impl LogFiles {
    /// Names of those that are there.
    pub fn present(&self) -> impl Iterator<Item = &str> {
        let present = self.entries.iter().filter(|entry| entry.expected != Expected::Missing);
        present.map(|entry| entry.name.as_str())
    }
}

/// Segments in a row that are told as missing at most: a number from a damaged name means nothing.
const MAX_MISSING: u64 = 10_000;

/// The files to read, also those that should be there and are not.
///
/// # Errors
/// When the folder cannot be read, or a newer version wrote the log.
pub fn files(fs: &dyn LogFs) -> Result<LogFiles> {
    let covered = newest_checkpoint(fs)?;
    let numbers = segments(fs)?;
    let position = position::read(fs, || has_newer(fs, &numbers))?;
    let last = numbers.last().copied().into_iter().chain(position.map(|position| position.segment)).max();
    let last = last.unwrap_or(0).max(covered.unwrap_or(0));
    // Segments are numbered from 1 on without a gap, and only a checkpoint removes any. Builds that noted no position
    // are not held to that.
    let first = match (covered, position, numbers.first()) {
        (Some(covered), ..) => covered + 1,
        (None, None, Some(first)) => *first,
        (None, ..) => 1,
    };
    let expected = |number: u64| match position {
        _ if numbers.binary_search(&number).is_err() => Expected::Missing,
        Some(Position { segment, len: Some(len) }) if segment == number => Expected::Bytes(len),
        _ => Expected::There,
    };
    let present = numbers.iter().filter(|number| **number >= first).count() as u64;
    let believable = (last + 1).saturating_sub(first) <= present + MAX_MISSING;
    let wanted: Vec<u64> = if believable { (first..=last).collect() } else { numbers.clone() };
    let mut entries: Vec<LogEntry> = Vec::new();
    entries.extend(covered.map(|n| LogEntry { name: checkpoint_name(n), expected: Expected::There }));
    entries.extend(wanted.into_iter().map(|n| LogEntry { name: segment_name(n), expected: expected(n) }));
    Ok(LogFiles { entries, last })
}

/// Whether one of the segments says that it is of a newer version.
fn has_newer(fs: &dyn LogFs, numbers: &[u64]) -> Result<bool> {
    for number in numbers {
        let name = segment_name(*number);
        let bytes = fs.read(&name).at("read", fs.path().join(&name))?;
        let header = bytes.get(..HEADER_LEN).unwrap_or_default();
        if matches!(check_header(header), Err(CodecError::Version { .. })) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads one file and hands each payload to `check`; from the first that is damaged, or that `check` refuses, the
/// file is cut. A file that is missing is made, empty, so that it is told once.
///
/// # Errors
/// When the file cannot be read or repaired.
pub fn load(
    fs: &dyn LogFs,
    LogEntry { name, expected }: &LogEntry,
    mut check: impl FnMut(&[u8]) -> std::result::Result<(), CodecError>,
) -> Result<LoadedFile> {
    let path = fs.path().join(name);
    let damage = |offset, lost_bytes, cause| {
        Some(Damage { file: name.clone(), offset, lost_bytes, after: None, before: None, cause })
    };
    if *expected == Expected::Missing {
        fs.create(name).at("create", &path)?;
        fs.sync_dir().at("sync", fs.path())?;
        let damage = damage(0, 0, CodecError::Missing);
        return Ok(LoadedFile { name: name.clone(), bytes: Vec::new(), records: Vec::new(), damage });
    }
    let bytes = fs.read(name).at("read", &path)?;
    let mut records = Vec::new();
    let found = scan(&bytes, |range| {
        check(bytes.get(range.clone()).unwrap_or_default())?;
        records.push(range);
        Ok(())
    });
    let damage = match (found, expected) {
        (Ok(()), Expected::Bytes(len)) if (bytes.len() as u64) < *len => {
            let lost = usize::try_from(*len).unwrap_or(usize::MAX) - bytes.len();
            damage(bytes.len(), lost, CodecError::UnexpectedEnd { at: bytes.len() })
        }
        (Ok(()), _) => None,
        (Err((offset, cause)), _) => {
            let lost = bytes.get(offset..).unwrap_or_default();
            // A file that ends inside its header holds nothing worth keeping.
            if bytes.len() > HEADER_LEN {
                keep_aside(fs, name, offset, lost)?;
            }
            fs.truncate(name, offset as u64).at("cut", &path)?;
            damage(offset, lost.len(), cause)
        }
    };
    Ok(LoadedFile { name: name.clone(), bytes, records, damage })
}

/// Calls `visit` with where each payload is; the error carries the offset of the first bad record.
fn scan(
    bytes: &[u8],
    mut visit: impl FnMut(Range<usize>) -> std::result::Result<(), CodecError>,
) -> std::result::Result<(), (usize, CodecError)> {
    let mut reader = ByteReader::new(bytes);
    if reader.remaining() == 0 {
        return Ok(());
    }
    match reader.bytes(HEADER_LEN) {
        Ok(header) => check_header(header).map_err(|cause| (0, cause))?,
        Err(error) => return Err((0, error)),
    }
    while !reader.is_empty() {
        let offset = reader.position();
        let visited = frame::read_record(&mut reader)
            .map(<[u8]>::len)
            .and_then(|len| visit(reader.position() - len..reader.position()));
        visited.map_err(|cause| (offset, cause))?;
    }
    Ok(())
}

fn check_header(header: &[u8]) -> std::result::Result<(), CodecError> {
    let magic = header.strip_prefix(&SEGMENT_MAGIC);
    match magic {
        Some([1..=VERSION, 0, 0]) => Ok(()),
        Some([version, 0, 0]) if *version > VERSION => {
            Err(CodecError::Version { what: "log file", version: *version })
        }
        _ => Err(CodecError::Invalid { what: "segment header", at: 0 }),
    }
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
