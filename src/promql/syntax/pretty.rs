//! The form for people: expressions longer than a line are split, two spaces per level.

use super::ast::{Expr, ExprKind};
use super::print::{aggregate_head, operator, subquery_suffix};

/// Longest canonical form that stays on one line.
const MAX_LINE: usize = 100;

/// Prints `expr` over as many lines as it needs.
pub(crate) fn pretty(expr: &Expr) -> String {
    node(expr, 0)
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

fn node(expr: &Expr, level: usize) -> String {
    let flat = expr.to_string();
    let here = indent(level);
    match &expr.kind {
        ExprKind::Unary { negate, expr } => {
            let sign = if *negate { '-' } else { '+' };
            format!("{here}{sign}{}", node(expr, level).trim())
        }
        // The line of a short subquery is its own; the level is not repeated before it.
        ExprKind::Subquery(_) if flat.len() <= MAX_LINE => flat,
        ExprKind::Subquery(subquery) => {
            format!("{}{}", node(&subquery.expr, level), subquery_suffix(subquery))
        }
        _ if flat.len() <= MAX_LINE => format!("{here}{flat}"),
        ExprKind::Aggregate(aggregate) => {
            let mut out = format!("{here}{}(\n", aggregate_head(aggregate));
            if let Some(param) = &aggregate.param {
                out.push_str(&node(param, level + 1));
                out.push_str(",\n");
            }
            out.push_str(&node(&aggregate.expr, level + 1));
            out.push('\n');
            out.push_str(&here);
            out.push(')');
            out
        }
        ExprKind::Binary(binary) => format!(
            "{}\n{here}{}\n{}",
            node(&binary.lhs, level + 1),
            operator(binary),
            node(&binary.rhs, level + 1)
        ),
        ExprKind::Call(call) => {
            let args: Vec<String> = call.args.iter().map(|a| node(a, level + 1)).collect();
            format!("{here}{}(\n{}\n{here})", call.function.name, args.join(",\n"))
        }
        ExprKind::Paren(inner) => format!("{here}(\n{}\n{here})", node(inner, level + 1)),
        ExprKind::Number { .. } | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(_) => {
            format!("{here}{flat}")
        }
    }
}
