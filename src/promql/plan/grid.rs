//! The eval_times at which an expression is evaluated.

use crate::model::TimeRange;
use crate::storage::Need;

/// Evenly spaced times in milliseconds. **Invariants**: at least one step; the distance is positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Grid {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) count: usize,
}

impl Grid {
    /// A single moment.
    pub(crate) fn instant(at: i64) -> Self {
        Self { start: at, step: 1, count: 1 }
    }

    /// From `start` up to at most `end`; nothing when that is empty or too many.
    pub(crate) fn spanning(start: i64, end: i64, step: i64) -> Option<Self> {
        if step <= 0 || end < start {
            return None;
        }
        let steps = (i128::from(end) - i128::from(start)) / i128::from(step) + 1;
        Some(Self { start, step, count: usize::try_from(steps).ok()? })
    }

    /// The time of step `index`.
    pub(crate) fn time(&self, index: usize) -> i64 {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        self.start.saturating_add(self.step.saturating_mul(index))
    }

    /// The times of all steps.
    pub(crate) fn times(&self) -> Vec<i64> {
        let steps = i64::try_from(self.count).unwrap_or(i64::MAX);
        if self.step.checked_mul(steps).and_then(|length| self.start.checked_add(length)).is_none() {
            // Beyond the end of all times there is no more.
            return (0..self.count).map(|index| self.time(index)).collect();
        }
        (0..steps).map(|index| self.start + self.step * index).collect()
    }

    /// The index of the step at `time`, if it is one.
    pub(crate) fn index_of(&self, time: i64) -> Option<usize> {
        let ahead = time.checked_sub(self.start).filter(|ahead| *ahead >= 0 && ahead % self.step == 0)?;
        usize::try_from(ahead / self.step).ok().filter(|at| *at < self.count)
    }

    /// Whether every step of `other`, which has the same distance, is one of these.
    pub(crate) fn contains(&self, other: Self) -> bool {
        self.step == other.step && self.index_of(other.start).is_some_and(|at| at + other.count <= self.count)
    }

    /// The first step alone.
    pub(crate) fn first_only(&self) -> Self {
        Self { count: 1, ..*self }
    }
}

/// Where a selector looks at each step: the step's time, or a fixed one, shifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct EvalTimes {
    pub(crate) grid: Grid,
    pub(crate) at: Option<i64>,
    pub(crate) offset: i64,
}

impl EvalTimes {
    /// The moment looked at from step `index`.
    pub(crate) fn get(&self, index: usize) -> i64 {
        self.at.unwrap_or_else(|| self.grid.time(index)).saturating_sub(self.offset)
    }

    /// Milliseconds from one moment to the next.
    pub(crate) fn step(&self) -> i64 {
        if self.grid.count == 1 {
            i64::MAX
        } else if self.at.is_some() {
            0
        } else {
            self.grid.step
        }
    }

    /// What an instant selector needs of each series: at one moment no more than the newest sample.
    pub(crate) fn need(&self) -> Need {
        if self.grid.count == 1 || self.at.is_some() { Need::Newest } else { Need::Samples }
    }

    /// Everything inside the left-open windows of `length` before each moment.
    pub(crate) fn covered(&self, length: i64) -> TimeRange {
        let first = self.get(0);
        let last = self.get(self.grid.count - 1);
        TimeRange::new(first.saturating_sub(length).saturating_add(1), last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_steps_up_to_the_end() {
        let check = |start, end, step, count| {
            assert_eq!(Grid::spanning(start, end, step).map(|g| g.count), count);
        };
        check(0, 0, 10, Some(1));
        check(0, 29, 10, Some(3));
        check(0, 30, 10, Some(4));
        check(10, 0, 10, None);
        check(0, 10, 0, None);
        check(i64::MIN, i64::MAX, i64::MAX, Some(3));
    }

    #[test]
    fn finds_steps_by_their_time() {
        let grid = Grid::spanning(-10, 25, 10).expect("not empty");
        let check = |time, at| assert_eq!(grid.index_of(time), at);
        check(-10, Some(0));
        check(20, Some(3));
        check(30, None);
        check(-20, None);
        check(5, None);
        check(i64::MAX, None);
        assert!(grid.contains(grid) && grid.contains(Grid { start: 10, count: 2, ..grid }));
        assert!(!grid.contains(Grid { start: 10, count: 3, ..grid }));
        assert!(!grid.contains(Grid { start: 0, step: 20, count: 1 }));
    }

    #[test]
    fn windows_exclude_their_left_end() {
        let grid = Grid::spanning(100, 300, 100).expect("not empty");
        let eval_times = EvalTimes { grid, at: None, offset: 50 };
        assert_eq!(eval_times.covered(20), TimeRange::new(31, 250));
        let fixed = EvalTimes { grid, at: Some(1000), offset: 0 };
        assert_eq!(fixed.covered(20), TimeRange::new(981, 1000));
    }
}
