//! Silences: which alerts nobody is told of, from when to when, by whom and why.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;

use crate::model::{Labels, MatchOp, Matcher};

/// Silences at most, those that are over among them.
pub(super) const MAX_SILENCES: usize = 5_000;

/// Matchers of one at most.
const MAX_MATCHERS: usize = 64;

/// Bytes of its texts together at most.
const MAX_TEXT_BYTES: usize = 8 << 10;

/// How long one that is over is still shown, in milliseconds: 5 days.
const RETENTION_MS: i64 = 120 * 3600 * 1000;

/// A silence.
#[derive(Debug, Clone, PartialEq)]
pub struct Silence {
    /// Its name, in the form of a UUID.
    pub id: String,
    /// Alerts that all of these match are silenced.
    pub matchers: Vec<Matcher>,
    /// When it begins, in milliseconds since the Unix epoch.
    pub starts_at_ms: i64,
    /// When it is over, in milliseconds since the Unix epoch.
    pub ends_at_ms: i64,
    /// When it was last changed, in milliseconds since the Unix epoch.
    pub updated_at_ms: i64,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// Where a silence is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SilenceState {
    /// It begins later.
    Pending,
    /// It silences.
    Active,
    /// It is over.
    Expired,
}

impl SilenceState {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

/// What is wanted of a silence that is made or changed.
#[derive(Debug, Clone)]
pub struct SilenceRequest {
    /// The one to change; a new one without.
    pub id: Option<String>,
    /// See [`Silence`].
    pub matchers: Vec<Matcher>,
    /// See [`Silence`].
    pub starts_at_ms: i64,
    /// See [`Silence`].
    pub ends_at_ms: i64,
    /// See [`Silence`].
    pub created_by: String,
    /// See [`Silence`].
    pub comment: String,
}

/// Why a silence is not made, changed or ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SilenceError {
    /// There is none of that name.
    #[error("silence not found")]
    NotFound,
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(&'static str),
    /// There are too many.
    #[error("there are {MAX_SILENCES} silences already that are not over")]
    Full,
}

impl Silence {
    /// Where it is in its life at `now_ms`.
    pub fn state(&self, now_ms: i64) -> SilenceState {
        if now_ms < self.starts_at_ms {
            SilenceState::Pending
        } else if now_ms < self.ends_at_ms {
            SilenceState::Active
        } else {
            SilenceState::Expired
        }
    }

    /// Whether it is about alerts with `labels`, whenever.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches_labels(labels))
    }
}

impl SilenceRequest {
    fn check(&self, now: i64) -> Result<(), SilenceError> {
        let refused = |reason| Err(SilenceError::Invalid(reason));
        if self.matchers.is_empty() {
            return refused("at least one matcher required");
        }
        if self.matchers.len() > MAX_MATCHERS {
            return refused("too many matchers");
        }
        if self.matchers.iter().any(|matcher| matcher.name().is_empty()) {
            return refused("a matcher needs the name of a label");
        }
        if self.matchers.iter().all(Matcher::matches_empty) {
            return refused("at least one matcher must not match the empty string");
        }
        let texts = self.matchers.iter().map(|matcher| matcher.name().len() + matcher.value().len());
        if texts.sum::<usize>() + self.created_by.len() + self.comment.len() > MAX_TEXT_BYTES {
            return refused("the silence is too long");
        }
        if self.ends_at_ms <= self.starts_at_ms {
            return refused("end time must be after its start time");
        }
        if self.ends_at_ms <= now {
            return refused("end time can't be in the past");
        }
        Ok(())
    }
}

/// The silences of one moment. Most name the exact value of a label, by which they are found.
#[derive(Debug, Default)]
pub(super) struct ActiveSilences<'a> {
    by_pair: HashMap<(&'a str, &'a str), Vec<&'a Silence>>,
    others: Vec<&'a Silence>,
}

impl<'a> ActiveSilences<'a> {
    /// Those that silence an alert with `labels`.
    pub(super) fn of<'l>(&'l self, labels: &'l Labels) -> impl Iterator<Item = &'a Silence> + 'l {
        let named = labels.iter().filter_map(|pair| self.by_pair.get(&pair)).flatten();
        named.chain(&self.others).copied().filter(|silence| silence.matches(labels))
    }
}

/// All silences, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Silences(BTreeMap<String, Arc<Silence>>);

