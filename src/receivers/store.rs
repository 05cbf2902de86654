//! Silences and the log of notifications on disk.
//!
//! **Format**: `docs/format/notifications.md`.
//!
//! **Locking**: one mutex; whoever records waits for the disk with it in hand.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bincode::{Decode, Encode};

use super::log::{LogEntry, LogKey, NotificationLog};
use super::silence::{Silence, Silences};
use crate::codec::ByteWriter as _;
use crate::codec::frame::put_record;
use crate::model::{MatchOp, Matcher};
use crate::tsdb::state_log::{StateFile, StateLog, StateLogError};
use crate::util::lock::lock;

/// The file, in a folder of its own.
pub(super) const FILE: StateFile =
    StateFile { name: "notifications.log", header: *b"EKNOTIF\x01", what: "notification log" };

/// Bytes of a record that are read at most.
const MAX_RECORD_BYTES: usize = 16 << 20;

/// One record.
#[derive(Debug, Encode, Decode)]
enum Record {
    /// A silence as it is now.
    Silence {
        id: String,
        /// Name, operator and value.
        matchers: Vec<(String, u8, String)>,
        starts_at: i64,
        ends_at: i64,
        updated_at: i64,
        created_by: String,
        comment: String,
    },
    /// A receiver was told about a group.
    Told {
        group: String,
        receiver: String,
        integration: String,
        at: i64,
        expires_at: i64,
        firing: Vec<u64>,
        resolved: Vec<u64>,
    },
}

/// Keeps silences and the log of notifications.
#[derive(Debug)]
pub(super) struct Store(Mutex<Inner>);

/// The file and what it says, so that it can be written anew at any time. Of the matchers of silences there is the text.
#[derive(Debug)]
struct Inner {
    file: StateLog,
    told: NotificationLog,
    silences: Silences,
}

impl Store {
    /// Opens the store in `folder`, making it if absent. To be open once at a time.
    ///
    /// # Errors
    /// When the disk refuses, or the file is of a version that is not known.
    pub(super) fn open(folder: &Path) -> Result<Self, StateLogError> {
        let (mut told, mut silences) = (NotificationLog::default(), Silences::default());
        let apply = |payload: &[u8]| match decode(payload) {
            Some(Read::Silence(silence)) => {
                silences.put(silence);
                true
            }
            Some(Read::Told(key, entry)) => {
                told.put(key, entry.into());
                true
            }
            None => false,
        };
        let (mut file, found) = StateLog::read(folder, FILE, apply)?;
        if found {
            file.rewrite(&whole(&told, &silences))?;
        }
        Ok(Self(Mutex::new(Inner { file, told, silences })))
    }

    /// What it holds. Expressions of silences that are not over at `now` (milliseconds) are read, within one budget.
    pub(super) fn known(&self, now: i64) -> (NotificationLog, Silences) {
        let (told, mut silences) = {
            let Inner { told, silences, .. } = &*lock(&self.0);
            (told.clone(), silences.clone())
        };
        silences.read_expressions(now);
        (told, silences)
    }

    /// Notes that a receiver was told.
    ///
    /// # Errors
    /// When the disk refuses. What was noted is written with what comes next.
    pub(super) fn told(&self, key: &LogKey, entry: &Arc<LogEntry>) -> Result<(), StateLogError> {
        let Inner { file, told, silences } = &mut *lock(&self.0);
        let mut out = Vec::new();
        put_told(&mut out, key, entry);
        told.put(key.clone(), Arc::clone(entry));
        file.append(&out, true, || whole(told, silences))
    }

    /// Notes how silences are now.
    ///
    /// # Errors
    /// When the disk refuses; then they are as they were.
    pub(super) fn silences(&self, changed: &[Silence]) -> Result<(), StateLogError> {
        let Inner { file, told, silences } = &mut *lock(&self.0);
        let before = silences.clone();
        let mut out = Vec::new();
        for silence in changed {
            put_silence(&mut out, silence);
            silences.put(silence.text());
        }
        let written = file.append(&out, true, || whole(told, silences));
        if written.is_err() {
            *silences = before;
        }
        written
    }

    /// Drops what no longer matters at `now` (milliseconds), where the groups in `live` exist, and writes the rest anew.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn compact(&self, now: i64, live: &HashSet<Arc<str>>) -> Result<(), StateLogError> {
        let Inner { file, told, silences } = &mut *lock(&self.0);
        told.sweep(now, live);
        silences.sweep(now);
        file.rewrite(&whole(told, silences))
    }
}

/// The records of everything.
fn whole(told: &NotificationLog, silences: &Silences) -> Vec<u8> {
    let mut out = Vec::new();
    silences.iter().for_each(|silence| put_silence(&mut out, silence));
    told.iter().for_each(|(key, entry)| put_told(&mut out, key, entry));
    out
}

fn put(out: &mut Vec<u8>, record: &Record) {
    let payload = bincode::encode_to_vec(record, bincode::config::standard());
    // Encoding to memory cannot fail.
    put_record(out, |out| out.put_bytes(&payload.unwrap_or_default()));
}

fn put_told(out: &mut Vec<u8>, key: &LogKey, entry: &LogEntry) {
    let record = Record::Told {
        group: key.group.to_string(),
        receiver: key.receiver.to_string(),
        integration: key.integration.clone(),
        at: entry.at,
        expires_at: entry.expires_at,
        firing: entry.firing.clone(),
        resolved: entry.resolved.clone(),
    };
    put(out, &record);
}

fn put_silence(out: &mut Vec<u8>, silence: &Silence) {
    let op = |op: MatchOp| match op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    };
    let matchers = silence.matchers.iter();
    let record = Record::Silence {
        id: silence.id.clone(),
        matchers: matchers.map(|m| (m.name().to_owned(), op(m.op()), m.value().to_owned())).collect(),
        starts_at: silence.starts_at_ms,
        ends_at: silence.ends_at_ms,
        updated_at: silence.updated_at_ms,
        created_by: silence.created_by.clone(),
        comment: silence.comment.clone(),
    };
    put(out, &record);
}

/// What a record says.
enum Read {
    Silence(Silence),
    Told(LogKey, LogEntry),
}

fn decode(payload: &[u8]) -> Option<Read> {
    let config = bincode::config::standard().with_limit::<MAX_RECORD_BYTES>();
    let (record, used) = bincode::decode_from_slice(payload, config).ok()?;
    if used != payload.len() {
        return None;
    }
    Some(match record {
        Record::Silence { id, matchers, starts_at, ends_at, updated_at, created_by, comment } => {
            let matcher = |(name, op, value): (String, u8, String)| {
                let op = match op {
                    0 => MatchOp::Equal,
                    1 => MatchOp::NotEqual,
                    2 => MatchOp::Regex,
                    3 => MatchOp::NotRegex,
                    _ => return None,
                };
                Matcher::new(name, op, value).ok().map(|matcher| matcher.text())
            };
            Read::Silence(Silence {
                id,
                matchers: matchers.into_iter().map(matcher).collect::<Option<_>>()?,
                starts_at_ms: starts_at,
                ends_at_ms: ends_at,
                updated_at_ms: updated_at,
                created_by,
                comment,
            })
        }
        Record::Told { group, receiver, integration, at, expires_at, mut firing, mut resolved } => {
            // Looking into them relies on their order.
            firing.sort_unstable();
            resolved.sort_unstable();
            let key = LogKey { group: group.into(), receiver: receiver.into(), integration };
            Read::Told(key, LogEntry { at, expires_at, firing, resolved })
        }
    })
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
