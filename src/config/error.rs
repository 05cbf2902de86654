//! What can be wrong with a configuration. Every message names file, line and key.

use std::io;
use std::path::PathBuf;

/// Errors of loading a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The text is not YAML, or holds a key twice.
    #[error("{file}:{line}: {reason}")]
    Syntax {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What the YAML reader says.
        reason: String,
    },
    /// A key nobody knows.
    #[error("{file}:{line}: {path}: unknown key {key:?}{hint}")]
    UnknownKey {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Path of the section.
        path: String,
        /// The key.
        key: String,
        /// What may be meant, as the end of the sentence.
        hint: String,
    },
    /// A key that Prometheus has and this server does not.
    #[error("{file}:{line}: {path}: {key:?} is not supported yet{}", instead(.key))]
    Unsupported {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Path of the section.
        path: String,
        /// The key.
        key: String,
    },
    /// A value that is not allowed where it stands.
    #[error("{file}:{line}: {path}: {reason}")]
    Value {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Path of the key.
        path: String,
        /// Why it is refused.
        reason: String,
    },
    /// A rule or a group of rules that is refused.
    #[error(transparent)]
    Rule(#[from] Box<RuleError>),
    /// A variable of the environment that is not set, or a reference that cannot be read.
    #[error("{file}:{line}: environment variable {name:?} {reason}")]
    Environment {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The variable.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Several of these, in the order of lines, those of what is not supported at the end.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<Error>),
}

/// A rule or a group of rules that is refused.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}:{column}: group {group:?}{}: {reason}", of_rule(rule.as_ref()))]
pub struct RuleError {
    /// The rule file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Name of the group.
    pub group: String,
    /// Number of the rule in the group, from 1, and its name; none where it is about the group.
    pub rule: Option<(usize, String)>,
    /// Why it is refused.
    pub reason: String,
}

fn of_rule(rule: Option<&(usize, String)>) -> String {
    rule.map(|(number, name)| format!(", rule {number}, {name:?}")).unwrap_or_default()
}

impl Error {
    /// One error of several, in the order they are given; nothing if there are none.
    ///
    /// # Errors
    /// What was given.
    pub fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }

    /// The line it is on, from 1; 0 where it is not about a line.
    pub fn line(&self) -> usize {
        match self {
            Self::Read { .. } => 0,
            Self::Syntax { line, .. }
            | Self::UnknownKey { line, .. }
            | Self::Unsupported { line, .. }
            | Self::Value { line, .. }
            | Self::Environment { line, .. } => *line,
            Self::Rule(error) => error.line,
            Self::Several(errors) => errors.first().map_or(0, Self::line),
        }
    }

    /// What is wrong, one by one.
    pub fn each(&self) -> &[Self] {
        match self {
            Self::Several(errors) => errors,
            one => std::slice::from_ref(one),
        }
    }
}

/// What may be used instead of a key, as the end of the sentence.
fn instead(key: &str) -> &'static str {
    if key.ends_with("_sd_configs") {
        "; list its targets in a file for file_sd_configs, or serve the list for http_sd_configs"
    } else {
        ""
    }
}
