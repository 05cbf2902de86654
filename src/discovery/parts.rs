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

    /// `part` is well; if it was asked, it took so long, and it will be again after `pause` unless it tells by itself.
    pub(super) fn succeeded(
        &self,
        part: &str,
        took: impl Into<Option<Duration>>,
        pause: impl Into<Option<Duration>>,
    ) {
        let mut failing = lock(&self.failing);
        failing.remove(part);
        if failing.is_empty() {
            self.groups.succeeded(took.into(), pause.into());
        }
    }

    /// `part` is not well; it will be asked again after `pause`, if that is known.
    pub(super) fn failed(&self, part: &str, reason: &str, pause: impl Into<Option<Duration>>) {
        lock(&self.failing).insert(part.to_owned(), reason.to_owned());
        self.groups.failed(reason, pause.into());
    }

    /// Nobody asks for `part` any more.
    pub(super) fn gone(&self, part: &str) {
        lock(&self.failing).remove(part);
    }
}
