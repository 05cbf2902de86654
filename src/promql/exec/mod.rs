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
//! Read `batch`, `context` with `record` and `steps`, `operator`, `build` with `share` and `kept`, then the operators:
//! `scan`, `rollup`, `call`, `binary`, `aggregate`; `histogram` is what all of them do with native histograms. `probe`
//! with `profile` measures them.

mod aggregate;
mod batch;
mod binary;
mod build;
mod call;
mod column;
mod context;
mod counting;
pub(crate) mod histogram;
mod kept;
pub(crate) mod math;
mod merge;
mod operator;
mod parallel;
mod probe;
mod profile;
mod raw;
mod record;
mod rollup;
mod scan;
mod share;
mod steps;

pub(crate) use batch::{Row, without_name};
pub(crate) use build::{open, scalar};
pub(crate) use column::Column;
pub(crate) use context::{Context, Limits};
pub(crate) use merge::merge_equal;
pub(crate) use operator::{Operator, collect};
pub(crate) use parallel::map;
pub(crate) use probe::measure;
pub(crate) use profile::{NodeStats, Profile, Reads};
pub(crate) use raw::raw_series;
pub(crate) use steps::StepCounts;
