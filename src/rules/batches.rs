//! Which rules of a group may be evaluated side by side.

use super::load::GroupSpec;
use super::rule::Rule;
use crate::model::{METRIC_NAME, Matcher};
use crate::promql;

/// The series that alerting rules write.
pub(super) const ALERTS: &str = "ALERTS";
/// The series that tell since when an alert is active.
pub(super) const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";
/// The label that names an alert.
pub(super) const ALERT_NAME: &str = "alertname";

/// Numbers of the rules of a group in batches: each batch may run side by side, after the one before. The result is the
/// same as that of one rule after the other.
///
/// A rule depends on the earlier ones whose series its query may select. As soon as one selects series of any name, the
/// order of the file is kept.
pub(super) fn batches(group: &GroupSpec) -> Vec<Vec<usize>> {
    let rules = &group.rules;
    let Some(needs) = dependencies(rules) else { return (0..rules.len()).map(|at| vec![at]).collect() };
    // A rule runs in the batch after the last one of those it needs.
    let mut level = vec![0; rules.len()];
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for at in 0..rules.len() {
        level[at] = needs[at].iter().map(|before| level[*before] + 1).max().unwrap_or(0);
        if batches.len() <= level[at] {
            batches.resize_with(level[at] + 1, Vec::new);
        }
        batches[level[at]].push(at);
    }
    batches
}

/// For each rule the earlier ones it needs; none where that cannot be told.
fn dependencies(rules: &[Rule]) -> Option<Vec<Vec<usize>>> {
    rules
        .iter()
        .enumerate()
        .map(|(at, rule)| {
            let mut needed = Vec::new();
            for matchers in promql::selectors(&rule.expr).ok()? {
                let name = matchers.iter().find(|matcher| matcher.name == METRIC_NAME)?;
                let before = rules[..at].iter().enumerate();
                needed.extend(before.filter(|(_, other)| reads(name, &matchers, other)).map(|(other, _)| other));
            }
            Some(needed)
        })
        .collect()
}

/// Whether a selector may read what `other` writes.
fn reads(name: &Matcher, matchers: &[Matcher], other: &Rule) -> bool {
    if name.matches(&other.name) && other.alerting.is_none() {
        return true;
    }
    let reads_alerts = name.matches(ALERTS) || name.matches(ALERTS_FOR_STATE);
    let alert = matchers.iter().find(|matcher| matcher.name == ALERT_NAME);
    other.alerting.is_some() && reads_alerts && alert.is_none_or(|matcher| matcher.matches(&other.name))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::parse_rule_file;
    use crate::promql::Features;

    fn of(rules: &[(&str, &str)]) -> Vec<Vec<usize>> {
        let rule = |(name, expr): &(&str, &str)| {
            let key = if name.starts_with(char::is_uppercase) { "alert" } else { "record" };
            format!("  - {{{key}: '{name}', expr: '{expr}'}}\n")
        };
        let rules: String = rules.iter().map(rule).collect::<Vec<_>>().concat();
        let file = parse_rule_file(&format!("groups:\n- name: g\n  rules:\n{rules}"), "f").expect("valid");
        let groups =
            super::super::load::compile(&file, Duration::from_secs(1), &Features::default(), &mut Vec::new());
        batches(&groups[0])
    }

    #[test]
    fn rules_wait_for_what_they_read() {
        assert_eq!(of(&[("a", "x"), ("b", "y"), ("c", "z")]), [[0, 1, 2]]);
        assert_eq!(of(&[("a", "x"), ("b", "a"), ("c", "b + x"), ("d", "y")]), [vec![0, 3], vec![1], vec![2]]);
        // What comes later is not waited for.
        assert_eq!(of(&[("a", "b"), ("b", "x")]), [[0, 1]]);
        assert_eq!(of(&[("a", "x"), ("b", "rate({__name__=~\"a|c\"}[1m])")]), [[0], [1]]);
        // One whose selector names nothing may read everything.
        assert_eq!(of(&[("a", "x"), ("b", "{job=\"j\"}"), ("c", "y")]), [[0], [1], [2]]);
    }

    #[test]
    fn alerts_are_read_by_their_series() {
        assert_eq!(of(&[("A", "x"), ("b", "ALERTS")]), [[0], [1]]);
        assert_eq!(of(&[("A", "x"), ("b", "ALERTS{alertname=\"A\"}")]), [[0], [1]]);
        assert_eq!(of(&[("A", "x"), ("b", "ALERTS_FOR_STATE{alertname=\"B\"}")]), [[0, 1]]);
        assert_eq!(of(&[("A", "x"), ("b", "A")]), [[0, 1]]);
    }
}
