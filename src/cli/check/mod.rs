//! `check`: look at files without running the server.

mod config;
mod metrics;
mod relabel;
mod rules;
mod web_config;

use clap::Subcommand;

use super::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum CheckCommand {
    /// Check configuration files and the rule files they name.
    Config(config::ConfigArgs),
    /// Check the exposition of a target, read from standard input.
    Metrics(metrics::MetricsArgs),
    /// Show what each relabelling rule of a job makes of labels.
    Relabel(relabel::RelabelArgs),
    /// Check rule files.
    Rules(rules::RulesArgs),
    /// Check files that say how a server is served over HTTP.
    WebConfig(web_config::WebConfigArgs),
}

pub(super) fn run(command: CheckCommand) -> Result<(), Failure> {
    match command {
        CheckCommand::Config(args) => config::run(&args),
        CheckCommand::Metrics(args) => metrics::run(&args),
        CheckCommand::Relabel(args) => relabel::run(&args),
        CheckCommand::Rules(args) => rules::run(&args),
        CheckCommand::WebConfig(args) => web_config::run(&args),
    }
}
