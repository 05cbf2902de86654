//! `tsdb`: look into a data directory.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::{Failure, output};
use crate::telemetry::Registry;
use crate::tsdb::{Limits, Tsdb, TsdbOptions};
use crate::util::SystemClock;

#[derive(Debug, Subcommand)]
pub(super) enum TsdbCommand {
    /// List the blocks of a data directory.
    List(Dir),
    /// Check every byte of every block; fails when something is damaged.
    Verify(Dir),
}

#[derive(Debug, Args)]
pub(super) struct Dir {
    /// The data directory.
    #[arg(default_value = super::serve::DEFAULT_DATA_DIR)]
    path: PathBuf,
}

pub(super) fn run(command: TsdbCommand) -> Result<(), Failure> {
    match command {
        TsdbCommand::List(dir) => list(&dir),
        TsdbCommand::Verify(dir) => verify(&dir),
    }
}

fn open(dir: &Dir) -> Result<Tsdb, Failure> {
    if !dir.path.is_dir() {
        return Err(format!("{} is no directory", dir.path.display()).into());
    }
    // Looking must not change anything.
    let options = TsdbOptions {
        limits: Limits { retention_ms: 0, ..Limits::default() },
        background: false,
        ..TsdbOptions::new(&dir.path)
    };
    Ok(Tsdb::open(options, Arc::new(SystemClock), &mut Registry::default())?)
}

fn list(dir: &Dir) -> Result<(), Failure> {
    let db = open(dir)?;
    let head = ["block", "start", "end", "level", "series", "samples", "bytes", "bytes/sample"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let status = db.status();
    for block in &status.blocks {
        let bytes = db.block_size_bytes(&block.id);
        rows.push(vec![
            block.id.to_string(),
            output::time(block.start),
            output::time(block.end),
            block.level.to_string(),
            block.series.to_string(),
            block.samples.to_string(),
            bytes.to_string(),
            format!("{:.2}", bytes as f64 / (block.samples.max(1)) as f64),
        ]);
    }
    output::table(&rows);
    let stats = db.head().stats();
    let range = stats.time_range.map_or_else(
        || "empty".to_owned(),
        |range| format!("{} to {}", output::time(range.start), output::time(range.end)),
    );
    output::line(&format!("head: {} series, {} chunks, {range}", stats.series, stats.chunks));
    Ok(db.close()?)
}

fn verify(dir: &Dir) -> Result<(), Failure> {
    let db = open(dir)?;
    let status = db.status();
    let mut damaged = status.corruptions;
    if damaged > 0 {
        output::error(&format!(
            "the write-ahead log was damaged in {damaged} places; what was cut off is kept aside"
        ));
    }
    let bar = output::progress(status.blocks.len() as u64, "blocks");
    for block in &status.blocks {
        match db.verify_block(block) {
            Ok(samples) => bar.suspend(|| output::line(&format!("{}: {samples} samples, sound", block.id))),
            Err(error) => {
                damaged += 1;
                bar.suspend(|| output::error(&error.to_string()));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    db.close()?;
    if damaged > 0 { Err(format!("{damaged} damaged parts").into()) } else { Ok(()) }
}
