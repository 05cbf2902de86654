//! Why an expression cannot be used, or was not asked to the end.

/// Nobody wants to know any more whether it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped while matching a regular expression")]
pub struct Stopped;

/// A regular expression that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("error parsing regexp: {0}")]
pub struct RegexError(pub(super) String);

impl RegexError {
    pub(super) fn new(reason: &str, source: &str) -> Self {
        Self(format!("{reason}: `{source}`"))
    }
}

/// The last line of the reader's message: what is wrong, without the drawing.
pub(super) fn reason(text: &str) -> String {
    let last = text.lines().last().unwrap_or("").trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
