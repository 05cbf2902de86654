//! Functions of Prometheus.

use std::sync::Arc;

use super::builtins;
use super::calendar;
use super::data::Context;
use super::error::{Fault, fail};
use super::escape;
use super::function::Function;
use super::humanize;
use super::strings;
use super::value::{List, ListKind, MAX_MAP_DEPTH, Map, QuerySample, Value};
use crate::model::parse_duration;
use crate::model::regex::ReplaceError;

/// The label that `strvalue` reads.
const STRING_VALUE_LABEL: &str = "__value__";

/// Calls a function with values that its signature allows.
pub(super) fn call(function: Function, values: &[Value], cx: &mut Context<'_>) -> Result<Value, Fault> {
    let max_bytes = cx.budget.limits.max_output_bytes;
    let result = match builtins::call(function, values, max_bytes) {
        Some(result) => result?,
        None => call_own(function, values, cx)?,
    };
    within_bounds(result, cx)
}

/// `made` by a function or a method, if its text is not too long.
pub(super) fn within_bounds(made: Value, cx: &mut Context<'_>) -> Result<Value, Fault> {
    let max_bytes = cx.budget.limits.max_output_bytes;
    if let Some(text) = made.as_text() {
        if text.len() > max_bytes {
            return fail!("text of more than {max_bytes} bytes");
        }
        cx.budget.made(text.len())?;
    }
    Ok(made)
}

fn call_own(function: Function, values: &[Value], cx: &mut Context<'_>) -> Result<Value, Fault> {
    match (function, values) {
        (Function::Args, values) => args(values),
        (Function::Now, []) => {
            #[expect(clippy::cast_precision_loss, reason = "as Prometheus converts")]
            let seconds = cx.data.timestamp_ms as f64 / 1000.0;
            Ok(Value::Float(seconds))
        }
        (Function::ExternalUrl, []) => Ok(Value::text(cx.data.external_url)),
        (Function::PathPrefix, []) => Ok(Value::text(cx.data.path_prefix)),
        (Function::Humanize, [value]) => Ok(Value::text(humanize::decimal(value.to_float()?))),
        (Function::Humanize1024, [value]) => Ok(Value::text(humanize::binary(value.to_float()?))),
        (Function::HumanizeDuration, [value]) => Ok(Value::text(humanize::duration(value.to_float()?))),
        (Function::HumanizePercentage, [value]) => Ok(Value::text(humanize::percentage(value.to_float()?))),
        (Function::HumanizeTimestamp, [value]) => humanize::timestamp(value.to_float()?).map(Value::text),
        (Function::ToTime, [value]) => humanize::to_time(value.to_float()?).map(Value::TimePointer),
        (Function::ToDuration, [value]) => Ok(humanize::to_duration(value.to_float()?)),
        (Function::First, [value]) => match list(value)?.first() {
            Some(sample) => Ok(Value::Sample(Arc::clone(sample))),
            None => fail!("first() called on vector with no elements"),
        },
        (Function::Value, [value]) => Ok(sample(value)?.value.clone().into()),
        (Function::StrValue, [value]) => Ok(label(sample(value)?, STRING_VALUE_LABEL)),
        (Function::Label, [Value::Text(name), value]) => Ok(label(sample(value)?, name)),
        (Function::SortByLabel, [Value::Text(name), value]) => sort_by_label(name, list(value)?, cx),
        (Function::Match, [Value::Text(pattern), Value::Text(text)]) => {
            let search = cx.search(pattern)?;
            cx.budget.search(search.effort(text.len()))?;
            Ok(Value::Bool(search.is_match(text)))
        }
        (Function::ReReplaceAll, [Value::Text(pattern), Value::Text(template), Value::Text(text)]) => {
            replace_all(pattern, template, text, cx)
        }
        (Function::Date, [Value::Text(layout), Value::Time(time)]) => {
            Ok(Value::text(calendar::format(*time, layout)))
        }
        (Function::Since, [Value::Time(time)]) => {
            let ms = cx.data.timestamp_ms.saturating_sub(time.as_millisecond());
            Ok(Value::Duration(ms.saturating_mul(1_000_000)))
        }
        (Function::Join, [Value::Text(separator), Value::List(list)]) if list.kind == ListKind::Texts => {
            let texts: Vec<&str> =
                list.items.iter().filter_map(|item| item.as_text().map(|t| &**t)).collect();
            Ok(Value::text(texts.join(separator)))
        }
        (Function::Join, [_, value]) => {
            fail!("wrong type for value; expected []string; got {}", value.type_name())
        }
        (Function::StringSlice, values) => {
            if let Some(other) = values.iter().find(|value| value.as_text().is_none()) {
                return fail!("wrong type for value; expected string; got {}", other.type_name());
            }
            Ok(Value::List(Arc::new(List { kind: ListKind::Texts, items: values.to_vec() })))
        }
        (function, [Value::Text(text)]) => of_text(function, text, cx),
        _ => fail!("wrong arguments"),
    }
}

