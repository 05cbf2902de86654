//! Rows that grow, which is counted as memory of the query.

use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::batch::{Batch, Element, ROW_WORK, Row};
use super::context::Context;
use crate::model::{Histogram, Labels};
use crate::promql::error::Error;

impl Row {
    /// Gives it other labels, which are counted where they are longer.
    pub(crate) fn relabel(&mut self, labels: Labels, cx: &Context<'_>) -> Result<(), Error> {
        let more = labels.packed().len().saturating_sub(self.labels.packed().len());
        cx.grow(&mut self.memory, more)?;
        self.labels = labels;
        Ok(())
    }

    /// Makes step `at` a histogram.
    pub(crate) fn put_histogram(
        &mut self,
        at: usize,
        histogram: Arc<Histogram>,
        cx: &Context<'_>,
    ) -> Result<(), Error> {
        let column = if self.histograms.is_empty() { self.values.len() * 8 } else { 0 };
        let before = self.histograms.get(at).and_then(Option::as_ref).map_or(0, |before| before.weight());
        // As if nothing else held it: it may be the last to do so.
        let more = column + histogram.weight().saturating_sub(before) * 16;
        cx.grow(&mut self.memory, more)?;
        self.set_histogram(at, histogram);
        Ok(())
    }

    /// Sets step `at`.
    pub(crate) fn put_element(
        &mut self,
        at: usize,
        element: Element<'_>,
        cx: &Context<'_>,
    ) -> Result<(), Error> {
        match element {
            Element::Float(value) => self.put(at, value),
            Element::Histogram(histogram) => self.put_histogram(at, Arc::clone(histogram), cx)?,
        }
        Ok(())
    }
}

/// Joins rows with equal labels, first come first; an error when two have a value at the same step.
pub(crate) fn merge_equal(rows: Batch, cx: &Context<'_>) -> Result<Batch, Error> {
    let _memory = cx.reserve(rows.len() * (size_of::<Row>() + 2 * size_of::<(Labels, usize)>()))?;
    let mut known: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    let mut out: Batch = Vec::with_capacity(rows.len());
    for row in rows {
        cx.work(ROW_WORK)?;
        match known.entry(row.labels.clone()) {
            Entry::Vacant(slot) => {
                slot.insert(out.len());
                out.push(row);
            }
            Entry::Occupied(slot) => {
                let into = &mut out[*slot.get()];
                cx.work(row.values.len())?;
                if into.present.overlaps(&row.present) {
                    return Err(Error::DuplicateLabels);
                }
                if into.may_have_histograms() || row.may_have_histograms() {
                    for at in row.present.iter() {
                        into.put_element(at, row.existing(at), cx)?;
                    }
                    continue;
                }
                for at in row.present.iter() {
                    into.values[at] = row.values[at];
                }
                into.present.union(&row.present);
            }
        }
    }
    Ok(out)
}
