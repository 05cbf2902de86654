//! `Rule`: one validated, compiled relabelling rule.

use crate::model::name::{self, NameScheme};
use crate::model::{Anchored, RegexError};

/// What a rule does with a label set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Set the target label to the expanded replacement where the regex matches.
    Replace,
    /// Drop unless the regex matches.
    Keep,
    /// Drop where the regex matches.
    Drop,
    /// Drop unless the joined value equals the target label.
    KeepEqual,
    /// Drop where the joined value equals the target label.
    DropEqual,
    /// Set the target label to a hash of the joined value.
    HashMod,
    /// Copy labels whose name matches to a new name.
    LabelMap,
    /// Remove labels whose name matches.
    LabelDrop,
    /// Remove labels whose name does not match.
    LabelKeep,
    /// Set the target label to the joined value in lower case.
    Lowercase,
    /// Set the target label to the joined value in upper case.
    Uppercase,
}

const ACTIONS: [(&str, Action); 11] = [
    ("replace", Action::Replace),
    ("keep", Action::Keep),
    ("drop", Action::Drop),
    ("keepequal", Action::KeepEqual),
    ("dropequal", Action::DropEqual),
    ("hashmod", Action::HashMod),
    ("labelmap", Action::LabelMap),
    ("labeldrop", Action::LabelDrop),
    ("labelkeep", Action::LabelKeep),
    ("lowercase", Action::Lowercase),
    ("uppercase", Action::Uppercase),
];

impl Action {
    /// The action called `text`, in any case of letters.
    pub fn from_name(text: &str) -> Option<Self> {
        ACTIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, action)| *action)
    }

    /// The name it has in a configuration file.
    pub fn name(self) -> &'static str {
        ACTIONS.iter().find(|(_, action)| *action == self).map_or("", |(name, _)| name)
    }
}

/// The fields of a rule as written, with the defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSpec {
    /// Labels whose values are joined. A missing label counts as empty.
    pub source_labels: Vec<String>,
    /// Put between the values. Default `;`.
    pub separator: String,
    /// Matched against the joined value, or against label names. Default `(.*)`.
    pub regex: String,
    /// Modulus of `hashmod`; above zero there.
    pub modulus: u64,
    /// The label that is set or compared.
    pub target_label: String,
    /// Template of the new value. Default `$1`.
    pub replacement: String,
    /// Default `replace`.
    pub action: Action,
    /// Which label names are valid.
    pub names: NameScheme,
}

impl Default for RuleSpec {
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: ";".to_owned(),
            regex: "(.*)".to_owned(),
            modulus: 0,
            target_label: String::new(),
            replacement: "$1".to_owned(),
            action: Action::Replace,
            names: NameScheme::Utf8,
        }
    }
}

/// Why a rule is refused.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The regex does not compile.
    #[error("invalid regular expression: {0}")]
    Regex(#[from] RegexError),
    /// `hashmod` without a modulus.
    #[error("relabel action hashmod requires a modulus above zero")]
    NoModulus,
    /// The action needs a target label.
    #[error("relabel action {0} requires a target_label")]
    NoTarget(&'static str),
    /// The target label or the new name of `labelmap` can never be a label name.
    #[error("{0:?} is not a valid label name for relabel action {1}")]
    BadName(String, &'static str),
    /// A field the action does not use is set.
    #[error("relabel action {0} takes no {1}")]
    ExtraField(&'static str, &'static str),
}

impl RuleError {
    /// The key of the rule at fault.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Regex(_) => "regex",
            Self::NoModulus => "modulus",
            Self::BadName(_, "labelmap") => "replacement",
            Self::NoTarget(_) | Self::BadName(..) => "target_label",
            Self::ExtraField(_, key) => key,
        }
    }
}

/// A compiled rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub(super) spec: RuleSpec,
    pub(super) regex: Anchored,
    /// The target label holds a `$` and must be expanded.
    pub(super) target_is_template: bool,
    /// The replacement holds a `$` and must be expanded.
    pub(super) replacement_is_template: bool,
    /// The regex is `(.*)`, which matches everything.
    pub(super) matches_all: bool,
}

