//! What can go wrong when scraping is set up. A target that fails is no error: it is down.

use crate::net::HttpError;
use crate::telemetry::JsonLogError;

/// Errors of setting up scraping.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client of a job cannot be set up.
    #[error("job {job:?}: {source}")]
    Client {
        /// Name of the job.
        job: String,
        /// Why.
        source: HttpError,
    },
    /// The system gives no thread to scrape on.
    #[error("cannot start a thread to scrape on: {0}")]
    Threads(#[from] std::io::Error),
    /// The file for scrapes that failed cannot be written.
    #[error("scrape_failure_log_file: {0}")]
    FailureLog(#[from] JsonLogError),
    /// The client of a discovery cannot be set up.
    #[error("discovery: {0}")]
    Discovery(HttpError),
}
