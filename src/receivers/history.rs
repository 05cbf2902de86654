//! The last deliveries, for people: a ring in memory.

use std::collections::{HashMap, VecDeque};
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
    /// Kind of the integration, and its place among those of the receiver.
    pub(crate) integration: &'static str,
    pub(crate) place: usize,
    pub(crate) group_labels: Labels,
    /// Alerts that were sent.
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

/// The last deliveries, and the last one of each integration.
#[derive(Debug, Default)]
pub(super) struct History {
    all: VecDeque<Arc<Delivered>>,
    /// By receiver and place.
    last: HashMap<(String, usize), Arc<Delivered>>,
}

impl History {
    pub(super) fn push(&mut self, delivered: Delivered) {
        if self.all.len() >= MAX_DELIVERIES {
            self.all.pop_front();
        }
        let delivered = Arc::new(delivered);
        self.last.insert((delivered.receiver.clone(), delivered.place), Arc::clone(&delivered));
        self.all.push_back(delivered);
    }

    /// The newest first.
    pub(super) fn newest(&self) -> Vec<Arc<Delivered>> {
        self.all.iter().rev().cloned().collect()
    }

    /// What became of the last delivery to an integration of that kind.
    pub(super) fn last(&self, receiver: &str, place: usize, kind: &str) -> Option<Arc<Delivered>> {
        let last = self.last.get(&(receiver.to_owned(), place))?;
        (last.integration == kind).then(|| Arc::clone(last))
    }

    /// Forgets the last deliveries to receivers that are no longer there.
    pub(super) fn retain(&mut self, is_there: impl Fn(&str, usize) -> bool) {
        self.last.retain(|(receiver, place), _| is_there(receiver, *place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_integration_has_a_last_delivery_of_its_own() {
        let delivered = |place: usize, error: Option<&str>| Delivered {
            at_ms: 0,
            receiver: "a".to_owned(),
            integration: "webhook",
            place,
            group_labels: Labels::empty(),
            firing: 1,
            resolved: 0,
            alerts: Vec::new(),
            error: error.map(str::to_owned),
            took: Duration::ZERO,
            attempts: 1,
            is_test: false,
        };
        let mut history = History::default();
        history.push(delivered(0, Some("refused")));
        for _ in 0..MAX_DELIVERIES {
            history.push(delivered(1, None));
        }
        let error = |history: &History, place, kind| {
            history.last("a", place, kind).map(|last| last.error.clone().unwrap_or_default())
        };
        assert_eq!(history.newest().len(), MAX_DELIVERIES);
        assert_eq!(
            error(&history, 0, "webhook").as_deref(),
            Some("refused"),
            "however often others are told"
        );
        assert_eq!(error(&history, 1, "webhook").as_deref(), Some(""));
        assert_eq!(error(&history, 0, "slack"), None, "it was another one");
        history.retain(|_, place| place == 1);
        assert_eq!(error(&history, 0, "webhook"), None);
    }
}
