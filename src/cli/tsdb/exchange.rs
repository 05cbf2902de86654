//! `tsdb import` and `tsdb export`: data of other servers.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::{Failure, Selection, look_at, open_or_create, output};
use crate::interop::export::{ExportPlan, export as write_blocks};
use crate::interop::import::ImportReport;
use crate::interop::{import, openmetrics};
use crate::model::TimeRange;
use crate::tsdb::Beside;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ImportCommand {
    /// All blocks and the log of a Prometheus data directory, or of a snapshot. Prometheus must not be running on it.
    Prometheus {
        /// The data directory of Prometheus.
        source: PathBuf,
        /// The data directory to import to; made if absent.
        path: PathBuf,
    },
    /// An OpenMetrics file with a timestamp on every line.
    Openmetrics {
        /// The file.
        file: PathBuf,
        /// The data directory to import to; made if absent.
        path: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ExportFormat {
    /// Blocks of Prometheus, for its data directory or for Thanos, Mimir and others that take them.
    Prometheus,
}

/// Time covered by an exported block: what Prometheus itself merges its blocks to.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum BlockDuration {
    #[value(name = "2h")]
    Hours2,
    #[value(name = "6h")]
    Hours6,
    #[value(name = "18h")]
    Hours18,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// What to write.
    #[arg(long, value_enum)]
    format: ExportFormat,
    #[command(flatten)]
    selection: Selection,
    /// Time that a block covers.
    #[arg(long, value_enum, default_value = "2h")]
    block_duration: BlockDuration,
    /// The data directory.
    path: PathBuf,
    /// Folder for the blocks; made if absent.
    target: PathBuf,
}

pub(super) fn import(command: ImportCommand) -> Result<(), Failure> {
    match command {
        ImportCommand::Prometheus { source, path } => {
            if !source.is_dir() {
                return Err(format!("{} is no directory", source.display()).into());
            }
            check_apart(&source, &path)?;
            let db = open_or_create(&path)?;
            let report = import::prometheus(&source, &db, output::note)?;
            db.close()?;
            tell(&report)
        }
        ImportCommand::Openmetrics { file, path } => {
            let db = open_or_create(&path)?;
            let report = openmetrics::import(&file, &db)?;
            db.close()?;
            let twice = report.read.saturating_sub(report.import.samples);
            if twice > 0 {
                output::line(&format!(
                    "{twice} samples had a timestamp that their series has before in the file"
                ));
            }
            tell(&report.import)
        }
    }
}

/// Fails unless the two are different directories and neither is inside the other: what is read is never written to.
pub(in crate::cli) fn check_apart(source: &Path, target: &Path) -> Result<(), Failure> {
    let source = source.canonicalize()?;
    let absolute = std::path::absolute(target)?;
    // What is not there yet has no links in it.
    let there = absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let target = there.canonicalize()?.join(absolute.strip_prefix(there)?);
    if source.starts_with(&target) || target.starts_with(&source) {
        let text = "are the same directory, or one is inside the other: choose another one to import to";
        return Err(format!("{} and {} {text}", source.display(), target.display()).into());
    }
    Ok(())
}

pub(in crate::cli) fn tell(report: &ImportReport) -> Result<(), Failure> {
    if report.source_blocks > 0 {
        output::line(&format!("read {} blocks", report.source_blocks));
    }
    if let Some(log) = &report.log {
        output::line(&format!("read {} segments of the log", log.segments));
        if let Some(path) = &log.torn {
            output::line(&format!("the last record of {} was not written to its end", path.display()));
        }
        if log.orphans > 0 {
            output::line(&format!("{} samples in the log are of series it does not define", log.orphans));
        }
    }
    output::line(&format!("wrote {} samples in {} blocks", report.samples, report.blocks));
    let mut left_out = Vec::new();
    for (kind, count) in report.log.iter().flat_map(|log| &log.unknown) {
        left_out.push(format!("{count} records of kind {kind} in the log"));
    }
    for (encoding, series) in &report.refused {
        let mut names: Vec<&str> = series.iter().map(crate::model::Labels::metric_name).collect();
        names.dedup();
        let more = if names.len() > 10 { ", ..." } else { "" };
        let some = names.iter().take(10).copied().collect::<Vec<_>>().join(", ");
        left_out.push(format!("chunks encoded as {encoding} of {} series ({some}{more})", series.len()));
    }
    if left_out.is_empty() {
        return Ok(());
    }
    Err(format!("all else is imported, but this is of a kind that is not read: {}", left_out.join("; "))
        .into())
}

pub(super) fn export(args: &ExportArgs) -> Result<(), Failure> {
    let ExportFormat::Prometheus = args.format;
    let db = look_at(&args.path, Beside::Server)?;
    let wanted = args.selection.range();
    let mut found = Vec::new();
    if let Some(held) = db.time_range() {
        let hours = match args.block_duration {
            BlockDuration::Hours2 => 2,
            BlockDuration::Hours6 => 6,
            BlockDuration::Hours18 => 18,
        };
        let plan = ExportPlan {
            range: TimeRange::new(held.start.max(wanted.start), held.end.min(wanted.end)),
            selectors: args.selection.selectors(),
            window_ms: hours * 3_600_000,
        };
        found = write_blocks(&db, &plan, &args.target, |block| {
            output::line(&format!(
                "{}: {} to {}, {} series, {} samples",
                block.ulid,
                output::time(block.min_time),
                output::time(block.max_time),
                block.series,
                block.samples
            ));
        })?;
    }
    db.close()?;
    let samples: u64 = found.iter().map(|block| block.samples).sum();
    output::line(&format!("wrote {samples} samples in {} blocks", found.len()));
    Ok(())
}
