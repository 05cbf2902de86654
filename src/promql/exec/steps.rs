//! Samples counted step by step, for those who ask.
//!
//! Two numbers per step: the samples looked at, each window counted in full, and the samples read, where a sample that
//! the window of the step before held already does not count again. What is computed once and shown at every step is
//! looked at in every step and read in the first.
//!
//! **Cost**: nothing unless asked for; else two numbers per step and thread.

use crate::promql::memory::Ticket;
use crate::promql::plan::{EvalTimes, Grid};
use crate::promql::value::StepStats;

/// Samples looked at and read in each step of a grid.
#[derive(Debug, Clone, Default)]
pub(crate) struct StepCounts {
    looked_at: Vec<u64>,
    read: Vec<u64>,
    /// What they take, as counted for the query.
    memory: Ticket,
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl StepCounts {
    pub(crate) fn new(steps: usize) -> Self {
        Self { looked_at: vec![0; steps], read: vec![0; steps], memory: Ticket::default() }
    }

    /// Counts of nothing, which are counted as memory of the query by `memory`; see [`StepCounts::bytes_of`].
    pub(super) fn counted(steps: usize, memory: Ticket) -> Self {
        Self { memory, ..Self::new(steps) }
    }

    /// Bytes that counts of as many steps take.
    pub(super) fn bytes_of(steps: usize) -> usize {
        steps.saturating_mul(2 * size_of::<u64>())
    }

    /// Counts of nothing for as many steps, for parts of the work.
    pub(super) fn emptied(&self) -> Self {
        Self { memory: self.memory.clone(), ..Self::new(self.looked_at.len()) }
    }

    /// The same, no longer counted as memory of the query.
    pub(super) fn uncounted(self) -> Self {
        Self { memory: Ticket::default(), ..self }
    }

    /// Bytes they take.
    pub(super) fn bytes(&self) -> usize {
        Self::bytes_of(self.looked_at.len())
    }

    pub(super) fn add(&mut self, at: usize, looked_at: usize, read: usize) {
        if let (Some(all), Some(new)) = (self.looked_at.get_mut(at), self.read.get_mut(at)) {
            *all = all.saturating_add(number(looked_at));
            *new = new.saturating_add(number(read));
        }
    }

    /// Adds those of another thread.
    pub(super) fn join(&mut self, other: &Self) {
        for (into, from) in [(&mut self.looked_at, &other.looked_at), (&mut self.read, &other.read)] {
            into.iter_mut().zip(from).for_each(|(into, from)| *into = into.saturating_add(*from));
        }
    }

    /// Adds those of one step that is shown at all.
    pub(super) fn repeat(&mut self, one: &Self) {
        let (looked_at, read) = (one.looked_at.iter().sum(), one.read.iter().sum());
        self.looked_at.iter_mut().for_each(|into| *into = into.saturating_add(looked_at));
        self.add_read(0, read);
    }

    /// Adds what a subquery has read, where its steps fall into windows of `range` before `eval_times`. What the windows
    /// look at is counted by whoever makes them.
    pub(super) fn windows(&mut self, inner: &Self, grid: Grid, eval_times: EvalTimes, range: i64) {
        let outer = eval_times.grid;
        if outer.count <= 1 {
            self.add_read(0, inner.read.iter().sum());
            return;
        }
        for (step, read) in inner.read.iter().enumerate().filter(|(_, read)| **read > 0) {
            let time = grid.time(step).saturating_add(eval_times.offset);
            let after = time.saturating_sub(outer.start).max(0);
            let at = usize::try_from(after).unwrap_or(usize::MAX);
            let at = at.div_ceil(usize::try_from(outer.step).unwrap_or(1).max(1)).min(outer.count - 1);
            if time > outer.time(at).saturating_sub(range) {
                self.add_read(at, *read);
            }
        }
    }

    fn add_read(&mut self, at: usize, read: u64) {
        if let Some(into) = self.read.get_mut(at) {
            *into = into.saturating_add(read);
        }
    }

    pub(crate) fn into_stats(self, grid: Grid) -> StepStats {
        StepStats { start: grid.start, step: grid.step, looked_at: self.looked_at, read: self.read }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_subqueries_belong_to_the_first_window_that_holds_them() {
        let outer = Grid::spanning(100, 400, 100).expect("four steps");
        let inner = Grid::spanning(0, 400, 25).expect("steps");
        let mut counts = StepCounts::new(inner.count);
        (0..inner.count).for_each(|at| counts.add(at, 1, 10));
        let read = |range, offset| {
            let mut all = StepCounts::new(outer.count);
            all.windows(&counts, inner, EvalTimes { grid: outer, at: None, offset }, range);
            assert_eq!(all.looked_at, [0; 4], "the windows count that");
            all.read
        };
        assert_eq!(read(100, 0), [40, 40, 40, 40]);
        assert_eq!(read(50, 0), [20, 20, 20, 20], "those in gaps belong to no window");
        assert_eq!(read(100, 100), [10, 40, 40, 80], "late ones belong to the last");
    }

    #[test]
    fn what_is_repeated_is_read_once() {
        let mut one = StepCounts::new(1);
        one.add(0, 3, 2);
        let mut all = StepCounts::new(3);
        all.repeat(&one);
        all.join(&all.clone());
        assert_eq!((all.looked_at, all.read), (vec![6; 3], vec![4, 0, 0]));
    }
}
