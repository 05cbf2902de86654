//! `check config`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::{Failure, output};
use crate::config::{self, Error, LoadOptions};
use crate::promql::Features;
use crate::rules;
use crate::telemetry::log;

#[derive(Debug, Args)]
pub(in crate::cli) struct ConfigArgs {
    /// The files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Replace ${NAME} by environment variables, as `serve --config.expand-env` does.
    #[arg(long = "config.expand-env")]
    expand_env: bool,
    /// Check the configuration alone, not the files that it names.
    #[arg(long = "syntax-only")]
    syntax_only: bool,
    /// Comma-separated features that rules may use: promql-experimental-functions, promql-binop-fill-modifiers,
    /// promql-extended-range-selectors.
    #[arg(long = "enable-feature", value_name = "FEATURES", value_delimiter = ',')]
    features: Vec<String>,
    /// Print the configuration with all defaults filled in.
    #[arg(long)]
    print: bool,
}

pub(super) fn run(args: &ConfigArgs) -> Result<(), Failure> {
    // What is worth a warning when the file is loaded is worth one here.
    log::init(log::LevelFilter::WARN, log::Format::Logfmt);
    let features = super::features(&args.features)?;
    let mut refused = 0;
    for file in &args.files {
        if let Err(error) = check(file, args, &features) {
            refused += 1;
            error.each().iter().for_each(|error| output::error(&error.to_string()));
        }
    }
    if refused > 0 { Err(format!("{refused} of {} files refused", args.files.len()).into()) } else { Ok(()) }
}

fn check(file: &Path, args: &ConfigArgs, features: &Features) -> Result<(), Error> {
    let config = config::load(file, &LoadOptions { expand_env: args.expand_env })?;
    let mut found = format!("{} is valid: {} scrape jobs", file.display(), config.scrape_configs.len());
    if !args.syntax_only && !config.rule_files.is_empty() {
        let groups = rules::load(&config.rule_files, config.global.evaluation_interval, features)?;
        let rules: usize = groups.iter().map(|group| group.rules.len()).sum();
        found = format!("{found}, {rules} rules in {} groups", groups.len());
    }
    output::line(&found);
    if args.print {
        output::line(&config.to_yaml());
    }
    Ok(())
}
