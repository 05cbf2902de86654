//! Everything that can go wrong with a query. The texts are part of the contract with clients.

use super::syntax::ast::Span;
use crate::storage::StorageError;

/// How a failed query is answered over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The request itself is wrong.
    BadData,
    /// The query could not be evaluated over the data.
    Execution,
    /// The query took too long.
    Timeout,
    /// The client went away, or the server is ending.
    Canceled,
    /// The server failed.
    Internal,
}

/// A failed query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not a query.
    #[error("{position}: parse error: {message}")]
    Parse {
        /// `line:column` of the start of `span`.
        position: String,
        /// What is wrong.
        message: String,
        /// The bytes concerned.
        span: Span,
    },
    /// The expression has more levels than what can be done with it so.
    #[error("expression is nested too deeply to be {0}")]
    TooDeep(&'static str),
    /// A computed length of time is unusable.
    #[error("{}:{}: {message}", span.start, span.end)]
    Duration {
        /// The bytes of the expression.
        span: Span,
        /// What is wrong.
        message: &'static str,
    },
    /// A range query needs a value per step.
    #[error("invalid expression type \"{0}\" for range query, must be Scalar or instant Vector")]
    NotRangeable(&'static str),
    /// The step of a range query is not positive.
    #[error("zero or negative query resolution step widths are not accepted")]
    InvalidStep,
    /// The end of a range query is before its start.
    #[error("end timestamp must not be before start time")]
    InvalidRange,
    /// More steps than any answer can hold.
    #[error("query has too many steps")]
    TooManySteps,
    /// A form of the syntax tree that the parser does not let through.
    #[error("{0} is not supported yet")]
    Unsupported(String),
    /// Two elements with the same labels at the same time.
    #[error("vector cannot contain metrics with the same labelset")]
    DuplicateLabels,
    /// The query and the data do not fit together.
    #[error("{0}")]
    Execution(String),
    /// More samples than one query may hold.
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// More memory than one query may hold.
    #[error("query needs more memory than the {limit} bytes that one query may hold")]
    TooMuchMemory {
        /// Bytes one query may hold.
        limit: usize,
    },
    /// More memory than all queries together may hold.
    #[error("queries need more memory than the {limit} bytes that all together may hold")]
    TooMuchMemoryInAll {
        /// Bytes all queries may hold.
        limit: usize,
    },
    /// The deadline has passed.
    #[error("query timed out in {0}")]
    Timeout(&'static str),
    /// Somebody asked the query to end.
    #[error("query was canceled in {0}")]
    Canceled(&'static str),
    /// No thread could be started for a deeply nested query.
    #[error("cannot start a thread for a deeply nested query: {0}")]
    Thread(#[source] std::io::Error),
    /// The data could not be read.
    #[error("expanding series: {0}")]
    Storage(#[from] StorageError),
}

impl Error {
    /// A parse error at `span` of `text`.
    pub(crate) fn parse(text: &str, span: Span, message: String) -> Self {
        Self::Parse { position: span.position(text), message, span }
    }

    /// How this is answered over HTTP.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Parse { .. }
            | Self::TooDeep(_)
            | Self::Duration { .. }
            | Self::NotRangeable(_)
            | Self::InvalidStep
            | Self::InvalidRange
            | Self::TooManySteps => ErrorClass::BadData,
            Self::Unsupported(_)
            | Self::DuplicateLabels
            | Self::Execution(_)
            | Self::TooManySamples
            | Self::TooMuchMemory { .. }
            | Self::TooMuchMemoryInAll { .. } => ErrorClass::Execution,
            Self::Timeout(_) => ErrorClass::Timeout,
            Self::Canceled(_) => ErrorClass::Canceled,
            Self::Thread(_) | Self::Storage(_) => ErrorClass::Internal,
        }
    }
}
