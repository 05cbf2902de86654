//! Runs rules over a label set.
//!
//! **Cost**: a rule that does not match allocates one joined string at most; rules with one source label none.

use std::borrow::Cow;

use md5::{Digest as _, Md5};

use super::{Action, Rule};
use crate::model::{Labels, LabelsBuf};

/// Applies `rules` in order; false when one of them drops the label set.
pub fn apply(rules: &[Rule], labels: &mut LabelsBuf) -> bool {
    rules.iter().all(|rule| step(rule, labels))
}

/// Applies `rules` in order and returns the label set after each; the last entry is `None` where it is dropped.
pub fn apply_steps(rules: &[Rule], labels: &mut LabelsBuf) -> Vec<Option<Labels>> {
    let mut steps = Vec::with_capacity(rules.len());
    for rule in rules {
        if !step(rule, labels) {
            steps.push(None);
            break;
        }
        steps.push(Some(labels.to_labels()));
    }
    steps
}

/// One rule; false when it drops the label set.
fn step(rule: &Rule, labels: &mut LabelsBuf) -> bool {
    let spec = &rule.spec;
    let target = spec.target_label.as_str();
    match spec.action {
        Action::Keep => matches(rule, &joined(rule, labels)),
        Action::Drop => !matches(rule, &joined(rule, labels)),
        Action::KeepEqual => joined(rule, labels) == labels.get(target).unwrap_or(""),
        Action::DropEqual => joined(rule, labels) != labels.get(target).unwrap_or(""),
        Action::Replace => {
            replace(rule, labels);
            true
        }
        Action::Lowercase => {
            let value = joined(rule, labels).to_lowercase();
            labels.set(target, &value);
            true
        }
        Action::Uppercase => {
            let value = joined(rule, labels).to_uppercase();
            labels.set(target, &value);
            true
        }
        Action::HashMod => {
            let value = hash(&joined(rule, labels)) % spec.modulus.max(1);
            labels.set(target, &value.to_string());
            true
        }
        Action::LabelMap => {
            label_map(rule, labels);
            true
        }
        Action::LabelDrop => {
            labels.remove_where(|name, _| rule.regex.is_match(name));
            true
        }
        Action::LabelKeep => {
            labels.remove_where(|name, _| !rule.regex.is_match(name));
            true
        }
    }
}

fn matches(rule: &Rule, text: &str) -> bool {
    rule.matches_all || rule.regex.is_match(text)
}

/// The values of the source labels with the separator between them.
fn joined<'a>(rule: &Rule, labels: &'a LabelsBuf) -> Cow<'a, str> {
    match rule.spec.source_labels.as_slice() {
        [] => Cow::Borrowed(""),
        [one] => Cow::Borrowed(labels.get(one).unwrap_or("")),
        many => {
            let mut out = String::new();
            for (at, name) in many.iter().enumerate() {
                if at > 0 {
                    out.push_str(&rule.spec.separator);
                }
                out.push_str(labels.get(name).unwrap_or(""));
            }
            Cow::Owned(out)
        }
    }
}

fn replace(rule: &Rule, labels: &mut LabelsBuf) {
    let spec = &rule.spec;
    let text = joined(rule, labels);
    if !rule.target_is_template && !rule.replacement_is_template {
        if matches(rule, &text) {
            labels.set(&spec.target_label, &spec.replacement);
        }
        return;
    }
    if rule.matches_all && spec.regex == "(.*)" && !rule.target_is_template && spec.replacement == "$1" {
        let value = text.into_owned();
        labels.set(&spec.target_label, &value);
        return;
    }
    let Some(captures) = rule.regex.groups(&text) else { return };
    let mut name = String::new();
    let mut value = String::new();
    captures.expand(&spec.target_label, &mut name);
    captures.expand(&spec.replacement, &mut value);
    if spec.names.is_label_name(&name) {
        labels.set(&name, &value);
    }
}

fn label_map(rule: &Rule, labels: &mut LabelsBuf) {
    let mut copies = Vec::new();
    for (name, value) in labels.iter() {
        if let Some(captures) = rule.regex.groups(name) {
            let mut new_name = String::new();
            captures.expand(&rule.spec.replacement, &mut new_name);
            copies.push((new_name, value.to_owned()));
        }
    }
    for (name, value) in copies.iter().filter(|(name, _)| !name.is_empty()) {
        labels.set(name, value);
    }
}

