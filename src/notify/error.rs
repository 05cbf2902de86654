//! What can go wrong when notification is set up. An Alertmanager that fails is no error: it is tried again.

use crate::net::HttpError;

/// Errors of setting up notification.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client of a group of Alertmanagers cannot be set up.
    #[error("alertmanagers[{at}]: {source}")]
    Client {
        /// Place of the group in the file, from 0.
        at: usize,
        /// Why.
        source: HttpError,
    },
    /// The client of a discovery cannot be set up.
    #[error("discovery: {0}")]
    Discovery(HttpError),
}
