//! The canonical form of expressions: what the rules API shows and what parses back to the same tree.

use std::fmt::{self, Display, Write as _};
use std::time::Duration;

use super::ast::{
    Aggregate, At, Binary, BinaryOp, Cardinality, DurationExpr, DurationKind, Expr, ExprKind, Length,
    Matching, MatrixSelector, Subquery, VectorSelector,
};
use super::quote::{plain_float, quote, short_float};
use crate::model::name::is_plain_label_name;
use crate::model::{METRIC_NAME, MatchOp, format_duration};

/// Milliseconds in unit form, with a sign.
pub(crate) fn milliseconds(ms: i64) -> String {
    let text = format_duration(Duration::from_millis(ms.unsigned_abs()));
    if ms < 0 { format!("-{text}") } else { text }
}

#[expect(clippy::cast_possible_truncation, reason = "durations are printed in whole milliseconds")]
fn number(value: f64, is_duration: bool) -> String {
    if is_duration { milliseconds((value * 1000.0) as i64) } else { plain_float(value) }
}

impl Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(ms) => f.write_str(&milliseconds(*ms)),
            Self::Computed(expr) => expr.fmt(f),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.wrapped {
            f.write_char('(')?;
        }
        match &self.kind {
            DurationKind::Number { value, is_duration } => f.write_str(&number(*value, *is_duration))?,
            DurationKind::Step => f.write_str("step()")?,
            DurationKind::Range => f.write_str("range()")?,
            DurationKind::Negate(inner) => write!(f, "-{inner}")?,
            DurationKind::Binary { op, lhs, rhs } => write!(f, "{lhs} {} {rhs}", op.as_str())?,
            DurationKind::MinOf(a, b) => write!(f, "min_of({a}, {b})")?,
            DurationKind::MaxOf(a, b) => write!(f, "max_of({a}, {b})")?,
        }
        if self.wrapped {
            f.write_char(')')?;
        }
        Ok(())
    }
}

/// Writes a chain of operators term after term: there may be thousands.
fn write_chain(f: &mut fmt::Formatter<'_>, last: &Binary) -> fmt::Result {
    let mut chain = vec![last];
    let mut first = &last.lhs;
    while let ExprKind::Binary(binary) = &first.kind {
        chain.push(binary);
        first = &binary.lhs;
    }
    write!(f, "{first}")?;
    chain.iter().rev().try_for_each(|binary| write!(f, " {} {}", operator(binary), binary.rhs))
}

impl Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number { value, is_duration } => f.write_str(&number(*value, *is_duration)),
            ExprKind::String(text) => f.write_str(&quote(text)),
            ExprKind::Paren(inner) => write!(f, "({inner})"),
            ExprKind::Unary { negate, expr } => write!(f, "{}{expr}", if *negate { '-' } else { '+' }),
            ExprKind::Binary(binary) => write_chain(f, binary),
            ExprKind::Aggregate(aggregate) => {
                f.write_str(&aggregate_head(aggregate))?;
                f.write_char('(')?;
                if let Some(param) = &aggregate.param {
                    write!(f, "{param}, ")?;
                }
                write!(f, "{})", aggregate.expr)
            }
            ExprKind::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                for (at, arg) in call.args.iter().enumerate() {
                    if at > 0 {
                        f.write_str(", ")?;
                    }
                    arg.fmt(f)?;
                }
                f.write_char(')')
            }
            ExprKind::Vector(selector) => {
                series(selector, f)?;
                f.write_str(&at_modifier(selector.at))?;
                f.write_str(extended(selector))?;
                f.write_str(&offset_modifier(&selector.offset))
            }
            ExprKind::Matrix(matrix) => {
                let MatrixSelector { selector, range } = matrix.as_ref();
                series(selector, f)?;
                write!(f, "[{range}]{}", extended(selector))?;
                f.write_str(&at_modifier(selector.at))?;
                f.write_str(&offset_modifier(&selector.offset))
            }
            ExprKind::Subquery(subquery) => {
                write!(f, "{}{}", subquery.expr, subquery_suffix(subquery))
            }
        }
    }
}

