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
/// same as that of one rule after the other: a rule waits for earlier ones that write what it reads, that read what it
/// writes, or that write under the same name and labels. Where a query selects series of any name, the order of the file
/// is kept.
pub(super) fn batches(group: &GroupSpec) -> Vec<Vec<usize>> {
    let rules = &group.rules;
    let in_order = || (0..rules.len()).map(|at| vec![at]).collect();
    let selectors: Option<Vec<_>> = rules.iter().map(|rule| promql::selectors(&rule.expr).ok()).collect();
    let Some(selectors) = selectors.filter(|_| !rules.iter().any(texts_query)) else { return in_order() };
    let Some(selectors) = selectors.iter().map(|of_rule| named(of_rule)).collect::<Option<Vec<_>>>() else {
        return in_order();
    };
    let reads_of = |reader: usize, writer: usize| {
        selectors[reader].iter().any(|(name, matchers)| reads(name, matchers, &rules[writer]))
    };
    // A rule runs in the batch after the last one of those it waits for.
    let mut level = vec![0; rules.len()];
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for at in 0..rules.len() {
        let waits_for = |before: &usize| {
            let same = rules[at].name == rules[*before].name && rules[at].labels == rules[*before].labels;
            same || reads_of(at, *before) || reads_of(*before, at)
        };
        level[at] = (0..at).filter(waits_for).map(|before| level[before] + 1).max().unwrap_or(0);
        if batches.len() <= level[at] {
            batches.resize_with(level[at] + 1, Vec::new);
        }
        batches[level[at]].push(at);
    }
    batches
}

/// Whether the texts of an alerting rule ask for series, which may be those of any rule.
fn texts_query(rule: &Rule) -> bool {
    let Some(alerting) = &rule.alerting else { return false };
    let mut texts = alerting.labels.iter().chain(&alerting.annotations).map(|(_, template)| template.text());
    texts.any(|text| {
        let actions = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        actions.flat_map(|action| action.split(|c| !is_word(c))).any(|word| word == "query")
    })
}

/// The selectors of a rule, each with its matcher of the name; none if one has no such matcher.
fn named(selectors: &[Vec<Matcher>]) -> Option<Vec<(&Matcher, &[Matcher])>> {
    let of = |matchers: &'_ Vec<Matcher>| matchers.iter().position(|matcher| matcher.name() == METRIC_NAME);
    selectors.iter().map(|matchers| Some((&matchers[of(matchers)?], matchers.as_slice()))).collect()
}

/// Whether a selector may read what `other` writes.
fn reads(name: &Matcher, matchers: &[Matcher], other: &Rule) -> bool {
    if name.matches(&other.name) && other.alerting.is_none() {
        return true;
    }
    let reads_alerts = name.matches(ALERTS) || name.matches(ALERTS_FOR_STATE);
    let alert = matchers.iter().find(|matcher| matcher.name() == ALERT_NAME);
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
        // What is read must not be written before either.
        assert_eq!(of(&[("a", "b"), ("b", "x")]), [[0], [1]]);
        assert_eq!(of(&[("a", "x"), ("a", "y")]), [[0], [1]]);
        assert_eq!(of(&[("a", "x"), ("b", "rate({__name__=~\"a|c\"}[1m])")]), [[0], [1]]);
        // One whose selector names nothing may read everything.
        assert_eq!(of(&[("a", "x"), ("b", "{job=\"j\"}"), ("c", "y")]), [[0], [1], [2]]);
    }

    #[test]
    fn texts_that_query_keep_the_order() {
        let text = "groups:\n- name: g\n  rules:\n  - {record: a, expr: x}\n  - {record: b, expr: a}\n  \
                    - {alert: A, expr: y, annotations: {s: '{{ \"b\" | query | first | value }} query'}}\n";
        let compiled = |text: &str| {
            let file = parse_rule_file(text, "f").expect("valid");
            let every = Duration::from_secs(1);
            let groups = super::super::load::compile(&file, every, &Features::default(), &mut Vec::new());
            batches(&groups[0])
        };
        assert_eq!(compiled(text), [[0], [1], [2]]);
        assert_eq!(
            compiled(&text.replace("| query | first | value", "| urlQueryEscape")),
            [vec![0, 2], vec![1]]
        );
    }

    #[test]
    fn alerts_are_read_by_their_series() {
        assert_eq!(of(&[("A", "x"), ("b", "ALERTS")]), [[0], [1]]);
        assert_eq!(of(&[("A", "x"), ("b", "ALERTS{alertname=\"A\"}")]), [[0], [1]]);
        assert_eq!(of(&[("A", "x"), ("b", "ALERTS_FOR_STATE{alertname=\"B\"}")]), [[0, 1]]);
        assert_eq!(of(&[("A", "x"), ("b", "A")]), [[0, 1]]);
    }
}
