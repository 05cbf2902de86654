//! `check config`: configuration files, and the rule files they name.

use std::path::{Path, PathBuf};

use clap::Args;

use super::rules::{Strictness, Verdict};
use crate::cli::{Failure, output};
use crate::config::{self, Config, LoadOptions, Mode};
use crate::model::format_duration;
use crate::telemetry::log;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(in crate::cli) struct ConfigArgs {
    /// The files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Replace ${NAME} by environment variables, as `serve --config.expand-env` does.
    #[arg(long = "config.expand-env")]
    expand_env: bool,
    /// Refuse what has no place in a configuration of an agent: alerting, rules and remote reading.
    #[arg(long)]
    agent: bool,
    /// Check the configuration alone, not the files that it names.
    #[arg(long = "syntax-only")]
    syntax_only: bool,
    /// Print the configuration with all defaults filled in.
    #[arg(long)]
    print: bool,
    /// How far queries look back, for the lint too-long-scrape-interval.
    #[arg(long = "query.lookback-delta", default_value = "5m", value_parser = crate::model::parse_duration)]
    lookback: std::time::Duration,
    #[command(flatten)]
    strictness: Strictness,
}

pub(super) fn run(args: &ConfigArgs) -> Result<(), Failure> {
    // What is worth a warning when the file is loaded is worth one here.
    log::init(log::LevelFilter::WARN, log::Format::Logfmt);
    args.strictness.tell_unknown();
    let mut verdict = Verdict::default();
    for file in &args.files {
        output::line(&format!("Checking {}", file.display()));
        verdict.files += 1;
        let mode = if args.agent { Mode::Agent } else { Mode::Server };
        let options = LoadOptions { expand_env: args.expand_env, mode, ..LoadOptions::default() };
        match config::load(file, &options) {
            Ok(config) => check(file, &config, args, &mut verdict),
            Err(error) => verdict.refuse(&error),
        }
    }
    verdict.end(&args.strictness)
}

fn check(file: &Path, config: &Config, args: &ConfigArgs, verdict: &mut Verdict) {
    let refuse = |verdict: &mut Verdict, path: String, reason: &str| {
        let (file, reason) = (file.display().to_string(), reason.to_owned());
        verdict.refuse(&config::Error::Value { file, line: 1, path, reason });
    };
    let missing = config.files().into_iter().find(|path| !path.is_file()).filter(|_| !args.syntax_only);
    if let Some(path) = missing {
        return refuse(verdict, format!("{:?}", path.display().to_string()), "file does not exist");
    }
    let mut paths = Vec::new();
    for pattern in config.rule_files.iter().filter(|_| !args.syntax_only) {
        let found = config::matching_files(pattern);
        // The server starts without it; but who names a file wants it to be there.
        if found.is_empty() && !pattern.contains('*') {
            let path = format!("rule_files: {pattern:?}");
            return refuse(verdict, path, "does not point to an existing file");
        }
        paths.extend(found);
    }
    if !paths.is_empty() {
        output::line(&format!("  SUCCESS: {} rule files found", paths.len()));
    }
    output::line(&format!(" SUCCESS: {} is valid prometheus config file syntax", file.display()));
    if args.strictness.applies("too-long-scrape-interval") {
        let long = config.scrape_configs.iter().filter(|job| job.scrape_interval >= args.lookback);
        let told = |job: &std::sync::Arc<config::ScrapeConfig>| {
            format!(
                "{}: job {:?}: scrape interval of {} is not shorter than the lookback of queries, {}",
                file.display(),
                job.job_name,
                format_duration(job.scrape_interval),
                format_duration(args.lookback)
            )
        };
        verdict.lint(&long.map(told).collect::<Vec<_>>());
    }
    if args.print {
        output::line(&config.to_yaml());
    }
    paths.iter().for_each(|path| verdict.check(path, &args.strictness));
}
