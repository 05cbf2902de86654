//! Two sets of rules over the same history: what a change would have sent.
//!
//! A proposed group takes the place of the loaded group of its name; of several in different files, of the one with the
//! most equal rules. Alerting rules of a group are told apart by their name. A firing of the one is the same as one of
//! the other when both are of the same series and share a moment. Labels that either rule sets itself do not count, so a
//! changed severity is no other alert.
//!
//! Recording rules that the proposal changes, and that its alerting rules look at, are evaluated into memory first
//! (`changes`); what cannot be is named. All others are read as they are stored.
//!
//! **Bounds**: the history of one rule is held at a time; totals and firings of both sides are left of it, then totals.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::changes::Changes;
use super::error::Error;
use super::history::{Span, Totals};
use super::overlay::{Overlay, Recorded};
use super::pieces::Steps;
use super::play::{History, Lab, MAX_EVALUATIONS, Plan, play};
pub use super::proposal::Settings;
use crate::model::Labels;
use crate::rules::alert::AlertState;
use crate::rules::load::GroupSpec;
use crate::rules::rule::Rule;

/// Recorded series begin this long before what is played, in milliseconds: alerting rules look back at them.
const RECORDED_LEAD_MS: i64 = 24 * 3_600_000;

/// What became of one alerting rule on both sides.
#[derive(Debug)]
pub struct Compared {
    /// The name of its group.
    pub group: String,
    /// The name of the alert.
    pub alert: String,
    /// As it is loaded; none where the proposal adds it.
    pub current: Option<Outcome>,
    /// As it is proposed; none where the proposal removes it.
    pub proposed: Option<Outcome>,
    /// Whether both are the same, the recording rules they look at included.
    pub is_same: bool,
    /// Firings of both.
    pub both: u64,
    /// Firings of the current rule alone.
    pub only_current: u64,
    /// Firings of the proposed rule alone.
    pub only_proposed: u64,
}

/// A rule and what became of it, or why that is not known.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The rule.
    pub rule: Rule,
    /// What became of its alerts.
    pub summary: Result<Summary, String>,
}

/// What became of the alerts of a rule, without the alerts.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Figures of all alerts.
    pub totals: Totals,
    /// How many alerts there are.
    pub alert_count: usize,
    /// Evaluations within the range.
    pub evaluations: usize,
    /// The last one, in milliseconds.
    pub last: i64,
    /// Evaluations that failed.
    pub failed: u64,
    /// Whether there were more alerts than are compared.
    pub is_cut: bool,
    /// Spans that are in the totals and not compared.
    pub spans_cut: u64,
    /// Labels that could not be expanded.
    pub texts_failed: u64,
}

impl Summary {
    fn of(history: &History) -> Self {
        Self {
            totals: history.totals,
            alert_count: history.alert_count,
            evaluations: history.evaluations,
            last: history.last,
            failed: history.failed,
            is_cut: history.is_cut || history.alerts.len() < history.alert_count,
            spans_cut: history.spans_cut,
            texts_failed: history.texts_failed,
        }
    }
}

/// The comparison of all alerting rules.
#[derive(Debug)]
pub struct Comparison {
    /// The rules of the groups of the proposal, in its order, then those it removes.
    pub rules: Vec<Compared>,
    /// Names of changed recording rules that were evaluated for it, and of those of the same series.
    pub recorded: Vec<String>,
    /// Names of those that could not be, and why: alerts that look at them are not as they would be.
    pub missing: Vec<(String, String)>,
    /// What else is to be known about it, for people.
    pub warnings: Vec<String>,
}

