//! What two elements must have in common to match.

use hashbrown::HashMap;

use crate::model::{Labels, METRIC_NAME};
use crate::promql::error::Error;
use crate::promql::exec::Context;
use crate::promql::exec::batch::{ROW_WORK, Row};
use crate::promql::memory::Ticket;
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

/// The pairings of two vectors.
pub(super) struct Paired {
    pub(super) pairings: Vec<Pairing>,
    /// What they take.
    _memory: Ticket,
}

/// Sorts the rows of both sides by signature, in order of first appearance.
pub(super) fn pair(lhs: &[Row], rhs: &[Row], matching: &Matching, cx: &Context<'_>) -> Result<Paired, Error> {
    let of_row =
        |row: &Row| size_of::<Pairing>() + 2 * size_of::<(Labels, usize)>() + row.labels.packed_len();
    let memory = cx.reserve(lhs.iter().chain(rhs).map(of_row).sum())?;
    let mut known: HashMap<Labels, usize> = HashMap::new();
    let mut out: Vec<Pairing> = Vec::new();
    for (rows, is_left) in [(lhs, true), (rhs, false)] {
        for (index, row) in rows.iter().enumerate() {
            cx.work(ROW_WORK)?;
            let signature = signature(&row.labels, matching);
            let at = *known.entry(signature).or_insert_with_key(|signature| {
                out.push(Pairing { signature: signature.clone(), left: Vec::new(), right: Vec::new() });
                out.len() - 1
            });
            let side = if is_left { &mut out[at].left } else { &mut out[at].right };
            side.push(index);
        }
    }
    Ok(Paired { pairings: out, _memory: memory })
}
