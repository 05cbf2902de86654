//! Running a plan: operators that hand on batches of rows.
//!
//! A row is one series over all steps. Operators pull batches from those below them; aggregations fold rows as they
//! come, everything that must see whole groups collects rows within the sample budget.
//!
//! Memory is counted before it is taken (`Context::reserve`), and loops within a series look at deadline and
//! cancellation (`Context::work`).
//!
//! **Cost**: a row holds eight bytes and a bit per step. Series are decoded once, front to back, into a reused
//! buffer. Rows do not depend on each other below aggregations, so the reading of series is spread over threads
//! (`parallel`).
//!
//! Read `batch`, `context`, `build` with `share`, then the operators: `scan`, `rollup`, `call`, `binary`, `aggregate`; `histogram` is
//! what all of them do with native histograms.

mod aggregate;
mod batch;
mod binary;
mod build;
mod call;
mod column;
mod context;
pub(crate) mod histogram;
pub(crate) mod math;
mod parallel;
mod profile;
mod rollup;
mod scan;
mod share;
mod steps;

pub(crate) use batch::{Batch, Row, merge_equal, without_name};
pub(crate) use build::{collect, open, scalar};
pub(crate) use column::Column;
pub(crate) use context::{Context, Limits};
pub(crate) use profile::{Profile, Reads, Took, measure};
pub(crate) use rollup::raw_series;
pub(crate) use steps::StepCounts;

use super::error::Error;

/// Something that hands on rows, a batch at a time.
pub(crate) trait Operator {
    /// The next rows, or nothing when there are no more. Batches may be empty.
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, Error>;
}

/// Rows that are there already, handed on at once.
pub(crate) struct Ready(Option<Batch>);

impl Ready {
    pub(crate) fn new(rows: Batch) -> Self {
        Self(Some(rows))
    }
}

impl Operator for Ready {
    fn next(&mut self, _cx: &Context<'_>) -> Result<Option<Batch>, Error> {
        Ok(self.0.take())
    }
}
