//! Walking over a syntax tree.

use super::ast::{Expr, ExprKind};

/// The direct sub-expressions of `expr`, in the order of the text.
pub(crate) fn children(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Number { .. } | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(_) => {
            Vec::new()
        }
        ExprKind::Paren(inner) | ExprKind::Unary { expr: inner, .. } => vec![inner],
        ExprKind::Binary(binary) => vec![&binary.lhs, &binary.rhs],
        ExprKind::Aggregate(aggregate) => aggregate.param.iter().chain([&aggregate.expr]).collect(),
        ExprKind::Call(call) => call.args.iter().collect(),
        ExprKind::Subquery(subquery) => vec![&subquery.expr],
    }
}

/// Calls `visit` on `expr` and everything below it, parents first.
pub(crate) fn walk<'a>(expr: &'a Expr, visit: &mut impl FnMut(&'a Expr)) {
    visit(expr);
    for child in children(expr) {
        walk(child, visit);
    }
}
