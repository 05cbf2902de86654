//! `check rules`, with the lints of promtool.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::{Failure, output};
use crate::config::{self, Error, RuleFile, UnknownKeys};
use crate::promql::Features;
use crate::rules::{GroupSpec, load};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lint {
    All,
    DuplicateRules,
    None,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RulesArgs {
    /// The files; without any, standard input.
    files: Vec<PathBuf>,
    /// Lints to apply: all, duplicate-rules or none; comma separated.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "duplicate-rules")]
    lint: Vec<Lint>,
    /// Fail on what a lint finds.
    #[arg(long = "lint-fatal")]
    lint_fatal: bool,
}

pub(super) fn run(args: &RulesArgs) -> Result<(), Failure> {
    let lint = args.lint.iter().any(|lint| *lint != Lint::None);
    let (mut refused, mut linted) = (0, 0);
    let mut judge = |name: &str, read: Result<RuleFile, Error>| match read.and_then(|file| compiled(&file)) {
        Ok(groups) => {
            let rules: usize = groups.iter().map(|group| group.rules.len()).sum();
            let twice = if lint { duplicates(&groups) } else { Vec::new() };
            linted += usize::from(!twice.is_empty());
            for rule in &twice {
                output::error(&format!(
                    "{name}: duplicate rule {rule}: the results may differ from one evaluation to the next"
                ));
            }
            if twice.is_empty() {
                output::line(&format!("{name} is valid: {rules} rules in {} groups", groups.len()));
            }
        }
        Err(error) => {
            refused += 1;
            error.each().iter().for_each(|error| output::error(&error.to_string()));
        }
    };
    if args.files.is_empty() {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        judge("standard input", config::parse_rule_file(&text, "standard input"));
    }
    for file in &args.files {
        judge(&file.display().to_string(), config::load_rule_file(file, UnknownKeys::Refused));
    }
    match (refused, linted) {
        (0, linted) if linted > 0 && args.lint_fatal => {
            Err(format!("{linted} files with lint findings").into())
        }
        (0, _) => Ok(()),
        _ => Err(format!("{refused} of {} files refused", args.files.len().max(1)).into()),
    }
}

fn compiled(file: &RuleFile) -> Result<Vec<GroupSpec>, Error> {
    let mut errors = Vec::new();
    let groups = load::compile(file, Duration::from_secs(60), &Features::all(), &mut errors);
    Error::all(errors).map(|()| groups)
}

/// Rules that have name and labels of another one.
fn duplicates(groups: &[GroupSpec]) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for rule in groups.iter().flat_map(|group| &group.rules) {
        *counts.entry(rule.identity()).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(rule, _)| rule).collect()
}
