//! Histograms of which only count and sum are wanted.

use std::sync::Arc;

use crate::model::histogram::ResetHint;
use crate::model::{Histogram, Samples};

/// Leaves nothing but schema, count and sum. Without the buckets resets could no longer be found, so they are looked
/// for here and told by the hints.
pub(crate) fn keep_totals(samples: &mut Samples) {
    let mut before: Option<Arc<Histogram>> = None;
    for (_, histogram) in &mut samples.histograms {
        if histogram.is_stale() {
            continue;
        }
        let reset_hint = match (histogram.reset_hint, &before) {
            (ResetHint::Unknown, Some(before)) if histogram.is_reset_after(before) => ResetHint::Reset,
            (ResetHint::Unknown, Some(_)) => ResetHint::NotReset,
            (known, _) => known,
        };
        let Histogram { schema, count, sum, .. } = **histogram;
        let totals = Histogram { schema, count, sum, reset_hint, ..Histogram::default() };
        before = Some(std::mem::replace(histogram, Arc::new(totals)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::Buckets;

    #[test]
    fn resets_are_told_by_hints() {
        let mut samples = Samples::new();
        for (time, populated) in [(1, 0), (2, 0), (3, 5)] {
            let positive = Buckets::from_numbered([(populated, 1.0)]);
            samples
                .push_histogram(time, Arc::new(Histogram { count: 1.0, positive, ..Histogram::default() }));
        }
        keep_totals(&mut samples);
        let hints: Vec<_> = samples.histograms.iter().map(|(_, h)| (h.reset_hint, h.count)).collect();
        let expected = [(ResetHint::Unknown, 1.0), (ResetHint::NotReset, 1.0), (ResetHint::Reset, 1.0)];
        assert_eq!(hints, expected);
        assert!(samples.histograms.iter().all(|(_, h)| h.positive.counts.is_empty()));
    }
}
