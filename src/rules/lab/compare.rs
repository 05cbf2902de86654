//! Two sets of rules over the same history: what a change would have sent.
//!
//! Groups are told apart by their name, alerting rules of a group by theirs. A firing of the one is the same as one of the other
//! when both are of the same series and share a moment. Labels that either rule sets itself do not count, so a
//! changed severity is no other alert.
//!
//! Recording rules of the proposal that are new or changed, and that its alerting rules look at, are evaluated into
//! memory first ([`super::overlay`]); what cannot be is named. All others are read as they are stored.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::error::Error;
use super::history::Span;
use super::overlay::{Overlay, Recorded};
use super::pieces::Steps;
use super::play::{History, Lab, MAX_EVALUATIONS, Plan, play};
use crate::model::{Labels, METRIC_NAME};
use crate::promql;
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
#[derive(Debug)]
pub struct Outcome {
    /// The rule.
    pub rule: Rule,
    /// What became of its alerts.
    pub history: Result<Arc<History>, String>,
}

/// The comparison of all alerting rules.
#[derive(Debug)]
pub struct Comparison {
    /// The rules of the groups of the proposal, in its order, then those it removes.
    pub rules: Vec<Compared>,
    /// Names of new or changed recording rules that were evaluated for it.
    pub recorded: Vec<String>,
    /// Names of those that could not be, and why: alerts that look at them are not as they would be.
    pub missing: Vec<(String, String)>,
}

/// How the groups of a comparison are played.
pub struct Settings<'a> {
    /// The range, and how much is told. Interval, offset and limit are those of each group.
    pub plan: Plan,
    /// The offset of groups that do not say, in milliseconds.
    pub offset: i64,
    /// The groups that are loaded.
    pub current: &'a [GroupSpec],
    /// The groups that are proposed.
    pub proposed: &'a [GroupSpec],
}

/// Plays both sets of rules.
///
/// # Errors
/// When the time is over. What is wrong with one rule is in its outcome.
pub fn compare(lab: &Lab<'_>, settings: &Settings<'_>) -> Result<Comparison, Error> {
    let changed = changed_recordings(settings);
    let needed = needed(settings, &changed);
    let (recorded, done, missing) = record(lab, settings, &needed)?;
    let touched = touched(settings, &changed);
    let is_overlaid = !recorded.is_empty();
    let overlay = Overlay { stored: lab.source, recorded: Arc::new(recorded) };
    let over = Lab { source: if is_overlaid { &overlay } else { lab.source }, ..*lab };

    let names: HashSet<&str> = settings.proposed.iter().map(|group| group.name.as_str()).collect();
    let mut current: HashMap<(&str, &str), Vec<(&GroupSpec, &Rule)>> = HashMap::new();
    let mut order = Vec::new();
    for group in settings.current.iter().filter(|group| names.contains(group.name.as_str())) {
        for rule in group.rules.iter().filter(|rule| rule.alerting.is_some()) {
            let key = (group.name.as_str(), rule.name.as_str());
            current.entry(key).or_default().push((group, rule));
            order.push(key);
        }
    }
    let mut rules = Vec::new();
    for group in settings.proposed {
        for rule in group.rules.iter().filter(|rule| rule.alerting.is_some()) {
            let known = current.get_mut(&(group.name.as_str(), rule.name.as_str()));
            let before = known.filter(|known| !known.is_empty()).map(|known| known.remove(0));
            let is_same = before.is_some_and(|(old, old_rule)| old_rule == rule && same_settings(old, group))
                && !touched.contains(rule.name.as_str());
            let proposed = outcome(&over, settings, group, rule)?;
            let before = match before {
                Some((_, old_rule)) if is_same => {
                    Some(Outcome { rule: old_rule.clone(), history: proposed.history.clone() })
                }
                Some((old, old_rule)) => Some(outcome(lab, settings, old, old_rule)?),
                None => None,
            };
            rules.push(compared(group, before, Some(proposed), is_same, settings));
        }
    }
    for key in order {
        let Some(known) = current.get_mut(&key).filter(|known| !known.is_empty()) else { continue };
        let (group, rule) = known.remove(0);
        let before = outcome(lab, settings, group, rule)?;
        rules.push(compared(group, Some(before), None, false, settings));
    }
    Ok(Comparison { rules, recorded: done, missing })
}

fn same_settings(a: &GroupSpec, b: &GroupSpec) -> bool {
    a.interval == b.interval && a.query_offset == b.query_offset && a.limit == b.limit
}

fn plan_of(settings: &Settings<'_>, group: &GroupSpec) -> Plan {
    let ms = |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Plan {
        interval: ms(group.interval),
        offset: group.query_offset.map_or(settings.offset, ms),
        limit: group.limit,
        ..settings.plan
    }
}

/// What becomes of one rule. Only the end of the time ends everything.
fn outcome(lab: &Lab<'_>, settings: &Settings<'_>, group: &GroupSpec, rule: &Rule) -> Result<Outcome, Error> {
    let history = play(lab, rule, &plan_of(settings, group));
    lab.turn.check()?;
    let history = history.map(Arc::new).map_err(|error| error.to_string());
    Ok(Outcome { rule: rule.clone(), history })
}

