//! Running a script: a storage, an engine, and an outcome per query.

use std::time::Duration;

use super::command::{Command, Expectations, Script};
use super::compare::{check_annotations, check_failure, check_instant, check_matrix, check_vector};
use super::series::SeriesPoint;
use super::variants::{fixed_in_time, other_times, works_as_range};
use crate::model::{Labels, Matcher};
use crate::promql::syntax::ast::{Expr, ExprKind};
use crate::promql::syntax::visit::walk;
use crate::promql::{Engine, EngineOptions, Error, Features, QueryOptions, QueryResult, Value, parse};
use crate::storage::fixed::FixedStorage;

/// How a query of a script went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As expected.
    Passed,
    /// Not as expected; the text says how.
    Failed(String),
    /// Needs something that is not supported yet.
    Skipped(String),
}

/// The outcome of every query with its line.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Line, expression, outcome.
    pub outcomes: Vec<(usize, String, Outcome)>,
}

/// Functions that look at start timestamps.
const USE_START_TIMESTAMPS: [&str; 5] = ["rate", "increase", "irate", "resets", "start_timestamp"];

/// Settings that scripts assume.
fn engine() -> Engine {
    Engine::new(EngineOptions {
        lookback_ms: 300_000,
        timeout: Duration::from_secs(100),
        max_samples: 10_000,
        default_step_ms: 60_000,
        features: Features { delayed_name_removal: true, ..Features::all() },
    })
}

