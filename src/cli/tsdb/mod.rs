//! `tsdb`: look into a data directory, change one that no server is running on, move data in and out.

mod analyze;
mod copy;
mod delete;
mod directory;
mod dump;
mod exchange;
mod list;
mod repair;
mod selection;

use clap::Subcommand;

use directory::{Dir, has_catalog, look_at, open, tell_missing};
pub(super) use directory::{open as open_existing, open_or_create};
pub(super) use exchange::tell as import_tell;
use selection::{Selection, Selector, selector, time};

use super::{Failure, output};
use crate::telemetry::log::{self, LevelFilter};

#[derive(Debug, Subcommand)]
pub(super) enum TsdbCommand {
    /// List the blocks of a data directory.
    List(Dir),
    /// Verify the checksums of all blocks; fails if anything is damaged.
    Verify(Dir),
    /// Analyze cardinality and disk usage.
    Analyze(analyze::AnalyzeArgs),
    /// Print samples, one per line.
    Dump(dump::DumpArgs),
    /// Set damaged blocks aside and report what was lost.
    Repair(Dir),
    /// Copy a data directory, verifying every block.
    Backup(copy::BackupArgs),
    /// Restore a data directory from a backup, verifying it first.
    Restore(copy::RestoreArgs),
    /// Delete samples of series.
    Delete(delete::DeleteArgs),
    /// Import data from other servers.
    #[command(subcommand)]
    Import(exchange::ImportCommand),
    /// Export data as blocks of another server.
    Export(exchange::ExportArgs),
}

pub(super) fn run(command: TsdbCommand) -> Result<(), Failure> {
    // What is lost or damaged is told, whatever the command is about.
    log::init(LevelFilter::ERROR, log::Format::Logfmt);
    match command {
        TsdbCommand::List(dir) => list::list(&dir),
        TsdbCommand::Verify(dir) => list::verify(&dir),
        TsdbCommand::Analyze(args) => analyze::run(&args),
        TsdbCommand::Dump(args) => dump::run(&args),
        TsdbCommand::Repair(dir) => repair::run(&dir),
        TsdbCommand::Backup(args) => copy::backup(&args),
        TsdbCommand::Restore(args) => copy::restore(&args),
        TsdbCommand::Delete(args) => delete::run(&args),
        TsdbCommand::Import(command) => exchange::import(command),
        TsdbCommand::Export(args) => exchange::export(&args),
    }
}
