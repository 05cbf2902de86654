//! What a database tells of counter resets.
//!
//! Scripts describe what is appended. A database compares what it is given with what came before, and what it gives
//! back says whether there was a reset in between, if that is known.

use std::sync::Arc;

use crate::model::Histogram;
use crate::model::histogram::ResetHint;

/// The histogram as it comes back when appended right after `previous`, which has come back already.
pub(super) fn appended(previous: Option<&Histogram>, histogram: &Arc<Histogram>) -> Arc<Histogram> {
    let hint = match (histogram.reset_hint, previous) {
        (given @ (ResetHint::Gauge | ResetHint::Reset), _) => given,
        (_, None) => ResetHint::Unknown,
        (_, Some(before)) => continued(before, histogram),
    };
    if hint == histogram.reset_hint {
        return Arc::clone(histogram);
    }
    Arc::new(Histogram { reset_hint: hint, ..(**histogram).clone() })
}

fn continued(before: &Histogram, histogram: &Histogram) -> ResetHint {
    if before.reset_hint == ResetHint::Gauge {
        return ResetHint::Unknown;
    }
    if histogram.is_stale() {
        return ResetHint::NotReset;
    }
    if before.is_stale() {
        return ResetHint::Unknown;
    }
    if histogram.count < before.count {
        return ResetHint::Reset;
    }
    if histogram.schema != before.schema || histogram.zero_threshold != before.zero_threshold {
        return ResetHint::Unknown;
    }
    let unhinted = Histogram { reset_hint: ResetHint::Unknown, ..histogram.clone() };
    if histogram.custom_values != before.custom_values || unhinted.is_reset_after(before) {
        ResetHint::Reset
    } else {
        ResetHint::NotReset
    }
}