/// Plays both sets of rules.
///
/// # Errors
/// When the time is over. What is wrong with one rule is in its outcome.
pub fn compare(lab: &Lab<'_>, settings: &Settings<'_>) -> Result<Comparison, Error> {
    let pairs = settings.pairs();
    let changes = Changes::of(lab.turn, settings, &pairs)?;
    let (mut comparison, recorded) = record(lab, settings, &changes)?;
    let overlay = Overlay { stored: lab.source, recorded: Arc::new(recorded) };
    let is_overlaid = !overlay.recorded.is_empty();
    let over = Lab { source: if is_overlaid { &overlay } else { lab.source }, ..*lab };
    let mut removed: Vec<(&GroupSpec, &Rule)> = Vec::new();
    for (group, loaded) in &pairs {
        comparison.warnings.extend(left_alone(settings, group, *loaded));
        let mut known: Vec<(&GroupSpec, &Rule)> = loaded.map(alerting).into_iter().flatten().collect();
        for (_, rule) in alerting(group) {
            let same = known.iter().position(|(_, old)| *old == rule);
            let before = same.or_else(|| known.iter().position(|(_, old)| old.name == rule.name));
            let before = before.map(|at| known.remove(at));
            let is_same = before.is_some_and(|(old, old_rule)| {
                old_rule == rule && same_settings(settings, old, group) && !changes.touch(rule)
            });
            let set = labels_set([before.map(|(_, rule)| rule), Some(rule)]);
            let after = outcome(&over, settings, group, rule, &set)?;
            let before = match before {
                Some(_) if is_same => Some(after.clone()),
                Some((old, old_rule)) => Some(outcome(lab, settings, old, old_rule, &set)?),
                None => None,
            };
            comparison.rules.push(compared(group, before, Some(after), is_same));
        }
        removed.extend(known);
    }
    for (group, rule) in removed {
        let before = outcome(lab, settings, group, rule, &HashSet::new())?;
        comparison.rules.push(compared(group, Some(before), None, false));
    }
    Ok(comparison)
}

/// The alerting rules of a group.
fn alerting(group: &GroupSpec) -> impl Iterator<Item = (&GroupSpec, &Rule)> {
    group.rules.iter().filter(|rule| rule.alerting.is_some()).map(move |rule| (group, rule))
}

/// Groups of the same name in other files, which the proposal does not replace.
fn left_alone(settings: &Settings<'_>, group: &GroupSpec, replaced: Option<&GroupSpec>) -> Vec<String> {
    let Some(replaced) = replaced.filter(|_| settings.file.is_none()) else { return Vec::new() };
    let others =
        settings.current.iter().filter(|other| other.name == group.name && other.file != replaced.file);
    let told = |other: &GroupSpec| {
        format!(
            "there is a group {:?} in {:?} as well: the proposal is compared with that in {:?}",
            group.name, other.file, replaced.file
        )
    };
    others.map(told).collect()
}

fn same_settings(settings: &Settings<'_>, a: &GroupSpec, b: &GroupSpec) -> bool {
    a.interval == b.interval && settings.offset_of(a) == settings.offset_of(b) && a.limit == b.limit
}

/// Names of labels that rules set.
fn labels_set(rules: [Option<&Rule>; 2]) -> HashSet<&str> {
    rules.into_iter().flatten().flat_map(|rule| rule.labels.iter().map(|(name, _)| name.as_str())).collect()
}

/// What becomes of one rule, with its firings. Only the end of the time ends everything.
fn outcome(
    lab: &Lab<'_>,
    settings: &Settings<'_>,
    group: &GroupSpec,
    rule: &Rule,
    set: &HashSet<&str>,
) -> Result<(Outcome, Firings), Error> {
    let history = play(lab, &rule.without_annotations(), &settings.plan_of(group));
    lab.turn.check()?;
    let fired = history.as_ref().map(|history| firings(history, set)).unwrap_or_default();
    let summary = history.as_ref().map(Summary::of).map_err(ToString::to_string);
    Ok((Outcome { rule: rule.clone(), summary }, fired))
}

