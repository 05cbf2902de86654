//! The form for people: expressions longer than a line are split, two spaces per level.

use std::fmt::{self, Write};

use super::ast::{Expr, ExprKind};
use super::print::{aggregate_head, operator, subquery_suffix};

/// Longest canonical form that stays on one line.
const MAX_LINE: usize = 100;

/// Prints `expr` over as many lines as it needs.
pub(crate) fn pretty(expr: &Expr) -> String {
    Printer { max_line: MAX_LINE }.node(expr, 0)
}

struct Printer {
    max_line: usize,
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

impl Printer {
    fn node(&self, expr: &Expr, level: usize) -> String {
        let flat = self.line_of(expr);
        let here = indent(level);
        match &expr.kind {
            ExprKind::Unary { negate, expr } => {
                let sign = if *negate { '-' } else { '+' };
                format!("{here}{sign}{}", self.node(expr, level).trim())
            }
            // The line of a short subquery is its own; the level is not repeated before it.
            ExprKind::Subquery(subquery) => flat.unwrap_or_else(|| {
                format!("{}{}", self.node(&subquery.expr, level), subquery_suffix(subquery))
            }),
            _ if let Some(flat) = flat => format!("{here}{flat}"),
            ExprKind::Aggregate(aggregate) => {
                let mut out = format!("{here}{}(\n", aggregate_head(aggregate));
                if let Some(param) = &aggregate.param {
                    out.push_str(&self.node(param, level + 1));
                    out.push_str(",\n");
                }
                out.push_str(&self.node(&aggregate.expr, level + 1));
                out.push('\n');
                out.push_str(&here);
                out.push(')');
                out
            }
            ExprKind::Binary(binary) => format!(
                "{}\n{here}{}\n{}",
                self.node(&binary.lhs, level + 1),
                operator(binary),
                self.node(&binary.rhs, level + 1)
            ),
            ExprKind::Call(call) => {
                let args: Vec<String> = call.args.iter().map(|a| self.node(a, level + 1)).collect();
                format!("{here}{}(\n{}\n{here})", call.function.name, args.join(",\n"))
            }
            ExprKind::Paren(inner) => format!("{here}(\n{}\n{here})", self.node(inner, level + 1)),
            ExprKind::Number { .. } | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(_) => {
                format!("{here}{expr}")
            }
        }
    }

    /// The canonical form, if it fits on one line; no more of it is made than that.
    fn line_of(&self, expr: &Expr) -> Option<String> {
        let mut line = Line { text: String::new(), max: self.max_line };
        write!(line, "{expr}").ok().map(|()| line.text)
    }
}

/// Text that refuses to be longer than a line.
struct Line {
    text: String,
    max: usize,
}

impl Write for Line {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if self.text.len() + more.len() > self.max {
            return Err(fmt::Error);
        }
        self.text.push_str(more);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::{Features, parse};

    #[test]
    fn splits_what_is_longer_than_a_line() {
        let check = |query: &str, expected: &str| {
            let expr = parse(query, &Features::all()).expect(query);
            assert_eq!(Printer { max_line: 10 }.node(&expr, 0), expected, "{query}");
        };
        check("foo", "foo");
        check("foo_1 + foo_2", "  foo_1\n+\n  foo_2");
        check("topk(10, a_long_name)", "topk(\n  10,\n  a_long_name\n)");
        check("sum by(job) (a_long_name)", "sum by (job) (\n  a_long_name\n)");
        check("rate(a_long_name[5m])", "rate(\n  a_long_name[5m]\n)");
        check("-(a_long_name)", "-(\n  a_long_name\n)");
        check("(a_long_name)[1h:5m]", "(\n  a_long_name\n)[1h:5m]");
    }
}
