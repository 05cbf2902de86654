//! Work whose samples count otherwise than where it is done: what is repeated, and subqueries.

use super::context::Context;
use super::steps::StepCounts;
use crate::promql::error::Error;
use crate::promql::plan::{EvalTimes, Grid};

impl Context<'_> {
    /// Runs `work`, which computes one step to be shown at `steps`, and counts accordingly.
    pub(super) fn repeating<T>(
        &self,
        steps: usize,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.within(1, StepCounts::repeat, || self.counting(steps, work))
    }

    /// Runs `work`, which computes a subquery over `grid` for windows of `range` before `eval_times`. Not what it looks at
    /// counts but what the windows do.
    pub(super) fn windowing<T>(
        &self,
        grid: Grid,
        eval_times: EvalTimes,
        range: i64,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let add = |outer: &mut StepCounts, inner: &StepCounts| outer.windows(inner, grid, eval_times, range);
        self.within(grid.count, add, || self.counting(0, work))
    }

    /// Runs `work`, which computes a subquery of `steps` that is the answer itself.
    pub(super) fn answering<T>(
        &self,
        steps: usize,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.within(steps, StepCounts::repeat, work)
    }
}
