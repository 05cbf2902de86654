//! Running a script: a storage, an engine, and an outcome per query.

use std::time::Duration;

use super::command::{Command, Expectations, Script};
use super::compare::{Got, check_annotations, check_failure, check_instant, check_matrix, check_vector};
use super::load::Loader;
use super::variants::{fixed_in_time, other_times, works_as_range};
use crate::promql::syntax::ast::Expr;
use crate::promql::{Engine, EngineOptions, Error, Features, QueryOptions, QueryResult, Value, parse};
use crate::storage::fixed::FixedStorage;

/// How a query of a script went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As expected.
    Passed,
    /// Not as expected; the text says how.
    Failed(String),
}

/// The outcome of every query with its line.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Line, expression, outcome.
    pub outcomes: Vec<(usize, String, Outcome)>,
}

/// Settings that scripts assume.
fn engine() -> Engine {
    Engine::new(EngineOptions {
        lookback_ms: 300_000,
        timeout: Duration::from_secs(100),
        max_samples: 10_000,
        max_memory: 256 << 20,
        max_total_memory: 512 << 20,
        max_kept_results: 0,
        default_step_ms: 60_000,
        features: Features { delayed_name_removal: true, start_timestamps: true, ..Features::all() },
    })
}

/// Runs a script from an empty storage. Data that cannot be loaded counts as a failure of its own.
pub fn run_script(script: &Script) -> Report {
    let engine = engine();
    let mut loader = Loader::default();
    let mut report = Report::default();
    for (line, command) in &script.commands {
        match command {
            Command::Clear => loader = Loader::default(),
            Command::Load { gap_ms, series, with_nhcb } => {
                if let Err(message) = loader.load(*gap_ms, series, *with_nhcb) {
                    report.outcomes.push((*line, "load".to_owned(), Outcome::Failed(message)));
                }
            }
            Command::Eval { expr, start_ms, end_ms, step_ms, expect } => {
                let runner = Runner { engine: &engine, storage: &loader.storage };
                let outcome = match step_ms {
                    None => runner.eval_instant(expr, *start_ms, expect),
                    Some(step_ms) => runner.eval_range(expr, (*start_ms, *end_ms, *step_ms), expect),
                };
                report.outcomes.push((*line, expr.clone(), outcome));
            }
        }
    }
    report
}

struct Runner<'a> {
    engine: &'a Engine,
    storage: &'a FixedStorage,
}

impl Runner<'_> {
    fn eval_instant(&self, text: &str, time_ms: i64, expect: &Expectations) -> Outcome {
        let at = expect.range_vector.map_or(time_ms, |(_, end, _)| end);
        outcome(self.try_instant(text, at, expect))
    }

    fn try_instant(&self, text: &str, time_ms: i64, expect: &Expectations) -> Result<(), String> {
        let expr = self.prepare(text)?;
        let options = QueryOptions::default();
        let run = |text: &str, at: i64| self.engine.instant(self.storage, text, at, &options);
        Self::check(text, run(text, time_ms), expect, &|value| check_instant(expect, value))?;
        if let Some(fixed) = fixed_in_time(&expr, time_ms) {
            for at in other_times(time_ms) {
                let result = run(&fixed, at);
                let checked =
                    Self::check(&fixed, result, expect, &|value| match (expect.range_vector, value) {
                        // Raw ranges are checked at the time they are asked for.
                        (Some(_), Value::Matrix(_)) => Ok(()),
                        _ => check_instant(expect, value),
                    });
                with_context(checked, || format!("as {fixed} at {at}ms"))?;
            }
        }
        if expect.fail.is_none() && works_as_range(text, expect) {
            let (start, end, step) = (time_ms - 60_000, time_ms + 60_000, 60_000);
            let result = self.engine.range(self.storage, text, start, end, step, &options);
            let checked = middle_step(result, time_ms, expect);
            with_context(checked, || "as the middle step of a range query".to_owned())?;
        }
        Ok(())
    }

    fn eval_range(&self, text: &str, times: (i64, i64, i64), expect: &Expectations) -> Outcome {
        let (start, end, step) = times;
        let try_range = || -> Result<(), String> {
            self.prepare(text)?;
            let options = QueryOptions::default();
            let result = self.engine.range(self.storage, text, start, end, step, &options);
            let steps = usize::try_from((end - start) / step.max(1) + 1).unwrap_or(usize::MAX);
            Self::check(text, result, expect, &|value| match value {
                Value::Matrix(series) => check_matrix(&expect.series, series, start, step, steps),
                other => Err(format!("expected a matrix, got {other:?}")),
            })
        };
        outcome(try_range())
    }

    fn prepare(&self, text: &str) -> Result<Expr, String> {
        parse(text, &self.engine.options().features).map_err(|error| format!("does not parse: {error}"))
    }

    fn check(
        text: &str,
        result: Result<QueryResult, Error>,
        expect: &Expectations,
        values: &dyn Fn(&Value) -> Result<(), String>,
    ) -> Result<(), String> {
        let result = match (result, &expect.fail) {
            (Err(error), Some(expectation)) => return check_failure(expectation, &error.to_string()),
            (Err(error), None) => return Err(format!("failed: {error}")),
            (Ok(result), Some(_)) => return Err(format!("did not fail, got {:?}", result.value)),
            (Ok(result), None) => result,
        };
        let annotations = &result.annotations;
        check_annotations("warning", &expect.warn, expect.no_warn, &annotations.warnings(text, 0))?;
        check_annotations("info", &expect.info, expect.no_info, &annotations.infos(text, 0))?;
        values(&result.value)
    }
}

fn outcome(result: Result<(), String>) -> Outcome {
    match result {
        Ok(()) => Outcome::Passed,
        Err(message) => Outcome::Failed(message),
    }
}

fn with_context(result: Result<(), String>, context: impl Fn() -> String) -> Result<(), String> {
    result.map_err(|message| format!("{}: {message}", context()))
}

fn middle_step(
    result: Result<QueryResult, Error>,
    time_ms: i64,
    expect: &Expectations,
) -> Result<(), String> {
    let result = result.map_err(|error| format!("failed: {error}"))?;
    let Value::Matrix(series) = &result.value else {
        return Err(format!("expected a matrix, got {:?}", result.value));
    };
    if !series.is_sorted_by(|a, b| a.labels < b.labels) {
        return Err("series are not in label order".to_owned());
    }
    let mut middle: Vec<Got<'_>> = Vec::new();
    for series in series {
        if let Some((_, value, histogram)) = series.samples.points().find(|(t, ..)| *t == time_ms) {
            middle.push((&series.labels, value, histogram));
        }
    }
    if let Some(expected) = expect.scalar {
        return match middle.as_slice() {
            [(labels, value, None)] if labels.is_empty() && super::compare::same_float(*value, expected) => {
                Ok(())
            }
            other => Err(format!("expected the scalar {expected}, got {other:?}")),
        };
    }
    check_vector(expect, &middle)
}
