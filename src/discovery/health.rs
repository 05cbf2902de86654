//! How a mechanism fares: what pages and the API show of it.

use std::collections::VecDeque;

/// Changes that are remembered of each mechanism.
const MAX_CHANGES: usize = 20;

/// Targets that came and went at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Targets that are new.
    pub added: usize,
    /// Targets that are gone.
    pub removed: usize,
}

/// How one mechanism fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// When it last found out what there is, in milliseconds since the Unix epoch.
    pub last_refresh_ms: Option<i64>,
    /// How long that took, where it is asked for now and then.
    pub last_duration_ms: Option<u64>,
    /// When it is going to look again, where it does not wait to be told.
    pub next_refresh_ms: Option<i64>,
    /// Why it does not know what there is; none when it does.
    pub last_error: Option<String>,
    /// When that was so last, in milliseconds since the Unix epoch.
    pub last_error_ms: Option<i64>,
    /// What came and went, the latest last.
    pub changes: VecDeque<Change>,
}

impl Health {
    /// Notes that targets came or went.
    pub(super) fn changed(&mut self, at_ms: i64, added: usize, removed: usize) {
        if added + removed == 0 {
            return;
        }
        if self.changes.len() == MAX_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(Change { at_ms, added, removed });
    }
}

/// A mechanism of a set and how it fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MechanismStatus {
    /// Such as `dns`.
    pub mechanism: &'static str,
    /// What it asks, for people.
    pub what: String,
    /// Targets that it has found.
    pub targets: usize,
    /// How it fares.
    pub health: Health,
}
