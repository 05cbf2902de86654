//! Silences: which alerts nobody is told of, from when to when, by whom and why.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;

use super::places::PlaceSet;
use crate::model::{Labels, Matcher, RegexBudget, Stopped};

/// Silences at most, those that are over among them.
pub(super) const MAX_SILENCES: usize = 5_000;

/// Matchers of one at most.
const MAX_MATCHERS: usize = 64;

/// Bytes of its texts together at most.
const MAX_TEXT_BYTES: usize = 8 << 10;

/// Steps that an expression may take with the value of a label: some milliseconds.
const MAX_EFFORT: usize = 1 << 21;

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
    /// It is over already.
    #[error("silence already expired")]
    Over,
    /// There are too many.
    #[error("there are {MAX_SILENCES} silences already that are not over")]
    Full,
    /// Their expressions take too much memory.
    #[error("the expressions of the silences that are not over are too large together")]
    TooLarge,
    /// It takes too long to find out which alerts it is about.
    #[error("invalid silence: matching its expressions against the alerts there are takes too long")]
    TooSlow,
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

    /// Whether it is about alerts with `labels`, whenever. It is not if that would take too long to find out.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_while(labels, &|| true).unwrap_or(false)
    }

    /// The same. `go_on` is asked every now and then.
    ///
    /// # Errors
    /// When it says no, or an expression is too large for the value of a label.
    pub(super) fn matches_while(&self, labels: &Labels, go_on: &dyn Fn() -> bool) -> Result<bool, Stopped> {
        for matcher in &self.matchers {
            if !passes(matcher, labels.get(matcher.name()).unwrap_or(""), go_on)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The same with the text of its matchers alone; it matches nothing any more.
    pub(super) fn text(&self) -> Self {
        let Self { starts_at_ms, ends_at_ms, updated_at_ms, .. } = *self;
        Self {
            id: self.id.clone(),
            matchers: self.matchers.iter().map(Matcher::text).collect(),
            starts_at_ms,
            ends_at_ms,
            updated_at_ms,
            created_by: self.created_by.clone(),
            comment: self.comment.clone(),
        }
    }
}

/// Whether `value` passes the matcher of a silence. `go_on` is asked every now and then.
///
/// # Errors
/// When it says no, or the expression is too large for the value.
pub(super) fn passes(matcher: &Matcher, value: &str, go_on: &dyn Fn() -> bool) -> Result<bool, Stopped> {
    if matcher.effort(value.len()) > MAX_EFFORT {
        return Err(Stopped);
    }
    matcher.matches_while(value, go_on)
}

impl SilenceRequest {
    fn check(&self, now: i64) -> Result<(), SilenceError> {
        let refused = |reason| Err(SilenceError::Invalid(reason));
        if self.matchers.is_empty() {
            return refused("invalid silence: at least one matcher required");
        }
        if self.matchers.len() > MAX_MATCHERS {
            return refused("invalid silence: too many matchers");
        }
        if self.matchers.iter().any(|matcher| matcher.name().is_empty()) {
            return refused("invalid silence: a matcher needs the name of a label");
        }
        if self.matchers.iter().all(Matcher::matches_empty) {
            return refused("invalid silence: at least one matcher must not match the empty string");
        }
        let texts = self.matchers.iter().map(|matcher| matcher.name().len() + matcher.value().len());
        if texts.sum::<usize>() + self.created_by.len() + self.comment.len() > MAX_TEXT_BYTES {
            return refused("invalid silence: it is too long");
        }
        if self.ends_at_ms <= self.starts_at_ms {
            return refused("Failed to create silence: start time must be before end time");
        }
        if self.ends_at_ms <= now {
            return refused("Failed to create silence: end time can't be in the past");
        }
        Ok(())
    }
}

/// All silences, by name. Each has a place as long as it is there, which another may have afterwards.
#[derive(Debug, Clone, Default)]
pub(super) struct Silences {
    by_id: BTreeMap<String, (u16, Arc<Silence>)>,
    by_place: Vec<Option<Arc<Silence>>>,
}

impl Silences {
    /// What becomes of the silences by `request`: those that change, that which is asked for first. Nothing is changed yet.
    ///
    /// One that has begun keeps its beginning and its matchers: where others are asked for, it ends and a new one begins.
    pub(super) fn plan(&self, request: &SilenceRequest, now: i64) -> Result<Vec<Silence>, SilenceError> {
        request.check(now)?;
        let old = match &request.id {
            Some(id) => Some(&self.by_id.get(id).ok_or(SilenceError::NotFound)?.1),
            None => None,
        };
        let SilenceRequest { matchers, starts_at_ms, ends_at_ms, created_by, comment, .. } = request;
        let (starts_at_ms, ends_at_ms) = (*starts_at_ms, *ends_at_ms);
        let make = |id: String, starts_at_ms: i64| Silence {
            id,
            matchers: Vec::new(),
            starts_at_ms,
            ends_at_ms,
            updated_at_ms: now,
            created_by: created_by.clone(),
            comment: comment.clone(),
        };
        if let Some(old) = old {
            // Clients may know its beginning to the second.
            let second = |ms: i64| ms.div_euclid(1000);
            let fits = match old.state(now) {
                SilenceState::Active => {
                    old.matchers == *matchers && second(old.starts_at_ms) == second(starts_at_ms)
                }
                SilenceState::Pending => old.matchers == *matchers && starts_at_ms >= now,
                SilenceState::Expired => false,
            };
            if fits {
                let matchers = old.matchers.clone();
                return Ok(vec![Silence { matchers, ..make(old.id.clone(), starts_at_ms) }]);
            }
        }
        // One that is over makes room.
        if self.len() >= MAX_SILENCES && self.iter().all(|one| one.state(now) != SilenceState::Expired) {
            return Err(SilenceError::Full);
        }
        let mut budget = RegexBudget::default();
        let others = self.iter().filter(|one| Some(&one.id) != request.id.as_ref());
        for silence in others.filter(|one| one.state(now) != SilenceState::Expired) {
            silence.matchers.iter().for_each(|matcher| matcher.charge(&mut budget));
        }
        let admitted = matchers.iter().map(|matcher| matcher.admitted(&mut budget)).collect::<Result<_, _>>();
        let matchers = admitted.map_err(|_| SilenceError::TooLarge)?;
        let ended = old.and_then(|old| self.plan_end(&old.id, now).ok());
        let new = Silence { matchers, ..make(self.new_id(), starts_at_ms.max(now)) };
        // The new one comes first: whatever happens in between, something silences.
        Ok([new].into_iter().chain(ended).collect())
    }

    /// What becomes of a silence that is ended at `now`.
    pub(super) fn plan_end(&self, id: &str, now: i64) -> Result<Silence, SilenceError> {
        let mut silence = self.get(id).ok_or(SilenceError::NotFound)?.text();
        match silence.state(now) {
            SilenceState::Expired => return Err(SilenceError::Over),
            SilenceState::Pending => silence.starts_at_ms = now,
            SilenceState::Active => {}
        }
        (silence.ends_at_ms, silence.updated_at_ms) = (now, now);
        Ok(silence)
    }

    /// Puts a silence in the place of that of the same name; gives its place. When there are too many, that which ended
    /// first goes.
    pub(super) fn put(&mut self, silence: Silence) -> u16 {
        if self.len() >= MAX_SILENCES && !self.by_id.contains_key(&silence.id) {
            let first = self.iter().min_by_key(|one| (one.ends_at_ms, one.id.clone()));
            if let Some(id) = first.map(|one| one.id.clone())
                && let Some((place, _)) = self.by_id.remove(&id)
            {
                self.by_place[usize::from(place)] = None;
            }
        }
        let silence = Arc::new(silence);
        let known = self.by_id.get(&silence.id).map(|(place, _)| *place);
        let place = known.unwrap_or_else(|| {
            let free = self.by_place.iter().position(Option::is_none).unwrap_or(self.by_place.len());
            u16::try_from(free).expect("there are fewer silences than places")
        });
        if usize::from(place) == self.by_place.len() {
            self.by_place.push(None);
        }
        self.by_place[usize::from(place)] = Some(Arc::clone(&silence));
        self.by_id.insert(silence.id.clone(), (place, silence));
        place
    }

    /// Forgets those that have been over for long; says whether there were any.
    pub(super) fn sweep(&mut self, now: i64) -> bool {
        let before = self.len();
        let by_place = &mut self.by_place;
        self.by_id.retain(|_, (place, silence)| {
            let stays = silence.ends_at_ms.saturating_add(RETENTION_MS) > now;
            if !stays {
                by_place[usize::from(*place)] = None;
            }
            stays
        });
        self.len() < before
    }

    /// Drops the expressions of those that are over: an identifier that is over never silences again.
    pub(super) fn drop_expressions(&mut self, now: i64) {
        self.replace(|silence| {
            let has_expression = silence.matchers.iter().any(|matcher| matcher.regex().is_some());
            (has_expression && silence.state(now) == SilenceState::Expired).then(|| silence.text())
        });
    }

    /// Reads the expressions of those that are not over, of which there is only the text. Where they are too large together,
    /// some match nothing, which is logged.
    pub(super) fn read_expressions(&mut self, now: i64) {
        let mut budget = RegexBudget::default();
        self.replace(|silence| {
            if silence.state(now) == SilenceState::Expired {
                return None;
            }
            let mut read = |m: &Matcher| Matcher::within(m.name(), m.op(), m.value(), &mut budget);
            match silence.matchers.iter().map(&mut read).collect() {
                Ok(matchers) => Some(Silence { matchers, ..silence.text() }),
                Err(error) => {
                    tracing::error!(silence = %silence.id, %error, "a silence silences nothing");
                    None
                }
            }
        });
    }

    fn replace(&mut self, mut other: impl FnMut(&Silence) -> Option<Silence>) {
        for (place, silence) in self.by_id.values_mut() {
            if let Some(other) = other(silence) {
                *silence = Arc::new(other);
                self.by_place[usize::from(*place)] = Some(Arc::clone(silence));
            }
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Silence>> {
        self.by_id.get(id).map(|(_, silence)| Arc::clone(silence))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Silence>> {
        self.by_id.values().map(|(_, silence)| silence)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Each that is not over, with its place.
    pub(super) fn placed(&self, now: i64) -> Vec<(u16, Arc<Silence>)> {
        let all = self.by_id.values();
        all.filter(|(_, silence)| silence.state(now) != SilenceState::Expired).cloned().collect()
    }

    /// That which has the place.
    pub(super) fn at(&self, place: u16) -> Option<&Arc<Silence>> {
        self.by_place.get(usize::from(place)).and_then(Option::as_ref)
    }

    /// The places of those that silence something at `now`.
    pub(super) fn active(&self, now: i64) -> PlaceSet {
        let mut active = PlaceSet::default();
        for (place, silence) in self.by_id.values() {
            if silence.state(now) == SilenceState::Active {
                active.set(*place, true);
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
            if !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }
}

#[cfg(test)]
#[path = "silence_tests.rs"]
mod tests;
