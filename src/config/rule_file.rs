//! Rule files: groups of recording and alerting rules, as far as they can be judged without reading expressions.

use std::collections::{BTreeMap, HashMap};
use std::path::Path as FilePath;
use std::time::Duration;

use super::document;
use super::keys;
use super::section::{Item, Notes, Section, UnknownKeys};
use super::{Error, RuleError};
use crate::model::METRIC_NAME;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A rule file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RuleFile {
    /// What the file is called: as the pattern found it.
    pub name: String,
    /// Its groups, with unique names.
    pub groups: Vec<RuleGroup>,
}

/// Rules that are evaluated together.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleGroup {
    /// Not empty.
    pub name: String,
    /// How often; `None` is the global interval.
    pub interval: Option<Duration>,
    /// How far back the rules look; `None` is the global offset.
    pub query_offset: Option<Duration>,
    /// Most series or alerts of one rule; 0 is no limit.
    pub limit: usize,
    /// Labels of all rules; those of a rule go before them.
    pub labels: BTreeMap<String, String>,
    /// In the order of the file.
    pub rules: Vec<RuleSpec>,
}

/// A rule as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSpec {
    /// What becomes of the result.
    pub kind: RuleKind,
    /// The name of the series, or of the alert.
    pub name: String,
    /// The query.
    pub expr: String,
    /// Labels that are added.
    pub labels: BTreeMap<String, String>,
    /// Where the query stands.
    pub place: Place,
}

/// What becomes of the result of a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleKind {
    /// It is stored as series.
    Recording,
    /// Each of its series is an alert.
    Alerting {
        /// How long a series must be there before its alert fires.
        hold: Duration,
        /// How long an alert goes on firing after its series is gone.
        keep_firing: Duration,
        /// Texts for people.
        annotations: BTreeMap<String, String>,
    },
}

/// Reads the rule file at `path`.
///
/// # Errors
/// When it cannot be read, or anything in it is refused; all that is wrong is told.
pub fn load_rule_file(path: &FilePath, unknown_keys: UnknownKeys) -> Result<RuleFile, Error> {
    let text =
        std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    parse_rule_file_with(&text, &path.display().to_string(), unknown_keys)
}

/// Reads the text of a rule file; `name` is what messages call it.
///
/// # Errors
/// When anything in it is refused; all that is wrong is told.
pub fn parse_rule_file(text: &str, name: &str) -> Result<RuleFile, Error> {
    parse_rule_file_with(text, name, UnknownKeys::Refused)
}

/// The same where keys that nobody knows are treated as is said.
///
/// # Errors
/// When anything in it is refused; all that is wrong is told.
pub fn parse_rule_file_with(text: &str, name: &str, unknown_keys: UnknownKeys) -> Result<RuleFile, Error> {
    let groups = document::read(text, name, unknown_keys, |notes, top| {
        groups(notes, &Section::open(notes, top, &keys::RULE_FILE))
    })?;
    Ok(RuleFile { name: name.to_owned(), groups })
}

fn groups<'a>(notes: &Notes<'a>, file: &Section<'a>) -> Vec<RuleGroup> {
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut groups = Vec::new();
    for (raw, item) in file.sections("groups").iter().zip(file.list("groups")) {
        let name = raw.text("name").unwrap_or_default();
        let complain = |reason: String| {
            let error = RuleError {
                file: notes.file().to_owned(),
                line: item.line,
                column: item.node.column,
                group: name.clone(),
                rule: None,
                reason,
            };
            notes.note(Error::Rule(Box::new(error)));
        };
        if name.is_empty() {
            complain("the name of a group must not be empty".to_owned());
        } else if let Some(first) = known.insert(name.clone(), item.line) {
            complain(format!("the name is repeated in the same file, first on line {first}"));
        }
        let labels = raw.map_of_text("labels");
        check_names(&labels, "label", &complain);
        let limit = raw.signed("limit").unwrap_or(0);
        groups.push(RuleGroup {
            interval: raw.duration("interval").filter(|interval| !interval.is_zero()),
            query_offset: raw.duration("query_offset"),
            limit: usize::try_from(limit).unwrap_or(0),
            labels,
            rules: rules(notes, raw, &name),
            name,
        });
    }
    groups
}

fn check_names(labels: &BTreeMap<String, String>, what: &str, complain: &impl Fn(String)) {
    for name in labels.keys().filter(|name| name.is_empty() || (what == "label" && *name == METRIC_NAME)) {
        complain(format!("invalid {what} name: {name:?}"));
    }
}

fn rules<'a>(notes: &Notes<'a>, group: &Section<'a>, group_name: &str) -> Vec<RuleSpec> {
    let sections = group.sections("rules");
    let of = |(number, (raw, item)): (usize, (&Section<'a>, Item<'a>))| {
        rule(notes, raw, &item, (group_name, number + 1))
    };
    sections.iter().zip(group.list("rules")).enumerate().filter_map(of).collect()
}

