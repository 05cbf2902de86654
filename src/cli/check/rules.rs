//! `check rules`, with the lints of promtool; `check config` has its rule files looked at here too.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::cli::failure::LintFindings;
use crate::cli::features::features;
use crate::cli::{Failure, output};
use crate::config::{self, Error, RuleFile, UnknownKeys};
use crate::promql::Features;
use crate::rules::{GroupSpec, load};

/// Lints by their names; others are told of and passed over, as promtool does.
const LINTS: [&str; 4] = ["all", "duplicate-rules", "too-long-scrape-interval", "none"];

#[derive(Debug, Args)]
pub(in crate::cli) struct RulesArgs {
    /// The files; without any, standard input.
    files: Vec<PathBuf>,
    #[command(flatten)]
    strictness: Strictness,
}

/// How rule files are looked at.
#[derive(Debug, Args)]
pub(super) struct Strictness {
    /// Lints to apply: all, duplicate-rules, too-long-scrape-interval (of configurations) or none; comma separated.
    #[arg(long, value_delimiter = ',', default_value = "duplicate-rules")]
    lint: Vec<String>,
    /// Comma-separated features that rules may use: promql-experimental-functions, promql-binop-fill-modifiers,
    /// promql-extended-range-selectors.
    #[arg(long = "enable-feature", value_name = "FEATURES", value_delimiter = ',')]
    features: Vec<String>,
    /// End with 3 when a lint finds something.
    #[arg(long = "lint-fatal")]
    lint_fatal: bool,
    /// Leave out keys of rule files that nobody knows; the server refuses them.
    #[arg(long = "ignore-unknown-fields")]
    ignore_unknown_fields: bool,
}

impl Strictness {
    /// Whether `lint` is to be applied.
    pub(super) fn applies(&self, lint: &str) -> bool {
        let has = |name: &str| self.lint.iter().any(|given| given == name);
        !has("none") && (has("all") || has(lint))
    }

    /// Tells of lints that nobody knows.
    pub(super) fn tell_unknown(&self) {
        for lint in self.lint.iter().filter(|lint| !LINTS.contains(&lint.as_str())) {
            output::note(&format!("WARNING: unknown lint option: {lint:?}"));
        }
    }

    fn unknown_keys(&self) -> UnknownKeys {
        if self.ignore_unknown_fields { UnknownKeys::Ignored } else { UnknownKeys::Refused }
    }
}

/// What became of the files so far.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) files: usize,
    pub(super) refused: usize,
    linted: usize,
}

impl Verdict {
    /// The end of the command.
    pub(super) fn end(&self, strictness: &Strictness) -> Result<(), Failure> {
        match (self.refused, self.linted) {
            (0, linted) if linted > 0 && strictness.lint_fatal => Err(LintFindings { files: linted }.into()),
            (0, _) => Ok(()),
            (refused, _) => Err(format!("{refused} of {} files refused", self.files).into()),
        }
    }

    /// Tells what is wrong with a file.
    pub(super) fn refuse(&mut self, error: &Error) {
        self.refused += 1;
        output::note("  FAILED:");
        error.each().iter().for_each(|error| output::error(&error.to_string()));
    }

    /// Tells what a lint found.
    pub(super) fn lint(&mut self, findings: &[String]) {
        if !findings.is_empty() {
            self.linted += 1;
            output::note("  FAILED:");
            findings.iter().for_each(|finding| output::error(finding));
        }
    }

    /// Looks at one rule file.
    pub(super) fn check(&mut self, path: &Path, strictness: &Strictness) {
        let read = || config::load_rule_file(path, strictness.unknown_keys());
        self.judge(&path.display().to_string(), read, strictness);
    }

    fn judge(&mut self, name: &str, read: impl FnOnce() -> Result<RuleFile, Error>, strictness: &Strictness) {
        output::line(&format!("Checking {name}"));
        self.files += 1;
        let groups = match read().and_then(|file| compiled(&file, &features(&strictness.features))) {
            Ok(groups) => groups,
            Err(error) => return self.refuse(&error),
        };
        let twice = if strictness.applies("duplicate-rules") { duplicates(&groups) } else { Vec::new() };
        if twice.is_empty() {
            let rules: usize = groups.iter().map(|group| group.rules.len()).sum();
            return output::line(&format!("  SUCCESS: {rules} rules found"));
        }
        let told = |rule: &String| {
            format!("{name}: duplicate rule {rule}: the results may differ from one evaluation to the next")
        };
        self.lint(&twice.iter().map(told).collect::<Vec<_>>());
    }
}

pub(super) fn run(args: &RulesArgs) -> Result<(), Failure> {
    args.strictness.tell_unknown();
    let mut verdict = Verdict::default();
    if args.files.is_empty() {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        let name = "standard input";
        let read = || config::parse_rule_file_with(&text, name, args.strictness.unknown_keys());
        verdict.judge(name, read, &args.strictness);
    }
    for file in &args.files {
        verdict.check(file, &args.strictness);
    }
    verdict.end(&args.strictness)
}

fn compiled(file: &RuleFile, features: &Features) -> Result<Vec<GroupSpec>, Error> {
    let mut errors = Vec::new();
    let groups = load::compile(file, Duration::from_secs(60), features, &mut errors);
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
