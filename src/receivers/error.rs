//! What can go wrong with receivers: when they are set up, and when they are told.

use std::io;
use std::path::PathBuf;

use crate::net::HttpError;
use crate::tsdb::state_log::StateLogError;

/// Errors of setting up receivers. A receiver that cannot be reached is no error: it is tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Silences and the log of notifications cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Store {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The HTTP client cannot be set up.
    #[error("notifications: {0}")]
    Client(#[from] HttpError),
}

impl From<StateLogError> for Error {
    fn from(StateLogError { action, path, source }: StateLogError) -> Self {
        Self::Store { action, path, source }
    }
}

/// Why a receiver was not told. The text names no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Failure {
    /// What went wrong.
    pub(crate) text: String,
    /// Whether the same may succeed later.
    pub(crate) may_pass: bool,
}

impl Failure {
    pub(super) fn permanent(text: impl std::fmt::Display) -> Self {
        Self { text: crate::util::message(&text.to_string()).into_owned(), may_pass: false }
    }

    pub(super) fn passing(text: impl std::fmt::Display) -> Self {
        Self { may_pass: true, ..Self::permanent(text) }
    }
}
