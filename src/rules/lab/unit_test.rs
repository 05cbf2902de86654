//! A unit test of a rule out of stored samples: those around one of its firings, with the alerts that come of them.
//!
//! Samples are put on a grid, as unit tests have them: about as dense as they are, and a fraction of the interval. What is expected is found by evaluating the
//! rule over exactly what is written down, so the test passes as it is made.
//!
//! **Bounds**: [`MAX_SERIES`] series and [`MAX_POINTS`] points. Series whose labels contradict those of the alert
//! are left out; if there are more, so are the last ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::error::Error;
use super::pieces::Steps;
use super::play::{Lab, Plan, play};
use super::scene::{Nobody, Reader};
use crate::model::{Labels, METRIC_NAME, Samples, TimeRange, is_stale};
use crate::promql::script::{histogram_text, number_text};
use crate::promql::{self, Engine, EngineOptions, history};
use crate::rules::alert::AlertState;
use crate::rules::batches::ALERT_NAME;
use crate::rules::evaluate::{Scene, evaluate_each};
use crate::rules::load::GroupSpec;
use crate::rules::memory::MemoryBackend;
use crate::rules::rule::Rule;
use crate::rules::state::Group;
use crate::storage::fixed::FixedStorage;
use crate::storage::{SelectRequest, Watch};
use crate::util::brief;
use crate::util::lock::lock;

/// Most series of a test.
pub const MAX_SERIES: usize = 30;
/// Most points of all series of a test.
pub const MAX_POINTS: usize = 50_000;
/// Most points of a series between two evaluations.
const MAX_PARTS: i64 = 60;

/// A unit test as the text of its file. It names `rule_file` as the file of the rule, which is the first one of `spec`.
///
/// # Errors
/// As [`play`]; when nothing fired, or the rule cannot be tested so.
pub fn unit_test(lab: &Lab<'_>, spec: &GroupSpec, plan: &Plan, rule_file: &str) -> Result<String, Error> {
    let rule = spec.rules.first().ok_or(Error::NothingFired)?;
    let found = play(lab, &rule.without_annotations(), &Plan { points: 0, limit: 0, ..*plan })?;
    // When one began to fire; of one that fired all the time, its last evaluation.
    let fired = found.alerts.iter().flat_map(|alert| {
        let firing = alert.spans.iter().filter(|span| span.state == AlertState::Firing);
        firing.map(|span| {
            let last = span.to.map_or(found.last, |to| to.saturating_sub(plan.interval));
            (!span.since_before, if span.since_before { last } else { span.from }, &alert.labels)
        })
    });
    let newest = fired.max_by_key(|(is_known, at, _)| (*is_known, *at));
    let (_, at, labels) = newest.ok_or(Error::NothingFired)?;
    let hold = rule.alerting.as_ref().map_or(0, |alerting| alerting.timing.hold);
    let behind = history::length(&rule.expr, lab.engine.options().lookback_ms)?;
    let behind = behind.ok_or(Error::FixedTime)?.saturating_add(hold).saturating_add(plan.offset);
    let count = behind / plan.interval + 2;
    let first = at.saturating_sub(count.saturating_mul(plan.interval));
    let count = usize::try_from(count).unwrap_or(usize::MAX).saturating_add(1);
    if count > MAX_POINTS {
        return Err(Error::TestTooLong { most: MAX_POINTS });
    }
    let steps = Steps { first, interval: plan.interval, count };
    let (series, grid) = series_of(lab, rule, labels, steps)?;
    // Where the time itself matters, it is that of the samples.
    let start = if history::reads_time(&rule.expr)? { first } else { 0 };
    let (steps, grid) = (Steps { first: start, ..steps }, Steps { first: start, ..grid });
    let expected = expected(lab, spec, plan, (&series, grid), steps)?;
    if !expected.iter().any(|(of_alert, _)| of_alert == labels) {
        let cause = format!("its points alone do not make {} fire", brief(labels));
        return Err(Error::TestFails(cause));
    }
    Ok(written(lab, spec, rule_file, (&series, grid), steps, &expected))
}

/// One point of a series of a test.
#[derive(Debug, Clone, PartialEq)]
enum Point {
    Missing,
    Stale,
    Value(f64),
    Histogram(std::sync::Arc<crate::model::Histogram>),
}

type Series = BTreeMap<Labels, Vec<Point>>;