impl Rule {
    /// Validates and compiles `spec`.
    ///
    /// # Errors
    /// When a field is missing, superfluous for the action, or invalid.
    pub fn new(spec: RuleSpec) -> Result<Self, RuleError> {
        use Action::{
            DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap, Lowercase, Replace, Uppercase,
        };
        let default = RuleSpec::default();
        let name = spec.action.name();
        if spec.action == HashMod && spec.modulus == 0 {
            return Err(RuleError::NoModulus);
        }
        let needs_target =
            matches!(spec.action, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual);
        if needs_target && spec.target_label.is_empty() {
            return Err(RuleError::NoTarget(name));
        }
        let target_is_template = spec.target_label.contains('$');
        if target_is_template && needs_target && spec.action != Replace {
            return Err(RuleError::BadName(spec.target_label, name));
        }
        if spec.action == LabelMap && spec.replacement.is_empty() {
            return Err(RuleError::BadName(spec.replacement, name));
        }
        if spec.action == LabelMap
            && !spec.replacement.contains('$')
            && !name::is_plain_label_name(&spec.replacement)
            && spec.replacement.contains(|c: char| c.is_control())
        {
            return Err(RuleError::BadName(spec.replacement, name));
        }
        if spec.names == NameScheme::Legacy {
            let valid = match spec.action {
                LabelMap => is_plain_template(&spec.replacement),
                Replace if target_is_template => is_plain_template(&spec.target_label),
                _ => !needs_target || name::is_plain_label_name(&spec.target_label),
            };
            if !valid {
                let text = if spec.action == LabelMap { spec.replacement } else { spec.target_label };
                return Err(RuleError::BadName(text, name));
            }
        }
        let extra = |differs: bool, key: &'static str| {
            if differs { Err(RuleError::ExtraField(name, key)) } else { Ok(()) }
        };
        match spec.action {
            Lowercase | Uppercase => extra(spec.replacement != default.replacement, "replacement")?,
            KeepEqual | DropEqual => {
                extra(spec.regex != default.regex, "regex")?;
                extra(spec.modulus != 0, "modulus")?;
                extra(spec.separator != default.separator, "separator")?;
                extra(spec.replacement != default.replacement, "replacement")?;
            }
            LabelDrop | LabelKeep => {
                extra(!spec.source_labels.is_empty(), "source_labels")?;
                extra(!spec.target_label.is_empty(), "target_label")?;
                extra(spec.modulus != 0, "modulus")?;
                extra(spec.separator != default.separator, "separator")?;
                extra(spec.replacement != default.replacement, "replacement")?;
            }
            _ => {}
        }
        let regex = Anchored::new(&spec.regex)?;
        Ok(Self {
            target_is_template,
            replacement_is_template: spec.replacement.contains('$'),
            matches_all: spec.regex == "(.*)" || spec.regex == ".*",
            regex,
            spec,
        })
    }

    /// The fields it was made from.
    pub fn spec(&self) -> &RuleSpec {
        &self.spec
    }
}

