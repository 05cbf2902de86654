//! A log of changes to a small state that is held in memory: read whole when it is opened, and written anew when it is
//! long.
//!
//! **Format**: seven bytes that name it, one byte of version, then records as in the write-ahead log, see
//! `docs/format/wal.md`. What the records say is up to whoever keeps the state.
//!
//! **Invariants**: what was appended durably is there after any crash, whole or not at all. After a failed write the whole
//! state is written anew before anything else.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::durable;
use super::error::Error;
use crate::codec::ByteReader;
use crate::codec::frame::read_record;

/// The file is rewritten when it is longer than so many times what it says, and than [`MIN_REWRITE_BYTES`].
const REWRITE_FACTOR: u64 = 4;
const MIN_REWRITE_BYTES: u64 = 1 << 20;

/// Bytes that every such file begins with.
const HEADER_LEN: usize = 8;

/// Which file it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateFile {
    /// Its name in its folder.
    pub(crate) name: &'static str,
    /// What it begins with; the last byte is the version.
    pub(crate) header: [u8; HEADER_LEN],
    /// What messages call it.
    pub(crate) what: &'static str,
}

/// What the disk refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub(crate) struct StateLogError {
    /// What was being done, as a verb.
    pub(crate) action: &'static str,
    /// The file or folder.
    pub(crate) path: PathBuf,
    /// The system's answer.
    pub(crate) source: io::Error,
}

/// The log, open for writing or about to be.
#[derive(Debug)]
pub(crate) struct StateLog {
    folder: PathBuf,
    file: StateFile,
    /// None before the first write and after a failed one.
    open: Option<File>,
    bytes: u64,
    /// Bytes when it was last written whole.
    whole_bytes: u64,
}

impl StateLog {
    /// Reads the log in `folder`, making the folder if absent, and hands each record to `apply`, which says whether it is
    /// one. A damaged end is cut off, told in the log and kept beside the file. Also says whether there was a file of which
    /// more than the damage was left. Nothing is written before [`StateLog::rewrite`] or [`StateLog::append`].
    ///
    /// # Errors
    /// When the disk refuses, or the file is of a version that is not known.
    pub(crate) fn read(
        folder: &Path,
        file: StateFile,
        mut apply: impl FnMut(&[u8]) -> bool,
    ) -> Result<(Self, bool), StateLogError> {
        let path = folder.join(file.name);
        let failed = |action, source| StateLogError { action, path: path.clone(), source };
        durable::create_dir(folder).map_err(|source| failed("create", source))?;
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed("read", error)),
        };
        let mut found = bytes.is_some();
        if let Some(bytes) = &bytes {
            let damage = read_all(bytes, file.header, &mut apply).map_err(|source| failed("read", source))?;
            if let Some(at) = damage {
                found = at > 0;
                tracing::error!(path = %path.display(), offset = at, bytes = bytes.len() - at,
                    "{} is damaged; its damaged end was cut off and a copy of the file kept beside it", file.what);
                let aside = folder.join(format!("{}.damaged", file.name));
                std::fs::write(&aside, bytes).map_err(|source| failed("keep a copy of", source))?;
            }
        }
        Ok((Self { folder: folder.to_owned(), file, open: None, bytes: 0, whole_bytes: 0 }, found))
    }

    /// Appends encoded `records`; or, when the file is long or the last write failed, writes the state anew, of which
    /// `whole` gives the records, those appended among them.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn append(
        &mut self,
        records: &[u8],
        durably: bool,
        whole: impl FnOnce() -> Vec<u8>,
    ) -> Result<(), StateLogError> {
        let written = match &mut self.open {
            Some(file) if self.bytes <= MIN_REWRITE_BYTES.max(self.whole_bytes * REWRITE_FACTOR) => {
                self.bytes += records.len() as u64;
                let written = file.write_all(records);
                written.and_then(|()| if durably { file.sync_data() } else { Ok(()) }).map_err(|source| {
                    StateLogError { action: "write", path: self.folder.join(self.file.name), source }
                })
            }
            _ => self.rewrite(&whole()),
        };
        if written.is_err() {
            self.open = None;
        }
        written
    }

    /// Writes the whole state, given as its records, into a new file, which takes the place of the old one.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn rewrite(&mut self, records: &[u8]) -> Result<(), StateLogError> {
        let path = self.folder.join(self.file.name);
        let out = [&self.file.header[..], records].concat();
        // What is open may have lost its name, also where this fails half way.
        self.open = None;
        durable::replace_file(&self.folder, self.file.name, &out).map_err(|error| {
            let source = match error {
                Error::Io { source, .. } => source,
                other => io::Error::other(other.to_string()),
            };
            StateLogError { action: "replace", path: path.clone(), source }
        })?;
        let opened = OpenOptions::new().append(true).open(&path);
        self.open = Some(opened.map_err(|source| StateLogError { action: "open", path, source })?);
        (self.bytes, self.whole_bytes) = (out.len() as u64, out.len() as u64);
        Ok(())
    }
}

/// Reads a file. Says where it is damaged, if it is.
fn read_all(
    bytes: &[u8],
    expected: [u8; HEADER_LEN],
    apply: &mut impl FnMut(&[u8]) -> bool,
) -> io::Result<Option<usize>> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER_LEN) else {
        return Ok((!bytes.is_empty()).then_some(0));
    };
    let (name, version) = header.split_at(HEADER_LEN - 1);
    if name != &expected[..HEADER_LEN - 1] {
        return Ok(Some(0));
    }
    if version != &expected[HEADER_LEN - 1..] {
        return Err(io::Error::other(format!("version {} is not known to this build", version[0])));
    }
    let mut reader = ByteReader::new(rest);
    while !reader.is_empty() {
        let at = HEADER_LEN + reader.position();
        if !read_record(&mut reader).is_ok_and(&mut *apply) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::ByteWriter as _;
    use crate::codec::frame::put_record;

    const FILE: StateFile = StateFile { name: "state.log", header: *b"TESTING\x01", what: "state" };

    fn record(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        put_record(&mut out, |out| out.put_bytes(text.as_bytes()));
        out
    }

    fn read(folder: &Path) -> (StateLog, Vec<String>) {
        let mut found = Vec::new();
        let apply = |payload: &[u8]| {
            found.push(String::from_utf8_lossy(payload).into_owned());
            true
        };
        let (log, _) = StateLog::read(folder, FILE, apply).expect("opens");
        (log, found)
    }

    #[test]
    fn what_is_appended_after_a_rewrite_that_failed_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = folder.path().join("n");
        let (mut log, _) = read(&inside);
        log.append(&record("a"), true, || record("a")).expect("written");
        // What is open loses its name, and the rewrite fails.
        std::fs::remove_dir_all(&inside).expect("removed");
        log.rewrite(&record("a")).expect_err("the folder is gone");
        std::fs::create_dir(&inside).expect("made");
        log.append(&record("b"), true, || [record("a"), record("b")].concat()).expect("written");
        log.append(&record("c"), true, Vec::new).expect("written");
        drop(log);
        assert_eq!(read(&inside).1, ["a", "b", "c"]);
    }
}
