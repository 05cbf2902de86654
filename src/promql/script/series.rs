//! Series notation: `name{label="value"} 1+2x3 _ stale {{count:1}}`.

use super::histogram::{NotedHistogram, parse_histogram, stepped};
use super::number::parse_number;
use crate::model::{Labels, LabelsBuf, METRIC_NAME, stale_nan};
use crate::promql::exec::histogram::Sign;
use crate::promql::syntax::quote::unquote;

/// One point of a series line.
#[derive(Debug, Clone, PartialEq)]
pub enum SeriesPoint {
    /// No sample here.
    Omitted,
    /// A number, perhaps the stale marker.
    Value(f64),
    /// A native histogram.
    Histogram(NotedHistogram),
}

/// A parsed series line.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesLine {
    /// Labels, the metric name included.
    pub labels: Labels,
    /// One point per step.
    pub points: Vec<SeriesPoint>,
    /// When what each point counts began, in milliseconds relative to it; empty when nothing is said of it.
    pub starts: Vec<Option<i64>>,
}

/// Most points of one line; far more than any script needs.
const MAX_POINTS: u64 = 1_000_000;

type Parsed<T> = Result<T, String>;

/// Parses a series line.
///
/// # Errors
/// When the line has another form; the text says what was expected.
pub fn parse_series(line: &str) -> Result<SeriesLine, String> {
    let (labels, rest) = parse_metric(line)?;
    let mut points = Vec::new();
    let mut rest = rest;
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return Err(format!("expected a space before the values at {rest:?}"));
    }
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            return Ok(SeriesLine { labels, points, starts: Vec::new() });
        }
        rest = parse_item(rest, &mut points)?;
        if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
            return Err(format!("expected a space between values at {rest:?}"));
        }
    }
}

/// Parses labels alone: a metric, or nothing, which is no labels.
///
/// # Errors
/// When the text has another form.
pub fn parse_labels(text: &str) -> Result<Labels, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Labels::empty());
    }
    // Here, and only here, there may be space between name and braces.
    let (name, braces) = text.split_at(text.find('{').unwrap_or(text.len()));
    let joined = [name.trim_end(), braces].concat();
    match parse_metric(&joined)? {
        (labels, "") => Ok(labels),
        (_, rest) => Err(format!("unexpected {rest:?} behind labels")),
    }
}

/// The labels at the start of a line, and what follows.
pub(super) fn parse_metric(line: &str) -> Parsed<(Labels, &str)> {
    let mut buf = LabelsBuf::new();
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(line.len());
    let (name, mut rest) = line.split_at(end);
    buf.set(METRIC_NAME, name);
    let Some(inside) = rest.strip_prefix('{') else {
        if name.is_empty() {
            return Err(format!("expected a metric at {line:?}"));
        }
        return Ok((buf.to_labels(), rest));
    };
    rest = inside.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((buf.to_labels(), after));
        }
        let (label, quoted, after) = parse_word(rest)?;
        rest = after.trim_start();
        if let Some(after) = rest.strip_prefix('=') {
            let (value, is_string, after) = parse_word(after.trim_start())?;
            if !is_string {
                return Err(format!("expected a quoted value at {rest:?}"));
            }
            buf.set(&label, &value);
            rest = after.trim_start();
        } else if quoted {
            buf.set(METRIC_NAME, &label);
        } else {
            return Err(format!("expected \"=\" at {rest:?}"));
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with('}') => {}
            None => return Err(format!("expected \",\" or a closing brace at {rest:?}")),
        }
    }
}

/// A bare word or a string; says whether it was a string.
fn parse_word(text: &str) -> Parsed<(String, bool, &str)> {
    let Some(open) = text.chars().next() else { return Err("unexpected end".to_owned()) };
    if matches!(open, '"' | '\'' | '`') {
        let mut escaped = false;
        for (at, c) in text.char_indices().skip(1) {
            if escaped {
                escaped = false;
            } else if c == '\\' && open != '`' {
                escaped = true;
            } else if c == open {
                let (literal, rest) = text.split_at(at + 1);
                return Ok((unquote(literal)?, true, rest));
            }
        }
        return Err(format!("unterminated string at {text:?}"));
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    if end == 0 {
        return Err(format!("expected a label at {text:?}"));
    }
    Ok((text[..end].to_owned(), false, &text[end..]))
}

fn parse_item<'a>(text: &'a str, out: &mut Vec<SeriesPoint>) -> Parsed<&'a str> {
    if let Some(rest) = text.strip_prefix('_') {
        let (times, rest) = parse_times(rest)?;
        repeat(out, &SeriesPoint::Omitted, times.unwrap_or(1))?;
        return Ok(rest);
    }
    if let Some(rest) = text.strip_prefix("stale") {
        out.push(SeriesPoint::Value(stale_nan()));
        return Ok(rest);
    }
    if text.starts_with("{{") {
        return parse_histograms(text, out);
    }
    let (first, rest) = parse_number(text)?;
    let (step, rest) = if rest.starts_with(['+', '-']) {
        parse_number(rest).map(|(s, r)| (Some(s), r))?
    } else {
        (None, rest)
    };
    let (times, rest) = parse_times(rest)?;
    if step.is_some() && times.is_none() {
        return Err(format!("expected a repetition at {rest:?}"));
    }
    let mut value = first;
    check_count(out, times.unwrap_or(0))?;
    for _ in 0..=times.unwrap_or(0) {
        out.push(SeriesPoint::Value(value));
        value += step.unwrap_or(0.0);
    }
    Ok(rest)
}

