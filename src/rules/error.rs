//! What can be wrong with rules.

use std::io;
use std::path::PathBuf;

use crate::tsdb::state_log::StateLogError;

/// Errors of rules, apart from those of single evaluations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A rule file is refused.
    #[error(transparent)]
    File(#[from] crate::config::Error),
    /// The states of alerts cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Store {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl From<StateLogError> for Error {
    fn from(StateLogError { action, path, source }: StateLogError) -> Self {
        Self::Store { action, path, source }
    }
}
