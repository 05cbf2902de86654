//! Why a rule cannot be played.

use crate::lanes::Late;
use crate::promql;

/// A rule that cannot be played.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its query failed.
    #[error("{0}")]
    Query(#[from] promql::Error),
    /// The rule writes series, and has no alerts.
    #[error("{0:?} is a recording rule: only alerting rules have alerts to play")]
    NotAlerting(String),
    /// Its query gives a text or a range.
    #[error("the expression gives neither a vector nor a scalar")]
    NotAVector,
    /// The range is empty, or the interval is.
    #[error("{0}")]
    Range(&'static str),
    /// Longer than can be played.
    #[error(
        "{wanted} evaluations, those before the range for `for` and `keep_firing_for` included, are more than the {most} \
         that are played: choose a longer interval or a shorter range"
    )]
    TooManyEvaluations {
        /// As many as the request needs.
        wanted: u64,
        /// As many as there may be.
        most: usize,
    },
    /// Recording rules gave more than is held in memory.
    #[error(
        "recording rules that are not stored yet give more than {most} samples over this range: shorten it"
    )]
    TooManyRecorded {
        /// Samples that may be held.
        most: usize,
    },
    /// There is nothing to make a unit test of.
    #[error("no alert began to fire in this range: there is nothing to test")]
    NothingFired,
    /// Its query looks at a fixed time.
    #[error("a unit test cannot be made of an expression with `@` or computed durations")]
    FixedTime,
    /// A unit test would have more points than it may.
    #[error(
        "a unit test would have more than {most} points: the expression looks too far back for its interval"
    )]
    TestTooLong {
        /// As many as there may be.
        most: usize,
    },
    /// Its alerts have more labels and annotations than the server would hold, or they took too long.
    #[error("{0}")]
    Texts(String),
    /// What comes out over the points of a unit test is not what was played.
    #[error("no unit test that holds can be made of this firing: {0}")]
    TestFails(String),
    /// Whoever evaluates it elsewhere failed.
    #[error("{0}")]
    Elsewhere(String),
    /// The time is over, or nobody waits for the result any more.
    #[error("{0}")]
    Late(#[from] Late),
}
