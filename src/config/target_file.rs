//! Lists of targets with their labels that stand elsewhere: in files, and in what servers answer.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::Error;
use super::discovery::StaticConfig;
use super::document;
use super::loader::Loader;
use super::mechanism_keys::STATIC;
use super::section::{Section, UnknownKeys};
use crate::model::Labels;

/// Reads a YAML list of `targets` and `labels`; `name` is what messages call the file.
///
/// # Errors
/// When anything in it is refused; all that is wrong is told.
pub fn parse_targets_yaml(text: &str, name: &str) -> Result<Vec<StaticConfig>, Error> {
    document::read(text, name, UnknownKeys::Refused, |notes, top| {
        let all = Section::all_of(notes, top, &STATIC);
        all.iter().map(|raw| Loader { notes }.fixed_targets(raw, false)).collect()
    })
}

/// A group as JSON, with what Go takes: keys in any case, the last one where there are several, null for an empty text.
#[derive(Default)]
struct Group {
    targets: Vec<String>,
    labels: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(GroupVisitor)
    }
}

struct GroupVisitor;

impl<'de> Visitor<'de> for GroupVisitor {
    type Value = Group;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a group of targets and labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Group, A::Error> {
        let mut group = Group::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.to_ascii_lowercase().as_str() {
                "targets" => {
                    let targets: Option<Vec<Option<String>>> = map.next_value()?;
                    group.targets =
                        targets.unwrap_or_default().into_iter().map(Option::unwrap_or_default).collect();
                }
                "labels" => {
                    let labels: Option<BTreeMap<String, Option<String>>> = map.next_value()?;
                    let text = |(name, value): (String, Option<String>)| (name, value.unwrap_or_default());
                    group.labels = labels.unwrap_or_default().into_iter().map(text).collect();
                }
                _ => return Err(de::Error::unknown_field(&key, &["targets", "labels"])),
            }
        }
        Ok(group)
    }
}

/// Reads a JSON list of `targets` and `labels`.
///
/// # Errors
/// Says what is wrong and where.
pub fn parse_targets_json(text: &[u8]) -> Result<Vec<StaticConfig>, String> {
    let groups: Option<Vec<Option<Group>>> =
        serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let read = |(at, group): (usize, Option<Group>)| {
        let Group { targets, labels } = group.ok_or_else(|| format!("target group {at} is null"))?;
        if labels.contains_key("") {
            return Err(format!("a label name of target group {at} is empty"));
        }
        let labels = Labels::from_pairs(labels.into_iter().filter(|(_, value)| !value.is_empty()));
        Ok(StaticConfig { targets, labels })
    };
    groups.unwrap_or_default().into_iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(found: &[StaticConfig]) -> Vec<(Vec<String>, String)> {
        found.iter().map(|group| (group.targets.clone(), group.labels.to_string())).collect()
    }

    #[test]
    fn both_formats_give_the_same_groups() {
        let yaml = "- targets: [a:1, b]\n  labels: {x: y, version: 1.10, none: ''}\n- targets: []\n- labels: {a: b}\n";
        let json = br#"[{"targets": ["a:1", "b"], "labels": {"x": "y", "version": "1.10", "none": ""}},
            {"targets": []}, {"targets": null, "labels": {"a": "b"}}]"#;
        let from_yaml = parse_targets_yaml(yaml, "f.yml").expect("valid");
        assert_eq!(
            groups(&from_yaml),
            [
                (vec!["a:1".to_owned(), "b".to_owned()], r#"{version="1.10", x="y"}"#.to_owned()),
                (Vec::new(), "{}".to_owned()),
                (Vec::new(), r#"{a="b"}"#.to_owned()),
            ]
        );
        assert_eq!(parse_targets_json(json).expect("valid"), from_yaml);
        assert_eq!(parse_targets_yaml("", "f.yml").expect("an empty file"), []);
        assert_eq!(parse_targets_json(b"null").expect("nothing"), []);
        let loose = br#"[{"Targets": ["x"], "TARGETS": ["a", null], "labels": {"dc": null, "x": "y"}}]"#;
        let expected = (vec!["a".to_owned(), String::new()], r#"{x="y"}"#.to_owned());
        assert_eq!(groups(&parse_targets_json(loose).expect("as Go takes it")), [expected]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, expected) in [
            ("- targets: [a]\n  label: {a: b}\n", "f.yml:2: [0]: unknown key \"label\""),
            ("- targets: [a]\n- null\n", "f.yml:2"),
            ("targets: [a]\n", "must be a list"),
            ("- targets: [a\n", "f.yml"),
            ("- targets: [[a]]\n", "must be text"),
        ] {
            let error = parse_targets_yaml(text, "f.yml").expect_err(text).to_string();
            assert!(error.contains(expected), "{error} does not contain {expected}");
        }
        for (text, expected) in [
            (&br#"[{"targets": ["a"], "label": {}}]"#[..], "unknown field `label`"),
            (br"[null]", "target group 0 is null"),
            (br#"{"targets": ["a"]}"#, "invalid type: map"),
            (br#"[{"targets": [1]}]"#, "expected a string"),
            (br#"[{"labels": {"a": 1}}]"#, "expected a string"),
            (br#"[{"labels": {"": "a"}}]"#, "label name of target group 0 is empty"),
            (br#"[{"targets": ["a"]}] x"#, "trailing characters"),
        ] {
            let error = parse_targets_json(text).expect_err("refused");
            assert!(error.contains(expected), "{error} does not contain {expected}");
        }
    }
}
