//! `count_values`: groups by the printed value as well.

use hashbrown::HashMap;

use super::Groups;
use crate::model::{Labels, LabelsBuf};
use crate::promql::error::Error;
use crate::promql::exec::Context;
use crate::promql::exec::batch::{Batch, Row};
use crate::promql::exec::build::Opened;
use crate::promql::exec::histogram::plain_text;
use crate::promql::syntax::quote::plain_float;

/// One row per group and value; `label` holds the value.
pub(super) fn run(
    groups: &Groups<'_>,
    label: &str,
    mut input: Opened<'_>,
    steps: usize,
    cx: &Context<'_>,
) -> Result<Batch, Error> {
    let mut known: HashMap<Labels, usize> = HashMap::new();
    let mut out: Batch = Vec::new();
    let mut buf = LabelsBuf::new();
    while let Some(batch) = input.next(cx)? {
        cx.check()?;
        for row in batch {
            // Values mostly repeat from step to step, and finding the group costs far more than comparing bits.
            let mut last: Option<(u64, usize)> = None;
            let any_histograms = row.may_have_histograms();
            for at in row.present.iter() {
                if any_histograms && let Some(histogram) = row.histogram(at) {
                    buf.reset_to(&row.labels);
                    buf.set(label, &plain_text(histogram));
                    let index = *known.entry(groups.labels(&buf.to_labels())).or_insert_with_key(|group| {
                        out.push(cx.row(group.clone(), steps));
                        out.len() - 1
                    });
                    let counted = out[index].get(at).unwrap_or(0.0);
                    out[index].put(at, counted + 1.0);
                    continue;
                }
                let bits = row.values[at].to_bits();
                let index = match last {
                    Some((same, index)) if same == bits => index,
                    _ => {
                        buf.reset_to(&row.labels);
                        buf.set(label, &plain_float(row.values[at]));
                        let group = groups.labels(&buf.to_labels());
                        *known.entry(group).or_insert_with_key(|group| {
                            out.push(cx.row(group.clone(), steps));
                            out.len() - 1
                        })
                    }
                };
                last = Some((bits, index));
                let counted = out[index].get(at).unwrap_or(0.0);
                out[index].put(at, counted + 1.0);
            }
            cx.release(row.count());
        }
        if out.len().saturating_mul(steps) > cx.max_samples() {
            return Err(Error::TooManySamples);
        }
    }
    cx.hold(out.iter().map(Row::count).sum())?;
    Ok(out)
}
