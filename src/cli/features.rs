//! Features of the query language, as the command line names them.

use super::output;
use crate::promql::Features;

/// The parts of the query language that `names` enable.
pub(super) fn features(names: &[String]) -> Features {
    let mut features = Features::default();
    for name in names {
        if !features.enable(name) {
            output::note(&format!("  WARNING: unknown feature; ignoring it: {name}"));
        }
    }
    features
}
