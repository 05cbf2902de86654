//! The states of alerts on disk: a log of changes that is rewritten when it is long.
//!
//! **Format**: `docs/format/alerts.md`.
//!
//! **Invariants**: what [`Store::record`] was told to keep durably is there after any crash, whole or not at all. After a
//! failed write the whole state is written anew before anything else.
//!
//! **Locking**: one mutex; whoever records waits for the disk with it in hand.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Mutex;

use bincode::{Decode, Encode};

use super::Error;
use super::alert::{Alert, AlertState};
use super::state::{GroupKey, RuleKey};
use crate::codec::ByteWriter as _;
use crate::codec::frame::put_record;
use crate::model::Labels;
use crate::tsdb::state_log::{StateFile, StateLog};
use crate::util::lock::lock;

/// The file, in a folder of its own.
const FILE: StateFile = StateFile { name: "alerts.log", header: *b"EKALERT\x01", what: "alert state log" };
/// Alerts in one record at most.
const ALERTS_PER_RECORD: usize = 256;
/// Bytes of a record that are read at most.
const MAX_RECORD_BYTES: usize = 64 << 20;

type Pairs = Vec<(String, String)>;

/// One record: what happened in a group.
#[derive(Debug, Encode, Decode)]
struct Record {
    file: String,
    group: String,
    /// Evaluation time in milliseconds.
    at: i64,
    /// The group is gone, with all its alerts.
    gone: bool,
    /// Name and labels of the rule, how many before it have the same, and what became of its alerts.
    rule: Option<(String, u32, Vec<Saved>, Vec<Pairs>)>,
}

/// An alert as it is stored.
#[derive(Debug, Encode, Decode)]
struct Saved {
    labels: Pairs,
    annotations: Pairs,
    value_bits: u64,
    state: u8,
    active_at: i64,
    fired_at: Option<i64>,
    resolved_at: Option<i64>,
    keep_firing_since: Option<i64>,
    last_sent: Option<i64>,
}

/// The stored state of a group.
#[derive(Debug, Clone, Default)]
pub(super) struct SavedGroup {
    /// The last evaluation that left a trace, in milliseconds.
    pub(super) at: i64,
    pub(super) alerts: HashMap<RuleKey, HashMap<Labels, Alert>>,
}

/// Keeps the states of alerts.
#[derive(Debug)]
pub(super) struct Store {
    /// Whether there was a file when it was opened.
    found: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    log: StateLog,
    /// Whether there is to be a file: not before what came before it was taken over.
    established: bool,
    groups: HashMap<GroupKey, SavedGroup>,
}

/// What became of the alerts of a rule.
pub(super) struct Change<'a> {
    pub(super) group: &'a GroupKey,
    pub(super) rule: &'a RuleKey,
    /// Evaluation time in milliseconds.
    pub(super) at: i64,
    pub(super) changed: &'a [Alert],
    pub(super) forgotten: &'a [Labels],
}

