//! Operators between two operands, at least one of them a vector.
//!
//! Read `scalar`, then `signature` and `set`, then `matching`; `element` for native histograms.

mod element;
mod matching;
mod scalar;
mod set;
mod signature;

pub(super) use element::LastRemarks;
pub(super) use scalar::VectorScalar;

use super::batch::{Batch, Row};
use super::{Context, merge_equal};
use crate::promql::error::Error;
use crate::promql::plan::VectorBinary;

/// The rows of an operation between two vectors.
pub(super) fn vectors(
    op: &VectorBinary,
    lhs: Batch,
    rhs: Batch,
    steps: usize,
    cx: &Context<'_>,
) -> Result<Batch, Error> {
    let before: usize = lhs.iter().chain(&rhs).map(Row::count).sum();
    let rows = if op.op.is_set() {
        set::run(op, lhs, rhs, steps, cx)?
    } else {
        matching::run(op, &lhs, &rhs, steps, cx)?
    };
    cx.release(before);
    cx.hold(rows.iter().map(Row::count).sum())?;
    merge_equal(rows, cx)
}