impl Silences {
    /// What becomes of the silences by `request`: those that change, that which is asked for first. Nothing is changed yet.
    ///
    /// One that has begun keeps its beginning and its matchers: where others are asked for, it ends and a new one begins.
    pub(super) fn plan(&self, request: SilenceRequest, now: i64) -> Result<Vec<Silence>, SilenceError> {
        request.check(now)?;
        let old = match &request.id {
            Some(id) => Some(self.0.get(id).ok_or(SilenceError::NotFound)?),
            None => None,
        };
        let SilenceRequest { matchers, starts_at_ms, ends_at_ms, created_by, comment, .. } = request;
        let make = |id: String, starts_at_ms: i64| Silence {
            id,
            matchers: matchers.clone(),
            starts_at_ms,
            ends_at_ms,
            updated_at_ms: now,
            created_by: created_by.clone(),
            comment: comment.clone(),
        };
        if let Some(old) = old {
            let fits = match old.state(now) {
                SilenceState::Active => old.matchers == matchers && old.starts_at_ms == starts_at_ms,
                SilenceState::Pending => old.matchers == matchers && starts_at_ms >= now,
                SilenceState::Expired => false,
            };
            if fits {
                return Ok(vec![make(old.id.clone(), starts_at_ms)]);
            }
        }
        // One that is over makes room.
        if self.0.len() >= MAX_SILENCES && self.0.values().all(|one| one.state(now) != SilenceState::Expired)
        {
            return Err(SilenceError::Full);
        }
        let ended = old.and_then(|old| self.plan_end(&old.id, now).ok());
        let new = make(self.new_id(), starts_at_ms.max(now));
        // The new one comes first: whatever happens in between, something silences.
        Ok([new].into_iter().chain(ended).collect())
    }

    /// What becomes of a silence that is ended at `now`.
    pub(super) fn plan_end(&self, id: &str, now: i64) -> Result<Silence, SilenceError> {
        let mut silence = Silence::clone(self.0.get(id).ok_or(SilenceError::NotFound)?);
        match silence.state(now) {
            SilenceState::Expired => return Err(SilenceError::Invalid("silence already expired")),
            SilenceState::Pending => silence.starts_at_ms = now,
            SilenceState::Active => {}
        }
        (silence.ends_at_ms, silence.updated_at_ms) = (now, now);
        Ok(silence)
    }

    /// Puts a silence in the place of that of the same name. When there are too many, that which ended first goes.
    pub(super) fn put(&mut self, silence: Silence) {
        if self.0.len() >= MAX_SILENCES && !self.0.contains_key(&silence.id) {
            let first = self.0.values().min_by_key(|one| (one.ends_at_ms, one.id.clone()));
            if let Some(id) = first.map(|one| one.id.clone()) {
                self.0.remove(&id);
            }
        }
        self.0.insert(silence.id.clone(), Arc::new(silence));
    }

    /// Forgets those that have been over for long; says whether there were any.
    pub(super) fn sweep(&mut self, now: i64) -> bool {
        let before = self.0.len();
        self.0.retain(|_, silence| silence.ends_at_ms.saturating_add(RETENTION_MS) > now);
        self.0.len() < before
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Silence>> {
        self.0.get(id).cloned()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Silence>> {
        self.0.values()
    }

    /// Those that silence something at `now`.
    pub(super) fn active(&self, now: i64) -> ActiveSilences<'_> {
        let mut active = ActiveSilences::default();
        for silence in self.0.values().filter(|silence| silence.state(now) == SilenceState::Active) {
            let exact = silence.matchers.iter().find(|m| m.op() == MatchOp::Equal && !m.value().is_empty());
            match exact {
                Some(m) => active.by_pair.entry((m.name(), m.value())).or_default().push(silence),
                None => active.others.push(silence),
            }
        }
        active
    }

    fn new_id(&self) -> String {
        loop {
            // Keys that the system gives at random, and others each time.
            let half = || RandomState::new().build_hasher().finish();
            let (a, b) = (half(), half());
            let id = format!(
                "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
                a >> 32,
                (a >> 16) & 0xffff,
                a & 0xfff,
                0x8000 | (b >> 48) & 0x3fff,
                b & 0xffff_ffff_ffff
            );
            if !self.0.contains_key(&id) {
                return id;
            }
        }
    }
}
