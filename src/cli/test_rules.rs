//! `test rules`: unit tests of rules, from files in the form of promtool.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Subcommand};

use super::junit::{self, Suite};
use super::{Failure, output};
use crate::config::{self, UnitTest, UnknownKeys};
use crate::model::Anchored;
use crate::rules::unit_test::{self, Options, Reason, Side};

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// Write the results as JUnit XML to this file.
    #[arg(long, value_name = "FILE", global = true)]
    junit: Option<PathBuf>,
    #[command(subcommand)]
    command: TestCommand,
}

#[derive(Debug, Subcommand)]
enum TestCommand {
    /// Run unit tests of rules.
    Rules(RulesArgs),
}

#[derive(Debug, Args)]
struct RulesArgs {
    /// Files of tests.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Run tests only whose name this regular expression finds something in; may be given several times.
    #[arg(long, value_name = "REGEX", value_parser = found_in)]
    run: Vec<Anchored>,
    /// Show what was expected and what came as one list, coloured on a terminal.
    #[arg(long)]
    diff: bool,
    /// Tell when each test starts and ends, and which series there were at its end.
    #[arg(long)]
    debug: bool,
    /// Leave out keys of rule files that nobody knows; the server refuses them.
    #[arg(long = "ignore-unknown-fields")]
    ignore_unknown_fields: bool,
    /// Comma-separated features of the query language to enable, as for `serve`.
    #[arg(long = "enable-feature", value_name = "FEATURES", value_delimiter = ',')]
    features: Vec<String>,
}

fn found_in(text: &str) -> Result<Anchored, String> {
    // The text by itself first: what is wrong with it is told in its own words.
    Anchored::new(text)
        .and_then(|_| Anchored::new(&format!(".*(?:{text}).*")))
        .map_err(|error| error.to_string())
}

pub(super) fn run(args: &TestArgs) -> Result<(), Failure> {
    let TestCommand::Rules(rules) = &args.command;
    // What cannot be written is told before the work is done.
    let mut results = args.junit.as_deref().map(create).transpose()?;
    let features = super::features::features(&rules.features);
    let unknown_keys = if rules.ignore_unknown_fields { UnknownKeys::Ignored } else { UnknownKeys::Refused };
    let runner = Runner { args: rules, options: Options { features, unknown_keys } };
    let suites: Vec<Suite> = rules.files.iter().map(|file| runner.file(file)).collect();
    if let Some(results) = &mut results {
        results.write_all(junit::document(&suites).as_bytes())?;
    }
    let failed = suites.iter().filter(|suite| has_failed(suite)).count();
    if failed > 0 {
        Err(format!("{failed} of {} files of tests failed", suites.len()).into())
    } else {
        Ok(())
    }
}

fn create(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

fn has_failed(suite: &Suite) -> bool {
    suite.error.is_some() || suite.cases.iter().any(|(_, failures)| !failures.is_empty())
}

struct Runner<'a> {
    args: &'a RulesArgs,
    options: Options,
}

