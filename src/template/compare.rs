//! Comparisons, which ask for values of one kind.

use std::cmp::Ordering;
use std::sync::Arc;

use super::error::{Fault, fail};
use super::value::Value;

/// What a comparison takes a value for.
enum Basic<'v> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'v str),
}

fn basic(value: &Value) -> Option<Basic<'_>> {
    match value {
        Value::Bool(bool) => Some(Basic::Bool(*bool)),
        Value::Float(float) => Some(Basic::Float(*float)),
        Value::Text(text) | Value::Html(text) => Some(Basic::Text(text)),
        value => value.as_int().map(Basic::Int),
    }
}

fn incompatible<T>(a: &Value, b: &Value) -> Result<T, Fault> {
    fail!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name())
}

/// Whether the first value equals one of the others.
pub(super) fn equals_any(values: &[Value]) -> Result<bool, Fault> {
    let [first, others @ ..] = values else { return fail!("missing argument for comparison") };
    if others.is_empty() {
        return fail!("missing argument for comparison");
    }
    for other in others {
        if equals(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equals(a: &Value, b: &Value) -> Result<bool, Fault> {
    match (basic(a), basic(b)) {
        (Some(Basic::Bool(a)), Some(Basic::Bool(b))) => Ok(a == b),
        (Some(Basic::Int(a)), Some(Basic::Int(b))) => Ok(a == b),
        (Some(Basic::Float(a)), Some(Basic::Float(b))) => Ok(a == b),
        (Some(Basic::Text(a)), Some(Basic::Text(b))) => Ok(a == b),
        (None, None) => match (a, b) {
            (Value::Nil, b) => Ok(matches!(b, Value::Nil)),
            (_, Value::Nil) => Ok(false),
            (Value::Time(a), Value::Time(b)) | (Value::TimePointer(a), Value::TimePointer(b)) => Ok(a == b),
            (Value::DurationPointer(a), Value::DurationPointer(b)) => Ok(a == b),
            (Value::Sample(a), Value::Sample(b)) => Ok(Arc::ptr_eq(a, b)),
            (Value::Histogram(a), Value::Histogram(b)) => Ok(Arc::ptr_eq(a, b)),
            (a, b) if a.type_name() == b.type_name() => fail!("non-comparable type {}", b.type_name()),
            (a, b) => fail!("non-comparable types {}, {}", a.type_name(), b.type_name()),
        },
        _ if matches!(a, Value::Nil) || matches!(b, Value::Nil) => Ok(false),
        _ => incompatible(a, b),
    }
}

/// How two values are ordered; floats that are not numbers are not.
pub(super) fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, Fault> {
    match (basic(a), basic(b)) {
        (Some(Basic::Int(a)), Some(Basic::Int(b))) => Ok(Some(a.cmp(&b))),
        (Some(Basic::Float(a)), Some(Basic::Float(b))) => Ok(a.partial_cmp(&b)),
        (Some(Basic::Text(a)), Some(Basic::Text(b))) => Ok(Some(a.cmp(b))),
        (None, _) | (_, None) | (Some(Basic::Bool(_)), Some(Basic::Bool(_))) => {
            fail!("invalid type for comparison")
        }
        _ => incompatible(a, b),
    }
}
