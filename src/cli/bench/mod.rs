//! `bench`: what criterion cannot measure: minutes of load, memory, disk, restart, and all of it beside other servers.
//!
//! [`ingest`] fills a database in this process. The others drive a running server over HTTP and read what its process
//! took: [`remote_write`], [`scrape_targets`], [`queries`], [`restart`]. [`compare`] starts servers itself and runs
//! all of that for each. They share [`meter`] (CPU, memory, disk), [`source`] (the data) and [`client`].

mod client;
mod compare;
mod ingest;
mod meter;
mod queries;
mod remote_write;
mod restart;
mod scrape_targets;
mod source;

use clap::Subcommand;

use super::{Failure, output};

#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Fill a fresh data directory in process and report speed, CPU, memory, disk and restart.
    Ingest(ingest::IngestArgs),
    /// Push recorded scrapes of many hosts to a running server.
    RemoteWrite(remote_write::RemoteWriteArgs),
    /// Be many exporters on the loopback address, for a server to scrape.
    ScrapeTargets(scrape_targets::ScrapeTargetsArgs),
    /// Ask a running server a set of dashboard queries over several ranges.
    Queries(queries::QueriesArgs),
    /// Kill a server, start it again and report when it answers with what it had.
    Restart(restart::RestartArgs),
    /// Measure servers side by side, each on a fresh directory, and print a table.
    Compare(Box<compare::CompareArgs>),
}

pub(super) fn run(command: BenchCommand) -> Result<(), Failure> {
    match command {
        BenchCommand::Ingest(args) => ingest::ingest(&args),
        BenchCommand::RemoteWrite(args) => remote_write::run(&args),
        BenchCommand::ScrapeTargets(args) => scrape_targets::run(&args),
        BenchCommand::Queries(args) => queries::run(&args),
        BenchCommand::Restart(args) => restart::run(&args),
        BenchCommand::Compare(args) => compare::run(&args),
    }
}

/// One line of a report.
type Figure = (String, f64);

/// A line of a report out of its parts.
fn figure(name: impl Into<String>, value: f64) -> Figure {
    (name.into(), value)
}

/// A number with three digits behind the point where it is small.
fn number(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// Prints figures as a table, or as one JSON object.
fn report(json: bool, figures: &[Figure]) {
    if json {
        let map: serde_json::Map<String, serde_json::Value> =
            figures.iter().map(|(name, value)| (name.clone(), (*value).into())).collect();
        output::line(&serde_json::Value::Object(map).to_string());
        return;
    }
    output::table(&figures.iter().map(|(n, v)| vec![n.clone(), number(*v)]).collect::<Vec<_>>());
}
