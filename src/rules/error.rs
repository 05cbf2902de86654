//! What can be wrong with rules.

use std::io;
use std::path::PathBuf;

/// Errors of rules, apart from those of single evaluations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A rule file is refused.
    #[error(transparent)]
    File(#[from] crate::config::Error),
    /// The states of alerts cannot be written anew.
    #[error(transparent)]
    Durable(#[from] crate::tsdb::Error),
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
