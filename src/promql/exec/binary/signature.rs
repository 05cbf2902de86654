//! What two elements must have in common to match.

use hashbrown::HashMap;

use crate::model::{Labels, METRIC_NAME};
use crate::promql::exec::batch::Row;
use crate::promql::syntax::ast::Matching;

/// The labels of an element that decide what it matches.
pub(super) fn signature(labels: &Labels, matching: &Matching) -> Labels {
    let listed = |name: &str| matching.labels.iter().any(|l| l == name);
    if matching.on {
        labels.without(|name| !listed(name))
    } else {
        labels.without(|name| name == METRIC_NAME || listed(name))
    }
}

/// Rows of both sides that share a signature.
pub(super) struct Pairing {
    pub(super) signature: Labels,
    pub(super) left: Vec<usize>,
    pub(super) right: Vec<usize>,
}

/// Sorts the rows of both sides by signature, in order of first appearance.
pub(super) fn pair(lhs: &[Row], rhs: &[Row], matching: &Matching) -> Vec<Pairing> {
    let mut known: HashMap<Labels, usize> = HashMap::with_capacity(lhs.len());
    let mut out: Vec<Pairing> = Vec::with_capacity(lhs.len());
    for (rows, is_left) in [(lhs, true), (rhs, false)] {
        for (index, row) in rows.iter().enumerate() {
            let signature = signature(&row.labels, matching);
            let at = *known.entry(signature).or_insert_with_key(|signature| {
                out.push(Pairing { signature: signature.clone(), left: Vec::new(), right: Vec::new() });
                out.len() - 1
            });
            let side = if is_left { &mut out[at].left } else { &mut out[at].right };
            side.push(index);
        }
    }
    out
}
