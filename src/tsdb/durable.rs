//! Syncs and renames of the data directory, in one place, so that a test can look at their order.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::error::{IoContext as _, Result};
use super::points::Step;

/// Makes the content of a file, or the names in a folder, durable.
///
/// # Errors
/// When the disk refuses.
pub(in crate::tsdb) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    note(Step::Synced, path);
    Ok(())
}

/// Gives a file or folder another name, replacing what had it. Durable once the folder is synced.
///
/// # Errors
/// When the disk refuses.
pub(in crate::tsdb) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    note(Step::RenamedFrom, from);
    fs::rename(from, to)?;
    note(Step::Renamed, to);
    Ok(())
}

/// Deletes a file.
///
/// # Errors
/// When the disk refuses.
pub(in crate::tsdb) fn remove_file(path: &Path) -> io::Result<()> {
    note(Step::Removed, path);
    fs::remove_file(path)
}

/// Creates a folder with those above it, durably: with no more than the folder in hand its name could be lost.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => return Err(error),
        _ => note(Step::Created, path),
    }
    sync(parent)
}

/// Tells tests what was done.
#[cfg(not(test))]
pub(in crate::tsdb) use super::points::note;

#[cfg(test)]
pub(in crate::tsdb) use tests::note;

#[cfg(test)]
#[path = "durable_tests.rs"]
mod tests;

/// Replaces file `name` of folder `dir` by one that holds `bytes`, durably: the old or the new one is there whatever
/// happens.
pub(crate) fn replace_file(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let temporary = dir.join(format!("{name}.tmp"));
    let mut file = File::create(&temporary).at("create", &temporary)?;
    file.write_all(bytes).at("write", &temporary)?;
    file.sync_all().at("sync", &temporary)?;
    note(Step::Synced, &temporary);
    rename(&temporary, &dir.join(name)).at("rename", &temporary)?;
    sync(dir).at("sync", dir)
}