/// The series that the query looks at and that have to do with the alert, on the grid.
fn series_of(lab: &Lab<'_>, rule: &Rule, alert: &Labels, steps: Steps) -> Result<(Series, Steps), Error> {
    let range = TimeRange::new(
        steps.first.saturating_sub(steps.interval).saturating_add(1),
        steps.time(steps.count - 1),
    );
    let querier = lab.source.querier(range).map_err(promql::Error::from)?;
    let watch = |_: usize| !lab.turn.is_over();
    // What the rule sets says nothing of the series.
    let is_set = |name: &str| name == ALERT_NAME || rule.labels.iter().any(|(set, _)| set == name);
    let fits = |labels: &Labels| {
        let is_other = |(name, value): (&str, &str)| {
            name != METRIC_NAME && !is_set(name) && alert.get(name).is_some_and(|of_alert| of_alert != value)
        };
        !labels.iter().any(is_other)
    };
    let (mut series, mut samples, mut grid) = (Series::new(), Samples::new(), None);
    for matchers in promql::selectors(&rule.expr)? {
        let request = SelectRequest { watch: Watch(&watch), ..SelectRequest::new(&matchers, range) };
        let set = querier.select(&request).map_err(promql::Error::from)?;
        for index in 0..set.len() {
            lab.turn.check()?;
            let labels = set.labels(index);
            let points = (series.len() + 1).saturating_mul(grid.unwrap_or(steps).count);
            let is_full = series.len() >= MAX_SERIES || points > MAX_POINTS;
            if is_full || !fits(&labels) || series.contains_key(&labels) {
                continue;
            }
            set.read(index, range, &mut samples).map_err(promql::Error::from)?;
            let grid = *grid.get_or_insert_with(|| grid_of(&samples, steps));
            series.insert(labels, on_grid(&samples, grid));
        }
    }
    Ok((series, grid.unwrap_or(steps)))
}

/// A grid about as dense as the samples are, with a point at each of `steps`.
fn grid_of(samples: &Samples, steps: Steps) -> Steps {
    let mut gaps: Vec<i64> = samples.timestamps.windows(2).map(|two| two[1] - two[0]).collect();
    gaps.sort_unstable();
    let gap = gaps.get(gaps.len() / 2).copied().unwrap_or(steps.interval).max(1);
    let wanted = steps.interval.saturating_add(gap - 1) / gap;
    let parts = (1..=MAX_PARTS).filter(|parts| steps.interval % parts == 0);
    let parts = parts.min_by_key(|parts| (parts - wanted).abs()).unwrap_or(1);
    let count = (steps.count - 1).saturating_mul(usize::try_from(parts).unwrap_or(1)).saturating_add(1);
    if count > MAX_POINTS {
        return steps;
    }
    Steps { first: steps.first, interval: steps.interval / parts, count }
}

/// At each step the newest sample since the step before.
fn on_grid(samples: &Samples, steps: Steps) -> Vec<Point> {
    let mut points = Vec::with_capacity(steps.count);
    let (mut next, mut histograms) = (0, samples.histograms.iter().peekable());
    for step in 0..steps.count {
        let mut point = Point::Missing;
        while samples.timestamps.get(next).is_some_and(|time| *time <= steps.time(step)) {
            let value = samples.values[next];
            point = match histograms.next_if(|(at, _)| *at == next) {
                Some((_, histogram)) => Point::Histogram(std::sync::Arc::clone(histogram)),
                None if is_stale(value) => Point::Stale,
                None => Point::Value(value),
            };
            next += 1;
        }
        points.push(point);
    }
    points
}

/// The alerts that fire at the last step, by labels, with their annotations.
///
/// # Errors
/// When an evaluation fails or the time is over.
fn expected(
    lab: &Lab<'_>,
    spec: &GroupSpec,
    plan: &Plan,
    (series, grid): (&Series, Steps),
    steps: Steps,
) -> Result<Vec<(Labels, Labels)>, Error> {
    let mut storage = FixedStorage::new();
    for (labels, points) in series {
        for (step, point) in points.iter().enumerate() {
            match point {
                Point::Missing => {}
                Point::Stale => storage.add(labels, grid.time(step), crate::model::stale_nan()),
                Point::Value(value) => storage.add(labels, grid.time(step), *value),
                Point::Histogram(histogram) => {
                    storage.add_histogram(labels, grid.time(step), std::sync::Arc::clone(histogram));
                }
            }
        }
    }
    let engine = Engine::new(EngineOptions {
        default_step_ms: plan.interval,
        features: lab.engine.options().features.clone(),
        ..EngineOptions::default()
    });
    let memory = MemoryBackend::new(engine, storage);
    let backend = Reader { engine: memory.engine(), source: &memory, turn: lab.turn, written: Some(&memory) };
    let (group, nobody) = (Group::new(spec.clone(), false), Nobody::default());
    for step in 0..steps.count {
        lab.turn.check()?;
        let at = steps.time(step);
        let scene = Scene {
            backend: &backend,
            listener: &nobody,
            external: lab.external,
            at,
            offset: plan.offset,
            limit: 0,
            resend_delay: i64::MAX,
            now_ms: at,
            stop: &lab.turn.stop,
        };
        for result in evaluate_each(&group.rules, &[0], &scene) {
            lab.turn.check()?;
            result.map_err(|error| Error::TestFails(format!("an evaluation fails: {error}")))?;
        }
    }
    let Some(state) = group.rules.first() else { return Ok(Vec::new()) };
    let now = lock(&state.now);
    let firing = now.alerts.active().into_iter().filter(|alert| alert.state == AlertState::Firing);
    Ok(firing.map(|alert| (alert.labels.clone(), alert.annotations.clone())).collect())
}

