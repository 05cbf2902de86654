//! Whether a result is the expected one.

use super::command::{Expectation, Expectations};
use super::histogram::NotedHistogram;
use super::series::{SeriesLine, SeriesPoint};
use crate::model::histogram::Buckets;
use crate::model::{Anchored, Histogram, Labels, is_stale};
use crate::promql::{MatrixSeries, Value};

const TOLERANCE: f64 = 1e-6;

type Checked = Result<(), String>;

/// Whether two numbers are equal up to rounding.
pub(super) fn same_float(a: f64, b: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

fn holds(expectation: &Expectation, text: &str) -> bool {
    match expectation {
        Expectation::Any => true,
        Expectation::Text(expected) => expected == text,
        // Found anywhere in the text.
        Expectation::Regex(source) => {
            Anchored::new(&format!(".*(?:{source}).*")).is_ok_and(|regex| regex.is_match(text))
        }
    }
}

/// Holds an error against the expectation that there is one.
pub(super) fn check_failure(expectation: &Expectation, error: &str) -> Checked {
    if holds(expectation, error) {
        Ok(())
    } else {
        Err(format!("expected the error {expectation:?}, got {error:?}"))
    }
}

/// Holds annotations of one kind against the expectations of that kind.
pub(super) fn check_annotations(kind: &str, expected: &[Expectation], none: bool, got: &[String]) -> Checked {
    if none && !got.is_empty() {
        return Err(format!("expected no {kind}, got {got:?}"));
    }
    if expected.is_empty() {
        return Ok(());
    }
    for expectation in expected {
        if !got.iter().any(|text| holds(expectation, text)) {
            return Err(format!("expected {kind} {expectation:?}, got {got:?}"));
        }
    }
    for text in got {
        if !expected.iter().any(|expectation| holds(expectation, text)) {
            return Err(format!("unexpected {kind} {text:?}"));
        }
    }
    Ok(())
}

/// Holds the value of an instant query against the expected series.
pub(super) fn check_instant(expect: &Expectations, value: &Value) -> Checked {
    if let Some(expected) = &expect.string {
        return match value {
            Value::String { value, .. } if value == expected => Ok(()),
            other => Err(format!("expected the string {expected:?}, got {other:?}")),
        };
    }
    if let Some(expected) = expect.scalar {
        return match value {
            Value::Scalar { value, .. } if same_float(*value, expected) => Ok(()),
            other => Err(format!("expected the scalar {expected}, got {other:?}")),
        };
    }
    match value {
        Value::Vector(samples) => {
            let got: Vec<Got<'_>> =
                samples.iter().map(|s| (&s.labels, s.value, s.histogram.as_deref())).collect();
            check_vector(expect, &got)
        }
        Value::Matrix(series) => match expect.range_vector {
            Some((start, _, step)) => check_matrix(&expect.series, series, start, step, usize::MAX),
            None => Err(format!("unexpected range vector {series:?}")),
        },
        other => Err(format!("expected a vector, got {other:?}")),
    }
}

/// An element: its labels, its value, and its histogram if it is one.
pub(super) type Got<'a> = (&'a Labels, f64, Option<&'a Histogram>);

/// Whether an element is the expected point.
fn same_point(expected: &SeriesPoint, value: f64, histogram: Option<&Histogram>) -> bool {
    match (expected, histogram) {
        (SeriesPoint::Value(expected), None) => same_float(value, *expected),
        (SeriesPoint::Histogram(expected), Some(got)) => same_histogram(expected, got),
        _ => false,
    }
}

/// Whether two histograms are equal up to rounding and empty buckets.
fn same_histogram(expected: &NotedHistogram, got: &Histogram) -> bool {
    let (mut a, mut b) = ((*expected.histogram).clone(), got.clone());
    a.compact();
    b.compact();
    let same_buckets = |a: &Buckets, b: &Buckets| {
        a.counts.len() == b.counts.len()
            && a.numbered().zip(b.numbered()).all(|(x, y)| x.0 == y.0 && same_float(x.1, y.1))
    };
    a.schema == b.schema
        && a.zero_threshold == b.zero_threshold
        && a.custom_values == b.custom_values
        && [(a.count, b.count), (a.sum, b.sum), (a.zero_count, b.zero_count)]
            .iter()
            .all(|(x, y)| same_float(*x, *y))
        && same_buckets(&a.positive, &b.positive)
        && same_buckets(&a.negative, &b.negative)
        && (!expected.has_hint || a.reset_hint == b.reset_hint)
}

/// Holds elements against the expected ones, in any order unless one is asked for.
pub(super) fn check_vector(expect: &Expectations, got: &[Got<'_>]) -> Checked {
    for (at, line) in expect.series.iter().enumerate() {
        let [expected] = line.points.as_slice() else {
            return Err(format!("expected one value per series: {line:?}"));
        };
        let Some(found) = got.iter().position(|(labels, ..)| **labels == line.labels) else {
            return Err(format!("missing {} in {got:?}", line.labels));
        };
        if expect.ordered && found != at {
            return Err(format!("{} is at place {found} instead of {at}", line.labels));
        }
        let (_, value, histogram) = got[found];
        if !same_point(expected, value, histogram) {
            let shown = histogram.map_or_else(|| value.to_string(), |h| format!("{h:?}"));
            return Err(format!("{} is {shown} instead of {expected:?}", line.labels));
        }
    }
    for (labels, value, _) in got {
        if !expect.series.iter().any(|line| line.labels == **labels) {
            return Err(format!("unexpected {labels} with {value}"));
        }
    }
    if got.len() != expect.series.len() {
        return Err(format!("{} elements instead of {}", got.len(), expect.series.len()));
    }
    Ok(())
}

/// Holds series against the expected ones, whose point number i is at `start + i * step`.
pub(super) fn check_matrix(
    expected: &[SeriesLine],
    got: &[MatrixSeries],
    start: i64,
    step: i64,
    steps: usize,
) -> Checked {
    if !got.is_sorted_by(|a, b| a.labels < b.labels) {
        return Err("series are not in label order".to_owned());
    }
    for line in expected {
        if line.points.len() > steps {
            return Err(format!("{} has more values than steps", line.labels));
        }
        let times = (0..).map(|at: i64| start + at * step);
        let wanted: Vec<(i64, &SeriesPoint)> =
            times.zip(&line.points).filter(|(_, point)| **point != SeriesPoint::Omitted).collect();
        let Some(found) = got.iter().find(|series| series.labels == line.labels) else {
            return Err(format!("missing {} in {got:?}", line.labels));
        };
        let points: Vec<_> = found.samples.points().collect();
        let same = wanted.len() == points.len()
            && wanted.iter().zip(&points).all(|((time, expected), (at, value, histogram))| {
                time == at && same_point(expected, *value, *histogram)
            });
        if !same {
            return Err(format!("{} is {:?} instead of {wanted:?}", line.labels, found.samples));
        }
    }
    match got.iter().find(|series| !expected.iter().any(|line| line.labels == series.labels)) {
        Some(series) => Err(format!("unexpected {} with {:?}", series.labels, series.samples)),
        None => Ok(()),
    }
}