/// Whether `text` can become a plain label name once what `$` stands for is put in.
fn is_plain_template(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let tail = rest.strip_prefix('$').unwrap_or(rest);
        let (inside, end) = if first == '$'
            && let Some(braced) = tail.strip_prefix('{')
        {
            (braced, Some('}'))
        } else {
            (tail, None)
        };
        let behind = inside.trim_start_matches(is_word);
        let is_digit = rest.len() == text.len() && first.is_ascii_digit();
        if behind.len() == inside.len() || is_digit {
            return false;
        }
        rest = match end {
            None => behind,
            Some(end) => match behind.strip_prefix(end) {
                Some(behind) => behind,
                None => return false,
            },
        };
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_taken_where_others_are_not_valid() {
        let check = |action, text: &str, expected| {
            let spec = RuleSpec {
                target_label: if action == Action::LabelMap { String::new() } else { text.to_owned() },
                replacement: if action == Action::LabelMap { text } else { "$1" }.to_owned(),
                action,
                names: NameScheme::Legacy,
                ..RuleSpec::default()
            };
            assert_eq!(Rule::new(spec).is_ok(), expected, "{text}");
        };
        for (text, expected) in [
            ("a_1", true),
            ("1a", false),
            ("a.b", false),
            ("${1}_b$c", true),
            ("a$1", true),
            ("a$", false),
            ("${1", false),
            ("${}", false),
            ("1$1", false),
            ("$1.b", false),
        ] {
            check(Action::Replace, text, expected);
            check(Action::LabelMap, text, expected);
        }
        check(Action::Lowercase, "a.b", false);
        check(Action::Lowercase, "a", true);
    }

    #[test]
    fn refuses_missing_and_superfluous_fields() {
        let check = |change: fn(&mut RuleSpec), key: Option<&str>| {
            let mut spec = RuleSpec { target_label: "t".to_owned(), ..RuleSpec::default() };
            change(&mut spec);
            let made = Rule::new(spec.clone());
            assert_eq!(made.as_ref().err().map(RuleError::key), key, "{spec:?}");
        };
        check(|_| {}, None);
        check(|s| s.target_label.clear(), Some("target_label"));
        check(|s| s.action = Action::HashMod, Some("modulus"));
        check(|s| s.regex = "(".to_owned(), Some("regex"));
        check(|s| s.action = Action::LabelDrop, Some("target_label"));
        check(
            |s| {
                s.action = Action::LabelDrop;
                s.target_label.clear();
            },
            None,
        );
        check(
            |s| {
                s.action = Action::KeepEqual;
                s.regex = "x".to_owned();
            },
            Some("regex"),
        );
        check(
            |s| {
                s.action = Action::Lowercase;
                s.replacement = "x".to_owned();
            },
            Some("replacement"),
        );
    }

    /// For each action: the fields that it does not take beside what it needs.
    #[test]
    fn each_action_takes_its_own_fields() {
        let fields = ["source_labels", "separator", "regex", "modulus", "target_label", "replacement"];
        let set = |spec: &mut RuleSpec, field: &str| match field {
            "source_labels" => spec.source_labels = vec!["a".to_owned()],
            "separator" => spec.separator = "-".to_owned(),
            "regex" => spec.regex = "x".to_owned(),
            "modulus" => spec.modulus = 7,
            "target_label" => spec.target_label = "t".to_owned(),
            _ => spec.replacement = "r".to_owned(),
        };
        let equal = &["separator", "regex", "modulus", "replacement"][..];
        let names = &["source_labels", "separator", "modulus", "target_label", "replacement"];
        for (action, needs, refused) in [
            (Action::Replace, "target_label", &[][..]),
            (Action::Keep, "", &[]),
            (Action::Drop, "", &[]),
            (Action::KeepEqual, "target_label", equal),
            (Action::DropEqual, "target_label", equal),
            (Action::HashMod, "target_label", &[]),
            (Action::LabelMap, "", &[]),
            (Action::LabelDrop, "", names),
            (Action::LabelKeep, "", names),
            (Action::Lowercase, "target_label", &["replacement"]),
            (Action::Uppercase, "target_label", &["replacement"]),
        ] {
            let mut plain = RuleSpec { action, ..RuleSpec::default() };
            if action == Action::HashMod {
                plain.modulus = 1;
            }
            let missing = Rule::new(plain.clone()).err().map(|error| error.key());
            assert_eq!(missing.unwrap_or_default(), needs, "{action:?}");
            if !needs.is_empty() {
                set(&mut plain, needs);
            }
            for field in fields {
                let mut spec = plain.clone();
                set(&mut spec, field);
                let told = Rule::new(spec).err().map(|error| error.key());
                assert_eq!(told, refused.contains(&field).then_some(field), "{action:?} with {field}");
            }
            assert_eq!(Action::from_name(&action.name().to_uppercase()), Some(action));
        }
    }
}