/// A text as YAML has it: every JSON string is one, once what YAML does not let through is escaped.
fn quoted(text: &str) -> String {
    let is_refused = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
    let text = serde_json::Value::from(text).to_string();
    if !text.contains(is_refused) {
        return text;
    }
    let escaped = |c: char| if is_refused(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    text.chars().map(escaped).collect()
}

fn seconds(ms: i64) -> String {
    if ms % 1000 == 0 { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}

fn written(
    lab: &Lab<'_>,
    spec: &GroupSpec,
    rule_file: &str,
    (series, grid): (&Series, Steps),
    steps: Steps,
    expected: &[(Labels, Labels)],
) -> String {
    let interval = seconds(steps.interval);
    let name = spec.rules.first().map_or("", |rule| rule.name.as_str());
    let mut out =
        format!("rule_files:\n  - {}\nevaluation_interval: {interval}\ntests:\n", quoted(rule_file));
    // Writing to a text cannot fail.
    let _ = writeln!(out, "  - interval: {}", seconds(grid.interval));
    if steps.first != 0 {
        let _ = writeln!(out, "    start_timestamp: {}", steps.first as f64 / 1000.0);
    }
    if !lab.external.labels.is_empty() {
        let _ = writeln!(out, "    external_labels:");
        write_pairs(&mut out, 6, &lab.external.labels, "");
    }
    let _ = writeln!(out, "    external_url: {}", quoted(&lab.external.url));
    let _ = writeln!(out, "    input_series:{}", if series.is_empty() { " []" } else { "" });
    for (labels, points) in series {
        let _ = writeln!(out, "      - series: {}", quoted(&series_text(labels)));
        let _ = writeln!(out, "        values: {}", quoted(&values_text(points)));
    }
    let last = i64::try_from(steps.count - 1).unwrap_or(0).saturating_mul(steps.interval);
    let _ = writeln!(
        out,
        "    alert_rule_test:\n      - eval_time: {}\n        alertname: {}",
        seconds(last),
        quoted(name)
    );
    let _ = writeln!(out, "        exp_alerts:{}", if expected.is_empty() { " []" } else { "" });
    for (labels, annotations) in expected {
        let own = labels.iter().filter(|(name, _)| *name != ALERT_NAME).count();
        let _ = writeln!(out, "          - exp_labels:{}", if own == 0 { " {}" } else { "" });
        write_pairs(&mut out, 14, labels, ALERT_NAME);
        // Those that expand to nothing are expected too.
        let names = spec.rules.first().and_then(|rule| rule.alerting.as_ref());
        let names = names.map(|alerting| alerting.annotations.as_slice()).unwrap_or_default();
        if !names.is_empty() {
            let _ = writeln!(out, "            exp_annotations:");
        }
        for (name, _) in names {
            let value = annotations.get(name).unwrap_or_default();
            let _ = writeln!(out, "              {}: {}", quoted(name), quoted(value));
        }
    }
    out
}

fn write_pairs(out: &mut String, indent: usize, labels: &Labels, without: &str) {
    for (name, value) in labels.iter().filter(|(name, _)| *name != without) {
        let _ = writeln!(out, "{:indent$}{}: {}", "", quoted(name), quoted(value));
    }
}

/// Name and labels as queries have them.
fn series_text(labels: &Labels) -> String {
    let name = labels.get(METRIC_NAME).unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let fits =
        !name.is_empty() && name.chars().all(is_plain) && !name.starts_with(|c: char| c.is_ascii_digit());
    let mut parts: Vec<String> = Vec::new();
    if !fits && !name.is_empty() {
        parts.push(quoted(name));
    }
    let others = labels.iter().filter(|(name, _)| *name != METRIC_NAME);
    parts.extend(others.map(|(name, value)| {
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let name = if is_plain { name.to_owned() } else { quoted(name) };
        format!("{name}={}", quoted(value))
    }));
    format!("{}{{{}}}", if fits { name } else { "" }, parts.join(", "))
}

/// The points in series notation, runs of equal ones together.
fn values_text(points: &[Point]) -> String {
    let same = |a: &Point, b: &Point| match (a, b) {
        (Point::Value(a), Point::Value(b)) => a.to_bits() == b.to_bits(),
        (Point::Missing, Point::Missing) => true,
        _ => false,
    };
    let text = |run: &[Point]| match (&run[0], run.len()) {
        (Point::Missing, 1) => "_".to_owned(),
        (Point::Missing, count) => format!("_x{count}"),
        (Point::Value(value), 1) => number_text(*value),
        (Point::Value(value), count) if value.is_finite() => {
            format!("{}+0x{}", number_text(*value), count - 1)
        }
        (Point::Value(value), count) => vec![number_text(*value); count].join(" "),
        (Point::Stale, _) => "stale".to_owned(),
        (Point::Histogram(histogram), _) => histogram_text(histogram),
    };
    points.chunk_by(same).map(text).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_points_are_written_together() {
        let value = |value: f64| Point::Value(value);
        let points =
            [value(1.0), value(1.0), value(1.0), value(-2.5), Point::Missing, Point::Missing, Point::Stale];
        assert_eq!(values_text(&points), "1+0x2 -2.5 _x2 stale");
        assert_eq!(values_text(&[value(f64::NAN), value(f64::NAN), Point::Missing]), "NaN NaN _");
    }

    #[test]
    fn evaluations_end_with_the_time_of_the_request() {
        use crate::config::parse_rule_file;
        use crate::lanes::Turn;
        use crate::rules::evaluate::External;
        let text = "groups: [{name: g, rules: [{alert: A, expr: vector(1)}]}]";
        let file = parse_rule_file(text, "f").expect("a rule file");
        let every = std::time::Duration::from_secs(1);
        let groups = crate::rules::load::compile(&file, every, &promql::Features::default(), &mut Vec::new());
        let (engine, external, turn) =
            (Engine::new(EngineOptions::default()), External::default(), Turn::default());
        let storage = FixedStorage::new();
        let lab = Lab { engine: &engine, source: &storage, external: &external, turn: &turn };
        let (start, end, interval) = (0, 1_000, 1_000);
        let plan = Plan { start, end, interval, offset: 0, limit: 0, alerts: 1, series: 0, points: 0 };
        let (series, steps) = (Series::new(), Steps { first: 0, interval, count: 2 });
        let result = || expected(&lab, &groups[0], &plan, (&series, steps), steps);
        assert_eq!(result().expect("in time").len(), 1);
        turn.stop.stop();
        assert!(matches!(result(), Err(Error::Late(_))));
    }

    #[test]
    fn names_that_need_quotes_have_them() {
        let labels = Labels::from_pairs([(METRIC_NAME, "a.b"), ("c d", "e\"f"), ("g", "h")]);
        assert_eq!(series_text(&labels), "{\"a.b\", \"c d\"=\"e\\\"f\", g=\"h\"}");
        assert_eq!(series_text(&Labels::from_pairs([(METRIC_NAME, "up"), ("g", "h")])), "up{g=\"h\"}");
    }

    #[test]
    fn characters_that_yaml_refuses_are_escaped() {
        assert_eq!(
            quoted("a\u{85}\u{7f}\u{2028}\u{feff}\u{e4}\n"),
            "\"a\\u0085\\u007f\\u2028\\ufeff\u{e4}\\n\""
        );
    }

    #[test]
    fn the_grid_is_as_dense_as_the_samples() {
        let steps = Steps { first: 0, interval: 60_000, count: 3 };
        let check = |gap: i64, interval: i64, count: usize| {
            let mut samples = Samples::new();
            (0..20).for_each(|at| samples.push(at * gap, 1.0));
            assert_eq!(grid_of(&samples, steps), Steps { first: 0, interval, count }, "{gap}");
        };
        check(15_000, 15_000, 9);
        check(60_000, 60_000, 3);
        check(300_000, 60_000, 3);
        check(17_000, 15_000, 9);
        check(10, 1_000, 121);
    }

    #[test]
    fn samples_fall_on_the_step_after_them() {
        let mut samples = Samples::new();
        for (time, value) in [(1, 1.0), (9, 2.0), (10, 3.0), (25, 4.0)] {
            samples.push(time, value);
        }
        let steps = Steps { first: 0, interval: 10, count: 4 };
        let expected = [Point::Missing, Point::Value(3.0), Point::Missing, Point::Value(4.0)];
        assert_eq!(on_grid(&samples, steps), expected);
    }
}
