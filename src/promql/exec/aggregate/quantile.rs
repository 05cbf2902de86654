//! `quantile`: holds all members of all groups.

use super::{Groups, inherits_drop};
use crate::model::Labels;
use crate::promql::annotations::Annotation;
use crate::promql::error::Error;
use crate::promql::exec::batch::{Batch, ROW_WORK, Row};
use crate::promql::exec::operator::Opened;
use crate::promql::exec::{Context, math};
use crate::promql::plan::Aggregation;

struct Group {
    labels: Labels,
    drop_name: bool,
    members: Vec<Row>,
}

/// The quantile of each group at each step.
pub(super) fn run(
    aggregation: &Aggregation,
    mut groups: Groups<'_>,
    param: &[f64],
    mut input: Opened<'_>,
    steps: usize,
    cx: &Context<'_>,
) -> Result<Batch, Error> {
    let mut collected: Vec<Group> = Vec::new();
    while let Some(batch) = input.next(cx)? {
        cx.check()?;
        for mut row in batch {
            cx.work(ROW_WORK)?;
            if row.may_have_histograms() {
                let before = row.count();
                if row.drop_histograms() {
                    cx.annotate(Annotation::IgnoredInAggregation("quantile"), aggregation.input_span);
                }
                cx.release(before - row.count());
            }
            let (at, labels) = groups.find(&row.labels);
            if at == collected.len() {
                collected.push(Group { labels, drop_name: false, members: Vec::new() });
            }
            let group = &mut collected[at];
            group.drop_name |= inherits_drop(&group.labels, row.drop_name);
            group.members.push(row);
        }
    }
    remark_params(param, aggregation, cx);
    let mut out = Vec::with_capacity(collected.len());
    let most = collected.iter().map(|group| group.members.len()).max().unwrap_or(0);
    let _scratch = cx.reserve(most * size_of::<f64>())?;
    let mut scratch = Vec::with_capacity(most);
    for group in collected {
        cx.check()?;
        let mut row = cx.row(group.labels, steps)?;
        row.drop_name = group.drop_name;
        for (at, q) in param.iter().enumerate().take(steps) {
            cx.work(group.members.len())?;
            scratch.clear();
            scratch.extend(group.members.iter().filter_map(|member| member.get(at)));
            if !scratch.is_empty() {
                row.put(at, math::quantile(*q, &mut scratch));
            }
        }
        cx.release(group.members.iter().map(Row::count).sum());
        cx.hold(row.count())?;
        if !row.is_empty() {
            out.push(row);
        }
    }
    Ok(out)
}

fn remark_params(param: &[f64], aggregation: &Aggregation, cx: &Context<'_>) {
    let (min, max) = super::rank::bounds(param);
    if param.iter().any(|q| q.is_nan()) {
        cx.annotate(Annotation::InvalidQuantile(f64::NAN), aggregation.param_span);
    }
    if max > 1.0 {
        cx.annotate(Annotation::InvalidQuantile(max), aggregation.param_span);
    }
    if min < 0.0 {
        cx.annotate(Annotation::InvalidQuantile(min), aggregation.param_span);
    }
}
