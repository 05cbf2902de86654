//! `count_values`: groups by the printed value as well.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::Groups;
use crate::model::{Labels, LabelsBuf};
use crate::promql::error::Error;
use crate::promql::exec::Context;
use crate::promql::exec::batch::{Batch, ROW_WORK, Row};
use crate::promql::exec::histogram::plain_text;
use crate::promql::exec::operator::Opened;
use crate::promql::syntax::quote::plain_float;

/// One row per group and value; `label` holds the value.
pub(super) fn run(
    groups: &Groups<'_>,
    label: &str,
    mut input: Opened<'_>,
    steps: usize,
    cx: &Context<'_>,
) -> Result<Batch, Error> {
    let mut counted = Counted { known: HashMap::new(), rows: Vec::new(), steps };
    let mut buf = LabelsBuf::new();
    while let Some(batch) = input.next(cx)? {
        cx.check()?;
        for row in batch {
            cx.work(row.values.len())?;
            // Values mostly repeat from step to step, and finding the group costs far more than comparing bits.
            let mut last: Option<(u64, usize)> = None;
            let any_histograms = row.may_have_histograms();
            for at in row.present.iter() {
                if any_histograms && let Some(histogram) = row.histogram(at) {
                    // Every bucket is written out.
                    cx.work(histogram.weight() * ROW_WORK)?;
                    buf.reset_to(&row.labels);
                    buf.set(label, &plain_text(histogram));
                    let index = counted.find(groups.labels(&buf.to_labels()), cx)?;
                    counted.add(index, at);
                    continue;
                }
                let bits = row.values[at].to_bits();
                let index = match last {
                    Some((same, index)) if same == bits => index,
                    _ => {
                        buf.reset_to(&row.labels);
                        buf.set(label, &plain_float(row.values[at]));
                        counted.find(groups.labels(&buf.to_labels()), cx)?
                    }
                };
                last = Some((bits, index));
                counted.add(index, at);
            }
            cx.release(row.count());
        }
        if counted.rows.len().saturating_mul(steps) > cx.max_samples() {
            return Err(Error::TooManySamples);
        }
    }
    cx.hold(counted.rows.iter().map(Row::count).sum())?;
    Ok(counted.rows)
}

/// The rows so far, by their labels.
struct Counted {
    known: HashMap<Labels, usize>,
    rows: Batch,
    steps: usize,
}

impl Counted {
    /// The number of the row of `group`.
    fn find(&mut self, group: Labels, cx: &Context<'_>) -> Result<usize, Error> {
        cx.work(ROW_WORK)?;
        match self.known.entry(group) {
            Entry::Occupied(slot) => Ok(*slot.get()),
            Entry::Vacant(slot) => {
                self.rows.push(cx.row(slot.key().clone(), self.steps)?);
                Ok(*slot.insert(self.rows.len() - 1))
            }
        }
    }

    fn add(&mut self, index: usize, at: usize) {
        let before = self.rows[index].get(at).unwrap_or(0.0);
        self.rows[index].put(at, before + 1.0);
    }
}
