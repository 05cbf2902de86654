//! `sort` and its kin: an order for instant queries.

use std::cmp::Ordering;

use crate::model::Labels;
use crate::promql::annotations::Remark;
use crate::promql::exec::Context;
use crate::promql::exec::batch::{Batch, Row};
use crate::promql::plan::{SortFunc, SortOrder};

/// Sorts the rows by their only value or by labels. Range queries end up in label order whatever happens here.
pub(crate) fn sort_rows(func: &SortFunc, mut rows: Batch, cx: &Context<'_>) -> Batch {
    if func.order == SortOrder::ByValue && rows.iter().any(Row::may_have_histograms) {
        for row in &mut rows {
            let before = row.count();
            row.drop_histograms();
            cx.release(before - row.count());
        }
        rows.retain(|row| !row.is_empty());
    }
    if func.in_range {
        cx.remark(Remark::SortInRange, func.span);
        return rows;
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
        SortOrder::ByLabels(labels) => rows.sort_by(|a, b| {
            let order = by_labels(labels, &a.labels, &b.labels);
            if func.descending { order.reverse() } else { order }
        }),
    }
    rows
}

fn by_labels(names: &[String], a: &Labels, b: &Labels) -> Ordering {
    names
        .iter()
        .map(|name| natural(a.get(name).unwrap_or(""), b.get(name).unwrap_or("")))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.cmp(b))
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

    #[test]
    fn numbers_inside_texts_count_as_numbers() {
        let order = ["", "a", "a1", "a2", "a10", "a010x", "b"];
        for pair in order.windows(2) {
            assert_eq!(natural(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(natural("x1y", "x1y"), Ordering::Equal);
    }
}