fn parse_histograms<'a>(text: &'a str, out: &mut Vec<SeriesPoint>) -> Parsed<&'a str> {
    let (first, mut rest) = parse_histogram(text)?;
    let sign = match rest.chars().next() {
        Some('+') => Some(Sign::Plus),
        Some('-') => Some(Sign::Minus),
        _ => None,
    };
    let Some(sign) = sign else {
        let (times, rest) = parse_times(rest)?;
        repeat(out, &SeriesPoint::Histogram(first), times.unwrap_or(0) + 1)?;
        return Ok(rest);
    };
    let step;
    (step, rest) = parse_histogram(&rest[1..])?;
    let (times, rest) = parse_times(rest)?;
    let times = times.ok_or_else(|| format!("expected a repetition at {rest:?}"))?;
    check_count(out, times)?;
    out.extend(stepped(&first, &step, sign, times)?.into_iter().map(SeriesPoint::Histogram));
    Ok(rest)
}

fn check_count(out: &[SeriesPoint], times: u64) -> Parsed<()> {
    let held = u64::try_from(out.len()).unwrap_or(u64::MAX);
    if held.saturating_add(times) > MAX_POINTS { Err("too many points".to_owned()) } else { Ok(()) }
}

fn repeat(out: &mut Vec<SeriesPoint>, point: &SeriesPoint, times: u64) -> Parsed<()> {
    check_count(out, times)?;
    out.extend((0..times).map(|_| point.clone()));
    Ok(())
}

/// `xN`, if it follows.
fn parse_times(text: &str) -> Parsed<(Option<u64>, &str)> {
    let Some(rest) = text.strip_prefix('x') else { return Ok((None, text)) };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let times = rest[..end].parse().map_err(|_| format!("expected a count at {rest:?}"))?;
    Ok((Some(times), &rest[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_values() {
        let check = |line: &str, expected: &[f64]| {
            let parsed = parse_series(line).expect(line);
            let values: Vec<f64> = parsed
                .points
                .iter()
                .map(|p| if let SeriesPoint::Value(v) = p { *v } else { f64::MIN })
                .collect();
            assert_eq!(values, expected, "{line}");
        };
        check("a 1 2.5 -3", &[1.0, 2.5, -3.0]);
        check("a 1x2", &[1.0, 1.0, 1.0]);
        check("a 1+2x2", &[1.0, 3.0, 5.0]);
        check("a{b=\"c d\"} 5-1e1x1", &[5.0, -5.0]);
        check("a _ 1 _x2", &[f64::MIN, 1.0, f64::MIN, f64::MIN]);
        check("{} Inf -Inf", &[f64::INFINITY, f64::NEG_INFINITY]);
        check("a {{count:1}}x1 2", &[f64::MIN, f64::MIN, 2.0]);
        assert_eq!(
            parse_series("{\"my name\", l='v'} 1").map(|s| s.labels),
            Ok(Labels::from_pairs([(METRIC_NAME, "my name"), ("l", "v")]))
        );
    }

    #[test]
    fn labels_stand_alone() {
        let check = |text: &str, expected: &str| {
            assert_eq!(
                parse_labels(text).map(|labels| labels.to_string()),
                Ok(expected.to_owned()),
                "{text}"
            );
        };
        check("", "{}");
        check("{}", "{}");
        check(" up ", "up");
        check("up {job = 'j',}", "up{job=\"j\"}");
        for text in ["up 1", "up{job=j}", "{", "1+"] {
            assert!(parse_labels(text).is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_other_forms() {
        for line in ["", "a 1+1", "a 1y", "a{b=1} 1", "a{b=\"1\" 1", "a 1x", "a _-2"] {
            assert!(parse_series(line).is_err(), "{line}");
        }
    }
}
