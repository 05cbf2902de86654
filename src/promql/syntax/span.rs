//! Positions in the text of a query.

/// A half-open range of bytes of the query text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes from `start` up to `end`.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// From the start of `self` to the end of `last`.
    #[must_use]
    pub fn to(self, last: Self) -> Self {
        Self { start: self.start, end: last.end }
    }

    /// `line:column` of the start in `query`, both from one, the column in bytes.
    pub fn position(self, query: &str) -> String {
        if query.is_empty() {
            return "unknown position".to_owned();
        }
        if self.start > query.len() {
            return "invalid position".to_owned();
        }
        let before = &query.as_bytes()[..self.start];
        let line = before.split(|b| *b == b'\n').count();
        let column = match before.iter().rposition(|b| *b == b'\n') {
            Some(at) => self.start - at,
            None => self.start + 1,
        };
        format!("{line}:{column}")
    }
}
