//! How often in a row the process died while memory was short: a small record beside the catalog, written when the
//! database opens, when memory gets short or is plenty again, and when it closes.
//!
//! A record that cannot be read or written is no reason not to start: then nothing is known.
//!
//! **Format**: `docs/format/deaths.md`.

use std::path::{Path, PathBuf};

use super::durable::replace_file;
use crate::codec::envelope::{self, Control};

const NAME: &str = "deaths";

/// What is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
struct Stored {
    /// A server has the database open, or ended without closing it.
    open: bool,
    /// Memory was short when it was last looked at.
    danger: bool,
    /// Deaths by memory in a row, before that.
    count: u32,
}

impl Control for Stored {
    const MAGIC: [u8; 4] = *b"EKDM";
    const VERSION: u8 = 1;
    const NAME: &'static str = "record of deaths by memory";
}

/// The record of a database that is open.
#[derive(Debug)]
pub(super) struct Deaths {
    dir: PathBuf,
    now: Stored,
    /// Whether the disk has it.
    is_written: bool,
}

impl Deaths {
    /// Reads what the last server left in data directory `dir`, and notes that one runs.
    pub(super) fn begin(dir: &Path) -> Self {
        let last = match std::fs::read(dir.join(NAME)) {
            Ok(bytes) => envelope::open::<Stored>(&bytes)
                .inspect_err(|error| tracing::warn!(%error, "ignoring the record of deaths by memory"))
                .ok(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(%error, "failed to read the record of deaths by memory");
                None
            }
        };
        let count = match last {
            Some(Stored { open: true, danger: true, count }) => count.saturating_add(1),
            // It ended for another reason, and memory was not short any more.
            _ => 0,
        };
        let now = Stored { open: true, danger: false, count };
        let mut began = Self { dir: dir.to_owned(), now, is_written: false };
        began.write();
        began
    }

    /// Deaths by memory in a row before this start.
    pub(super) fn count(&self) -> u32 {
        self.now.count
    }

    /// Whether memory was short when it was last looked at.
    pub(super) fn is_in_danger(&self) -> bool {
        self.now.danger
    }

    /// Notes whether memory is short.
    pub(super) fn note(&mut self, danger: bool) {
        self.set(Stored { danger, ..self.now });
    }

    /// Forgets the deaths: memory has been plenty for a while.
    pub(super) fn forget(&mut self) {
        self.set(Stored { count: 0, ..self.now });
    }

    /// Notes that the database is closed.
    pub(super) fn end(&mut self) {
        self.set(Stored { open: false, danger: false, count: 0 });
    }

    fn set(&mut self, now: Stored) {
        if now != self.now || !self.is_written {
            self.now = now;
            self.write();
        }
    }

    fn write(&mut self) {
        let sealed = envelope::seal(&self.now).map_err(|error| error.to_string());
        let written =
            sealed.and_then(|bytes| replace_file(&self.dir, NAME, &bytes).map_err(|error| error.to_string()));
        self.is_written = written.is_ok();
        if let Err(error) = written {
            tracing::warn!(error, "failed to write the record of deaths by memory");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_in_danger_count_until_an_end_without() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let begin = || Deaths::begin(dir.path());
        assert_eq!(begin().count(), 0);
        begin().note(true);
        assert_eq!(begin().count(), 1);
        let mut second = begin();
        assert_eq!(second.count(), 0, "the one before was not in danger");
        second.note(true);
        begin().note(true);
        let mut third = begin();
        assert_eq!(third.count(), 2);
        third.forget();
        third.note(true);
        assert_eq!(begin().count(), 1);
        begin().note(true);
        begin().end();
        assert_eq!(begin().count(), 0);
    }

    #[test]
    fn a_record_that_cannot_be_read_says_nothing() {
        let dir = tempfile::tempdir().expect("temporary directory");
        Deaths::begin(dir.path()).note(true);
        let path = dir.path().join(NAME);
        let mut bytes = std::fs::read(&path).expect("record");
        *bytes.last_mut().expect("bytes") ^= 1;
        std::fs::write(&path, bytes).expect("written");
        assert_eq!(Deaths::begin(dir.path()).count(), 0);
        assert!(envelope::open::<Stored>(&std::fs::read(&path).expect("record")).is_ok(), "written anew");
    }
}
