//! `check`: look at files without running the server.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Failure, output};
use crate::config::{self, LoadOptions};
use crate::telemetry::log;

#[derive(Debug, Subcommand)]
pub(super) enum CheckCommand {
    /// Check configuration files.
    Config(ConfigArgs),
}

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// The files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Replace ${NAME} by environment variables, as `serve --config.expand-env` does.
    #[arg(long = "config.expand-env")]
    expand_env: bool,
    /// Print the configuration with all defaults filled in.
    #[arg(long)]
    print: bool,
}

pub(super) fn run(command: CheckCommand) -> Result<(), Failure> {
    let CheckCommand::Config(args) = command;
    // What is worth a warning when the file is loaded is worth one here.
    log::init(log::LevelFilter::WARN, log::Format::Logfmt);
    let mut refused = 0;
    for file in &args.files {
        match config::load(file, &LoadOptions { expand_env: args.expand_env }) {
            Ok(config) => {
                let jobs = config.scrape_configs.len();
                output::line(&format!("{} is valid: {jobs} scrape jobs", file.display()));
                if args.print {
                    output::line(&config.to_yaml());
                }
            }
            Err(error) => {
                refused += 1;
                error.each().iter().for_each(|error| output::error(&error.to_string()));
            }
        }
    }
    if refused > 0 { Err(format!("{refused} of {} files refused", args.files.len()).into()) } else { Ok(()) }
}
