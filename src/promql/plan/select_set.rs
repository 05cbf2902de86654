//! The distinct selectors of a plan and what is read of each.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::model::{Matcher, TimeRange};
use crate::storage::{Fields, Need, SelectRequest, Watch};

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
    fields: Fields,
}

impl SelectSet {
    /// No selectors. Without `starts` nothing asks for start timestamps.
    pub(crate) fn new(starts: bool) -> Self {
        Self { starts, ..Self::default() }
    }

    /// The number of the selector that serves at least `request`.
    pub(crate) fn add(&mut self, request: SelectRequest<'_>) -> usize {
        let SelectRequest { matchers, range, need, mut fields, .. } = request;
        fields.starts &= self.starts;
        let mut text = String::new();
        for matcher in matchers {
            let _ = write!(text, "{matcher},");
        }
        let at = *self.numbers.entry(text).or_insert(self.entries.len());
        if let Some(known) = self.entries.get_mut(at) {
            // The newest sample of the hull need not be that of each range.
            known.need = if known.range == range { known.need.and(need) } else { Need::Samples };
            known.range = hull(known.range, range);
            known.fields = known.fields.and(fields);
            return at;
        }
        self.entries.push(Entry { matchers: matchers.to_vec(), range, need, fields });
        at
    }

    /// The conditions of selector `number`.
    pub(crate) fn matchers(&self, number: usize) -> &[Matcher] {
        self.entries.get(number).map_or(&[], |entry| &entry.matchers)
    }

    /// What to ask the storage for, in the order of the numbers.
    pub(crate) fn requests(&self) -> impl Iterator<Item = SelectRequest<'_>> {
        self.entries.iter().map(|Entry { matchers, range, need, fields }| SelectRequest {
            matchers,
            range: *range,
            need: *need,
            fields: *fields,
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