/// Recording rules of the proposal that no loaded rule is equal to.
fn changed_recordings<'a>(settings: &Settings<'a>) -> Vec<(&'a GroupSpec, &'a Rule)> {
    // What tells recording rules apart: name, query and labels.
    type Identity<'a> = (&'a str, &'a str, &'a [(String, String)]);
    let loaded: HashSet<Identity<'_>> = settings
        .current
        .iter()
        .flat_map(|group| &group.rules)
        .filter(|rule| rule.alerting.is_none())
        .map(|rule| (rule.name.as_str(), rule.query.as_str(), rule.labels.as_slice()))
        .collect();
    let is_new = |rule: &&Rule| {
        rule.alerting.is_none()
            && !loaded.contains(&(rule.name.as_str(), rule.query.as_str(), rule.labels.as_slice()))
    };
    let of_group = |group: &'a GroupSpec| group.rules.iter().filter(is_new).map(move |rule| (group, rule));
    settings.proposed.iter().flat_map(of_group).collect()
}

/// Whether the query of `rule` may look at series called `name`.
fn looks_at(rule: &Rule, name: &str) -> bool {
    let Ok(selectors) = promql::selectors(&rule.expr) else { return true };
    selectors.iter().any(|matchers| {
        matchers.iter().filter(|matcher| matcher.name() == METRIC_NAME).all(|matcher| matcher.matches(name))
    })
}

/// Those of the changed recording rules that alerting rules look at, directly or by way of others, and all others
/// of the same names: they write the same series.
fn needed<'a>(
    settings: &Settings<'a>,
    changed: &[(&'a GroupSpec, &'a Rule)],
) -> Vec<(&'a GroupSpec, &'a Rule)> {
    let alerting = settings.proposed.iter().flat_map(|group| &group.rules);
    let mut readers: Vec<&Rule> = alerting.filter(|rule| rule.alerting.is_some()).collect();
    let mut wanted: HashSet<&str> = HashSet::new();
    while let Some(reader) = readers.pop() {
        for (_, rule) in changed.iter().filter(|(_, rule)| looks_at(reader, &rule.name)) {
            if wanted.insert(&rule.name) {
                readers.push(rule);
            }
        }
    }
    let recording = |rule: &&Rule| rule.alerting.is_none() && wanted.contains(rule.name.as_str());
    let of_group = |group: &'a GroupSpec| group.rules.iter().filter(recording).map(move |rule| (group, rule));
    settings.proposed.iter().flat_map(of_group).collect()
}

/// Names of alerting rules that look at a changed recording rule, directly or by way of others.
fn touched<'a>(settings: &Settings<'a>, changed: &[(&'a GroupSpec, &'a Rule)]) -> HashSet<&'a str> {
    let all = || settings.proposed.iter().flat_map(|group| &group.rules);
    let mut names: HashSet<&str> = changed.iter().map(|(_, rule)| rule.name.as_str()).collect();
    loop {
        let more: Vec<&str> = all()
            .filter(|rule| rule.alerting.is_none() && !names.contains(rule.name.as_str()))
            .filter(|rule| names.iter().any(|name| looks_at(rule, name)))
            .map(|rule| rule.name.as_str())
            .collect();
        if more.is_empty() {
            break;
        }
        names.extend(more);
    }
    all()
        .filter(|rule| rule.alerting.is_some() && names.iter().any(|name| looks_at(rule, name)))
        .map(|rule| rule.name.as_str())
        .collect()
}

type Missing = Vec<(String, String)>;

/// Evaluates recording rules into memory, in the order of the file.
fn record(
    lab: &Lab<'_>,
    settings: &Settings<'_>,
    rules: &[(&GroupSpec, &Rule)],
) -> Result<(Recorded, Vec<String>, Missing), Error> {
    let (mut recorded, mut done, mut missing) = (Recorded::default(), Vec::new(), Vec::new());
    for (group, rule) in rules {
        let plan = plan_of(settings, group);
        let shared = Arc::new(recorded);
        let overlay = Overlay { stored: lab.source, recorded: Arc::clone(&shared) };
        let over = Lab { source: &overlay, ..*lab };
        let given = recorded_steps(settings, &plan)
            .and_then(|steps| shared.evaluate(&over, rule, steps, plan.offset));
        drop(overlay);
        // Queries are over, and nobody else holds it.
        recorded = Arc::into_inner(shared).unwrap_or_default();
        lab.turn.check()?;
        match given {
            Ok(given) => {
                recorded.add(given);
                if !done.contains(&rule.name) {
                    done.push(rule.name.clone());
                }
            }
            Err(error) => missing.push((rule.name.clone(), error.to_string())),
        }
    }
    Ok((recorded, done, missing))
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
    current: Option<Outcome>,
    proposed: Option<Outcome>,
    is_same: bool,
    settings: &Settings<'_>,
) -> Compared {
    let rule = proposed.as_ref().or(current.as_ref()).map(|outcome| outcome.rule.name.clone());
    let set: HashSet<&str> = [&current, &proposed]
        .into_iter()
        .flatten()
        .flat_map(|outcome| outcome.rule.labels.iter().map(|(name, _)| name.as_str()))
        .collect();
    let (a, b) = (firings(current.as_ref(), &set, settings), firings(proposed.as_ref(), &set, settings));
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
fn firings(outcome: Option<&Outcome>, set: &HashSet<&str>, settings: &Settings<'_>) -> Firings {
    let mut firings = Firings::new();
    let Some(Outcome { history: Ok(history), .. }) = outcome else { return firings };
    for alert in &history.alerts {
        let kept = alert.labels.iter().filter(|(name, _)| !set.contains(name));
        let fired = alert.spans.iter().filter(|span| span.state == AlertState::Firing);
        let times = fired.map(|Span { from, to, .. }| (*from, to.unwrap_or(settings.plan.end)));
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
