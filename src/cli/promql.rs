//! `promql`: work on queries without a server.

use clap::Subcommand;

use super::{Failure, output};
use crate::promql::{self, Features};

#[derive(Debug, Subcommand)]
pub(super) enum PromqlCommand {
    /// Print a query in the form for people.
    Format {
        /// The query.
        query: String,
    },
}

pub(super) fn run(command: &PromqlCommand) -> Result<(), Failure> {
    let PromqlCommand::Format { query } = command;
    output::line(&promql::format(&promql::parse(query, &Features::all())?)?);
    Ok(())
}
