//! Functions of the language itself, but `and` and `or`, which do not evaluate all they are given.

use std::cmp::Ordering;

use super::budget::Sink;
use super::compare::{equals_any, order};
use super::error::{Fault, fail};
use super::escape;
use super::function::Function;
use super::printer;
use super::value::Value;

/// Calls a function that needs nothing but values. None if it is not one of these.
pub(super) fn call(function: Function, values: &[Value], max_bytes: usize) -> Option<Result<Value, Fault>> {
    let two = |is: fn(Option<Ordering>) -> bool| match values {
        [a, b] => order(a, b).map(|order| Value::Bool(is(order))),
        _ => fail!("missing argument for comparison"),
    };
    Some(match function {
        Function::Call => call_value(values),
        Function::Eq => equals_any(values).map(Value::Bool),
        Function::Ne => equals_any(values).map(|equal| Value::Bool(!equal)),
        Function::Lt => two(|order| order == Some(Ordering::Less)),
        Function::Le => two(|order| matches!(order, Some(Ordering::Less | Ordering::Equal))),
        // The opposite of the two above, also for what is not ordered.
        Function::Ge => two(|order| order != Some(Ordering::Less)),
        Function::Gt => two(|order| !matches!(order, Some(Ordering::Less | Ordering::Equal))),
        Function::Html => escaped(values, max_bytes, escape::html),
        Function::Js => escaped(values, max_bytes, escape::javascript),
        Function::Urlquery => escaped(values, max_bytes, escape::query),
        Function::Index => index(values),
        Function::Slice => slice(values),
        Function::Len => values.first().map_or_else(|| fail!("missing argument"), length),
        Function::Not => Ok(Value::Bool(!values.first().is_some_and(Value::is_true))),
        Function::Print => written(max_bytes, |out| printer::print(values, false, out)),
        Function::Println => written(max_bytes, |out| printer::println(values, out)),
        Function::Printf => match values {
            [Value::Text(format), values @ ..] => {
                written(max_bytes, |out| printer::printf(format, values, out))
            }
            _ => fail!("missing format"),
        },
        _ => return None,
    })
}

fn written(max_bytes: usize, write: impl FnOnce(&mut Sink) -> Result<(), Fault>) -> Result<Value, Fault> {
    let mut out = Sink::new(max_bytes);
    write(&mut out)?;
    Ok(Value::text(out.into_text()))
}

fn escaped(values: &[Value], max_bytes: usize, escape: fn(&str) -> String) -> Result<Value, Fault> {
    if let [Value::Text(text)] = values {
        return Ok(Value::text(escape(text)));
    }
    let mut out = Sink::new(max_bytes);
    printer::print(values, true, &mut out)?;
    Ok(Value::text(escape(&out.into_text())))
}

/// `call`: there are no functions among the values.
fn call_value(values: &[Value]) -> Result<Value, Fault> {
    match values.first() {
        None | Some(Value::Nil) => fail!("call of nil"),
        Some(value) => fail!("non-function of type {}", value.type_name()),
    }
}

/// `value` as a place in something with `length` elements; that behind the last one is one.
fn place(value: &Value, length: usize) -> Result<usize, Fault> {
    let Some(number) = value.as_int() else {
        return match value {
            Value::Nil => fail!("cannot index slice/array with nil"),
            _ => fail!("cannot index slice/array with type {}", value.type_name()),
        };
    };
    match usize::try_from(number) {
        Ok(place) if place <= length => Ok(place),
        _ => fail!("index out of range: {number}"),
    }
}

fn index(values: &[Value]) -> Result<Value, Fault> {
    let [first, indexes @ ..] = values else { return fail!("missing argument") };
    if matches!(first, Value::Nil) {
        return fail!("index of untyped nil");
    }
    indexes.iter().try_fold(first.clone(), |item, index| element(&item, index))
}

fn element(item: &Value, index: &Value) -> Result<Value, Fault> {
    let key = || match index {
        Value::Text(key) => Ok(key),
        Value::Nil => fail!("value is nil; should be of type string"),
        _ => fail!("value has type {}; should be string", index.type_name()),
    };
    let past_the_end =
        || Fault::new(format_args!("index out of range: {}", index.as_int().unwrap_or_default()));
    match item {
        Value::Nil => fail!("index of nil pointer"),
        Value::Labels(_) | Value::KeyValues(_) | Value::Map(_) => {
            Ok(item.field(key()?).unwrap_or(Value::Nil))
        }
        Value::Samples(samples) => {
            let sample = samples.get(place(index, samples.len())?).ok_or_else(past_the_end)?;
            Ok(Value::Sample(sample.clone()))
        }
        Value::List(list) => {
            list.items.get(place(index, list.items.len())?).cloned().ok_or_else(past_the_end)
        }
        Value::Text(text) | Value::Html(text) => {
            let byte = text.as_bytes().get(place(index, text.len())?).ok_or_else(past_the_end)?;
            Ok(Value::Byte(*byte))
        }
        _ => fail!("can't index item of type {}", item.type_name()),
    }
}

fn slice(values: &[Value]) -> Result<Value, Fault> {
    let [item, indexes @ ..] = values else { return fail!("missing argument") };
    if indexes.len() > 3 {
        return fail!("too many slice indexes: {}", indexes.len());
    }
    let length = match item {
        Value::Nil => return fail!("slice of untyped nil"),
        Value::Text(_) | Value::Html(_) if indexes.len() == 3 => {
            return fail!("cannot 3-index slice a string");
        }
        Value::Text(text) | Value::Html(text) => text.len(),
        Value::Samples(samples) => samples.len(),
        _ => return fail!("can't slice item of type {}", item.type_name()),
    };
    let mut places = [0, length, length];
    for (number, index) in indexes.iter().enumerate() {
        places[number] = place(index, length)?;
    }
    let [from, to, capacity] = places;
    for (lower, upper) in [(from, to), (to, capacity)] {
        if lower > upper {
            return fail!("invalid slice index: {lower} > {upper}");
        }
    }
    let part = |text: &str| match text.get(from..to) {
        Some(part) => Ok(part.into()),
        None => fail!("slice {from}:{to} is inside of a character"),
    };
    match item {
        Value::Text(text) => part(text).map(Value::Text),
        Value::Html(text) => part(text).map(Value::Html),
        Value::Samples(samples) => Ok(Value::Samples(samples[from..to].into())),
        _ => fail!("can't slice item of type {}", item.type_name()),
    }
}

fn length(value: &Value) -> Result<Value, Fault> {
    let length = match value {
        Value::Text(text) | Value::Html(text) => text.len(),
        Value::Labels(labels) | Value::KeyValues(labels) => labels.len(),
        Value::List(list) => list.items.len(),
        Value::Map(map) => map.entries.len(),
        Value::Samples(samples) => samples.len(),
        Value::Nil => return fail!("len of nil pointer"),
        _ => return fail!("len of type {}", value.type_name()),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}