impl Store {
    /// Opens the store in `folder`, making it if absent. A damaged end is cut off and told in the log.
    ///
    /// # Errors
    /// When the disk refuses, or the file is of a version that is not known.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        let mut groups = HashMap::new();
        let apply = |payload: &[u8]| decode(payload).map(|record| apply(&mut groups, record)).is_some();
        let (log, found) = StateLog::read(folder, FILE, apply)?;
        let store = Self { found, inner: Mutex::new(Inner { log, established: found, groups }) };
        if found {
            let inner = &mut *lock(&store.inner);
            inner.log.rewrite(&whole(&inner.groups))?;
        }
        Ok(store)
    }

    /// From now on there is a file: whatever the series of alerts tell was taken over. Until then nothing is written, so
    /// that a start that is cut short is followed by one that looks at the series again.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub(super) fn establish(&self) -> Result<(), Error> {
        let inner = &mut *lock(&self.inner);
        if std::mem::replace(&mut inner.established, true) {
            return Ok(());
        }
        append(inner, &[], true)
    }

    /// Whether there was a store already: what it does not know was not there.
    pub(super) fn was_found(&self) -> bool {
        self.found
    }

    /// The state of a group.
    pub(super) fn group(&self, key: &GroupKey) -> Option<SavedGroup> {
        lock(&self.inner).groups.get(key).cloned()
    }

    /// Notes what became of the alerts of a rule.
    ///
    /// # Errors
    /// When the disk refuses. What was noted is known nevertheless, and is written with what comes next.
    pub(super) fn record(&self, change: &Change<'_>, durably: bool) -> Result<(), Error> {
        let inner = &mut *lock(&self.inner);
        let group = inner.groups.entry(change.group.clone()).or_default();
        group.at = change.at;
        let alerts = group.alerts.entry(change.rule.clone()).or_default();
        for labels in change.forgotten {
            alerts.remove(labels);
        }
        for alert in change.changed {
            alerts.insert(alert.labels.clone(), alert.clone());
        }
        if alerts.is_empty() {
            group.alerts.remove(change.rule);
        }
        let mut out = Vec::new();
        let pieces = change.changed.chunks(ALERTS_PER_RECORD).map(|changed| (changed, &[][..]));
        for (changed, forgotten) in pieces.chain([(&[][..], change.forgotten)]) {
            if !changed.is_empty() || !forgotten.is_empty() {
                put_rule(&mut out, change.group, change.at, change.rule, changed.iter(), forgotten);
            }
        }
        append(inner, &out, durably)
    }

    /// Notes that a group with alerts was evaluated at `at` (milliseconds).
    ///
    /// # Errors
    /// As [`Store::record`].
    pub(super) fn evaluated(&self, key: &GroupKey, at: i64) -> Result<(), Error> {
        let inner = &mut *lock(&self.inner);
        let Some(group) = inner.groups.get_mut(key).filter(|group| !group.alerts.is_empty()) else {
            return Ok(());
        };
        group.at = at;
        let mut out = Vec::new();
        put(&mut out, &Record { file: key.0.clone(), group: key.1.clone(), at, gone: false, rule: None });
        append(inner, &out, false)
    }

    /// Forgets the groups and rules that are not in `known`.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub(super) fn retain(&self, known: &HashMap<GroupKey, HashSet<RuleKey>>) -> Result<(), Error> {
        let inner = &mut *lock(&self.inner);
        let mut out = Vec::new();
        inner.groups.retain(|key, group| {
            let Some(rules) = known.get(key) else {
                put(
                    &mut out,
                    &Record { file: key.0.clone(), group: key.1.clone(), at: 0, gone: true, rule: None },
                );
                return false;
            };
            let at = group.at;
            group.alerts.retain(|rule, alerts| {
                let stays = rules.contains(rule);
                if !stays {
                    let gone: Vec<Labels> = alerts.keys().cloned().collect();
                    put_rule(&mut out, key, at, rule, [].iter(), &gone);
                }
                stays
            });
            true
        });
        if out.is_empty() { Ok(()) } else { append(inner, &out, true) }
    }
}

fn append(inner: &mut Inner, bytes: &[u8], durably: bool) -> Result<(), Error> {
    if !inner.established {
        return Ok(());
    }
    let groups = &inner.groups;
    Ok(inner.log.append(bytes, durably, || whole(groups))?)
}

/// The records of the whole state.
fn whole(groups: &HashMap<GroupKey, SavedGroup>) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, group) in groups {
        for (rule, alerts) in &group.alerts {
            let all: Vec<&Alert> = alerts.values().collect();
            for piece in all.chunks(ALERTS_PER_RECORD) {
                put_rule(&mut out, key, group.at, rule, piece.iter().copied(), &[]);
            }
        }
    }
    out
}

fn put(out: &mut Vec<u8>, record: &Record) {
    let payload = bincode::encode_to_vec(record, bincode::config::standard());
    // Encoding to memory cannot fail.
    put_record(out, |out| out.put_bytes(&payload.unwrap_or_default()));
}