/// Evaluates recording rules into memory.
fn record(
    lab: &Lab<'_>,
    settings: &Settings<'_>,
    changes: &Changes<'_>,
) -> Result<(Comparison, Recorded), Error> {
    let (mut done, mut missing, mut warnings) = (Vec::<String>::new(), Vec::new(), Vec::new());
    let mut recorded = Recorded::default();
    for name in &changes.gone {
        recorded.hide(name);
        warnings.push(format!(
            "nothing records {name:?} any more: proposed alerts do not see what is stored of it"
        ));
    }
    for (group, rule) in &changes.rules {
        let plan = settings.plan_of(group);
        let shared = Arc::new(recorded);
        let overlay = Overlay { stored: lab.source, recorded: Arc::clone(&shared) };
        let over = Lab { source: &overlay, ..*lab };
        let given = recorded_steps(settings, &plan)
            .and_then(|steps| shared.evaluate(&over, rule, steps, (plan.offset, plan.limit)));
        drop(overlay);
        // Queries are over, and nobody else holds it.
        recorded = Arc::into_inner(shared).unwrap_or_default();
        lab.turn.check()?;
        match given {
            Ok(given) => {
                let (count, reason) = (given.failed.len(), given.reason.clone());
                let told = format!("{count} evaluations failed, the last one for this reason: {reason}");
                if count > 0 && given.is_empty() {
                    missing.push((rule.name.clone(), told));
                } else {
                    if count > 0 {
                        warnings.push(format!("recording rule {:?}: {told}", rule.name));
                    }
                    if !done.contains(&rule.name) {
                        done.push(rule.name.clone());
                    }
                }
                recorded.add(given);
            }
            Err(error) => missing.push((rule.name.clone(), error.to_string())),
        }
    }
    Ok((Comparison { rules: Vec::new(), recorded: done, missing, warnings }, recorded))
}

/// When a recording rule is evaluated: early enough for what alerting rules need before the range.
fn recorded_steps(settings: &Settings<'_>, plan: &Plan) -> Result<Steps, Error> {
    if plan.interval <= 0 || plan.end < plan.start {
        return Err(Error::Range("the range is empty"));
    }
    let rules = settings.proposed.iter().flat_map(|group| &group.rules);
    let timings = rules.filter_map(|rule| rule.alerting.as_ref().map(|alerting| alerting.timing));
    let lead = timings.map(|timing| timing.hold.saturating_add(timing.keep_firing)).max().unwrap_or(0);
    let before = (lead.saturating_add(RECORDED_LEAD_MS) / plan.interval).saturating_add(1);
    let first = plan.start.saturating_sub(before.saturating_mul(plan.interval));
    let count = usize::try_from(plan.end.saturating_sub(first) / plan.interval).unwrap_or(usize::MAX);
    if count >= MAX_EVALUATIONS {
        return Err(Error::TooManyEvaluations { wanted: count as u64, most: MAX_EVALUATIONS });
    }
    Ok(Steps { first, interval: plan.interval, count: count + 1 })
}

fn compared(
    group: &GroupSpec,
    current: Option<(Outcome, Firings)>,
    proposed: Option<(Outcome, Firings)>,
    is_same: bool,
) -> Compared {
    let (current, a) = current.unzip();
    let (proposed, b) = proposed.unzip();
    let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
    let rule = proposed.as_ref().or(current.as_ref()).map(|outcome| outcome.rule.name.clone());
    let both = shared(&a, &b);
    Compared {
        group: group.name.clone(),
        alert: rule.unwrap_or_default(),
        is_same,
        both,
        only_current: count(&a) - both,
        only_proposed: count(&b) - shared(&b, &a),
        current,
        proposed,
    }
}

type Firings = BTreeMap<Labels, Vec<(i64, i64)>>;

fn count(firings: &Firings) -> u64 {
    firings.values().map(|times| times.len() as u64).sum()
}

/// When each series fired, without the labels `set` by rules.
fn firings(history: &History, set: &HashSet<&str>) -> Firings {
    let mut firings = Firings::new();
    for alert in &history.alerts {
        let kept = alert.labels.iter().filter(|(name, _)| !set.contains(name));
        let fired = alert.spans.iter().filter(|span| span.state == AlertState::Firing);
        let times = fired.map(|Span { from, to, .. }| (*from, to.unwrap_or(history.last)));
        firings.entry(Labels::from_pairs(kept)).or_default().extend(times);
    }
    for times in firings.values_mut() {
        times.sort_unstable();
    }
    firings
}

/// How many firings of `a` share a moment with one of `b`.
fn shared(a: &Firings, b: &Firings) -> u64 {
    let mut shared = 0;
    for (labels, times) in a {
        let Some(others) = b.get(labels) else { continue };
        let mut others = others.iter().peekable();
        for (from, to) in times {
            while others.next_if(|(_, end)| end < from).is_some() {}
            shared += u64::from(others.peek().is_some_and(|(begin, _)| begin <= to));
        }
    }
    shared
}
