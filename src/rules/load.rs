//! Rule files to groups of compiled rules. All or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::alert::Timing;
use super::rule::{Alerting, Rule};
use crate::config::{self, Error, RuleError, RuleFile, RuleGroup, RuleKind, RuleSpec, UnknownKeys};
use crate::promql::{self, Features};
use crate::template::Template;

/// A group of rules, ready to be evaluated. Equal ones are the same group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSpec {
    /// The file it is from.
    pub file: String,
    /// Unique within the file.
    pub name: String,
    /// How often.
    pub interval: Duration,
    /// How far back its rules look, if it says so itself.
    pub query_offset: Option<Duration>,
    /// Most series or alerts of one rule; 0 is no limit.
    pub limit: usize,
    /// In the order of the file.
    pub rules: Vec<Rule>,
}

/// Reads the rule files that `patterns` name. `interval` is that of groups that do not say.
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn load(patterns: &[String], interval: Duration, features: &Features) -> Result<Vec<GroupSpec>, Error> {
    let paths: BTreeSet<PathBuf> =
        patterns.iter().flat_map(|pattern| config::matching_files(pattern)).collect();
    load_files(&paths, UnknownKeys::Refused, interval, features)
}

/// Reads rule files, each of them once. `interval` is that of groups that do not say.
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn load_files<'a>(
    paths: impl IntoIterator<Item = &'a PathBuf>,
    unknown_keys: UnknownKeys,
    interval: Duration,
    features: &Features,
) -> Result<Vec<GroupSpec>, Error> {
    let (mut groups, mut errors, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for path in paths.into_iter().filter(|path| seen.insert(*path)) {
        match config::load_rule_file(path, unknown_keys) {
            Err(Error::Several(several)) => errors.extend(several),
            Err(error) => errors.push(error),
            Ok(file) => groups.extend(compile(&file, interval, features, &mut errors)),
        }
    }
    Error::all(errors).map(|()| groups)
}

/// Compiles the groups of a file; what is wrong is added to `errors`.
pub fn compile(
    file: &RuleFile,
    interval: Duration,
    features: &Features,
    errors: &mut Vec<Error>,
) -> Vec<GroupSpec> {
    let mut groups = Vec::new();
    for group in &file.groups {
        let mut rules = Vec::new();
        for (at, spec) in group.rules.iter().enumerate() {
            let mut complain = |reason: String| {
                let error = RuleError {
                    file: file.name.clone(),
                    line: spec.place.line,
                    column: spec.place.column,
                    group: group.name.clone(),
                    rule: Some((at + 1, spec.name.clone())),
                    reason,
                };
                errors.push(Error::Rule(Box::new(error)));
            };
            rules.extend(compile_rule(group, spec, features, &mut complain));
        }
        groups.push(GroupSpec {
            file: file.name.clone(),
            name: group.name.clone(),
            interval: group.interval.unwrap_or(interval),
            query_offset: group.query_offset,
            limit: group.limit,
            rules,
        });
    }
    groups
}

fn compile_rule(
    group: &RuleGroup,
    spec: &RuleSpec,
    features: &Features,
    complain: &mut impl FnMut(String),
) -> Option<Rule> {
    let expr = promql::parse(&spec.expr, features)
        .map_err(|error| complain(format!("could not parse expression: {error}")))
        .ok();
    let mut labels: BTreeMap<&str, &str> = BTreeMap::new();
    labels.extend(group.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    labels.extend(spec.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let alerting = match &spec.kind {
        RuleKind::Recording => None,
        RuleKind::Alerting { hold, keep_firing, annotations } => {
            let called = format!("__alert_{}", spec.name);
            let mut parse = |what: &str, name: &str, text: &str| {
                let template = Template::parse(&called, text);
                let template = template.map_err(|error| complain(format!("{what} {name:?}: {error}")));
                template.ok().map(|template| (name.to_owned(), template))
            };
            let labels: Vec<_> =
                labels.iter().filter_map(|(name, text)| parse("label", name, text)).collect();
            let texts =
                annotations.iter().filter_map(|(name, text)| parse("annotation", name, text)).collect();
            Some(Alerting {
                timing: Timing { hold: ms(*hold), keep_firing: ms(*keep_firing) },
                labels,
                annotations: texts,
                annotation_texts: annotations.clone().into_iter().collect(),
            })
        }
    };
    let expr = expr?;
    Some(Rule {
        name: spec.name.clone(),
        query: expr.to_string(),
        expr,
        labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        alerting,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    fn loaded(text: &str) -> Result<Vec<GroupSpec>, Error> {
        let file = config::parse_rule_file(text, "f.yml")?;
        let mut errors = Vec::new();
        let groups = compile(&file, Duration::from_secs(60), &Features::default(), &mut errors);
        Error::all(errors).map(|()| groups)
    }

    #[test]
    fn rules_are_compiled() {
        let text = "groups:\n- name: g\n  labels: {team: a, level: low}\n  rules:\n  - record: x:y\n    expr: 'sum( up )'\n    \
                    labels: {level: high}\n  - alert: A\n    expr: up == 0\n    labels: {host: '{{ $labels.instance }}'}\n";
        let groups = loaded(text).expect("good rules");
        let rules = &groups[0].rules;
        assert_eq!(rules[0].query, "sum(up)");
        assert_eq!(rules[0].identity(), "x:y{level=\"high\", team=\"a\"}");
        let series =
            rules[0].recorded(&Labels::from_pairs([("__name__", "up"), ("team", "b"), ("job", "j")]));
        let expected = [("__name__", "x:y"), ("job", "j"), ("level", "high"), ("team", "a")];
        assert_eq!(series, Labels::from_pairs(expected));
        let alerting = rules[1].alerting.as_ref().expect("an alerting rule");
        assert_eq!(alerting.labels.len(), 3);
        assert_eq!(groups[0].interval, Duration::from_secs(60));
    }

    #[test]
    fn every_wrong_expression_and_template_is_told() {
        let text = "groups:\n- name: g\n  rules:\n  - record: x\n    expr: 'sum('\n  - alert: A\n    expr: up\n    \
                    annotations: {a: '{{ $x }}', b: '{{ if }}'}\n";
        let error = loaded(text).expect_err("wrong rules");
        let told: Vec<String> = error.each().iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(
            told[0].starts_with("f.yml:5:11: group \"g\", rule 1, \"x\": could not parse expression: 1:5:"),
            "{told:?}"
        );
        assert!(
            told[1].starts_with("f.yml:7:11: group \"g\", rule 2, \"A\": annotation \"a\": "),
            "{told:?}"
        );
    }
}