impl Runner<'_> {
    /// Runs a file of tests and tells what became of it.
    fn file(&self, path: &Path) -> Suite {
        output::line(&format!("Testing {}", path.display()));
        let timestamp = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S").to_string();
        let name = path.display().to_string();
        let mut suite = Suite { name, timestamp, cases: Vec::new(), error: None };
        let told = self.tests(path, &mut suite).unwrap_or_else(|error| {
            suite.error = Some(error.to_string());
            error.each().iter().map(ToString::to_string).collect()
        });
        if has_failed(&suite) {
            output::note("  FAILED:");
            told.iter().for_each(|text| output::note(text));
        } else {
            output::line("  SUCCESS");
        }
        suite
    }

    /// Runs the tests of a file; what failed, for people.
    fn tests(&self, path: &Path, suite: &mut Suite) -> Result<Vec<String>, config::Error> {
        let file = config::load_unit_tests(path)?;
        let wanted = |test: &UnitTest| {
            self.args.run.is_empty() || self.args.run.iter().any(|run| run.is_match(&test.name))
        };
        let tests: Vec<(usize, &UnitTest)> =
            file.tests.iter().enumerate().filter(|(_, test)| wanted(test)).collect();
        let mut told = Vec::new();
        if tests.is_empty() {
            return Ok(told);
        }
        let rules = unit_test::Suite::new(&file, &self.options)?;
        for pattern in &rules.unmatched {
            output::note(&format!("  WARNING: no file match pattern {pattern}"));
        }
        for (number, test) in tests {
            let name = if test.name.is_empty() { format!("unnamed#{number}") } else { test.name.clone() };
            let failures = self.test(&rules, test, &name);
            let place = |line: usize| format!("    {}:{line}: test {name:?}: ", path.display());
            told.extend(failures.iter().map(|(line, text)| [place(*line), text.clone()].concat()));
            suite.cases.push((name.clone(), failures.into_iter().map(|(_, text)| text).collect()));
        }
        Ok(told)
    }

    /// Runs one test: lines and texts of what failed.
    fn test(&self, rules: &unit_test::Suite<'_>, test: &UnitTest, name: &str) -> Vec<(usize, String)> {
        let began = Instant::now();
        if self.args.debug {
            output::note(&format!("DEBUG: Starting test {name}"));
        }
        let outcome = rules.run(test);
        if self.args.debug {
            match outcome.dump() {
                Ok(lines) => {
                    output::note("DEBUG: Dump of all data (input_series and rules):");
                    lines.iter().for_each(|line| output::note(line));
                }
                Err(error) => output::note(&format!("DEBUG: failed to dump the data: {error}")),
            }
            output::note(&format!("DEBUG: Test {name} finished, took {:?}", began.elapsed()));
        }
        let text = |failure: &unit_test::Failure| {
            (failure.line, format!("{}: {}", failure.subject, self.reason(&failure.reason)))
        };
        outcome.failures.iter().map(text).collect()
    }

    fn reason(&self, reason: &Reason) -> String {
        match reason {
            Reason::Error(error) => error.clone(),
            Reason::Differs(all) if self.args.diff => difference(all, std::io::stderr().is_terminal()),
            Reason::Differs(all) => {
                let side = |other: Side| {
                    let texts = all.iter().filter(|(side, _)| *side != other).map(|(_, text)| text.as_str());
                    list(&texts.collect::<Vec<_>>())
                };
                format!("\n        exp: {}\n        got: {}", side(Side::Got), side(Side::Expected))
            }
        }
    }
}

fn list(texts: &[&str]) -> String {
    if texts.is_empty() {
        return "nothing".to_owned();
    }
    texts.join("\n").replace('\n', "\n             ")
}

/// One list: `-` is only expected, `+` only came.
fn difference(all: &[(Side, String)], is_coloured: bool) -> String {
    let mut out = String::new();
    for (side, text) in all {
        let (sign, colour) = match side {
            Side::Both => (' ', ""),
            Side::Expected => ('-', "\x1b[31m"),
            Side::Got => ('+', "\x1b[32m"),
        };
        for line in text.lines() {
            let (colour, end) =
                if is_coloured && !colour.is_empty() { (colour, "\x1b[0m") } else { ("", "") };
            // Writing to text cannot fail.
            let _ = write!(out, "\n        {colour}{sign} {line}{end}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_shown_with_signs_and_colours() {
        let all =
            [(Side::Both, "a".to_owned()), (Side::Expected, "b\nc".to_owned()), (Side::Got, "d".to_owned())];
        assert_eq!(difference(&all, false), "\n          a\n        - b\n        - c\n        + d");
        let coloured = difference(&all, true);
        assert!(
            coloured.contains("\x1b[31m- b\x1b[0m") && coloured.contains("\x1b[32m+ d\x1b[0m"),
            "{coloured:?}"
        );
    }

    #[test]
    fn expressions_find_something_in_names() {
        let run = found_in("rr|^x").expect("an expression");
        assert!(run.is_match("correct") && run.is_match("xyz") && !run.is_match("wxyz"));
        assert!(found_in("(").is_err() && found_in("a)(b").is_err());
    }
}
