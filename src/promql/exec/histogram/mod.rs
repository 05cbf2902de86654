//! What the query language does with native histograms, as plain functions.
//!
//! Read `accumulate` (sums and means), then `arithmetic`, `trim`, `estimate`, `totals` and `text`.

mod accumulate;
mod arithmetic;
mod estimate;
#[cfg(test)]
mod tests;
mod text;
mod totals;
mod trim;

pub(crate) use accumulate::{Accumulator, MeanAccumulator, MixedSchemas, Reconciled, Sign};
pub(crate) use arithmetic::{divide, scale};
pub(crate) use estimate::{Doubt, fraction, quantile, variance};
pub(crate) use text::plain_text;
pub(crate) use totals::keep_totals;
pub(crate) use trim::trim;
