//! The write-ahead log: whatever a query can see is here first.
//!
//! `mod` appends and rotates, `layout` names the files, [`reader`] replays and repairs, [`checkpoint`] rewrites what must outlive old segments,
//! `position` notes which segment is the newest, [`fs`] is the seam to the disk.
//!
//! **Invariants**: a failed append is cut off before the next one is accepted; after a failed sync (or a failed cut)
//! the log is poisoned and refuses appends. A new process never appends to a segment of an earlier one.
//!
//! **Locking**: `synced` before `state`; the state is held during one write, never during a sync.
//!
//! **Format**: `docs/format/wal.md`.

pub mod checkpoint;
pub mod fs;
mod layout;
mod position;
pub mod reader;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use super::error::{Error, IoContext as _, Result};
use super::points::{Point, reach};
use crate::util::lock::lock;
pub use fs::SyncPolicy;
use fs::{LogFile, LogFs};
use layout::header;
pub use layout::{HEADER_LEN, SEGMENT_MAGIC, VERSION};
pub(super) use layout::{is_live, segment_name};
pub(super) use position::NAME as POSITION_NAME;
use position::Position;
use reader::LogFiles;

struct State {
    file: Arc<dyn LogFile>,
    segment: u64,
    len: u64,
    /// Number of appends so far.
    appended: u64,
    /// Bytes of them.
    bytes: u64,
    /// Largest timestamp in each segment that holds samples, the current one included.
    newest: BTreeMap<u64, i64>,
    poisoned: Option<String>,
}

/// The log, open for appending.
pub struct Wal {
    fs: Arc<dyn LogFs>,
    policy: SyncPolicy,
    segment_bytes: u64,
    state: Mutex<State>,
    /// Number of appends that are known to be durable.
    synced: Mutex<u64>,
}

