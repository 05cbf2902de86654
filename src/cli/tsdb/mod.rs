//! `tsdb`: look into a data directory, change one that no server is running on, move data in and out.

mod analyze;
mod copy;
mod delete;
mod dump;
mod exchange;
mod list;
mod repair;

pub(super) use exchange::tell as import_tell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::{Failure, output};
use crate::model::{Matcher, TimeRange};
use crate::telemetry::Registry;
use crate::telemetry::log::{self, LevelFilter};
use crate::tsdb::{Beside, Limits, Tsdb, TsdbOptions};
use crate::util::SystemClock;

#[derive(Debug, Subcommand)]
pub(super) enum TsdbCommand {
    /// List the blocks of a data directory.
    List(Dir),
    /// Check every byte of every block; fails when something is damaged.
    Verify(Dir),
    /// Say what the series are made of, and what takes the room.
    Analyze(analyze::AnalyzeArgs),
    /// Print samples, one a line.
    Dump(dump::DumpArgs),
    /// Set damaged blocks aside and say what was lost.
    Repair(Dir),
    /// Copy a data directory, checking every block on the way.
    Backup(copy::BackupArgs),
    /// Make a data directory of a backup, which is checked first.
    Restore(copy::RestoreArgs),
    /// Delete samples of series.
    Delete(delete::DeleteArgs),
    /// Bring in data of other servers.
    #[command(subcommand)]
    Import(exchange::ImportCommand),
    /// Write the data as blocks of another server.
    Export(exchange::ExportArgs),
}

#[derive(Debug, Args)]
pub(super) struct Dir {
    /// The data directory.
    #[arg(default_value = super::serve::DEFAULT_DATA_DIR)]
    path: PathBuf,
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

/// Options with which nothing happens that was not asked for.
fn options(path: &Path) -> TsdbOptions {
    TsdbOptions {
        limits: Limits { retention_ms: 0, ..Limits::default() },
        background: false,
        ..TsdbOptions::new(path)
    }
}

fn check_is_there(path: &Path) -> Result<(), Failure> {
    if path.is_dir() { Ok(()) } else { Err(format!("{} is no directory", path.display()).into()) }
}

/// Whether a data directory has a catalog, or what makes up for it.
fn has_catalog(path: &Path) -> bool {
    ["catalog", "catalog.copy"].iter().any(|name| path.join(name).is_file())
}

/// Opens a data directory that is there, to change it.
fn open(path: &Path) -> Result<Tsdb, Failure> {
    check_is_there(path)?;
    open_or_create(path)
}

/// Opens a data directory that is there, to look at it: it stays as it is.
fn look_at(path: &Path, beside: Beside) -> Result<Tsdb, Failure> {
    check_is_there(path)?;
    Ok(Tsdb::inspect(&options(path), beside, Arc::new(SystemClock), &mut Registry::default())?)
}

pub(super) fn open_or_create(path: &Path) -> Result<Tsdb, Failure> {
    Ok(Tsdb::open(options(path), Arc::new(SystemClock), &mut Registry::default())?)
}

/// Tells of each block that the catalog names and the disk does not have; returns how many there are.
fn tell_missing(db: &Tsdb) -> usize {
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

/// Which samples a command is about.
#[derive(Debug, Args)]
struct Selection {
    /// First time, inside: RFC 3339, or milliseconds since the epoch. The beginning if absent.
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    min_time: Option<i64>,
    /// Last time, inside. The end if absent.
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    max_time: Option<i64>,
    /// Only series that match, as `{job="node"}`; may be given several times. All series if absent.
    #[arg(long = "match", value_name = "SELECTOR", value_parser = selector)]
    selectors: Vec<Selector>,
}

/// A selector as it was given; an own type, since a list has another meaning for the command line.
#[derive(Debug, Clone)]
struct Selector(Vec<Matcher>);

impl Selection {
    fn range(&self) -> TimeRange {
        TimeRange::new(self.min_time.unwrap_or(i64::MIN), self.max_time.unwrap_or(i64::MAX))
    }

    fn selectors(&self) -> Vec<Vec<Matcher>> {
        self.selectors.iter().map(|selector| selector.0.clone()).collect()
    }
}

fn time(text: &str) -> Result<i64, String> {
    if let Ok(ms) = text.parse() {
        return Ok(ms);
    }
    let time: jiff::Timestamp = text.parse().map_err(|error| {
        format!("neither milliseconds since the epoch nor a time as 2026-01-31T12:00:00Z: {error}")
    })?;
    Ok(time.as_millisecond())
}

fn selector(text: &str) -> Result<Selector, String> {
    let matchers = crate::promql::parse_selector(text).map_err(|error| error.to_string())?;
    // Leaving it out means all series; writing it by mistake must not.
    if matchers.iter().all(Matcher::matches_empty) {
        return Err("a selector must contain at least one non-empty matcher".to_owned());
    }
    Ok(Selector(matchers))
}
