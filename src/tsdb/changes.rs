//! How old the samples were that came or went since some moment: what is older is as it was then, so that answers about
//! it can be kept.
//!
//! **Cost**: a change is one comparison or a few; some thousand bytes in all.
//! **Invariants**: a change is noted while no select can look, or once every select sees it. So whoever takes a mark and
//! then selects sees every change up to the mark.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::util::lock::lock;

/// Most changes that are told apart.
const MAX_STEPS: usize = 512;

/// The changes after the one before it, up to and with `number`, and all later ones are not older than `oldest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    number: u64,
    oldest: i64,
}

#[derive(Debug, Default)]
struct State {
    /// Number of the newest change.
    newest: u64,
    /// Both fields rise from one to the next.
    steps: VecDeque<Step>,
}

/// What changed lately.
#[derive(Debug, Default)]
pub(super) struct Changes {
    state: Mutex<State>,
}

impl Changes {
    /// Samples came or went, the oldest of them at `oldest` (milliseconds).
    pub(super) fn note(&self, oldest: i64) {
        let mut state = lock(&self.state);
        state.newest += 1;
        let number = state.newest;
        while state.steps.back().is_some_and(|step| step.oldest >= oldest) {
            state.steps.pop_back();
        }
        state.steps.push_back(Step { number, oldest });
        if state.steps.len() > MAX_STEPS {
            state.thin();
        }
    }

    /// The present moment.
    pub(super) fn mark(&self) -> u64 {
        lock(&self.state).newest
    }

    /// No sample that came or went since `mark` is older than this; `i64::MAX` if nothing did.
    pub(super) fn oldest_since(&self, mark: u64) -> i64 {
        let state = lock(&self.state);
        let later = state.steps.partition_point(|step| step.number <= mark);
        state.steps.get(later).map_or(i64::MAX, |step| step.oldest)
    }
}

impl State {
    /// Halves the steps: of two the time of the first is that of both.
    fn thin(&mut self) {
        let pairs = self.steps.make_contiguous().chunks(2);
        let joined = pairs.map(|pair| Step { number: pair[pair.len() - 1].number, oldest: pair[0].oldest });
        self.steps = joined.collect();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_older_than_it_says_has_changed(
            notes in prop::collection::vec((0i64..50, 0i64..20), 0..3000),
        ) {
            let changes = Changes::default();
            // Mostly newer from one to the next, as samples come in.
            let times: Vec<i64> = (0i64..).zip(&notes).map(|(at, (late, _))| at * 10 - late * 3).collect();
            for time in &times {
                changes.note(*time);
            }
            prop_assert_eq!(changes.mark(), times.len() as u64);
            prop_assert_eq!(changes.oldest_since(changes.mark()), i64::MAX);
            let (mut oldest, mut before) = (i64::MAX, i64::MAX);
            let marked: Vec<(u64, i64)> = (0u64..).zip(times.iter().copied()).collect();
            for (mark, time) in marked.into_iter().rev() {
                oldest = oldest.min(time);
                let told = changes.oldest_since(mark);
                prop_assert!(told <= oldest && told <= before);
                if times.len() <= MAX_STEPS {
                    prop_assert_eq!(told, oldest);
                }
                before = told;
            }
            prop_assert!(lock(&changes.state).steps.len() <= MAX_STEPS);
        }
    }
}