fn put_rule<'a>(
    out: &mut Vec<u8>,
    (file, group): &GroupKey,
    at: i64,
    (rule, number): &RuleKey,
    changed: impl Iterator<Item = &'a Alert>,
    forgotten: &[Labels],
) {
    let rule =
        (rule.clone(), *number, changed.map(Saved::of).collect(), forgotten.iter().map(pairs).collect());
    put(out, &Record { file: file.clone(), group: group.clone(), at, gone: false, rule: Some(rule) });
}

fn pairs(labels: &Labels) -> Pairs {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

impl Saved {
    fn of(alert: &Alert) -> Self {
        Self {
            labels: pairs(&alert.labels),
            annotations: pairs(&alert.annotations),
            value_bits: alert.value.to_bits(),
            state: match alert.state {
                AlertState::Inactive => 0,
                AlertState::Pending => 1,
                AlertState::Firing => 2,
            },
            active_at: alert.active_at,
            fired_at: alert.fired_at,
            resolved_at: alert.resolved_at,
            keep_firing_since: alert.keep_firing_since,
            last_sent: alert.last_sent,
        }
    }

    fn into_alert(self) -> Option<Alert> {
        let state = match self.state {
            0 => AlertState::Inactive,
            1 => AlertState::Pending,
            2 => AlertState::Firing,
            _ => return None,
        };
        Some(Alert {
            labels: Labels::from_pairs(self.labels),
            annotations: Labels::from_pairs(self.annotations),
            value: f64::from_bits(self.value_bits),
            state,
            active_at: self.active_at,
            fired_at: self.fired_at,
            resolved_at: self.resolved_at,
            keep_firing_since: self.keep_firing_since,
            last_sent: self.last_sent,
        })
    }
}

fn decode(payload: &[u8]) -> Option<Record> {
    let config = bincode::config::standard().with_limit::<MAX_RECORD_BYTES>();
    let (record, used) = bincode::decode_from_slice(payload, config).ok()?;
    (used == payload.len()).then_some(record)
}

fn apply(groups: &mut HashMap<GroupKey, SavedGroup>, record: Record) {
    let key = (record.file, record.group);
    if record.gone {
        groups.remove(&key);
        return;
    }
    let group = groups.entry(key).or_default();
    group.at = record.at;
    let Some((rule, number, changed, forgotten)) = record.rule else { return };
    let alerts = group.alerts.entry((rule, number)).or_default();
    for labels in forgotten {
        alerts.remove(&Labels::from_pairs(labels));
    }
    for alert in changed.into_iter().filter_map(Saved::into_alert) {
        alerts.insert(alert.labels.clone(), alert);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> GroupKey {
        ("f.yml".to_owned(), name.to_owned())
    }

    fn rule(name: &str) -> RuleKey {
        (name.to_owned(), 0)
    }

    fn alert(host: &str, state: AlertState, active_at: i64) -> Alert {
        Alert {
            labels: Labels::from_pairs([("alertname", "A"), ("host", host)]),
            annotations: Labels::from_pairs([("summary", "it is down")]),
            value: 1.5,
            state,
            active_at,
            fired_at: Some(active_at + 1),
            resolved_at: None,
            keep_firing_since: Some(7),
            last_sent: None,
        }
    }

    fn change<'a>(group: &'a GroupKey, rule: &'a RuleKey, at: i64, changed: &'a [Alert]) -> Change<'a> {
        Change { group, rule, at, changed, forgotten: &[] }
    }

    /// Everything that is known, in a fixed order.
    fn known(store: &Store) -> String {
        let inner = lock(&store.inner);
        let mut lines = Vec::new();
        for (key, group) in &inner.groups {
            for (rule, alerts) in &group.alerts {
                let all = alerts.values().map(|alert| format!("{} {} {} {alert:?}", key.1, group.at, rule.0));
                lines.extend(all);
            }
        }
        lines.sort();
        lines.join("\n")
    }

    #[test]
    fn every_state_comes_back_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let (g, h, a, b) = (key("g"), key("h"), rule("A"), rule("B"));
        let expected = {
            let store = Store::open(folder.path()).expect("opens");
            assert!(!store.was_found());
            store.establish().expect("written");
            let many: Vec<Alert> = (0..600).map(|n| alert(&n.to_string(), AlertState::Firing, n)).collect();
            store.record(&change(&g, &a, 10, &many), true).expect("written");
            store.record(&change(&g, &b, 10, &[alert("x", AlertState::Pending, 5)]), true).expect("written");
            store.record(&change(&h, &a, 10, &[alert("x", AlertState::Inactive, 5)]), true).expect("written");
            let gone = [many[0].labels.clone()];
            let forgets = Change { group: &g, rule: &a, at: 20, changed: &many[1..2], forgotten: &gone };
            store.record(&forgets, true).expect("written");
            store.evaluated(&g, 30).expect("written");
            store.retain(&HashMap::from([(g.clone(), HashSet::from([a.clone()]))])).expect("written");
            known(&store)
        };
        assert_eq!(expected.lines().count(), 599);
        let store = Store::open(folder.path()).expect("opens");
        assert!(store.was_found());
        assert_eq!(known(&store), expected);
        assert_eq!(known(&Store::open(folder.path()).expect("opens")), expected);
    }

    #[test]
    fn a_file_cut_or_changed_anywhere_gives_what_came_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let (g, a) = (key("g"), rule("A"));
        let mut states = Vec::new();
        {
            let store = Store::open(folder.path()).expect("opens");
            store.establish().expect("written");
            for at in 0..4 {
                states.push(known(&store));
                store
                    .record(&change(&g, &a, at, &[alert(&at.to_string(), AlertState::Firing, at)]), true)
                    .expect("written");
            }
            states.push(known(&store));
        }
        let path = folder.path().join(FILE.name);
        let whole = std::fs::read(&path).expect("there");
        for cut in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[cut] ^= 0x10;
            for bytes in [&whole[..cut], &flipped] {
                let damaged = tempfile::tempdir().expect("a folder");
                std::fs::write(damaged.path().join(FILE.name), bytes).expect("written");
                match Store::open(damaged.path()) {
                    Ok(store) => assert!(states.contains(&known(&store)), "byte {cut}: {}", known(&store)),
                    Err(error) => {
                        assert!(cut == 7 && error.to_string().contains("version"), "byte {cut}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn there_is_no_file_before_it_is_established() {
        let folder = tempfile::tempdir().expect("a folder");
        let (g, a) = (key("g"), rule("A"));
        let store = Store::open(folder.path()).expect("opens");
        store.record(&change(&g, &a, 5, &[alert("x", AlertState::Firing, 5)]), true).expect("known");
        assert!(!Store::open(folder.path()).expect("opens").was_found());
        store.establish().expect("written");
        let expected = known(&store);
        let again = Store::open(folder.path()).expect("opens");
        assert!(again.was_found() && !expected.is_empty());
        assert_eq!(known(&again), expected);
        std::fs::write(folder.path().join(FILE.name), "nonsense").expect("written");
        assert!(!Store::open(folder.path()).expect("opens").was_found(), "nothing of it is known");
    }

    #[test]
    fn the_file_does_not_grow_with_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let (g, a) = (key("g"), rule("A"));
        let store = Store::open(folder.path()).expect("opens");
        store.establish().expect("written");
        let alerts: Vec<Alert> = (0..100).map(|n| alert(&n.to_string(), AlertState::Firing, n)).collect();
        for at in 0..500 {
            store.record(&change(&g, &a, at, &alerts), false).expect("written");
        }
        let bytes = std::fs::metadata(folder.path().join(FILE.name)).expect("there").len();
        assert!(bytes < 2 << 20, "{bytes} bytes");
        let expected = known(&store);
        drop(store);
        assert_eq!(known(&Store::open(folder.path()).expect("opens")), expected);
    }
}
