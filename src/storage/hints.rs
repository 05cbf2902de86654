//! What a database tells of counter resets.
//!
//! A database compares what it is given with what came before, and what it gives
//! back says that there was no reset in between, if that is known.

use std::sync::Arc;

use crate::model::Histogram;
use crate::model::histogram::ResetHint;

/// The histogram as it comes back when appended right after `previous`, which has come back already.
///
/// A database that finds a reset begins anew with what it knows of the series, and does not say why.
pub(super) fn appended(previous: Option<&Histogram>, histogram: &Arc<Histogram>) -> Arc<Histogram> {
    let hint = match (histogram.reset_hint, previous) {
        (ResetHint::Gauge, _) => ResetHint::Gauge,
        (ResetHint::Reset, _) | (_, None) => ResetHint::Unknown,
        (_, Some(before)) if continues(before, histogram) => ResetHint::NotReset,
        _ => ResetHint::Unknown,
    };
    if hint == histogram.reset_hint {
        return Arc::clone(histogram);
    }
    Arc::new(Histogram { reset_hint: hint, ..(**histogram).clone() })
}

/// Whether a histogram is what was before it, grown further.
fn continues(before: &Histogram, histogram: &Histogram) -> bool {
    if before.reset_hint == ResetHint::Gauge {
        return false;
    }
    if histogram.is_stale() {
        return true;
    }
    let unhinted = Histogram { reset_hint: ResetHint::Unknown, ..histogram.clone() };
    !before.is_stale()
        && histogram.schema == before.schema
        && histogram.zero_threshold == before.zero_threshold
        && histogram.custom_values == before.custom_values
        && !unhinted.is_reset_after(before)
}
