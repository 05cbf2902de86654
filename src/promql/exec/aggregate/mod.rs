//! Aggregations: series to groups.
//!
//! Read `fold` for those that take a series at a time and hold only their groups, with `histograms`, then `rank`, `quantile` and
//! `count_values`, which hold the members.

mod count_values;
mod fold;
mod groups;
mod histograms;
mod quantile;
mod rank;

use groups::{Groups, inherits_drop};

use super::batch::Batch;
use super::operator::Opened;
use super::{Column, Context, merge_equal};
use crate::promql::error::Error;
use crate::promql::plan::{Aggregation, Grid};
use crate::promql::syntax::ast::AggregateOp;

/// The rows of an aggregation.
pub(super) fn run(
    aggregation: &Aggregation,
    param: &Column,
    input: Opened<'_>,
    grid: Grid,
    cx: &Context<'_>,
) -> Result<Batch, Error> {
    let groups = Groups::new(&aggregation.grouping, aggregation.without);
    match aggregation.op {
        AggregateOp::TopK | AggregateOp::BottomK | AggregateOp::LimitK | AggregateOp::LimitRatio => {
            rank::run(aggregation, groups, param, input, grid.count, cx)
        }
        AggregateOp::Quantile => quantile::run(aggregation, groups, param, input, grid.count, cx),
        AggregateOp::CountValues => {
            let rows = count_values::run(&groups, &aggregation.label, input, grid.count, cx)?;
            merge_equal(rows, cx)
        }
        _ => fold::run(aggregation, groups, input, grid.count, cx),
    }
}
