//! `serve --storage.tsdb.adopt`: the data of Prometheus, imported once into a directory beside its own.
//!
//! **Invariants**: the directory of Prometheus is only read. The new directory has its name once it has everything; until
//! then it is called otherwise, and an adoption that was interrupted goes on from the beginning.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Failure;
use super::tsdb::{import_tell, open_or_create};
use crate::interop::import;
use crate::tsdb::foreign::{Owner, owner};

/// The data directory to serve from: `dir`, or what was made of it if it is one of Prometheus.
pub(super) fn adopt(dir: &Path) -> Result<PathBuf, Failure> {
    if owner(dir)? != Some(Owner::Prometheus) {
        return Ok(dir.to_owned());
    }
    // As it is called, so that a link to it is not followed to another place.
    let absolute = std::path::absolute(dir)?;
    let beside = |ending: &str| {
        let mut name = absolute.file_name().map_or_else(OsString::new, OsString::from);
        name.push(ending);
        absolute.with_file_name(name)
    };
    let (target, unfinished) = (beside("-emberkeep"), beside("-emberkeep.adopting"));
    if target.is_dir() {
        tracing::info!(dir = %target.display(), "Prometheus data was already adopted");
        return Ok(target);
    }
    // A volume that is mounted there: what is beside it is not kept with it.
    if let Some(parent) = absolute.parent()
        && std::fs::metadata(parent)?.dev() != std::fs::metadata(&absolute)?.dev()
    {
        return Err(format!(
            "{} is a file system of its own, and what is beside it may not last as long: import it with `emberkeep tsdb import prometheus` into a directory inside of a volume",
            dir.display()
        )
        .into());
    }
    tracing::info!(from = %dir.display(), to = %target.display(), "adopting Prometheus data");
    let db = open_or_create(&unfinished)?;
    // An import is there whole or not at all.
    if db.status().blocks.is_empty() {
        let report = import::prometheus(dir, &db, |progress| tracing::info!("{progress}"))?;
        tracing::info!(samples = report.samples, blocks = report.blocks, "imported Prometheus data");
        if let Err(error) = import_tell(&report) {
            tracing::error!(%error, "some Prometheus data was not adopted");
        }
    }
    db.close()?;
    drop(db);
    std::fs::rename(&unfinished, &target)?;
    tracing::info!(dir = %target.display(), "adoption complete; set --storage.tsdb.path to this directory");
    Ok(target)
}
