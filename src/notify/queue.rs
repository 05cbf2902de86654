//! The alerts that wait for one Alertmanager: in the order in which they came, each once, in its newest state.
//!
//! **Invariants**: there are never more than the capacity, nor more text than [`MAX_BYTES`]; when there are, the oldest
//! leave.
//!
//! **Cost**: what is put in and taken out costs the same however many there are.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::alert::Alert;
use crate::model::Labels;

/// Bytes of texts that may wait for one Alertmanager.
const MAX_BYTES: usize = 64 << 20;
/// Bytes of texts of one request; a single alert may be larger.
const MAX_BATCH_BYTES: usize = 4 << 20;

/// An alert that waits.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) alert: Arc<Alert>,
    /// How often this state of it could not be sent.
    pub(super) attempts: u32,
}

/// What became of alerts that were put in.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Added {
    /// Older states that were replaced.
    pub(super) replaced: usize,
    /// Alerts that had to leave.
    pub(super) dropped: usize,
}

/// A bounded queue.
#[derive(Debug)]
pub(super) struct Queue {
    capacity: usize,
    entries: VecDeque<Entry>,
    /// Number of the first entry; the others are numbered from there.
    first: i64,
    /// The number of each alert that waits.
    numbers: HashMap<Labels, i64>,
    /// Bytes of the texts of all that wait.
    bytes: usize,
    /// How many were taken and neither given back nor done with.
    taken: usize,
    /// Whether alerts had to leave when it was changed last.
    pub(super) overflowed: bool,
    closed: bool,
}

