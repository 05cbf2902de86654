//! `rules`: what is done with rule files and data.

mod backfill;
mod elsewhere;

use clap::Subcommand;

use super::{Failure, output};

#[derive(Debug, Subcommand)]
pub(super) enum RulesCommand {
    /// Evaluate recording rules over the past and write what they give into a data directory.
    Backfill(backfill::BackfillArgs),
}

pub(super) fn run(command: RulesCommand) -> Result<(), Failure> {
    match command {
        RulesCommand::Backfill(args) => backfill::run(&args),
    }
}
