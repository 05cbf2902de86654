//! Which segment is the newest, in a file of its own: a log that lost its end would else look whole.
//!
//! Written when a segment begins, after the segment is there, so that a process that ends in between leaves a segment
//! more than is noted, never one less.
//!
//! **Format**: `docs/format/wal.md`.

use super::fs::{LogFs, SyncPolicy};
use crate::codec::CodecError;
use crate::codec::envelope::{self, Control};
use crate::tsdb::error::{Error, IoContext as _, Result};

pub(in crate::tsdb) const NAME: &str = "position";
const TEMPORARY: &str = "new-position";

/// Where the log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(super) struct Position {
    /// The newest segment.
    pub(super) segment: u64,
    /// Its bytes; none while it is being written.
    pub(super) len: Option<u64>,
}

// A build that knows no newer log must not take one for damaged: it is told by this note and a segment together, since a
// version byte alone may be damaged. So the version of the note is raised whenever that of the log is.
const _: () = assert!(super::layout::VERSION == 5 && Position::VERSION == 2);

impl Control for Position {
    const MAGIC: [u8; 4] = *b"EKWP";
    const VERSION: u8 = 2;
    const NAME: &'static str = "position of the log";
}

/// The note of version 4 of the log: the same fields.
#[derive(Debug, Clone, Copy, bincode::Encode, bincode::Decode)]
struct PositionV1(Position);

impl Control for PositionV1 {
    const MAGIC: [u8; 4] = Position::MAGIC;
    const VERSION: u8 = 1;
    const NAME: &'static str = Position::NAME;
}

impl From<PositionV1> for Position {
    fn from(PositionV1(position): PositionV1) -> Self {
        position
    }
}

/// Replaces the note.
///
/// # Errors
/// When the disk refuses.
pub(super) fn write(fs: &dyn LogFs, position: Position, policy: SyncPolicy) -> Result<()> {
    let path = fs.path().join(TEMPORARY);
    if fs.list().at("list", fs.path())?.iter().any(|name| name == TEMPORARY) {
        fs.remove(TEMPORARY).at("remove", &path)?;
    }
    let bytes = envelope::seal(&position)
        .map_err(|source| Error::TooLarge { what: path.display().to_string(), source })?;
    let file = fs.create(TEMPORARY).at("create", &path)?;
    file.append(&bytes).at("write", &path)?;
    if policy != SyncPolicy::Never {
        file.sync().at("sync", &path)?;
    }
    fs.rename(TEMPORARY, NAME).at("rename", &path)?;
    if policy == SyncPolicy::Never { Ok(()) } else { fs.sync_dir().at("sync", fs.path()) }
}

/// Reads the note; none if there is none, as in directories of earlier builds, or if it is damaged. `has_newer` is asked
/// whether a segment is of a newer version.
///
/// # Errors
/// When the disk refuses, or a newer version wrote the log.
pub(super) fn read(fs: &dyn LogFs, has_newer: impl FnOnce() -> Result<bool>) -> Result<Option<Position>> {
    if !fs.list().at("list", fs.path())?.iter().any(|name| name == NAME) {
        return Ok(None);
    }
    let bytes = fs.read(NAME).at("read", fs.path().join(NAME))?;
    match envelope::open_or_old::<Position, PositionV1>(&bytes) {
        Ok(position) => Ok(Some(position)),
        Err(source @ CodecError::Version { .. }) if has_newer()? => {
            Err(Error::Corrupt { what: fs.path().join(NAME).display().to_string(), source })
        }
        Err(error) => {
            tracing::warn!(%error, "ignoring the saved log position");
            Ok(None)
        }
    }
}
