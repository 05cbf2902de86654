//! The command line: one file per subcommand. Errors become text on standard error and exit codes here.
//!
//! Exit codes: 0 done, 1 failed, 2 the command line itself is wrong.

mod adopt;
mod bench;
mod check;
mod output;
mod query;
mod serve;
mod tsdb;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "emberkeep",
    version,
    about = "A Prometheus-compatible monitoring server",
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(Box<serve::ServeArgs>),
    /// Check files without running the server.
    #[command(subcommand)]
    Check(check::CheckCommand),
    /// Ask a running server.
    #[command(subcommand)]
    Query(query::QueryCommand),
    /// Look into a data directory that no server is running on.
    #[command(subcommand)]
    Tsdb(tsdb::TsdbCommand),
    /// Measure.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
}

/// Something a person has to be told; printed after `error: `.
type Failure = Box<dyn std::error::Error>;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    if let Some(flag) = serve::known_but_unsupported(std::env::args().skip(1)) {
        output::error(&format!("flag {flag} of Prometheus is not supported yet"));
        return ExitCode::from(2);
    }
    let matches = Cli::command().get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let done = match cli.command {
        Command::Serve(args) => {
            let matches = matches.subcommand_matches("serve");
            serve::run(*args, matches.map(serve::flag_values).unwrap_or_default())
        }
        Command::Check(command) => check::run(command),
        Command::Query(command) => query::run(command),
        Command::Tsdb(command) => tsdb::run(command),
        Command::Bench(command) => bench::run(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
