//! The log of notifications: what each receiver was last told about each group, which decides whether to tell it again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Entries at most, which is ten integrations for each group there may be; the oldest go first.
pub(super) const MAX_ENTRIES: usize = 200_000;

/// Bytes of keys and fingerprints at most; the oldest entries go first.
pub(super) const MAX_LOG_BYTES: usize = 128 << 20;

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
    // One from the future was written before the clock was set back: nobody knows how long ago that was.
    last.at < now.saturating_sub(repeat_interval) || last.at > now
}

/// The last entry for each receiver and group.
#[derive(Debug, Clone, Default)]
pub(super) struct NotificationLog {
    entries: HashMap<LogKey, Arc<LogEntry>>,
    bytes: usize,
}

/// Bytes that an entry stands for.
fn bytes(key: &LogKey, entry: &LogEntry) -> usize {
    key.group.len() + key.integration.len() + 8 * (entry.firing.len() + entry.resolved.len())
}

impl NotificationLog {
    pub(super) fn get(&self, key: &LogKey) -> Option<&Arc<LogEntry>> {
        self.entries.get(key)
    }

    /// Puts an entry in the place of the one before. When there are too many, the oldest go, until a tenth is free.
    pub(super) fn put(&mut self, key: LogKey, entry: Arc<LogEntry>) {
        self.bytes += bytes(&key, &entry);
        if let Some(before) = self.entries.get(&key) {
            self.bytes -= bytes(&key, before);
        }
        self.entries.insert(key, entry);
        if self.entries.len() > MAX_ENTRIES || self.bytes > MAX_LOG_BYTES {
            self.evict(MAX_ENTRIES / 10 * 9, MAX_LOG_BYTES / 10 * 9);
        }
    }

    /// Drops the oldest, of equal ones those with the lowest keys, until there are at most so many entries and bytes.
    fn evict(&mut self, entries: usize, most_bytes: usize) {
        let mut by_age: Vec<(i64, LogKey)> =
            self.entries.iter().map(|(key, entry)| (entry.at, key.clone())).collect();
        by_age.sort_unstable();
        for (_, key) in by_age {
            if self.entries.len() <= entries && self.bytes <= most_bytes {
                break;
            }
            if let Some(entry) = self.entries.remove(&key) {
                self.bytes -= bytes(&key, &entry);
            }
        }
    }

    /// Forgets what no longer matters at `now`, other than about the groups in `live`; says whether there was any.
    pub(super) fn sweep(&mut self, now: i64, live: &HashSet<Arc<str>>) -> bool {
        let before = self.entries.len();
        let freed = &mut self.bytes;
        self.entries.retain(|key, entry| {
            let stays = entry.expires_at > now || live.contains(&key.group);
            *freed -= if stays { 0 } else { bytes(key, entry) };
            stays
        });
        self.entries.len() < before
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&LogKey, &Arc<LogEntry>)> {
        self.entries.iter()
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
        check(entry(&[1], &[]), (&[1], &[]), true, 999, true);
    }

    fn key(group: usize) -> LogKey {
        LogKey { group: format!("{group:06}").into(), receiver: "r".into(), integration: "webhook/0".into() }
    }

    fn entry(at: i64) -> Arc<LogEntry> {
        Arc::new(LogEntry { at, expires_at: at + 10, firing: vec![1], resolved: Vec::new() })
    }

    #[test]
    fn entries_of_one_moment_do_not_all_go_at_once() {
        let mut log = NotificationLog::default();
        (0..=MAX_ENTRIES).for_each(|group| log.put(key(group), entry(1000)));
        assert_eq!(log.iter().count(), MAX_ENTRIES / 10 * 9);
        assert!(log.get(&key(MAX_ENTRIES)).is_some() && log.get(&key(0)).is_none());
        let counted: usize = log.iter().map(|(key, entry)| bytes(key, entry)).sum();
        assert_eq!(log.bytes, counted);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_bytes() {
        let mut log = NotificationLog::default();
        let large =
            |group: usize| LogKey { group: format!("{group}{}", "x".repeat(8 << 20)).into(), ..key(0) };
        (0..16).zip((0..1000).rev()).for_each(|(group, at)| log.put(large(group), entry(at)));
        assert_eq!(log.iter().count(), 14);
        assert!(log.get(&large(0)).is_some() && log.get(&large(15)).is_none());
        assert!(log.bytes <= MAX_LOG_BYTES);
    }

    #[test]
    fn entries_of_groups_that_exist_do_not_expire() {
        let mut log = NotificationLog::default();
        (0..2).for_each(|group| log.put(key(group), entry(1000)));
        assert!(log.sweep(5000, &HashSet::from([Arc::clone(&key(1).group)])));
        assert!(log.get(&key(0)).is_none() && log.get(&key(1)).is_some());
    }
}
