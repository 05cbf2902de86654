//! Why a request of remote write, or a part of it, is refused.

use crate::codec::CodecError;
use crate::tsdb::Error as TsdbError;

/// Inflated requests larger than this are refused.
pub(super) const MAX_REQUEST_BYTES: usize = 32 << 20;

/// A request that was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The body is not snappy-compressed.
    #[error("s2: corrupt input")]
    Snappy(#[from] snap::Error),
    /// The body inflates to too much.
    #[error("decoded size exceeds the {MAX_REQUEST_BYTES} bytes limit")]
    TooLarge(usize),
    /// The body is no `WriteRequest`.
    #[error("failed to decode the request: {0}")]
    Message(#[from] CodecError),
    /// A sample cannot be taken; nothing of the request was kept.
    #[error("{reason} for series {labels} at {timestamp} ms")]
    Sample {
        /// Why.
        reason: &'static str,
        /// The series.
        labels: String,
        /// Of the sample, in milliseconds.
        timestamp: i64,
    },
    /// Parts of a request are wrong: native histograms that are invalid, series that are too large, and with version 2.0
    /// whatever cannot be taken. The rest was kept.
    #[error("{first}{}", and_more(*others))]
    Parts {
        /// What is wrong with the first.
        first: String,
        /// How many more are wrong.
        others: usize,
        /// What was kept; told with version 2.0 only.
        written: Written,
    },
    /// Series of the request were removed again and again while it was being stored.
    #[error("series were removed while the request was being stored; send it again")]
    Removed,
    /// The database could not take it.
    #[error(transparent)]
    Storage(#[from] TsdbError),
}

pub(super) fn and_more(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" (and {others} more)") }
}

impl ReceiveError {
    /// Whether the sender is at fault: it must not send the request again.
    pub fn is_bad_request(&self) -> bool {
        !matches!(self, Self::Storage(_) | Self::Removed)
    }
}

/// The bad parts of a request: what is wrong with the first, and how many there are.
#[derive(Default)]
pub(super) struct Bad {
    first: Option<String>,
    count: usize,
}

impl Bad {
    /// Notes `count` more; `text` says what is wrong with them.
    pub(super) fn add(&mut self, count: usize, text: impl FnOnce() -> String) {
        if count > 0 {
            self.first.get_or_insert_with(text);
            self.count += count;
        }
    }

    /// An error if there are any; `written` is what was kept.
    pub(super) fn into_result(self, written: Written) -> Result<Written, ReceiveError> {
        match self.first {
            Some(first) => Err(ReceiveError::Parts { first, others: self.count - 1, written }),
            None => Ok(written),
        }
    }
}

/// What was kept of a request, what was there already included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Float samples.
    pub samples: usize,
    /// Native histograms.
    pub histograms: usize,
    /// Exemplars.
    pub exemplars: usize,
}
