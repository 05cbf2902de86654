//! The distinct selectors of a plan and what is read of each.

use crate::model::{Matcher, TimeRange};

/// Selectors with equal matchers share one entry, whose range covers all of them.
#[derive(Debug, Default)]
pub(crate) struct SelectSet {
    entries: Vec<(Vec<Matcher>, TimeRange)>,
}

impl SelectSet {
    /// The number of the selector with these matchers, reading at least `range` of it.
    pub(crate) fn add(&mut self, matchers: &[Matcher], range: TimeRange) -> usize {
        if let Some(at) = self.entries.iter().position(|(m, _)| m == matchers) {
            let known = &mut self.entries[at].1;
            *known = hull(*known, range);
            return at;
        }
        self.entries.push((matchers.to_vec(), range));
        self.entries.len() - 1
    }

    /// The selectors in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[Matcher], TimeRange)> {
        self.entries.iter().map(|(matchers, range)| (matchers.as_slice(), *range))
    }

    /// The range that covers everything, if there is a selector at all.
    pub(crate) fn range(&self) -> Option<TimeRange> {
        self.entries.iter().map(|(_, range)| *range).reduce(hull)
    }
}

fn hull(a: TimeRange, b: TimeRange) -> TimeRange {
    TimeRange::new(a.start.min(b.start), a.end.max(b.end))
}