/// The page with `expression`, as a graph (0) or as a table (1).
pub(super) fn link(expression: &str, tab: u8) -> String {
    format!("/graph?g0.expr={}&g0.tab={tab}", escape::query(expression))
}

/// Functions of one text.
fn of_text(function: Function, text: &Arc<str>, cx: &mut Context<'_>) -> Result<Value, Fault> {
    Ok(match function {
        Function::GraphLink => Value::text(link(text, 0)),
        Function::TableLink => Value::text(link(text, 1)),
        Function::Query => query(text, cx)?,
        Function::ParseDuration => parse_seconds(text)?,
        // Whoever writes a template with it vouches for the text.
        Function::SafeHtml => Value::Html(Arc::clone(text)),
        // Escaped for HTML like any other text: no URL needs a quotation mark of its own.
        Function::SafeUrl => Value::Text(Arc::clone(text)),
        Function::TrimSpace => Value::text(text.trim()),
        Function::StripPort => Value::text(strings::strip_port(text)),
        Function::StripDomain => Value::text(strings::strip_domain(text)),
        Function::Title => Value::text(strings::title(text)),
        Function::ToUpper => Value::text(strings::to_upper(text)),
        Function::ToLower => Value::text(strings::to_lower(text)),
        Function::UrlQueryEscape => Value::text(escape::query(text)),
        _ => return fail!("wrong arguments"),
    })
}

/// A map with keys `arg0`, `arg1` and so on.
fn args(values: &[Value]) -> Result<Value, Fault> {
    let depth_of = |value: &Value| if let Value::Map(map) = value { map.depth } else { 0 };
    let depth = 1 + values.iter().map(depth_of).max().unwrap_or(0);
    if depth > MAX_MAP_DEPTH {
        return fail!("more than {MAX_MAP_DEPTH} maps inside of each other");
    }
    let pairs =
        values.iter().enumerate().map(|(number, value)| (format!("arg{number}").into(), value.clone()));
    Ok(Value::Map(Arc::new(Map { entries: pairs.collect(), depth })))
}

fn list(value: &Value) -> Result<&[Arc<QuerySample>], Fault> {
    match value {
        Value::Samples(samples) => Ok(samples),
        Value::Nil => Ok(&[]),
        _ => fail!("{} is no query result", value.type_name()),
    }
}

fn sample(value: &Value) -> Result<&QuerySample, Fault> {
    match value {
        Value::Sample(sample) => Ok(sample),
        _ => fail!("nil is no sample"),
    }
}

fn label(sample: &QuerySample, name: &str) -> Value {
    Value::text(sample.labels.get(name).unwrap_or_default())
}

fn sort_by_label(name: &str, samples: &[Arc<QuerySample>], cx: &mut Context<'_>) -> Result<Value, Fault> {
    cx.budget.made(size_of_val(samples))?;
    let mut samples = samples.to_vec();
    samples
        .sort_by(|a, b| a.labels.get(name).unwrap_or_default().cmp(b.labels.get(name).unwrap_or_default()));
    Ok(Value::Samples(samples.into()))
}

fn query(expression: &str, cx: &mut Context<'_>) -> Result<Value, Fault> {
    cx.budget.query()?;
    let samples = cx.source.query(expression).map_err(Fault::new)?;
    cx.budget.check_time()?;
    Ok(Value::Samples(samples.into_iter().map(Arc::new).collect()))
}

/// A duration such as `1h30m`, also a negative one, in seconds.
fn parse_seconds(text: &str) -> Result<Value, Fault> {
    let (sign, magnitude) = match text.strip_prefix('-') {
        Some(magnitude) => (-1.0, magnitude),
        None => (1.0, text),
    };
    let duration = parse_duration(magnitude).map_err(Fault::new)?;
    Ok(Value::Float(sign * duration.as_secs_f64()))
}

fn replace_all(pattern: &Arc<str>, template: &str, text: &str, cx: &mut Context<'_>) -> Result<Value, Fault> {
    let search = cx.search(pattern)?;
    let max_bytes = cx.budget.limits.max_output_bytes;
    let mut stopped = None;
    let replaced = search.replace_all(text, template, max_bytes, |effort| {
        stopped = cx.budget.search(effort).err();
        stopped.is_none()
    });
    match (replaced, stopped) {
        (Ok(text), _) => Ok(Value::text(text)),
        (Err(ReplaceError::Stopped(_)), Some(fault)) => Err(fault),
        (Err(error), _) => Err(Fault::new(error)),
    }
}