impl Queue {
    /// An empty queue for at most `capacity` alerts.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: VecDeque::new(),
            first: 0,
            numbers: HashMap::new(),
            bytes: 0,
            taken: 0,
            overflowed: false,
            closed: false,
        }
    }

    /// Alerts that wait.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Puts new states of alerts in. The state of one that waits is replaced where it is.
    pub(super) fn push(&mut self, alerts: &[Arc<Alert>]) -> Added {
        let mut added = Added::default();
        if self.closed {
            return added;
        }
        for alert in alerts {
            let entry = Entry { alert: Arc::clone(alert), attempts: 0 };
            self.bytes += alert.text_bytes();
            if let Some(waiting) = self.waiting(&alert.identity) {
                let before = std::mem::replace(waiting, entry);
                self.bytes -= before.alert.text_bytes();
                added.replaced += 1;
            } else {
                let number = self.first + i64::try_from(self.entries.len()).unwrap_or(i64::MAX);
                self.numbers.insert(alert.identity.clone(), number);
                self.entries.push_back(entry);
            }
            while self.entries.len() > self.capacity || self.bytes > MAX_BYTES {
                self.pop();
                added.dropped += 1;
            }
        }
        added
    }

    /// Takes up to `count` alerts that fit one request, the oldest first.
    pub(super) fn take(&mut self, count: usize) -> Vec<Entry> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(next) = self.entries.front().filter(|_| batch.len() < count) {
            bytes += next.alert.text_bytes();
            if bytes > MAX_BATCH_BYTES && !batch.is_empty() {
                break;
            }
            batch.extend(self.pop());
        }
        self.taken = batch.len();
        batch
    }

    /// What was taken is done with.
    pub(super) fn done(&mut self) {
        self.taken = 0;
    }

    /// Puts what was taken back to where it was, but for alerts of which a newer state came meanwhile.
    pub(super) fn give_back(&mut self, batch: Vec<Entry>) -> Added {
        self.taken = 0;
        let mut added = Added::default();
        for entry in batch.into_iter().rev() {
            if self.waiting(&entry.alert.identity).is_some() {
                added.replaced += 1;
            } else if self.entries.len() >= self.capacity || self.bytes + entry.alert.text_bytes() > MAX_BYTES
            {
                added.dropped += 1;
            } else {
                self.first -= 1;
                self.bytes += entry.alert.text_bytes();
                self.numbers.insert(entry.alert.identity.clone(), self.first);
                self.entries.push_front(entry);
            }
        }
        added
    }

    /// Takes nothing more, and forgets what there is; returns how many alerts that were.
    pub(super) fn close(&mut self) -> usize {
        let lost = self.entries.len() + self.taken;
        let capacity = self.capacity;
        *self = Self { closed: true, ..Self::new(capacity) };
        lost
    }

    fn waiting(&mut self, identity: &Labels) -> Option<&mut Entry> {
        let at = self.numbers.get(identity)? - self.first;
        self.entries.get_mut(usize::try_from(at).ok()?)
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.first += 1;
        self.bytes -= entry.alert.text_bytes();
        self.numbers.remove(&entry.alert.identity);
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_that_relabelling_made_equal_are_not_states_of_one() {
        let mut queue = Queue::new(5);
        let states = [("a", 1), ("b", 2), ("a", 3)].map(|(pod, ends_at_ms)| {
            let one = alert(pod, ends_at_ms);
            Arc::new(Alert { labels: Labels::from_pairs([("alertname", "A")]), ..(*one).clone() })
        });
        assert_eq!(queue.push(&states), Added { replaced: 1, dropped: 0 });
        let ends: Vec<i64> = queue.take(9).iter().map(|entry| entry.alert.ends_at_ms).collect();
        assert_eq!(ends, [3, 2]);
    }

    fn alert(name: &str, ends_at_ms: i64) -> Arc<Alert> {
        Arc::new(Alert::new(
            Labels::from_pairs([("alertname", name)]),
            Labels::empty(),
            (0, ends_at_ms),
            String::new(),
        ))
    }

    fn alerts(names: &str, ends_at_ms: i64) -> Vec<Arc<Alert>> {
        names.split(' ').map(|name| alert(name, ends_at_ms)).collect()
    }

    fn shown(batch: &[Entry]) -> String {
        let show = |entry: &Entry| {
            format!("{}{}", entry.alert.labels.get("alertname").unwrap_or(""), entry.alert.ends_at_ms)
        };
        batch.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    fn added(replaced: usize, dropped: usize) -> Added {
        Added { replaced, dropped }
    }

    #[test]
    fn the_oldest_leave_when_it_is_full() {
        let mut queue = Queue::new(3);
        assert_eq!(queue.push(&alerts("a b", 1)), added(0, 0));
        assert_eq!(queue.push(&alerts("c d e", 1)), added(0, 2));
        assert_eq!(queue.len(), 3);
        assert_eq!(shown(&queue.take(2)), "c1 d1");
        assert_eq!(queue.push(&alerts("f g h i", 1)), added(0, 2));
        assert_eq!(shown(&queue.take(9)), "g1 h1 i1");
        assert_eq!(queue.take(9).len(), 0);
    }

    #[test]
    fn the_newest_state_of_an_alert_stands_where_the_first_did() {
        let mut queue = Queue::new(10);
        queue.push(&alerts("a b c", 1));
        assert_eq!(queue.push(&alerts("b a", 2)), added(2, 0));
        assert_eq!(shown(&queue.take(1)), "a2");
        // It is no longer there: it comes in again.
        assert_eq!(queue.push(&alerts("a", 3)), added(0, 0));
        assert_eq!(shown(&queue.take(9)), "b2 c1 a3");
    }

    #[test]
    fn what_comes_back_is_first_again_unless_it_is_outdated_or_there_is_no_room() {
        let mut queue = Queue::new(4);
        queue.push(&alerts("a b c", 1));
        let mut batch = queue.take(2);
        batch.iter_mut().for_each(|entry| entry.attempts += 1);
        queue.push(&alerts("b d", 2));
        assert_eq!(queue.give_back(batch), added(1, 0));
        let batch = queue.take(9);
        assert_eq!(shown(&batch), "a1 c1 b2 d2");
        let attempts: Vec<u32> = batch.iter().map(|entry| entry.attempts).collect();
        assert_eq!(attempts, [1, 0, 0, 0]);
        queue.push(&alerts("e f g", 3));
        assert_eq!(queue.give_back(batch), added(0, 3));
        assert_eq!(shown(&queue.take(9)), "d2 e3 f3 g3");
    }

    #[test]
    fn closing_tells_what_is_lost() {
        let mut queue = Queue::new(10);
        queue.push(&alerts("a b c", 1));
        queue.take(2);
        assert_eq!(queue.close(), 3);
        assert_eq!(queue.push(&alerts("d", 1)), added(0, 0));
        assert_eq!((queue.len(), queue.close()), (0, 0));
        let mut queue = Queue::new(10);
        queue.push(&alerts("a b c", 1));
        queue.take(2);
        queue.done();
        assert_eq!(queue.close(), 1);
    }

    fn large(name: &str, bytes: usize) -> Arc<Alert> {
        let annotations = Labels::from_pairs([("summary", "x".repeat(bytes))]);
        Arc::new(Alert::new(Labels::from_pairs([("alertname", name)]), annotations, (0, 1), String::new()))
    }

    #[test]
    fn texts_are_bounded_in_the_queue_and_in_a_request() {
        let mut queue = Queue::new(100);
        let names = ["a", "b", "c", "d"];
        queue.push(&names.map(|name| large(name, MAX_BATCH_BYTES / 2)));
        let sizes: Vec<usize> = std::iter::from_fn(|| Some(queue.take(9).len())).take(5).collect();
        assert_eq!(sizes, [1, 1, 1, 1, 0]);
        queue.push(&names.map(|name| large(name, 100)));
        assert_eq!(queue.take(9).len(), 4);
        assert_eq!(queue.bytes, 0);
        let many: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let added: Vec<Added> = many.iter().map(|name| queue.push(&[large(name, MAX_BATCH_BYTES)])).collect();
        let dropped = added.iter().map(|added| added.dropped).sum::<usize>();
        assert_eq!((dropped, queue.len()), (5, 15));
        let batch = queue.take(9);
        assert_eq!(shown(&batch), "51");
        queue.push(&[large("more", MAX_BATCH_BYTES)]);
        assert_eq!(queue.give_back(batch), Added { replaced: 0, dropped: 1 });
        // A state that is larger than before makes room too.
        assert_eq!(queue.push(&[large("more", MAX_BATCH_BYTES * 4)]).replaced, 1);
        assert!(queue.bytes <= MAX_BYTES && queue.len() < 15, "{}", queue.len());
    }

    /// Against a list that is searched from its beginning.
    #[test]
    fn it_is_a_list_without_repetitions() {
        let mut state = 1u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut queue = Queue::new(5);
        let mut list: Vec<Arc<Alert>> = Vec::new();
        for step in 0..2000 {
            if random(3) > 0 {
                let new = alert(&random(9).to_string(), step);
                queue.push(std::slice::from_ref(&new));
                match list.iter_mut().find(|old| old.labels == new.labels) {
                    Some(old) => *old = new,
                    None => list.push(new),
                }
                list.drain(..list.len().saturating_sub(5));
            } else {
                let count = usize::try_from(random(4)).expect("small");
                let batch = queue.take(count);
                let expected: Vec<_> = list.drain(..count.min(list.len())).collect();
                assert_eq!(batch.iter().map(|entry| Arc::clone(&entry.alert)).collect::<Vec<_>>(), expected);
                if random(2) > 0 {
                    queue.give_back(batch);
                    list.splice(..0, expected);
                }
            }
            assert_eq!((queue.len(), queue.numbers.len()), (list.len(), list.len()));
        }
    }
}
