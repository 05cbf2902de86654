//! `check`: look at files without running the server.

mod config;
mod rules;

use clap::Subcommand;

use super::Failure;
use crate::promql::Features;

#[derive(Debug, Subcommand)]
pub(super) enum CheckCommand {
    /// Check configuration files and the rule files they name.
    Config(config::ConfigArgs),
    /// Check rule files.
    Rules(rules::RulesArgs),
}

pub(super) fn run(command: CheckCommand) -> Result<(), Failure> {
    match command {
        CheckCommand::Config(args) => config::run(&args),
        CheckCommand::Rules(args) => rules::run(&args),
    }
}

/// The parts of the language that `names` switch on, as `serve --enable-feature` does.
fn features(names: &[String]) -> Result<Features, Failure> {
    let mut features = Features::default();
    for name in names {
        match name.as_str() {
            "promql-experimental-functions" => features.experimental_functions = true,
            "promql-binop-fill-modifiers" => features.binop_fill = true,
            "promql-extended-range-selectors" => features.extended_range_selectors = true,
            _ => return Err(format!("unknown feature {name:?}").into()),
        }
    }
    Ok(features)
}
