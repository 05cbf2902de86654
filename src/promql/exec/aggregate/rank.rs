//! `topk`, `bottomk`, `limitk` and `limit_ratio`: members are kept as they are, or not at all.

use std::cmp::Ordering;

use super::Groups;
use crate::promql::annotations::Remark;
use crate::promql::error::Error;
use crate::promql::exec::Context;
use crate::promql::exec::batch::{Batch, Presence, Row};
use crate::promql::exec::build::{Opened, collect};
use crate::promql::exec::call::label_hash;
use crate::promql::plan::Aggregation;
use crate::promql::syntax::ast::AggregateOp;
use crate::promql::syntax::quote::short_float;

/// Smallest and largest parameter, NaN aside.
pub(super) fn bounds(param: &[f64]) -> (f64, f64) {
    param.iter().filter(|p| !p.is_nan()).fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), p| {
        (if *p < min { *p } else { min }, if *p > max { *p } else { max })
    })
}

/// The members that stay.
pub(super) fn run(
    aggregation: &Aggregation,
    mut groups: Groups<'_>,
    param: &[f64],
    input: Opened<'_>,
    steps: usize,
    cx: &Context<'_>,
) -> Result<Batch, Error> {
    let mut rows = collect(input, cx)?;
    if !check_params(aggregation, param, cx)? {
        return Ok(Vec::new());
    }
    let before: usize = rows.iter().map(Row::count).sum();
    // Members of each group, in the order of the input.
    let mut members: Vec<Vec<usize>> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let (group, _) = groups.find(&row.labels);
        if group == members.len() {
            members.push(Vec::new());
        }
        members[group].push(index);
    }
    let mut kept: Vec<Presence> = rows.iter().map(|_| Presence::none(steps)).collect();
    let mut order: Vec<usize> = Vec::with_capacity(rows.len());
    for group in &members {
        cx.check()?;
        if aggregation.op == AggregateOp::LimitRatio {
            limit_ratio(&rows, group, param, &mut kept);
            order.extend(group);
            continue;
        }
        let mut here: Vec<(f64, usize)> = Vec::with_capacity(group.len());
        for (at, k) in param.iter().enumerate().take(steps) {
            here.clear();
            here.extend(group.iter().filter_map(|index| rows[*index].get(at).map(|v| (v, *index))));
            let k = count(*k, rows.len());
            match aggregation.op {
                AggregateOp::TopK => here.sort_by(|a, b| nan_last(a.0, b.0, true)),
                AggregateOp::BottomK => here.sort_by(|a, b| nan_last(a.0, b.0, false)),
                _ => {}
            }
            here.truncate(k);
            for (_, index) in &here {
                kept[*index].set(at);
            }
        }
        // An instant query shows each group from its best member on.
        if steps == 1 {
            order.extend(here.iter().map(|(_, index)| *index));
        } else {
            order.extend(group);
        }
    }
    let mut out = Vec::with_capacity(order.len());
    let mut slots: Vec<Option<Row>> = rows.drain(..).map(Some).collect();
    for index in order {
        if let Some(mut row) = slots[index].take() {
            row.present.intersect(&kept[index]);
            if !row.is_empty() {
                out.push(row);
            }
        }
    }
    cx.release(before);
    cx.hold(out.iter().map(Row::count).sum())?;
    Ok(out)
}

fn nan_last(a: f64, b: f64, descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
    }
}

/// A parameter as a count of at most `most`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range first")]
fn count(k: f64, most: usize) -> usize {
    if k < 1.0 { 0 } else { k.min(most as f64) as usize }
}

/// Whether there is anything to keep.
fn check_params(aggregation: &Aggregation, param: &[f64], cx: &Context<'_>) -> Result<bool, Error> {
    let (min, max) = bounds(param);
    let has_nan = param.iter().any(|p| p.is_nan());
    let fail = |text: String| Err(Error::Execution(text));
    if aggregation.op == AggregateOp::LimitRatio {
        if has_nan {
            return fail("Ratio value is NaN".to_owned());
        }
        for (got, capped, beyond) in [(max, 1.0, max > 1.0), (min, -1.0, min < -1.0)] {
            if beyond {
                cx.remark(Remark::InvalidRatio { got, capped }, aggregation.param_span);
            }
        }
        return Ok(!(min == 0.0 && max == 0.0));
    }
    // A NaN parameter beside others that are all below one still means an empty result.
    if max < 1.0 && !(has_nan && max == f64::NEG_INFINITY) {
        return Ok(false);
    }
    if has_nan {
        return fail("Parameter value is NaN".to_owned());
    }
    let limit = i64::MAX as f64;
    if min <= -limit {
        return fail(format!("Scalar value {} underflows int64", short_float(min)));
    }
    if max >= limit {
        return fail(format!("Scalar value {} overflows int64", short_float(max)));
    }
    Ok(true)
}

/// Keeps a share of the members that depends on nothing but their labels.
fn limit_ratio(rows: &[Row], group: &[usize], param: &[f64], kept: &mut [Presence]) {
    for index in group {
        let row = &rows[*index];
        let offset = label_hash(&row.labels) as f64 / 18_446_744_073_709_551_616.0;
        for at in row.present.iter() {
            let ratio = param[at].clamp(-1.0, 1.0);
            let keep = if ratio >= 0.0 { offset < ratio } else { offset >= 1.0 + ratio };
            if keep {
                kept[*index].set(at);
            }
        }
    }
}
