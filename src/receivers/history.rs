//! The last deliveries, for people: a ring in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{NotificationsConfig, ReceiverConfig};
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
    /// By receiver and place, with the receiver as it was then.
    last: HashMap<(String, usize), (Arc<ReceiverConfig>, Arc<Delivered>)>,
}

/// Whether an integration of a receiver is in `config` as it was.
fn is_same(config: Option<&NotificationsConfig>, receiver: &ReceiverConfig, place: usize) -> bool {
    let now = config.and_then(|config| config.receiver(&receiver.name));
    let now = now.and_then(|receiver| receiver.integrations.get(place));
    now.is_some() && now == receiver.integrations.get(place)
}

impl History {
    /// Notes a delivery to an integration of `receiver`: the last one of that, unless it is no longer in `config` as it was.
    pub(super) fn push(
        &mut self,
        delivered: Delivered,
        receiver: &Arc<ReceiverConfig>,
        config: Option<&NotificationsConfig>,
    ) {
        if self.all.len() >= MAX_DELIVERIES {
            self.all.pop_front();
        }
        let delivered = Arc::new(delivered);
        if is_same(config, receiver, delivered.place) {
            let key = (delivered.receiver.clone(), delivered.place);
            self.last.insert(key, (Arc::clone(receiver), Arc::clone(&delivered)));
        }
        self.all.push_back(delivered);
    }

    /// The newest first.
    pub(super) fn newest(&self) -> Vec<Arc<Delivered>> {
        self.all.iter().rev().cloned().collect()
    }

    /// What became of the last delivery to an integration of that kind.
    pub(super) fn last(&self, receiver: &str, place: usize, kind: &str) -> Option<Arc<Delivered>> {
        let (_, last) = self.last.get(&(receiver.to_owned(), place))?;
        (last.integration == kind).then(|| Arc::clone(last))
    }

    /// Forgets the last deliveries to integrations that are not in `config` as they were.
    pub(super) fn retain(&mut self, config: Option<&NotificationsConfig>) {
        self.last.retain(|(_, place), (receiver, _)| is_same(config, receiver, *place));
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
        let config = |urls: &[&str]| {
            let one = |url: &&str| format!("{{url: 'http://{url}/'}}");
            let urls: Vec<String> = urls.iter().map(one).collect();
            let text = format!(
                "notifications: {{route: {{receiver: a}}, receivers: [{{name: a, webhook_configs: [{}]}}]}}",
                urls.join(", ")
            );
            let config = crate::config::parse(&text, "f", &crate::config::LoadOptions::default());
            config.expect("a configuration").notifications.expect("the section")
        };
        let mut history = History::default();
        let before = config(&["h", "i"]);
        let receiver = before.receiver("a").expect("there");
        history.push(delivered(0, Some("refused")), receiver, Some(&before));
        for _ in 0..MAX_DELIVERIES {
            history.push(delivered(1, None), receiver, Some(&before));
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
        // Another one in its place begins with none, also where a delivery to the old one ends later.
        let after = config(&["other", "i"]);
        history.retain(Some(&after));
        history.push(delivered(0, Some("late")), receiver, Some(&after));
        assert_eq!(error(&history, 0, "webhook"), None);
        assert_eq!(error(&history, 1, "webhook").as_deref(), Some(""), "that one is the same");
        assert_eq!(history.newest()[0].error.as_deref(), Some("late"));
        history.retain(Some(&config(&["i"])));
        assert_eq!(error(&history, 1, "webhook"), None);
        history.push(delivered(0, None), receiver, None);
        assert_eq!(error(&history, 0, "webhook"), None, "notification is off");
    }
}
