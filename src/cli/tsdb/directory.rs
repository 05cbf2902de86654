//! The data directory that a command is about.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::{Failure, output};
use crate::telemetry::Registry;
use crate::tsdb::{Beside, Limits, Tsdb, TsdbOptions};
use crate::util::SystemClock;

#[derive(Debug, Args)]
pub(in crate::cli) struct Dir {
    /// The data directory.
    #[arg(default_value = crate::cli::serve::DEFAULT_DATA_DIR)]
    pub(super) path: PathBuf,
}

/// Options with which nothing happens that was not asked for.
pub(super) fn options(path: &Path) -> TsdbOptions {
    TsdbOptions {
        limits: Limits { retention_ms: 0, ..Limits::default() },
        background: false,
        ..TsdbOptions::new(path)
    }
}

pub(super) fn check_is_there(path: &Path) -> Result<(), Failure> {
    if path.is_dir() { Ok(()) } else { Err(format!("{} is no directory", path.display()).into()) }
}

/// Whether a data directory has a catalog, or what makes up for it.
pub(super) fn has_catalog(path: &Path) -> bool {
    ["catalog", "catalog.copy"].iter().any(|name| path.join(name).is_file())
}

/// Opens a data directory that is there, to change it.
pub(in crate::cli) fn open(path: &Path) -> Result<Tsdb, Failure> {
    check_is_there(path)?;
    open_or_create(path)
}

/// Opens a data directory that is there, to look at it: it stays as it is.
pub(super) fn look_at(path: &Path, beside: Beside) -> Result<Tsdb, Failure> {
    check_is_there(path)?;
    Ok(Tsdb::inspect(&options(path), beside, Arc::new(SystemClock), &mut Registry::default())?)
}

pub(in crate::cli) fn open_or_create(path: &Path) -> Result<Tsdb, Failure> {
    Ok(Tsdb::open(options(path), Arc::new(SystemClock), &mut Registry::default())?)
}

/// Tells of each block that the catalog names and the disk does not have; returns how many there are.
pub(super) fn tell_missing(db: &Tsdb) -> usize {
    let missing = db.status().missing;
    for block in &missing {
        output::error(&format!(
            "block {} is missing: the catalog names it and the disk does not have it: {} samples from {} to {}",
            block.id,
            block.samples,
            output::time(block.start),
            output::time(block.end)
        ));
    }
    missing.len()
}
