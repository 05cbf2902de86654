//! The offset of a target inside the grid of intervals.

use crate::model::Labels;
use crate::util;

/// A hash of labels and where they come from: the same on every start, so that a restart keeps the slots.
pub(super) fn stable_hash<'a>(labels: &'a Labels, from: impl IntoIterator<Item = &'a str>) -> u64 {
    util::stable_hash(labels.iter().flat_map(|(name, value)| [name, value]).chain(from))
}
