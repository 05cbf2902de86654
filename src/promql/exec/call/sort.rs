//! `sort` and its kin: an order for instant queries.

use std::cmp::Ordering;

use crate::model::Labels;
use crate::promql::annotations::Annotation;
use crate::promql::error::Error;
use crate::promql::exec::Context;
use crate::promql::exec::batch::{Batch, ROW_WORK, Row};
use crate::promql::plan::{SortFunc, SortOrder};

/// The work of looking a label up, in steps.
const LOOKUP_WORK: usize = 16;

/// Sorts the rows by their only value or by labels. Range queries end up in label order whatever happens here.
///
/// # Errors
/// When the query should end early.
pub(crate) fn sort_rows(func: &SortFunc, mut rows: Batch, cx: &Context<'_>) -> Result<Batch, Error> {
    if func.order == SortOrder::ByValue && rows.iter().any(Row::may_have_histograms) {
        for row in &mut rows {
            let before = row.count();
            row.drop_histograms();
            cx.release(before - row.count());
        }
        rows.retain(|row| !row.is_empty());
    }
    if func.in_range {
        cx.annotate(Annotation::SortInRange, func.span);
        return Ok(rows);
    }
    match &func.order {
        SortOrder::ByValue => rows.sort_by(|a, b| {
            let value = |row: &Row| row.get(0).unwrap_or(f64::NAN);
            let (a, b) = (value(a), value(b));
            match (a.is_nan(), b.is_nan()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => {
                    let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
                    if func.descending { order.reverse() } else { order }
                }
            }
        }),
        SortOrder::ByLabels(names) => {
            let _memory = cx.reserve(rows.len() * (2 * size_of::<usize>() + size_of::<Option<Row>>()))?;
            let order = order_of(rows.len(), |a, b| {
                let order = by_labels(names, &rows[a].labels, &rows[b].labels, cx);
                if func.descending { order.map(Ordering::reverse) } else { order }
            })?;
            let mut unsorted: Vec<_> = rows.into_iter().map(Some).collect();
            rows = order.into_iter().filter_map(|at| unsorted[at].take()).collect();
        }
    }
    Ok(rows)
}

/// Compares by the labels in `names`, the first of them first, and by all labels where these are equal.
fn by_labels(names: &[String], a: &Labels, b: &Labels, cx: &Context<'_>) -> Result<Ordering, Error> {
    cx.work(ROW_WORK)?;
    for name in names {
        let (a, b) = (a.get(name).unwrap_or(""), b.get(name).unwrap_or(""));
        cx.work(LOOKUP_WORK + a.len().min(b.len()))?;
        let order = natural(a, b);
        if order.is_ne() {
            return Ok(order);
        }
    }
    cx.work(a.packed_len().min(b.packed_len()))?;
    Ok(a.cmp(b))
}

/// The numbers below `count` in the order of `compare`, those that are equal in their own. A merge sort, which ends
/// where a comparison fails: the one of the standard library has to go on to the end.
///
/// # Errors
/// The first one of `compare`.
fn order_of<E>(
    count: usize,
    mut compare: impl FnMut(usize, usize) -> Result<Ordering, E>,
) -> Result<Vec<usize>, E> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut merged = Vec::with_capacity(count);
    let mut width = 1;
    while width < count {
        for run in order.chunks(2 * width) {
            let (mut left, mut right) = run.split_at(width.min(run.len()));
            while let (Some((l, after_l)), Some((r, after_r))) = (left.split_first(), right.split_first()) {
                if compare(*r, *l)?.is_lt() {
                    merged.push(*r);
                    right = after_r;
                } else {
                    merged.push(*l);
                    left = after_l;
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        std::mem::swap(&mut order, &mut merged);
        merged.clear();
        width *= 2;
    }
    Ok(order)
}

/// Compares texts with runs of digits taken as numbers.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let (Some(x), Some(y)) = (a.first(), b.first()) {
        if !(x.is_ascii_digit() && y.is_ascii_digit()) {
            match x.cmp(y) {
                Ordering::Equal => {
                    a = &a[1..];
                    b = &b[1..];
                    continue;
                }
                order => return order,
            }
        }
        let digits = |text: &[u8]| text.iter().take_while(|c| c.is_ascii_digit()).count();
        let ((left, a_rest), (right, b_rest)) = (a.split_at(digits(a)), b.split_at(digits(b)));
        let significant = |text: &'_ [u8]| text.iter().take_while(|c| **c == b'0').count();
        let (l, r) = (&left[significant(left)..], &right[significant(right)..]);
        let order = l.len().cmp(&r.len()).then_with(|| l.cmp(r)).then(left.len().cmp(&right.len()));
        if order.is_ne() {
            return order;
        }
        a = a_rest;
        b = b_rest;
    }
    a.len().cmp(&b.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::syntax::ast::Span;

    #[test]
    fn numbers_inside_texts_count_as_numbers() {
        let order = ["", "a", "a1", "a2", "a10", "a010x", "b"];
        for pair in order.windows(2) {
            assert_eq!(natural(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(natural("x1y", "x1y"), Ordering::Equal);
    }

    #[test]
    fn equal_ones_stay_in_their_order() {
        for count in [0, 1, 2, 3, 7, 8, 100] {
            let key = |at: usize| at * 31 % 10;
            let order = order_of(count, |a, b| Ok::<_, ()>(key(a).cmp(&key(b)))).expect("no error");
            let mut expected: Vec<usize> = (0..count).collect();
            expected.sort_by_key(|at| key(*at));
            assert_eq!(order, expected, "{count}");
        }
    }

    #[test]
    fn a_sort_by_many_labels_ends_with_its_query() {
        let sorted = |names: usize| {
            let cx = Context::unlimited();
            cx.stop().stop();
            let order = SortOrder::ByLabels((0..names).map(|name| format!("l{name}")).collect());
            let func = SortFunc { order, descending: false, in_range: false, span: Span::new(0, 0) };
            let row = |value| Row::empty(Labels::from_pairs([("x", value)]), 1);
            let rows = sort_rows(&func, vec![row("2"), row("1")], &cx)?;
            Ok::<_, Error>(
                rows.iter().map(|row| row.labels.get("x").unwrap_or_default().to_owned()).collect::<Vec<_>>(),
            )
        };
        // So little work is not worth a look at the clock.
        assert_eq!(sorted(10).expect("is done first"), ["1", "2"]);
        assert!(matches!(sorted(10_000), Err(Error::Canceled(_))));
    }
}