fn rule<'a>(
    notes: &Notes<'a>,
    raw: &Section<'a>,
    item: &Item<'a>,
    (group, number): (&str, usize),
) -> Option<RuleSpec> {
    let (record, alert) = (raw.text("record").unwrap_or_default(), raw.text("alert").unwrap_or_default());
    let name = if alert.is_empty() { &record } else { &alert };
    let place_of = |key: &str| {
        let found = raw.get(key);
        let item = found.as_ref().unwrap_or(item);
        Place { line: item.node.line, column: item.node.column }
    };
    let complain_at = |key: &str, reason: String| {
        let Place { line, column } = place_of(key);
        let (file, group, rule) = (notes.file().to_owned(), group.to_owned(), Some((number, name.clone())));
        notes.note(Error::Rule(Box::new(RuleError { file, line, column, group, rule, reason })));
    };
    let expr = raw.text("expr").unwrap_or_default();
    match (record.is_empty(), alert.is_empty()) {
        (false, false) => complain_at("record", "only one of 'record' and 'alert' must be set".to_owned()),
        (true, true) => complain_at("", "one of 'record' or 'alert' must be set".to_owned()),
        _ => {}
    }
    if expr.is_empty() {
        complain_at("expr", "field 'expr' must be set in rule".to_owned());
    }
    let (labels, annotations) = (raw.map_of_text("labels"), raw.map_of_text("annotations"));
    let hold = raw.duration("for").unwrap_or_default();
    let keep_firing = raw.duration("keep_firing_for").unwrap_or_default();
    check_names(&labels, "label", &|reason| complain_at("labels", reason));
    check_names(&annotations, "annotation", &|reason| complain_at("annotations", reason));
    if !record.is_empty() {
        for (field, is_there) in [
            ("annotations", !annotations.is_empty()),
            ("for", !hold.is_zero()),
            ("keep_firing_for", !keep_firing.is_zero()),
        ] {
            if is_there {
                complain_at(field, format!("invalid field '{field}' in recording rule"));
            }
        }
        if record.contains(['{', '}']) {
            let reason =
                format!("braces present in the recording rule name; should it be in expr?: {record}");
            complain_at("record", reason);
        }
    }
    let kind = if alert.is_empty() {
        RuleKind::Recording
    } else {
        RuleKind::Alerting { hold, keep_firing, annotations }
    };
    let place = place_of("expr");
    (!name.is_empty() && !expr.is_empty()).then(|| RuleSpec { kind, name: name.clone(), expr, labels, place })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_place_group_and_rule() {
        let text = "groups:\n- name: a\n  rules:\n  - record: x\n    expr: up\n    for: 5m\n  - alert: A\n  \
                    - {record: 'x{}', expr: up}\n  - {alert: B, record: c, expr: up}\n  - {expr: up}\n- name: a\n\
                    - name: ''\n  labels: {__name__: b}\n";
        let error = parse_rule_file(text, "f.yml").expect_err("much is wrong");
        let told: Vec<String> = error.each().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "f.yml:6:10: group \"a\", rule 1, \"x\": invalid field 'for' in recording rule",
                "f.yml:7:5: group \"a\", rule 2, \"A\": field 'expr' must be set in rule",
                "f.yml:8:14: group \"a\", rule 3, \"x{}\": braces present in the recording rule name; should it \
                 be in expr?: x{}",
                "f.yml:9:24: group \"a\", rule 4, \"B\": only one of 'record' and 'alert' must be set",
                "f.yml:10:5: group \"a\", rule 5, \"\": one of 'record' or 'alert' must be set",
                "f.yml:11:3: group \"a\": the name is repeated in the same file, first on line 2",
                "f.yml:12:3: group \"\": the name of a group must not be empty",
                "f.yml:12:3: group \"\": invalid label name: \"__name__\"",
            ]
        );
        let unknown = parse_rule_file("groups: [{name: a, rule: []}]", "f").expect_err("a misspelt key");
        assert!(unknown.to_string().contains("did you mean \"rules\""), "{unknown}");
        let text = "groups: [{name: a, owner: {b: c}, rules: [{record: x, expr: y, runbook: z}]}]";
        assert!(parse_rule_file(text, "f").is_err());
        let ignored =
            parse_rule_file_with(text, "f", UnknownKeys::Ignored).expect("a file with keys of others");
        assert_eq!(ignored.groups[0].rules.len(), 1);
    }

    #[test]
    fn groups_and_rules_are_read() {
        let text = "groups:\n- name: g\n  interval: 30s\n  query_offset: 0s\n  limit: 3\n  labels: {team: x}\n  rules:\n\
                    \x20 - alert: A\n    expr: up == 0\n    for: 5m\n    keep_firing_for: 1h\n    labels: {severity: 1}\n\
                    \x20   annotations: {summary: 'down {{ $labels.job }}'}\n---\nnonsense: 1\n";
        let file = parse_rule_file(text, "f").expect("a good file");
        let group = &file.groups[0];
        assert_eq!((group.interval, group.limit), (Some(Duration::from_secs(30)), 3));
        assert_eq!(group.query_offset, Some(Duration::ZERO));
        let rule = &group.rules[0];
        assert_eq!((rule.name.as_str(), rule.labels["severity"].as_str()), ("A", "1"));
        assert_eq!(rule.place, Place { line: 9, column: 11 });
        let RuleKind::Alerting { hold, keep_firing, .. } = &rule.kind else { panic!("an alert") };
        assert_eq!((hold.as_secs(), keep_firing.as_secs()), (300, 3600));
        assert_eq!(parse_rule_file("", "f").expect("an empty file").groups, []);
    }
}
