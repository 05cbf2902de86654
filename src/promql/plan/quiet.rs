//! Which parts of a plan need not be computed when nobody looks at their rows.

use super::node::{
    Aggregation, Extension, Node, NodeKind, RangeFunc, RangeSource, SampleField, VectorBinary,
};
use crate::promql::syntax::ast::{AggregateOp, BinaryOp};

impl Node {
    /// Whether all it has to tell are its rows: whatever the data, there is neither an annotation nor an error about the
    /// query. (Reading may still fail, but what is not read need not be readable.)
    pub(crate) fn is_quiet(&self) -> bool {
        let itself = match &self.kind {
            NodeKind::Number(_)
            | NodeKind::Time
            | NodeKind::ScalarOf(_)
            | NodeKind::ScalarNegate(_)
            | NodeKind::ScalarBinary { .. }
            | NodeKind::ScalarPick { .. }
            | NodeKind::Repeat(_)
            | NodeKind::Absent { .. }
            | NodeKind::VectorOf(_)
            | NodeKind::Empty(_) => true,
            // Lines between histograms may not exist; rows that lose their names may collide.
            NodeKind::Select { shows, smoothed, .. } => {
                !smoothed && (*shows == SampleField::Value || self.distinct)
            }
            NodeKind::Map { .. } | NodeKind::EvaluationTime(_) => self.distinct,
            NodeKind::Aggregate(aggregation) => {
                let Aggregation { op, .. } = &**aggregation;
                matches!(op, AggregateOp::Count | AggregateOp::Group)
            }
            NodeKind::VectorVector(op) => op.op.is_set(),
            NodeKind::Rollup { func, source, .. } => {
                let picks = matches!(
                    func,
                    RangeFunc::Count
                        | RangeFunc::Present
                        | RangeFunc::First
                        | RangeFunc::Last
                        | RangeFunc::TsOfFirst
                        | RangeFunc::TsOfLast
                );
                let plain = !matches!(
                    source,
                    RangeSource::Select(_, Extension::Anchored { .. } | Extension::Smoothed { .. })
                );
                picks && plain && (self.distinct || func.keeps_name())
            }
            NodeKind::Label { .. }
            | NodeKind::Sort { .. }
            | NodeKind::Histogram { .. }
            | NodeKind::Info { .. }
            | NodeKind::VectorScalar { .. } => false,
        };
        itself && self.inputs().into_iter().all(Self::is_quiet)
    }
}

impl VectorBinary {
    /// Whether nothing comes of it when its left side has no rows.
    pub(crate) fn needs_left(&self) -> bool {
        self.op != BinaryOp::Or && self.matching.fill_left.is_none() && self.matching.fill_right.is_none()
    }
}