/// The last eight bytes of the MD5 sum, read big-endian.
fn hash(text: &str) -> u64 {
    let sum = Md5::digest(text.as_bytes());
    sum.iter().skip(8).fold(0u64, |acc, byte| acc << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relabel::RuleSpec;

    fn rule(action: Action, source: &[&str], regex: &str, target: &str, replacement: &str) -> Rule {
        Rule::new(RuleSpec {
            source_labels: source.iter().map(|s| (*s).to_owned()).collect(),
            regex: regex.to_owned(),
            target_label: target.to_owned(),
            replacement: replacement.to_owned(),
            modulus: if action == Action::HashMod { 1000 } else { 0 },
            action,
            ..RuleSpec::default()
        })
        .expect("valid rule")
    }

    fn check(rules: &[Rule], input: &[(&str, &str)], expected: Option<&[(&str, &str)]>) {
        let mut buf = LabelsBuf::new();
        buf.reset_to(&Labels::from_pairs(input.iter().copied()));
        let kept = apply(rules, &mut buf);
        let got = kept.then(|| buf.to_labels());
        assert_eq!(
            got,
            expected.map(|pairs| Labels::from_pairs(pairs.iter().copied())),
            "{rules:?} on {input:?}"
        );
    }

    #[test]
    fn actions_follow_the_reference() {
        use Action::*;
        let abc = [("a", "foo"), ("b", "bar"), ("c", "baz")];
        check(
            &[rule(Replace, &["a"], "f(.*)", "d", "ch${1}-ch${1}")],
            &abc,
            Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", "choo-choo")]),
        );
        check(
            &[rule(Replace, &["a", "b"], "f(.*);(.*)r", "a", "b${1}${2}m")],
            &abc,
            Some(&[("a", "boobam"), ("b", "bar"), ("c", "baz")]),
        );
        check(&[rule(Replace, &["a"], "nomatch", "d", "x")], &abc, Some(&abc));
        check(&[rule(Replace, &["a"], "f(.*)", "a", "")], &abc, Some(&[("b", "bar"), ("c", "baz")]));
        check(
            &[rule(Replace, &["a"], "(f).*", "${1}x", "v")],
            &[("a", "foo")],
            Some(&[("a", "foo"), ("fx", "v")]),
        );
        check(&[rule(Replace, &["a"], "(x)?foo", "$1", "v")], &[("a", "foo")], Some(&[("a", "foo")]));
        check(
            &[rule(Replace, &["a"], "foo", "d", "$$1")],
            &[("a", "foo")],
            Some(&[("a", "foo"), ("d", "$1")]),
        );
        check(&[rule(Keep, &["a"], "no", "", "$1")], &abc, None);
        check(&[rule(Keep, &["missing"], "", "", "$1")], &abc, Some(&abc));
        check(&[rule(Drop, &["a"], ".*o.*", "", "$1")], &abc, None);
        check(&[rule(KeepEqual, &["a"], "(.*)", "b", "$1")], &abc, None);
        check(&[rule(DropEqual, &["a"], "(.*)", "b", "$1")], &abc, Some(&abc));
        check(
            &[rule(HashMod, &["c"], "(.*)", "d", "$1")],
            &[("c", "baz")],
            Some(&[("c", "baz"), ("d", "976")]),
        );
        check(
            &[rule(HashMod, &["a"], "(.*)", "d", "$1")],
            &[("a", "foo\nbar")],
            Some(&[("a", "foo\nbar"), ("d", "734")]),
        );
        check(
            &[rule(LabelMap, &[], "(b.*)", "", "bar_${1}")],
            &[("a", "foo"), ("b1", "bar"), ("b2", "baz")],
            Some(&[("a", "foo"), ("b1", "bar"), ("b2", "baz"), ("bar_b1", "bar"), ("bar_b2", "baz")]),
        );
        check(&[rule(LabelDrop, &[], "b|c", "", "$1")], &abc, Some(&[("a", "foo")]));
        check(&[rule(LabelKeep, &[], "b|c", "", "$1")], &abc, Some(&[("b", "bar"), ("c", "baz")]));
        check(&[rule(Uppercase, &["a"], "(.*)", "a", "$1")], &[("a", "foo")], Some(&[("a", "FOO")]));
        check(
            &[rule(Lowercase, &["a"], "(.*)", "b", "$1")],
            &[("a", "FOO")],
            Some(&[("a", "FOO"), ("b", "foo")]),
        );
    }

    #[test]
    fn edges_of_actions_are_those_of_the_reference() {
        use Action::*;
        let abc = [("a", "foo"), ("b", "bar"), ("c", "baz")];
        // Equal or not, each way.
        let same = [("a", "x"), ("b", "x")];
        check(&[rule(KeepEqual, &["a"], "(.*)", "b", "$1")], &same, Some(&same));
        check(&[rule(DropEqual, &["a"], "(.*)", "b", "$1")], &same, None);
        check(&[rule(KeepEqual, &["none"], "(.*)", "missing", "$1")], &same, Some(&same));
        // An empty expression matches nothing but the empty text.
        check(&[rule(Keep, &["a"], "", "", "$1")], &abc, None);
        check(&[rule(Drop, &["missing"], "", "", "$1")], &abc, None);
        check(&[rule(Replace, &["a"], "", "d", "x")], &abc, Some(&abc));
        // It is anchored, and a dot is any character.
        check(&[rule(Keep, &["a"], "fo", "", "$1")], &abc, None);
        check(&[rule(Keep, &["a"], "f.*", "", "$1")], &[("a", "f\no")], Some(&[("a", "f\no")]));
        check(&[rule(Keep, &["a"], "foo|x", "", "$1")], &abc, Some(&abc));
        // Groups have numbers and names; one that is none is empty.
        check(
            &[rule(Replace, &["a"], "(?P<first>.)(o+)", "d", "${first}-$2-$1x-${9}-$$")],
            &[("a", "foo")],
            Some(&[("a", "foo"), ("d", "f-oo---$")]),
        );
        // Without a source there is still something to match.
        check(&[rule(Replace, &[], "(.*)", "d", "x")], &[("a", "b")], Some(&[("a", "b"), ("d", "x")]));
        check(&[rule(Replace, &[], "y", "d", "x")], &[("a", "b")], Some(&[("a", "b")]));
        // What is empty is removed, by whatever action.
        check(
            &[rule(Lowercase, &["none"], "(.*)", "a", "$1")],
            &[("a", "b"), ("c", "d")],
            Some(&[("c", "d")]),
        );
        check(&[rule(Replace, &["none"], "(.*)", "a", "$1")], &[("a", "b"), ("c", "d")], Some(&[("c", "d")]));
        // A copied label stands beside the one it was copied from, and the last one of a name stays.
        check(
            &[rule(LabelMap, &[], "m_(.*)", "", "$1")],
            &[("m_x", "1"), ("x", "2")],
            Some(&[("m_x", "1"), ("x", "1")]),
        );
        check(
            &[rule(LabelMap, &[], "(a|b)", "", "x")],
            &[("a", "1"), ("b", "2")],
            Some(&[("a", "1"), ("b", "2"), ("x", "2")]),
        );
        check(&[rule(LabelDrop, &[], "a", "", "$1")], &[("a", "1"), ("ab", "2")], Some(&[("ab", "2")]));
        // Rules see what those before them made.
        check(
            &[rule(Replace, &["a"], "(.*)", "d", "$1"), rule(Uppercase, &["d"], "(.*)", "d", "$1")],
            &[("a", "x")],
            Some(&[("a", "x"), ("d", "X")]),
        );
    }

    #[test]
    fn values_are_joined_by_the_separator() {
        let joined = |separator: &str, source: &[&str]| {
            let spec = RuleSpec {
                source_labels: source.iter().map(|name| (*name).to_owned()).collect(),
                separator: separator.to_owned(),
                target_label: "joined".to_owned(),
                ..RuleSpec::default()
            };
            let mut buf = LabelsBuf::new();
            buf.reset_to(&Labels::from_pairs([("a", "1"), ("b", "2")]));
            assert!(apply(&[Rule::new(spec).expect("valid")], &mut buf));
            buf.get("joined").map(str::to_owned)
        };
        assert_eq!(RuleSpec::default().separator, ";");
        assert_eq!(joined(";", &["a", "b"]).as_deref(), Some("1;2"));
        assert_eq!(joined("--", &["a", "missing", "b"]).as_deref(), Some("1----2"));
        assert_eq!(joined("", &["b", "a"]).as_deref(), Some("21"));
        assert_eq!(joined("-", &["missing"]), None);
    }

    #[test]
    fn names_that_are_not_plain_are_not_made_where_they_are_not_valid() {
        for (names, expected) in [
            (crate::model::name::NameScheme::Utf8, Some("v")),
            (crate::model::name::NameScheme::Legacy, None),
        ] {
            let spec = RuleSpec {
                source_labels: vec!["a".to_owned()],
                target_label: "$1".to_owned(),
                replacement: "v".to_owned(),
                names,
                ..RuleSpec::default()
            };
            let mut buf = LabelsBuf::new();
            buf.reset_to(&Labels::from_pairs([("a", "x.y")]));
            assert!(apply(&[Rule::new(spec).expect("valid")], &mut buf));
            assert_eq!(buf.get("x.y"), expected, "{names:?}");
        }
    }

    #[test]
    fn steps_end_at_the_first_drop() {
        let rules = [
            rule(Action::Replace, &[], "(.*)", "x", "1"),
            rule(Action::Drop, &["x"], "1", "", "$1"),
            rule(Action::Replace, &[], "(.*)", "y", "1"),
        ];
        let mut buf = LabelsBuf::new();
        let steps = apply_steps(&rules, &mut buf);
        assert_eq!(steps, [Some(Labels::from_pairs([("x", "1")])), None]);
    }
}
