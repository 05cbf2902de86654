//! `tsdb backup` and `tsdb restore`: copies that are checked.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, has_catalog, look_at, output, tell_missing};
use crate::tsdb::{Beside, Error, Tsdb};

#[derive(Debug, Args)]
pub(in crate::cli) struct BackupArgs {
    /// The data directory.
    path: PathBuf,
    /// Folder to copy to; it must be absent or empty.
    target: PathBuf,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RestoreArgs {
    /// The backup: what `tsdb backup` or a snapshot of a running server made.
    backup: PathBuf,
    /// The data directory to make; it must be absent or empty.
    path: PathBuf,
}

pub(super) fn backup(args: &BackupArgs) -> Result<(), Failure> {
    let db = look_at(&args.path, Beside::Nobody).map_err(|error| match error.downcast_ref::<Error>() {
        Some(Error::Locked { .. }) => {
            let hint = "a server is running on it: have it make a snapshot instead, by POST to /api/v1/admin/tsdb/snapshot";
            format!("{error}; {hint}").into()
        }
        _ => error,
    })?;
    if db.status().corruptions > 0 {
        output::error("the write-ahead log was damaged; the backup has what could be read of it");
    }
    refuse_missing(&db, "nothing is copied; `tsdb repair` makes the directory whole without them")?;
    db.copy_to(&args.target, false)?;
    db.close()?;
    tell(&args.target, "backup")
}

pub(super) fn restore(args: &RestoreArgs) -> Result<(), Failure> {
    // Opening would make an empty database of any folder.
    if !has_catalog(&args.backup) {
        return Err(format!("{} is no backup: it has no catalog", args.backup.display()).into());
    }
    if args.path.is_dir() && std::fs::read_dir(&args.path)?.next().is_some() {
        return Err(format!("{} is not empty; nothing is written over", args.path.display()).into());
    }
    let backup = look_at(&args.backup, Beside::Nobody)?;
    refuse_missing(&backup, "nothing is restored")?;
    let damaged = check(&backup);
    if damaged > 0 {
        return Err(format!("{damaged} blocks of the backup are damaged, nothing is restored").into());
    }
    backup.copy_to(&args.path, false)?;
    backup.close()?;
    tell(&args.path, "restored")
}

/// Fails, having told of each block that is missing, if there are any.
fn refuse_missing(db: &Tsdb, then: &str) -> Result<(), Failure> {
    match tell_missing(db) {
        0 => Ok(()),
        missing => Err(format!("{missing} blocks are missing, {then}").into()),
    }
}

/// Checks every block; tells of each that is damaged and returns how many are.
fn check(db: &Tsdb) -> usize {
    let mut damaged = 0;
    let blocks = db.status().blocks;
    let bar = output::progress(blocks.len() as u64, "blocks");
    for block in &blocks {
        if let Err(error) = db.verify_block(block) {
            damaged += 1;
            bar.suspend(|| output::error(&error.to_string()));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    damaged
}

/// Opens what was copied, and says what it holds.
fn tell(path: &Path, verb: &str) -> Result<(), Failure> {
    let db = look_at(path, Beside::Nobody)?;
    refuse_missing(&db, "the copy is not whole")?;
    let blocks = db.status().blocks;
    let samples: u64 = blocks.iter().map(|block| block.samples).sum();
    output::line(&format!("{verb}: {samples} samples in {} blocks at {}", blocks.len(), path.display()));
    Ok(db.close()?)
}
