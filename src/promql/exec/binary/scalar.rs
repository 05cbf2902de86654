//! A vector and a scalar: each element by itself.

use crate::promql::annotations::Remark;
use crate::promql::error::Error;
use crate::promql::exec::batch::Batch;
use crate::promql::exec::build::{Opened, drop_name};
use crate::promql::exec::{Context, Operator, math};
use crate::promql::syntax::ast::{BinaryOp, Span};

/// Applies an operator between every element and a number per step.
pub(crate) struct VectorScalar<'p> {
    pub(crate) op: BinaryOp,
    pub(crate) input: Opened<'p>,
    pub(crate) scalar: Vec<f64>,
    /// Whether the scalar is the left operand.
    pub(crate) scalar_left: bool,
    pub(crate) return_bool: bool,
    pub(crate) span: Span,
}

impl Operator for VectorScalar<'_> {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, Error> {
        let Some(mut batch) = self.input.next(cx)? else { return Ok(None) };
        let op = self.op;
        let compares = op.is_comparison();
        let trims = matches!(op, BinaryOp::TrimUpper | BinaryOp::TrimLower);
        for row in &mut batch {
            let before = row.count();
            if trims && before > 0 {
                let remark = Remark::IncompatibleTypes { op: op.as_str(), left: "float", right: "float" };
                cx.remark(remark, self.span);
            }
            for at in 0..row.values.len() {
                let (value, scalar) = (row.values[at], self.scalar[at]);
                let (result, holds) = if self.scalar_left {
                    math::binary(op, scalar, value)
                } else {
                    math::binary(op, value, scalar)
                };
                row.values[at] = if self.return_bool {
                    f64::from(u8::from(holds))
                } else if compares {
                    // A filter keeps the element's value, whichever side it stands on.
                    value
                } else {
                    result
                };
                if !holds && !self.return_bool {
                    row.present.clear(at);
                }
            }
            cx.release(before - row.count());
            if op.changes_schema() || self.return_bool {
                drop_name(row, cx);
            }
        }
        batch.retain(|row| !row.is_empty());
        Ok(Some(batch))
    }
}