/// Runs a script from an empty storage.
pub fn run_script(script: &Script) -> Report {
    let mut runner = Runner { engine: engine(), ..Runner::empty() };
    let mut report = Report::default();
    for (line, command) in &script.commands {
        match command {
            Command::Clear => runner = Runner { engine: runner.engine, ..Runner::empty() },
            Command::Load { .. } => runner.load(command),
            Command::Eval { expr, start_ms, end_ms, step_ms, expect } => {
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

struct Runner {
    engine: Engine,
    storage: FixedStorage,
    /// Series with samples that cannot be held.
    histograms: Vec<Labels>,
    start_timestamps: Vec<Labels>,
}

/// Why a check did not pass.
enum Stop {
    Failed(String),
    Skipped(String),
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

impl Runner {
    fn empty() -> Self {
        Self {
            engine: engine(),
            storage: FixedStorage::new(),
            histograms: Vec::new(),
            start_timestamps: Vec::new(),
        }
    }

    fn load(&mut self, command: &Command) {
        let Command::Load { gap_ms, series, start_timestamps, with_nhcb } = command else { return };
        for line in series {
            let mut time = 0;
            for point in &line.points {
                match point {
                    SeriesPoint::Value(value) => self.storage.add(&line.labels, time, *value),
                    SeriesPoint::Histogram => self.histograms.push(line.labels.clone()),
                    SeriesPoint::Omitted => {}
                }
                time += gap_ms;
            }
            if *with_nhcb && let Some(base) = histogram_base(&line.labels) {
                self.histograms.push(base);
            }
        }
        self.histograms.sort();
        self.histograms.dedup();
        self.start_timestamps.extend(start_timestamps.iter().cloned());
    }

    fn eval_instant(&self, text: &str, time_ms: i64, expect: &Expectations) -> Outcome {
        let at = expect.range_vector.map_or(time_ms, |(_, end, _)| end);
        outcome(self.try_instant(text, at, expect))
    }

    fn try_instant(&self, text: &str, time_ms: i64, expect: &Expectations) -> Result<(), Stop> {
        let expr = self.prepare(text)?;
        let options = QueryOptions::default();
        let run = |text: &str, at: i64| self.engine.instant(&self.storage, text, at, &options);
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
            let result = self.engine.range(&self.storage, text, start, end, step, &options);
            let checked = middle_step(result, time_ms, expect);
            with_context(checked, || "as the middle step of a range query".to_owned())?;
        }
        Ok(())
    }

    fn eval_range(&self, text: &str, times: (i64, i64, i64), expect: &Expectations) -> Outcome {
        let (start, end, step) = times;
        let try_range = || -> Result<(), Stop> {
            self.prepare(text)?;
            let options = QueryOptions::default();
            let result = self.engine.range(&self.storage, text, start, end, step, &options);
            let steps = usize::try_from((end - start) / step.max(1) + 1).unwrap_or(usize::MAX);
            Self::check(text, result, expect, &|value| match value {
                Value::Matrix(series) => check_matrix(&expect.series, series, start, step, steps),
                other => Err(format!("expected a matrix, got {other:?}")),
            })
        };
        outcome(try_range())
    }

    /// Parses the expression and finds out whether it needs what cannot be held yet.
    fn prepare(&self, text: &str) -> Result<Expr, Stop> {
        let expr = parse(text, &self.engine.options().features)
            .map_err(|error| Stop::Failed(format!("does not parse: {error}")))?;
        let mut skipped = None;
        let mut uses_start = false;
        walk(&expr, &mut |node| {
            if let ExprKind::Call(call) = &node.kind {
                uses_start |= USE_START_TIMESTAMPS.contains(&call.function.name);
            }
        });
        walk(&expr, &mut |node| {
            let matchers: &[Matcher] = match &node.kind {
                ExprKind::Vector(selector) => &selector.matchers,
                ExprKind::Matrix(matrix) => &matrix.selector.matchers,
                _ => return,
            };
            let touches =
                |all: &[Labels]| all.iter().any(|labels| matchers.iter().all(|m| m.matches_labels(labels)));
            if touches(&self.histograms) {
                skipped = Some("native histogram samples are not supported yet");
            } else if uses_start && touches(&self.start_timestamps) {
                skipped = Some("start timestamps are not supported yet");
            }
        });
        match skipped {
            Some(reason) => Err(Stop::Skipped(reason.to_owned())),
            None => Ok(expr),
        }
    }

    fn check(
        text: &str,
        result: Result<QueryResult, Error>,
        expect: &Expectations,
        values: &dyn Fn(&Value) -> Result<(), String>,
    ) -> Result<(), Stop> {
        let result = match (result, &expect.fail) {
            (Err(error), _) if error.is_unsupported() => return Err(Stop::Skipped(error.to_string())),
            (Err(error), Some(expectation)) => {
                return Ok(check_failure(expectation, &error.to_string())?);
            }
            (Err(error), None) => return Err(Stop::Failed(format!("failed: {error}"))),
            (Ok(result), Some(_)) => {
                return Err(Stop::Failed(format!("did not fail, got {:?}", result.value)));
            }
            (Ok(result), None) => result,
        };
        let annotations = &result.annotations;
        check_annotations("warning", &expect.warn, expect.no_warn, &annotations.warnings(text, 0))?;
        check_annotations("info", &expect.info, expect.no_info, &annotations.infos(text, 0))?;
        Ok(values(&result.value)?)
    }
}

fn outcome(result: Result<(), Stop>) -> Outcome {
    match result {
        Ok(()) => Outcome::Passed,
        Err(Stop::Failed(message)) => Outcome::Failed(message),
        Err(Stop::Skipped(reason)) => Outcome::Skipped(reason),
    }
}

fn with_context(result: Result<(), Stop>, context: impl Fn() -> String) -> Result<(), Stop> {
    result.map_err(|stop| match stop {
        Stop::Failed(message) => Stop::Failed(format!("{}: {message}", context())),
        skipped @ Stop::Skipped(_) => skipped,
    })
}

fn middle_step(result: Result<QueryResult, Error>, time_ms: i64, expect: &Expectations) -> Result<(), Stop> {
    let result = result.map_err(|error| format!("failed: {error}"))?;
    let Value::Matrix(series) = &result.value else {
        return Err(Stop::Failed(format!("expected a matrix, got {:?}", result.value)));
    };
    if !series.is_sorted_by(|a, b| a.labels < b.labels) {
        return Err(Stop::Failed("series are not in label order".to_owned()));
    }
    let mut middle: Vec<(&Labels, f64)> = Vec::new();
    for series in series {
        if let Some((_, value)) = series.samples.iter().find(|(t, _)| *t == time_ms) {
            middle.push((&series.labels, value));
        }
    }
    if let Some(expected) = expect.scalar {
        return match middle.as_slice() {
            [(labels, value)] if labels.is_empty() && super::compare::same_float(*value, expected) => Ok(()),
            other => Err(Stop::Failed(format!("expected the scalar {expected}, got {other:?}"))),
        };
    }
    Ok(check_vector(expect, &middle)?)
}

/// The labels of the histogram that a classic bucket, count or sum series belongs to.
fn histogram_base(labels: &Labels) -> Option<Labels> {
    let name = labels.metric_name();
    let base = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix))?;
    let rest = labels.without(|label| label == "le" || label == crate::model::METRIC_NAME);
    let pairs = rest.iter().chain([(crate::model::METRIC_NAME, base)]);
    Some(Labels::from_pairs(pairs))
}
