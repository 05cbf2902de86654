//! The distinct selectors of a plan and what is read of each.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::model::{Matcher, TimeRange};
use crate::storage::{Need, SelectRequest, Watch};

/// What of samples is read, besides their times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    pub(crate) values: bool,
    /// When counting began.
    pub(crate) starts: bool,
}

impl Fields {
    /// Nothing more.
    pub(crate) const TIMES: Self = Self { values: false, starts: false };
    pub(crate) const VALUES: Self = Self { values: true, starts: false };
}

/// Selectors with equal matchers share one entry, which serves all of them.
#[derive(Debug, Default)]
pub(crate) struct SelectSet {
    entries: Vec<Entry>,
    /// Their numbers, by the text of the matchers.
    numbers: HashMap<String, usize>,
    /// Whether the engine looks at start timestamps.
    starts: bool,
}

#[derive(Debug)]
struct Entry {
    matchers: Vec<Matcher>,
    range: TimeRange,
    need: Need,
    values: bool,
    starts: bool,
}

impl SelectSet {
    /// No selectors. Without `starts` nothing asks for start timestamps.
    pub(crate) fn new(starts: bool) -> Self {
        Self { starts, ..Self::default() }
    }

    /// The number of the selector that serves at least `request`.
    pub(crate) fn add(&mut self, request: SelectRequest<'_>) -> usize {
        let SelectRequest { matchers, range, need, values, starts, .. } = request;
        let starts = starts && self.starts;
        let mut text = String::new();
        for matcher in matchers {
            let _ = write!(text, "{matcher},");
        }
        let at = *self.numbers.entry(text).or_insert(self.entries.len());
        if let Some(known) = self.entries.get_mut(at) {
            // The newest sample of the hull need not be that of each range.
            known.need = if known.range == range { known.need.and(need) } else { Need::Samples };
            known.range = hull(known.range, range);
            known.values |= values;
            known.starts |= starts;
            return at;
        }
        self.entries.push(Entry { matchers: matchers.to_vec(), range, need, values, starts });
        at
    }

    /// The conditions of selector `number`.
    pub(crate) fn matchers(&self, number: usize) -> &[Matcher] {
        self.entries.get(number).map_or(&[], |entry| &entry.matchers)
    }

    /// What to ask the storage for, in the order of the numbers.
    pub(crate) fn requests(&self) -> impl Iterator<Item = SelectRequest<'_>> {
        self.entries.iter().map(|Entry { matchers, range, need, values, starts }| SelectRequest {
            matchers,
            range: *range,
            need: *need,
            values: *values,
            starts: *starts,
            watch: Watch::NONE,
        })
    }

    /// The range that covers everything, if there is a selector at all.
    pub(crate) fn range(&self) -> Option<TimeRange> {
        self.entries.iter().map(|entry| entry.range).reduce(hull)
    }
}

fn hull(a: TimeRange, b: TimeRange) -> TimeRange {
    TimeRange::new(a.start.min(b.start), a.end.max(b.end))
}
