//! The folders of databases on disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::tsdb::durable;
use crate::tsdb::error::{IoContext as _, Result};

/// Bytes that open databases may have read before one is closed.
pub(super) const MAX_TOUCHED_BYTES: usize = 64 << 20;

pub(super) const TEMPORARY: &str = ".tmp";

pub(super) fn sync_path(path: &Path) -> Result<()> {
    durable::sync(path).at("sync", path)
}

pub(super) fn files_below(dir: &Path) -> io::Result<Vec<PathBuf>> {
    walk(dir).map(|(files, _)| files)
}

pub(super) fn folders_below(dir: &Path) -> io::Result<Vec<PathBuf>> {
    walk(dir).map(|(_, folders)| folders)
}

fn walk(dir: &Path) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut files, mut folders) = (Vec::new(), vec![dir.to_owned()]);
    let mut next = 0;
    while next < folders.len() {
        for entry in fs::read_dir(&folders[next])? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
        next += 1;
    }
    Ok((files, folders))
}