impl Wal {
    /// Opens the log for appending to a new segment after `files`, which are all there are.
    ///
    /// # Errors
    /// When the segment cannot be created, or those before it cannot be synced.
    pub fn open(
        fs: Arc<dyn LogFs>,
        files: &LogFiles,
        policy: SyncPolicy,
        segment_bytes: u64,
    ) -> Result<Self> {
        if policy != SyncPolicy::Never {
            // A process that was killed may have left what only the system's memory has. What follows builds on it:
            // series defined there are not defined again.
            for name in files.present() {
                fs.sync(name).at("sync", fs.path().join(name))?;
            }
        }
        let segment = files.last + 1;
        let file = create_segment(&*fs, segment)?;
        position::write(&*fs, Position { segment, len: None }, policy)?;
        let state = State {
            file,
            segment,
            len: HEADER_LEN as u64,
            appended: 0,
            bytes: 0,
            newest: BTreeMap::new(),
            poisoned: None,
        };
        Ok(Self { fs, policy, segment_bytes, state: Mutex::new(state), synced: Mutex::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Begins a commit: starts a new segment if the current one is full, and returns the number of the segment that
    /// the next [`Wal::append`] goes to. Callers append one after another.
    ///
    /// # Errors
    /// When the log refuses appends, or the segment cannot be ended or the next one created.
    pub fn begin(&self) -> Result<u32> {
        let mut state = self.lock();
        if let Some(reason) = &state.poisoned {
            return Err(Error::LogPoisoned { reason: reason.clone() });
        }
        if state.len >= self.segment_bytes {
            self.rotate(&mut state)?;
        }
        u32::try_from(state.segment)
            .map_err(|_| Error::LogPoisoned { reason: "too many segments".to_owned() })
    }

    /// Appends framed records (see [`crate::codec::frame::put_record`]) as one write.
    /// `newest` is the largest timestamp among their samples, if there are any. Returns the number of the append.
    ///
    /// # Errors
    /// When the write fails. Nothing of `records` remains in the log then.
    pub fn append(&self, records: &[u8], newest: Option<i64>) -> Result<u64> {
        let mut state = self.lock();
        if let Some(reason) = &state.poisoned {
            return Err(Error::LogPoisoned { reason: reason.clone() });
        }
        if let Err(source) = state.file.append(records) {
            // A torn record in the middle would hide everything after it from the next start.
            if let Err(cut) = state.file.truncate(state.len) {
                state.poisoned = Some(format!("a failed write could not be cut off: {cut}"));
            }
            return Err(Error::Io { action: "append to", path: self.path_of(state.segment), source });
        }
        state.len += records.len() as u64;
        state.appended += 1;
        state.bytes += records.len() as u64;
        if let Some(newest) = newest {
            let segment = state.segment;
            let entry = state.newest.entry(segment).or_insert(newest);
            *entry = newest.max(*entry);
        }
        Ok(state.appended)
    }

    /// Waits until append `number` is as durable as the policy says. With [`SyncPolicy::Always`] concurrent callers
    /// share syncs.
    ///
    /// # Errors
    /// When the sync fails; the log is then poisoned.
    pub fn acknowledge(&self, number: u64) -> Result<()> {
        if self.policy == SyncPolicy::Always { self.sync_to(number) } else { Ok(()) }
    }

    /// Bytes appended since the log was opened.
    pub fn appended_bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Makes everything durable and notes where the log ends, so that the next start knows what it should find.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn close(&self) -> Result<()> {
        self.sync()?;
        let state = self.lock();
        let position = Position { segment: state.segment, len: Some(state.len) };
        position::write(&*self.fs, position, self.policy)
    }

    /// Makes everything appended so far durable.
    ///
    /// # Errors
    /// When the disk refuses; the log is then poisoned.
    pub fn sync(&self) -> Result<()> {
        let number = self.lock().appended;
        self.sync_to(number)
    }

    fn sync_to(&self, number: u64) -> Result<()> {
        let mut synced = lock(&self.synced);
        if *synced >= number {
            // Somebody's sync, begun after our append, covered it.
            return Ok(());
        }
        let (file, segment, appended) = {
            let state = self.lock();
            if let Some(reason) = &state.poisoned {
                return Err(Error::LogPoisoned { reason: reason.clone() });
            }
            (Arc::clone(&state.file), state.segment, state.appended)
        };
        if let Err(source) = file.sync() {
            self.lock().poisoned = Some(format!("sync failed: {source}"));
            return Err(Error::Io { action: "sync", path: self.path_of(segment), source });
        }
        *synced = appended;
        Ok(())
    }

    /// Takes over what a replay found: the largest timestamp in each segment that holds samples.
    pub fn learn(&self, newest: &BTreeMap<u64, i64>) {
        let mut state = self.lock();
        for (segment, newest) in newest {
            state.newest.entry(*segment).or_insert(*newest);
        }
    }

    /// The last of the ended segments that, with all before it, holds no sample from `min_time` on.
    pub fn last_segment_before(&self, min_time: i64) -> Option<u64> {
        let state = self.lock();
        let first_needed =
            state.newest.iter().find(|(_, newest)| **newest >= min_time).map_or(state.segment, |(n, _)| *n);
        first_needed.min(state.segment).checked_sub(1).filter(|n| *n > 0)
    }

    /// Forgets the segments up to `upto` after a checkpoint replaced them.
    pub fn forget(&self, upto: u64) {
        self.lock().newest.retain(|n, _| *n > upto);
    }

    /// Ends the current segment. Returns its number.
    ///
    /// # Errors
    /// When the old segment cannot be synced or the new one not created.
    pub fn cut(&self) -> Result<u64> {
        let mut state = self.lock();
        let ended = state.segment;
        self.rotate(&mut state)?;
        Ok(ended)
    }

    fn rotate(&self, state: &mut State) -> Result<()> {
        // The old file must be durable first: later syncs see only the new one.
        if self.policy != SyncPolicy::Never
            && let Err(source) = state.file.sync()
        {
            state.poisoned = Some(format!("sync failed: {source}"));
            return Err(Error::Io { action: "sync", path: self.path_of(state.segment), source });
        }
        reach(Point::SegmentEnded);
        let next = state.segment + 1;
        let file = create_segment(&*self.fs, next)?;
        reach(Point::SegmentCreated);
        position::write(&*self.fs, Position { segment: next, len: None }, self.policy)?;
        state.file = file;
        state.segment = next;
        state.len = HEADER_LEN as u64;
        Ok(())
    }

    /// Number of the segment being written.
    pub fn current_segment(&self) -> u64 {
        self.lock().segment
    }

    /// Why the log refuses appends, if it does.
    pub fn poisoned(&self) -> Option<String> {
        self.lock().poisoned.clone()
    }

    /// The sync policy it was opened with.
    pub fn policy(&self) -> SyncPolicy {
        self.policy
    }

    /// The folder of the log.
    pub fn fs(&self) -> &Arc<dyn LogFs> {
        &self.fs
    }

    fn path_of(&self, segment: u64) -> PathBuf {
        self.fs.path().join(segment_name(segment))
    }
}

fn create_segment(fs: &dyn LogFs, number: u64) -> Result<Arc<dyn LogFile>> {
    let path = fs.path().join(segment_name(number));
    let file = match fs.create(&segment_name(number)) {
        // Left over by an earlier attempt that could not write the header: nothing can be in it.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            fs.remove(&segment_name(number)).at("remove", &path)?;
            fs.create(&segment_name(number)).at("create", &path)?
        }
        created => created.at("create", &path)?,
    };
    file.append(&header()).at("write", &path)?;
    fs.sync_dir().at("sync", fs.path())?;
    Ok(file)
}

#[cfg(test)]
mod tests;