/// `[range:step]` and the modifiers behind it.
pub(super) fn subquery_suffix(subquery: &Subquery) -> String {
    let step = subquery.step.as_ref().map(Length::to_string).unwrap_or_default();
    format!("[{}:{step}]{}{}", subquery.range, at_modifier(subquery.at), offset_modifier(&subquery.offset))
}

/// An operator with its modifiers.
pub(super) fn operator(binary: &Binary) -> String {
    let mut out = binary.op.as_str().to_owned();
    if binary.return_bool {
        out.push_str(" bool");
    }
    matching_clause(&binary.matching, &mut out);
    out
}

/// Appends `on` or `ignoring`, `group_left` or `group_right` and the fills, where there are any.
pub(crate) fn matching_clause(matching: &Matching, out: &mut String) {
    let grouped = matching.card != Cardinality::OneToOne;
    if !matching.labels.is_empty() || matching.on || grouped {
        let word = if matching.on { "on" } else { "ignoring" };
        let _ = write!(out, " {word} ({})", label_list(&matching.labels));
    }
    if grouped {
        let side = if matching.card == Cardinality::ManyToOne { "left" } else { "right" };
        let _ = write!(out, " group_{side} ({})", label_list(&matching.include));
    }
    let _ = match (matching.fill_left, matching.fill_right) {
        // A zero of the other sign is another value.
        (Some(left), Some(right)) if left == right && left.is_sign_negative() == right.is_sign_negative() => {
            write!(out, " fill ({})", short_float(left))
        }
        (left, right) => {
            for (side, value) in [("left", left), ("right", right)] {
                if let Some(value) = value {
                    let _ = write!(out, " fill_{side} ({})", short_float(value));
                }
            }
            Ok(())
        }
    };
}

/// An aggregator with its grouping clause.
pub(super) fn aggregate_head(aggregate: &Aggregate) -> String {
    let op = aggregate.op.as_str();
    if aggregate.without {
        format!("{op} without ({}) ", label_list(&aggregate.grouping))
    } else if aggregate.grouping.is_empty() {
        op.to_owned()
    } else {
        format!("{op} by ({}) ", label_list(&aggregate.grouping))
    }
}

/// Label names as a list, quoted where needed.
pub(crate) fn label_list(names: &[String]) -> String {
    let names: Vec<String> =
        names.iter().map(|n| if is_plain_label_name(n) { n.clone() } else { quote(n) }).collect();
    names.join(", ")
}

fn series(selector: &VectorSelector, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let name = selector.name.as_deref().unwrap_or("");
    f.write_str(name)?;
    let mut matchers: Vec<String> = selector
        .matchers
        .iter()
        .filter(|m| {
            !(m.name() == METRIC_NAME
                && m.op() == MatchOp::Equal
                && m.value() == name
                && !m.value().is_empty())
        })
        .map(|m| {
            let plain = is_plain_label_name(m.name());
            let name = if plain { m.name().to_owned() } else { quote(m.name()) };
            format!("{name}{}{}", m.op().as_str(), quote(m.value()))
        })
        .collect();
    if matchers.is_empty() {
        return Ok(());
    }
    matchers.sort_unstable();
    write!(f, "{{{}}}", matchers.join(","))
}

fn extended(selector: &VectorSelector) -> &'static str {
    if selector.anchored {
        " anchored"
    } else if selector.smoothed {
        " smoothed"
    } else {
        ""
    }
}

fn at_modifier(at: Option<At>) -> String {
    match at {
        None => String::new(),
        Some(At::Timestamp(ms)) => format!(" @ {:.3}", ms as f64 / 1000.0),
        Some(At::Start) => " @ start()".to_owned(),
        Some(At::End) => " @ end()".to_owned(),
    }
}

fn offset_modifier(offset: &Length) -> String {
    if offset.is_zero() { String::new() } else { format!(" offset {offset}") }
}

impl Display for BinaryOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
