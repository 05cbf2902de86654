//! Operators between two elements of which at least one is a native histogram.

use std::sync::Arc;

use crate::model::Histogram;
use crate::model::histogram::ResetHint;
use crate::promql::annotations::{Annotation, HistogramOperation};
use crate::promql::error::Error;
use crate::promql::exec::Context;
use crate::promql::exec::batch::Element;
use crate::promql::exec::histogram::{Accumulator, Sign, divide, scale, trim};
use crate::promql::memory::Ticket;
use crate::promql::syntax::ast::{BinaryOp, Span};

/// What an operator yields, and whether the element stays.
pub(super) struct Combined {
    pub(super) histogram: Arc<Histogram>,
    pub(super) keep: bool,
    pub(super) info: Option<Annotation>,
}

/// The result of `left op right`; an annotation says why there is none.
pub(super) fn combine(op: BinaryOp, left: Element<'_>, right: Element<'_>) -> Result<Combined, Annotation> {
    let changed =
        |histogram: Histogram| Ok(Combined { histogram: Arc::new(histogram), keep: true, info: None });
    match (op, left, right) {
        (BinaryOp::Mul, Element::Float(factor), Element::Histogram(histogram))
        | (BinaryOp::Mul, Element::Histogram(histogram), Element::Float(factor)) => {
            let mut out = (**histogram).clone();
            scale(&mut out, factor);
            out.compact();
            changed(out)
        }
        (BinaryOp::Div, Element::Histogram(histogram), Element::Float(divisor)) => {
            let mut out = (**histogram).clone();
            divide(&mut out, divisor);
            out.compact();
            changed(out)
        }
        (BinaryOp::TrimUpper | BinaryOp::TrimLower, Element::Histogram(histogram), Element::Float(at)) => {
            let mut out = (**histogram).clone();
            trim(&mut out, at, op == BinaryOp::TrimUpper);
            changed(out)
        }
        (BinaryOp::Add, Element::Histogram(a), Element::Histogram(b)) => sum(op, a, b, Sign::Plus),
        (BinaryOp::Sub, Element::Histogram(a), Element::Histogram(b)) => sum(op, a, b, Sign::Minus),
        (BinaryOp::Equal | BinaryOp::NotEqual, Element::Histogram(a), Element::Histogram(b)) => {
            let keep = a.same_data(b) == (op == BinaryOp::Equal);
            Ok(Combined { histogram: Arc::clone(a), keep, info: None })
        }
        _ => Err(Annotation::IncompatibleTypes { op: op.as_str(), left: kind(left), right: kind(right) }),
    }
}

fn kind(element: Element<'_>) -> &'static str {
    match element {
        Element::Float(_) => "float",
        Element::Histogram(_) => "histogram",
    }
}

fn sum(op: BinaryOp, a: &Histogram, b: &Histogram, sign: Sign) -> Result<Combined, Annotation> {
    let mut sum = Accumulator::plain(a);
    let operation = match sign {
        Sign::Plus => HistogramOperation::Addition,
        Sign::Minus => HistogramOperation::Subtraction,
    };
    let reconciled = sum.add(b, sign).map_err(|_| Annotation::IncompatibleLayouts { op: op.as_str() })?;
    if reconciled.hints {
        // As in Prometheus there is no result then.
        return Err(Annotation::ConflictingResets(operation));
    }
    let mut out = sum.compact();
    if sign == Sign::Minus {
        out.reset_hint = ResetHint::Gauge;
    }
    let info = reconciled.bounds.then_some(Annotation::BoundsReconciled(operation));
    Ok(Combined { histogram: Arc::new(out), keep: true, info })
}

/// Annotations of one operation. Of each step only the one about the last element is kept.
#[derive(Default)]
pub(in crate::promql::exec) struct LastRemarks {
    by_step: Vec<Option<(usize, Annotation)>>,
    /// What they take.
    memory: Option<Ticket>,
}

impl LastRemarks {
    /// Notes an annotation about element number `rank` of step `at`.
    pub(super) fn note(
        &mut self,
        at: usize,
        rank: usize,
        annotation: Annotation,
        cx: &Context<'_>,
    ) -> Result<(), Error> {
        let memory = match &mut self.memory {
            Some(memory) => memory,
            none => none.insert(cx.reserve(0)?),
        };
        if self.by_step.len() <= at {
            let more = at + 1 - self.by_step.len();
            cx.grow(memory, more * size_of::<Option<(usize, Annotation)>>())?;
            self.by_step.resize(at + 1, None);
        }
        let slot = &mut self.by_step[at];
        if slot.as_ref().is_none_or(|(other, _)| *other <= rank) {
            *slot = Some((rank, annotation));
        }
        Ok(())
    }

    /// Hands over what is left.
    pub(super) fn finish(&mut self, span: Span, cx: &Context<'_>) {
        for (_, annotation) in std::mem::take(&mut self.by_step).into_iter().flatten() {
            cx.annotate(annotation, span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_pairs_do_not_fit_together() {
        let histogram = Arc::new(Histogram { count: 2.0, ..Histogram::default() });
        let element = Element::Histogram(&histogram);
        let count = |result: Result<Combined, Annotation>| result.ok().map(|done| done.histogram.count);
        assert_eq!(count(combine(BinaryOp::Mul, Element::Float(3.0), element)), Some(6.0));
        assert_eq!(count(combine(BinaryOp::Div, element, Element::Float(2.0))), Some(1.0));
        assert_eq!(count(combine(BinaryOp::Div, Element::Float(2.0), element)), None);
        assert_eq!(count(combine(BinaryOp::Sub, element, element)), Some(0.0));
        assert!(combine(BinaryOp::Equal, element, element).is_ok_and(|done| done.keep));
        assert!(combine(BinaryOp::NotEqual, element, element).is_ok_and(|done| !done.keep));
        let Err(annotation) = combine(BinaryOp::Pow, element, Element::Float(1.0)) else {
            panic!("a result")
        };
        assert_eq!(annotation, Annotation::IncompatibleTypes { op: "^", left: "histogram", right: "float" });
    }

    #[test]
    fn contradicting_hints_leave_nothing() {
        let with = |reset_hint| Arc::new(Histogram { reset_hint, ..Histogram::default() });
        let (a, b) = (with(ResetHint::Reset), with(ResetHint::NotReset));
        let result = combine(BinaryOp::Add, Element::Histogram(&a), Element::Histogram(&b));
        assert_eq!(result.err(), Some(Annotation::ConflictingResets(HistogramOperation::Addition)));
    }
}
