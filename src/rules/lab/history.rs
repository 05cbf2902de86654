//! What became of the alerts of a rule: spans of time in which each was pending or firing.

use crate::model::Labels;
use crate::rules::alert::AlertState;

/// Most spans that are kept of one alert. Later ones are counted only.
pub const MAX_SPANS_OF_ALERT: usize = 1_000;
/// Most spans that are kept of all alerts of a rule.
pub const MAX_SPANS: usize = 100_000;

/// An alert in one state, from one evaluation to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Pending or firing.
    pub state: AlertState,
    /// The evaluation that brought it into the state, in milliseconds.
    pub from: i64,
    /// The evaluation that ended it, in milliseconds; none if it lasts to the end.
    pub to: Option<i64>,
    /// Whether it was active when the history began, so that it may have begun at any time before `from`.
    pub since_before: bool,
    /// The value farthest beyond the threshold while it lasted: the largest, or the smallest where small values are kept.
    pub peak: f64,
}

impl Span {
    /// How much of it lies between `start` and `end`, in milliseconds.
    pub fn length_within(&self, start: i64, end: i64) -> i64 {
        let to = self.to.unwrap_or(end).min(end);
        to.saturating_sub(self.from.max(start)).max(0)
    }

    /// Whether any evaluation from `start` to `end` found it so.
    pub fn touches(&self, start: i64, end: i64) -> bool {
        self.from <= end && self.to.is_none_or(|to| to > start)
    }
}

/// An alert with all that became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertHistory {
    /// Final labels, `alertname` among them.
    pub labels: Labels,
    /// Annotations as of the beginning of the last time that it fired; empty if it never did.
    pub annotations: Labels,
    /// In the order of time.
    pub spans: Vec<Span>,
    /// Totals of the range, spans that are not kept included.
    pub totals: Totals,
}

/// Figures about alerts over a range.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Totals {
    /// How often one fired, those that fired already when the range began included.
    pub firings: u64,
    /// How often one was pending.
    pub pendings: u64,
    /// How often one was pending and then gone.
    pub passed: u64,
    /// Time firing in milliseconds; of several alerts at once each counts.
    pub firing_ms: i64,
    /// The longest firing within the range, in milliseconds.
    pub longest_ms: i64,
}

impl Totals {
    /// Takes a span into account that has ended, or lasts to the end of the range from `start` to `end`.
    pub(super) fn add_span(&mut self, span: &Span, next: AlertState, start: i64, end: i64) {
        if !span.touches(start, end) {
            return;
        }
        if span.state == AlertState::Firing {
            let length = span.length_within(start, end);
            self.firings += 1;
            self.firing_ms = self.firing_ms.saturating_add(length);
            self.longest_ms = self.longest_ms.max(length);
        } else {
            self.pendings += 1;
            self.passed += u64::from(span.to.is_some() && next == AlertState::Inactive);
        }
    }

    /// Adds those of another alert.
    pub fn add(&mut self, other: &Self) {
        self.firings += other.firings;
        self.pendings += other.pendings;
        self.passed += other.passed;
        self.firing_ms = self.firing_ms.saturating_add(other.firing_ms);
        self.longest_ms = self.longest_ms.max(other.longest_ms);
    }
}
