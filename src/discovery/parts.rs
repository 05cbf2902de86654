//! The health of a mechanism that asks several things at once: it is well when all are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::GroupSender;
use crate::util::lock::lock;

/// Which parts are not well, and why. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    groups: GroupSender,
    failing: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Parts {
    pub(super) fn new(groups: GroupSender) -> Self {
        Self { groups, failing: Arc::default() }
    }

    /// Where groups are handed to.
    pub(super) fn groups(&self) -> &GroupSender {
        &self.groups
    }

    /// `part` is well; it was asked, which took so long, and will be again after `pause`.
    pub(super) fn succeeded(&self, part: &str, took: Duration, pause: Duration) {
        let mut failing = lock(&self.failing);
        failing.remove(part);
        if failing.is_empty() {
            self.groups.succeeded(Some(took), Some(pause));
        }
    }

    /// `part` is not well; it will be asked again after `pause`.
    pub(super) fn failed(&self, part: &str, reason: &str, pause: Duration) {
        lock(&self.failing).insert(part.to_owned(), reason.to_owned());
        self.groups.failed(reason, Some(pause));
    }

    /// Nobody asks for `part` any more.
    pub(super) fn gone(&self, part: &str) {
        lock(&self.failing).remove(part);
    }
}
