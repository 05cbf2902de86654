//! `bench`: what criterion cannot measure: minutes of load, memory, disk, restart, and all of it beside other servers.
//!
//! [`ingest`] and [`backtest`] fill a database in this process. The others drive a running server over HTTP and read what its process
//! took: [`remote_write`], [`scrape_targets`], [`queries`], [`restart`]. [`compare`] starts servers itself and runs
//! all of that for each. They share [`meter`] (CPU, memory, disk), [`source`] (the data) and [`client`].

mod backtest;
mod client;
mod compare;
mod ingest;
mod meter;
mod queries;
mod remote_write;
mod report;
mod restart;
mod scrape_targets;
mod source;

use clap::Subcommand;

use report::{Figure, figure, number, report};

use super::{Failure, output};

#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Fill a fresh data directory in process and report speed, CPU, memory, disk and restart.
    Ingest(ingest::IngestArgs),
    /// Play an alerting rule over many series and days in process.
    Backtest(backtest::BacktestArgs),
    /// Push recorded scrapes of many hosts to a running server.
    RemoteWrite(remote_write::RemoteWriteArgs),
    /// Simulate many exporters on the loopback address for a server to scrape.
    ScrapeTargets(scrape_targets::ScrapeTargetsArgs),
    /// Run a set of dashboard queries over several ranges against a running server.
    Queries(queries::QueriesArgs),
    /// Kill a server, restart it and report when it answers with its previous data.
    Restart(restart::RestartArgs),
    /// Measure servers side by side, each on a fresh directory, and print a table.
    Compare(Box<compare::CompareArgs>),
}

pub(super) fn run(command: BenchCommand) -> Result<(), Failure> {
    match command {
        BenchCommand::Ingest(args) => ingest::ingest(&args),
        BenchCommand::Backtest(args) => backtest::run(&args),
        BenchCommand::RemoteWrite(args) => remote_write::run(&args),
        BenchCommand::ScrapeTargets(args) => scrape_targets::run(&args),
        BenchCommand::Queries(args) => queries::run(&args),
        BenchCommand::Restart(args) => restart::run(&args),
        BenchCommand::Compare(args) => compare::run(&args),
    }
}
