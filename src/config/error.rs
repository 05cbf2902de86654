//! What can be wrong with a configuration. Every message names file, line and key.

use std::io;
use std::path::PathBuf;

/// Errors of loading a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read configuration file {}: {source}", path.display())]
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

impl Error {
    /// The line it is on, from 1; 0 where it is not about a line.
    pub fn line(&self) -> usize {
        match self {
            Self::Read { .. } => 0,
            Self::Syntax { line, .. }
            | Self::UnknownKey { line, .. }
            | Self::Unsupported { line, .. }
            | Self::Value { line, .. }
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
