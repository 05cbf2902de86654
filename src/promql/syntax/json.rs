//! The syntax tree as JSON text, for tools that draw it.

use serde_json::{Value, json};

use super::ast::{
    At, BinaryOp, Cardinality, DurationExpr, DurationKind, Expr, ExprKind, Length, VectorSelector,
};
use super::quote::{lossy, plain_float};
use crate::model::Matcher;
use crate::promql::functions::Arity;

/// The tree below `expr`.
pub(crate) fn to_json(expr: &Expr) -> Value {
    match &expr.kind {
        ExprKind::Number { value, .. } => json!({"type": "numberLiteral", "val": plain_float(*value)}),
        ExprKind::String(text) => json!({"type": "stringLiteral", "val": lossy(text)}),
        ExprKind::Paren(inner) => with(json!({"type": "parenExpr"}), "expr", to_json(inner)),
        ExprKind::Unary { negate, expr } => {
            let op = if *negate { "-" } else { "+" };
            with(json!({"type": "unaryExpr", "op": op}), "expr", to_json(expr))
        }
        ExprKind::Binary(binary) => {
            let vectors = [&binary.lhs, &binary.rhs]
                .into_iter()
                .all(|side| side.value_type() == super::ast::ValueType::Vector);
            let matching = &binary.matching;
            let card = match matching.card {
                _ if binary.op.is_set() => "many-to-many",
                Cardinality::OneToOne => "one-to-one",
                Cardinality::ManyToOne => "many-to-one",
                Cardinality::OneToMany => "one-to-many",
            };
            let matching = vectors.then(|| {
                json!({
                    "card": card,
                    "labels": matching.labels,
                    "on": matching.on,
                    "include": matching.include,
                    "fillValues": {"lhs": matching.fill_left, "rhs": matching.fill_right},
                })
            });
            let out = json!({
                "type": "binaryExpr",
                "op": binary.op.as_str(),
                "matching": matching,
                "bool": binary.return_bool,
            });
            with(with(out, "lhs", to_json(&binary.lhs)), "rhs", to_json(&binary.rhs))
        }
        ExprKind::Aggregate(aggregate) => {
            let out = json!({
                "type": "aggregation",
                "op": aggregate.op.as_str(),
                "grouping": aggregate.grouping,
                "without": aggregate.without,
            });
            let param = aggregate.param.as_ref().map_or(Value::Null, to_json);
            with(with(out, "expr", to_json(&aggregate.expr)), "param", param)
        }
        ExprKind::Call(call) => {
            let function = call.function;
            let variadic = match function.arity {
                Arity::Fixed => json!(0),
                Arity::UpTo(more) => json!(more),
                Arity::Any => json!(-1),
            };
            let types: Vec<&str> = function.args.iter().map(|t| t.as_str()).collect();
            let out = json!({
                "type": "call",
                "func": {
                    "name": function.name,
                    "argTypes": types,
                    "variadic": variadic,
                    "returnType": function.returns.as_str(),
                },
            });
            with(out, "args", Value::Array(call.args.iter().map(to_json).collect()))
        }
        ExprKind::Vector(vector) => selector("vectorSelector", vector),
        ExprKind::Matrix(matrix) => {
            let mut out = selector("matrixSelector", &matrix.selector);
            out["range"] = json!(literal(&matrix.range));
            out["rangeExpr"] = computed(&matrix.range);
            out
        }
        ExprKind::Subquery(subquery) => {
            let step = subquery.step.as_ref();
            let out = json!({
                "type": "subquery",
                "range": literal(&subquery.range),
                "rangeExpr": computed(&subquery.range),
                "offset": literal(&subquery.offset),
                "offsetExpr": computed(&subquery.offset),
                "step": step.map_or(0, literal),
                "stepExpr": step.map_or(Value::Null, computed),
                "timestamp": timestamp(subquery.at),
                "startOrEnd": start_or_end(subquery.at),
            });
            with(out, "expr", to_json(&subquery.expr))
        }
    }
}

/// The object `out` with one more key. Values are moved; the macro would copy whole trees at every level.
fn with(mut out: Value, key: &str, value: Value) -> Value {
    out[key] = value;
    out
}

fn selector(kind: &str, selector: &VectorSelector) -> Value {
    let matcher = |m: &Matcher| json!({"name": m.name(), "value": lossy(m.value()), "type": m.op().as_str()});
    json!({
        "type": kind,
        "name": selector.name.as_deref().unwrap_or(""),
        "offset": literal(&selector.offset),
        "offsetExpr": computed(&selector.offset),
        "matchers": selector.matchers.iter().map(matcher).collect::<Vec<_>>(),
        "timestamp": timestamp(selector.at),
        "startOrEnd": start_or_end(selector.at),
        "anchored": selector.anchored,
        "smoothed": selector.smoothed,
    })
}

fn literal(length: &Length) -> i64 {
    match length {
        Length::Literal(ms) => *ms,
        Length::Computed(_) => 0,
    }
}

fn computed(length: &Length) -> Value {
    match length {
        Length::Literal(_) => Value::Null,
        Length::Computed(expr) => duration(expr),
    }
}

fn duration(expr: &DurationExpr) -> Value {
    let node = |op: &str, lhs: Value, rhs: Value| json!({"type": "durationExpr", "op": op, "lhs": lhs, "rhs": rhs, "wrapped": expr.wrapped});
    match &expr.kind {
        DurationKind::Number { value, is_duration } => {
            let number =
                json!({"type": "numberLiteral", "val": plain_float(*value), "duration": is_duration});
            if expr.wrapped { node("+", Value::Null, number) } else { number }
        }
        DurationKind::Step => node("step", Value::Null, Value::Null),
        DurationKind::Range => node("range", Value::Null, Value::Null),
        DurationKind::Negate(inner) => node(BinaryOp::Sub.as_str(), Value::Null, duration(inner)),
        DurationKind::Binary { op, lhs, rhs } => node(op.as_str(), duration(lhs), duration(rhs)),
        DurationKind::MinOf(a, b) => node("min_of", duration(a), duration(b)),
        DurationKind::MaxOf(a, b) => node("max_of", duration(a), duration(b)),
    }
}

fn timestamp(at: Option<At>) -> Value {
    match at {
        Some(At::Timestamp(ms)) => json!(ms),
        _ => Value::Null,
    }
}

fn start_or_end(at: Option<At>) -> Value {
    match at {
        Some(At::Start) => json!("start"),
        Some(At::End) => json!("end"),
        _ => Value::Null,
    }
}
