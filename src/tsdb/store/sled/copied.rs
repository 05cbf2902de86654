//! The blocks of a folder that is not to be written to: each is copied while it is open.
//!
//! sled writes to what it opens, so it gets the copy. The file system shares the bytes where it can.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use super::{BlockId, BlockReader, BlockStore, BlockWriter, Recovered, ValueDigest};
use super::{SledStore, failed, files_below, folders_below, sync_path};
use crate::tsdb::error::{IoContext as _, Result};
use crate::util::lock::lock;

/// Copies that nobody reads and that are kept for the next look.
const MAX_IDLE: usize = 2;

/// Blocks of one folder, read through copies in another.
pub struct CopiedStore {
    source: PathBuf,
    copies: SledStore,
    target: PathBuf,
    /// Copies there are, the most recently used last.
    open: Mutex<Vec<(BlockId, Weak<dyn BlockReader>)>>,
}

impl CopiedStore {
    /// The blocks in folder `source`, which need not be there, with copies in folder `target`, which is made.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(source: &Path, target: &Path) -> Result<Self> {
        let copies = SledStore::new(target)?;
        Ok(Self { source: source.to_owned(), copies, target: target.to_owned(), open: Mutex::default() })
    }

    fn copy(&self, id: &BlockId) -> Result<()> {
        let (from, to) = (self.source.join(id.as_str()), self.target.join(id.as_str()));
        if !from.is_dir() {
            return Err(failed(id, "open", "no such block"));
        }
        let copy = || -> io::Result<()> {
            let below = |path: &Path| to.join(path.strip_prefix(&from).unwrap_or(path));
            folders_below(&from)?.iter().try_for_each(|folder| fs::create_dir_all(below(folder)))?;
            files_below(&from)?.iter().try_for_each(|file| fs::copy(file, below(file)).map(|_| ()))
        };
        let copied = copy();
        if copied.is_err() {
            let _ = fs::remove_dir_all(&to);
        }
        copied.at("copy", from)
    }
}

impl BlockStore for CopiedStore {
    fn begin(&self, id: &BlockId) -> Result<Box<dyn BlockWriter>> {
        Err(failed(id, "write", "the directory is only looked at"))
    }

    fn open(&self, id: &BlockId) -> Result<Arc<dyn BlockReader>> {
        let mut open = lock(&self.open);
        if let Some(at) = open.iter().position(|(known, _)| known == id) {
            open.remove(at);
            let reader = self.copies.open(id)?;
            open.push((id.clone(), Arc::downgrade(&reader)));
            return Ok(reader);
        }
        // Held by the store of the copies, or not even there: such a one is idle.
        let is_idle = |reader: &Weak<dyn BlockReader>| Weak::strong_count(reader) <= 1;
        let mut idle = open.iter().filter(|(_, reader)| is_idle(reader)).count();
        while idle >= MAX_IDLE
            && let Some(at) = open.iter().position(|(_, reader)| is_idle(reader))
        {
            let (gone, _) = open.remove(at);
            self.copies.remove(&gone)?;
            idle -= 1;
        }
        self.copy(id)?;
        let reader = self.copies.open(id)?;
        open.push((id.clone(), Arc::downgrade(&reader)));
        Ok(reader)
    }

    fn verify(&self, id: &BlockId) -> Result<ValueDigest> {
        // Copies it; the copy is not removed while another block is opened by whoever verifies this one.
        drop(self.open(id)?);
        self.copies.verify(id)
    }

    fn recover(&self) -> Result<Recovered> {
        if self.source.is_dir() { super::list(&self.source, |_| Ok(())) } else { Ok(Recovered::default()) }
    }

    fn remove(&self, _: &BlockId) -> Result<()> {
        Ok(())
    }

    fn quarantine(&self, _: &BlockId) -> Result<()> {
        sync_path(&self.target)
    }

    fn accept(&self, _: &BlockId) -> Result<()> {
        Ok(())
    }

    fn size_bytes(&self, id: &BlockId) -> u64 {
        super::size_of(&self.source.join(id.as_str()))
    }
}
