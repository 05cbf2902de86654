//! What can be wrong with a template.

use std::fmt;

use crate::util::brief;

/// A place in the text of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Bytes before it in its line, plus one.
    pub column: usize,
}

impl Place {
    /// The place `at` bytes into `text`.
    pub(super) fn of(text: &str, at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line: before.matches('\n').count() + 1, column: before.len() - line_start + 1 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A template that cannot be used, or could not be expanded. Texts in it are bounded in length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not a template.
    #[error("error parsing template {name}: template: {name}:{place}: {reason}")]
    Parse {
        /// What the template is called.
        name: Box<str>,
        /// Where it is wrong.
        place: Place,
        /// What is wrong there.
        reason: String,
    },
    /// The expansion failed or reached a limit.
    #[error(
        "error executing template {name}: template: {name}:{place}: executing {inside:?} at <{what}>: {reason}"
    )]
    Execute {
        /// What the template is called.
        name: Box<str>,
        /// Where it failed.
        place: Place,
        /// The defined template that was executed; `name` outside of definitions.
        inside: Box<str>,
        /// The piece of the text that failed.
        what: String,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// What is wrong, without name and place.
    pub fn reason(&self) -> &str {
        match self {
            Self::Parse { reason, .. } | Self::Execute { reason, .. } => reason,
        }
    }

    /// Where in the text.
    pub fn place(&self) -> Place {
        match self {
            Self::Parse { place, .. } | Self::Execute { place, .. } => *place,
        }
    }
}

/// Why an operation failed, before it is known where in the text it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault(pub(super) String);

impl Fault {
    /// One that says `reason`, cut if it is long.
    pub(super) fn new(reason: impl fmt::Display) -> Self {
        Self(brief(reason))
    }
}

/// `Err(Fault)` with a formatted reason.
macro_rules! fail {
    ($($part:tt)*) => { Err($crate::template::error::Fault::new(format_args!($($part)*))) };
}
pub(super) use fail;
