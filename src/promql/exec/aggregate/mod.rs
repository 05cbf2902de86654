//! Aggregations: series to groups.
//!
//! Read `fold` for those that take a series at a time and hold only their groups, with `histograms`, then `rank`, `quantile` and
//! `count_values`, which hold the members.

mod count_values;
mod fold;
mod histograms;
mod quantile;
mod rank;

use hashbrown::HashMap;

use super::batch::{Batch, is_metadata};
use super::build::{open, scalar};
use super::{Column, Context, merge_equal};
use crate::model::{Labels, METRIC_NAME};
use crate::promql::error::Error;
use crate::promql::plan::{Aggregation, Grid};
use crate::promql::syntax::ast::AggregateOp;

/// The rows of an aggregation.
pub(super) fn run(aggregation: &Aggregation, grid: Grid, cx: &Context<'_>) -> Result<Batch, Error> {
    let param = match &aggregation.param {
        Some(node) => scalar(node, cx)?,
        None => Column::new(cx, 0, |_| 0.0)?,
    };
    let input = open(&aggregation.input, cx)?;
    let groups = Groups::new(&aggregation.grouping, aggregation.without);
    match aggregation.op {
        AggregateOp::TopK | AggregateOp::BottomK | AggregateOp::LimitK | AggregateOp::LimitRatio => {
            rank::run(aggregation, groups, &param, input, grid.count, cx)
        }
        AggregateOp::Quantile => quantile::run(aggregation, groups, &param, input, grid.count, cx),
        AggregateOp::CountValues => {
            let rows = count_values::run(&groups, &aggregation.label, input, grid.count, cx)?;
            merge_equal(rows, cx)
        }
        _ => fold::run(aggregation, groups, input, grid.count, cx),
    }
}

/// Which group a series belongs to.
struct Groups<'a> {
    grouping: &'a [String],
    without: bool,
    known: HashMap<Labels, usize>,
}

impl<'a> Groups<'a> {
    fn new(grouping: &'a [String], without: bool) -> Self {
        Self { grouping, without, known: HashMap::new() }
    }

    /// The labels of the group of a series.
    fn labels(&self, labels: &Labels) -> Labels {
        let listed = |name: &str| self.grouping.binary_search_by(|g| g.as_str().cmp(name)).is_ok();
        if self.without {
            labels.without(|name| is_metadata(name) || listed(name))
        } else if self.grouping.is_empty() {
            Labels::empty()
        } else {
            labels.without(|name| !listed(name))
        }
    }

    /// Number and labels of the group of a series; numbers count from zero in order of first appearance.
    fn find(&mut self, labels: &Labels) -> (usize, Labels) {
        // Without a clause the name stays out of it, so that one lookup serves all series.
        let group = self.labels(labels);
        let next = self.known.len();
        let at = *self.known.entry(group.clone()).or_insert(next);
        (at, group)
    }
}

/// Whether a row that is to lose its name makes its group lose it too.
fn inherits_drop(labels: &Labels, drop: bool) -> bool {
    drop && labels.get(METRIC_NAME).is_some()
}
