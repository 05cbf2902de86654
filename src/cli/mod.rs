//! The command line: one file per subcommand. Errors become text on standard error and exit codes here.
//!
//! A command line without a subcommand is one of Prometheus, and means `serve`.
//!
//! Called under the name promtool, it reads the command line as promtool does.
//!
//! Exit codes: 0 done, 1 failed, 2 the command line itself is wrong, 3 a lint that must find nothing found something.

mod adopt;
mod bench;
mod check;
mod failure;
mod features;
mod foreign;
mod junit;
mod output;
mod promql;
mod promtool;
mod query;
mod rules;
mod serve;
mod test_rules;
mod tsdb;

use std::ffi::OsString;
use std::process::ExitCode;

use failure::{Failure, LINT_EXIT_CODE, LintFindings};
use promtool::Translated;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "emberkeep",
    version,
    about = "A Prometheus-compatible monitoring server",
    after_help = "Without a command, flags apply to `serve`, so Prometheus command lines work unchanged.",
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
    /// Run unit tests of rules.
    Test(test_rules::TestArgs),
    /// Format queries.
    #[command(subcommand)]
    Promql(promql::PromqlCommand),
    /// Query a running server.
    #[command(subcommand)]
    Query(query::QueryCommand),
    /// Work with rules and stored data.
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Inspect a data directory that no server is using.
    #[command(subcommand)]
    Tsdb(tsdb::TsdbCommand),
    /// Run benchmarks.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
}

/// The command line, with the flags of Prometheus that have no use here.
fn command() -> clap::Command {
    Cli::command().mut_subcommand(SERVE, foreign::extend)
}

const SERVE: &str = "serve";

/// The arguments of the process, with the command that is left out.
fn arguments(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.collect();
    let is_serve = args.get(1).is_none_or(|first| {
        let first = first.to_string_lossy();
        first.starts_with("--") && !matches!(&*first, "--help" | "--version")
    });
    if is_serve {
        args.insert(args.len().min(1), SERVE.into());
    }
    args
}

/// The first argument that is a flag as Prometheus 1 wrote it, with a single dash.
fn single_dash(args: &[OsString]) -> Option<String> {
    let flags = args.iter().skip(1).take_while(|arg| *arg != "--");
    flags.map(|arg| arg.to_string_lossy()).find_map(|arg| {
        let name = arg.strip_prefix('-')?.split('=').next()?;
        let is_flag = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.contains('.');
        is_flag.then(|| format!("-{name}"))
    })
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let args = match promtool::translated(&args) {
        None => arguments(args.into_iter()),
        Some(Translated::Ours(args)) => args,
        Some(Translated::Help(text)) => {
            output::line(&text);
            return ExitCode::SUCCESS;
        }
        Some(Translated::Refused(reason)) => {
            output::error(&reason);
            return ExitCode::from(2);
        }
    };
    if let Some(flag) = single_dash(&args) {
        output::error(&format!("flag {flag} has a single dash, as in Prometheus 1; it takes two: -{flag}"));
        return ExitCode::from(2);
    }
    let command = command();
    let matches = command.clone().get_matches_from(args);
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let done = match cli.command {
        Command::Serve(args) => {
            let given = command.find_subcommand(SERVE).zip(matches.subcommand_matches(SERVE));
            let (flags, said) = given.map(serve::look_at).unwrap_or_default();
            for (flag, why) in &said.refused {
                output::error(&format!("flag {flag} of Prometheus is not supported: {why}"));
            }
            if !said.refused.is_empty() {
                return ExitCode::from(2);
            }
            serve::run(*args, flags, &said.ignored)
        }
        Command::Check(command) => check::run(command),
        Command::Test(args) => test_rules::run(&args),
        Command::Promql(command) => promql::run(&command),
        Command::Query(command) => query::run(command),
        Command::Rules(command) => rules::run(command),
        Command::Tsdb(command) => tsdb::run(command),
        Command::Bench(command) => bench::run(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A configuration may have several faults, one a line.
            error.to_string().lines().for_each(output::error);
            if error.is::<LintFindings>() { ExitCode::from(LINT_EXIT_CODE) } else { ExitCode::FAILURE }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
