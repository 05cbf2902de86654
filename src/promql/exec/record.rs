//! What the parts of a query count together: samples held, and what is noted beside the rows.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::steps::StepCounts;
use crate::promql::annotations::Annotations;

/// Samples held by all threads of a query.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) now: AtomicUsize,
    pub(super) peak: AtomicUsize,
}

impl Held {
    /// Counts `samples` as no longer held.
    pub(super) fn release(&self, samples: usize) {
        let less = |held: usize| Some(held.saturating_sub(samples));
        let _ = self.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// What a part of a query notes beside its rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub(super) annotations: Annotations,
    /// Samples looked at.
    pub(super) total: u64,
    /// The same by step, if that is asked for.
    pub(super) steps: Option<StepCounts>,
}

impl Record {
    /// Adds what was noted after it.
    pub(super) fn extend(&mut self, later: &Self) {
        self.annotations.join(later.annotations.clone());
        self.total = self.total.saturating_add(later.total);
        match (&mut self.steps, &later.steps) {
            (Some(own), Some(later)) => own.join(later),
            (own @ None, later) => own.clone_from(later),
            (Some(_), None) => {}
        }
    }

    /// Whether there are annotations in it.
    pub(super) fn has_remarks(&self) -> bool {
        !self.annotations.is_empty()
    }
}
