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
    #[error("{file}:{line}: {path}: {key:?} is not supported yet")]
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
    #[error("{file}:{line}:{column}: {}: {reason}", owner(group, rule.as_ref()))]
    Rule {
        /// The rule file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// Name of the group.
        group: String,
        /// Number of the rule in the group, from 1, and its name; none where it is about the group.
        rule: Option<(usize, String)>,
        /// Why it is refused.
        reason: String,
    },
    /// A pattern of file names that cannot be read.
    #[error("{file}: {pattern:?}: {reason}")]
    Pattern {
        /// The configuration file.
        file: String,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
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
    /// Several of these, in the order of lines.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<Error>),
}

/// What an error in a rule file is about.
fn owner(group: &str, rule: Option<&(usize, String)>) -> String {
    let rule = rule.map(|(number, name)| format!(", rule {number}, {name:?}")).unwrap_or_default();
    format!("group {group:?}{rule}")
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
            Self::Read { .. } | Self::Pattern { .. } => 0,
            Self::Syntax { line, .. }
            | Self::UnknownKey { line, .. }
            | Self::Unsupported { line, .. }
            | Self::Value { line, .. }
            | Self::Rule { line, .. }
            | Self::Environment { line, .. } => *line,
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
