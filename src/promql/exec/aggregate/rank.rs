//! `topk`, `bottomk`, `limitk` and `limit_ratio`: members are kept as they are, or not at all.

use std::cmp::Ordering;

use super::Groups;
use crate::promql::annotations::Remark;
use crate::promql::error::Error;
use crate::promql::exec::Context;
use crate::promql::exec::batch::{Batch, Presence, Row};
use crate::promql::exec::build::{Opened, collect};
use crate::promql::exec::call::sample_offset;
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
    let ignores_some = matches!(aggregation.op, AggregateOp::TopK | AggregateOp::BottomK)
        && rows.iter().any(Row::may_have_histograms);
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
            let k = count(*k, rows.len());
            let there = group.iter().filter_map(|index| rows[*index].get(at).map(|v| (v, *index)));
            match aggregation.op {
                AggregateOp::TopK => best_of(there, k, |a, b| a < b, &mut here),
                AggregateOp::BottomK => best_of(there, k, |a, b| a > b, &mut here),
                _ => {
                    let there = group.iter().filter(|index| rows[**index].present.get(at));
                    here.extend(there.take(k).map(|index| (0.0, *index)));
                }
            }
            if ignores_some && k > 0 && group.iter().any(|index| rows[*index].histogram(at).is_some()) {
                cx.remark(Remark::IgnoredInAggregation(aggregation.op.as_str()), aggregation.span);
            }
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

/// The `k` best members, the best first. `worse` says whether a number is worse than another; NaN is worst.
///
/// Which of several equal members stay is part of the behaviour: it follows from a heap with the worst on top,
/// whose top goes when a better one comes.
fn best_of(
    members: impl Iterator<Item = (f64, usize)>,
    k: usize,
    worse: impl Fn(f64, f64) -> bool,
    heap: &mut Vec<(f64, usize)>,
) {
    let below = |heap: &[(f64, usize)], a: usize, b: usize| heap[a].0.is_nan() || worse(heap[a].0, heap[b].0);
    for member in members {
        if heap.len() < k {
            heap.push(member);
            let mut at = heap.len() - 1;
            while at > 0 {
                let parent = (at - 1) / 2;
                if !below(heap, at, parent) {
                    break;
                }
                heap.swap(at, parent);
                at = parent;
            }
            continue;
        }
        let Some(top) = heap.first_mut() else { continue };
        if !(worse(top.0, member.0) || (top.0.is_nan() && !member.0.is_nan())) {
            continue;
        }
        *top = member;
        let mut at = 0;
        loop {
            let mut child = 2 * at + 1;
            if child >= heap.len() {
                break;
            }
            if child + 1 < heap.len() && below(heap, child + 1, child) {
                child += 1;
            }
            if !below(heap, child, at) {
                break;
            }
            heap.swap(at, child);
            at = child;
        }
    }
    heap.sort_by(|a, b| match (a.0.is_nan(), b.0.is_nan()) {
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if worse(b.0, a.0) => Ordering::Less,
        (false, false) if worse(a.0, b.0) => Ordering::Greater,
        _ => Ordering::Equal,
    });
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
        let offset = sample_offset(&row.labels);
        for at in row.present.iter() {
            let ratio = param[at].clamp(-1.0, 1.0);
            let keep = if ratio >= 0.0 { offset < ratio } else { offset >= 1.0 + ratio };
            if keep {
                kept[*index].set(at);
            }
        }
    }
}
