//! A vector and a scalar: each element by itself.

use super::element::{LastRemarks, combine};
use crate::promql::annotations::Annotation;
use crate::promql::error::Error;
use crate::promql::exec::batch::{Batch, Element, Row};
use crate::promql::exec::operator::{Opened, drop_name};
use crate::promql::exec::record::Record;
use crate::promql::exec::{Column, Context, Operator, math};
use crate::promql::syntax::ast::{BinaryOp, Span};

/// Applies an operator between every element and a number per step.
pub(crate) struct VectorScalar<'p> {
    pub(crate) op: BinaryOp,
    pub(crate) input: Opened<'p>,
    pub(crate) scalar: Column,
    /// What was noted about a scalar on the right.
    pub(in crate::promql::exec) after: Option<Record>,
    /// Whether the scalar is the left operand.
    pub(crate) scalar_left: bool,
    pub(crate) return_bool: bool,
    pub(crate) span: Span,
    pub(crate) annotations: LastRemarks,
    /// Number of rows seen so far.
    pub(crate) rows: usize,
}

impl VectorScalar<'_> {
    /// The histograms of a row; the floats are done with afterwards.
    fn histograms(&mut self, row: &mut Row, cx: &Context<'_>) -> Result<(), Error> {
        for at in 0..row.values.len() {
            let Some(histogram) = row.histogram(at).cloned() else { continue };
            cx.work(histogram.weight())?;
            let (element, scalar) = (Element::Histogram(&histogram), Element::Float(self.scalar[at]));
            let (left, right) = if self.scalar_left { (scalar, element) } else { (element, scalar) };
            match combine(self.op, left, right) {
                // No comparison of a histogram with a number yields anything.
                Ok(combined) => row.put_histogram(at, combined.histogram, cx)?,
                Err(annotation) => {
                    self.annotations.note(at, self.rows, annotation, cx)?;
                    row.present.clear(at);
                    row.histograms[at] = None;
                }
            }
        }
        Ok(())
    }
}

impl Operator for VectorScalar<'_> {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, Error> {
        let Some(mut batch) = self.input.next(cx)? else {
            if let Some(record) = self.after.take() {
                cx.note(&record, |span| span);
            }
            self.annotations.finish(self.span, cx);
            return Ok(None);
        };
        let op = self.op;
        let compares = op.is_comparison();
        let trims = matches!(op, BinaryOp::TrimUpper | BinaryOp::TrimLower);
        for row in &mut batch {
            cx.work(row.values.len())?;
            let before = row.count();
            self.rows += 1;
            if row.may_have_histograms() {
                self.histograms(row, cx)?;
            }
            if trims {
                for at in 0..row.values.len() {
                    if row.get(at).is_some() {
                        let annotation =
                            Annotation::IncompatibleTypes { op: op.as_str(), left: "float", right: "float" };
                        self.annotations.note(at, self.rows, annotation, cx)?;
                    }
                }
                row.drop_floats();
            }
            // Whatever the loop makes of them, histograms that are left stay.
            let kept = row.may_have_histograms().then(|| row.histogram_steps());
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
            if let Some(kept) = kept {
                row.present.union(&kept);
            }
            let after = row.count();
            if after > before {
                cx.hold(after - before)?;
            }
            cx.release(before.saturating_sub(after));
            if op.changes_schema() || self.return_bool {
                drop_name(row, cx);
            }
        }
        batch.retain(|row| !row.is_empty());
        Ok(Some(batch))
    }
}
