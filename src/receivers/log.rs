//! The log of notifications: what each receiver was last told about each group, which decides whether to tell it again.

use std::collections::HashMap;
use std::sync::Arc;

/// Entries at most; the oldest go first.
pub(super) const MAX_ENTRIES: usize = 50_000;

/// Who was told about what.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LogKey {
    /// The key of the group.
    pub(super) group: Arc<str>,
    /// Name of the receiver.
    pub(super) receiver: Arc<str>,
    /// Kind and number of the integration: `webhook/0`.
    pub(super) integration: String,
}

/// What was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogEntry {
    /// When, in milliseconds.
    pub(super) at: i64,
    /// When it no longer matters, in milliseconds.
    pub(super) expires_at: i64,
    /// Fingerprints of alerts that fired, sorted.
    pub(super) firing: Vec<u64>,
    /// Fingerprints of alerts that were resolved, sorted.
    pub(super) resolved: Vec<u64>,
}

fn is_subset(of: &[u64], subset: &[u64]) -> bool {
    subset.iter().all(|one| of.binary_search(one).is_ok())
}

/// Whether a receiver that was last told `last` is to be told that now `firing` fire and `resolved` are resolved, both
/// sorted. Times are in milliseconds.
pub(super) fn needs_update(
    last: Option<&LogEntry>,
    (firing, resolved): (&[u64], &[u64]),
    send_resolved: bool,
    repeat_interval: i64,
    now: i64,
) -> bool {
    let Some(last) = last else { return !firing.is_empty() };
    if !is_subset(&last.firing, firing) {
        return true;
    }
    if firing.is_empty() {
        // Also where nobody is told of it: the entry must say that nothing fires any more. If nothing fired before either,
        // alerts came and went without the receiver knowing of them.
        return !last.firing.is_empty();
    }
    if send_resolved && !is_subset(&last.resolved, resolved) {
        return true;
    }
    last.at < now.saturating_sub(repeat_interval)
}

/// The last entry for each receiver and group.
#[derive(Debug, Clone, Default)]
pub(super) struct NotificationLog(HashMap<LogKey, Arc<LogEntry>>);

impl NotificationLog {
    pub(super) fn get(&self, key: &LogKey) -> Option<&Arc<LogEntry>> {
        self.0.get(key)
    }

    /// Puts an entry in the place of the one before. When there are too many, the oldest tenth goes.
    pub(super) fn put(&mut self, key: LogKey, entry: Arc<LogEntry>) {
        self.0.insert(key, entry);
        if self.0.len() > MAX_ENTRIES {
            let mut times: Vec<i64> = self.0.values().map(|entry| entry.at).collect();
            let (_, bound, _) = times.select_nth_unstable(MAX_ENTRIES / 10);
            let bound = *bound;
            self.0.retain(|_, entry| entry.at > bound);
        }
    }

    /// Forgets what no longer matters at `now`; says whether there was any.
    pub(super) fn sweep(&mut self, now: i64) -> bool {
        let before = self.0.len();
        self.0.retain(|_, entry| entry.expires_at > now);
        self.0.len() < before
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&LogKey, &Arc<LogEntry>)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_told_again() {
        let entry = |firing: &[u64], resolved: &[u64]| {
            Some(LogEntry { at: 1000, expires_at: 0, firing: firing.to_vec(), resolved: resolved.to_vec() })
        };
        let check = |last: Option<LogEntry>, now: (&[u64], &[u64]), send_resolved, at, expected: bool| {
            let needs = needs_update(last.as_ref(), now, send_resolved, 100, at);
            assert_eq!(needs, expected, "{last:?} {now:?} {send_resolved} {at}");
        };
        check(None, (&[1], &[]), true, 1000, true);
        check(None, (&[], &[1]), true, 1000, false);
        check(entry(&[1], &[]), (&[1], &[]), true, 1010, false);
        check(entry(&[1], &[]), (&[1, 2], &[]), true, 1010, true);
        check(entry(&[1, 2], &[]), (&[1], &[]), true, 1010, false);
        check(entry(&[1, 2], &[]), (&[1], &[2]), true, 1010, true);
        check(entry(&[1, 2], &[]), (&[1], &[2]), false, 1010, false);
        check(entry(&[1], &[]), (&[], &[1]), true, 1010, true);
        check(entry(&[1], &[]), (&[], &[1]), false, 1010, true);
        check(entry(&[], &[1]), (&[], &[1]), true, 5000, false);
        check(entry(&[1], &[]), (&[1], &[]), true, 1100, false);
        check(entry(&[1], &[]), (&[1], &[]), true, 1101, true);
    }
}
