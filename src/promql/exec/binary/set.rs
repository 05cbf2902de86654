//! `and`, `or`, `unless`: elements stay as they are or go.

use super::signature::pair;
use crate::promql::error::Error;
use crate::promql::exec::Context;
use crate::promql::exec::batch::{Batch, Presence, ROW_WORK};
use crate::promql::plan::VectorBinary;
use crate::promql::syntax::ast::BinaryOp;

/// The rows of a set operation.
pub(super) fn run(
    op: &VectorBinary,
    mut lhs: Batch,
    mut rhs: Batch,
    steps: usize,
    cx: &Context<'_>,
) -> Result<Batch, Error> {
    for pairing in pair(&lhs, &rhs, &op.matching, cx)?.pairings {
        cx.check()?;
        cx.work((pairing.left.len() + pairing.right.len()).saturating_mul(ROW_WORK + steps / 64))?;
        let (other, indexes) = match op.op {
            BinaryOp::Or => (&lhs, &pairing.left),
            _ => (&rhs, &pairing.right),
        };
        let mut seen = Presence::none(steps);
        for index in indexes {
            seen.union(&other[*index].present);
        }
        match op.op {
            BinaryOp::And => pairing.left.iter().for_each(|i| lhs[*i].present.intersect(&seen)),
            BinaryOp::Unless => pairing.left.iter().for_each(|i| lhs[*i].present.subtract(&seen)),
            _ => pairing.right.iter().for_each(|i| rhs[*i].present.subtract(&seen)),
        }
    }
    if op.op == BinaryOp::Or {
        lhs.append(&mut rhs);
    }
    lhs.retain(|row| !row.is_empty());
    Ok(lhs)
}
