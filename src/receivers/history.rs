//! The last deliveries, for people: a ring in memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::model::Labels;

/// Deliveries that are remembered.
pub(super) const MAX_DELIVERIES: usize = 500;

/// Labels of so many of its alerts are remembered.
const MAX_ALERTS: usize = 20;

/// And no more than so many bytes of them.
const MAX_LABEL_BYTES: usize = 8 << 10;

/// A delivery that ended.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    /// When it ended, in milliseconds since the Unix epoch.
    pub(crate) at_ms: i64,
    pub(crate) receiver: String,
    /// Kind of the integration.
    pub(crate) integration: &'static str,
    pub(crate) group_labels: Labels,
    pub(crate) firing: usize,
    pub(crate) resolved: usize,
    /// Labels of the first alerts.
    pub(crate) alerts: Vec<Labels>,
    /// Why it was given up; none when it arrived.
    pub(crate) error: Option<String>,
    pub(crate) took: Duration,
    pub(crate) attempts: u32,
    /// Whether somebody asked for it to see whether it works.
    pub(crate) is_test: bool,
}

impl Delivered {
    /// The labels of the alerts that are remembered.
    pub(super) fn first<'a>(labels: impl Iterator<Item = &'a Labels>) -> Vec<Labels> {
        let mut room = MAX_LABEL_BYTES;
        let fits = |labels: &&'a Labels| {
            let left = room.checked_sub(labels.packed_len());
            room = left.unwrap_or(0);
            left.is_some()
        };
        labels.take(MAX_ALERTS).take_while(fits).cloned().collect()
    }
}

/// The last deliveries.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Arc<Delivered>>);

impl History {
    pub(super) fn push(&mut self, delivered: Delivered) {
        if self.0.len() >= MAX_DELIVERIES {
            self.0.pop_front();
        }
        self.0.push_back(Arc::new(delivered));
    }

    /// The newest first.
    pub(super) fn newest(&self) -> Vec<Arc<Delivered>> {
        self.0.iter().rev().cloned().collect()
    }
}
