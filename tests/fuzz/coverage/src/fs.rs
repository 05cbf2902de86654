//! The folder of a log in memory.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::{Arc, Mutex};

use emberkeep::tsdb::wal::fs::{LogFile, LogFs};

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Files by name.
#[derive(Default)]
pub struct MemoryFs(Files);

struct Open {
    files: Files,
    name: String,
}

fn missing() -> Error {
    Error::from(ErrorKind::NotFound)
}

impl MemoryFs {
    /// A folder that holds `files`.
    pub fn new(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self(Arc::new(Mutex::new(files)))
    }

    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> Result<T>) -> Result<T> {
        look(&mut self.0.lock().expect("no one panics with it"))
    }
}

impl LogFs for MemoryFs {
    fn list(&self) -> Result<Vec<String>> {
        self.with(|files| Ok(files.keys().cloned().collect()))
    }

    fn create(&self, name: &str) -> Result<Arc<dyn LogFile>> {
        self.with(|files| match files.insert(name.to_owned(), Vec::new()) {
            None => Ok(()),
            Some(_) => Err(Error::from(ErrorKind::AlreadyExists)),
        })?;
        Ok(Arc::new(Open { files: Arc::clone(&self.0), name: name.to_owned() }))
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        self.with(|files| files.get(name).cloned().ok_or_else(missing))
    }

    fn truncate(&self, name: &str, len: u64) -> Result<()> {
        self.with(|files| {
            files.get_mut(name).ok_or_else(missing)?.truncate(usize::try_from(len).expect("64 bits"));
            Ok(())
        })
    }

    fn sync(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.with(|files| {
            let bytes = files.remove(from).ok_or_else(missing)?;
            files.insert(to.to_owned(), bytes);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.with(|files| files.remove(name).map(drop).ok_or_else(missing))
    }

    fn sync_dir(&self) -> Result<()> {
        Ok(())
    }

    fn path(&self) -> &Path {
        Path::new("log")
    }
}

impl LogFile for Open {
    fn append(&self, bytes: &[u8]) -> Result<()> {
        let mut files = self.files.lock().expect("no one panics with it");
        files.get_mut(&self.name).ok_or_else(missing)?.extend_from_slice(bytes);
        Ok(())
    }

    fn truncate(&self, len: u64) -> Result<()> {
        let mut files = self.files.lock().expect("no one panics with it");
        files.get_mut(&self.name).ok_or_else(missing)?.truncate(usize::try_from(len).expect("64 bits"));
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}
