//! Which series belong together.

use hashbrown::HashMap;

use crate::model::{Labels, METRIC_NAME};
use crate::promql::exec::batch::is_metadata;

/// Which group a series belongs to.
pub(super) struct Groups<'a> {
    pub(super) grouping: &'a [String],
    pub(super) without: bool,
    pub(super) known: HashMap<Labels, usize>,
}

impl<'a> Groups<'a> {
    pub(super) fn new(grouping: &'a [String], without: bool) -> Self {
        Self { grouping, without, known: HashMap::new() }
    }

    /// The labels of the group of a series.
    pub(super) fn labels(&self, labels: &Labels) -> Labels {
        let listed = |name: &str| self.grouping.binary_search_by(|g| g.as_str().cmp(name)).is_ok();
        if self.without {
            labels.without(|name| is_metadata(name) || listed(name))
        } else if self.grouping.is_empty() {
            Labels::empty()
        } else {
            labels.without(|name| !listed(name))
        }
    }

    /// Number and labels of the group of a series; numbers count from zero in order of first appearance.
    pub(super) fn find(&mut self, labels: &Labels) -> (usize, Labels) {
        // Without a clause the name stays out of it, so that one lookup serves all series.
        let group = self.labels(labels);
        let next = self.known.len();
        let at = *self.known.entry(group.clone()).or_insert(next);
        (at, group)
    }
}

/// Whether a row that is to lose its name makes its group lose it too.
pub(super) fn inherits_drop(labels: &Labels, drop: bool) -> bool {
    drop && labels.get(METRIC_NAME).is_some()
}
